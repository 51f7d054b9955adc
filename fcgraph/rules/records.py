"""The rules: a raw row becomes a PaymentRecord, or a Rejection with every problem; a record may update a payment.

Pure: no I/O, no clock, no settings. All channels use these rules; `fast_rules` accepts only what they accept.
"""

from __future__ import annotations

import json
from collections.abc import Container, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from typing import Any, NamedTuple

from fcgraph.rules import amounts, envelopes, timestamps, words
from fcgraph.rules.timestamps import instant_text as instant_text
from fcgraph.rules.words import STATUSES as STATUSES
from fcgraph.rules.words import is_uuid as is_uuid

COLUMNS = ("transaction_id", "sender_id", "receiver_id", "amount", "currency", "timestamp", "status")
CONTENT = ("sender_id", "receiver_id", "amount", "currency", "timestamp")

BLANKS = " \t\r\n\v\f"  # trimmed from both ends of every value
NO_VALUE = "\\N"  # how PostgreSQL and MySQL write a missing value
EARLIEST = datetime(1900, 1, 1, tzinfo=UTC)
VALUE_SHOWN_MAX_CHARS = 200


class Outcome(StrEnum):
    """The outcome of a record; the list is complete."""

    INSERTED = "INSERTED"
    UPDATED = "UPDATED"
    DUPLICATE = "DUPLICATE"
    STALE = "STALE"
    CONFLICT = "CONFLICT"
    REJECTED = "REJECTED"


class Problem(NamedTuple):
    """One reason for a rejection. `column` is None if it concerns the whole row."""

    column: str | None
    code: str
    message: str
    value: str | None = None


class PaymentRecord(NamedTuple):
    """A row that passed the rules; every field is canonical text.

    UUIDs in lower case, amount as a plain decimal, currency in upper case, timestamp in UTC as
    `YYYY-MM-DDTHH:MM:SS[.ffffff]Z`.
    """

    transaction_id: str
    sender_id: str
    receiver_id: str
    amount: str
    currency: str
    timestamp: str
    status: str

    @property
    def decimal(self) -> Decimal:
        """The amount as an exact number."""
        return Decimal(self.amount)


class Rejection(NamedTuple):
    """A row that failed, with all its problems and, if readable, its amount and currency for the control totals."""

    problems: tuple[Problem, ...]
    transaction_id: str | None = None
    amount: Decimal | None = None
    currency: str | None = None


class CurrencyRule(NamedTuple):
    """What the rules need to know about a currency: its decimals, and the amount above which one is suspicious."""

    minor_units: int
    suspicious_above: Decimal


class Reference(NamedTuple):
    """What rows are checked against: known currencies, known users (canonical text), accepted range of timestamps."""

    currencies: Mapping[str, CurrencyRule]
    users: Container[str]
    latest: datetime
    earliest: datetime = EARLIEST


class _Problems(list[Problem]):
    """Collects the problems of one row."""

    def found(self, column: str | None, code: str, message: str, value: str | None = None) -> None:
        shown = value if value is None else value[:VALUE_SHOWN_MAX_CHARS].replace("\0", "\\0")  # NUL cannot be stored
        self.append(Problem(column, code, message, shown))


def check(row: Mapping[str, str | None], reference: Reference) -> PaymentRecord | Rejection:
    """Check a row (column -> raw text, None if absent) against every rule. Finds all problems, not only the first."""
    return _check(row, reference, _Problems())


def _check(row: Mapping[str, str | None], reference: Reference, problems: _Problems) -> PaymentRecord | Rejection:
    present: dict[str, str] = {}
    for column in COLUMNS:
        value = row.get(column)
        text = "" if value is None else value.strip()
        if value is None or not text or text == NO_VALUE:
            if not any(p.column == column for p in problems):
                problems.found(column, "MISSING_VALUE", f"{column} is missing", value)
        elif "\0" in value:
            problems.found(column, "INVALID_ENCODING", f"{column} has a NUL character", value)
        else:
            present[column] = value if text == value else value.strip(BLANKS)
    transaction_id = _uuid("transaction_id", present, problems)
    sender = _user("sender_id", "UNKNOWN_SENDER", present, reference, problems)
    receiver = _user("receiver_id", "UNKNOWN_RECEIVER", present, reference, problems)
    currency = _currency(present, reference, problems)
    amount = _amount(present, reference.currencies.get(currency or ""), problems)
    timestamp = _timestamp(present, reference, problems)
    status = _status(present, problems)
    if not problems and transaction_id and sender and receiver and amount and currency and timestamp and status:
        return PaymentRecord(transaction_id, sender, receiver, amount, currency, timestamp, status)
    readable = Decimal(amount) if amount else None
    return Rejection(tuple(problems), transaction_id, readable, currency)


def _uuid(column: str, present: Mapping[str, str], problems: _Problems) -> str | None:
    value = present.get(column)
    if value is None:
        return None
    if not is_uuid(value):
        problems.found(column, "INVALID_UUID", f"{column} {words.why_not_uuid(value)}", value)
        return None
    return value.lower()


def _user(column: str, code: str, present: Mapping[str, str], reference: Reference, problems: _Problems) -> str | None:
    user = _uuid(column, present, problems)
    if user is not None and user not in reference.users:
        problems.found(column, code, f"{column} does not match a known user", user)
    return user


def _currency(present: Mapping[str, str], reference: Reference, problems: _Problems) -> str | None:
    value = present.get("currency")
    if value is None:
        return None
    code = words.currency_code(value)
    if code is None:
        problems.found("currency", "INVALID_CURRENCY", f"currency {words.why_not_currency(value)}", value)
    elif code not in reference.currencies:
        problems.found("currency", "UNKNOWN_CURRENCY", f"currency {code} does not match a known currency", value)
    return code


def _amount(present: Mapping[str, str], rule: CurrencyRule | None, problems: _Problems) -> str | None:
    value = present.get("amount")
    if value is None:
        return None
    amount, violations = amounts.read(value, amounts.DECIMALS_MAX if rule is None else rule.minor_units)
    for violation in violations:
        problems.found("amount", violation.code, f"amount {violation.message}", value)
    return amount


def _timestamp(present: Mapping[str, str], reference: Reference, problems: _Problems) -> str | None:
    value = present.get("timestamp")
    if value is None:
        return None
    timestamp, violations = timestamps.read(value, reference.earliest, reference.latest)
    for violation in violations:
        problems.found("timestamp", violation.code, f"timestamp {violation.message}", value)
    return timestamp


def _status(present: Mapping[str, str], problems: _Problems) -> str | None:
    value = present.get("status")
    if value is None:
        return None
    status = words.status(value)
    if status is None:
        problems.found("status", "INVALID_STATUS", f"status {words.why_not_status(value)}", value)
    return status


def check_fields(
    fields: Sequence[str], header: Sequence[str | None], reference: Reference
) -> PaymentRecord | Rejection:
    """Check the fields of a CSV row. `header` has a column of COLUMNS for each field, None to ignore the field."""
    problems = _Problems()
    if len(fields) > len(header):
        extra = ",".join(fields[len(header) :])
        problems.found(None, "EXTRA_VALUES", f"the row has {len(fields)} values, the header {len(header)}", extra)
    row = {column: field for column, field in zip(header, fields, strict=False) if column is not None}
    return _check(row, reference, problems)


def reject(code: str, message: str) -> Rejection:
    """A rejection of a row that could not be parsed."""
    return Rejection((Problem(None, code, message),))


class _Number(str):
    """A JSON number as its original text, so that it is never converted to a float."""

    __slots__ = ()


class _BadJson(ValueError):
    """The text is not JSON of the accepted form; the message says why."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _BadJson("a key appears twice in one object")
    return found


def _constant(name: str) -> None:
    raise _BadJson(f"{name} is not JSON")


_JSON = json.JSONDecoder(
    parse_float=_Number, parse_int=_Number, parse_constant=_constant, object_pairs_hook=_object, strict=True
)
_NUMBER_COLUMNS = ("amount",)
_INVALID_CODE = {
    "transaction_id": "INVALID_UUID",
    "sender_id": "INVALID_UUID",
    "receiver_id": "INVALID_UUID",
    "amount": "INVALID_AMOUNT",
    "currency": "INVALID_CURRENCY",
    "timestamp": "INVALID_TIMESTAMP",
    "status": "INVALID_STATUS",
}


def read_message(value: bytes | None) -> dict[str, Any] | Rejection:
    """The JSON object in a Kafka value, numbers as exact text; a Rejection if the value is not one."""
    if value is None:
        return reject("INVALID_JSON", envelopes.TOMBSTONE)
    framed = envelopes.framed(value)
    if framed is not None:
        return reject("UNSUPPORTED_ENVELOPE", framed)
    try:
        text = value.decode("utf-8-sig")
    except UnicodeDecodeError as e:
        return reject("INVALID_ENCODING", f"the message is not UTF-8 at byte {e.start}")
    if "\0" in text:
        return reject("INVALID_ENCODING", "the message has a NUL byte")
    try:
        found = _JSON.decode(text)
    except _BadJson as e:
        return reject("INVALID_JSON", f"the message is not a JSON object: {e}")
    except json.JSONDecodeError as e:
        return reject("INVALID_JSON", f"the message is not valid JSON: {e.msg} at character {e.pos}")
    except RecursionError:
        return reject("INVALID_JSON", "the JSON of the message is nested too deeply")
    if not isinstance(found, dict):
        return reject("INVALID_JSON", "the message is valid JSON but not an object")
    wrapped = envelopes.wrapped(found)
    return found if wrapped is None else reject("UNSUPPORTED_ENVELOPE", wrapped)


def check_message(found: Mapping[str, Any] | Rejection, reference: Reference) -> PaymentRecord | Rejection:
    """Check the result of `read_message` against the rules."""
    if isinstance(found, Rejection):
        return found
    problems = _Problems()
    row: dict[str, str | None] = {}
    for column in COLUMNS:
        value = found.get(column)
        if value is None or (isinstance(value, str) and (not isinstance(value, _Number) or column in _NUMBER_COLUMNS)):
            row[column] = None if value is None else _without_lone_surrogates(value)
        else:
            kind = (
                "number" if isinstance(value, _Number) else {bool: "boolean", list: "array"}.get(type(value), "object")
            )
            problems.found(column, _INVALID_CODE[column], f"{column} is a JSON {kind}; send a string", _shown(value))
    return _check(row, reference, problems)


def _without_lone_surrogates(value: str) -> str:
    """Escape lone surrogates, which JSON can express and UTF-8 cannot."""
    return value.encode("utf-8", "backslashreplace").decode("utf-8")


def _shown(value: object) -> str:
    return _without_lone_surrogates(str(value) if isinstance(value, str) else json.dumps(value))


def suspicions(amount: Decimal, rule: CurrencyRule, *, self_transfer: bool) -> tuple[str, ...]:
    """Why a payment is suspicious; empty if it is not. The threshold itself is not suspicious."""
    found = ("AMOUNT_OVER_THRESHOLD",) if amount > rule.suspicious_above else ()
    return (*found, "SELF_TRANSFER") if self_transfer else found


@lru_cache(maxsize=4096)
def _same_amount(one: str, other: str) -> bool:
    return Decimal(one) == Decimal(other)


def differences(stored: PaymentRecord, incoming: PaymentRecord) -> tuple[tuple[str, str, str], ...]:
    """The content fields that differ by value, as (field, stored, incoming). The status is not content."""
    return tuple(
        (field, old, new)
        for field, old, new in zip(COLUMNS, stored, incoming, strict=True)
        if field in CONTENT and old != new and not (field == "amount" and _same_amount(old, new))
    )


def decide(stored: PaymentRecord, incoming: PaymentRecord) -> Outcome:
    """The outcome of an incoming record whose id is already stored.

    Same content: the same status is a DUPLICATE, a step from pending is UPDATED, a step back to pending is STALE.
    Different content, or completed against failed, is a CONFLICT: the stored payment does not change.
    """
    if differences(stored, incoming):
        return Outcome.CONFLICT
    if stored.status == incoming.status:
        return Outcome.DUPLICATE
    if stored.status == "pending":
        return Outcome.UPDATED
    if incoming.status == "pending":
        return Outcome.STALE
    return Outcome.CONFLICT


def conflict_problems(stored: PaymentRecord, incoming: PaymentRecord) -> tuple[Problem, ...]:
    """A conflict expressed as problems, for lists that show rejections and conflicts together."""
    found = differences(stored, incoming)
    if found:
        return tuple(
            Problem(field, "CONTENT_DIFFERS", f"{field} is {old} in the stored payment", new)
            for field, old, new in found
        )
    message = f"the stored payment is {stored.status} and cannot change"
    return (Problem("status", "STATUS_REVERSAL", message, incoming.status),)
