"""Requests to /graphql: a query string, JSON, or multipart with one file. Their size is limited while they arrive.

Everything else is refused with an HTTP status. Uploads are streamed to a temporary file, never into memory.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

import orjson
from python_multipart.multipart import parse_options_header
from starlette.datastructures import Headers as RequestHeaders
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.types import Message, Receive, Scope
from strawberry.file_uploads.utils import replace_placeholders_with_files

from fcgraph.errors import StorageFull
from fcgraph.settings import Settings
from fcgraph.storage.files import NO_ROOM

# A browser sends these to another site only after a CORS preflight, so other sites cannot post a form here.
PREFLIGHT_HEADERS = ("x-requested-with", "apollo-require-preflight", "graphql-require-preflight", "x-graphql-client")
PARTS_OVERHEAD_BYTES = 16 * 1024  # part headers and boundaries around a file
FIELDS = (b"operations", b"map")
FILE_NAME = b"upload.csv"  # for a file without a name
PARAMETERS_MAX = 20  # of a query string; four are used


Headers = tuple[tuple[bytes, bytes], ...]  # of an answer


class BadBody(Exception):
    """The body is not a GraphQL request; `status` is the HTTP status."""

    def __init__(
        self,
        status: int,
        message: str,
        code: str = "BAD_USER_INPUT",
        headers: Headers = (),
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.headers = headers


class Gone(Exception):
    """The client disconnected while sending."""


@dataclass(slots=True)
class Request:
    """A GraphQL request as received."""

    query: str
    variables: dict[str, Any]
    operation_name: str | None


async def read(receive: Receive, bytes_max: int, setting: str) -> bytes:
    """The whole body. Raises BadBody 413 as soon as it is too long."""
    message = await receive()
    body: bytes = message.get("body", b"")
    if not message.get("more_body") and len(body) <= bytes_max and message["type"] == "http.request":
        return body
    parts, size = [], 0
    while True:
        if message["type"] != "http.request":
            raise Gone
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > bytes_max:
            raise _too_large(bytes_max, setting)
        if not message.get("more_body"):
            return b"".join(parts)
        message = await receive()


def _too_large(bytes_max: int, setting: str) -> BadBody:
    return BadBody(413, f"The body is larger than {bytes_max} bytes ({setting})", "QUERY_TOO_COMPLEX")


def parse(body: bytes) -> Request:
    """A JSON body. Raises BadBody."""
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError as e:
        raise _unreadable(body) from e
    return request_of(found)


def check_encoding(content_encoding: bytes) -> None:
    """Raises BadBody 415 when the body is compressed; its headers name the accepted encoding (RFC 9110)."""
    if content_encoding.strip().lower() not in (b"", b"identity"):
        raise BadBody(
            415, "Send the body uncompressed, without Content-Encoding", headers=((b"accept-encoding", b"identity"),)
        )


def _unreadable(body: bytes) -> BadBody:
    """The error for a body that is not JSON in UTF-8, with a guess at what it is."""
    if body.startswith((b"\x1f\x8b", b"\x28\xb5\x2f\xfd")):
        return BadBody(415, "The body looks compressed: send it uncompressed, without Content-Encoding")
    encoding = json.detect_encoding(body)
    if encoding == "utf-8-sig":
        return BadBody(415, "The body starts with a byte order mark: send UTF-8 without one (charset=utf-8)")
    if encoding != "utf-8":
        return BadBody(415, f"The body looks like {encoding.upper()}: send it as UTF-8 (charset=utf-8)")
    try:
        body.decode("utf-8")
    except UnicodeDecodeError as e:
        return BadBody(400, f"The body is not UTF-8 from byte {e.start} on")
    return BadBody(400, "The body is not JSON")


def of_query_string(query_string: bytes, bytes_max: int) -> Request:
    """The request of a GET. Raises BadBody."""
    if len(query_string) > bytes_max:
        message = f"The query string is longer than {bytes_max} bytes (BODY_MAX_BYTES)"
        raise BadBody(414, message, "QUERY_TOO_COMPLEX")
    try:
        pairs = parse_qsl(
            query_string.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=PARAMETERS_MAX
        )
    except UnicodeDecodeError as e:
        raise BadBody(400, "The query string is not percent-encoded UTF-8") from e
    except ValueError as e:
        raise BadBody(400, f"The query string has more than {PARAMETERS_MAX} parameters") from e
    found: dict[str, Any] = dict(pairs)
    if len(found) != len(pairs):
        raise BadBody(400, "The query string has a parameter twice")
    for name in ("variables", "extensions"):
        if name in found:
            try:
                found[name] = orjson.loads(found[name])
            except orjson.JSONDecodeError as e:
                raise BadBody(400, f"`{name}` is not JSON") from e
    return request_of(found)


def request_of(found: object) -> Request:
    """The parts of a request, checked for their types. Raises BadBody."""
    if isinstance(found, list):
        raise BadBody(400, "Send one operation at a time: batches are not supported")
    if not isinstance(found, dict):
        raise BadBody(400, "The body is not a JSON object")
    query, variables, name = found.get("query"), found.get("variables"), found.get("operationName")
    if not isinstance(query, str) or not query.strip():
        raise BadBody(400, "`query` is missing or not text")
    if variables is not None and not isinstance(variables, dict):
        raise BadBody(400, "`variables` is not an object")
    if name is not None and not isinstance(name, str):
        raise BadBody(400, "`operationName` is not text")
    if not isinstance(found.get("extensions"), dict | None):
        raise BadBody(400, "`extensions` is not an object")
    return Request(query, variables or {}, name or None)


class Parts(MultiPartParser):
    """Treats every part except `operations` and `map` as a file, even without a file name, as streaming clients do.

    Starlette's parser treats a part without a file name as a field and holds it in memory. This uses its private API.
    """

    def on_headers_finished(self) -> None:
        part = self._current_part
        _, options = parse_options_header(part.content_disposition)
        if part.content_disposition and b"filename" not in options and options.get(b"name") not in FIELDS:
            part.content_disposition += b'; filename="%s"' % FILE_NAME
        super().on_headers_finished()


@asynccontextmanager
async def multipart(scope: Scope, receive: Receive, settings: Settings) -> AsyncIterator[Request]:
    """A request with one file, following the GraphQL multipart request specification. Raises BadBody."""
    headers = RequestHeaders(scope=scope)
    if not any(name in headers for name in PREFLIGHT_HEADERS):
        raise BadBody(403, f"multipart/form-data needs one of the headers {', '.join(PREFLIGHT_HEADERS)}", "FORBIDDEN")
    bytes_max = settings.upload_max_bytes + settings.body_max_bytes + PARTS_OVERHEAD_BYTES
    parser = Parts(
        headers,
        _stream(receive, bytes_max),
        max_files=1,
        max_fields=len(FIELDS),
        max_part_size=settings.body_max_bytes,
    )
    try:
        form = await parser.parse()
    except MultiPartException as e:
        if "maximum size" in e.message:
            raise _too_large(settings.body_max_bytes, "BODY_MAX_BYTES") from e
        raise BadBody(400, f"The body is not multipart/form-data with operations, map and one file: {e.message}") from e
    except (KeyError, UnicodeDecodeError, ValueError) as e:
        raise BadBody(400, "The body is not multipart/form-data with operations, map and one file") from e
    except OSError as e:
        if e.errno not in NO_ROOM:
            raise
        raise BadBody(503, f"No room for the uploaded file: {e.strerror}", StorageFull.code) from e
    try:
        operations = _json(form.get("operations"), "operations")
        places = _json(form.get("map"), "map")
        files = {key: part for key, part in form.items() if isinstance(part, UploadFile)}
        yield request_of(_put_in_place(operations, places, files))
    finally:
        await form.close()


async def _stream(receive: Receive, bytes_max: int) -> AsyncGenerator[bytes, None]:
    size = 0
    while True:
        message: Message = await receive()
        if message["type"] != "http.request":
            raise Gone
        block: bytes = message.get("body", b"")
        size += len(block)
        if size > bytes_max:
            raise BadBody(413, f"The upload is larger than {bytes_max} bytes (UPLOAD_MAX_BYTES)", "FILE_TOO_LARGE")
        yield block
        if not message.get("more_body"):
            return


def _json(part: object, name: str) -> dict[str, Any]:
    try:
        found = orjson.loads(part) if isinstance(part, str) else None
    except orjson.JSONDecodeError as e:
        raise BadBody(400, f"The part {name} is not JSON") from e
    if not isinstance(found, dict):
        raise BadBody(400, f"The part {name} is missing or not a JSON object")
    return found


def _put_in_place(operations: dict[str, Any], places: dict[str, Any], files: dict[str, UploadFile]) -> dict[str, Any]:
    try:
        return replace_placeholders_with_files(operations, places, files)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as e:
        raise BadBody(400, "The part map does not fit operations and files") from e
