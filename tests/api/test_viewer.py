"""A viewer who is not an operator gets only their own rows, through every entry point of the API.

Each root field is queried on both execution paths, over POST, GET and a websocket; the plain HTTP routes are called,
too. A root field or a route that is missing from the tables here fails a test: add what such a viewer gets from it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from fastapi.routing import APIRoute
from graphql import GraphQLObjectType

from fcgraph.api import entry
from fcgraph.api.context import Context
from fcgraph.queries import Viewer
from tests.api.cases import CHARLIE, ZOE, user
from tests.api.client import Api, serving
from tests.api.conftest import settings_for

HERS = "ed6e0000-0000-0000-0000-000000000002"  # a payment of Zoe's that Charlie has no part in
RANGE = 'start: "2024-03-01", end: "2024-04-30"'
NONE: dict[str, Any] = {"totalCount": 0, "nodes": []}

# For each root field: a query for data of other users, and what Charlie gets.
FOREIGN: dict[str, tuple[str, Any]] = {
    "user": (f'user(userId: "{user(99)}") {{ name }}', None),
    "payment": (f'payment(transactionId: "{HERS}") {{ amount }}', None),
    "reportFile": ('reportFile(period: "2024-03") { version }', None),
    "importJob": (f'importJob(importId: "{HERS}") {{ state }}', None),
    "reportFiles": ("reportFiles { totalCount nodes { version } }", NONE),
    "importJobs": ("importJobs { totalCount nodes { state } }", NONE),
    "problemCounts": ("problemCounts(filter: {openOnly: false}) { code records }", []),
    "intakeRecords": ("intakeRecords(openOnly: false) { totalCount nodes { raw } }", NONE),
}
# Root fields whose rows are checked one by one below, and those without data of users.
CHECKED = {"users", "payments", "dailyTotals"}
PUBLIC = {"currencies"}
ROUTES = {"/health", "/health/ready", "/users/{user_id}/payments", "/users/{user_id}/daily-totals",
          "/reports/{file_name}", "/imports/{import_id}/rejects.csv", "/", "/schema.graphql", "/graphql", "/docs",
          "/openapi.json"}  # fmt: skip


@pytest.fixture(scope="module")
def charlies(demo_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """The API on the demo data, with Charlie as the viewer."""
    settings = settings_for(demo_url, tmp_path_factory.mktemp("charlie"))
    with serving(settings, viewer_of=lambda scope: Viewer(UUID(CHARLIE), "test:charlie")) as api:
        yield api


def ways(api: Api, query: str) -> Iterator[tuple[str, Any]]:
    """The data of the query, over every transport and execution path."""
    yield "POST", api.ask(query)
    # With a second root field: Strawberry answers `__schema`, so the remainder is executed, too.
    mixed = query.rstrip()[:-1] + " x: currencies { code } }"
    answer = api.ask(mixed)
    assert answer.pop("x")
    yield "POST, both paths", answer
    response = api.client.get("/graphql", params={"query": query})
    assert response.status_code == 200, response.text
    yield "GET", response.json()["data"]
    with api.client.websocket_connect("/graphql", subprotocols=["graphql-transport-ws"]) as socket:
        socket.send_json({"type": "connection_init"})
        assert socket.receive_json()["type"] == "connection_ack"
        socket.send_json({"id": "1", "type": "subscribe", "payload": {"query": query}})
        yield "websocket", socket.receive_json()["payload"]["data"]


def by_strawberry(api: Api, query: str) -> Any:
    """The data as Strawberry alone answers."""
    endpoint, portal = api.app.endpoint, api.client.portal
    assert portal is not None
    context = Context.of(scope_of(api), api.app.state.resources)
    result = portal.call(lambda: endpoint._schema.execute(query, context_value=context))
    assert result.errors is None
    return result.data


def scope_of(api: Api) -> dict[str, Any]:
    """The scope of a request with its entry."""
    scope: dict[str, Any] = {"type": "http"}
    entry.enter(scope, api.app.viewer_of)
    return scope


def query_fields(api: Api) -> set[str]:
    root = api.app.endpoint._documents.schema.query_type
    assert isinstance(root, GraphQLObjectType)
    return set(root.fields)


def test_every_root_field_says_what_a_stranger_gets(charlies: Api) -> None:
    assert query_fields(charlies) == FOREIGN.keys() | CHECKED | PUBLIC


@pytest.mark.parametrize("name", FOREIGN)
def test_what_is_somebody_elses_is_not_there(charlies: Api, name: str) -> None:
    text, expected = FOREIGN[name]
    query = f"{{ {text} }}"
    for way, data in ways(charlies, query):
        assert data == {name: expected}, way
    assert by_strawberry(charlies, query) == {name: expected}


def answers(api: Api, query: str) -> Iterator[tuple[str, Any]]:
    yield from ways(api, query)
    yield "Strawberry", by_strawberry(api, query)


def test_payments_are_charlies_alone(charlies: Api, demo: Api) -> None:
    query = "{ payments(first: 100) { totalCount nodes { senderId receiverId } } }"
    everybody = demo.ask(query)["payments"]["totalCount"]
    for way, data in answers(charlies, query):
        assert 0 < data["payments"]["totalCount"] < everybody, way
        assert all(CHARLIE in (p["senderId"], p["receiverId"]) for p in data["payments"]["nodes"]), way


def test_people_are_those_charlie_has_payments_with(charlies: Api) -> None:
    partners = {
        party
        for p in charlies.ask("{ payments(first: 100) { nodes { senderId receiverId } } }")["payments"]["nodes"]
        for party in p.values()
    }
    for way, data in answers(charlies, "{ users(first: 50) { nodes { userId payments(first: 100) { nodes {"
                                       " senderId receiverId } } } } }"):  # fmt: skip
        seen = data["users"]["nodes"]
        assert {u["userId"] for u in seen} >= partners, way
        for person in seen:
            for p in person["payments"]["nodes"]:
                assert CHARLIE in (p["senderId"], p["receiverId"]), way


def test_totals_are_charlies_alone(charlies: Api) -> None:
    query = f"{{ dailyTotals({RANGE}) {{ rows {{ userId }} }} }}"
    for way, data in answers(charlies, query):
        assert {row["userId"] for row in data["dailyTotals"]["rows"]} == {CHARLIE}, way
    hers = f'{{ dailyTotals(userIds: ["{ZOE}"], start: "2024-03-01", end: "2024-03-31") {{ rows {{ day }} }} }}'
    for way, data in answers(charlies, hers):
        assert data["dailyTotals"]["rows"] == [], way


def test_default_http_gives_charlies_rows(charlies: Api) -> None:
    span = {"start": "2024-01-01", "end": "2024-12-31"}
    mine = charlies.client.get(f"/users/{CHARLIE}/payments", params=span).json()["payments"]
    assert mine
    hers = charlies.client.get(f"/users/{ZOE}/payments", params=span).json()["payments"]
    assert all(CHARLIE in (p["sender_id"], p["receiver_id"]) for p in hers)
    totals = charlies.client.get(f"/users/{ZOE}/daily-totals", params=span).json()["daily_totals"]
    assert totals == []
    assert charlies.client.get(f"/users/{user(99)}/payments", params=span).status_code == 404
    assert charlies.client.get("/reports/monthly_report_2024-03_v1.csv").status_code == 404
    assert charlies.client.get(f"/imports/{HERS}/rejects.csv").status_code == 404


def test_every_route_is_known_here(charlies: Api) -> None:
    assert {r.path for r in charlies.app.routes if isinstance(r, APIRoute)} <= ROUTES


def test_a_stranger_changes_nothing(charlies: Api) -> None:
    mutation = 'mutation { importCsv(input: {source: {text: "a"}}) { alreadyImported } }'
    assert charlies.code(mutation) == "FORBIDDEN"
    root = charlies.app.endpoint._documents.schema.mutation_type
    assert isinstance(root, GraphQLObjectType)
    with charlies.client.websocket_connect("/graphql", subprotocols=["graphql-transport-ws"]) as socket:
        socket.send_json({"type": "connection_init"})
        assert socket.receive_json()["type"] == "connection_ack"
        socket.send_json({"id": "1", "type": "subscribe", "payload": {"query": mutation}})
        answer = socket.receive_json()
        assert "FORBIDDEN" in json.dumps(answer), answer


def test_a_stranger_follows_no_import(charlies: Api) -> None:
    with charlies.client.websocket_connect("/graphql", subprotocols=["graphql-transport-ws"]) as socket:
        socket.send_json({"type": "connection_init"})
        assert socket.receive_json()["type"] == "connection_ack"
        query = f'subscription {{ importProgress(importId: "{HERS}") {{ state }} }}'
        socket.send_json({"id": "1", "type": "subscribe", "payload": {"query": query}})
        assert "There is no such import" in json.dumps(socket.receive_json())
