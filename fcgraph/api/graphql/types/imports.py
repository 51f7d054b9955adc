"""GraphQL types of imports and intake records: the job with its counts and totals, rejected records, conflicts."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import strawberry

from fcgraph.api.context import Context, Info
from fcgraph.api.graphql.pagination import Connection
from fcgraph.api.graphql.scalars import BigInt
from fcgraph.api.graphql.types.enums import ImportMode, ImportState, IntakeOutcome, RowProblemCode, SourceKind
from fcgraph.api.graphql.types.payments import RecordSource
from fcgraph.queries import imports as sql
from fcgraph.queries.imports import RecordQuery
from fcgraph.queries.pages import PageRequest, cut, write_cursor

Row = Any
ZERO = Decimal(0)
# Decimals shown for a control total in an unknown currency.
UNKNOWN_SCALE = 2


@strawberry.type(description="The outcomes of all records read; `read` is the sum of the six outcomes.")
class OutcomeCounts:
    read: int = strawberry.field(description="Rows read, without the header.")
    inserted: int = strawberry.field(description="New payments.")
    updated: int = strawberry.field(description="Known payments whose status advanced.")
    duplicate: int = strawberry.field(description="The same as stored; nothing was written.")
    stale: int = strawberry.field(description="Older than what is stored; nothing was written.")
    conflict: int = strawberry.field(description="Contradict the stored payment; stored for a person to resolve.")
    rejected: int = strawberry.field(description="Fail a rule; stored with every problem.")
    suspicious: int = strawberry.field(description="New payments that are suspicious.")


@strawberry.type(description="The sums of a file in one currency, compared with what the sender expected.")
class ControlTotal:
    currency: str = strawberry.field(description="The only currency in these sums.")
    accepted: Decimal = strawberry.field(description="Rows that are payments, stored by this import or before.")
    rejected: Decimal = strawberry.field(
        description="Rows that were rejected or are in conflict, if the amount is readable."
    )
    expected: Decimal | None = strawberry.field(description="The expected sum; null when nothing was expected.")
    matches: bool | None = strawberry.field(description="accepted = expected; null when nothing was expected.")


@strawberry.type(description="A field in which the stored payment and the incoming one differ.")
class FieldChange:
    field: str = strawberry.field(description="The field's name.")
    stored: str | None = strawberry.field(description="The stored value.")
    incoming: str | None = strawberry.field(description="The incoming value.")


@strawberry.type(description="What is wrong with a row.")
class RowProblem:
    column: str | None = strawberry.field(description="The column of the problem; null when it concerns the whole row.")
    code: RowProblemCode = strawberry.field(description="What is wrong, for programs.")
    message: str = strawberry.field(description="What is wrong, for people.")
    value: str | None = strawberry.field(description="The value of the column.")


@strawberry.type(description="A CSV line or Kafka message that was rejected or is in conflict.")
class IntakeRecord:
    record_id: UUID = strawberry.field(description="The id, for replaying or resolving it.")
    outcome: IntakeOutcome = strawberry.field(description="REJECTED or CONFLICT.")
    source: RecordSource = strawberry.field(description="The source of the record.")
    problems: list[RowProblem] = strawberry.field(description="Every problem of the row, not only the first.")
    differences: list[FieldChange] = strawberry.field(
        description="For a conflict, the fields that differ from the stored payment."
    )
    transaction_id: UUID | None = strawberry.field(description="The payment's id, if it could be read.")
    raw: str = strawberry.field(
        description="The row as it arrived; bytes that are not UTF-8 are shown as backslash escapes."
    )
    received_at: datetime = strawberry.field(description="When it arrived.")
    resolved_at: datetime | None = strawberry.field(description="When it ended; null while it is open.")
    resolution: str | None = strawberry.field(
        description="How it ended: REPLAYED_ with an outcome, SUPERSEDED, DISMISSED, KEEP_STORED or ACCEPT_INCOMING;"
        " DRY_RUN or NOT_IMPORTED when the import wrote no payment."
    )
    note: str | None = strawberry.field(description="The note of the person who ended it.")
    resolved_by: str | None = strawberry.field(
        description="Who ended it, such as `cli:root`; null while it is open and when a corrected row ended it."
    )
    superseded_by: RecordSource | None = strawberry.field(
        description="The row of a corrected file that replaced it, by import and line."
    )

    @staticmethod
    def of(row: Row) -> IntakeRecord:
        return IntakeRecord(
            record_id=row["record_id"],
            outcome=IntakeOutcome(row["outcome"]),
            source=_source(row),
            problems=[
                RowProblem(
                    column=p.get("column"), code=RowProblemCode(p["code"]), message=p["message"], value=p.get("value")
                )
                for p in row["problems"]
            ],
            differences=[
                FieldChange(field=d["field"], stored=d.get("stored"), incoming=d.get("incoming"))
                for d in row["differences"]
            ],
            transaction_id=row["transaction_id"],
            raw=row["raw"].decode("utf-8", "backslashreplace"),
            received_at=row["received_at"],
            resolved_at=row["resolved_at"],
            resolution=row["resolution"],
            note=row["note"],
            resolved_by=row["resolved_by"],
            superseded_by=_superseded_by(row),
        )


def _source(row: Row) -> RecordSource:
    kafka = row["kind"] == SourceKind.KAFKA.value
    return RecordSource(
        kind=SourceKind(row["kind"]),
        import_id=row["import_id"],
        line_number=BigInt(row["position"]) if row["kind"] == SourceKind.CSV.value else None,
        topic=row["topic"],
        partition=row["partition"] if kafka else None,
        offset=BigInt(row["position"]) if kafka else None,
    )


def _superseded_by(row: Row) -> RecordSource | None:
    if row["superseded_import_id"] is None:
        return None
    return RecordSource(
        kind=SourceKind.CSV,
        import_id=row["superseded_import_id"],
        line_number=BigInt(row["superseded_position"]),
        topic=None,
        partition=None,
        offset=None,
    )


async def intake_records(context: Context, query: RecordQuery, page: PageRequest) -> Connection[IntakeRecord]:
    """A page of intake records."""
    rows = await context.reader.fetch(sql.records(query, page, viewer=context.viewer))
    order = query.order

    def cursor(row: Row) -> str:
        return write_cursor(order.kind, *(row[c.removeprefix("r.")] for c, _ in order.columns))

    async def count() -> int:
        counted: int = await context.reader.value(sql.records_count(query, viewer=context.viewer))
        return counted

    return Connection(found=cut(list(rows), page), node_of=IntakeRecord.of, cursor_of=cursor, count=count)


@strawberry.type(description="The import of one CSV file. It survives the loss of any process.")
class ImportJob:
    row: strawberry.Private[Row]
    import_id: UUID = strawberry.field(description="The import's id.")
    file_name: str = strawberry.field(description="The file's name as received.")
    sha256: str = strawberry.field(description="SHA-256 of the file's bytes, in hex.")
    size_bytes: BigInt = strawberry.field(description="The file's length.")
    mode: ImportMode = strawberry.field(description="Whether all rows must be valid or valid ones are enough.")
    dry_run: bool = strawberry.field(description="A dry run reports the same outcomes and writes no payments.")
    state: ImportState = strawberry.field(description="The state of the import.")
    progress: float | None = strawberry.field(description="From 0 to 1; null while queued.")
    counts: OutcomeCounts = strawberry.field(description="The outcomes of its rows so far.")
    skipped_lines: BigInt = strawberry.field(
        description="Lines below the header that are not rows: blank lines, rows of empty values, a repeated header."
    )
    ignored_columns: list[str] = strawberry.field(description="Columns of the file other than the seven known ones.")
    rejects_url: str | None = strawberry.field(
        description="A CSV of the rejected rows, to be corrected and uploaded in the same format. A corrected row"
        " resolves its record. Conflicts are not included. Null when no row was rejected."
    )
    failure: str | None = strawberry.field(description="Why it failed; null when it did not.")
    created_at: datetime = strawberry.field(description="When it was accepted.")
    started_at: datetime | None = strawberry.field(description="When a worker first started it.")
    finished_at: datetime | None = strawberry.field(description="When it reached a final state.")

    @strawberry.field(description="Sums per currency.")
    async def control_totals(self, info: Info) -> list[ControlTotal]:
        found = {r["currency"]: r for r in await info.context.loaders.import_totals(self.import_id)}
        expected = self.row["expected_totals"] or {}
        return [_control_total(code, found.get(code), expected.get(code)) for code in sorted({*found, *expected})]

    @strawberry.field(description="The rows that were rejected or are in conflict, by line.")
    async def records(
        self,
        info: Info,
        outcome: list[IntakeOutcome] | None = None,
        code: list[RowProblemCode] | None = None,
        first: int | None = None,
        after: str | None = None,
    ) -> Connection[IntakeRecord]:
        query = RecordQuery(
            outcomes=tuple(o.value for o in outcome) if outcome is not None else None,
            codes=tuple(c.value for c in code) if code is not None else None,
            import_id=self.import_id,
        )
        return await intake_records(info.context, query, info.context.page(first, after))

    @staticmethod
    def of(row: Row) -> ImportJob:
        return ImportJob(
            row=row,
            import_id=row["import_id"],
            file_name=row["file_name"],
            sha256=row["sha256"],
            size_bytes=row["size_bytes"],
            mode=ImportMode(row["mode"]),
            dry_run=row["dry_run"],
            state=ImportState(row["state"]),
            progress=_progress(row),
            counts=OutcomeCounts(
                **{name: row[f"{name}_count"] for name in OutcomeCounts.__annotations__},
            ),
            skipped_lines=row["skipped_lines"],
            ignored_columns=row["ignored_columns"],
            rejects_url=f"/imports/{row['import_id']}/rejects.csv" if row["rejected_count"] else None,
            failure=row["failure"],
            created_at=row["created_at"],
            started_at=row["started_at"],
            finished_at=row["finished_at"],
        )


def _progress(row: Row) -> float | None:
    if row["state"] == ImportState.QUEUED.value:
        return None
    size: int = row["size_bytes"]
    return min(1.0, row["done_bytes"] / size) if size else 1.0


def _control_total(code: str, found: Row | None, expected: str | None) -> ControlTotal:
    accepted: Decimal = found["accepted"] if found is not None else ZERO
    scale = found["minor_units"] if found is not None else None
    wanted = Decimal(expected) if expected is not None else None
    return ControlTotal(
        currency=code,
        accepted=accepted if found is not None else round(ZERO, UNKNOWN_SCALE),
        rejected=found["rejected"] if found is not None else round(ZERO, UNKNOWN_SCALE),
        expected=round(wanted, scale) if wanted is not None and scale is not None else wanted,
        matches=None if wanted is None else accepted == wanted,
    )


async def import_jobs(context: Context, states: list[ImportState] | None, page: PageRequest) -> Connection[ImportJob]:
    """A page of imports, newest first."""
    wanted = [s.value for s in states] if states is not None else None
    rows = await context.reader.fetch(sql.imports(wanted, page, viewer=context.viewer))

    def cursor(row: Row) -> str:
        return write_cursor(sql.IMPORTS_ORDER.kind, row["import_id"])

    async def count() -> int:
        counted: int = await context.reader.value(sql.imports_count(wanted, viewer=context.viewer))
        return counted

    return Connection(found=cut(list(rows), page), node_of=ImportJob.of, cursor_of=cursor, count=count)
