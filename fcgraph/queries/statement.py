"""A statement as text with places ($1, $2 …) and their values; nothing here knows a table or runs anything."""

from __future__ import annotations

from dataclasses import dataclass


class Values:
    """The values of one statement in the making. `add` gives the place that stands for a value in the text."""

    __slots__ = ("items",)

    def __init__(self) -> None:
        self.items: list[object] = []

    def add(self, value: object, sql_type: str) -> str:
        """Keep the value; return its place with its type, such as `$3::uuid`."""
        self.items.append(value)
        return f"${len(self.items)}::{sql_type}"


@dataclass(frozen=True, slots=True)
class Statement:
    """What is run: the text and the values of its places, in order."""

    sql: str
    values: list[object]
