"""The enumerations of the contract. Values are what the database stores."""

from __future__ import annotations

from enum import Enum
from typing import Any

import strawberry


def _value(stored: str, description: str) -> Any:
    """What the database stores for a value; Strawberry puts it in the place of its definition."""
    return strawberry.enum_value(stored, description=description)


@strawberry.enum(description="Where a payment stands. It goes from PENDING to COMPLETED or FAILED and never back.")
class PaymentStatus(Enum):
    PENDING = _value("pending", "On its way; may still complete or fail.")
    COMPLETED = _value("completed", "Done. Totals and reports count these.")
    FAILED = _value("failed", "It did not happen.")


@strawberry.enum(description="Which side of a payment a user is on.")
class Direction(Enum):
    ANY = _value("ANY", "Sent or received.")
    SENT = _value("SENT", "Sent by the user.")
    RECEIVED = _value("RECEIVED", "Received by the user.")


@strawberry.enum(description="The door a record came through.")
class SourceKind(Enum):
    CSV = _value("CSV", "A line of an imported file.")
    KAFKA = _value("KAFKA", "A message.")
    SEED = _value("SEED", "Made by `seed --demo`.")


@strawberry.enum(description="What became of a record: one of these six, nothing else.")
class IntakeOutcome(Enum):
    INSERTED = _value("INSERTED", "New, and all rules pass: stored.")
    UPDATED = _value("UPDATED", "The same with a status further on: the status was advanced.")
    DUPLICATE = _value("DUPLICATE", "The same by value: nothing was written.")
    STALE = _value("STALE", "The same, but its status is behind what is stored: nothing was written.")
    CONFLICT = _value(
        "CONFLICT",
        description="The same id with other content, or completed against failed: kept until a person decides.",
    )
    REJECTED = _value("REJECTED", "A rule fails: kept with every problem.")


@strawberry.enum(description="Where an import stands. The last four are final.")
class ImportState(Enum):
    QUEUED = _value("QUEUED", "Accepted, waiting for a worker.")
    RUNNING = _value("RUNNING", "Being read.")
    SUCCEEDED = _value("SUCCEEDED", "All rows are payments now.")
    SUCCEEDED_WITH_REJECTS = _value(
        "SUCCEEDED_WITH_REJECTS", description="Done; some rows were rejected or are in conflict."
    )
    FAILED = _value("FAILED", "It could not be done; `failure` says why.")
    CANCELLED = _value("CANCELLED", "Stopped by somebody; what was committed stays.")


FINAL_STATES = frozenset(
    {ImportState.SUCCEEDED, ImportState.SUCCEEDED_WITH_REJECTS, ImportState.FAILED, ImportState.CANCELLED}
)


@strawberry.enum(description="VALID_ROWS stores what passes; ALL_OR_NOTHING stores nothing if one row is rejected.")
class ImportMode(Enum):
    VALID_ROWS = _value("VALID_ROWS", "Store the rows that pass.")
    ALL_OR_NOTHING = _value("ALL_OR_NOTHING", "Store nothing if one row is rejected.")


@strawberry.enum(description="Why a payment is suspicious.")
class SuspicionCode(Enum):
    AMOUNT_OVER_THRESHOLD = _value("AMOUNT_OVER_THRESHOLD", "More than the currency's threshold.")
    SELF_TRANSFER = _value("SELF_TRANSFER", "The sender is the receiver.")


@strawberry.enum(description="What is wrong with a row.")
class RowProblemCode(Enum):
    MISSING_COLUMN = _value("MISSING_COLUMN", "The column is not there.")
    MISSING_VALUE = _value("MISSING_VALUE", "Nothing stands in the column.")
    EXTRA_VALUES = _value("EXTRA_VALUES", "More values than the header has columns.")
    INVALID_ENCODING = _value("INVALID_ENCODING", "Not UTF-8, or NUL.")
    INVALID_CSV = _value("INVALID_CSV", "Quotes that do not fit, or a line that is too long.")
    INVALID_JSON = _value("INVALID_JSON", "Not one JSON object.")
    UNSUPPORTED_ENVELOPE = _value("UNSUPPORTED_ENVELOPE", "The payment is wrapped or framed by the producer.")
    INVALID_UUID = _value("INVALID_UUID", "Not a UUID.")
    INVALID_AMOUNT = _value("INVALID_AMOUNT", "Not a number in plain digits.")
    NEGATIVE_AMOUNT = _value("NEGATIVE_AMOUNT", "Less than zero.")
    TOO_MANY_DECIMALS = _value("TOO_MANY_DECIMALS", "More decimals than the currency has, zeros at the end aside.")
    AMOUNT_TOO_LARGE = _value("AMOUNT_TOO_LARGE", "More than 15 digits before the point.")
    INVALID_CURRENCY = _value("INVALID_CURRENCY", "Not three letters.")
    UNKNOWN_CURRENCY = _value("UNKNOWN_CURRENCY", "A currency that is not known here.")
    UNKNOWN_SENDER = _value("UNKNOWN_SENDER", "A sender who is not known here (yet).")
    UNKNOWN_RECEIVER = _value("UNKNOWN_RECEIVER", "A receiver who is not known here (yet).")
    INVALID_TIMESTAMP = _value("INVALID_TIMESTAMP", "Not an RFC 3339 date and time, nor one as PostgreSQL writes it.")
    TIMESTAMP_WITHOUT_OFFSET = _value("TIMESTAMP_WITHOUT_OFFSET", "A date and time without an offset.")
    TIMESTAMP_IN_FUTURE = _value("TIMESTAMP_IN_FUTURE", "Further ahead than TIMESTAMP_AHEAD_MAX_SECONDS.")
    TIMESTAMP_TOO_OLD = _value("TIMESTAMP_TOO_OLD", "Before TIMESTAMP_YEAR_MIN.")
    INVALID_STATUS = _value("INVALID_STATUS", "Not pending, completed or failed.")
    INVALID_NAME = _value("INVALID_NAME", "A user's name with control characters, or longer than USER_NAME_MAX_CHARS.")
    CONTENT_DIFFERS = _value("CONTENT_DIFFERS", "The stored payment has other content.")
    STATUS_REVERSAL = _value("STATUS_REVERSAL", "Completed against failed.")


@strawberry.enum(description="Why a mutation was not done.")
class ErrorCode(Enum):
    NOT_FOUND = _value("NOT_FOUND", "There is no such thing.")
    INVALID_INPUT = _value("INVALID_INPUT", "What was given cannot be used.")
    FILE_TOO_LARGE = _value("FILE_TOO_LARGE", "The file is larger than UPLOAD_MAX_BYTES.")
    NOT_CSV = _value("NOT_CSV", "The file is no text.")
    MISSING_HEADER = _value("MISSING_HEADER", "The header lacks some of the seven columns.")
    CONTROL_TOTAL_MISMATCH = _value("CONTROL_TOTAL_MISMATCH", "The file is not what its sender expected.")
    ALREADY_FINISHED = _value("ALREADY_FINISHED", "The import has ended.")
    ALREADY_RESOLVED = _value("ALREADY_RESOLVED", "The record has already been resolved.")
    NOT_FINISHED = _value("NOT_FINISHED", "There was no time for all of it; the same call again goes on.")
    PERIOD_NOT_STARTED = _value("PERIOD_NOT_STARTED", "The month lies in the future.")
    QUEUE_UNAVAILABLE = _value("QUEUE_UNAVAILABLE", "No worker can be told.")
    FORBIDDEN = _value("FORBIDDEN", "Not for this viewer.")


@strawberry.enum(description="What to do with a conflict.")
class ConflictResolution(Enum):
    KEEP_STORED = _value("KEEP_STORED", "The stored payment stays as it is.")
    ACCEPT_INCOMING = _value(
        "ACCEPT_INCOMING", description="The stored payment becomes what came; the old values stay as a revision."
    )
