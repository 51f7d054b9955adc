"""A filter of intake records: its conditions as SQL, for listing records and for resolving them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

# Takes a value and the name of its SQL type; returns the placeholder for the statement.
Add = Callable[[object, str], str]


@dataclass(frozen=True)
class RecordFilter:
    """All conditions must hold; None means no condition. Both bounds of the time range are inclusive."""

    kind: str | None = None
    outcomes: tuple[str, ...] | None = None
    codes: tuple[str, ...] | None = None
    import_id: UUID | None = None
    topic: str | None = None
    received_from: datetime | None = None
    received_to: datetime | None = None
    open_only: bool = False

    def where(self, add: Add) -> list[str]:
        """The conditions on a row `r` of `intake_records`."""
        where = []
        if self.kind is not None:
            where.append(f"r.kind = {add(self.kind, 'text')}")
        if self.outcomes is not None:
            where.append(f"r.outcome = ANY({add(list(self.outcomes), 'text[]')})")
        if self.codes is not None:
            codes = add(list(self.codes), "text[]")
            where.append(f"EXISTS (SELECT FROM jsonb_array_elements(r.problems) p WHERE p->>'code' = ANY({codes}))")
        if self.import_id is not None:
            where.append(f"r.import_id = {add(self.import_id, 'uuid')}")
        if self.topic is not None:
            topic = add(self.topic, "text")
            where.append(f"r.topic_ref IN (SELECT topic_ref FROM kafka_topics WHERE topic = {topic})")
        if self.received_from is not None:
            where.append(f"r.received_at >= {add(self.received_from, 'timestamptz')}")
        if self.received_to is not None:
            where.append(f"r.received_at <= {add(self.received_to, 'timestamptz')}")
        if self.open_only:
            where.append("r.resolved_at IS NULL")
        return where


class NamedValues:
    """The parameters of a statement for SQLAlchemy's `text`; `add` returns the placeholder for a value."""

    def __init__(self) -> None:
        self.items: dict[str, object] = {}

    def add(self, value: object, sql_type: str) -> str:
        """Store the value; return its placeholder with its type."""
        name = f"v{len(self.items)}"
        self.items[name] = value
        return f"CAST(:{name} AS {sql_type})"
