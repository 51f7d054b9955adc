"""Imports and what was kept of them and of Kafka: jobs, control totals, rejected records and conflicts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from fcgraph.queries.pages import Order, PageAsked
from fcgraph.queries.statement import Statement, Values
from fcgraph.queries.viewer import Viewer

IMPORTS_ORDER = Order("imports", (("i.import_id", "uuid"),), descending=True)
# In an import by line, elsewhere newest first.
LINES_ORDER = Order("lines", (("r.position", "bigint"), ("r.record_id", "uuid")), descending=False)
RECORDS_ORDER = Order("records", (("r.record_id", "uuid"),), descending=True)

JOB = (
    "i.import_id, i.file_name, i.sha256, i.size_bytes, i.mode, i.dry_run, i.state, i.done_bytes, i.ignored_columns,"
    " i.expected_totals, i.failure, i.created_at, i.started_at, i.finished_at, i.read_count, i.inserted_count,"
    " i.updated_count, i.duplicate_count, i.stale_count, i.conflict_count, i.rejected_count, i.suspicious_count,"
    " i.skipped_lines"
)
RECORD = (
    "r.record_id, r.outcome, r.kind, r.import_id, k.topic, r.partition, r.position, r.transaction_id, r.raw,"
    " r.problems, r.differences, r.received_at, r.resolved_at, r.resolution"
)
RECORDS_FROM = " FROM intake_records r LEFT JOIN kafka_topics k ON k.topic_ref = r.topic_ref"


def _for_operators(viewer: Viewer) -> list[str]:
    """Imports and kept records hold other people's payments: only an operator sees them."""
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


def imports(states: Sequence[str] | None, page: PageAsked, *, viewer: Viewer) -> Statement:
    """A page of imports, newest first."""
    values = Values()
    where = _in_states(values, states, viewer)
    seek, tail = IMPORTS_ORDER.seek(values, page)
    return Statement(f"SELECT {JOB} FROM imports i{_where(where + seek)}{tail}", values.items)


def imports_count(states: Sequence[str] | None, *, viewer: Viewer) -> Statement:
    """How many imports the whole list has."""
    values = Values()
    where = _in_states(values, states, viewer)
    return Statement(f"SELECT count(*) FROM imports i{_where(where)}", values.items)


def import_totals(import_ids: Sequence[UUID]) -> Statement:
    """Sums of imports per currency, at the currency's scale (as it is for a currency that is not known)."""
    values = Values()
    ids = values.add(list(import_ids), "uuid[]")
    return Statement(
        "SELECT s.import_id, s.currency, round(s.accepted, COALESCE(c.minor_units, scale(s.accepted))) AS accepted,"
        " round(s.rejected, COALESCE(c.minor_units, scale(s.rejected))) AS rejected, c.minor_units"
        " FROM import_totals s LEFT JOIN currency c ON c.code = s.currency"
        f" WHERE s.import_id = ANY({ids}) ORDER BY s.import_id, s.currency",
        values.items,
    )


@dataclass(frozen=True, slots=True)
class RecordsAsked:
    """Which kept records: all conditions must hold; None means no condition."""

    kind: str | None = None
    outcomes: tuple[str, ...] | None = None
    codes: tuple[str, ...] | None = None
    import_id: UUID | None = None
    open_only: bool = False

    @property
    def order(self) -> Order:
        """By line inside one import, elsewhere newest first."""
        return RECORDS_ORDER if self.import_id is None else LINES_ORDER

    def conditions(self, values: Values, viewer: Viewer) -> list[str]:
        where = _for_operators(viewer)
        if self.kind is not None:
            where.append(f"r.kind = {values.add(self.kind, 'text')}")
        if self.outcomes is not None:
            where.append(f"r.outcome = ANY({values.add(list(self.outcomes), 'text[]')})")
        if self.codes is not None:
            codes = values.add(list(self.codes), "text[]")
            where.append(f"EXISTS (SELECT FROM jsonb_array_elements(r.problems) p WHERE p->>'code' = ANY({codes}))")
        if self.import_id is not None:
            where.append(f"r.import_id = {values.add(self.import_id, 'uuid')}")
        if self.open_only:
            where.append("r.resolved_at IS NULL")
        return where


def records(asked: RecordsAsked, page: PageAsked, *, viewer: Viewer) -> Statement:
    """A page of kept records."""
    values = Values()
    where = asked.conditions(values, viewer)
    seek, tail = asked.order.seek(values, page)
    return Statement(f"SELECT {RECORD}{RECORDS_FROM}{_where(where + seek)}{tail}", values.items)


def records_count(asked: RecordsAsked, *, viewer: Viewer) -> Statement:
    """How many kept records the whole list has."""
    values = Values()
    return Statement(f"SELECT count(*){RECORDS_FROM}{_where(asked.conditions(values, viewer))}", values.items)


def record(record_id: UUID, *, viewer: Viewer) -> Statement:
    """One kept record, or no row."""
    values = Values()
    where = [f"r.record_id = {values.add(record_id, 'uuid')}", *_for_operators(viewer)]
    return Statement(f"SELECT {RECORD}{RECORDS_FROM}{_where(where)}", values.items)
