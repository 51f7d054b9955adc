"""Kafka values that are not plain payments: wrapped, framed or empty, and what to change in the producer.

Pure, like the other rules. A recognised value becomes an ordinary rejection, stored with its bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

TOMBSTONE = (
    "the message has no value: it is a tombstone (a deletion marker of a compacted topic), and fcgraph deletes no"
    " payment; configure the producer not to send tombstones"
)
# The wire format of schema registries: a zero byte, the schema id, the data. Older Apicurio serializers write the id
# in eight bytes, of which the first four are zero.
SCHEMA_ID_BYTES = (4, 8)
SCHEMA_IDS = 2**24
CONNECT_KEYS = frozenset(("schema", "payload"))
CLOUD_EVENT_KEYS = frozenset(("specversion", "id", "source", "type"))  # required by CloudEvents
DEBEZIUM_OPERATIONS = frozenset("crudtm")
ONE_PAYMENT = "and fcgraph expects only the payment, as one JSON object"


def framed(value: bytes) -> str | None:
    """What is wrong with a value framed by a schema registry's serializer; None for any other value."""
    if not value.startswith(b"\0"):
        return None
    schema_id, data = _taken_apart(value)
    # UTF-16 text and binary files may also begin with a zero byte; schema ids are counted from 1.
    if not 0 < schema_id < SCHEMA_IDS:
        return None
    return (
        f"the message looks like {_format(data)} framed by a schema registry's serializer (schema id"
        f" {schema_id}); fcgraph expects plain JSON: send it with a plain JSON serializer, or from Kafka Connect with"
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

    An object with a transaction_id is a payment, whatever other keys it has.
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
            " the producer to binary mode, or send only the contents of data"
        )
    return None


def _connect(found: Mapping[str, Any]) -> str:
    switch = "value.converter.schemas.enable=false"
    payload = found["payload"]
    if isinstance(payload, dict) and _is_debezium(payload):
        return _debezium(f", and {switch}")
    if payload is None:
        return (
            "the message is a Kafka Connect envelope without a payload, which stands for a deletion, and fcgraph"
            f" deletes no payment; configure the producer not to send deletions, and set {switch} in the connector"
        )
    return (
        f"the message looks like a Kafka Connect envelope (schema, payload), {ONE_PAYMENT}: set {switch} in the"
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
        f" transforms=unwrap and transforms.unwrap.type=io.debezium.transforms.ExtractNewRecordState{more} in the"
        " connector"
    )
