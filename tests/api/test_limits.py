"""Limits and bad requests: each refusal names its setting, comes fast, and is never a 5xx or a traceback."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path
from typing import Any

import pytest
from graphql import get_introspection_query

from tests.api.asking import Api, serving
from tests.api.conftest import settings_for
from tests.api.generator import OperationMaker

REFUSED_SECONDS_MAX = 0.1
GENERATED = 300
MUTATED = 600

PEOPLE = "users { nodes { payments { nodes { sender { payments { nodes { amount } } } } } } }"


@pytest.mark.parametrize(
    ("query", "setting"),
    [
        ("{ " + " ".join(["currencies { code }"] * 400) + " }", "QUERY_TOKENS_MAX"),
        ("{ users { nodes { payments { nodes { sender { payments { nodes { sender { name }}}}}}}}}", "QUERY_DEPTH_MAX"),
        ("{ a" * 300 + "}" * 300, "QUERY_DEPTH_MAX"),
        ("{ " + "... { " * 80 + "currencies { code }" + " }" * 81, "QUERY_DEPTH_MAX"),
        ("{ currencies { " + "code " * 210 + "} }", "QUERY_FIELDS_MAX"),
        ("{ currencies { " + " ".join(f"a{n}: code" for n in range(16)) + " } }", "QUERY_ALIASES_MAX"),
        ("{ " + "currencies { code } " * 11 + "}", "QUERY_ROOT_FIELDS_MAX"),
        ("{ ... { " + "currencies { code } " * 11 + "} }", "QUERY_ROOT_FIELDS_MAX"),
        ("{ ...F } fragment F on Query { " + "currencies { code } " * 11 + "}", "QUERY_ROOT_FIELDS_MAX"),
        ("{ currencies { code" + " @include(if: true)" * 21 + " } }", "QUERY_DIRECTIVES_MAX"),
        ("{ users(first: 100) { nodes { payments(first: 100) { nodes { amount } } } } }", "QUERY_NODES_MAX"),
        ("{ payments(first: 101) { nodes { amount } } }", "PAGE_MAX"),
        (
            "{ payments(filter: {currencies: [" + '"USD" ' * 101 + "]}) { nodes { amount } } }",
            "LIST_ARGUMENT_MAX",
        ),
    ],
)
def test_each_limit_names_its_setting(demo: Api, query: str, setting: str) -> None:
    error = demo.refused(query)
    assert error["extensions"]["code"] == "QUERY_TOO_COMPLEX"
    assert setting in error["message"]


def test_a_query_at_the_limits_is_answered(demo: Api) -> None:
    assert demo.ask("{ " + "currencies { code } " * 10 + "}")["currencies"]
    assert demo.ask("{ users(first: 10) { nodes { payments(first: 100) { nodes { amount } } } } }")["users"]


def test_page_sizes_in_variables_count(demo: Api) -> None:
    query = """query($a: Int, $b: Int = 100) {
      users(first: $a) { nodes { payments(first: $b) { nodes { amount } } } } }"""
    assert demo.ask(query, a=10)
    assert "QUERY_NODES_MAX" in demo.refused(query, a=100)["message"]
    assert demo.ask(query, a=100, b=1)


def test_down_from_many_totals_is_bounded(demo: Api) -> None:
    query = """{ dailyTotals(start: "2025-01-01", end: "2025-12-31") {
      rows { payments(first: 100) { nodes { amount } } } } }"""
    assert "QUERY_NODES_MAX" in demo.refused(query)["message"]


FRAGMENT_BOMB = "{ ...F0 } " + " ".join(
    f"fragment F{n} on Query {{ ...F{n + 1} ...F{n + 1} ...F{n + 1} ...F{n + 1} }}" for n in range(40)
)


@pytest.mark.parametrize(
    "query",
    [
        FRAGMENT_BOMB + " fragment F40 on Query { currencies { code } }",
        FRAGMENT_BOMB + " fragment F40 on Query { __typename ...F0 }",
        "{ currencies { " + "code " * 199 + "} }",
        "{ " + "users { nodes { name } } " * 10 + "}",
        "{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }",
        "query($a: Nope) { currencies { code } }",
        '{ payments(filter: "x", first: {}, after: 1) { nodes { amount } } }',
        "{ __schema { types { fields { type { fields { type { fields { type { name } } } } } } } } }",
        "{ __type(name: 1) { name } }",
        "subscription { importProgress(importId: 1) { state } }",
        'subscription { importProgress(importId: "00000000-0000-0000-0000-000000000001") { state } }',
        "{ currencies { code } } { currencies { code } }",
        "type X { a: Int }",
        "#",
        "\ufeff{}",
    ],
)
def test_refusals_come_fast(demo: Api, query: str) -> None:
    started = time.perf_counter()
    response = demo.post(query)
    took = time.perf_counter() - started
    assert response.status_code in (200, 400)
    assert took < REFUSED_SECONDS_MAX


def test_introspection_works_here_and_not_in_production(demo: Api, demo_url: str, tmp_path: Path) -> None:
    assert demo.ask(get_introspection_query(input_value_deprecation=True))["__schema"]["types"]
    with serving(settings_for(demo_url, tmp_path, fcgraph_env="production")) as api:
        asked = api.post("{ __schema { queryType { name } } }").json()
        assert asked["data"] is None
        assert {e["extensions"]["code"] for e in asked["errors"]} == {"BAD_USER_INPUT"}
        for wrong in ("{ curencies { code } }", "{ currencies { cod } }"):
            assert "Did you mean" not in api.refused(wrong)["message"]
        query = "query($s: [PaymentStatus!]) { payments(filter: {statuses: $s}) { totalCount } }"
        assert "Did you mean" not in api.refused(query, s=["COMPLETE"])["message"]
    assert "Did you mean" in demo.refused("{ curencies { code } }")["message"]


NO_MAP = b'--x\r\nContent-Disposition: form-data; name="operations"\r\n\r\n{}\r\n--x--'


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"", "application/json", 400),
        (b"{", "application/json", 400),
        (b"[]", "application/json", 400),
        (b'[{"query": "{ currencies { code } }"}]', "application/json", 400),
        (b"null", "application/json", 400),
        (b"1", "application/json", 400),
        (b"{}", "application/json", 400),
        (b'{"query": null}', "application/json", 400),
        (b'{"query": 1}', "application/json", 400),
        (b'{"query": ""}', "application/json", 400),
        (b'{"query": "{a}", "variables": []}', "application/json", 400),
        (b'{"query": "{a}", "variables": "x"}', "application/json", 400),
        (b'{"query": "{a}", "operationName": 1}', "application/json", 400),
        (b'{"query": "\xff"}', "application/json", 400),
        (b'{"query": "{a}", "variables": {"a": NaN}}', "application/json", 400),
        (b'{"query": "' + b"[" * 100_000 + b'"}', "application/json", 200),
        (b'{"query": "{a}", "variables": {"a": ' + b"[" * 5000 + b"]" * 5000 + b"}}", "application/json", 400),
        (b'{"query": "' + b" " * (256 * 1024) + b'"}', "application/json", 413),
        (b"query={a}", "application/x-www-form-urlencoded", 415),
        (b'{"query": "{a}"}', "text/plain", 415),
        (b'{"query": "{a}"}', "", 415),
        (b"", "multipart/form-data", 400),
        (b"x", "multipart/form-data; boundary=x", 400),
        (b"--x\r\n\r\n--x--", "multipart/form-data; boundary=x", 400),
        (NO_MAP, "multipart/form-data; boundary=x", 400),
    ],
)  # fmt: skip
def test_malformed_bodies(demo: Api, body: bytes, content_type: str, status: int) -> None:
    headers = {"Content-Type": content_type, "X-Requested-With": "test"}
    response = demo.client.post("/graphql", content=body, headers=headers)
    assert response.status_code == status, response.text
    assert response.json()["errors"][0]["extensions"]["code"] != "INTERNAL"


@pytest.mark.parametrize(
    ("operations", "places"),
    [
        ({"query": "{a}"}, {"0": ["variables.x"]}),
        ({"query": "{a}", "variables": {}}, {"0": ["variables.a.b"]}),
        ({"query": "{a}", "variables": {"a": [1]}}, {"0": ["variables.a.7"]}),
        ({"query": "{a}", "variables": {"a": [1]}}, {"0": ["variables.a.x"]}),
        ({"query": "{a}", "variables": {"a": None}}, {"1": ["variables.a"]}),
        ({"query": "{a}", "variables": {"a": None}}, {"0": "variables.a"}),
        ({"query": "{a}", "variables": {"a": None}}, {"0": [1]}),
        ({"query": "{a}", "variables": {"a": None}}, []),
        ([{"query": "{a}"}], {}),
    ],
)
def test_malformed_multipart(demo: Api, operations: Any, places: Any) -> None:
    response = demo.client.post(
        "/graphql",
        data={"operations": json.dumps(operations), "map": json.dumps(places)},
        files={"0": ("f", b"x")},
        headers={"X-Requested-With": "test"},
    )
    assert response.status_code == 400, response.text


def test_multipart_needs_a_header_that_makes_browsers_ask_first(demo: Api) -> None:
    response = demo.client.post("/graphql", data={"operations": "{}", "map": "{}"}, files={"0": ("f", b"x")})
    assert response.status_code == 403


def test_an_upload_is_refused_while_it_streams(demo_url: str, tmp_path: Path) -> None:
    sent = 0

    def blocks() -> Any:
        nonlocal sent
        yield b'--x\r\nContent-Disposition: form-data; name="0"; filename="f"\r\n\r\n'
        for _ in range(1000):
            sent += 1
            yield b"x" * 10_000
        yield b"\r\n--x--\r\n"

    with serving(settings_for(demo_url, tmp_path, upload_max_bytes=50_000, body_max_bytes=1024)) as api:
        response = api.client.post(
            "/graphql",
            content=blocks(),
            headers={"Content-Type": "multipart/form-data; boundary=x", "X-Requested-With": "t"},
        )
    assert response.status_code == 413
    assert "UPLOAD_MAX_BYTES" in response.text


def test_get_serves_only_the_playground(demo: Api) -> None:
    response = demo.client.get("/graphql", params={"query": "{ currencies { code } }"})
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/html")
    assert demo.client.put("/graphql", json={}).status_code == 405


def test_generated_operations_are_never_a_5xx(demo: Api) -> None:
    maker = OperationMaker(demo.app.endpoint._documents.schema)
    for seed in range(10_000, 10_000 + GENERATED):
        operation = maker.make(random.Random(seed))
        response = demo.post(operation.text, operation.variables)
        codes = {e["extensions"]["code"] for e in response.json().get("errors", ())}
        assert response.status_code == 200, (seed, response.text)
        assert "INTERNAL" not in codes, (seed, operation.text, operation.variables)


def test_mutated_bodies_are_never_a_5xx(demo: Api) -> None:
    maker = OperationMaker(demo.app.endpoint._documents.schema)
    for seed in range(MUTATED):
        rnd = random.Random(seed)
        operation = maker.make(rnd)
        body = bytearray(json.dumps({"query": operation.text, "variables": operation.variables}).encode())
        for _ in range(rnd.randint(1, 4)):
            at = rnd.randrange(len(body))
            how = rnd.random()
            if how < 0.3:
                body[at] = rnd.randrange(256)
            elif how < 0.6:
                del body[at : at + rnd.randint(1, 20)]
            else:
                body[at:at] = rnd.choice((b"{", b"}", b'"', b"\\u0000", b"null", b"$", b"...", b"\\ud800", b"[" * 50))
            if not body:
                body = bytearray(b"x")
        response = demo.client.post("/graphql", content=bytes(body), headers={"Content-Type": "application/json"})
        assert response.status_code in (200, 400), (seed, response.text)
        assert "INTERNAL" not in response.text, (seed, bytes(body))


def test_text_that_postgresql_cannot_store(demo: Api) -> None:
    assert demo.code("query($s: String) { users(search: $s) { nodes { name } } }", s="a\u0000b") == "BAD_USER_INPUT"
    query = "query($f: PaymentFilter) { payments(filter: $f) { nodes { amount } } }"
    assert demo.code(query, f={"currencies": ["\u0000"]}) == "BAD_USER_INPUT"
    day = 'query($c: String) { dailyTotals(start: "2025-01-01", end: "2025-01-01", currency: $c) { rows { day } } }'
    assert demo.code(day, c="\u0000") == "BAD_USER_INPUT"
