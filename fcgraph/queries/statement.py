"""A statement as text with places ($1, $2 …) and their values; nothing here knows a table or runs anything."""

from __future__ import annotations

from dataclasses import dataclass


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
        """Keep the value; return its place with its type, such as `$3::uuid`."""
        self.items.append(value)
        return f"{self._before}{len(self.items)}{self._after}::{sql_type}"


@dataclass(frozen=True, slots=True)
class Statement:
    """What is run: the text and the values of its places, in order."""

    sql: str
    values: list[object]
