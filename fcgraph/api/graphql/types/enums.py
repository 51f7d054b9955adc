"""The enumerations of the contract. Values are what the database stores."""

from __future__ import annotations

from enum import Enum
from typing import Any

import strawberry


def _value(stored: str, description: str) -> Any:
    """The value that the database stores; Strawberry replaces the definition with it."""
    return strawberry.enum_value(stored, description=description)


@strawberry.enum(description="The status of a payment. It changes from PENDING to COMPLETED or FAILED and never back.")
class PaymentStatus(Enum):
    PENDING = _value("pending", "In progress; may still complete or fail.")
    COMPLETED = _value("completed", "Completed. Totals and reports count these.")
    FAILED = _value("failed", "The payment failed.")


@strawberry.enum(description="Which side of a payment a user is on.")
class Direction(Enum):
    ANY = _value("ANY", "Sent or received.")
    SENT = _value("SENT", "Sent by the user.")
    RECEIVED = _value("RECEIVED", "Received by the user.")


@strawberry.enum(description="The channel a record arrived through.")
class SourceKind(Enum):
    CSV = _value("CSV", "A line of an imported file.")
    KAFKA = _value("KAFKA", "A Kafka message.")
    SEED = _value("SEED", "Made by `seed --demo`.")


@strawberry.enum(description="The outcome of a record: always one of these six.")
class IntakeOutcome(Enum):
    INSERTED = _value("INSERTED", "New and valid: stored.")
    UPDATED = _value("UPDATED", "The same payment with a later status: the status was advanced.")
    DUPLICATE = _value("DUPLICATE", "The same payment by value: nothing was written.")
    STALE = _value("STALE", "The same payment with an earlier status than the stored one: nothing was written.")
    CONFLICT = _value(
        "CONFLICT",
        description="The same id with other content or another final status: stored for a person to resolve.",
    )
    REJECTED = _value("REJECTED", "A rule fails: stored with every problem.")


@strawberry.enum(description="The state of an import. The last four are final.")
class ImportState(Enum):
    QUEUED = _value("QUEUED", "Accepted, waiting for a worker.")
    RUNNING = _value("RUNNING", "A worker is importing it.")
    SUCCEEDED = _value("SUCCEEDED", "All rows are stored as payments.")
    SUCCEEDED_WITH_REJECTS = _value(
        "SUCCEEDED_WITH_REJECTS", description="Finished; some rows were rejected or are in conflict."
    )
    FAILED = _value("FAILED", "The import failed; `failure` has the reason.")
    CANCELLED = _value("CANCELLED", "Stopped by a user; committed batches stay.")


FINAL_STATES = frozenset(
    {ImportState.SUCCEEDED, ImportState.SUCCEEDED_WITH_REJECTS, ImportState.FAILED, ImportState.CANCELLED}
)


@strawberry.enum(description="VALID_ROWS stores the valid rows; ALL_OR_NOTHING stores nothing if one row is rejected.")
class ImportMode(Enum):
    VALID_ROWS = _value("VALID_ROWS", "Store the rows that pass.")
    ALL_OR_NOTHING = _value("ALL_OR_NOTHING", "Store nothing if one row is rejected.")


@strawberry.enum(description="Why a payment is suspicious.")
class SuspicionCode(Enum):
    AMOUNT_OVER_THRESHOLD = _value("AMOUNT_OVER_THRESHOLD", "More than the currency's threshold.")
    SELF_TRANSFER = _value("SELF_TRANSFER", "The sender is the receiver.")


@strawberry.enum(description="What is wrong with a row.")
class RowProblemCode(Enum):
    MISSING_COLUMN = _value("MISSING_COLUMN", "The column is missing.")
    MISSING_VALUE = _value("MISSING_VALUE", "The value is missing.")
    EXTRA_VALUES = _value("EXTRA_VALUES", "More values than the header has columns.")
    INVALID_ENCODING = _value("INVALID_ENCODING", "Not UTF-8, or contains NUL.")
    INVALID_CSV = _value("INVALID_CSV", "Unbalanced quotes, or a line that is too long.")
    INVALID_JSON = _value("INVALID_JSON", "Not one JSON object.")
    UNSUPPORTED_ENVELOPE = _value("UNSUPPORTED_ENVELOPE", "The payment is wrapped or framed by the producer.")
    INVALID_UUID = _value("INVALID_UUID", "Not a UUID.")
    INVALID_AMOUNT = _value("INVALID_AMOUNT", "Not a number in plain digits.")
    NEGATIVE_AMOUNT = _value("NEGATIVE_AMOUNT", "Less than zero.")
    TOO_MANY_DECIMALS = _value("TOO_MANY_DECIMALS", "More decimals than the currency has, not counting trailing zeros.")
    AMOUNT_TOO_LARGE = _value("AMOUNT_TOO_LARGE", "More than 15 digits before the point.")
    INVALID_CURRENCY = _value("INVALID_CURRENCY", "Not three letters.")
    UNKNOWN_CURRENCY = _value("UNKNOWN_CURRENCY", "The currency is unknown.")
    UNKNOWN_SENDER = _value("UNKNOWN_SENDER", "The sender is unknown (yet).")
    UNKNOWN_RECEIVER = _value("UNKNOWN_RECEIVER", "The receiver is unknown (yet).")
    INVALID_TIMESTAMP = _value("INVALID_TIMESTAMP", "Not a date and time in RFC 3339 or PostgreSQL format.")
    TIMESTAMP_WITHOUT_OFFSET = _value("TIMESTAMP_WITHOUT_OFFSET", "A date and time without an offset.")
    TIMESTAMP_IN_FUTURE = _value("TIMESTAMP_IN_FUTURE", "Further in the future than TIMESTAMP_AHEAD_MAX_SECONDS.")
    TIMESTAMP_TOO_OLD = _value("TIMESTAMP_TOO_OLD", "Before TIMESTAMP_YEAR_MIN.")
    INVALID_STATUS = _value("INVALID_STATUS", "Not pending, completed or failed.")
    INVALID_NAME = _value("INVALID_NAME", "A user's name with control characters, or longer than USER_NAME_MAX_CHARS.")
    CONTENT_DIFFERS = _value("CONTENT_DIFFERS", "The stored payment has other content.")
    STATUS_REVERSAL = _value("STATUS_REVERSAL", "Completed where the stored payment is failed, or the reverse.")


@strawberry.enum(description="Why a mutation was not performed.")
class ErrorCode(Enum):
    NOT_FOUND = _value("NOT_FOUND", "The object does not exist.")
    INVALID_INPUT = _value("INVALID_INPUT", "The input is not valid.")
    FILE_TOO_LARGE = _value("FILE_TOO_LARGE", "The file is larger than UPLOAD_MAX_BYTES.")
    NOT_CSV = _value("NOT_CSV", "The file is not text.")
    MISSING_HEADER = _value("MISSING_HEADER", "The header lacks one or more of the seven columns.")
    CONTROL_TOTAL_MISMATCH = _value("CONTROL_TOTAL_MISMATCH", "The file does not match the expected control totals.")
    ALREADY_FINISHED = _value("ALREADY_FINISHED", "The import has ended.")
    ALREADY_RESOLVED = _value("ALREADY_RESOLVED", "The record has already been resolved.")
    NOT_FINISHED = _value("NOT_FINISHED", "The time was not enough for all records; the same call continues the work.")
    PERIOD_NOT_STARTED = _value("PERIOD_NOT_STARTED", "The month is in the future.")
    QUEUE_UNAVAILABLE = _value("QUEUE_UNAVAILABLE", "The job queue is unavailable.")
    FORBIDDEN = _value("FORBIDDEN", "The viewer is not allowed to do this.")


@strawberry.enum(description="How to resolve a conflict.")
class ConflictResolution(Enum):
    KEEP_STORED = _value("KEEP_STORED", "The stored payment stays as it is.")
    ACCEPT_INCOMING = _value(
        "ACCEPT_INCOMING",
        description="The stored payment takes the incoming values; the old values stay as a revision.",
    )
