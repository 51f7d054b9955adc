"""The links at /, the REST views at /docs, and the schema as text: every link leads somewhere."""

from __future__ import annotations

import re
from pathlib import Path

from graphql import build_schema

from tests.api.client import Api, serving
from tests.api.conftest import settings_for
from tests.api.test_contract import COMMITTED

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


def test_home_is_a_page_for_browsers_and_json_for_others(demo: Api) -> None:
    page = demo.client.get("/", headers=BROWSER)
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
    for accept in ("*/*", "application/json"):
        found = demo.client.get("/", headers={"Accept": accept})
        assert (found.status_code, found.headers["content-type"]) == (200, "application/json")
        links = found.json()["links"]
        assert set(links) == set(re.findall(r'href="([^"]+)"', page.text))
    for link in links:
        assert demo.client.get(link, headers=BROWSER).status_code in (200, 503), link
    assert {"/graphql", "/schema.graphql", "/docs", "/health"} <= set(links)


def test_docs_list_every_rest_view(demo: Api) -> None:
    page = demo.client.get("/docs", headers=BROWSER)
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    described = demo.client.get("/openapi.json").json()["paths"]
    assert {"/users/{user_id}/payments", "/reports/{file_name}", "/health"} <= set(described)
    for path in described:
        assert path in page.text
    assert "start=…&amp;end=…" in page.text
    assert demo.client.get("/docs").json() == {"openapi": "/openapi.json", "graphql": "/graphql"}


def test_nothing_of_a_page_comes_from_elsewhere(demo: Api) -> None:
    for path in ("/", "/docs"):
        text = demo.client.get(path, headers=BROWSER).text
        assert "//" not in text
        assert "<script" not in text


def test_the_schema_as_text(demo: Api, demo_url: str, tmp_path: Path) -> None:
    found = demo.client.get("/schema.graphql")
    assert (found.status_code, found.headers["content-type"]) == (200, "text/plain; charset=utf-8")
    assert found.text == COMMITTED.read_text(encoding="utf-8")
    assert build_schema(found.text).query_type is not None
    with serving(settings_for(demo_url, tmp_path, fcgraph_env="production")) as api:
        refused = api.client.get("/schema.graphql")
        assert (refused.status_code, refused.json()["error"]["code"]) == (404, "NOT_FOUND")
        assert "production" in refused.json()["error"]["message"]
        assert "/schema.graphql" not in api.client.get("/").json()["links"]
