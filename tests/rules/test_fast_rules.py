"""The fast path accepts nothing that the rules reject, and yields the same records for what it accepts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fcgraph.rules import fast_rules, records
from fcgraph.rules.fast_rules import Columns
from fcgraph.rules.records import COLUMNS, CurrencyRule, PaymentRecord, Reference
from tests.intake.cases import GOOD, VALUES

LATEST = datetime(2026, 1, 1, 12, 30, tzinfo=UTC)
RULE = CurrencyRule(2, Decimal(10000))
CURRENCIES = {"USD": RULE, "EUR": RULE, "PHP": CurrencyRule(3, Decimal(5))}
# Every possible number of decimals: none, one, two, three and four.
MORE_CURRENCIES = CURRENCIES | {code: CurrencyRule(n, Decimal(5)) for n, code in ((0, "JPY"), (1, "XBB"), (4, "CLF"))}


class Everybody:
    """The fast path leaves users to the validator, so here every user is known."""

    def __contains__(self, _: object) -> bool:
        return True


REFERENCE = Reference(CURRENCIES, Everybody(), LATEST)
OF_COLUMN = {column: sorted({v.text for v in VALUES if v.column == column}) for column in COLUMNS}


def value_of(column: str) -> st.SearchStrategy[str]:
    """The good value, a value of the table, or a value of the table with an inserted character of any script."""
    table = st.sampled_from([GOOD[column], *OF_COLUMN[column]])
    more = st.sampled_from(["0", "9", "٣", "３", "e5", "_", ".", "-", "+", " ", "Z", "a", "F", "\t", "é", "'", "5:00"])
    changed = st.builds(lambda text, at, extra: text[:at] + extra + text[at:], table, st.integers(0, 40), more)
    plain = {
        "amount": st.from_regex(r"\A[0-9]{1,17}(\.[0-9]{0,5})?\Z"),
        "timestamp": st.from_regex(
            r"\A(20[0-9]{2}|1[89][09][0-9]|000[01])-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9]Z\Z"
        ),
        "currency": st.one_of(st.sampled_from(sorted(MORE_CURRENCIES)), st.from_regex(r"\A[A-Z]{3}\Z")),
    }
    return st.one_of(st.just(GOOD[column]), table, changed, plain.get(column, table))


KNOWN = st.sampled_from([CURRENCIES, MORE_CURRENCIES, {"USD": RULE}])
EARLIEST = st.sampled_from([records.EARLIEST, datetime(1999, 1, 1, tzinfo=UTC), datetime(2025, 3, 1, tzinfo=UTC)])
ROWS = st.lists(st.fixed_dictionaries({column: value_of(column) for column in COLUMNS}), min_size=1, max_size=12)


def accepted(columns: Columns, n: int) -> PaymentRecord:
    return PaymentRecord(
        columns.transaction_id[n], columns.sender_id[n], columns.receiver_id[n], columns.amount[n],
        columns.currency[n], columns.timestamp[n], columns.status[n],
    )  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(rows=ROWS, order=st.permutations(COLUMNS), known=KNOWN, earliest=EARLIEST)
def test_csv_rows_accepted_by_the_fast_path_are_the_rules_records(
    rows: list[dict[str, str]], order: list[str], known: dict[str, CurrencyRule], earliest: datetime
) -> None:
    rows = [{c: v.replace(",", "").replace("\n", "").replace('"', "") for c, v in row.items()} for row in rows]
    text = "".join(",".join(row[column] for column in order) + "\n" for row in rows)
    reference = REFERENCE._replace(currencies=known, earliest=earliest)
    parsed = fast_rules.CsvRows(order, known, LATEST, earliest).parse(text.encode().decode("latin-1"), range(len(rows)))
    found = list(enumerate(parsed.accepted.position))
    assert sorted([*(at for _, at in found), *(n for n, _ in parsed.rest)]) == list(range(len(rows)))
    for n, position in found:
        outcome = records.check(rows[position], reference)
        assert outcome == accepted(parsed.accepted, n)
        assert parsed.lines is None or parsed.lines[n] == ",".join(outcome)


@settings(max_examples=400, deadline=None)
@given(
    rows=ROWS,
    number=st.booleans(),
    separators=st.sampled_from([(", ", ": "), (",", ":"), (" ,", " : ")]),
    known=KNOWN,
    earliest=EARLIEST,
)
def test_messages_accepted_by_the_fast_path_are_the_rules_records(
    rows: list[dict[str, str]],
    number: bool,
    separators: tuple[str, str],
    known: dict[str, CurrencyRule],
    earliest: datetime,
) -> None:
    values = [json.dumps(row, ensure_ascii=False, separators=separators).encode() for row in rows]
    if number:
        values = [
            v.replace(f'"{r["amount"]}"'.encode(), r["amount"].encode()) for v, r in zip(values, rows, strict=True)
        ]
    parsed = fast_rules.JsonRows(known, LATEST, earliest).parse(
        b"\n".join([*values, b""]).decode("latin-1"), range(len(values))
    )
    reference = REFERENCE._replace(currencies=known, earliest=earliest)
    for n, position in enumerate(parsed.accepted.position):
        outcome = records.check_message(records.read_message(values[position]), reference)
        assert outcome == accepted(parsed.accepted, n)


def test_the_usual_row_takes_the_fast_way() -> None:
    text = ",".join(GOOD.values()) + "\n"
    parsed = fast_rules.CsvRows(COLUMNS, CURRENCIES, LATEST).parse(text, [7])
    assert parsed.rest == []
    assert list(parsed.accepted.position) == [7]
    for shape in (json.dumps(GOOD), json.dumps(GOOD).replace('"250.00"', "250.00")):
        assert fast_rules.JsonRows(CURRENCIES, LATEST).parse(shape + "\n", [3]).rest == []


def test_rows_near_the_future_are_left_to_the_rules_with_their_place() -> None:
    late = ",".join({**GOOD, "timestamp": "2026-01-01T12:30:00Z"}.values())
    good = ",".join(GOOD.values())
    parsed = fast_rules.CsvRows(COLUMNS, CURRENCIES, LATEST).parse(f"{good}\nbad\n{late}\n{good}\n", [2, 3, 4, 5])
    assert list(parsed.accepted.position) == [2, 5]
    assert parsed.lines == [good, good]
    assert parsed.rest == [(1, "bad"), (2, late)]


def test_without_currencies_nothing_is_accepted_by_the_fast_path() -> None:
    parsed = fast_rules.CsvRows(COLUMNS, {}, LATEST).parse(",".join(GOOD.values()) + "\n", [2])
    assert [n for n, _ in parsed.rest] == [0]


KINDS_OF_ORDER = (COLUMNS, tuple(reversed(COLUMNS)), ("currency", *(c for c in COLUMNS if c != "currency")))


@pytest.mark.parametrize("order", KINDS_OF_ORDER, ids=["usual", "reversed", "currency first"])
@pytest.mark.parametrize("decimals", range(5))
def test_a_currency_with_fewer_or_more_decimals_sends_no_row_to_the_rules(decimals: int, order: Sequence[str]) -> None:
    """The fast path accepts each currency's rows with all the decimals it allows, whatever the others allow."""
    known = {"USD": RULE, "EUR": RULE, "JPY": CurrencyRule(0, Decimal(5)), "BHD": CurrencyRule(3, Decimal(5))}
    known["XBB"] = CurrencyRule(decimals, Decimal(5))
    rows = [
        {**GOOD, "currency": code, "amount": "250" + (f".{'1' * places}" if places else "")}
        for code, rule in known.items()
        for places in range(rule.minor_units + 1)
    ]
    text = "".join(",".join(row[column] for column in order) + "\n" for row in rows)
    assert fast_rules.CsvRows(order, known, LATEST).parse(text, range(len(rows))).rest == []
    messages = "".join(json.dumps(row) + "\n" for row in rows)
    assert fast_rules.JsonRows(known, LATEST).parse(messages, range(len(rows))).rest == []


@pytest.mark.parametrize("year", [1000, 1899, 1900, 1970, 1999, 2000, 2024, 2025, 2026])
def test_the_first_year_is_taken_by_the_fast_path_and_the_one_before_is_not(year: int) -> None:
    earliest, far = datetime(year, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)
    years = [*range(year - 1, year + 120), 2999]
    rows = [{**GOOD, "timestamp": f"{n:04}-01-01T00:00:00Z"} for n in years]
    text = "".join(",".join(row.values()) + "\n" for row in rows)
    parsed = fast_rules.CsvRows(COLUMNS, CURRENCIES, far, earliest).parse(text, years)
    assert list(parsed.accepted.position) == years[1:]
