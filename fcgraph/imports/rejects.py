"""The rejected rows of an import as a CSV that a person can correct and upload again."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import Engine

from fcgraph import db
from fcgraph.formulas import with_guard, without_guard
from fcgraph.intake import csv_rows, csv_whole
from fcgraph.intake.csv_rows import Header

OWN_COLUMNS = ("_line", "_outcome", "_problems", csv_rows.RECORD_COLUMN)
FETCHED_ROWS = 2000


def rejects_csv(engine: Engine, import_id: UUID) -> Iterator[bytes] | None:
    """The rejected rows in line order: the input's header, then `_line,_outcome,_problems,_record`.

    Conflicts are left out: sent again they would conflict again, and a person resolves them. `_record` is the intake
    record, which the corrected row will supersede. LF line ends, UTF-8, cells guarded against spreadsheet formulas.
    None if the import does not exist.
    """
    with db.read(engine) as connection:
        raw = connection.scalar(sa.text("SELECT header FROM imports WHERE import_id = :id"), {"id": import_id})
    return None if raw is None else _lines(engine, import_id, bytes(raw))


def _lines(engine: Engine, import_id: UUID, raw_header: bytes) -> Iterator[bytes]:
    header = csv_rows.read_header(raw_header + b"\n")
    names = [name for n, name in enumerate(csv_rows.header_cells(raw_header)) if n not in header.own]
    yield _line([*map(with_guard, names), *OWN_COLUMNS])
    statement = sa.text(
        "SELECT position, outcome, raw, problems, record_id FROM intake_records WHERE import_id = :id AND kind = 'CSV'"
        " AND outcome = 'REJECTED' ORDER BY position"
    )
    with db.read(engine, snapshot=True) as connection:
        found = connection.execution_options(yield_per=FETCHED_ROWS).execute(statement, {"id": import_id})
        for position, outcome, raw, problems, record_id in found:
            text = bytes(raw).decode("utf-8", "backslashreplace").replace("\0", "\\0")
            cells, answer = _cells(text, header, problems), _problems_text(problems)
            if _is_whole(problems):
                answer = csv_whole.with_mark(answer, cells[0])
            cells += [""] * (len(names) - len(cells))
            yield _line([*map(with_guard, cells), str(position), outcome, with_guard(answer), str(record_id)])


def _cells(text: str, header: Header, problems: list[dict[str, Any]]) -> list[str]:
    """The row's cells without those added by an earlier rejects file, or the whole row in one cell."""
    fields = csv_rows.parse_fields(text)
    if isinstance(fields, str) or (_is_whole(problems) and not header.guarded):
        return [without_guard(text) if header.guarded else text]
    cells = [cell for n, cell in enumerate(fields) if n not in header.own]
    if header.guarded:
        cells = [without_guard(cell) for cell in cells]
    if _is_whole(problems) and any(cells[1:]):
        return [_line(cells).decode("utf-8").removesuffix("\n")]
    return cells


def _is_whole(problems: list[dict[str, Any]]) -> bool:
    """Whether the whole row goes into the first cell: split into cells, its fault would be lost."""
    return any(problem["code"] in csv_whole.WHOLE for problem in problems)


def _problems_text(problems: list[dict[str, Any]]) -> str:
    return "; ".join(f"{p['code']}: {p['message']}" for p in problems)


def _line(cells: list[str]) -> bytes:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerow(cells)
    return out.getvalue().encode("utf-8")
