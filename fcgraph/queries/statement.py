"""A statement as text with places ($1, $2 …) and their values; nothing here knows a table or runs anything."""

from __future__ import annotations

from dataclasses import dataclass

from fcgraph.errors import BadInput


class Values:
    """The values of one statement in the making. `add` gives the place that stands for a value in the text.

    Places are asyncpg's ($1, $2 …), or psycopg2's with names (%(v1)s …), whose values are `by_name`.
    """

    __slots__ = ("_after", "_before", "items")

    def __init__(self, *, named: bool = False) -> None:
        self.items: list[object] = []
        self._before, self._after = ("%(v", ")s") if named else ("$", "")

    @property
    def by_name(self) -> dict[str, object]:
        """The values by the names of their places."""
        return {f"v{n}": item for n, item in enumerate(self.items, 1)}

    def add(self, value: object, sql_type: str) -> str:
        """Add the value; return its place with its type, such as `$3::uuid`. Raises BadInput for an impossible text."""
        for text in value if isinstance(value, list) else (value,):
            if isinstance(text, str):
                _check(text)
        self.items.append(value)
        return f"{self._before}{len(self.items)}{self._after}::{sql_type}"


def _check(text: str) -> None:
    """Refuse what PostgreSQL would refuse, before a connection is spent on it."""
    if "\0" in text or (not text.isascii() and any("\ud800" <= c <= "\udfff" for c in text)):
        raise BadInput("A text has a character that PostgreSQL cannot hold (NUL or half a surrogate pair)")


@dataclass(frozen=True, slots=True)
class Statement:
    """What is run: the text and the values of its places, in order."""

    sql: str
    values: list[object]
