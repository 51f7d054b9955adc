"""Media types: evaluates the headers Accept and Content-Type as in RFC 9110 and GraphQL over HTTP.

Results are cached by header value, because clients send the same value with every request.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

T = TypeVar("T")
VALUES_REMEMBERED_MAX = 256
VALUE_REMEMBERED_BYTES_MAX = 512  # longer values are parsed each time
NAMED = 2  # the closeness of a type that was named itself
# The text between separators; separators within a quoted string do not count.
BETWEEN_COMMAS = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*")+')
BETWEEN_SEMICOLONS = re.compile(r'(?:[^;"]|"(?:[^"\\]|\\.)*")+')
QUALITY = re.compile(r"(?:0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)")
UTF_8 = ("utf-8", "utf8")
HTML = "text/html"


@dataclass(frozen=True, slots=True)
class MediaType:
    """A media type of answers. With `by_status`, the status shows whether the request was executed."""

    name: str
    header: bytes
    by_status: bool


JSON = MediaType("application/json", b"application/json; charset=utf-8", by_status=False)
GRAPHQL = MediaType(
    "application/graphql-response+json", b"application/graphql-response+json; charset=utf-8", by_status=True
)


class Wanted(NamedTuple):
    """How much a type is wanted, and how closely it was named: 2 by its name, 1 by `type/*`, 0 by `*/*`."""

    quality: float
    closeness: int


NOT_WANTED = Wanted(0.0, -1)


# Caches by header value; GraphQLEndpoint looks here before it calls the functions below.
ANSWERED: dict[bytes, MediaType] = {}  # Accept to the type of the answer
READ: dict[bytes, None] = {}  # Content-Types of bodies that are JSON


def response_type(accept: bytes) -> MediaType | None:
    """The type of the answer to a GraphQL request; None when the client accepts neither.

    A client that does not name application/graphql-response+json may not know it, so it gets application/json.
    """
    ranges = list(_ranges(accept)) or [("*/*", 1.0)]
    json, graphql = _wanted(JSON.name, ranges), _wanted(GRAPHQL.name, ranges)
    named = graphql.closeness == NAMED and graphql.quality >= json.quality
    if graphql.quality > 0 and (named or json.quality == 0):
        found = GRAPHQL
    elif json.quality > 0:
        found = JSON
    else:
        return None
    _remember(ANSWERED, accept, found)
    return found


def prefers_html(accept: bytes, *, when_equal: bool) -> bool:
    """Whether HTML is preferred to JSON; `when_equal` decides for `*/*` and a missing header."""
    ranges = list(_ranges(accept)) or [("*/*", 1.0)]
    html = _wanted(HTML, ranges)
    json = max(_wanted(JSON.name, ranges), _wanted(GRAPHQL.name, ranges))
    if html == json:
        return when_equal and html.quality > 0
    return html > json


def wrong_with_json(content_type: bytes) -> str | None:
    """The error message for the Content-Type of a JSON body; None when the type is right."""
    name, parameters = _parts(content_type.decode("latin-1"))
    if name != JSON.name:
        return "Send application/json, or multipart/form-data with a file"
    charset = parameters.get("charset", UTF_8[0]).lower()
    if charset not in UTF_8:
        return f"Send the body as UTF-8: charset={charset[:40]} is not supported"
    _remember(READ, content_type, None)
    return None


def _remember(values: dict[bytes, T], value: bytes, found: T) -> None:
    if len(value) <= VALUE_REMEMBERED_BYTES_MAX:
        if len(values) >= VALUES_REMEMBERED_MAX:
            values.clear()
        values[value] = found


def _ranges(accept: bytes) -> Iterator[tuple[str, float]]:
    """The media ranges with their quality; invalid ones are left out."""
    for element in BETWEEN_COMMAS.findall(accept.decode("latin-1")):
        name, parameters = _parts(element)
        quality = parameters.get("q", "1")
        if "/" in name and QUALITY.fullmatch(quality):
            yield name, float(quality)


def _parts(value: str) -> tuple[str, dict[str, str]]:
    """The type in lower case, and its parameters."""
    name, *rest = BETWEEN_SEMICOLONS.findall(value) or [""]
    parameters = {}
    for parameter in rest:
        key, _, text = parameter.partition("=")
        parameters[key.strip().lower()] = text.strip().strip('"')
    return name.strip().lower(), parameters


def _wanted(name: str, ranges: list[tuple[str, float]]) -> Wanted:
    """How much a type is wanted, by the most specific range."""
    by_closeness = ("*/*", f"{name.partition('/')[0]}/*", name)
    found = NOT_WANTED
    for range_name, quality in ranges:
        if range_name in by_closeness:
            closeness = by_closeness.index(range_name)
            if closeness > found.closeness or (closeness == found.closeness and quality > found.quality):
                found = Wanted(quality, closeness)
    return found
