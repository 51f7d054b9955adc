"""The format of scalar values: exact, with one spelling each, and strict on input."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import NewType, TypeVar
from uuid import UUID

import strawberry
from strawberry.file_uploads import Upload, UploadDefinition
from strawberry.types.scalar import ScalarDefinition

from fcgraph.errors import BadInput

T = TypeVar("T")
BigInt = NewType("BigInt", int)
Month = NewType("Month", str)

DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
DATE_TIME = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt]([0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?)([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
DECIMAL = re.compile(r"-?[0-9]{1,15}(?:\.[0-9]{1,4})?")
MONTH = re.compile(r"(?!0000)[0-9]{4}-(?:0[1-9]|1[0-2])")
UUID_TEXT = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
BIG_INT = re.compile(r"-?[0-9]{1,19}")


def _matched(pattern: re.Pattern[str], value: object, meant: str) -> re.Match[str]:
    found = pattern.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError(f"Not {meant}")
    return found


def write_date_time(value: datetime) -> str:
    """RFC 3339 in UTC; a fraction only if it is not zero, without trailing zeros."""
    text = value.astimezone(UTC).isoformat()[:-6]
    return (text.rstrip("0") if "." in text else text) + "Z"


def read_date(value: object) -> date:
    text = _matched(DATE, value, "a date such as 2025-05-31")[0]
    try:
        return date.fromisoformat(text)
    except ValueError as e:
        raise ValueError("Not a day of the calendar") from e


def read_date_time(value: object) -> datetime:
    found = _matched(DATE_TIME, value, "an RFC 3339 date and time with an offset such as 2025-05-31T12:00:00Z")
    try:
        return datetime.fromisoformat(f"{found[1]}T{found[2]}{'+00:00' if found[3] in 'Zz' else found[3]}")
    except ValueError as e:
        raise ValueError("Not a moment of the calendar") from e


def write_decimal(value: Decimal) -> str:
    return format(value, "f")


def read_decimal(value: object) -> Decimal:
    if type(value) is int:
        value = str(value)
    return Decimal(_matched(DECIMAL, value, "a decimal in plain digits, as a string, with at most 4 decimals")[0])


def read_month(value: object) -> Month:
    return Month(_matched(MONTH, value, "a month such as 2025-05")[0])


def read_uuid(value: object) -> UUID:
    return UUID(_matched(UUID_TEXT, value, "a UUID")[0])


def read_big_int(value: object) -> BigInt:
    if type(value) is int:
        value = str(value)
    number = int(_matched(BIG_INT, value, "a whole number")[0])
    if not -(2**63) <= number < 2**63:
        raise ValueError("Not a 64-bit number")
    return BigInt(number)


def _input(read: Callable[[object], T]) -> Callable[[object], T]:
    """A reader for the schema: a ValueError becomes BadInput with the same message."""

    def arguments(value: object) -> T:
        try:
            return read(value)
        except ValueError as e:
            raise BadInput(str(e)) from e

    return arguments


SCALARS: dict[object, ScalarDefinition] = {
    date: strawberry.scalar(
        name="Date", description="A day, such as `2025-05-31`.", serialize=date.isoformat, parse_value=_input(read_date)
    ),
    datetime: strawberry.scalar(
        name="DateTime",
        description="RFC 3339, always with an offset; answers are in UTC with `Z`. Naive input is refused.",
        serialize=write_date_time,
        parse_value=_input(read_date_time),
    ),
    Decimal: strawberry.scalar(
        name="Decimal",
        description='Exact; a string at the currency\'s scale (`"250.00"`). Plain digits only on input.',
        serialize=write_decimal,
        parse_value=_input(read_decimal),
    ),
    UUID: strawberry.scalar(name="UUID", description="A UUID.", serialize=str, parse_value=_input(read_uuid)),
    Month: strawberry.scalar(
        name="Month", description="A month, such as `2025-05`.", serialize=str, parse_value=_input(read_month)
    ),
    BigInt: strawberry.scalar(
        name="BigInt",
        description="A 64-bit whole number, as a string: Kafka offsets, byte sizes.",
        serialize=str,
        parse_value=_input(read_big_int),
    ),
    Upload: UploadDefinition,
}
