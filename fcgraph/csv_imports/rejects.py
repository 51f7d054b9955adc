"""What an import did not take, as a CSV that a person corrects and uploads as it is."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import Engine

from fcgraph import csv_rows, db
from fcgraph.formulas import with_guard, without_guard

OWN_COLUMNS = ("_line", "_outcome", "_problems", csv_rows.RECORD_COLUMN)
FETCHED_ROWS = 2000
WHOLE = {"INVALID_CSV", "INVALID_ENCODING", "EXTRA_VALUES"}


def rejects_csv(engine: Engine, import_id: UUID) -> Iterator[bytes] | None:
    """The rejected rows in line order: the input's header, then `_line,_outcome,_problems,_record`.

    A conflict is left out: sent again it would conflict again, and a person decides it. `_record` names the intake
    record, which the corrected row ends. LF line ends, UTF-8, cells guarded against spreadsheet formulas. None when
    there is no such import.
    """
    with db.read(engine) as connection:
        raw = connection.scalar(sa.text("SELECT header FROM imports WHERE import_id = :id"), {"id": import_id})
    return None if raw is None else _lines(engine, import_id, bytes(raw))


def _lines(engine: Engine, import_id: UUID, raw_header: bytes) -> Iterator[bytes]:
    header = csv_rows.read_header(raw_header + b"\n")
    names = csv_rows.header_cells(raw_header)
    own = [n for n, name in enumerate(names) if name.strip().lower() in OWN_COLUMNS]
    yield _line([with_guard(name) for n, name in enumerate(names) if n not in own] + list(OWN_COLUMNS))
    statement = sa.text(
        "SELECT position, outcome, raw, problems, record_id FROM intake_records WHERE import_id = :id AND kind = 'CSV'"
        " AND outcome = 'REJECTED' ORDER BY position"
    )
    with db.read(engine, snapshot=True) as connection:
        found = connection.execution_options(yield_per=FETCHED_ROWS).execute(statement, {"id": import_id})
        for position, outcome, raw, problems, record_id in found:
            text = bytes(raw).decode("utf-8", "backslashreplace").replace("\0", "\\0")
            fields = text if _is_whole(problems) else csv_rows.parse_fields(text)
            cells = [text] if isinstance(fields, str) else [f for n, f in enumerate(fields) if n not in own]
            if header.guarded:
                cells = [without_guard(cell) for cell in cells]
            cells += [""] * (len(names) - len(own) - len(cells))
            own_cells = [str(position), outcome, with_guard(_told(problems)), str(record_id)]
            yield _line([*map(with_guard, cells), *own_cells])


def _is_whole(problems: list[dict[str, Any]]) -> bool:
    """Whether the row stands whole in the first cell: laid out in cells it would lose what is wrong with it."""
    return not WHOLE.isdisjoint(problem["code"] for problem in problems)


def _told(problems: list[dict[str, Any]]) -> str:
    return "; ".join(f"{p['code']}: {p['message']}" for p in problems)


def _line(cells: list[str]) -> bytes:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerow(cells)
    return out.getvalue().encode("utf-8")
