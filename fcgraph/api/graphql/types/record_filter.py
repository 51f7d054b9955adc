"""GraphQL types for sets of intake records: the filter, and the number of records per problem."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any
from uuid import UUID

import strawberry

from fcgraph.api.context import Context
from fcgraph.api.graphql.types.enums import IntakeOutcome, RowProblemCode, SourceKind
from fcgraph.errors import BadInput
from fcgraph.queries import imports as sql
from fcgraph.queries.imports import RecordQuery
from fcgraph.record_filter import RecordFilter

Row = Any


@strawberry.input(description="Selects intake records: all set conditions must hold.")
class IntakeRecordFilter:
    source: SourceKind | None = strawberry.field(default=None, description="The channel they arrived through.")
    import_id: UUID | None = strawberry.field(default=None, description="Records of this import.")
    topic: str | None = strawberry.field(default=None, description="Records of the Kafka topic with this name.")
    outcomes: list[IntakeOutcome] | None = strawberry.field(
        default=None, description="With one of these outcomes: REJECTED, CONFLICT."
    )
    codes: list[RowProblemCode] | None = strawberry.field(default=None, description="With any of these problems.")
    received_from: datetime | None = strawberry.field(default=None, description="Received at this instant or later.")
    received_to: datetime | None = strawberry.field(default=None, description="Received at this instant or earlier.")
    open_only: bool | None = strawberry.field(
        default=True, description="Only open records. Resolved records are never replayed or dismissed."
    )


@strawberry.type(description="How many records have a problem.")
class ProblemCount:
    code: RowProblemCode = strawberry.field(description="The problem.")
    records: int = strawberry.field(description="How many records have it; a record with several counts for each.")


def records_meant(arguments: IntakeRecordFilter | None) -> RecordFilter:
    """The filter in the form the queries and mutations use. Raises BadInput for a topic that cannot exist."""
    f = arguments or IntakeRecordFilter()
    if f.topic is not None and "\0" in f.topic:
        raise BadInput("The name of a topic cannot contain NUL")
    return RecordFilter(
        kind=f.source.value if f.source is not None else None,
        outcomes=tuple(o.value for o in f.outcomes) if f.outcomes is not None else None,
        codes=tuple(c.value for c in f.codes) if f.codes is not None else None,
        import_id=f.import_id,
        topic=f.topic,
        received_from=f.received_from,
        received_to=f.received_to,
        open_only=f.open_only is not False,
    )


async def problem_counts(context: Context, arguments: IntakeRecordFilter | None) -> list[ProblemCount]:
    """How many records of the filter have each problem, most frequent first."""
    query = RecordQuery(**asdict(records_meant(arguments)))
    rows = await context.reader.fetch(sql.problem_counts(query, viewer=context.viewer))
    return [ProblemCount(code=RowProblemCode(row["code"]), records=row["records"]) for row in rows]
