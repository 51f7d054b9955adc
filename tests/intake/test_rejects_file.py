"""A rejects file in a spreadsheet: rows stored whole in the first cell are corrected there and sent again."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable

import pytest

from fcgraph.intake import Counts
from tests.intake.cases import HEADER, USER
from tests.intake.channels import Resources, payment_id, row
from tests.intake.files import EXTRA, file
from tests.intake.test_intake_records import rejects

Table = list[list[str]]
DIALECTS: tuple[dict[str, object], ...] = (
    {"lineterminator": "\r\n"},
    {"lineterminator": "\n", "quoting": csv.QUOTE_ALL},
)


def read(text: str) -> Table:
    return list(csv.reader(io.StringIO(text)))


def written(table: Table, dialect: dict[str, object]) -> bytes:
    """As a spreadsheet writes it: a BOM, its own line ends and quotes."""
    out = io.StringIO()
    csv.writer(out, **dialect).writerows(table)  # type: ignore[arg-type]
    return out.getvalue().encode("utf-8-sig")


def rows_of_a29() -> list[str]:
    def line(n: int, amount: str = "10.00", time: str = "2025-05-20T10:00:00Z", status: str = "completed") -> str:
        return f"ff000001-0000-4000-8000-{n:012},{USER.format(1)},{USER.format(2)},{amount},USD,{time},{status}"

    return [
        line(1) + ",",
        line(2, "1,250.00"),
        line(3, '"1,250.00"'),
        line(4, "11.00", status="Paid"),
        line(5, "12.00", "2025-05-20 10:00:00"),
    ]


CORRECTIONS = {"1,250.00": "1250.00", "Paid": "completed", "2025-05-20 10:00:00": "2025-05-20T10:00:00Z"}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a29_five_faulty_rows_are_five_payments_in_the_end(resources: Resources, dialect: dict[str, object]) -> None:
    job = resources.import_csv(file(*rows_of_a29()))
    assert resources.counts(job) == Counts(read=5, inserted=1, rejected=4)
    table = read(rejects(resources, job))
    assert [row[1] for row in table[1:]].count("") == 1  # one is stored whole
    for cells in table[1:]:
        for n, cell in enumerate(cells[:7]):
            for wrong, right in CORRECTIONS.items():
                cell = cell.replace(wrong, right)
            cells[n] = cell
    again = resources.import_csv(written(table, dialect))
    assert resources.counts(again) == Counts(read=4, inserted=4)
    assert [r for r in resources.records() if r.resolution is None] == []  # each corrected row superseded its record
    assert [(p[0][-1], str(p[3])) for p in resources.payments()] == [
        ("1", "10.0000"), ("2", "1250.0000"), ("3", "1250.0000"), ("4", "11.0000"), ("5", "12.0000"),
    ]  # fmt: skip


NOTE = EXTRA
AMOUNT_LAST = "transaction_id,sender_id,receiver_id,currency,timestamp,status,amount"
CUT_OFF = ",".join([payment_id(1), USER.format(1), USER.format(2), "USD,2025-05-01T12:00:00Z,completed,25"])


WHOLE: tuple[tuple[str, bytes, Callable[[str], str]], ...] = (
    ("a surplus value", file(row(1) + ",x"), lambda text: text.removesuffix(",x")),
    ("a thousands separator", file(row(1, amount="1,250.00")), lambda text: text.replace("1,250", "1250")),
    ("a decimal comma", file(row(1, amount="10,50")), lambda text: text.replace("10,50", "10.50")),
    ("quoted afterwards", file(row(1) + ",a,b", header=NOTE), lambda text: text.replace("a,b", '"a,b"')),
    ("an unclosed quote", file(row(1, status='"completed')), lambda text: text.replace('"', "")),
    ("an unclosed quote, closed", file(row(1) + ',"note', header=NOTE), lambda text: text + '"'),
    ("text behind a quote", file('"' + payment_id(1) + '"x' + row(1)[36:]), lambda text: text.replace('"x', '"')),
    ("Windows-1252", file(header=NOTE) + f"{row(1)},J\xfc\n".encode("cp1252"), lambda text: text.replace("\\xfc", "ü")),
    ("a file that is cut off", file(CUT_OFF, header=AMOUNT_LAST, last=""), lambda text: text + "0.00"),
    ("files joined without a line end", file(row(1), last="") + file(), lambda text: text[: len(row(1))]),
    ("a formula first", file('=1+1,"' + row(1), header="note," + HEADER), lambda text: text.replace('"', "")),
    ("a guard of the file's own", file("'=1," + row(1) + ",x", header="note," + HEADER), lambda text: text[:-2]),
    ("a tab first", file("\tx," + row(1) + ",x", header="note," + HEADER), lambda text: text[:-2]),
)  # fmt: skip


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(("data", "correct"), [case[1:] for case in WHOLE], ids=[case[0] for case in WHOLE])
def test_each_row_that_stands_whole_is_corrected_in_its_cell(
    resources: Resources, data: bytes, correct: Callable[[str], str], dialect: dict[str, object]
) -> None:
    job = resources.import_csv(data)
    counts = resources.counts(job)
    table = read(rejects(resources, job))
    ((text, *empty),) = [cells[:-4] for cells in table[1:]]
    assert ("," in text, set(empty)) == (True, {""})
    # Sent again unchanged, it stays rejected every time; corrected afterwards it becomes a payment.
    for _ in range(2):
        job = resources.import_csv(written(table, dialect), reimport=True)
        assert resources.counts(job) == Counts(read=1, rejected=1)
        (problem, *_) = resources.records()[-1].problems
        assert problem["code"] in ("INVALID_CSV", "INVALID_ENCODING", "EXTRA_VALUES")
        table = read(rejects(resources, job))
        assert table[1][:1] == [text]
        assert set(table[1][1:-4]) == {""}
        assert problem["message"].count("unchanged") <= 1
    table[1][0] = correct(text)
    assert table[1][0] != text
    assert resources.counts(resources.import_csv(written(table, dialect))) == Counts(read=1, inserted=1)
    assert payment_id(1) in [p[0] for p in resources.payments()]
    assert counts.rejected == 1


def test_a_row_taken_apart_keeps_its_columns_where_the_rejects_file_has_others(resources: Resources) -> None:
    """fcgraph's columns moved to the front; values invalid for other reasons are reported as for any row."""
    head = f"_line,_problems,{HEADER},_outcome"
    data = f'{head}\n2,,"{row(1)}",,,,,,,REJECTED\n3,,"{row(2, amount="x")}",,,,,,,REJECTED\n'
    assert resources.counts(resources.import_csv(data)) == Counts(read=2, inserted=1, rejected=1)
    (records,) = resources.records()
    assert [(p["column"], p["code"]) for p in records.problems] == [("amount", "INVALID_AMOUNT")]


def test_only_a_rejects_file_has_rows_in_one_cell(resources: Resources) -> None:
    assert resources.counts(resources.import_csv(f'{HEADER}\n"{row(1)}",,,,,,\n')) == Counts(read=1, rejected=1)


def test_a_row_emptied_in_a_rejects_file_is_no_row(resources: Resources) -> None:
    job = resources.import_csv(f"{HEADER},_line,_outcome,_problems\n,,,,,,,2,REJECTED,x\n{row(1)},3,REJECTED,x\n")
    assert (resources.counts(job), resources.job(job).skipped_lines) == (Counts(read=1, inserted=1), 1)
