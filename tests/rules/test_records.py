"""The rules alone: every value of the table, all problems of a row, and the outcome of an incoming record."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from fcgraph.rules import records
from fcgraph.rules.records import CurrencyRule, Outcome, PaymentRecord, Problem, Reference, Rejection
from tests.intake.cases import GOOD, MESSAGES, USER, VALUES, Message, Value

RULE = CurrencyRule(2, Decimal(10000))
REFERENCE = Reference(
    {"USD": RULE, "EUR": RULE, "PHP": RULE, "JPY": CurrencyRule(0, Decimal(10000))},
    {USER.format(n) for n in range(1, 8)},
    datetime(2026, 1, 1, tzinfo=UTC),
)
STORED = PaymentRecord(**{**GOOD, "status": "pending"})


def codes(expected: PaymentRecord | Rejection) -> tuple[str, ...]:
    return tuple(p.code for p in expected.problems) if isinstance(expected, Rejection) else ()


@pytest.mark.parametrize("case", VALUES, ids=lambda v: f"{v.column}={v.text!r}")
def test_every_value_gets_its_outcome(case: Value) -> None:
    expected = records.check({**GOOD, case.column: case.text}, REFERENCE)
    assert sorted(codes(expected)) == sorted(case.codes)
    if case.canonical is not None:
        assert isinstance(expected, PaymentRecord)
        assert getattr(expected, case.column) == case.canonical


@pytest.mark.parametrize("case", MESSAGES, ids=lambda m: m.name)
def test_every_message_gets_its_outcome(case: Message) -> None:
    expected = records.check_message(records.read_message(case.value), REFERENCE)
    assert sorted(codes(expected)) == sorted(case.codes)


def test_all_problems_of_a_row_are_found_with_column_and_value() -> None:
    row = {**GOOD, "transaction_id": "x", "amount": "-1.999", "status": "oops"}
    expected = records.check(row, REFERENCE)
    assert isinstance(expected, Rejection)
    assert [(p.column, p.code, p.value) for p in expected.problems] == [
        ("transaction_id", "INVALID_UUID", "x"),
        ("amount", "TOO_MANY_DECIMALS", "-1.999"),
        ("amount", "NEGATIVE_AMOUNT", "-1.999"),
        ("status", "INVALID_STATUS", "oops"),
    ]


def test_the_scale_is_the_currencys() -> None:
    assert codes(records.check({**GOOD, "currency": "JPY", "amount": "250.5"}, REFERENCE)) == ("TOO_MANY_DECIMALS",)
    assert codes(records.check({**GOOD, "currency": "JPY", "amount": "250"}, REFERENCE)) == ()


def test_a_shown_value_is_cut() -> None:
    expected = records.check({**GOOD, "status": "x" * 5000}, REFERENCE)
    assert isinstance(expected, Rejection)
    assert len(expected.problems[0].value or "") == records.VALUE_SHOWN_MAX_CHARS


def test_columns_a_row_does_not_have_are_missing_and_more_than_the_header_are_extra() -> None:
    header = (*records.COLUMNS, None)
    assert codes(records.check_fields([*GOOD.values(), "a comment"], header, REFERENCE)) == ()
    assert codes(records.check_fields([*GOOD.values(), "a", "b"], header, REFERENCE)) == ("EXTRA_VALUES",)
    assert codes(records.check_fields(list(GOOD.values())[:6], header, REFERENCE)) == ("MISSING_VALUE",)


@pytest.mark.parametrize(
    ("amount", "same", "expected"),
    [
        ("10000.00", False, ()),
        ("10000.01", False, ("AMOUNT_OVER_THRESHOLD",)),
        ("1", True, ("SELF_TRANSFER",)),
        ("10001", True, ("AMOUNT_OVER_THRESHOLD", "SELF_TRANSFER")),
    ],
)
def test_suspicious_is_strictly_above_the_threshold_or_to_oneself(
    amount: str, same: bool, expected: tuple[str, ...]
) -> None:
    assert records.suspicions(Decimal(amount), RULE, self_transfer=same) == expected


@pytest.mark.parametrize(
    ("stored", "changed", "outcome"),
    [
        ("pending", {"status": "pending"}, Outcome.DUPLICATE),
        ("pending", {"status": "pending", "amount": "250"}, Outcome.DUPLICATE),
        ("pending", {"status": "completed"}, Outcome.UPDATED),
        ("pending", {"status": "failed"}, Outcome.UPDATED),
        ("completed", {"status": "completed"}, Outcome.DUPLICATE),
        ("completed", {"status": "pending"}, Outcome.STALE),
        ("failed", {"status": "pending"}, Outcome.STALE),
        ("completed", {"status": "failed"}, Outcome.CONFLICT),
        ("failed", {"status": "completed"}, Outcome.CONFLICT),
        ("pending", {"status": "completed", "amount": "250.01"}, Outcome.CONFLICT),
        ("pending", {"status": "pending", "currency": "EUR"}, Outcome.CONFLICT),
        ("pending", {"status": "pending", "receiver_id": USER.format(3)}, Outcome.CONFLICT),
        ("pending", {"status": "pending", "timestamp": "2025-05-01T12:00:01Z"}, Outcome.CONFLICT),
    ],
)
def test_what_an_incoming_record_does(stored: str, changed: dict[str, str], outcome: Outcome) -> None:
    assert records.decide(STORED._replace(status=stored), STORED._replace(**changed)) is outcome


def test_a_conflict_names_the_fields_that_differ() -> None:
    incoming = STORED._replace(amount="9.00", currency="EUR")
    assert records.differences(STORED, incoming) == (("amount", "250.00", "9.00"), ("currency", "USD", "EUR"))
    assert [p.code for p in records.conflict_problems(STORED, incoming)] == ["CONTENT_DIFFERS"] * 2
    reversal = records.conflict_problems(STORED._replace(status="failed"), STORED._replace(status="completed"))
    assert reversal == (
        Problem("status", "STATUS_REVERSAL", "the stored payment is failed and cannot change", "completed"),
    )
