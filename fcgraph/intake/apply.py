"""Apply a validated batch to the stored payments in one transaction: insert, update, or record another outcome.

All writers lock in the same order: new ids (sorted), stored payments to change (sorted), the intake records that a
corrected file supersedes, the progress of the source (the import's row, or partitions, sorted), and the watermark last.
A replay or a resolution locks its intake records first; PostgreSQL breaks a deadlock with an import, and the loser
retries. Rows with the same id are applied in order of arrival within a batch and within an import, because the batches
of one writer are applied in order; between writers, in the order in which their transactions locked the id. In both
cases `records.decide` determines the outcome.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple

import orjson
from psycopg2.extras import execute_values

from fcgraph.intake.batch import COUNT_COLUMNS, TEXT_COLUMNS, Batch, Counts
from fcgraph.intake.watermark import take_watermark
from fcgraph.rules import records
from fcgraph.rules.records import COLUMNS, Outcome, PaymentRecord, Problem

# Outcomes of accepted rows as small numbers, so that millions of them are cheap to store and count.
CODES = (Outcome.INSERTED, Outcome.UPDATED, Outcome.DUPLICATE, Outcome.STALE, Outcome.CONFLICT)
_CODE = {outcome: code for code, outcome in enumerate(CODES)}
_INSERTED = _CODE[Outcome.INSERTED]

COPY_BLOCK = 1 << 20  # bytes passed to COPY at a time
NULL = "\\N"  # in COPY's text format

# LATERAL with LIMIT makes PostgreSQL look up each id in the index; with many ids it would scan the whole table.
_KNOWN = (
    "SELECT i.id::text FROM (SELECT unnest(%s::uuid[]) AS id ORDER BY 1) AS i"
    " CROSS JOIN LATERAL (SELECT FROM {table} AS t WHERE t.transaction_id = i.id LIMIT 1) AS known"
)
_STORED = (
    "SELECT transaction_id::text, sender_id::text, receiver_id::text, trim_scale(amount)::text, currency,"
    " to_char(timestamp AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US'), status"
    " FROM {table} WHERE transaction_id = ANY(%s::uuid[])"
)


class WriteContention(Exception):
    """Another writer interfered; the transaction is rolled back and retried, and nothing is lost."""


class Conflict(NamedTuple):
    """An accepted row (index `n`) that contradicts the stored payment; `differences` are (field, stored, incoming)."""

    n: int
    problems: tuple[Problem, ...]
    differences: tuple[tuple[str, str, str], ...]

    def stored_differences(self) -> list[dict[str, str]]:
        """The differences as they are stored."""
        return [{"field": name, "stored": old, "incoming": new} for name, old, new in self.differences]


@dataclass(slots=True)
class BatchResult:
    """The result of a batch. `outcomes[n]` is the outcome code of the n-th accepted row."""

    batch_id: int
    outcomes: bytearray
    conflicts: list[Conflict] = field(default_factory=list)
    conflict_sums: dict[str, Decimal] = field(default_factory=dict)
    rejected_sums: dict[str, Decimal] = field(default_factory=dict)

    def outcome(self, n: int) -> Outcome:
        """The outcome of the n-th accepted row."""
        return CODES[self.outcomes[n]]

    def counts(self, batch: Batch) -> Counts:
        """The counts of the whole batch."""
        numbers = [self.outcomes.count(code) for code in range(len(CODES))]
        inserted = sum(1 for n in batch.suspicious if self.outcomes[n] == _INSERTED)
        new, updated, duplicate, stale, conflict = numbers
        return Counts(batch.read, new, updated, duplicate, stale, conflict, len(batch.rejected), inserted)


def apply_batch(
    cursor: Any,
    batch: Batch,
    *,
    in_flight: set[str] | frozenset[str] = frozenset(),
    one_by_one: bool = False,
    wait: Callable[[], None] = lambda: None,
    table: str = "transactions",
    batch_id: int | None = None,
    resolution: str | None = None,
    keep: bool = True,
) -> BatchResult:
    """Write a batch; the caller then finalizes it and commits.

    `in_flight`: ids that an earlier batch of the same writer is still writing; their rows are applied after `wait`,
    which returns once that batch has committed. `one_by_one`: insert row by row, waiting for other writers of the same
    id. `table`: a dry run writes to its own copy. `batch_id`: continue an open batch. `resolution`: store the intake
    records as resolved (dry run). `keep`: whether rejected and conflicting rows are stored here.
    """
    if batch_id is None:
        batch_id = open_batch(cursor, batch)
    outcomes = bytearray(len(batch.texts))
    bulk, later = _split(batch, in_flight)
    found = _ids(cursor, _KNOWN.format(table=table), bulk)
    later.extend(bulk.pop(transaction_id) for transaction_id in found)
    if one_by_one:
        later.extend(_insert_one_by_one(cursor, batch, bulk, batch_id, table))
    else:
        _copy(cursor, map(batch.texts.__getitem__, bulk.values()), batch_id, table)
    result = BatchResult(batch_id, outcomes)
    for rejected in batch.rejected:
        _add(result.rejected_sums, rejected.rejection.currency, rejected.rejection.amount)
    if keep:
        _keep_rejected(cursor, batch, resolution)
    wait()
    if later:
        _apply_known(cursor, batch, sorted(later), result, table)
        if keep:
            _keep_conflicts(cursor, batch, result, resolution)
    return result


def open_batch(cursor: Any, batch: Batch) -> int:
    """Insert the batch's row with zero counts."""
    source = batch.source
    cursor.execute(
        "INSERT INTO intake_batches (kind, import_id, chunk, topic_ref, correlation_id)"
        " VALUES (%s, %s, %s, %s, %s) RETURNING batch_id",
        (source.kind, source.import_id and str(source.import_id), source.chunk, source.topic_ref, batch.correlation_id),
    )
    return int(cursor.fetchone()[0])


def close_batch(cursor: Any, batch_id: int, counts: Counts) -> int:
    """Write the counts and take the watermark, which stays locked until COMMIT; this must be the last write."""
    watermark = take_watermark(cursor)
    assignments = ", ".join(f"{column} = %s" for column in COUNT_COLUMNS)
    cursor.execute(
        f"UPDATE intake_batches SET watermark = %s, {assignments} WHERE batch_id = %s",
        (watermark, *counts.values(), batch_id),
    )
    return watermark


def _split(batch: Batch, in_flight: set[str] | frozenset[str]) -> tuple[dict[str, int], list[int]]:
    """Rows that can be written immediately (id -> index of its first row), and the indexes of those that must wait."""
    bulk = dict(zip(reversed(batch.transaction_ids), range(len(batch.texts) - 1, -1, -1), strict=True))
    later: list[int] = []
    if len(bulk) != len(batch.transaction_ids):
        first = set(bulk.values())
        later = [n for n in range(len(batch.transaction_ids)) if n not in first]
    if in_flight:
        later.extend(bulk.pop(transaction_id) for transaction_id in in_flight & bulk.keys())
    return bulk, later


def _ids(cursor: Any, statement: str, ids: Iterable[str]) -> list[str]:
    array = "{" + ",".join(ids) + "}"
    if array == "{}":
        return []
    cursor.execute(statement, (array,))
    return [row[0] for row in cursor.fetchall()]


def _copy(cursor: Any, texts: Iterable[str], batch_id: int, table: str) -> None:
    """COPY rows directly into the table, sorted by id: one lock order for all writers, and better index locality."""
    rows = sorted(texts)
    if rows:
        lines = io.BytesIO(f",{batch_id}\n".join([*rows, ""]).encode())
        cursor.copy_expert(f"COPY {table} ({', '.join(TEXT_COLUMNS)}) FROM STDIN WITH (FORMAT csv)", lines, COPY_BLOCK)


def _insert_one_by_one(cursor: Any, batch: Batch, bulk: dict[str, int], batch_id: int, table: str) -> list[int]:
    """Insert in the order of ids, waiting for other writers of an id; returns the indexes of rows already stored."""
    cursor.execute(f"CREATE TEMP TABLE incoming (LIKE {table} INCLUDING DEFAULTS) ON COMMIT DROP")
    _copy(cursor, map(batch.texts.__getitem__, bulk.values()), batch_id, "incoming")
    cursor.execute(
        f"INSERT INTO {table} SELECT * FROM incoming ORDER BY transaction_id"
        " ON CONFLICT DO NOTHING RETURNING transaction_id::text"
    )
    written = {row[0] for row in cursor.fetchall()}
    cursor.execute("DROP TABLE incoming")
    return [n for transaction_id, n in bulk.items() if transaction_id not in written]


def _apply_known(cursor: Any, batch: Batch, later: list[int], result: BatchResult, table: str) -> None:
    """Apply rows whose id is already stored, in order of arrival."""
    stored = _stored(cursor, table, {batch.transaction_ids[n] for n in later})
    decided, changed = _decide(batch, later, stored)
    if changed:
        # Only payments that change are locked; they may have changed since they were read above.
        stored.update(_stored(cursor, table, changed.keys(), lock=True))
        decided, changed = _decide(batch, later, stored)
        _advance(cursor, batch, changed, stored, result.batch_id, table)
    for n, outcome, before in decided:
        result.outcomes[n] = _CODE[outcome]
        if outcome is Outcome.CONFLICT:
            incoming = batch.record(n)
            fields = records.differences(before, incoming) or (("status", before.status, incoming.status),)
            result.conflicts.append(Conflict(n, records.conflict_problems(before, incoming), fields))
            _add(result.conflict_sums, incoming.currency, incoming.decimal)


def _decide(
    batch: Batch, later: list[int], stored: dict[str, PaymentRecord]
) -> tuple[list[tuple[int, Outcome, PaymentRecord]], dict[str, int]]:
    """The outcome of every row with the payment it was compared to, and the rows that change one (id -> index)."""
    now = dict(stored)
    decided: list[tuple[int, Outcome, PaymentRecord]] = []
    changed: dict[str, int] = {}
    for n in later:
        transaction_id = batch.transaction_ids[n]
        before = now[transaction_id]
        incoming = batch.record(n)
        outcome = records.decide(before, incoming)
        if outcome is Outcome.UPDATED:
            now[transaction_id] = before._replace(status=incoming.status)
            changed[transaction_id] = n
        decided.append((n, outcome, before))
    return decided, changed


def _stored(cursor: Any, table: str, ids: Iterable[str], *, lock: bool = False) -> dict[str, PaymentRecord]:
    """The stored payments with these ids as records. Raises WriteContention if one is missing."""
    wanted = set(ids)
    statement = _STORED.format(table=table) + (" ORDER BY transaction_id FOR UPDATE" if lock else "")
    cursor.execute(statement, ("{" + ",".join(wanted) + "}",))
    found = {row[0]: PaymentRecord._make((*row[:5], _canonical_instant(row[5]), row[6])) for row in cursor.fetchall()}
    if len(found) != len(wanted):
        raise WriteContention("a payment that should be stored is not")
    return found


def _canonical_instant(text: str) -> str:
    """PostgreSQL's `…SS.US` in the form of `records.instant_text`."""
    return text.rstrip("0").rstrip(".") + "Z"


def _advance(
    cursor: Any, batch: Batch, changed: dict[str, int], stored: dict[str, PaymentRecord], batch_id: int, table: str
) -> None:
    """Advance the status of locked payments and store their previous state as a revision."""
    changes = [
        Change(batch.record(n), stored[transaction_id], *batch.place(n), batch.suspicions(n))
        for transaction_id, n in sorted(changed.items())
    ]
    write_changes(cursor, changes, batch_id, table=table)


class Change(NamedTuple):
    """A new record that replaces the stored payment with the same id; partition and position are its origin."""

    new: PaymentRecord
    stored: PaymentRecord
    partition: int | None
    position: int
    suspicions: tuple[str, ...]


def write_changes(
    cursor: Any,
    changes: Sequence[Change],
    batch_id: int,
    *,
    note: str | None = None,
    decided_by: str | None = None,
    table: str = "transactions",
) -> None:
    """Update stored (locked) payments to the new records, each with a revision that has its previous state.

    The revisions are written first: the database refuses to change a payment without one.
    """
    if not changes:
        return
    if table == "transactions":
        _write_revisions(cursor, changes, batch_id, note, decided_by)
    execute_values(
        cursor,
        f"UPDATE {table} AS t SET sender_id = v.sender, receiver_id = v.receiver, amount = v.amount,"
        " currency = v.currency, timestamp = v.ts, status = v.status, is_suspicious = v.suspicions IS NOT NULL,"
        " suspicions = v.suspicions FROM (VALUES %s)"
        " AS v (id, sender, receiver, amount, currency, ts, status, suspicions) WHERE t.transaction_id = v.id",
        [(*c.new, list(c.suspicions) or None) for c in changes],
        template="(%s::uuid, %s::uuid, %s::uuid, %s::numeric, %s, %s::timestamptz, %s, %s::text[])",
    )


def _write_revisions(
    cursor: Any, changes: Sequence[Change], batch_id: int, note: str | None, decided_by: str | None
) -> None:
    execute_values(
        cursor,
        "INSERT INTO payment_revisions (transaction_id, revision, status, previous, batch_id, source_partition,"
        " source_position, note, decided_by) SELECT v.id, 1 + coalesce((SELECT max(revision) FROM payment_revisions r"
        " WHERE r.transaction_id = v.id), 1), v.status, v.previous || jsonb_build_object('is_suspicious',"
        " t.is_suspicious, 'suspicions', coalesce(to_jsonb(t.suspicions), '[]')), v.batch_id, v.partition, v.position,"
        " v.note, v.decided_by FROM (VALUES %s) AS v (id, status, previous, batch_id, partition, position, note,"
        " decided_by) JOIN transactions t ON t.transaction_id = v.id",
        [
            (
                c.new.transaction_id, c.new.status, json.dumps(dict(zip(COLUMNS[1:], c.stored[1:], strict=True))),
                batch_id, c.partition, c.position, note, decided_by,
            )
            for c in changes
        ],
        template="(%s::uuid, %s, %s::jsonb, %s, %s::int, %s::bigint, %s, %s)",
    )  # fmt: skip


def locked(cursor: Any, transaction_id: str) -> PaymentRecord:
    """The stored payment of this id, locked until the transaction ends."""
    return _stored(cursor, "transactions", [transaction_id], lock=True)[transaction_id]


def _keep_rejected(cursor: Any, batch: Batch, resolution: str | None) -> None:
    """Store rejected rows with their origin and all their problems."""
    rows = [
        (Outcome.REJECTED, r.partition, r.position, r.rejection.transaction_id, r.raw, r.rejection.problems, "[]")
        for r in batch.rejected
    ]
    _keep(cursor, batch, rows, resolution)


def _keep_conflicts(cursor: Any, batch: Batch, result: BatchResult, resolution: str | None) -> None:
    """Store conflicting rows with their origin and the fields that differ."""
    rows = [
        (
            Outcome.CONFLICT, *batch.place(c.n), batch.transaction_ids[c.n], batch.raw(c.n), c.problems,
            json.dumps(c.stored_differences()),
        )
        for c in result.conflicts
    ]  # fmt: skip
    _keep(cursor, batch, rows, resolution)


StoredRecord = tuple[Outcome, int | None, int, str | None, bytes, Sequence[Problem], str]


def _keep(cursor: Any, batch: Batch, rows: Sequence[StoredRecord], resolution: str | None) -> None:
    """Insert intake records, once per origin (a message may be delivered again)."""
    if not rows:
        return
    source = batch.source
    shared = (source.kind, source.import_id, source.topic_ref, resolution and "now", resolution)
    end = "\t".join(NULL if value is None else str(value) for value in shared)
    # COPY's text format. JSON contains no raw tabs or line ends; its backslashes and that of a bytea are doubled.
    lines = [
        f"{outcome}\t{NULL if partition is None else partition}\t{position}\t{transaction_id or NULL}\t"
        + f"\\x{raw.hex()}\t{problems_json(problems)}\t{differences}\t".replace("\\", "\\\\")
        + end
        for outcome, partition, position, transaction_id, raw, problems, differences in rows
    ]
    out = io.BytesIO("\n".join([*lines, ""]).encode())
    columns = (
        "outcome, partition, position, transaction_id, raw, problems, differences, kind, import_id, topic_ref,"
        " resolved_at, resolution"
    )
    # A chunk of a CSV is written exactly once. A message may be redelivered, and must be stored once.
    target = "intake_records" if source.kind == "CSV" else "arrived"
    if target == "arrived":
        cursor.execute("CREATE TEMP TABLE arrived (LIKE intake_records INCLUDING DEFAULTS) ON COMMIT DROP")
    cursor.copy_expert(f"COPY {target} ({columns}) FROM STDIN", out, COPY_BLOCK)
    if target == "arrived":
        cursor.execute("INSERT INTO intake_records SELECT * FROM arrived ORDER BY position ON CONFLICT DO NOTHING")
        cursor.execute("DROP TABLE arrived")


def problems_json(problems: Sequence[Problem]) -> str:
    """Problems as they are stored: a JSON list of objects column, code, message, value."""
    return orjson.dumps([problem._asdict() for problem in problems]).decode()


def _add(sums: dict[str, Decimal], currency: str | None, amount: Decimal | None) -> None:
    if currency is not None and amount is not None:
        sums[currency] = sums.get(currency, Decimal(0)) + amount
