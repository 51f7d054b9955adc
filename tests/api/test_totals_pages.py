"""Daily totals of all users, more than one answer may have: page by page, and their sums."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import Engine

from fcgraph import db
from tests.api.cases import ZOE
from tests.api.client import Api, serving
from tests.api.conftest import settings_for
from tests.reports.stored import begin_batch, end_batch

USERS = 11_000
JULY = {"start": "2025-07-01", "end": "2025-07-31"}
FIELDS = "userId day currency totalSent totalReceived sentCount receivedCount"
PAGE = f"""query($start: Date!, $end: Date!, $after: String, $first: Int, $users: [UUID!]) {{
  dailyTotals(start: $start, end: $end, userIds: $users) {{ rowsPage(first: $first, after: $after) {{
    nodes {{ {FIELDS} }} pageInfo {{ hasNextPage hasPreviousPage endCursor }} }} }}
}}"""


def everybody_pays(engine: Engine) -> None:
    """Each of many users sends the next one a payment in July, in one of three currencies."""
    with db.write(engine) as connection:
        batch_id = begin_batch(connection, inserted=USERS, updated=0)
        connection.execute(
            sa.text(
                "INSERT INTO users (user_id, name) SELECT lpad(to_hex(1000 + n), 32, '0')::uuid, 'User ' || n"
                " FROM generate_series(0, :users) n"
            ),
            {"users": USERS},
        )
        connection.execute(
            sa.text(
                "INSERT INTO transactions (transaction_id, sender_id, receiver_id, timestamp, batch_id,"
                " source_position, is_suspicious, amount, currency, status)"
                " SELECT gen_random_uuid(), lpad(to_hex(1000 + n), 32, '0')::uuid,"
                " lpad(to_hex(1001 + n), 32, '0')::uuid, timestamptz '2025-07-01' + make_interval(hours => n % 744),"
                " :batch_id, n, false, 1 + n % 100, (ARRAY['USD', 'EUR', 'PHP'])[1 + n % 3], 'completed'"
                " FROM generate_series(0, :users - 1) n"
            ),
            {"users": USERS, "batch_id": batch_id},
        )
        end_batch(connection, batch_id)


@pytest.fixture
def many(engine: Engine, database_url: str, tmp_path: Path) -> Iterator[Api]:
    everybody_pays(engine)
    with serving(settings_for(database_url, tmp_path)) as api:
        yield api


def pages(api: Api, **variables: Any) -> Iterator[Any]:
    after = None
    while True:
        page = api.ask(PAGE, after=after, **variables)["dailyTotals"]["rowsPage"]
        assert page["pageInfo"]["hasPreviousPage"] == (after is not None)
        yield page["nodes"]
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            return


def test_more_rows_than_an_answer_may_have_are_read_by_pages(many: Api, engine: Engine) -> None:
    error = many.refused(
        f"query($start: Date!, $end: Date!) {{ dailyTotals(start: $start, end: $end) {{ rows {{ {FIELDS} }} }} }}",
        **JULY,
    )
    assert error["extensions"]["code"] == "RANGE_TOO_LARGE"
    assert "rowsPage" in error["message"]

    found = [(r["userId"], r["day"], r["currency"]) for page in pages(many, first=100, **JULY) for r in page]
    with db.read(engine) as connection:
        expected = connection.execute(
            sa.text(
                "SELECT DISTINCT party::text, (timestamp AT TIME ZONE 'UTC')::date::text, currency FROM transactions,"
                " unnest(ARRAY[sender_id, receiver_id]) party ORDER BY 1, 2, 3"
            )
        ).all()
    assert found == [tuple(row) for row in expected]
    assert len(found) > 20_000

    query = """query($start: Date!, $end: Date!, $with: Boolean!) { dailyTotals(start: $start, end: $end) {
      basis { watermark timeZone } summary { currency totalSent totalReceived sentCount receivedCount }
      rows @include(if: $with) { day } rowsPage(first: 0) { totalCount } } }"""
    whole = many.ask(query, **JULY, **{"with": False})["dailyTotals"]
    assert whole["rowsPage"]["totalCount"] == len(found)
    assert whole["basis"] == {"watermark": "1", "timeZone": "UTC"}
    assert [(s["currency"], s["sentCount"]) for s in whole["summary"]] == [("EUR", 3667), ("PHP", 3666), ("USD", 3667)]
    assert all(s["totalSent"] == s["totalReceived"] for s in whole["summary"])
    assert many.code(query, **JULY, **{"with": True}) == "RANGE_TOO_LARGE"
    fast = """query($start: Date!, $end: Date!) { dailyTotals(start: $start, end: $end) {
      summary { currency totalSent totalReceived sentCount receivedCount } } }"""
    assert many.ask(fast, **JULY)["dailyTotals"]["summary"] == whole["summary"]


@pytest.mark.parametrize("size", [1, 7, 100])
def test_pages_together_are_the_rows(demo: Api, size: int) -> None:
    days = {"start": "2025-03-01", "end": "2025-03-31"}
    query = f"query($start: Date!, $end: Date!) {{ dailyTotals(start: $start, end: $end) {{ rows {{ {FIELDS} }} }} }}"
    rows = demo.ask(query, **days)["dailyTotals"]["rows"]
    assert len(rows) > 20
    assert [r for page in pages(demo, first=size, **days) for r in page] == rows


def test_pages_of_one_user_and_down_to_the_payments(demo: Api) -> None:
    day = {"start": "2024-03-01", "end": "2024-03-01"}
    (page,) = pages(demo, users=[ZOE], **day)
    assert [(r["currency"], r["totalSent"]) for r in page] == [
        ("EUR", "7.00"), ("JPY", "100"), ("KWD", "1.234"), ("USD", "8.01"),
    ]  # fmt: skip
    query = """query($id: UUID!) { user(userId: $id) { dailyTotals(start: "2024-03-01", end: "2024-03-01") {
      rowsPage(first: 2) { edges { cursor node { currency sentCount payments(first: 10) { totalCount } } } } } } }"""
    edges = demo.ask(query, id=ZOE)["user"]["dailyTotals"]["rowsPage"]["edges"]
    assert [e["node"]["currency"] for e in edges] == ["EUR", "JPY"]
    assert [e["node"]["payments"]["totalCount"] for e in edges] == [1, 1]  # from a user to the same user: one payment


@pytest.mark.parametrize("cursor", ["x", "WyJwYXltZW50cyIsMSwyXQ", "WyJkYWlseVRvdGFscyIsMSwyLDNd"])
def test_a_cursor_of_no_such_list_is_refused(demo: Api, cursor: str) -> None:
    assert demo.code(PAGE, after=cursor, **JULY) == "INVALID_CURSOR"


def test_a_page_has_the_limits_of_every_page(demo: Api) -> None:
    assert demo.code(PAGE, first=101, **JULY) == "QUERY_TOO_COMPLEX"
    assert demo.code(PAGE, start="2020-01-01", end="2025-01-01") == "RANGE_TOO_LARGE"
