"""Generated documents and broken bodies, sent to a running API, and their results."""

from __future__ import annotations

import gc
import json
import random
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote_from_bytes, urlencode

import httpx2
from graphql import GraphQLSchema

from tests.api.generator import OperationMaker

JSON = "application/json"
NEWER = "application/graphql-response+json"
MULTIPART = "multipart/form-data; boundary=x"
ACCEPTS = (
    JSON, JSON, NEWER, NEWER, "*/*", f"{NEWER}, {JSON};q=0.9", f"{JSON};q=0, */*", f"{NEWER};q=x", "", ",;q=,\"",
    "application/*;q=0.1", "text/html", "*/*;q=0", "text/html,*/*;q=0.8", "x" * 5000, f"{NEWER}," * 500,
)  # fmt: skip
TOKEN = re.compile(r'"[^"]*"|[A-Za-z_0-9.\-]+|\S')
TRACES = ("Traceback", "request_failed", "resolver_failed", "Exception in ASGI")
# JSON texts that replace a value. Some are not valid JSON.
UNUSUAL_VALUES = (
    "null", "true", "0", "-1", "1.5", "1e400", "-1e400", "1e-400", "9" * 400, "123456789012345678901234567890",
    '""', '"\\u0000"', '"\\ud800"', '"\\udc00\\ud800"', '"' + "x" * 5000 + '"', '"1e400"', '"NaN"', '"٣"', "NaN",
    "[]", "{}", "[[]]", "[null]", "[" * 70 + "]" * 70, "[" * 1000 + "]" * 1000, '{"a":' * 1000 + "1" + "}" * 1000,
    "[" + ",".join(["1"] * 101) + "]", '{"a": 1, "a": 2}', '{"__proto__": {}}', "\x00", "'", "undefined",
)  # fmt: skip
UNUSUAL_BYTES = (
    b"{", b"}", b"[", b"]", b'"', b",", b":", b"\\", b"\x00", b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\\u0000",
    b"\\ud800", b"null", b"$", b"...", b"@", b"#", b'"""', b"1e400", b"[" * 60, b"{" * 60, b"\r\n--x--\r\n",
    b"\xef\xbb\xbf",
)  # fmt: skip
UNUSUAL_TOKENS = (
    "{", "}", "(", ")", "[", "]", "$", "!", "@", ":", "=", "|", "&", "...", "on", "query", "mutation", "fragment",
    "null", "true", "__typename", "__schema", "nodes", "edges", "sender", "payments", "first", "after", "1e400",
    "9" * 5000, '"x"', '"""', "#", "\\", "\x00", "ä", "@include(if: true)", "... on Payment", "extend", "type", "-",
    "0x1", "1_000",
)  # fmt: skip


@dataclass(frozen=True)
class Throw:
    """A body with its headers, or the query string of a GET; `seed` reproduces it."""

    seed: int
    body: bytes
    headers: dict[str, str]
    query_string: str | None = None


@dataclass
class Findings:
    """The results of many requests. `faults` must stay empty."""

    statuses: Counter[int] = field(default_factory=Counter)
    refused: int = 0
    slowest_refusal_seconds: float = 0.0
    slowest: Throw | None = None
    faults: list[tuple[Throw, str]] = field(default_factory=list)


def documents(schema: GraphQLSchema, seeds: Iterable[int]) -> Iterator[Throw]:
    """Generated operations: some valid, some with shuffled tokens, some that exceed every limit."""
    maker = OperationMaker(schema, everything=True)
    for seed in seeds:
        rnd = random.Random(seed)
        operation = maker.make(rnd)
        text = rnd.choice((_as_it_is, _in_disorder, _in_disorder, _grown))(rnd, operation.text)
        body = json.dumps({"query": text, "variables": operation.variables})
        headers = {"Content-Type": JSON, "Accept": rnd.choice((JSON, NEWER, f"{NEWER}, {JSON};q=0.9"))}
        yield Throw(seed, body.encode("utf-8", "surrogatepass"), headers)


def queries(schema: GraphQLSchema, seeds: Iterable[int]) -> Iterator[Throw]:
    """Operations by GET: some valid, some shuffled, some with broken parameters or a broken query string."""
    maker = OperationMaker(schema, everything=True)
    for seed in seeds:
        rnd = random.Random(seed)
        operation = maker.make(rnd)
        text = rnd.choice((_as_it_is, _as_it_is, _in_disorder))(rnd, operation.text)
        parameters = {"query": text, "variables": json.dumps(operation.variables), "extensions": "{}"}
        how = rnd.random()
        if how < 0.3:
            parameters[rnd.choice(("variables", "extensions", "operationName"))] = rnd.choice(UNUSUAL_VALUES)
        elif how < 0.4:
            del parameters[rnd.choice(list(parameters))]
        query_string = urlencode(parameters, errors="surrogatepass")
        if how > 0.8:
            irregular = _with_unusual_bytes(rnd, query_string.encode())
            query_string = quote_from_bytes(irregular, safe="=&%+;")
        yield Throw(seed, b"", {"Accept": rnd.choice(ACCEPTS)}, query_string)


def _as_it_is(rnd: random.Random, text: str) -> str:
    return text


def _in_disorder(rnd: random.Random, text: str) -> str:
    tokens = TOKEN.findall(text)
    for _ in range(rnd.randint(1, 6)):
        at = rnd.randrange(len(tokens))
        how = rnd.random()
        if how < 0.3:
            tokens[at] = rnd.choice(UNUSUAL_TOKENS)
        elif how < 0.6:
            tokens.insert(at, rnd.choice(UNUSUAL_TOKENS))
        elif how < 0.8:
            tokens[at : at + rnd.randint(1, 5)] = []
        else:
            other = rnd.randrange(len(tokens))
            tokens[at], tokens[other] = tokens[other], tokens[at]
        tokens = tokens or ["{"]
    return " ".join(tokens)


def _grown(rnd: random.Random, text: str) -> str:
    n = rnd.choice((5, 30, 100, 190, 300, 900))
    names = ("code", "name", "__typename", "nope")
    return rnd.choice(
        (
            "{ currencies { " + " ".join(rnd.choice(names) for _ in range(n)) + " } }",
            "{ currencies { " + " ".join(f"a{i}: {rnd.choice(names)}" for i in range(n)) + " } }",
            "{ " + "users { nodes { payments { " * (n // 10 + 1) + "totalCount" + " } } }" * (n // 10 + 1) + " }",
            "{ " + "... { " * n + "__typename" + " }" * (n + 1),
            "{ payments(filter: " + "{a: [" * n + "1" + "]}" * n + ") { totalCount } }",
            "{ __typename " + " ".join(f"@include(if: {rnd.choice(('true', '1', '$v'))})" for _ in range(n)) + " }",
            f"query({' '.join(f'$v{i}: [Int]' for i in range(n))}) {{ __typename }}",
            "{ ...F0 } " + " ".join(f"fragment F{i} on Query {{ ...F{i + 1} ...F{i + 1} }}" for i in range(n)),
            "{ __schema { types { " + "fields { type { " * (n // 4) + "name" + " } }" * (n // 4) + " } } }",
            text + " fragment Unused on Currency { " + "code " * n + "}",
            " ".join(f"query Q{i} {{ currencies {{ code }} }}" for i in range(n // 5)),
            "{ " + " ".join(f"... on T{i} {{ a }}" for i in range(n // 4)) + " }",
        )
    )


def bodies(schema: GraphQLSchema, seeds: Iterable[int]) -> Iterator[Throw]:
    """Requests broken in their bytes, in their JSON, in their parts or in their headers."""
    maker = OperationMaker(schema, everything=True)
    for seed in seeds:
        rnd = random.Random(seed)
        operation = maker.make(rnd)
        request = {"query": operation.text, "variables": operation.variables, "operationName": "Q"}
        content_type, body = rnd.choice((_broken_bytes, _broken_json, _broken_json, _broken_parts))(rnd, request)
        headers = {"Content-Type": content_type, "X-Requested-With": "fuzz", "Accept": rnd.choice(ACCEPTS)}
        if rnd.random() < 0.05:
            headers["Content-Type"] = rnd.choice(
                ("", "text/plain", "application/json; charset=x", "multipart/form-data")
            )
        yield Throw(seed, body, headers)


def _broken_bytes(rnd: random.Random, request: dict[str, Any]) -> tuple[str, bytes]:
    return JSON, _with_unusual_bytes(rnd, json.dumps(request).encode())


def _with_unusual_bytes(rnd: random.Random, text: bytes) -> bytes:
    body = bytearray(text)
    for _ in range(rnd.randint(1, 4)):
        at = rnd.randrange(len(body) + 1)
        how = rnd.random()
        if how < 0.25 and at < len(body):
            body[at] = rnd.randrange(256)
        elif how < 0.5:
            del body[at : at + rnd.randint(1, 40)]
        elif how < 0.6:
            del body[at:]
        else:
            body[at:at] = rnd.choice(UNUSUAL_BYTES)
    return bytes(body)


def _broken_json(rnd: random.Random, request: dict[str, Any]) -> tuple[str, bytes]:
    """The request with one value replaced; written as text, because some values are not valid JSON."""
    places: list[tuple[Any, Any]] = []

    def walk(value: Any) -> None:
        for key in value if isinstance(value, dict) else range(len(value)):
            places.append((value, key))
            if isinstance(value[key], dict | list):
                walk(value[key])

    walk(request)
    inside = [p for p in places if p[0] is not request]
    holder, key = rnd.choice(inside if inside and rnd.random() < 0.7 else places)
    holder[key] = "PLACE"
    text = json.dumps(request).replace('"PLACE"', rnd.choice(UNUSUAL_VALUES), 1)
    if rnd.random() < 0.1:
        text = f"{text[:-1]}, {json.dumps(rnd.choice(list(request)))}: {rnd.choice(UNUSUAL_VALUES)}}}"
    return JSON, text.encode("utf-8", "surrogatepass")


def _broken_parts(rnd: random.Random, request: dict[str, Any]) -> tuple[str, bytes]:
    upload = "mutation($f: Upload!) { importCsv(input: {source: {upload: $f}}) { userErrors { code } } }"
    operations = {"query": upload, "variables": {"f": None}} if rnd.random() < 0.7 else request
    places: Any = rnd.choice(
        ({"0": ["variables.f"]}, {"0": ["variables.f.0"]}, {"0": []}, {"1": ["query"]}, [], {"0": [None]})
    )
    parts = [
        ("operations", "", json.dumps(operations)),
        ("map", "", json.dumps(places)),
        ("0", '; filename="f"', "a,b\n"),
    ]
    rnd.shuffle(parts)
    if rnd.random() < 0.3:
        parts.append(rnd.choice(parts))
    written = [f'--x\r\nContent-Disposition: form-data; name="{n}"{f}\r\n\r\n{v}\r\n' for n, f, v in parts]
    body = ("".join(written) + "--x--\r\n").encode()
    return MULTIPART, _with_unusual_bytes(rnd, body) if rnd.random() < 0.7 else body


def throw_all(url: str, throws: Iterable[Throw], log: Path, note: Callable[[], object] = lambda: None) -> Findings:
    """Send them one after the other. A fault is a 5xx other than an expected 503, a masked bug, or a traceback."""
    found = Findings()
    with httpx2.Client(base_url=url, timeout=60) as client, log.open(encoding="utf-8", errors="replace") as lines:
        lines.seek(0, 2)
        for throw in throws:
            gc.disable()  # the pauses of this process are not the API's
            began = time.perf_counter()
            response = _sent(client, throw)
            seconds = time.perf_counter() - began
            gc.enable()
            note()
            found.statuses[response.status_code] += 1
            broken = _broken_promise(response)
            page = response.headers["content-type"].startswith("text/html")
            refused = response.status_code != 200 or (not page and response.json().get("data") is None)
            found.refused += refused
            if refused and seconds > found.slowest_refusal_seconds:
                found.slowest_refusal_seconds, found.slowest = seconds, throw
            trace = next((line for line in lines if any(t in line for t in TRACES)), None)
            unavailable = response.status_code == 503 and "UNAVAILABLE" in response.text
            if (response.status_code >= 500 and not unavailable) or "INTERNAL" in response.text or trace or broken:
                found.faults.append((throw, trace or broken or response.text))
    return found


def _sent(client: httpx2.Client, throw: Throw) -> httpx2.Response:
    if throw.query_string is None:
        return client.post("/graphql", content=throw.body, headers=throw.headers)
    return client.get(f"/graphql?{throw.query_string}", headers=throw.headers)


def _broken_promise(response: httpx2.Response) -> str:
    """How the answer violates the media types of the specification; None if it does not."""
    name = response.headers["content-type"].partition(";")[0]
    accept = response.request.headers["accept"]
    if name == "text/html":
        return "" if response.request.method == "GET" and "query=" not in str(response.request.url) else "a page"
    if name == NEWER and NEWER not in accept and "*" not in accept:
        return f"{NEWER} for Accept: {accept}"
    body = response.json()
    if name == NEWER and response.status_code == 200 and "data" not in body:
        return "200 without data"
    if response.status_code != 200 and body.get("data") is not None:
        return f"{response.status_code} with data"
    if name == NEWER and response.status_code != 200 and "data" in body:
        return f"{response.status_code} with a data entry"
    return ""
