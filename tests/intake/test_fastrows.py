"""The quick way accepts nothing that the rules refuse, and says the same of what it accepts."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from fcgraph import fastrows, records
from fcgraph.fastrows import Columns
from fcgraph.records import COLUMNS, CurrencyRule, PaymentRecord, Reference
from tests.intake.cases import GOOD, VALUES

LATEST = datetime(2026, 1, 1, 12, 30, tzinfo=UTC)
RULE = CurrencyRule(2, Decimal(10000))
CURRENCIES = {"USD": RULE, "EUR": RULE, "PHP": CurrencyRule(3, Decimal(5))}


class Everybody:
    """The quick way leaves users to the judge, so here every user is known."""

    def __contains__(self, _: object) -> bool:
        return True


REFERENCE = Reference(CURRENCIES, Everybody(), LATEST)
OF_COLUMN = {column: sorted({v.text for v in VALUES if v.column == column}) for column in COLUMNS}


def value_of(column: str) -> st.SearchStrategy[str]:
    """The good value, a value of the table, or that one with a character of any script put in."""
    table = st.sampled_from([GOOD[column], *OF_COLUMN[column]])
    more = st.sampled_from(["0", "9", "٣", "３", "e5", "_", ".", "-", "+", " ", "Z", "a", "F", "\t", "é", "'", "5:00"])
    changed = st.builds(lambda text, at, extra: text[:at] + extra + text[at:], table, st.integers(0, 40), more)
    plain = {
        "amount": st.from_regex(r"\A[0-9]{1,17}(\.[0-9]{0,5})?\Z"),
        "timestamp": st.from_regex(r"\A20[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9]Z\Z"),
        "currency": st.from_regex(r"\A[A-Z]{3}\Z"),
    }
    return st.one_of(st.just(GOOD[column]), table, changed, plain.get(column, table))


ROWS = st.lists(st.fixed_dictionaries({column: value_of(column) for column in COLUMNS}), min_size=1, max_size=12)


def accepted(columns: Columns, n: int) -> PaymentRecord:
    return PaymentRecord(
        columns.transaction_id[n], columns.sender_id[n], columns.receiver_id[n], columns.amount[n],
        columns.currency[n], columns.timestamp[n], columns.status[n],
    )  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(rows=ROWS, order=st.permutations(COLUMNS))
def test_csv_rows_accepted_quickly_are_the_rules_records(rows: list[dict[str, str]], order: list[str]) -> None:
    rows = [{c: v.replace(",", "").replace("\n", "").replace('"', "") for c, v in row.items()} for row in rows]
    text = "".join(",".join(row[column] for column in order) + "\n" for row in rows)
    parsed = fastrows.CsvRows(order, CURRENCIES, LATEST).parse(text.encode().decode("latin-1"), range(len(rows)))
    kept = list(enumerate(parsed.accepted.position))
    assert sorted([*(at for _, at in kept), *(n for n, _ in parsed.rest)]) == list(range(len(rows)))
    for n, position in kept:
        verdict = records.check(rows[position], REFERENCE)
        assert verdict == accepted(parsed.accepted, n)
        assert parsed.lines is None or parsed.lines[n] == ",".join(verdict)


@settings(max_examples=400, deadline=None)
@given(rows=ROWS, number=st.booleans(), separators=st.sampled_from([(", ", ": "), (",", ":"), (" ,", " : ")]))
def test_messages_accepted_quickly_are_the_rules_records(
    rows: list[dict[str, str]], number: bool, separators: tuple[str, str]
) -> None:
    values = [json.dumps(row, ensure_ascii=False, separators=separators).encode() for row in rows]
    if number:
        values = [
            v.replace(f'"{r["amount"]}"'.encode(), r["amount"].encode()) for v, r in zip(values, rows, strict=True)
        ]
    parsed = fastrows.JsonRows(CURRENCIES, LATEST).parse(
        b"\n".join([*values, b""]).decode("latin-1"), range(len(values))
    )
    for n, position in enumerate(parsed.accepted.position):
        verdict = records.check_message(records.read_message(values[position]), REFERENCE)
        assert verdict == accepted(parsed.accepted, n)


def test_the_usual_row_takes_the_quick_way() -> None:
    text = ",".join(GOOD.values()) + "\n"
    parsed = fastrows.CsvRows(COLUMNS, CURRENCIES, LATEST).parse(text, [7])
    assert parsed.rest == []
    assert list(parsed.accepted.position) == [7]
    for shape in (json.dumps(GOOD), json.dumps(GOOD).replace('"250.00"', "250.00")):
        assert fastrows.JsonRows(CURRENCIES, LATEST).parse(shape + "\n", [3]).rest == []


def test_rows_near_the_future_are_left_to_the_rules_with_their_place() -> None:
    late = ",".join({**GOOD, "timestamp": "2026-01-01T12:30:00Z"}.values())
    good = ",".join(GOOD.values())
    parsed = fastrows.CsvRows(COLUMNS, CURRENCIES, LATEST).parse(f"{good}\nbad\n{late}\n{good}\n", [2, 3, 4, 5])
    assert list(parsed.accepted.position) == [2, 5]
    assert parsed.lines == [good, good]
    assert parsed.rest == [(1, "bad"), (2, late)]


def test_without_currencies_nothing_is_accepted_quickly() -> None:
    parsed = fastrows.CsvRows(COLUMNS, {}, LATEST).parse(",".join(GOOD.values()) + "\n", [2])
    assert [n for n, _ in parsed.rest] == [0]
