"""Every invalid value gets a message with the reason and what to write instead."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from fcgraph.rules import records
from fcgraph.rules.records import CurrencyRule, Reference, Rejection
from tests.intake.cases import GOOD, STRANGER, USER

RULE = CurrencyRule(2, Decimal(10000))
REFERENCE = Reference(
    {"USD": RULE, "JPY": CurrencyRule(0, Decimal(10000))},
    {USER.format(n) for n in range(1, 8)},
    datetime(2026, 1, 1, tzinfo=UTC),
)

AMOUNTS = [
    ("$10.00", "amount has the currency symbol $; write the number alone, such as 250.00"),
    ("10.00 \u20ac", "currency symbol \u20ac"),
    ("10.00 USD", "has a currency code; write the code in the column currency"),
    ("USD10.00", "has a currency code"),
    ("1,000", "has a comma, which may separate thousands or decimals; write 1000.00, not 1,000.00"),
    ("1,000.00", "write 1000.00, not 1,000.00"),
    ("12,34,567.00", "has commas that separate thousands"),
    ("1.000,00", "has a decimal comma and points that separate thousands"),
    ("1.000.000", "has points that separate thousands"),
    ("250,00", "has a decimal comma; write a point, as in 250.00"),
    ("1'000.00", "has thousands separators"),
    ("1_000", "has thousands separators"),
    ("1 000.00", "has a space inside"),
    ("1\u202f000.00", "a space of another kind (U+202F)"),
    ("250.00\u00a0", "a space of another kind (U+00A0)"),
    ("250\n.00", "has a line end"),
    ("1e3", "has an exponent; write all digits"),
    ("2.5E+2", "has an exponent"),
    ("NaN", "is not a number"),
    ("-Infinity", "is not a number"),
    ("null", "is not a number"),
    ("0x1F", "is a hexadecimal number"),
    ("(5.00)", "is in parentheses, which mean a negative amount; an amount is zero or more"),
    ("5.00-", "has its sign at the end"),
    ("--5", "has more than one sign"),
    ("- 5", "has a space after its sign"),
    ("\u22125.00", "has the sign \u2212 (U+2212)"),
    ("\u0662\u0665\u0660", "has digits that are not 0 to 9"),
    ("\uff12\uff15\uff10", "has digits that are not 0 to 9"),
    ("250.00\u200f", "has an invisible character (U+200F)"),
    ("250.", "needs digits on both sides of the point"),
    (".5", "needs digits on both sides of the point"),
    ("5%", "has a percent sign"),
    ("two", "is not a plain decimal number such as 250.00"),
    ("1" * 16, "has more than 15 digits before the point"),
    ("1.999", "has 3 decimals and its currency allows 2; amounts are never rounded"),
    ("-5.00", "is below zero; it must be zero or more"),
]
TIMESTAMPS = [
    ("2025-05-01T23:59:60Z", "has second 60, a leap second"),
    ("2025-05-01T12:00:00", "has no offset; add Z for UTC, or an offset such as +08:00"),
    ("2025-05-01T12:00:00+0530", "has an offset without a colon; write +05:30, not +0530"),
    ("2025-05-01 12:00:00+0530", "has an offset without a colon"),
    ("2025-05-01T12:00:00+00", "has an offset without minutes; write +00:00, not +00"),
    ("2025-05-01 12:00:00+05:53:28", "has an offset with seconds"),
    ("2025-05-01T12:00Z", "has no seconds"),
    ("2025-05-01T12:00+08:00", "has no seconds"),
    ("2025-05-01 12:00", "has no seconds"),
    ("2025-05-01T12Z", "has no minutes and seconds"),
    ("2025-05-01", "is a date without a time"),
    ("2025-05-01T12:00:00,5Z", "has a comma before the fraction"),
    ("2025-05-01T12:00:00 +00:00", "has a space before its offset"),
    ("2025-05-01 12:00:00 +0000", "has a space before its offset"),
    ("2025-05-01T12:00:00 UTC", "has the name of a time zone"),
    ("2025-05-01T12:00:00+02:00[Europe/Berlin]", "has the name of a time zone"),
    ("2025-05-01 12:00:00 Asia/Manila", "has the name of a time zone"),
    ("0044-03-15 12:00:00+00 BC", "is before the year 1"),
    ("2025-05-01  12:00:00Z", "has something other than one T between date and time"),
    ("2025-05-01_12:00:00Z", "has something other than one T between date and time"),
    ("1746100800", "is a number, perhaps of seconds or milliseconds since 1970"),
    ("1746100800123", "is a number, perhaps of seconds or milliseconds since 1970"),
    ("1746100800.5", "is a number, perhaps of seconds or milliseconds since 1970"),
    ("45778.5", "is a number, not a date and time"),
    ("20250501", "lacks the separators - and :"),
    ("20250501T120000Z", "lacks the separators - and :"),
    ("2025/05/01 12:00:00", "has a date with / or ."),
    ("05/12/2025", "does not begin with the year, so day and month may be confused"),
    ("12.05.2025 10:00", "does not begin with the year"),
    ("5-12-25 10:00", "does not begin with the year"),
    ("2025-05-01 1:00 PM", "has a 12-hour time"),
    ("12025-05-01T12:00:00Z", "has a year of more than four digits"),
    ("2025-5-1T12:00:00Z", "has a month, day or time of one digit"),
    ("2025-13-01T12:00:00Z", "has month 13; months are 01 to 12"),
    ("2025-02-30T12:00:00Z", "has day 30; 2025-02 has 28 days"),
    ("2024-02-30T12:00:00Z", "has day 30; 2024-02 has 29 days"),
    ("2025-05-00T12:00:00Z", "has day 00"),
    ("2025-05-01T24:00:00Z", "has hour 24; write 00:00:00 of the next day"),
    ("2025-05-01T25:00:00Z", "has hour 25"),
    ("2025-05-01T12:60:00Z", "has minute 60"),
    ("2025-05-01T12:00:61Z", "has second 61"),
    ("2025-05-01T12:00:00+24:00", "has an offset out of range"),
    ("\uff12025-05-01T12:00:00Z", "has characters other than ASCII"),
    ("yesterday", "is not an RFC 3339 date and time such as 2025-05-01T12:00:00Z"),
    ("1899-12-31T23:59:59Z", "is before 1900, the first year accepted"),
    ("9999-12-31T23:59:59-01:00", "is too far in the future"),
]
IDS = [
    ("{a1b2c3d4-e5f6-7a8b-9c0d-000000000001}", "is in braces; write the UUID without them"),
    ("urn:uuid:a1b2c3d4-e5f6-7a8b-9c0d-000000000001", "has the prefix urn:uuid:"),
    (
        "A1B2C3D4E5F67A8B9C0D000000000001",
        "has no dashes; write it as a1b2c3d4-e5f6-7a8b-9c0d-000000000001",
    ),
    ("a1b2c3d4-e5f6-7a8b -9c0d-000000000001", "has a space inside"),
    ("\u00a0a1b2c3d4-e5f6-7a8b-9c0d-000000000001", "has a space inside"),
    ("a1b2c3d4-e5f6-7a8b-9c0d-0001", "a UUID has 32 hexadecimal digits, and this has 24"),
    ("a1b2c3d4e5f6-7a8b-9c0d-0000-00000001", "has its dashes in the wrong places"),
    ("1", "a UUID has 32 hexadecimal digits, and this has 1"),
    ("invalid-uuid", "is not a UUID like 00000000-0000-0000-0000-000000000001"),
]
CURRENCIES = [
    ("$", "has a currency symbol; write the code of three letters, such as USD"),
    ("840", "is a numeric code"),
    ("US", "must be a code of three letters A to Z, such as USD"),
    ("XXX", "currency XXX does not match a known currency"),
]
STATUSES = [
    ("whatever", "status must be pending, completed or failed"),
    ("Paid", "status must be pending, completed or failed; Paid usually means completed"),
    ("SUCCESS", "SUCCESS usually means completed"),
    ("processing", "processing usually means pending"),
    ("declined", "declined usually means failed"),
]
CASES = [
    *(("amount", *case) for case in AMOUNTS),
    *(("timestamp", *case) for case in TIMESTAMPS),
    *(("transaction_id", *case) for case in IDS),
    *(("currency", *case) for case in CURRENCIES),
    *(("status", *case) for case in STATUSES),
    ("sender_id", STRANGER, "sender_id does not match a known user"),
    ("receiver_id", STRANGER, "receiver_id does not match a known user"),
]


@pytest.mark.parametrize(("column", "value", "words"), CASES, ids=[f"{case[0]}={case[1]!r:.40}" for case in CASES])
def test_the_message_names_the_reason(column: str, value: str, words: str) -> None:
    expected = records.check({**GOOD, column: value}, REFERENCE)
    assert isinstance(expected, Rejection)
    (problem,) = expected.problems
    assert problem.message.startswith(f"{column} ")
    assert words in problem.message
    assert problem.value == value


@pytest.mark.parametrize("column", ["amount", "timestamp", "transaction_id", "currency", "status"])
@pytest.mark.parametrize("part", ["1", "1 ", "1am", "a ", "1,", "1.000,", "'1", "(", "2025-05-01 ", "\u0661"])
def test_a_very_long_value_is_refused_at_once(column: str, part: str) -> None:
    """In time linear to the text; a pattern with catastrophic backtracking would take hours."""
    expected = records.check({**GOOD, column: part * (60_000 // len(part)) + "\nx"}, REFERENCE)
    assert isinstance(expected, Rejection)
    assert all(len(problem.message) < 200 for problem in expected.problems)


@pytest.mark.parametrize(
    ("currency", "amount", "canonical"),
    [
        ("JPY", "1500.00", "1500"),
        ("JPY", "1500", "1500"),
        ("JPY", "1500.10", None),
        ("USD", "10.0000", "10.00"),
        ("USD", "10.5", "10.5"),
        ("USD", "10.5000", "10.50"),
        ("USD", "10.5001", None),
    ],
)
def test_zeros_that_say_nothing_are_cut_off(currency: str, amount: str, canonical: str | None) -> None:
    expected = records.check({**GOOD, "currency": currency, "amount": amount}, REFERENCE)
    assert (None if isinstance(expected, Rejection) else expected.amount) == canonical


def test_the_first_year_accepted_is_a_matter_of_the_reference() -> None:
    later = REFERENCE._replace(earliest=datetime(2020, 1, 1, tzinfo=UTC))
    old = records.check({**GOOD, "timestamp": "2020-01-01T00:59:59+01:00"}, later)
    assert isinstance(old, Rejection)
    assert [p.code for p in old.problems] == ["TIMESTAMP_TOO_OLD"]
    assert not isinstance(records.check({**GOOD, "timestamp": "2020-01-01T01:00:00+01:00"}, later), Rejection)
