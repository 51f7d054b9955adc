"""A statement as text with placeholders ($1, $2 …) and their values. This module knows no tables and runs nothing."""

from __future__ import annotations

from dataclasses import dataclass

from fcgraph.errors import BadInput

UNSTORABLE = "A text has a character that PostgreSQL cannot store (NUL or half a surrogate pair)"


class Values:
    """The values of a statement that is being built. `add` returns the placeholder of a value for the text.

    Placeholders are asyncpg's ($1, $2 …), or psycopg2's named ones (%(v1)s …), whose values are in `by_name`.
    """

    __slots__ = ("_after", "_before", "items")

    def __init__(self, *, named: bool = False) -> None:
        self.items: list[object] = []
        self._before, self._after = ("%(v", ")s") if named else ("$", "")

    @property
    def by_name(self) -> dict[str, object]:
        """The values by the names of their placeholders."""
        return {f"v{n}": item for n, item in enumerate(self.items, 1)}

    def add(self, value: object, sql_type: str) -> str:
        """Add the value; return its placeholder with a cast, such as `$3::uuid`. Raises BadInput for invalid text."""
        for text in value if isinstance(value, list) else (value,):
            if isinstance(text, str):
                _check(text)
        self.items.append(value)
        return f"{self._before}{len(self.items)}{self._after}::{sql_type}"


def _check(text: str) -> None:
    """Reject what PostgreSQL would reject, before a connection is used for it."""
    if "\0" in text or (not text.isascii() and any("\ud800" <= c <= "\udfff" for c in text)):
        raise BadInput(UNSTORABLE)


@dataclass(frozen=True, slots=True)
class Statement:
    """The text to run and the values of its placeholders, in order."""

    sql: str
    values: list[object]
