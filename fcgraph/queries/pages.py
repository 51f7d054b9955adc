"""Keyset pagination: page requests, cursors, and the SQL that starts after a cursor. Offsets are not used anywhere."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import orjson

from fcgraph.errors import BadInput, LimitReached
from fcgraph.queries.statement import Values

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
# The longest text in a sort key. The cursor of a longer one would be too long, and an index could not store it (an
# entry has at most 2,704 bytes). A list of longer texts is sorted by their `beginning`, then by an id.
KEY_TEXT_MAX_CHARS = 200
CURSOR_LENGTH_MAX = 2048  # ours are shorter: a text full of escapes makes 1,700


@dataclass(frozen=True, slots=True)
class PageRequest:
    """A page: `size` rows after `after` and before `before`; the last ones when `backwards`."""

    size: int
    backwards: bool = False
    after: str | None = None
    before: str | None = None


def page_request(
    first: int | None,
    after: str | None,
    last: int | None = None,
    before: str | None = None,
    *,
    page_default: int,
    page_max: int,
) -> PageRequest:
    """Check the arguments of a connection. Raises BadInput, or LimitReached, which names PAGE_MAX."""
    if first is not None and last is not None:
        raise BadInput("Pass first or last, not both")
    size = first if first is not None else last if last is not None else page_default
    if size < 0:
        raise BadInput("The page size must not be negative")
    if size > page_max:
        raise LimitReached(f"A page has at most {page_max} rows (PAGE_MAX); {size} were requested")
    return PageRequest(size, last is not None, after, before)


@dataclass(frozen=True, slots=True)
class Page:
    """The rows of the page, in the order of the list, and whether there are more."""

    rows: Sequence[object]
    has_next: bool
    has_previous: bool


def cut(rows: list[object], page: PageRequest) -> Page:
    """Make a page from the `size + 1` rows that were read; when `backwards`, they are in reverse order."""
    more = len(rows) > page.size
    if more:
        rows = rows[: page.size]
    # A cursor identifies a row of the list, so there is always a row on its other side.
    if page.backwards:
        rows.reverse()
        return Page(rows, page.before is not None, more or page.after is not None)
    return Page(rows, more or page.before is not None, page.after is not None)


def beginning(column: str) -> str:
    """SQL of the part of a text column that a list can be sorted by; the index must use the same expression."""
    return f'"left"({column}, {KEY_TEXT_MAX_CHARS})'


def write_cursor(kind: str, *key: object) -> str:
    """An opaque cursor for the row of the list `kind` with this sort key (text, integers, UUIDs, instants)."""
    parts = [
        (k - EPOCH) // MICROSECOND if isinstance(k, datetime) else str(k) if isinstance(k, UUID) else k for k in key
    ]
    return base64.urlsafe_b64encode(orjson.dumps([kind, *parts])).rstrip(b"=").decode()


CURSOR_PART = {
    "text": "to_json({0})::text",
    "bigint": "{0}::text",
    "uuid": "'\"' || {0}::text || '\"'",
    "timestamptz": "(extract(epoch FROM {0}) * 1000000)::bigint::text",
}


def cursor_sql(kind: str, key: Sequence[tuple[str, str]]) -> str:
    """SQL that builds the same text as `write_cursor`; each part of the key is SQL and its type."""
    parts = " || ',' || ".join(CURSOR_PART[t].format(sql) for sql, t in key)
    encoded = f"encode(convert_to('[\"{kind}\",' || {parts} || ']', 'UTF8'), 'base64')"
    return f"translate({encoded}, E'+/=\\n', '-_')"  # PostgreSQL wraps base64 into lines


def read_cursor(kind: str, cursor: str, types: Sequence[str]) -> list[object]:
    """The sort key in a cursor of the list `kind`. Raises BadInput INVALID_CURSOR for any other text."""
    broken = BadInput("The cursor does not belong to this list", code="INVALID_CURSOR")
    if len(cursor) > CURSOR_LENGTH_MAX:
        raise broken
    try:
        raw = cursor.encode("ascii")
        found = orjson.loads(base64.b64decode(raw + b"=" * (-len(raw) % 4), altchars=b"-_", validate=True))
        if not isinstance(found, list) or len(found) != len(types) + 1 or found[0] != kind:
            raise broken
        return [READ_KEY[t](part) for t, part in zip(types, found[1:], strict=True)]
    except (ValueError, binascii.Error, OverflowError, TypeError) as e:
        raise broken from e


def _text(part: object) -> object:
    if not isinstance(part, str) or "\0" in part:
        raise ValueError("not a text")
    return part


def _whole(part: object) -> object:
    if type(part) is not int or not -(2**63) <= part < 2**63:
        raise ValueError("not an integer")
    return part


def _uuid(part: object) -> object:
    return UUID(str(part))


def _day(part: object) -> object:
    return date.fromisoformat(str(part))


def _instant(part: object) -> object:
    if type(part) is not int:
        raise ValueError("not an instant")
    return EPOCH + timedelta(microseconds=part)


READ_KEY: dict[str, Callable[[object], object]] = {
    "text": _text,
    "bigint": _whole,
    "uuid": _uuid,
    "date": _day,
    "timestamptz": _instant,
}


@dataclass(frozen=True, slots=True)
class Order:
    """How a list is sorted: its name in cursors, its columns (SQL, type), and whether the order is descending."""

    kind: str
    columns: tuple[tuple[str, str], ...]
    descending: bool

    def seek(self, values: Values, page: PageRequest, rows: int | None = None) -> tuple[list[str], str]:
        """The conditions for the page's cursors, and `ORDER BY … LIMIT` with `rows` (None: `size + 1`)."""
        types = [t for _, t in self.columns]
        row = f"({', '.join(c for c, _ in self.columns)})"
        conditions = []
        for cursor, operator in (
            (page.after, "<" if self.descending else ">"),
            (page.before, ">" if self.descending else "<"),
        ):
            if cursor is not None:
                key = read_cursor(self.kind, cursor, types)
                places = ", ".join(values.add(k, t) for k, t in zip(key, types, strict=True))
                conditions.append(f"{row} {operator} ({places})")
        direction = "DESC" if self.descending != page.backwards else "ASC"
        order = ", ".join(f"{c} {direction}" for c, _ in self.columns)
        return conditions, f" ORDER BY {order} LIMIT {page.size + 1 if rows is None else rows}"
