"""Imports and intake records: jobs, control totals, rejections and conflicts of files and of Kafka."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from fcgraph.queries.pages import Order, PageRequest
from fcgraph.queries.statement import Statement, Values
from fcgraph.queries.viewer import Viewer
from fcgraph.record_filter import RecordFilter

IMPORTS_ORDER = Order("imports", (("i.import_id", "uuid"),), descending=True)
# Within one import by line, otherwise newest first.
LINES_ORDER = Order("lines", (("r.position", "bigint"), ("r.record_id", "uuid")), descending=False)
RECORDS_ORDER = Order("records", (("r.record_id", "uuid"),), descending=True)

JOB = (
    "i.import_id, i.file_name, i.sha256, i.size_bytes, i.mode, i.dry_run, i.state, i.done_bytes, i.ignored_columns,"
    " i.expected_totals, i.failure, i.created_at, i.started_at, i.finished_at, i.read_count, i.inserted_count,"
    " i.updated_count, i.duplicate_count, i.stale_count, i.conflict_count, i.rejected_count, i.suspicious_count,"
    " i.skipped_lines"
)
# Amounts of a difference have their currency's scale. If the currency differs too, each side has its own; otherwise it
# is the payment's. With an unknown currency the amount stays as it arrived. Rounding never removes a digit.
_SCALED = (
    "(SELECT to_jsonb(round(a.amount, greatest(scale(a.amount), COALESCE(c.minor_units, 0)))::text)"
    " FROM (SELECT (d.value->>'{side}')::numeric AS amount) a LEFT JOIN currency c ON c.code = COALESCE("
    "(SELECT o->>'{side}' FROM jsonb_array_elements(r.differences) o WHERE o->>'field' = 'currency'), p.currency))"
)
DIFFERENCES = (
    "(SELECT COALESCE(jsonb_agg(CASE WHEN d.value->>'field' <> 'amount' THEN d.value ELSE d.value"
    f" || jsonb_build_object('stored', {_SCALED.format(side='stored')}, 'incoming', {_SCALED.format(side='incoming')})"
    " END ORDER BY d.n), '[]') FROM jsonb_array_elements(r.differences) WITH ORDINALITY d (value, n)"
    " LEFT JOIN transactions p ON p.transaction_id = r.transaction_id) AS differences"
)
RECORD = (
    "r.record_id, r.outcome, r.kind, r.import_id, k.topic, r.partition, r.position, r.transaction_id, r.raw,"
    f" r.problems, {DIFFERENCES}, r.received_at, r.resolved_at, r.resolution, r.note, r.resolved_by,"
    " r.superseded_import_id, r.superseded_position"
)
RECORDS_FROM = " FROM intake_records r LEFT JOIN kafka_topics k ON k.topic_ref = r.topic_ref"


def _for_operators(viewer: Viewer) -> list[str]:
    """Imports and intake records contain other people's payments: only an operator sees them."""
    return [] if viewer.user_id is None else ["false"]


def _where(conditions: list[str]) -> str:
    return " WHERE " + " AND ".join(conditions) if conditions else ""


def imports_by_ids(import_ids: Sequence[UUID], *, viewer: Viewer) -> Statement:
    """Imports by their ids, in any order."""
    values = Values()
    where = [f"i.import_id = ANY({values.add(list(import_ids), 'uuid[]')})", *_for_operators(viewer)]
    return Statement(f"SELECT {JOB} FROM imports i{_where(where)}", values.items)


def _in_states(values: Values, states: Sequence[str] | None, viewer: Viewer) -> list[str]:
    where = _for_operators(viewer)
    if states is not None:
        where.append(f"i.state = ANY({values.add(list(states), 'text[]')})")
    return where


def imports(states: Sequence[str] | None, page: PageRequest, *, viewer: Viewer) -> Statement:
    """A page of imports, newest first."""
    values = Values()
    where = _in_states(values, states, viewer)
    seek, tail = IMPORTS_ORDER.seek(values, page)
    return Statement(f"SELECT {JOB} FROM imports i{_where(where + seek)}{tail}", values.items)


def imports_count(states: Sequence[str] | None, *, viewer: Viewer) -> Statement:
    """The number of imports in the whole list."""
    values = Values()
    where = _in_states(values, states, viewer)
    return Statement(f"SELECT count(*) FROM imports i{_where(where)}", values.items)


def import_totals(import_ids: Sequence[UUID]) -> Statement:
    """Sums of imports per currency, at the currency's scale (unchanged if the currency is unknown)."""
    values = Values()
    ids = values.add(list(import_ids), "uuid[]")
    return Statement(
        "SELECT s.import_id, s.currency, round(s.accepted, COALESCE(c.minor_units, scale(s.accepted))) AS accepted,"
        " round(s.rejected, COALESCE(c.minor_units, scale(s.rejected))) AS rejected, c.minor_units"
        " FROM import_totals s LEFT JOIN currency c ON c.code = s.currency"
        f" WHERE s.import_id = ANY({ids}) ORDER BY s.import_id, s.currency",
        values.items,
    )


@dataclass(frozen=True)
class RecordQuery(RecordFilter):
    """The intake records that a viewer requests."""

    @property
    def order(self) -> Order:
        """By line within one import, otherwise newest first."""
        return RECORDS_ORDER if self.import_id is None else LINES_ORDER

    def conditions(self, values: Values, viewer: Viewer) -> list[str]:
        return _for_operators(viewer) + self.where(values.add)


def records(query: RecordQuery, page: PageRequest, *, viewer: Viewer) -> Statement:
    """A page of intake records."""
    values = Values()
    where = query.conditions(values, viewer)
    seek, tail = query.order.seek(values, page)
    return Statement(f"SELECT {RECORD}{RECORDS_FROM}{_where(where + seek)}{tail}", values.items)


def records_count(query: RecordQuery, *, viewer: Viewer) -> Statement:
    """The number of intake records in the whole list."""
    values = Values()
    return Statement(f"SELECT count(*){RECORDS_FROM}{_where(query.conditions(values, viewer))}", values.items)


def record(record_id: UUID, *, viewer: Viewer) -> Statement:
    """One intake record, or no row."""
    values = Values()
    where = [f"r.record_id = {values.add(record_id, 'uuid')}", *_for_operators(viewer)]
    return Statement(f"SELECT {RECORD}{RECORDS_FROM}{_where(where)}", values.items)


def problem_counts(query: RecordQuery, *, viewer: Viewer) -> Statement:
    """The number of records per problem code, most frequent first; a record counts once for each of its codes."""
    values = Values()
    where = query.conditions(values, viewer)
    codes = "SELECT DISTINCT p->>'code' AS code FROM jsonb_array_elements(r.problems) p"
    return Statement(
        f"SELECT c.code, count(*) AS records FROM intake_records r CROSS JOIN LATERAL ({codes}) c{_where(where)}"
        " GROUP BY c.code ORDER BY records DESC, c.code",
        values.items,
    )
