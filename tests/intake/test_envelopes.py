"""Kafka values that wrap a payment: each has one problem that says what the value looks like and what to change."""

from __future__ import annotations

import json
from typing import NamedTuple

import pytest

from fcgraph.rules import records
from fcgraph.rules.records import Rejection
from tests.intake.cases import GOOD, message
from tests.intake.channels import Resources

_JSON = message()
CONNECT = "value.converter.schemas.enable=false"
UNWRAP = "ExtractNewRecordState"
REGISTRY = "JsonConverter"
SCHEMA = {"type": "struct", "fields": [], "optional": False, "name": "payments"}
CHANGE = {"before": None, "after": GOOD, "source": {"connector": "postgresql"}, "op": "c", "ts_ms": 1746100800000}
EVENT = {"specversion": "1.0", "id": "1", "source": "/payments", "type": "payment.made"}


class Envelope(NamedTuple):
    """A value, and words that its only message must contain; `code` is UNSUPPORTED_ENVELOPE by default."""

    name: str
    value: bytes | None
    words: tuple[str, ...]
    code: str = "UNSUPPORTED_ENVELOPE"


def _dump(**fields: object) -> bytes:
    return json.dumps(fields).encode()


ENVELOPES = (
    Envelope("Connect", _dump(schema=SCHEMA, payload=GOOD), ("Kafka Connect", CONNECT)),
    Envelope("Connect without a schema", _dump(schema=None, payload=GOOD), ("Kafka Connect", CONNECT)),
    Envelope("Connect, the payload first", _dump(payload=GOOD, schema=SCHEMA), ("Kafka Connect", CONNECT)),
    Envelope("Connect, text as payload", _dump(schema={"type": "string"}, payload="x"), ("Kafka Connect", CONNECT)),
    Envelope("Connect, nothing as payload", _dump(schema=None, payload=None), ("deletion", CONNECT)),
    Envelope("Debezium, created", _dump(**CHANGE), ("Debezium", UNWRAP)),
    Envelope("Debezium, read", _dump(**{**CHANGE, "op": "r"}), ("Debezium", UNWRAP)),
    Envelope("Debezium, updated", _dump(**{**CHANGE, "op": "u", "before": GOOD}), ("Debezium", UNWRAP)),
    Envelope("Debezium, deleted", _dump(**{**CHANGE, "op": "d", "before": GOOD, "after": None}), ("Debezium", UNWRAP)),
    Envelope("Debezium, no before", _dump(after=GOOD, op="c"), ("Debezium", UNWRAP)),
    Envelope("Debezium with a schema", _dump(schema=SCHEMA, payload=CHANGE), ("Debezium", UNWRAP, CONNECT)),
    Envelope("CloudEvents", _dump(**EVENT, data=GOOD), ("CloudEvents", "binary mode")),
    Envelope("CloudEvents, base64", _dump(**EVENT, data_base64="e30="), ("CloudEvents", "binary mode")),
    Envelope("CloudEvents, no data", _dump(**EVENT), ("CloudEvents", "binary mode")),
    Envelope("CloudEvents 0.3", _dump(**{**EVENT, "specversion": "0.3"}, data=GOOD), ("CloudEvents", "binary mode")),
    Envelope("framed JSON", b"\0\0\0\0\1" + _JSON, ("JSON framed", "schema id 1)", REGISTRY)),
    Envelope("framed Avro", b"\0\0\1\x86\xa1\x48a1b2\x02\xff", ("Avro", "schema id 100001)", REGISTRY)),
    Envelope("framed Avro that is ASCII", b"\0\0\0\0\x07\x02ab", ("Avro", "schema id 7)", REGISTRY)),
    Envelope("framed Protobuf", b"\0\0\0\0\x2a\0\x0a\x24a1b2", ("Protobuf", "schema id 42)", REGISTRY)),
    Envelope("framed with an id of eight bytes", b"\0" + (9).to_bytes(8, "big") + _JSON, ("JSON framed", "id 9)")),
    Envelope("a tombstone", None, ("tombstone", "deletes no payment"), "INVALID_JSON"),
)

# Values that resemble an envelope but are not one.
OTHERS = (
    Envelope("a frame without data", b"\0\0\0\0\1", ("NUL",), "INVALID_ENCODING"),
    Envelope("zero bytes", b"\0" * 100, ("NUL",), "INVALID_ENCODING"),
    Envelope("UTF-16, big end first", _JSON.decode().encode("utf-16-be"), ("NUL",), "INVALID_ENCODING"),
    Envelope("an empty value", b"", ("not valid JSON",), "INVALID_JSON"),
)
PAYMENTS = (
    message(op="c", before=None, after=None),
    message(schema="public", payload="x"),
    message(**EVENT),
)
NO_ENVELOPES = (b'{"op": "c"}', b'{"op": ["c"], "after": 1}', b'{"schema": 1}', b'{"specversion": "1.0"}', b"{}")


@pytest.mark.parametrize("case", ENVELOPES + OTHERS, ids=lambda case: case.name)
def test_one_problem_says_what_the_value_is(case: Envelope) -> None:
    found = records.read_message(case.value)
    assert isinstance(found, Rejection)
    (problem,) = found.problems
    assert (problem.column, problem.code) == (None, case.code)
    assert [word for word in case.words if word not in problem.message] == []


@pytest.mark.parametrize("value", PAYMENTS + NO_ENVELOPES)
def test_an_object_that_only_resembles_an_envelope_meets_the_rules(value: bytes) -> None:
    assert not isinstance(records.read_message(value), Rejection)


def test_all_of_them_are_stored_with_their_bytes_and_stop_nothing(resources: Resources) -> None:
    resources.send([*((0, n, case.value) for n, case in enumerate(ENVELOPES)), (0, len(ENVELOPES), _JSON)])
    stored = resources.records()
    assert [(records.position, records.raw) for records in stored] == [
        (n, case.value or b"") for n, case in enumerate(ENVELOPES)
    ]
    assert [[problem["code"] for problem in records.problems] for records in stored] == [
        [case.code] for case in ENVELOPES
    ]
    assert len(resources.payments()) == 1
