"""Server errors: masked with a request id and logged in full; busy and slow databases are reported as such."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
import psycopg2
import pytest
import structlog
from structlog.testing import capture_logs

from fcgraph.api.context import Context
from fcgraph.queries import Statement, Viewer
from tests.api.cases import CHARLIE, ZOE, user
from tests.api.client import Api, serving
from tests.api.conftest import settings_for
from tests.api.test_subscription import connected

SECRET = "the secret of the bug"


def break_reader(monkeypatch: pytest.MonkeyPatch, api: Api) -> None:
    async def broken(self: Any, statement: Statement) -> Any:
        raise RuntimeError(SECRET)

    monkeypatch.setattr(type(api.app.state.resources.reader), "fetch", broken)


@pytest.mark.parametrize(
    "query",
    ["{ currencies { code } }", "{ payments { nodes { amount } } }", "{ payments { nodes { history { revision } } } }"],
)
def test_a_bug_is_masked_and_logged(demo: Api, monkeypatch: pytest.MonkeyPatch, query: str) -> None:
    break_reader(monkeypatch, demo)
    with capture_logs(processors=[structlog.contextvars.merge_contextvars]) as lines:
        response = demo.post(query)
    assert SECRET not in response.text
    (error,) = response.json()["errors"]
    assert error["extensions"]["code"] == "INTERNAL"
    request_id = error["extensions"]["requestId"]
    assert request_id == response.headers["x-request-id"]
    logged = [line for line in lines if line["log_level"] == "error"]
    assert [line["request_id"] for line in logged] == [request_id]
    assert logged[0]["exc_info"]


@pytest.mark.parametrize("query", ["{ currencies { code } }", "{ payments { nodes { amount } } }"])
def test_a_bug_behind_a_query_over_a_socket(demo: Api, monkeypatch: pytest.MonkeyPatch, query: str) -> None:
    break_reader(monkeypatch, demo)
    with capture_logs(processors=[structlog.contextvars.merge_contextvars]) as lines, connected(demo) as socket:
        socket.send_json({"type": "subscribe", "id": "1", "payload": {"query": query}})
        answer = socket.receive_json()
        assert SECRET not in str(answer)
        (error,) = answer["payload"]["errors"]
        assert error["extensions"]["code"] == "INTERNAL"
        assert socket.receive_json() == {"id": "1", "type": "complete"}
    logged = [line["request_id"] for line in lines if line["log_level"] == "error"]
    assert logged == [error["extensions"]["requestId"]]


def test_a_bug_behind_a_rest_view(demo: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    break_reader(monkeypatch, demo)
    with capture_logs(processors=[structlog.contextvars.merge_contextvars]) as lines:
        response = demo.client.get("/reports/x")
    assert (response.status_code, response.json()["error"]["code"]) == (500, "INTERNAL")
    assert SECRET not in response.text
    assert [x["request_id"] for x in lines if x["log_level"] == "error"] == [response.headers["x-request-id"]]


def test_a_statement_that_takes_too_long(demo_url: str, tmp_path: Path) -> None:
    # The table is locked, so every read of it waits until its timeout.
    with psycopg2.connect(demo_url) as holder, holder.cursor() as cursor:
        cursor.execute("LOCK TABLE currency IN ACCESS EXCLUSIVE MODE")
        with serving(settings_for(demo_url, tmp_path, read_statement_timeout_seconds=0.2)) as api:
            for query in ("{ currencies { code } }", "{ payments { nodes { amount } } }"):
                error = api.refused(query)
                assert error["extensions"]["code"] == "QUERY_TOO_COMPLEX"
                assert "READ_STATEMENT_TIMEOUT_SECONDS" in error["message"]
        holder.rollback()


@pytest.mark.parametrize("query", ["{ currencies { code } }", "{ payments(first: 1) { nodes { amount } } }"])
def test_an_operation_that_takes_too_long(demo_url: str, tmp_path: Path, query: str) -> None:
    with psycopg2.connect(demo_url) as holder, holder.cursor() as cursor:
        cursor.execute("LOCK TABLE currency IN ACCESS EXCLUSIVE MODE")
        with serving(settings_for(demo_url, tmp_path, operation_timeout_seconds=0.2)) as api:
            error = api.refused(query)
            assert error["extensions"]["code"] == "QUERY_TOO_COMPLEX"
            assert "OPERATION_TIMEOUT_SECONDS" in error["message"]
        holder.rollback()


@pytest.mark.parametrize("query", ["{ currencies { code } }", "{ payments(first: 1) { nodes { amount } } }"])
def test_an_exhausted_pool_and_a_free_event_loop(demo_url: str, tmp_path: Path, query: str) -> None:
    settings = settings_for(demo_url, tmp_path, read_pool_max=2, read_pool_wait_seconds=0.3)
    with (
        psycopg2.connect(demo_url) as holder,
        holder.cursor() as cursor,
        serving(settings) as api,
        ThreadPoolExecutor(2) as threads,
    ):
        cursor.execute("LOCK TABLE currency IN ACCESS EXCLUSIVE MODE")
        waiting = [threads.submit(api.post, query) for _ in range(2)]
        # The other requests wait for the database; one that does not need it is answered meanwhile.
        assert api.ask("{ __typename }") == {"__typename": "Query"}
        assert not all(f.done() for f in waiting)
        refused = next(as_completed(waiting)).result()
        holder.rollback()
        assert refused.status_code == 503
        assert "READ_POOL_MAX" in refused.text
        assert sorted(f.result().status_code for f in waiting) == [200, 503]


def test_a_field_that_fails_takes_nothing_from_others(demo: Api) -> None:
    """The first user's totals are refused while their payments, which the second field needs too, are being read."""
    query = """{
      failed: user(userId: "%s") { dailyTotals(start: "2025-05-10", end: "2024-02-29") { rows { day } }
                                   payments { nodes { history { revision } } } }
      users { nodes { payments { nodes { history { revision } } } } }
      currencies { code }
    }"""
    for _ in range(10):  # the order is random
        body = demo.post(query % user(1)).json()
        assert body["data"]["failed"] is None
        assert len(body["data"]["users"]["nodes"]) == 8
        assert [e["path"] for e in body["errors"]] == [["failed", "dailyTotals"]]


def test_operations_by_name(demo: Api) -> None:
    two = "query A { a: __typename } query B { b: __typename }"
    assert demo.post(two, operationName="B").json() == {"data": {"b": "Query"}}
    assert demo.code(two) == "BAD_USER_INPUT"
    assert demo.post(two, operationName="C").json()["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"


def test_a_viewer_sees_his_own_and_nothing_else(demo: Api) -> None:
    """Today every viewer is the operator; the SQL of both paths already restricts the rows."""
    endpoint = demo.app.endpoint
    portal = demo.client.portal
    assert portal is not None

    async def ask(query: str, viewer: Viewer) -> Any:
        admitted = endpoint._documents.admit(query, None, {})
        fast = await endpoint.fast_path.answer(admitted, Context(endpoint._resources, "f", viewer), endpoint._remaining)
        result = await endpoint._schema.execute(query, context_value=Context(endpoint._resources, "s", viewer))
        assert result.errors is None
        if fast is not None:
            assert orjson.loads(b"".join(fast))["data"] == result.data
        return result.data

    charlie = Viewer(UUID(CHARLIE))
    seen = portal.call(ask, "{ payments(first: 100) { nodes { senderId receiverId } } }", charlie)["payments"]["nodes"]
    assert seen
    assert all(CHARLIE in (p["senderId"], p["receiverId"]) for p in seen)
    hers = '{ payment(transactionId: "ed6e0000-0000-0000-0000-000000000002") { amount } }'
    assert portal.call(ask, hers, charlie) == {"payment": None}
    of_zoe = f'{{ user(userId: "{ZOE}") {{ payments(first: 100) {{ totalCount nodes {{ receiverId }} }} }} }}'
    assert portal.call(ask, of_zoe, charlie)["user"]["payments"]["totalCount"] == 40
    totals = '{ dailyTotals(start: "2024-03-01", end: "2024-03-31") { rows { userId } } }'
    assert portal.call(ask, totals, charlie)["dailyTotals"]["rows"] == []
    both = '{ dailyTotals(userIds: ["%s", "%s"], start: "2024-04-01", end: "2024-04-30") { rows { userId } } }'
    assert portal.call(ask, both % (CHARLIE, ZOE), charlie)["dailyTotals"]["rows"] == [{"userId": CHARLIE}]
    nobody = Viewer(UUID(user(99)))
    people = portal.call(ask, "{ users { nodes { userId } } }", nobody)["users"]["nodes"]
    assert people == []
    for hidden in ("importJobs", "intakeRecords", "reportFiles"):
        assert portal.call(ask, f"{{ {hidden} {{ totalCount }} }}", nobody)[hidden]["totalCount"] == 0
