"""JSON text as SQL expressions that are put together."""

from __future__ import annotations

from collections.abc import Sequence


class NotFast(Exception):
    """The selection has something this path does not know; Strawberry answers it."""


def constant(text: str) -> str:
    """SQL of a text that is known (GraphQL names and what is made of them have no quote to escape)."""
    return f"'{text}'"


def joined(pieces: Sequence[str]) -> str:
    """SQL of the pieces one after the other."""
    # Texts that meet become one: half as many concatenations for PostgreSQL.
    return " || ".join(pieces).replace("' || '", "")


def object_of(members: Sequence[tuple[str, str]]) -> str:
    """SQL of an object with these keys and SQL values."""
    pieces = ["'{'"]
    for n, (key, sql) in enumerate(members):
        pieces += [constant(f'{"," if n else ""}"{key}":'), sql]
    return joined([*pieces, "'}'"])


def list_of(item: str, order: str, condition: str = "") -> str:
    """SQL of the list of an aggregate's items, in this order; an aggregate itself."""
    chosen = f" FILTER (WHERE {condition})" if condition else ""
    return f"'[' || COALESCE(string_agg({item}, ',' ORDER BY {order}){chosen}, '') || ']'"
