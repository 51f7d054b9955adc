"""The enumerations of the contract. Values are what the database stores."""

from __future__ import annotations

from enum import Enum

import strawberry


@strawberry.enum(description="Where a payment stands. It goes from PENDING to COMPLETED or FAILED and never back.")
class PaymentStatus(Enum):
    PENDING = "pending"
    COMPLETED = "completed"
    FAILED = "failed"


@strawberry.enum(description="Which side of a payment a user is on.")
class Direction(Enum):
    ANY = "ANY"
    SENT = "SENT"
    RECEIVED = "RECEIVED"


@strawberry.enum(description="The door a record came through.")
class SourceKind(Enum):
    CSV = "CSV"
    KAFKA = "KAFKA"
    SEED = "SEED"


@strawberry.enum(description="What became of a record: one of these six, nothing else.")
class IntakeOutcome(Enum):
    INSERTED = "INSERTED"
    UPDATED = "UPDATED"
    DUPLICATE = "DUPLICATE"
    STALE = "STALE"
    CONFLICT = "CONFLICT"
    REJECTED = "REJECTED"


@strawberry.enum(description="Where an import stands. The last four are final.")
class ImportState(Enum):
    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    SUCCEEDED_WITH_REJECTS = "SUCCEEDED_WITH_REJECTS"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


FINAL_STATES = frozenset(
    {ImportState.SUCCEEDED, ImportState.SUCCEEDED_WITH_REJECTS, ImportState.FAILED, ImportState.CANCELLED}
)


@strawberry.enum(description="VALID_ROWS stores what passes; ALL_OR_NOTHING stores nothing if one row is rejected.")
class ImportMode(Enum):
    VALID_ROWS = "VALID_ROWS"
    ALL_OR_NOTHING = "ALL_OR_NOTHING"


@strawberry.enum(description="Why a payment is suspicious.")
class SuspicionCode(Enum):
    AMOUNT_OVER_THRESHOLD = "AMOUNT_OVER_THRESHOLD"
    SELF_TRANSFER = "SELF_TRANSFER"


@strawberry.enum(description="What is wrong with a row.")
class RowProblemCode(Enum):
    MISSING_COLUMN = "MISSING_COLUMN"
    MISSING_VALUE = "MISSING_VALUE"
    EXTRA_VALUES = "EXTRA_VALUES"
    INVALID_ENCODING = "INVALID_ENCODING"
    INVALID_CSV = "INVALID_CSV"
    INVALID_JSON = "INVALID_JSON"
    INVALID_UUID = "INVALID_UUID"
    INVALID_AMOUNT = "INVALID_AMOUNT"
    NEGATIVE_AMOUNT = "NEGATIVE_AMOUNT"
    TOO_MANY_DECIMALS = "TOO_MANY_DECIMALS"
    AMOUNT_TOO_LARGE = "AMOUNT_TOO_LARGE"
    INVALID_CURRENCY = "INVALID_CURRENCY"
    UNKNOWN_CURRENCY = "UNKNOWN_CURRENCY"
    UNKNOWN_SENDER = "UNKNOWN_SENDER"
    UNKNOWN_RECEIVER = "UNKNOWN_RECEIVER"
    INVALID_TIMESTAMP = "INVALID_TIMESTAMP"
    TIMESTAMP_WITHOUT_OFFSET = "TIMESTAMP_WITHOUT_OFFSET"
    TIMESTAMP_IN_FUTURE = "TIMESTAMP_IN_FUTURE"
    INVALID_STATUS = "INVALID_STATUS"
    CONTENT_DIFFERS = "CONTENT_DIFFERS"
    STATUS_REVERSAL = "STATUS_REVERSAL"


@strawberry.enum(description="Why a mutation was not done.")
class ErrorCode(Enum):
    NOT_FOUND = "NOT_FOUND"
    INVALID_INPUT = "INVALID_INPUT"
    FILE_TOO_LARGE = "FILE_TOO_LARGE"
    NOT_CSV = "NOT_CSV"
    MISSING_HEADER = "MISSING_HEADER"
    CONTROL_TOTAL_MISMATCH = "CONTROL_TOTAL_MISMATCH"
    ALREADY_FINISHED = "ALREADY_FINISHED"
    ALREADY_RESOLVED = "ALREADY_RESOLVED"
    PERIOD_NOT_STARTED = "PERIOD_NOT_STARTED"
    QUEUE_UNAVAILABLE = "QUEUE_UNAVAILABLE"
    FORBIDDEN = "FORBIDDEN"


@strawberry.enum(description="What to do with a conflict.")
class ConflictResolution(Enum):
    KEEP_STORED = "KEEP_STORED"
    ACCEPT_INCOMING = "ACCEPT_INCOMING"
