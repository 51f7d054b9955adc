"""JSON text built from SQL expressions."""

from __future__ import annotations

from collections.abc import Sequence


class NotFast(Exception):
    """The selection has something that this path does not support; Strawberry answers it."""


def constant(text: str) -> str:
    """SQL of a constant text. GraphQL names and texts built from them contain no quotes to escape."""
    return f"'{text}'"


def joined(pieces: Sequence[str]) -> str:
    """SQL of the pieces one after the other."""
    # Adjacent constants are merged: half as many concatenations for PostgreSQL.
    return " || ".join(pieces).replace("' || '", "")


def object_of(members: Sequence[tuple[str, str]]) -> str:
    """SQL of an object with these keys and SQL values."""
    pieces = ["'{'"]
    for n, (key, sql) in enumerate(members):
        pieces += [constant(f'{"," if n else ""}"{key}":'), sql]
    return joined([*pieces, "'}'"])


def list_of(item: str, order: str, condition: str = "") -> str:
    """SQL of a list of items in this order. It is an aggregate expression."""
    chosen = f" FILTER (WHERE {condition})" if condition else ""
    return f"'[' || COALESCE(string_agg({item}, ',' ORDER BY {order}){chosen}, '') || ']'"
