"""Rows as JSON text written by PostgreSQL: a selection of columns becomes one SQL expression."""

from __future__ import annotations

import orjson

from fcgraph.api.fastpath.selection import Selected
from fcgraph.queries.columns import PAYMENT, SOURCE, USER, Shape

# Objects inside a payment that come from the same row or from a join: field -> shape, alias, the join it needs.
INSIDE_PAYMENT: dict[str, tuple[Shape, str, str | None]] = {
    "sender": (USER, "s", "sender"),
    "receiver": (USER, "r", "receiver"),
    "source": (SOURCE, "t", None),
}


class NotFast(Exception):
    """The selection has something this path does not know; Strawberry answers it."""


def key_text(key: str) -> str:
    """`"key":`, for a key of an answer (a GraphQL name has nothing to escape)."""
    return f'"{key}":'


def members_sql(shape: Shape, fields: list[Selected], alias: str, joins: set[str]) -> str:
    """SQL of the text between the braces of an object; adds the joins it needs. Raises NotFast."""
    pieces = []
    for n, field in enumerate(fields):
        pieces.append(f"'{',' if n else ''}{key_text(field.key)}'")
        pieces.append(_value_sql(shape, field, alias, joins))
    if not fields:
        return "''"
    # Texts that meet become one: half as many concatenations for PostgreSQL.
    return " || ".join(pieces).replace("' || '", "")


def object_sql(shape: Shape, fields: list[Selected], alias: str, joins: set[str]) -> str:
    """SQL of an object's JSON text. Raises NotFast."""
    return f"'{{' || {members_sql(shape, fields, alias, joins)} || '}}'".replace("' || '", "")


def _value_sql(shape: Shape, field: Selected, alias: str, joins: set[str]) -> str:
    if field.name == "__typename":
        return f"'\"{shape.name}\"'"
    column = shape.columns.get(field.name)
    if column is not None:
        if column.join is not None:
            joins.add(column.join)
        return column.json(alias)
    inside = INSIDE_PAYMENT.get(field.name) if shape is PAYMENT else None
    if inside is None:
        raise NotFast
    inner_shape, inner_alias, join = inside
    if join is not None:
        joins.add(join)
    return object_sql(inner_shape, field.children, inner_alias, joins)


def text(value: object) -> bytes:
    """JSON text of a value that Python has at hand."""
    return orjson.dumps(value)
