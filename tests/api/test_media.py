"""The headers Accept and Content-Type: quality, closeness, wildcards, and invalid values."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fcgraph.api.http.media import (
    ANSWERED,
    GRAPHQL,
    JSON,
    READ,
    VALUE_REMEMBERED_BYTES_MAX,
    VALUES_REMEMBERED_MAX,
    MediaType,
    prefers_html,
    response_type,
    wrong_with_json,
)

NEW, OLD = GRAPHQL.name, JSON.name
ACCEPTED: list[tuple[str, MediaType | None]] = [
    ("", JSON),
    ("*/*", JSON),
    ("application/*", JSON),
    (OLD, JSON),
    (NEW, GRAPHQL),
    (NEW.upper(), GRAPHQL),
    (f"{NEW}, {OLD};q=0.9", GRAPHQL),
    (f"{OLD};q=0.9, {NEW}", GRAPHQL),
    (f"{OLD}, {NEW}", GRAPHQL),
    (f"{OLD}, {NEW};q=0.9", JSON),
    (f"{OLD} ; q=0.50 ,{NEW} ; q=0.501", GRAPHQL),
    (f"{NEW};charset=utf-8", GRAPHQL),
    (f'{NEW};x="a,b;q=0";q=1', GRAPHQL),
    (f"{NEW};q=0, */*", JSON),
    (f"{NEW}, */*", GRAPHQL),
    (f"{NEW}, multipart/mixed, {OLD}", GRAPHQL),
    (f"{OLD}, multipart/mixed", JSON),
    (f"{OLD};q=0, */*", GRAPHQL),
    (f"{OLD};q=0, application/*", GRAPHQL),
    (f"{OLD};q=0.5, */*", JSON),  # the newer type is not named, so the client may not know it
    ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", JSON),
    ("application/*;q=0, */*", None),
    ("*/*;q=0", None),
    (f"{OLD};q=0", None),
    (f"{OLD};q=0, {NEW};q=0, */*;q=1", None),
    ("text/html", None),
    ("text/*, image/png", None),
    ("application/graphql+json", None),
    (f"{OLD}x", None),
    # Invalid parts are ignored.
    (",,, ,", JSON),
    ("nonsense", JSON),
    (f"nonsense, {NEW}", GRAPHQL),
    (f"{NEW};q=2, {OLD}", JSON),
    (f"{NEW};q=-1, {OLD}", JSON),
    (f"{NEW};q=x, {OLD}", JSON),
    (f"{NEW};q=0.1234, {OLD};q=0.1", JSON),
    (f"{NEW};q=, {OLD}", JSON),
    (f'"{NEW}, {OLD}', GRAPHQL),
]


@pytest.mark.parametrize(("accept", "wanted"), ACCEPTED)
def test_the_type_of_an_answer(accept: str, wanted: MediaType | None) -> None:
    assert response_type(accept.encode()) == wanted
    assert ANSWERED.get(accept.encode()) == wanted  # so the next time it is only looked up


def test_few_and_short_values_are_remembered() -> None:
    for n in range(3 * VALUES_REMEMBERED_MAX):
        assert response_type(f"{NEW}, text/x{n}".encode()) == GRAPHQL
        assert wrong_with_json(f"{OLD}; x={n}".encode()) is None
    assert 0 < len(ANSWERED) <= VALUES_REMEMBERED_MAX
    assert 0 < len(READ) <= VALUES_REMEMBERED_MAX
    long = b"; x=" + b"y" * VALUE_REMEMBERED_BYTES_MAX
    assert response_type(NEW.encode() + long) == GRAPHQL
    assert wrong_with_json(OLD.encode() + long) is None
    assert NEW.encode() + long not in ANSWERED
    assert OLD.encode() + long not in READ


BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"


@pytest.mark.parametrize(
    ("accept", "api_first", "page_first"),
    [
        (BROWSER, True, True),
        ("text/html", True, True),
        ("text/*", True, True),
        ("*/*", False, True),
        ("", False, True),
        (OLD, False, False),
        (NEW, False, False),
        (f"{OLD}, text/plain, */*", False, False),
        (f"text/html;q=0.9, {OLD}", False, False),
        (f"text/html, {OLD}", False, True),
        ("text/html;q=0, */*", False, False),
        ("image/png", False, False),
    ],
)
def test_who_wants_a_page(accept: str, api_first: bool, page_first: bool) -> None:
    assert prefers_html(accept.encode(), when_equal=False) is api_first
    assert prefers_html(accept.encode(), when_equal=True) is page_first


@pytest.mark.parametrize(
    ("content_type", "words"),
    [
        (OLD, None),
        ("Application/JSON", None),
        (f"{OLD}; charset=utf-8", None),
        (f'{OLD};charset="UTF-8"', None),
        (f"{OLD}; charset=utf8; x=y", None),
        (f"{OLD};", None),
        (f"{OLD}; charset=utf-16", "charset=utf-16"),
        (f"{OLD}; charset=iso-8859-1", "charset=iso-8859-1"),
        ("", "Send application/json"),
        ("text/plain", "Send application/json"),
        (f"{OLD}x", "Send application/json"),
        (NEW, "Send application/json"),
        ("application/x-www-form-urlencoded", "Send application/json"),
        ("application/graphql", "Send application/json"),
    ],
)
def test_the_type_of_a_body(content_type: str, words: str | None) -> None:
    found = wrong_with_json(content_type.encode())
    assert (found is None) == (words is None)
    assert (words or "") in (found or "")


PIECES = st.sampled_from(
    [OLD, NEW, "*/*", "text/html", ";q=0", ";q=0.5", ";q=1", ",", ";", '"', "\\", "=", "q", " ", "\xff", "é"]
)


@given(st.lists(PIECES, max_size=12).map("".join))
def test_no_value_is_too_irregular(value: str) -> None:
    raw = value.encode("utf-8")
    assert response_type(raw) in (JSON, GRAPHQL, None)
    assert prefers_html(raw, when_equal=True) in (True, False)
    assert wrong_with_json(raw) is None or wrong_with_json(raw)
