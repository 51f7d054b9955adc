"""importProgress over graphql-transport-ws: the current state, each change, the end; bad frames close it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from starlette.websockets import WebSocketDisconnect

from fcgraph.settings import Settings
from tests.api.cases import user
from tests.api.client import Api, serving
from tests.api.conftest import settings_for
from tests.api.test_imports import HEADER, accepted, line, run

PROGRESS = """subscription($id: UUID!) { importProgress(importId: $id) {
  state progress counts { read inserted } controlTotals { currency accepted } } }"""


@contextmanager
def connected(api: Api, *, init: bool = True) -> Iterator[Any]:
    with api.client.websocket_connect("/graphql", subprotocols=["graphql-transport-ws"]) as socket:
        if init:
            socket.send_json({"type": "connection_init"})
            assert socket.receive_json() == {"type": "connection_ack"}
        yield socket


def subscribe(socket: Any, import_id: str, key: str = "1") -> None:
    payload = {"query": PROGRESS, "variables": {"id": import_id}}
    socket.send_json({"type": "subscribe", "id": key, "payload": payload})


def test_from_the_present_state_to_the_end(api: Api, api_settings: Settings) -> None:
    import_id = accepted(api, source={"text": HEADER + line(1)})
    with connected(api) as socket:
        subscribe(socket, import_id)
        first = socket.receive_json()
        assert first["payload"]["data"]["importProgress"]["state"] == "QUEUED"
        run(api_settings, api, import_id)
        states = []
        while (message := socket.receive_json())["type"] == "next":
            states.append(message["payload"]["data"]["importProgress"])
        assert message == {"id": "1", "type": "complete"}
    assert states[-1] == {
        "state": "SUCCEEDED",
        "progress": 1.0,
        "counts": {"read": 1, "inserted": 1},
        "controlTotals": [{"currency": "USD", "accepted": "250.00"}],
    }


def test_a_finished_import_is_reported_once(api: Api, api_settings: Settings) -> None:
    import_id = accepted(api, source={"text": HEADER + line(1)})
    run(api_settings, api, import_id)
    with connected(api) as socket:
        subscribe(socket, import_id)
        assert socket.receive_json()["payload"]["data"]["importProgress"]["state"] == "SUCCEEDED"
        assert socket.receive_json() == {"id": "1", "type": "complete"}


def test_an_unknown_import(api: Api) -> None:
    with connected(api) as socket:
        subscribe(socket, user(1))
        answer = socket.receive_json()
        errors = answer["payload"] if answer["type"] == "error" else answer["payload"]["errors"]
        assert errors[0]["extensions"]["code"] == "BAD_USER_INPUT"


@pytest.mark.parametrize(
    "payload",
    [
        {"query": "query($n: Int) { payments(first: $n) { nodes { amount } } }", "variables": {"n": 3}},
        {"query": "query A { currencies { code } } query B { __typename }", "operationName": "A"},
        {"query": "{ currencies { code } payments(first: 2) { nodes { amount sender { name } } } }", "variables": None},
        {"query": '{ dailyTotals(start: "2025-05-02", end: "2025-05-01") { rows { day } } }'},
    ],
)
def test_a_query_over_the_socket_is_answered_as_by_post(demo: Api, payload: dict[str, Any]) -> None:
    with connected(demo) as socket:
        socket.send_json({"type": "subscribe", "id": "1", "payload": payload})
        by_post = demo.client.post("/graphql", json=payload).text
        assert socket.receive_text() == f'{{"id":"1","type":"next","payload":{by_post}}}'
        assert socket.receive_json() == {"id": "1", "type": "complete"}


def test_queries_over_the_socket_have_the_same_limits_and_errors(demo: Api) -> None:
    with connected(demo) as socket:
        for n, (query, code) in enumerate(
            [
                ("{ currencies { " + "code " * 210 + "} }", "QUERY_TOO_COMPLEX"),
                ("{ nope }", "BAD_USER_INPUT"),
                ('{ payments(after: "x") { nodes { amount } } }', "INVALID_CURSOR"),
            ]
        ):
            socket.send_json({"type": "subscribe", "id": str(n), "payload": {"query": query}})
            answer = socket.receive_json()
            errors = answer["payload"] if answer["type"] == "error" else answer["payload"]["errors"]
            assert errors[0]["extensions"]["code"] == code
            if answer["type"] == "next":
                assert socket.receive_json()["type"] == "complete"


@pytest.mark.parametrize(
    "frame",
    [
        "",
        "x",
        "[]",
        "1",
        "null",
        "{}",
        '{"type": 1}',
        '{"type": "nope"}',
        '{"type": "subscribe"}',
        '{"type": "subscribe", "id": 1, "payload": {"query": "{a}"}}',
        '{"type": "subscribe", "id": "1"}',
        '{"type": "subscribe", "id": "1", "payload": []}',
        '{"type": "subscribe", "id": "1", "payload": {}}',
        '{"type": "subscribe", "id": "1", "payload": {"query": 1}}',
        '{"type": "subscribe", "id": "1", "payload": {"query": "{a}", "variables": []}}',
        '{"type": "subscribe", "id": "1", "payload": {"query": "{a}", "operationName": 1}}',
        '{"type": "complete"}',
        '{"type": "connection_init"}',
        json.dumps({"type": "subscribe", "id": "1", "payload": {"query": " " * 300_000}}),
        "[" * 50_000,
    ],
)
def test_bad_frames_close_the_connection_with_a_code(demo: Api, frame: str) -> None:
    with connected(demo) as socket:
        socket.send_text(frame)
        with pytest.raises(WebSocketDisconnect) as closed:
            socket.receive_json()
        assert closed.value.code in (4400, 4429, 1009)
    assert demo.client.get("/health").status_code == 200


def test_bytes_are_no_frame(demo: Api) -> None:
    with connected(demo) as socket:
        socket.send_bytes(b"{}")
        with pytest.raises(WebSocketDisconnect) as closed:
            socket.receive_json()
        assert closed.value.code == 4400


def test_no_operation_before_the_greeting(demo: Api) -> None:
    with connected(demo, init=False) as socket:
        socket.send_json({"type": "subscribe", "id": "1", "payload": {"query": "{ __typename }"}})
        with pytest.raises(WebSocketDisconnect) as closed:
            socket.receive_json()
        assert closed.value.code == 4401


def test_who_does_not_greet_is_shown_out(demo_url: str, tmp_path: Path) -> None:
    with (
        serving(settings_for(demo_url, tmp_path, websocket_init_seconds=0.1)) as api,
        connected(api, init=False) as socket,
    ):
        with pytest.raises(WebSocketDisconnect) as closed:
            socket.receive_json()
        assert closed.value.code == 4408


def test_at_most_ten_subscriptions(api: Api) -> None:
    import_id = accepted(api, source={"text": HEADER + line(1)})
    with connected(api) as socket:
        for n in range(11):
            subscribe(socket, import_id, str(n))
        refused = [m for m in (socket.receive_json() for _ in range(11)) if m["type"] == "error"]
        assert [m["id"] for m in refused] == ["10"]
        (error,) = refused[0]["payload"]
        assert error["extensions"]["code"] == "QUERY_TOO_COMPLEX"
        assert "SUBSCRIPTIONS_MAX" in error["message"]
        # When one ends, another may start.
        socket.send_json({"type": "complete", "id": "0"})
        subscribe(socket, import_id, "11")
        assert socket.receive_json()["type"] == "next"


def test_a_query_over_the_socket_that_takes_too_long(demo_url: str, tmp_path: Path) -> None:
    # The table is locked, so a read of it waits.
    with psycopg2.connect(demo_url) as holder, holder.cursor() as cursor:
        cursor.execute("LOCK TABLE currency IN ACCESS EXCLUSIVE MODE")
        with (
            serving(settings_for(demo_url, tmp_path, operation_timeout_seconds=0.2)) as api,
            connected(api) as socket,
        ):
            socket.send_json({"type": "subscribe", "id": "1", "payload": {"query": "{ currencies { code } }"}})
            answer = socket.receive_json()
            (error,) = answer["payload"]["errors"]
            assert (answer["type"], error["extensions"]["code"]) == ("next", "QUERY_TOO_COMPLEX")
            assert "OPERATION_TIMEOUT_SECONDS" in error["message"]
            assert socket.receive_json() == {"id": "1", "type": "complete"}
            # The connection stays.
            socket.send_json({"type": "subscribe", "id": "1", "payload": {"query": "{ __typename }"}})
            assert socket.receive_json()["payload"] == {"data": {"__typename": "Query"}}
        holder.rollback()


def test_operations_of_one_connection_do_not_share_a_limit(demo_url: str, tmp_path: Path) -> None:
    """Each returns nearly the maximum number of nodes of an operation."""
    query = "{ users(first: 8) { nodes { payments(first: 100) { nodes { amount } } } } }"
    with serving(settings_for(demo_url, tmp_path, query_nodes_max=900)) as api, connected(api) as socket:
        for n in range(10):
            socket.send_json({"type": "subscribe", "id": str(n), "payload": {"query": query}})
        answers: list[Any] = []
        while sum(m["type"] in ("complete", "error") for m in answers) < 10:
            answers.append(socket.receive_json())
    assert {m["type"] for m in answers} == {"next", "complete"}
    assert not any("errors" in m.get("payload", {}) for m in answers)
