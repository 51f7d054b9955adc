"""What no client means: generated documents and broken bodies, thrown at a running API; what came of them."""

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

import httpx2
from graphql import GraphQLSchema

from tests.api.generator import OperationMaker

JSON = "application/json"
MULTIPART = "multipart/form-data; boundary=x"
TOKEN = re.compile(r'"[^"]*"|[A-Za-z_0-9.\-]+|\S')
TRACES = ("Traceback", "request_failed", "resolver_failed", "Exception in ASGI")
# JSON texts in the place of a value. Some are no JSON at all.
ODD_VALUES = (
    "null", "true", "0", "-1", "1.5", "1e400", "-1e400", "1e-400", "9" * 400, "123456789012345678901234567890",
    '""', '"\\u0000"', '"\\ud800"', '"\\udc00\\ud800"', '"' + "x" * 5000 + '"', '"1e400"', '"NaN"', '"٣"', "NaN",
    "[]", "{}", "[[]]", "[null]", "[" * 70 + "]" * 70, "[" * 1000 + "]" * 1000, '{"a":' * 1000 + "1" + "}" * 1000,
    "[" + ",".join(["1"] * 101) + "]", '{"a": 1, "a": 2}', '{"__proto__": {}}', "\x00", "'", "undefined",
)  # fmt: skip
ODD_BYTES = (
    b"{", b"}", b"[", b"]", b'"', b",", b":", b"\\", b"\x00", b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\\u0000",
    b"\\ud800", b"null", b"$", b"...", b"@", b"#", b'"""', b"1e400", b"[" * 60, b"{" * 60, b"\r\n--x--\r\n",
    b"\xef\xbb\xbf",
)  # fmt: skip
ODD_TOKENS = (
    "{", "}", "(", ")", "[", "]", "$", "!", "@", ":", "=", "|", "&", "...", "on", "query", "mutation", "fragment",
    "null", "true", "__typename", "__schema", "nodes", "edges", "sender", "payments", "first", "after", "1e400",
    "9" * 5000, '"x"', '"""', "#", "\\", "\x00", "ä", "@include(if: true)", "... on Payment", "extend", "type", "-",
    "0x1", "1_000",
)  # fmt: skip


@dataclass(frozen=True)
class Throw:
    """A body and the headers it comes with; `seed` makes it again."""

    seed: int
    body: bytes
    headers: dict[str, str]


@dataclass
class Findings:
    """What came of many throws. `faults` must stay empty."""

    statuses: Counter[int] = field(default_factory=Counter)
    refused: int = 0
    slowest_refusal_seconds: float = 0.0
    slowest: Throw | None = None
    faults: list[tuple[Throw, str]] = field(default_factory=list)


def documents(schema: GraphQLSchema, seeds: Iterable[int]) -> Iterator[Throw]:
    """Generated operations: some valid, some with their tokens in disorder, some grown beyond every limit."""
    maker = OperationMaker(schema, everything=True)
    for seed in seeds:
        rnd = random.Random(seed)
        operation = maker.make(rnd)
        text = rnd.choice((_as_it_is, _in_disorder, _in_disorder, _grown))(rnd, operation.text)
        body = json.dumps({"query": text, "variables": operation.variables})
        yield Throw(seed, body.encode("utf-8", "surrogatepass"), {"Content-Type": JSON})


def _as_it_is(rnd: random.Random, text: str) -> str:
    return text


def _in_disorder(rnd: random.Random, text: str) -> str:
    tokens = TOKEN.findall(text)
    for _ in range(rnd.randint(1, 6)):
        at = rnd.randrange(len(tokens))
        how = rnd.random()
        if how < 0.3:
            tokens[at] = rnd.choice(ODD_TOKENS)
        elif how < 0.6:
            tokens.insert(at, rnd.choice(ODD_TOKENS))
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
        headers = {"Content-Type": content_type, "X-Requested-With": "fuzz"}
        if rnd.random() < 0.05:
            headers["Content-Type"] = rnd.choice(
                ("", "text/plain", "application/json; charset=x", "multipart/form-data")
            )
        yield Throw(seed, body, headers)


def _broken_bytes(rnd: random.Random, request: dict[str, Any]) -> tuple[str, bytes]:
    return JSON, _with_odd_bytes(rnd, json.dumps(request).encode())


def _with_odd_bytes(rnd: random.Random, text: bytes) -> bytes:
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
            body[at:at] = rnd.choice(ODD_BYTES)
    return bytes(body)


def _broken_json(rnd: random.Random, request: dict[str, Any]) -> tuple[str, bytes]:
    """One value, somewhere in the request, is another; written as text, because some are no JSON."""
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
    text = json.dumps(request).replace('"PLACE"', rnd.choice(ODD_VALUES), 1)
    if rnd.random() < 0.1:
        text = f"{text[:-1]}, {json.dumps(rnd.choice(list(request)))}: {rnd.choice(ODD_VALUES)}}}"
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
    return MULTIPART, _with_odd_bytes(rnd, body) if rnd.random() < 0.7 else body


def throw_all(url: str, throws: Iterable[Throw], log: Path, note: Callable[[], object] = lambda: None) -> Findings:
    """Send them one after the other. A fault is a 5xx other than a 503 that says so, a masked bug, or a traceback."""
    found = Findings()
    with httpx2.Client(base_url=url, timeout=60) as client, log.open(encoding="utf-8", errors="replace") as lines:
        lines.seek(0, 2)
        for throw in throws:
            gc.disable()  # the pauses of this process are none of the API's
            began = time.perf_counter()
            response = client.post("/graphql", content=throw.body, headers=throw.headers)
            seconds = time.perf_counter() - began
            gc.enable()
            note()
            found.statuses[response.status_code] += 1
            refused = response.status_code != 200 or response.json().get("data") is None
            found.refused += refused
            if refused and seconds > found.slowest_refusal_seconds:
                found.slowest_refusal_seconds, found.slowest = seconds, throw
            trace = next((line for line in lines if any(t in line for t in TRACES)), None)
            told = response.status_code == 503 and "UNAVAILABLE" in response.text
            if (response.status_code >= 500 and not told) or "INTERNAL" in response.text or trace:
                found.faults.append((throw, trace or response.text))
    return found
