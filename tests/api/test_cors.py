"""Cross-origin requests: nothing without the setting, and with it the listed origins alone, on every path."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from pydantic import ValidationError

from fcgraph.settings import Settings
from tests.api.cases import ZOE
from tests.api.client import Api, serving
from tests.api.conftest import settings_for

LISTED, OTHER = "https://app.example.com", "https://evil.example.com"
PATHS = ("/graphql", "/health", "/reports/x", f"/users/{ZOE}/payments", "/nope")
NOT_LISTED = (OTHER, "null", "https://app.example.com.evil.com", "http://app.example.com", f"{LISTED}:8443", "*")


@pytest.fixture(scope="module")
def listed(demo_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """An API that lists two origins."""
    settings = settings_for(
        demo_url, tmp_path_factory.mktemp("cors"), cors_allowed_origins=f"{LISTED.upper()} , http://[::1]:3000"
    )
    with serving(settings) as api:
        yield api


def cors(response: httpx2.Response) -> dict[str, str]:
    return {k: v for k, v in response.headers.items() if k.startswith("access-control-")}


def preflight(api: Api, path: str, origin: str, method: str = "POST") -> httpx2.Response:
    headers = {"Origin": origin, "Access-Control-Request-Method": method, "Access-Control-Request-Headers": "x"}
    response: httpx2.Response = api.client.options(path, headers=headers)
    return response


def requests(api: Api, origin: str, **headers: str) -> list[httpx2.Response]:
    sent = {"Origin": origin, **headers}
    found = [api.client.get(path, headers=sent) for path in PATHS]
    found.append(api.client.post("/graphql", json={"query": "{ __typename }"}, headers=sent))
    found.append(api.client.post("/graphql", content=b"{", headers=sent))
    return found


def test_without_the_setting_there_is_nothing(demo: Api) -> None:
    for path in PATHS:
        response = preflight(demo, path, LISTED)
        assert (response.status_code, cors(response)) == (404 if path == "/nope" else 405, {})
    for response in requests(demo, LISTED):
        assert cors(response) == {}
        assert "Origin" not in response.headers.get("vary", "")


@pytest.mark.parametrize("origin", [LISTED, "http://[::1]:3000"])
def test_a_listed_origin(listed: Api, origin: str) -> None:
    for path in PATHS[:-1]:
        found = preflight(listed, path, origin)
        assert (found.status_code, found.content) == (204, b"")
        headers = cors(found)
        assert headers["access-control-allow-origin"] == origin
        served = "GET, HEAD, POST" if path == "/graphql" else "GET, HEAD"
        assert headers["access-control-allow-methods"] == served
        allowed = headers["access-control-allow-headers"].lower().split(", ")
        assert {"authorization", "content-type", "x-requested-with", "apollo-require-preflight"} <= set(allowed)
        assert "access-control-allow-credentials" not in headers
        assert found.headers["vary"] == "Origin"
    for response in requests(listed, origin, Authorization="Bearer x"):
        headers = cors(response)
        assert headers.pop("access-control-allow-origin") == origin
        exposed = headers.pop("access-control-expose-headers").split(", ")
        assert {"X-Request-ID", "ETag", "Content-Disposition"} <= set(exposed)
        assert headers == {}
        assert "Origin" in response.headers["vary"]


@pytest.mark.parametrize("origin", NOT_LISTED)
def test_any_other_origin(listed: Api, origin: str) -> None:
    for path in PATHS:
        response = preflight(listed, path, origin)
        assert (response.status_code, cors(response)) == (404 if path == "/nope" else 405, {})
    for response in requests(listed, origin):
        assert cors(response) == {}
        assert "Origin" in response.headers["vary"]  # a cache must not give this answer to a listed origin


def test_no_origin_and_no_preflight(listed: Api) -> None:
    assert cors(listed.client.get("/health")) == {}
    assert listed.client.options("/graphql").headers["allow"] == "GET, HEAD, POST"
    plain = listed.client.options("/graphql", headers={"Origin": LISTED})
    assert (plain.status_code, plain.headers["access-control-allow-origin"]) == (405, LISTED)


def test_any_origin_is_for_requests_without_a_login(demo_url: str, tmp_path: Any) -> None:
    with serving(settings_for(demo_url, tmp_path, cors_allowed_origins="*")) as api:
        found = preflight(api, "/graphql", OTHER)
        assert (found.status_code, cors(found)["access-control-allow-origin"]) == (204, "*")
        assert "authorization" not in cors(found)["access-control-allow-headers"].lower()
        for response in requests(api, OTHER):
            assert cors(response)["access-control-allow-origin"] == "*"
        for response in requests(api, OTHER, Authorization="Bearer x"):
            assert cors(response) == {}


@pytest.mark.parametrize(
    "value",
    [
        "app.example.com",
        "https://app.example.com/",
        "https://app.example.com/path",
        "https://*.example.com",
        "ftp://app.example.com",
        "null",
        "*, https://app.example.com",
        "https://a b",
        "https://user@app.example.com",
        "https://app.example.com:port",
    ],
)
def test_what_is_no_origin_is_an_error_at_start(value: str) -> None:
    with pytest.raises(ValidationError):
        Settings.model_validate({"cors_allowed_origins": value})
    assert Settings.model_validate({"cors_allowed_origins": " , "}).cors_allowed_origins == ""
