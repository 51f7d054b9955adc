"""Pages of payments: complete, in order, forwards and backwards, filtered; compared with the rows of the table."""

from __future__ import annotations

import base64
import itertools
from decimal import Decimal
from typing import Any

import orjson
import psycopg2
import pytest
import sqlalchemy as sa

from fcgraph import db
from fcgraph.queries import OPERATOR
from fcgraph.queries.columns import IN_INDEX
from fcgraph.queries.pages import page_request
from fcgraph.queries.payments import Owner, PaymentQuery, page_sql
from fcgraph.queries.statement import Values
from tests.api.cases import BOB, EDGE_PAYMENTS, ZOE, user
from tests.api.client import Api

PAGE = """
query($id: UUID!, $filter: PaymentFilter, $direction: Direction,
      $first: Int, $after: String, $last: Int, $before: String) {
  user(userId: $id) {
    payments(direction: $direction, filter: $filter, first: $first, after: $after, last: $last, before: $before) {
      totalCount
      edges { cursor node { transactionId senderId receiverId amount currency timestamp status } }
      pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    }
  }
}"""
ALL = """
query($filter: PaymentFilter, $first: Int, $after: String, $last: Int, $before: String) {
  payments(filter: $filter, first: $first, after: $after, last: $last, before: $before) {
    edges { cursor node { transactionId } } pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
  }
}"""


@pytest.fixture(scope="module")
def stored(demo_url: str) -> list[Any]:
    """Every payment of the database, newest first."""
    engine = db.make_engine(demo_url, name="tests")
    with db.read(engine) as connection:
        return list(
            connection.execute(sa.text("SELECT * FROM transactions ORDER BY timestamp DESC, transaction_id DESC"))
        )


def ids(connection: Any) -> list[str]:
    return [edge["node"]["transactionId"] for edge in connection["edges"]]


def all_pages(api: Api, size: int, **variables: Any) -> list[str]:
    """The ids of all pages, one after the other."""
    found: list[str] = []
    after = None
    while True:
        page = api.ask(PAGE, first=size, after=after, **variables)["user"]["payments"]
        found += ids(page)
        if not page["pageInfo"]["hasNextPage"]:
            return found
        assert len(page["edges"]) == size
        after = page["pageInfo"]["endCursor"]


@pytest.mark.parametrize("size", [1, 7, 25, 100])
@pytest.mark.parametrize("direction", ["ANY", "SENT", "RECEIVED"])
def test_pages_one_after_the_other_are_the_whole_list(demo: Api, stored: list[Any], size: int, direction: str) -> None:
    expected = [
        str(row.transaction_id)
        for row in stored
        if (direction != "RECEIVED" and str(row.sender_id) == ZOE)
        or (direction != "SENT" and str(row.receiver_id) == ZOE)
    ]
    assert len(expected) > 2
    assert all_pages(demo, size, id=ZOE, direction=direction) == expected


def test_backwards_is_forwards_in_reverse(demo: Api, stored: list[Any]) -> None:
    expected = [str(row.transaction_id) for row in stored if ZOE in (str(row.sender_id), str(row.receiver_id))]
    found: list[str] = []
    before = None
    while True:
        page = demo.ask(PAGE, id=ZOE, last=7, before=before)["user"]["payments"]
        found = ids(page) + found
        assert page["pageInfo"]["hasNextPage"] is (before is not None)
        if not page["pageInfo"]["hasPreviousPage"]:
            break
        before = page["pageInfo"]["startCursor"]
    assert found == expected


def test_between_two_cursors(demo: Api) -> None:
    edges = demo.ask(PAGE, id=ZOE, first=30)["user"]["payments"]["edges"]
    between = demo.ask(PAGE, id=ZOE, first=30, after=edges[3]["cursor"], before=edges[9]["cursor"])["user"]["payments"]
    assert ids(between) == [e["node"]["transactionId"] for e in edges[4:9]]
    assert (between["pageInfo"]["hasPreviousPage"], between["pageInfo"]["hasNextPage"]) == (True, True)
    last = demo.ask(PAGE, id=ZOE, last=30, after=edges[3]["cursor"], before=edges[9]["cursor"])["user"]["payments"]
    assert (ids(last), last["pageInfo"]) == (ids(between), between["pageInfo"])


def test_everybodys_payments(demo: Api, stored: list[Any]) -> None:
    first = demo.ask(ALL, first=100)["payments"]
    assert ids(first) == [str(row.transaction_id) for row in stored[:100]]
    second = demo.ask(ALL, first=100, after=first["pageInfo"]["endCursor"])["payments"]
    assert ids(second) == [str(row.transaction_id) for row in stored[100:200]]
    oldest = demo.ask(ALL, last=5)["payments"]
    assert ids(oldest) == [str(row.transaction_id) for row in stored[-5:]]
    assert oldest["pageInfo"]["hasPreviousPage"] is True


def test_stable_while_rows_arrive(api: Api, demo: Api) -> None:
    # A cursor is a position in the order, so rows that arrive before it do not move the rows after it.
    page = demo.ask(ALL, first=3)["payments"]
    again = demo.ask(ALL, first=3, after=page["edges"][0]["cursor"])["payments"]
    assert ids(again)[:2] == ids(page)[1:]
    assert api.ask(ALL, first=3, after=page["edges"][0]["cursor"])["payments"]["edges"] == []


@pytest.mark.parametrize(
    ("filter", "keeps"),
    [
        ({"start": "2024-03-01"}, lambda p: p["timestamp"] >= "2024-03-01"),
        ({"end": "2024-02-29"}, lambda p: p["timestamp"] < "2024-03-01"),
        ({"start": "2024-03-01", "end": "2024-03-01"}, lambda p: p["timestamp"].startswith("2024-03-01")),
        ({"statuses": ["PENDING", "FAILED"]}, lambda p: p["status"] in ("pending", "failed")),
        ({"statuses": []}, lambda p: False),
        ({"currencies": ["JPY", "KWD"]}, lambda p: p["currency"] in ("JPY", "KWD")),
        ({"minAmount": "8.01"}, lambda p: Decimal(p["amount"]) >= Decimal("8.01")),
        ({"maxAmount": "1.234"}, lambda p: Decimal(p["amount"]) <= Decimal("1.234")),
        ({"isSuspicious": True}, lambda p: Decimal(p["amount"]) > 10000 or p["sender_id"] == p["receiver_id"]),
        ({"userId": BOB}, lambda p: BOB in (p["sender_id"], p["receiver_id"])),
        ({"importId": user(1)}, lambda p: False),
    ],
)
def test_filters(demo: Api, filter: dict[str, Any], keeps: Any) -> None:
    expected = {p["transaction_id"] for p in EDGE_PAYMENTS if keeps(p)}
    page = demo.ask(PAGE, id=ZOE, filter=filter, first=100)["user"]["payments"]
    assert set(ids(page)) == expected
    assert page["totalCount"] == len(expected)


def test_pages_inside_a_range_stop_at_its_borders(demo: Api) -> None:
    inside = {"start": "2024-03-01", "end": "2024-03-01"}
    expected = ids(demo.ask(PAGE, id=ZOE, filter=inside, first=100)["user"]["payments"])
    assert all_pages(demo, 1, id=ZOE, filter=inside) == expected
    # Cursors outside the range do not change its limits.
    outside = demo.ask(PAGE, id=ZOE, first=100)["user"]["payments"]["edges"]
    newest, oldest = outside[0]["cursor"], outside[-1]["cursor"]
    assert ids(demo.ask(PAGE, id=ZOE, filter=inside, first=100, after=newest)["user"]["payments"]) == expected
    assert ids(demo.ask(PAGE, id=ZOE, filter=inside, last=100, before=oldest)["user"]["payments"]) == expected
    assert ids(demo.ask(PAGE, id=ZOE, filter=inside, first=100, after=oldest)["user"]["payments"]) == []
    assert ids(demo.ask(PAGE, id=ZOE, filter=inside, last=100, before=newest)["user"]["payments"]) == []


def test_amounts_at_the_scale_of_their_currency_and_moments_with_their_fraction(demo: Api) -> None:
    page = demo.ask(PAGE, id=ZOE, filter={"end": "2024-03-01"}, first=100)["user"]["payments"]
    shown = {e["node"]["transactionId"][-12:]: e["node"] for e in page["edges"]}
    assert [(shown[f"{n:012x}"]["amount"], shown[f"{n:012x}"]["timestamp"]) for n in range(1, 9)] == [
        ("10.01", "2024-02-29T23:59:59.999Z"),
        ("20.02", "2024-03-01T00:00:00Z"),
        ("7.00", "2024-03-01T00:00:00.000001Z"),
        ("8.01", "2024-03-01T12:00:00.5Z"),
        ("100", "2024-03-01T12:30:00Z"),
        ("1.234", "2024-03-01T12:30:00Z"),
        ("10000.01", "2024-03-01T16:00:00Z"),
        ("0.00", "2024-03-01T16:00:00Z"),
    ]


def test_a_payment_with_everything(demo: Api) -> None:
    query = """query($id: UUID!) { payment(transactionId: $id) {
      amount suspicions isSuspicious sender { name } receiver { userId } recordedAt
      source { kind importId lineNumber topic partition offset } history { revision status source { kind } }
    } }"""
    found = demo.ask(query, id=EDGE_PAYMENTS[4]["transaction_id"])["payment"]
    assert found["suspicions"] == ["SELF_TRANSFER"]
    assert found["sender"]["name"] == 'Zoë "Z" \\ O\'Neil\t\u0001\u2028ß'
    assert found["receiver"] == {"userId": ZOE}
    assert found["source"] == dict.fromkeys(("importId", "lineNumber", "topic", "partition", "offset")) | {
        "kind": "SEED"
    }
    assert found["history"] == [{"revision": 1, "status": "COMPLETED", "source": {"kind": "SEED"}}]
    assert demo.ask(query, id=user(999))["payment"] is None


def test_no_statement_per_row(demo: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = demo.app.state.resources.reader
    statements: list[str] = []
    fetch = type(reader).fetch

    async def counted(self: Any, statement: Any) -> Any:
        statements.append(statement.sql)
        return await fetch(self, statement)

    monkeypatch.setattr(type(reader), "fetch", counted)
    demo.ask("""{ users(first: 8) { nodes { name
      payments(first: 5) { totalCount nodes { sender { name } receiver { name } history { revision } source { kind } } }
      dailyTotals(start: "2025-05-01", end: "2025-05-02") { rows { payments(first: 2) { nodes { amount } } } }
    } } }""")
    # users; their payments, counts, totals; the payments' people, history; the totals' payments
    assert len(statements) <= 8


@pytest.mark.parametrize(
    ("variables", "code"),
    [
        ({"first": 101}, "QUERY_TOO_COMPLEX"),
        ({"last": 101}, "QUERY_TOO_COMPLEX"),
        ({"first": -1}, "BAD_USER_INPUT"),
        ({"first": 1, "last": 1}, "BAD_USER_INPUT"),
        ({"after": "x"}, "INVALID_CURSOR"),
        ({"before": "W10"}, "INVALID_CURSOR"),
        ({"after": "WyJ1c2VycyIsIkFsaWNlIiwiMDAwMDAwMDAtMDAwMC0wMDAwLTAwMDAtMDAwMDAwMDAwMDAxIl0"}, "INVALID_CURSOR"),
        ({"after": "ä" * 10}, "INVALID_CURSOR"),
        ({"after": "A" * 5000}, "INVALID_CURSOR"),
        ({"filter": {"start": "2025-01-02", "end": "2025-01-01"}}, "BAD_USER_INPUT"),
        ({"filter": {"start": "20250101"}}, "BAD_USER_INPUT"),
        ({"filter": {"start": "2025-02-30"}}, "BAD_USER_INPUT"),
        ({"filter": {"minAmount": "NaN"}}, "BAD_USER_INPUT"),
        ({"filter": {"minAmount": "1e3"}}, "BAD_USER_INPUT"),
        ({"filter": {"minAmount": "1_000"}}, "BAD_USER_INPUT"),
        ({"filter": {"minAmount": "١"}}, "BAD_USER_INPUT"),
        ({"filter": {"minAmount": 1.5}}, "BAD_USER_INPUT"),
        ({"filter": {"minAmount": "2", "maxAmount": "1"}}, "BAD_USER_INPUT"),
        ({"filter": {"userId": "{00000000-0000-0000-0000-000000000001}"}}, "BAD_USER_INPUT"),
        ({"filter": {"statuses": ["DONE"]}}, "BAD_USER_INPUT"),
        ({"filter": {"currencies": ["USD"] * 101}}, "QUERY_TOO_COMPLEX"),
    ],
)
def test_mistakes_are_reported(demo: Api, variables: dict[str, Any], code: str) -> None:
    assert demo.code(ALL, **variables) == code


def test_cursors_with_any_key_are_refused_or_answered(demo: Api) -> None:
    keys: list[Any] = [0, -1, 2**70, 1.5, None, "x", [], "\u0000", "00000000-0000-0000-0000-000000000001"]
    for pair in itertools.product(keys, repeat=2):
        cursor = base64.urlsafe_b64encode(orjson.dumps(["payments", *(str(k) if k == 2**70 else k for k in pair)]))
        response = demo.post(ALL, {"after": cursor.decode().rstrip("=")})
        errors = response.json().get("errors", [])
        assert response.status_code == 200
        assert {e["extensions"]["code"] for e in errors} <= {"INVALID_CURSOR"}


def test_a_page_of_a_users_payments_is_read_from_the_indexes_alone(demo_url: str) -> None:
    page = page_request(100, None, None, None, page_default=20, page_max=100)
    values = Values()
    sql = page_sql(
        values, PaymentQuery(), page, Owner(f"'{user(1)}'::uuid"), zone="UTC", viewer=OPERATOR, columns=IN_INDEX
    )
    assert values.items == []
    with psycopg2.connect(demo_url) as connection, connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off")  # the table is small
        cursor.execute(f"EXPLAIN {sql}")
        plan = "\n".join(line for (line,) in cursor.fetchall())
    for party in ("sender", "receiver"):
        assert f"Index Only Scan using ix_transactions_{party}" in plan
