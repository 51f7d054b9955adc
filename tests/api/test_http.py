"""GraphQL over HTTP: media types and their status codes, GET, what is no request, the methods of every path."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2
import psycopg2
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

from fcgraph.api.media import GRAPHQL, JSON
from fcgraph.api.methods import METHODS
from fcgraph.api.playground import Assets
from fcgraph.settings import Settings
from tests.api.asking import Api, serving
from tests.api.cases import ZOE
from tests.api.conftest import settings_for
from tests.api.process import server
from tests.api.test_imports import HEADER, accepted, line, run

OLD, NEW = JSON.name, GRAPHQL.name
QUERY = "{ currencies { code } }"
NAMES = "query Names($first: Int) { users(first: $first) { nodes { name } } } query Other { __typename }"
TOO_DEEP = "{ users { nodes { payments { nodes { sender { payments { nodes { sender { name } } } } } } } } }"
NOT_EXECUTED: list[dict[str, Any]] = [
    {"query": "{"},
    {"query": "{ nope }"},
    {"query": TOO_DEEP},
    {"query": "query($id: UUID!) { user(userId: $id) { name } }", "variables": {"id": None}},
    {"query": "query($id: UUID!) { user(userId: $id) { name } }", "variables": {"id": "x"}},
    {"query": NAMES},
    {"query": NAMES, "operationName": "Nobody"},
    {"query": f'subscription {{ importProgress(importId: "{ZOE}") {{ state }} }}'},
]
BASIS = "basis { timeZone }"
EXECUTED = [
    ("{ payments(first: 1000) { totalCount } }", True),
    ('{ dailyTotals(start: "2025-01-02", end: "2025-01-01") { rows { day } } }', True),
    (f'{{ user(userId: "{ZOE}") {{ dailyTotals(start: "2025-01-02", end: "2025-01-01") {{ {BASIS} }} }} }}', False),
    ('query($s: String = "\\u0000") { users(search: $s) { totalCount } }', True),
]


def post(api: Api, body: dict[str, Any], accept: str | None) -> httpx2.Response:
    headers = {} if accept is None else {"Accept": accept}
    response: httpx2.Response = api.client.post("/graphql", json=body, headers=headers)
    return response


@pytest.mark.parametrize("body", NOT_EXECUTED, ids=lambda b: json.dumps(b)[:50])
def test_what_is_not_executed(demo: Api, body: dict[str, Any]) -> None:
    new = post(demo, body, NEW)
    assert (new.status_code, new.headers["content-type"]) == (400, f"{NEW}; charset=utf-8")
    assert set(new.json()) == {"errors"}
    for accept in (OLD, "*/*", None):
        old = post(demo, body, accept)
        assert (old.status_code, old.headers["content-type"]) == (200, f"{OLD}; charset=utf-8")
        assert old.json() == {"data": None, **new.json()}
    got = get(demo, {k: v if isinstance(v, str) else json.dumps(v) for k, v in body.items()}, NEW)
    assert (got.status_code, got.json()) == (400, new.json())


@pytest.mark.parametrize(("query", "null"), EXECUTED)
def test_what_fails_while_it_is_executed(demo: Api, query: str, null: bool) -> None:
    for accept in (OLD, NEW):
        response = post(demo, {"query": query}, accept)
        body = response.json()
        assert (response.status_code, "errors" in body, body["data"] is None) == (200, True, null)


@pytest.mark.parametrize("query", [QUERY, "{ payments(first: 1) { nodes { amount } } }"])
def test_what_is_executed(demo: Api, query: str) -> None:
    old = post(demo, {"query": query}, OLD)
    for accept in (NEW, f"{NEW}, {OLD};q=0.9"):
        new = post(demo, {"query": query}, accept)
        assert (new.status_code, new.headers["content-type"]) == (200, f"{NEW}; charset=utf-8")
        assert new.content == old.content
    several = [("Accept", "text/html"), ("Accept", NEW), ("Content-Type", OLD)]
    response = demo.client.post("/graphql", content=json.dumps({"query": query}), headers=several)
    assert response.headers["content-type"].startswith(NEW)


def test_what_nobody_can_send_is_not_acceptable(demo: Api) -> None:
    for accept in ("text/html", "image/png", f"{OLD};q=0"):
        for response in (post(demo, {"query": QUERY}, accept), get(demo, {"query": QUERY}, accept)):
            assert response.status_code == 406
            assert OLD in response.json()["errors"][0]["message"]
            assert NEW in response.json()["errors"][0]["message"]


def test_postgresql_away_is_503_without_data(tmp_path: Any) -> None:
    with serving(settings_for("postgresql://postgres@127.0.0.1:1/x", tmp_path)) as api:
        for query in (QUERY, "{ payments(first: 1) { nodes { amount } } }"):
            new, old = post(api, {"query": query}, NEW), post(api, {"query": query}, OLD)
            assert (new.status_code, set(new.json())) == (503, {"errors"})
            assert (old.status_code, old.json()["data"]) == (503, None)
        partly = post(api, {"query": f'{{ __typename user(userId: "{ZOE}") {{ name }} }}'}, NEW)
        assert partly.status_code == (200 if partly.json().get("data") else 503)


def get(api: Api, params: Any, accept: str | None = None, method: str = "GET") -> httpx2.Response:
    headers = {} if accept is None else {"Accept": accept}
    response: httpx2.Response = api.client.request(method, "/graphql", params=params, headers=headers)
    return response


def test_queries_by_get(demo: Api) -> None:
    by_post = demo.post(NAMES, {"first": 2}, operationName="Names")
    params = {"query": NAMES, "variables": '{"first": 2}', "operationName": "Names", "extensions": "{}"}
    by_get = get(demo, params)
    assert (by_get.status_code, by_get.content) == (200, by_post.content)
    assert by_get.headers["content-type"] == f"{OLD}; charset=utf-8"
    assert by_get.headers["vary"] == "Accept"
    assert get(demo, {"query": "{ __typename }", "variables": "null", "operationName": ""}).status_code == 200
    assert get(demo, "query=%7B+__typename+%7D", NEW).json() == {"data": {"__typename": "Query"}}
    search = 'query { users(search: "ZOË") { nodes { name } } }'
    assert get(demo, {"query": search}).json() == demo.post(search).json()
    head = get(demo, params, method="HEAD")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(by_post.content))


IMPORTS = "mutation M { cancelImport(importId: \"%s\") { job { state } } }" % ZOE  # fmt: skip  # noqa: UP031


def test_no_mutation_by_get(api: Api, database_url: str) -> None:
    text = (HEADER + line(1)).replace("\n", "\\n")
    import_csv = f'mutation {{ importCsv(input: {{source: {{text: "{text}"}}}}) {{ job {{ state }} }} }}'
    for query, name in ((import_csv, ""), (IMPORTS, "M"), (f"{IMPORTS} query Q {{ __typename }}", "M")):
        for accept in (OLD, NEW, "*/*"):
            response = get(api, {"query": query, "operationName": name}, accept)
            assert (response.status_code, response.headers["allow"]) == (405, "POST")
            assert response.json()["errors"][0]["extensions"]["code"] == "METHOD_NOT_ALLOWED"
            assert get(api, {"query": query, "operationName": name}, accept, "HEAD").status_code == 405
    with psycopg2.connect(database_url) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM imports")
        assert cursor.fetchone() == (0,)
    # The document has a mutation, and the operation is a query.
    both = get(api, {"query": f"{IMPORTS} query Q {{ __typename }}", "operationName": "Q"})
    assert both.json() == {"data": {"__typename": "Query"}}


@pytest.mark.parametrize(
    ("query_string", "words"),
    [
        ("query=", "`query`"),
        ("query", "`query`"),
        ("query=%20", "`query`"),
        ("query={__typename}&variables=x", "`variables` is not JSON"),
        ("query={__typename}&variables=", "`variables` is not JSON"),
        ("query={__typename}&variables=[]", "`variables` is not an object"),
        ("query={__typename}&variables=1", "`variables` is not an object"),
        ("query={__typename}&variables={'a':1}", "`variables` is not JSON"),
        ('query={__typename}&extensions="x"', "`extensions` is not an object"),
        ("query={__typename}&extensions=[]", "`extensions` is not an object"),
        ("query={__typename}&extensions=x", "`extensions` is not JSON"),
        ("query={__typename}&query={__typename}", "twice"),
        ("query=%FF", "percent-encoded UTF-8"),
        ("query=%ED%A0%80", "percent-encoded UTF-8"),
        ("query={__typename}" + "&a=1" * 30, "parameters"),
    ],
)
def test_what_is_no_request_by_get(demo: Api, query_string: str, words: str) -> None:
    raw = quote(query_string, safe="=&%")
    for accept in (OLD, NEW):
        response = demo.client.get(f"/graphql?{raw}", headers={"Accept": accept})
        assert response.status_code == 400
        assert words in response.json()["errors"][0]["message"]


def test_a_query_string_of_so_many_bytes(demo_url: str, tmp_path: Any) -> None:
    with serving(settings_for(demo_url, tmp_path, body_max_bytes=100)) as api:
        query = "query=%7B__typename%7D"
        for size, status in ((100, 200), (101, 414)):
            response = api.client.get(f"/graphql?{query}&x={'y' * (size - len(query) - 3)}")
            assert response.status_code == status
        assert "BODY_MAX_BYTES" in response.text


BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


def test_the_playground_is_for_browsers_without_a_query(demo: Api) -> None:
    for accept in (BROWSER, "*/*", None):
        for params in ({}, {"foo": "query"}, {"variables": "{}"}):
            response = get(demo, params, accept)
            assert (response.status_code, response.headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert get(demo, {}, accept, "HEAD").headers["content-type"].startswith("text/html")
        assert get(demo, {"query": QUERY}, accept).headers["content-type"].startswith(OLD)
    for accept in (OLD, NEW, f"{OLD}, text/plain, */*"):
        response = get(demo, {}, accept)
        assert (response.status_code, "`query` is missing" in response.text) == (400, True)
    assert get(demo, {}, "image/png").status_code == 406


@pytest.mark.parametrize("invalid", ["x", 0, 1.5, True, False, [], ["a"]])
def test_extensions_are_an_object(demo: Api, invalid: Any) -> None:
    for accept in (OLD, NEW):
        response = post(demo, {"query": QUERY, "extensions": invalid}, accept)
        assert (response.status_code, "`extensions`" in response.text) == (400, True)
    for fine in (None, {}, {"a": [1]}):
        assert post(demo, {"query": QUERY, "extensions": fine}, NEW).status_code == 200


BODY = json.dumps({"query": '{ users(search: "Zoë") { totalCount } }'}, ensure_ascii=False)
ENCODED: list[tuple[bytes, dict[str, str], int, str]] = [
    (BODY.encode(), {}, 200, ""),
    (BODY.encode(), {"Content-Type": f'{OLD}; charset="UTF-8"'}, 200, ""),
    (BODY.encode(), {"Content-Encoding": "identity"}, 200, ""),
    (BODY.encode("utf-8-sig"), {}, 415, "byte order mark"),
    (BODY.encode("utf-16"), {}, 415, "charset=utf-8"),
    (BODY.encode("utf-16-le"), {}, 415, "UTF-16-LE"),
    (BODY.encode("utf-16-be"), {}, 415, "UTF-16-BE"),
    (BODY.encode("utf-32"), {}, 415, "UTF-32"),
    (BODY.encode("utf-16"), {"Content-Type": f"{OLD}; charset=utf-16"}, 415, "charset=utf-16"),
    (BODY.encode("latin-1"), {"Content-Type": f"{OLD}; charset=ISO-8859-1"}, 415, "charset=iso-8859-1"),
    (BODY.encode("latin-1"), {}, 400, "not UTF-8 from byte"),
    (gzip.compress(BODY.encode(), mtime=0), {}, 415, "Content-Encoding"),
    (gzip.compress(BODY.encode(), mtime=0), {"Content-Encoding": "gzip"}, 415, "Content-Encoding"),
    (BODY.encode(), {"Content-Encoding": "br"}, 415, "Content-Encoding"),
    (b"\x28\xb5\x2f\xfd\x00", {}, 415, "Content-Encoding"),
    (b"{", {}, 400, "not JSON"),
    (b"", {}, 400, "not JSON"),
]


@pytest.mark.parametrize(("body", "headers", "status", "words"), ENCODED)
def test_bodies_in_other_encodings(demo: Api, body: bytes, headers: dict[str, str], status: int, words: str) -> None:
    for accept in (OLD, NEW):
        response = demo.client.post("/graphql", content=body, headers={"Content-Type": OLD, "Accept": accept} | headers)
        assert response.status_code == status, response.text
        assert words in response.text
        assert response.headers["content-type"].startswith(accept)
        if "Content-Encoding" in headers and status == 415:
            assert response.headers["accept-encoding"] == "identity"


UPLOAD = "mutation($u: Upload!) { importCsv(input: {source: {upload: $u}}) { job { fileName } userErrors { code } } }"


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        ('name="0"', "upload.csv"),
        ("name=0", "upload.csv"),
        ('name="0"; x="y"', "upload.csv"),
        ("name=\"0\"; filename*=UTF-8''a.csv", "upload.csv"),  # RFC 7578 knows no such parameter
        ('name="0"; filename="mine.csv"', "mine.csv"),
    ],
)
def test_a_file_without_a_name_is_a_file(api: Api, disposition: str, name: str) -> None:
    parts = [
        ('name="operations"', json.dumps({"query": UPLOAD, "variables": {"u": None}})),
        ('name="map"', json.dumps({"0": ["variables.u"]})),
        (f"{disposition}\r\nContent-Type: application/octet-stream", HEADER + line(1)),
    ]
    for order in (parts, parts[::-1]):
        body = "".join(f"--x\r\nContent-Disposition: form-data; {d}\r\n\r\n{v}\r\n" for d, v in order) + "--x--\r\n"
        response = api.client.post(
            "/graphql",
            content=body,
            headers={"Content-Type": "multipart/form-data; boundary=x", "X-Requested-With": "test"},
        )
        payload = response.json()["data"]["importCsv"]
        assert (payload["job"]["fileName"], payload["userErrors"]) == (name, [])


PATHS = {
    "/": ["GET", "HEAD"],
    "/docs": ["GET", "HEAD"],
    "/openapi.json": ["GET", "HEAD"],
    "/schema.graphql": ["GET", "HEAD"],
    "/graphql": ["GET", "HEAD", "POST"],
    "/health": ["GET", "HEAD"],
    "/health/ready": ["GET", "HEAD"],
    "/reports/x": ["GET", "HEAD"],
    f"/imports/{ZOE}/rejects.csv": ["GET", "HEAD"],
    f"/users/{ZOE}/payments": ["GET", "HEAD"],
    f"/users/{ZOE}/daily-totals": ["GET", "HEAD"],
    "/playground/playground.js": ["GET", "HEAD"],
}


def test_every_refused_method_names_those_that_are_served(demo: Api) -> None:
    for path, served in PATHS.items():
        for method in METHODS:
            response = demo.client.request(method, path)
            if method in served:
                assert response.status_code != 405, (method, path)
            else:
                assert (response.status_code, response.headers.get("allow")) == (405, ", ".join(served)), (method, path)
                assert response.json()["error"]["code"] == "METHOD_NOT_ALLOWED"


def test_assets_that_are_not_built_are_not_found(tmp_path: Path) -> None:
    client = TestClient(Starlette(routes=[Mount("/", Assets(directory=tmp_path / "dist", check_dir=False))]))
    assert [client.request(method, "/playground.js").status_code for method in ("GET", "HEAD", "POST")] == [
        404,
        404,
        405,
    ]
    (tmp_path / "dist").mkdir()
    (tmp_path / "dist" / "playground.js").write_text("built later")
    assert client.get("/playground.js").text == "built later"


def test_every_route_is_in_the_list_of_paths(demo: Api) -> None:
    paths = demo.app.openapi()["paths"]
    known = {path.replace("/x", "/{file_name}").replace(f"imports/{ZOE}", "imports/{import_id}") for path in PATHS}
    known = {path.replace(f"users/{ZOE}", "users/{user_id}") for path in known}
    assert set(paths) <= known
    assert all(set(methods) == {"get"} for methods in paths.values())


def test_head_is_get_without_a_body(api: Api, api_settings: Settings, tmp_path: Any) -> None:
    job = accepted(api, source={"text": HEADER + line(1) + line(2, "-1")})
    run(api_settings, api, job)
    made = api.ask('mutation { generateMonthlyReport(period: "2025-05") { reportFile { downloadUrl } } }')
    days = "?start=2025-05-01&end=2025-05-31"
    paths = [p + (days if p.startswith("/users") else "") for p, served in PATHS.items() if "HEAD" in served]
    paths += [made["generateMonthlyReport"]["reportFile"]["downloadUrl"], f"/imports/{job}/rejects.csv"]
    with server(api_settings, tmp_path / "api.log") as url, httpx2.Client(base_url=url) as client:
        for path in paths:
            whole, head = client.get(path), client.head(path)
            assert (head.status_code, head.content) == (whole.status_code, b""), path
            differing = {"x-request-id", "date", "transfer-encoding"}
            if whole.headers["content-type"] == "application/json" and whole.status_code >= 400:
                differing.add("content-length")  # the request's id is in it
            assert [(k, v) for k, v in head.headers.items() if k not in differing] == [
                (k, v) for k, v in whole.headers.items() if k not in differing
            ], path
            assert whole.content, path
