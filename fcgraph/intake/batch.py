"""A batch: validated rows of one source, column by column, in order of arrival."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal, NamedTuple
from uuid import UUID

from fcgraph.rules.records import COLUMNS, PaymentRecord, Rejection

Kind = Literal["CSV", "KAFKA", "SEED"]


class Source(NamedTuple):
    """Where a batch comes from. CSV: an import and, if its run wrote it, a chunk. KAFKA: a topic. SEED: neither."""

    kind: Kind
    import_id: UUID | None = None
    chunk: int | None = None
    topic_ref: int | None = None


class Rejected(NamedTuple):
    """A row that failed, with its origin (partition for Kafka; line, offset or index) and its raw bytes."""

    partition: int | None
    position: int
    raw: bytes
    rejection: Rejection


@dataclass(slots=True)
class Batch:
    """Validated rows of one source. Index n of every column is the n-th accepted row.

    `texts` are the rows in COPY format (see `row_text`), `place(n)` is a row's partition (None outside Kafka) and
    position, `raw(n)` its bytes as they arrived. `skipped_lines` counts the lines of a CSV that are not rows;
    `other_header` says that a line changes the columns set by the file's header. `record_at` is the index of the cell
    in which a row of a rejects file names the intake record that it corrects.
    """

    source: Source
    correlation_id: str
    transaction_ids: list[str]
    texts: list[str]
    place: Callable[[int], tuple[int | None, int]]
    raw: Callable[[int], bytes]
    suspicious: set[int]
    rejected: list[Rejected]
    accepted_sums: dict[str, Decimal] = field(default_factory=dict)
    skipped_lines: int = 0
    other_header: str | None = None
    record_at: int | None = None

    def record(self, n: int) -> PaymentRecord:
        """The n-th accepted row as a record."""
        return PaymentRecord(*self.texts[n].split(",", len(COLUMNS))[: len(COLUMNS)])

    def suspicions(self, n: int) -> tuple[str, ...]:
        """Why the n-th accepted row is suspicious."""
        flag_and_array = self.texts[n].split(",", len(COLUMNS) + 2)[-1]
        return tuple(code for code in flag_and_array[2:].strip('"{}').split(",") if code)

    @property
    def read(self) -> int:
        """The number of rows in the batch."""
        return len(self.texts) + len(self.rejected)


@dataclass(slots=True)
class Counts:
    """The number of rows read, and of each outcome. `suspicious` counts payments inserted with a suspicion."""

    read: int = 0
    inserted: int = 0
    updated: int = 0
    duplicate: int = 0
    stale: int = 0
    conflict: int = 0
    rejected: int = 0
    suspicious: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(mine + theirs for mine, theirs in zip(self.values(), other.values(), strict=True)))

    def values(self) -> tuple[int, ...]:
        """The counts in the order of `COUNT_COLUMNS`."""
        return (
            self.read, self.inserted, self.updated, self.duplicate,
            self.stale, self.conflict, self.rejected, self.suspicious,
        )  # fmt: skip


COUNT_COLUMNS = tuple(
    f"{name}_count"
    for name in ("read", "inserted", "updated", "duplicate", "stale", "conflict", "rejected", "suspicious")
)


# Columns of `transactions` in the order of a row's text; the batch id is last and added when it is known.
TEXT_COLUMNS = (*COLUMNS, "source_partition", "source_position", "is_suspicious", "suspicions", "batch_id")


def suspicions_text(suspicions: Sequence[str]) -> str:
    """`is_suspicious` and `suspicions` as the last fields of a row's text."""
    if not suspicions:
        return "f,"
    array = "{" + ",".join(suspicions) + "}"
    return f't,"{array}"' if len(suspicions) > 1 else f"t,{array}"


def row_text(record: PaymentRecord, partition: int | None, position: int, suspicions: Sequence[str]) -> str:
    """A record as one line of COPY's CSV format, without `batch_id`. Canonical fields never need quotes."""
    return f"{','.join(record)},{'' if partition is None else partition},{position},{suspicions_text(suspicions)}"
