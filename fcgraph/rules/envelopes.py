"""What a Kafka value is when it is no plain payment: wrapped, framed or empty, and what to change at its producer.

Pure, as the rules are. A value that is recognised is a rejection like any other: stored with its bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

TOMBSTONE = (
    "the message has no value: it is a tombstone (a deletion marker of a compacted topic), and fcgraph deletes no"
    " payment; have the producer send none"
)
# The wire format of schema registries: a zero byte, the schema's id, the data. Older Apicurio serializers write the id
# in eight bytes, of which the first four are zero.
SCHEMA_ID_BYTES = (4, 8)
SCHEMA_IDS = 2**24
CONNECT_KEYS = frozenset(("schema", "payload"))
CLOUD_EVENT_KEYS = frozenset(("specversion", "id", "source", "type"))  # those that CloudEvents requires
DEBEZIUM_OPERATIONS = frozenset("crudtm")
ONE_PAYMENT = "and fcgraph takes the payment alone, as one JSON object"


def framed(value: bytes) -> str | None:
    """What is wrong with a value that a schema registry's serializer has framed; None for any other value."""
    if not value.startswith(b"\0"):
        return None
    schema_id, data = _taken_apart(value)
    # Text in UTF-16 and binary files begin with a zero byte as well; the ids of a registry are counted from 1.
    if not 0 < schema_id < SCHEMA_IDS:
        return None
    return (
        f"the message looks like {_format(data)} framed by a schema registry's serializer (schema id"
        f" {schema_id}); fcgraph takes plain JSON: send it with a plain JSON serializer, or from Kafka Connect with"
        " org.apache.kafka.connect.json.JsonConverter and value.converter.schemas.enable=false"
    )


def _taken_apart(value: bytes) -> tuple[int, bytes]:
    for id_bytes in SCHEMA_ID_BYTES:
        end = 1 + id_bytes
        schema_id = int.from_bytes(value[1:end], "big") if len(value) > end else 0
        if schema_id:
            return schema_id, value[end:]
    return 0, b""


def _format(data: bytes) -> str:
    return "JSON" if data.lstrip()[:1] == b"{" else "Avro or Protobuf"


def wrapped(found: Mapping[str, Any]) -> str | None:
    """What is wrong with an object that wraps a payment instead of being one; None for any other object.

    An object with a transaction_id is a payment, whatever else it carries.
    """
    if "transaction_id" in found:
        return None
    if found.keys() == CONNECT_KEYS and isinstance(found["schema"], dict | str | None):
        return _connect(found)
    if _is_debezium(found):
        return _debezium("")
    if "specversion" in found and found.keys() >= CLOUD_EVENT_KEYS:
        return (
            f"the message looks like a CloudEvents event in structured mode (specversion, data), {ONE_PAYMENT}: switch"
            " the producer to binary mode, or send what is in data alone"
        )
    return None


def _connect(found: Mapping[str, Any]) -> str:
    switch = "value.converter.schemas.enable=false"
    payload = found["payload"]
    if isinstance(payload, dict) and _is_debezium(payload):
        return _debezium(f", and {switch}")
    if payload is None:
        return (
            "the message is a Kafka Connect envelope without a payload, which is how a deletion is written, and fcgraph"
            f" deletes no payment; have the producer send none, and set {switch} at the connector"
        )
    return (
        f"the message looks like a Kafka Connect envelope (schema, payload), {ONE_PAYMENT}: set {switch} at the"
        " connector"
    )


def _is_debezium(found: Mapping[str, Any]) -> bool:
    operation = found.get("op")
    return (
        isinstance(operation, str)
        and operation in DEBEZIUM_OPERATIONS
        and not found.keys().isdisjoint(("before", "after"))
    )


def _debezium(more: str) -> str:
    return (
        f"the message looks like a Debezium change event (before, after, op), {ONE_PAYMENT}: set"
        f" transforms=unwrap and transforms.unwrap.type=io.debezium.transforms.ExtractNewRecordState{more} at the"
        " connector"
    )
