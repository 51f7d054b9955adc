"""Rejections are superseded when their corrected rows arrive through a rejects file; finally none is open."""

from __future__ import annotations

import csv
import io
import subprocess
import sys
from collections.abc import Callable, Sequence
from uuid import UUID, uuid4

import pytest

from fcgraph import imports
from fcgraph.intake import Counts, dismiss
from fcgraph.rules.records import COLUMNS
from tests import services
from tests.intake.cases import GOOD, HEADER, STRANGER
from tests.intake.channels import Resources, payment_id, row
from tests.waiting import until

Change = Callable[[dict[str, str]], None]


def table(resources: Resources, import_id: UUID) -> list[dict[str, str]]:
    """The rows of the import's rejects file by column."""
    found = imports.rejects_csv(resources.engine, import_id)
    assert found is not None
    return list(csv.DictReader(io.StringIO(b"".join(found).decode())))


def as_csv(rows: Sequence[dict[str, str]]) -> str:
    """What a spreadsheet program saves."""
    out = io.StringIO()
    writer = csv.DictWriter(out, rows[0], lineterminator="\r\n", quoting=csv.QUOTE_ALL)
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def corrected(rows: Sequence[dict[str, str]], **changed: str) -> str:
    return as_csv([found | changed for found in rows])


def open_records(resources: Resources) -> list[UUID]:
    return [r.record_id for r in resources.rows("SELECT record_id FROM intake_records WHERE resolved_at IS NULL")]


def ends(resources: Resources, import_id: UUID) -> list[tuple[int, str | None, UUID | None, int | None]]:
    """How the records of an import were resolved, by line: resolution, and the row that replaced each."""
    return [
        tuple(found)
        for found in resources.rows(
            "SELECT position, resolution, superseded_import_id, superseded_position FROM intake_records"
            " WHERE import_id = :id ORDER BY position",
            id=import_id,
        )
    ]


def test_after_all_rows_of_a_rejects_file_are_corrected_none_is_open(resources: Resources) -> None:
    faulty = [
        row(1, amount="-10.00"),
        row(2, amount='"1,250.00"'),
        row(3, status="Paid"),
        row(4, timestamp="2025-05-20 10:00:00"),
        row(5, sender_id="nobody", amount="x"),
        "not-an-id," + row(6).split(",", 1)[1],
    ]
    job = resources.import_rows(faulty)
    assert resources.counts(job) == Counts(read=6, rejected=6)
    rows = table(resources, job)
    for n, found in enumerate(rows, 1):
        found.update({column: GOOD[column] for column in COLUMNS} | {"transaction_id": payment_id(n)})
    again = resources.import_csv(as_csv(rows))
    assert resources.counts(again) == Counts(read=6, inserted=6)
    assert open_records(resources) == []
    assert ends(resources, job) == [(line, "SUPERSEDED", again, line) for line in range(2, 8)]
    before = resources.rows("SELECT * FROM intake_records ORDER BY position")
    repeated = resources.import_csv(as_csv(rows), reimport=True)
    assert resources.counts(repeated) == Counts(read=6, duplicate=6)
    assert resources.rows("SELECT * FROM intake_records ORDER BY position") == before


@pytest.mark.parametrize(
    ("stored", "came_back", "outcome"),
    [
        (None, {}, "inserted"),
        ({"status": "pending"}, {"status": "completed"}, "updated"),
        ({}, {}, "duplicate"),
        ({"status": "completed"}, {"status": "pending"}, "stale"),
        ({"amount": "1.00"}, {}, "conflict"),
        (None, {"amount": "-2"}, "rejected"),
    ],
)
def test_whatever_becomes_of_the_row_its_old_record_ends(
    resources: Resources, stored: dict[str, str] | None, came_back: dict[str, str], outcome: str
) -> None:
    job = resources.import_rows([row(1, amount="-1")])
    if stored is not None:
        resources.import_rows([row(1, **stored)])
    again = resources.import_csv(corrected(table(resources, job), **({"amount": "250.00"} | came_back)))
    assert resources.counts(again) == Counts(**{"read": 1, outcome: 1})
    assert ends(resources, job) == [(2, "SUPERSEDED", again, 2)]
    assert len(open_records(resources)) == (outcome in ("conflict", "rejected"))


def test_a_file_that_is_corrected_in_rounds_never_shows_a_record_twice(resources: Resources) -> None:
    """The same spreadsheet, sent after each correction: its rows still name the first records."""
    job = resources.import_rows([row(n, amount="-1") for n in range(1, 5)])
    rows = table(resources, job)
    for n, found in enumerate(rows):
        resources.import_csv(as_csv(rows), reimport=True)
        assert len(open_records(resources)) == 4 - n
        found["amount"] = "5.00"
    last = resources.import_csv(as_csv(rows))
    assert open_records(resources) == []
    assert resources.counts(last) == Counts(read=4, inserted=1, duplicate=3)
    assert resources.rows("SELECT count(*) FROM intake_records")[0][0] == 4 + 4 + 3 + 2 + 1


def test_a_name_that_says_nothing_is_no_error_and_ends_nothing(resources: Resources) -> None:
    job = resources.import_rows([row(n, amount="-1") for n in range(1, 6)])
    resources.import_rows([row(6)])
    clash = resources.import_rows([row(6, amount="1.00")])
    (conflict,) = resources.rows("SELECT record_id FROM intake_records WHERE import_id = :id", id=clash)
    rows = table(resources, job)
    dismiss(resources.engine, [UUID(rows[0]["_record"])], "hopeless", principal="test")
    before = ends(resources, job)
    named = [
        rows[0]["_record"],  # dismissed
        str(uuid4()),  # unknown
        "",
        "'; DROP TABLE intake_records; --",
        rows[0]["_record"][:-1],
        rows[1]["_record"],  # another payment's
        str(conflict.record_id),
    ]
    lines = [row(100 + n) + f",{record_id}" for n, record_id in enumerate(named)]
    again = resources.import_csv("\n".join([f"{HEADER},_record", *lines, row(110), row(111) + ",a,b,c", ""]))
    # The last two: without the cell, and with more cells than the header has.
    assert resources.counts(again) == Counts(read=len(named) + 2, inserted=len(named) + 1, rejected=1)
    assert ends(resources, job) == before
    assert ends(resources, clash) == [(2, None, None, None)]


def test_without_the_column_the_rows_are_imported_and_the_records_stay_open(resources: Resources) -> None:
    job = resources.import_rows([row(1, amount="-1")])
    (found,) = table(resources, job)
    del found["_record"]
    again = resources.import_csv(as_csv([found | {"amount": "1.00"}]))
    assert resources.counts(again) == Counts(read=1, inserted=1)
    assert ends(resources, job) == [(2, None, None, None)]


def test_two_rows_that_name_one_record_end_it_once_by_the_one_that_passed(resources: Resources) -> None:
    job = resources.import_rows([row(1, amount="-1")])
    (found,) = table(resources, job)
    again = resources.import_csv(as_csv([found, found | {"amount": "2.00"}, found | {"amount": "2"}]))
    assert resources.counts(again) == Counts(read=3, inserted=1, duplicate=1, rejected=1)
    assert ends(resources, job) == [(2, "SUPERSEDED", again, 3)]


@pytest.mark.parametrize("options", [{"dry_run": True}, {"mode": "ALL_OR_NOTHING"}])
def test_an_import_that_writes_nothing_ends_nothing(resources: Resources, options: dict[str, object]) -> None:
    job = resources.import_rows([row(1, amount="-1"), row(2, amount="-1")])
    first, second = table(resources, job)
    resources.import_csv(as_csv([first | {"amount": "1.00"}, second]), **options)
    assert len(open_records(resources)) == 2
    assert resources.payments() == []


def test_all_or_nothing_ends_what_it_corrects(resources: Resources) -> None:
    job = resources.import_rows([row(1, amount="-1"), row(2, amount="-1")])
    again = resources.import_csv(corrected(table(resources, job), amount="1.00"), mode="ALL_OR_NOTHING")
    assert resources.job(again).state == "SUCCEEDED"
    assert open_records(resources) == []
    assert ends(resources, job) == [(2, "SUPERSEDED", again, 2), (3, "SUPERSEDED", again, 3)]


def test_records_of_an_import_that_is_killed_and_resumed_end_once(resources: Resources) -> None:
    job = resources.import_rows([row(n, amount="-1") for n in range(200)])
    accepted = resources.accept(corrected(table(resources, job), amount="1.00"))
    environment = services.clean_environment() | {
        "DATABASE_URL": resources.engine.url.render_as_string(hide_password=False),
        "UPLOADS_DIR": str(resources.settings.uploads_dir),
        "CSV_CHUNK_BYTES": str(resources.settings.csv_chunk_bytes),
        "INTAKE_LANES": "1",
        "FCGRAPH_FAILPOINT": "chunk-written=kill@4",
    }
    code = (
        "from uuid import UUID; from fcgraph import imports, intake, settings\n"
        "from fcgraph.storage.files import Files\n"
        "s = settings.current()\n"
        f"imports.run(intake.engine_of(s, 'test'), Files(s.uploads_dir), UUID('{accepted.import_id}'), s)"
    )
    killed = subprocess.run([sys.executable, "-c", code], cwd=services.ROOT, env=environment, check=False, timeout=60)
    assert killed.returncode == -9
    done = resources.job(accepted.import_id).inserted_count
    assert 0 < done < 200
    assert len(open_records(resources)) == 200 - done
    until(lambda: imports.due(resources.engine, resources.settings.import_lease_seconds), 10)
    resources.run(accepted.import_id)
    assert resources.counts(accepted.import_id) == Counts(read=200, inserted=200)
    assert open_records(resources) == []
    assert ends(resources, job) == [(n, "SUPERSEDED", accepted.import_id, n) for n in range(2, 202)]


def test_rows_of_several_lines_and_whole_rows_name_their_records_too(resources: Resources) -> None:
    """Also rows that are not plain lines: quoted line ends, and a row that is again rejected whole."""
    job = resources.import_csv(f'{HEADER},note\n{row(1, sender_id=STRANGER)},"two\nlines"\n{row(2)},x,surplus\n')
    again = resources.import_csv(as_csv([found | {"sender_id": GOOD["sender_id"]} for found in table(resources, job)]))
    assert resources.counts(again).inserted == 1
    assert [end[1] for end in ends(resources, job)] == ["SUPERSEDED"] * 2


def test_conflicts_are_left_out_of_the_rejects_file(resources: Resources) -> None:
    job = resources.import_rows([row(1), row(1, amount="1.00"), row(2, amount="-1")])
    assert [found["_line"] for found in table(resources, job)] == ["4"]
    only = resources.import_rows([row(1, amount="1.00")])
    assert table(resources, only) == []
