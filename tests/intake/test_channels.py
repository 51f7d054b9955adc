"""The table of cases through both channels into a real database: outcome, problems, origin and raw bytes of each."""

from __future__ import annotations

import csv
import io
import json
import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Literal

import pytest

from fcgraph.errors import Refused
from fcgraph.rules import records
from fcgraph.rules.records import COLUMNS, CurrencyRule, PaymentRecord, Reference, Rejection
from tests.intake.cases import FILES, GOOD, HEADER, LINES, MESSAGES, USER, VALUES
from tests.intake.channels import Resources, payment_id, row


def test_every_value_of_the_table_through_both_channels(resources: Resources) -> None:
    rows = []
    for n, case in enumerate(VALUES):
        values = {**GOOD, "transaction_id": payment_id(n)}
        if case.column != "transaction_id" or case.codes:
            values[case.column] = case.text
        rows.append(values)
    bad = {n: sorted(case.codes) for n, case in enumerate(VALUES) if case.codes}
    quoted = [
        '"' + '","'.join(r.values()) + '"' if any("," in v for v in r.values()) else ",".join(r.values()) for r in rows
    ]
    job = resources.import_csv("\n".join([HEADER, *quoted]) + "\n")
    by_csv = {records.position - 2: records for records in resources.records()}
    assert {n: sorted(p["code"] for p in records.problems) for n, records in by_csv.items()} == bad
    assert {n: records.raw.decode() for n, records in by_csv.items()} == {n: quoted[n] for n in bad}
    counts = resources.counts(job)
    assert (counts.read, counts.inserted, counts.rejected) == (len(rows), len(rows) - len(bad), len(bad))

    # The same rows as messages: good ones are already stored, bad ones have the same problems.
    resources.send([(0, n, json.dumps(values).encode()) for n, values in enumerate(rows)])
    by_kafka = [
        records for records in resources.records() if records.record_id not in {k.record_id for k in by_csv.values()}
    ]
    assert {records.position: sorted(p["code"] for p in records.problems) for records in by_kafka} == bad
    assert [(p["column"], p["code"], p["message"]) for records in by_kafka for p in records.problems] == [
        (p["column"], p["code"], p["message"]) for n in sorted(bad) for p in by_csv[n].problems
    ]
    (partition,) = resources.rows(
        "SELECT read_count, duplicate_count, rejected_count, first_offset, last_offset FROM kafka_ranges"
    )
    assert tuple(partition) == (len(rows), len(rows) - len(bad), len(bad), 0, len(rows) - 1)


def test_every_line_of_the_table(resources: Resources) -> None:
    """Each line is between two good rows, which must always be stored."""
    assert sum(bool(case.codes) for case in LINES) + sum(bool(case.codes) for case in VALUES) + len(FILES) >= 60
    for n, case in enumerate(LINES):
        around = [row(1000 + 2 * n).encode(), row(1001 + 2 * n).encode()]
        raw = case.raw.replace(GOOD["transaction_id"].encode(), payment_id(5000 + n).encode())
        job = resources.import_csv(b"\n".join([HEADER.encode(), around[0], raw, around[1], b""]))
        records = [k for k in resources.records() if k.import_id == job and k.position == 3]
        codes = [sorted(p["code"] for p in k.problems) for k in records][-1:] if case.codes else []
        assert codes == ([sorted(case.codes)] if case.codes else []), case.name
        counts = resources.counts(job)
        assert (counts.inserted, counts.rejected) == (2 + (not case.codes), bool(case.codes)), case.name
        if case.codes and len(raw) < resources.settings.csv_line_max_bytes:
            assert raw in [k.raw for k in records], case.name


def test_every_message_of_the_table(resources: Resources) -> None:
    assert sum(1 for m in MESSAGES if m.codes) >= 25
    values = [
        m.value and m.value.replace(GOOD["transaction_id"].encode(), payment_id(n).encode())
        for n, m in enumerate(MESSAGES)
    ]
    resources.send([(3, 100 + n, value) for n, value in enumerate(values)], slice_max=7)
    bad = {100 + n: sorted(m.codes) for n, m in enumerate(MESSAGES) if m.codes}
    records = resources.records()
    assert {k.position: sorted(p["code"] for p in k.problems) for k in records} == bad
    assert {k.position: k.raw for k in records} == {
        100 + n: values[n] or b"" for n, m in enumerate(MESSAGES) if m.codes
    }
    counts = resources.batch_counts()
    assert (counts.read, counts.inserted, counts.rejected) == (len(MESSAGES), len(MESSAGES) - len(bad), len(bad))
    amounts = dict(resources.rows("SELECT source_position, amount::text FROM transactions"))
    exact = next(100 + n for n, m in enumerate(MESSAGES) if m.name == "exact beyond a float")
    assert amounts[exact] == "999999999999999.9900"


PUT_IN = [
    "0",
    "9",
    "\u0663",
    "\uff13",
    "e5",
    "E+2",
    "_",
    ".",
    "-",
    "+",
    " ",
    "\u00a0",
    "\t",
    "Z",
    "A",
    "{",
    "'",
    '"',
    ",",
    "\n",
]


def generated(rnd: random.Random, n: int) -> dict[str, str]:
    """A row with mostly good values; the others come from the table or have a character inserted."""
    values = {
        **GOOD,
        "transaction_id": payment_id(n),
        "note": rnd.choice(["", "paid", "a, b", 'say "hello"', "two\nlines"]),
    }
    for column in rnd.sample(COLUMNS, rnd.choice([0, 0, 0, 1, 1, 2])):
        if column != "transaction_id":
            values[column] = rnd.choice([v.text for v in VALUES if v.column == column])
        if rnd.random() < 0.5:
            at = rnd.randrange(len(values[column]) + 1)
            values[column] = values[column][:at] + rnd.choice(PUT_IN) + values[column][at:]
    return values


@pytest.mark.parametrize("seed", range(6))
def test_generated_files_get_the_outcomes_of_the_rules_row_by_row(resources: Resources, seed: int) -> None:
    """Any order of columns, any quotes and line ends, through the real import; the model is `records.check`."""
    rnd = random.Random(seed)
    rows = [generated(rnd, n) for n in range(400)]
    order = rnd.sample([*COLUMNS, "note"], len(COLUMNS) + 1)
    out = io.StringIO()
    end = rnd.choice(["\n", "\r\n"])
    quoting: Literal[0, 1] = csv.QUOTE_ALL if rnd.random() < 0.5 else csv.QUOTE_MINIMAL
    writer = csv.DictWriter(out, order, lineterminator=end, quoting=quoting)
    writer.writeheader()
    lines = []
    for values in rows:
        lines.append(1 + len(out.getvalue().splitlines()))
        writer.writerow(values)
    job = resources.import_csv(out.getvalue())

    rule = CurrencyRule(2, Decimal(10000))
    users = {USER.format(n) for n in range(1, 8)}
    reference = Reference(dict.fromkeys(("USD", "EUR", "PHP"), rule), users, datetime.now(UTC) + timedelta(days=1))
    results = {line: records.check(values, reference) for line, values in zip(lines, rows, strict=True)}
    bad = {line: [p._asdict() for p in v.problems] for line, v in results.items() if isinstance(v, Rejection)}
    assert 20 < len(bad) < 380
    assert {records.position: records.problems for records in resources.records()} == bad
    stored = resources.rows(
        "SELECT source_position, transaction_id::text, sender_id::text, receiver_id::text, trim_scale(amount)::text,"
        " currency, timestamp, status FROM transactions"
    )
    good = {line: v for line, v in results.items() if isinstance(v, PaymentRecord)}
    assert {r[0]: (*r[1:4], Decimal(r[4]), r[5], records.instant_text(r[6]), r[7]) for r in stored} == {
        line: (*v[:3], v.decimal, *v[4:]) for line, v in good.items()
    }
    assert resources.counts(job).read == len(rows)


def test_columns_in_any_order_and_extra_ones_are_named(resources: Resources) -> None:
    order = [*reversed(COLUMNS), "comment", "_line"]
    values = {**GOOD, "comment": "paid, late", "_line": "7"}
    data = ",".join(order) + "\n" + ",".join(f'"{values[c]}"' for c in order) + "\n"
    job = resources.import_csv(data)
    assert resources.counts(job).inserted == 1
    assert resources.job(job).ignored_columns == ["comment"]


AMOUNT_LAST = [*(c for c in COLUMNS if c != "amount"), "amount"]
CUT_FILES = {
    "the usual order": (list(COLUMNS), False),
    "the amount last": (AMOUNT_LAST, False),
    "the amount last but for a note": ([*AMOUNT_LAST, "note"], False),
    "a rejects file": ([*AMOUNT_LAST, "_line", "_outcome", "_problems"], False),
    "a note of two lines before": (["note", *AMOUNT_LAST], False),
    "every value quoted": (AMOUNT_LAST, True),
}


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("name", CUT_FILES)
def test_wherever_a_file_is_cut_no_half_row_becomes_a_payment(resources: Resources, name: str, end: str) -> None:
    """From the last amount on, whose prefixes are amounts too; in the usual order at every byte of the row."""
    order, quoted = CUT_FILES[name]
    values = {
        **GOOD,
        "amount": "1234.56",
        "note": f'"one{end}two"',
        "_line": "7",
        "_outcome": "REJECTED",
        "_problems": "x",
    }
    rows = [{**values, "transaction_id": payment_id(n)} for n in (1, 2)]
    first, last = (",".join(f'"{row[c]}"' if quoted else row[c] for c in order) for row in rows)
    before = ",".join(order) + end + first + end
    for cut in range(1 if order == list(COLUMNS) else last.index("1234.56"), len(last)):
        resources.import_csv(before + last[:cut])
        amounts = [str(p[3]) for p in resources.payments()]
        # Columns after the amount may be ignored ones.
        assert amounts in (["1234.5600"], ["1234.5600"] * 2), last[:cut]
        if "," not in last[last.index("1234.56") : cut] and '"' not in last[last.index("1234.56") : cut]:
            assert amounts == ["1234.5600"], last[:cut]
    resources.import_csv(before + last + end)
    assert [str(p[3]) for p in resources.payments()] == ["1234.5600"] * 2


@pytest.mark.parametrize("stamp", ["2025-05-20 10:00:00+05:30", " 2025-05-20 10:00:00.25-03:30"])
def test_a_file_cut_off_within_the_offset_of_its_last_timestamp_gives_no_payment(
    resources: Resources, stamp: str
) -> None:
    """+05 is a prefix of +05:30; in PostgreSQL's form both are offsets."""
    order = [*(c for c in COLUMNS if c != "timestamp"), "timestamp"]
    first, last = (
        ",".join({**GOOD, "transaction_id": payment_id(n), "timestamp": stamp}[c] for c in order) for n in (1, 2)
    )
    before = ",".join(order) + "\n" + first + "\n"
    for cut in range(last.index(stamp), len(last)):
        resources.import_csv(before + last[:cut])
        assert len(resources.payments()) == 1, last[:cut]
    resources.import_csv(before + last)
    assert [p[5] for p in resources.payments()] == [resources.payments()[0][5]] * 2


def test_a_whole_amount_in_quotes_may_end_a_file(resources: Resources) -> None:
    """The closing quote shows that the amount is complete, with or without blanks in it or a line end after it."""
    header = ",".join(AMOUNT_LAST)
    for n, amount in enumerate(('"250.00"', '" 250.00 "', '"1500"')):
        values = {**GOOD, "transaction_id": payment_id(n), "amount": amount}
        job = resources.import_csv(header + "\n" + ",".join(values[c] for c in AMOUNT_LAST))
        assert (resources.counts(job).inserted, resources.counts(job).rejected) == (1, 0), amount


def test_every_file_of_the_table_is_refused_and_leaves_nothing(resources: Resources) -> None:
    for case in FILES:
        with pytest.raises(Refused) as refused:
            resources.accept(case.data)
        assert (refused.value.code, refused.value.path) == (case.code, ("input", "source")), case.name
        assert case.word in refused.value.message, case.name
    assert resources.rows("SELECT count(*) FROM imports")[0][0] == 0
    assert list(resources.settings.uploads_dir.iterdir()) == []


def test_lineage_of_every_payment(resources: Resources) -> None:
    job = resources.import_rows([row(1), row(2)])
    resources.send([(4, 17, json.dumps({**GOOD, "transaction_id": payment_id(3)}).encode())])
    found = resources.rows(
        "SELECT t.transaction_id::text, b.kind, b.import_id, k.topic, t.source_partition, t.source_position"
        " FROM transactions t JOIN intake_batches b USING (batch_id) LEFT JOIN kafka_topics k USING (topic_ref)"
        " ORDER BY 1"
    )
    assert [tuple(r) for r in found] == [
        (payment_id(1), "CSV", job, None, None, 2),
        (payment_id(2), "CSV", job, None, None, 3),
        (payment_id(3), "KAFKA", None, "t", 4, 17),
    ]
