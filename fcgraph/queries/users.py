"""Users and currencies: one by id, a page, or many by their ids."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from fcgraph.queries.columns import USER
from fcgraph.queries.pages import KEY_TEXT_MAX_CHARS, Order, PageRequest, beginning, write_cursor
from fcgraph.queries.statement import Statement, Values
from fcgraph.queries.viewer import Viewer

# By name; names whose first 200 characters are equal are sorted by id.
USERS_ORDER = Order("users", ((beginning("u.name"), "text"), ("u.user_id", "uuid")), descending=False)
TAKEN = "u.user_id, u.name, u.created_at"  # the columns that a page reads


def cursor_of(name: str, user_id: UUID) -> str:
    """The cursor of a user in a list of users."""
    return write_cursor(USERS_ORDER.kind, name[:KEY_TEXT_MAX_CHARS], user_id)


def _visible(values: Values, viewer: Viewer) -> list[str]:
    """A user sees their own record and the users they exchanged payments with."""
    if viewer.user_id is None:
        return []
    place = values.add(viewer.user_id, "uuid")
    return [
        f"(u.user_id = {place}"
        f" OR EXISTS (SELECT FROM transactions WHERE sender_id = {place} AND receiver_id = u.user_id)"
        f" OR EXISTS (SELECT FROM transactions WHERE receiver_id = {place} AND sender_id = u.user_id))"
    ]


def user_from_sql(values: Values, user_id: UUID, viewer: Viewer) -> str:
    """The FROM and WHERE of one user `u`, by id; without the word FROM."""
    where = [f"u.user_id = {values.add(user_id, 'uuid')}", *_visible(values, viewer)]
    return f"users u WHERE {' AND '.join(where)}"


def users_by_ids(user_ids: Sequence[UUID], *, viewer: Viewer) -> Statement:
    """Users by their ids, in any order; unknown ones are missing."""
    values = Values()
    where = [f"u.user_id = ANY({values.add(list(user_ids), 'uuid[]')})", *_visible(values, viewer)]
    return Statement(f"SELECT {USER.select('u')} FROM users u WHERE {' AND '.join(where)}", values.items)


def _searched(values: Values, search: str | None, viewer: Viewer) -> list[str]:
    where = _visible(values, viewer)
    if search:
        # position() has no wildcards, so that % and _ in a name match literally. The SELECT computes the search form
        # once, not for every row.
        where.append(f"position((SELECT search_form({values.add(search, 'text')})) IN u.search_name) > 0")
    return where


def page_sql(values: Values, search: str | None, page: PageRequest, *, viewer: Viewer, rows: int | None = None) -> str:
    """The SELECT of a page's rows of users (`rows`, or `size + 1`), ordered; for use in FROM."""
    where = _searched(values, search, viewer)
    seek, tail = USERS_ORDER.seek(values, page, rows)
    condition = " AND ".join(where + seek)
    return f"SELECT {TAKEN} FROM users u{' WHERE ' + condition if condition else ''}{tail}"


def users(search: str | None, page: PageRequest, *, viewer: Viewer) -> Statement:
    """A page of users by name, as values; `search` is any part of the name, in any case and script."""
    values = Values()
    rows = page_sql(values, search, page, viewer=viewer)
    direction = "DESC" if page.backwards else "ASC"
    order = ", ".join(f"{column} {direction}" for column, _ in USERS_ORDER.columns)
    sql = f"SELECT {USER.select('u')} FROM ({rows}) u ORDER BY {order}"
    return Statement(sql, values.items)


def count_sql(values: Values, search: str | None, viewer: Viewer) -> str:
    """An SQL expression: the number of users in the whole list."""
    condition = " AND ".join(_searched(values, search, viewer))
    return f"(SELECT count(*) FROM users u{' WHERE ' + condition if condition else ''})"


def users_count(search: str | None, *, viewer: Viewer) -> Statement:
    """The number of users in the whole list: one row, one column."""
    values = Values()
    return Statement(f"SELECT {count_sql(values, search, viewer)}", values.items)


def currencies() -> Statement:
    """Every currency, with its threshold at the currency's scale."""
    return Statement(
        "SELECT code, name, symbol, minor_units, round(suspicious_above, minor_units) AS suspicious_above"
        " FROM currency ORDER BY code",
        [],
    )
