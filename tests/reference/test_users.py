"""Import of users from a CSV: the result of each row, and the place of renames in commit order."""

from __future__ import annotations

import threading

import pytest
import sqlalchemy as sa
from sqlalchemy import Engine
from sqlalchemy.exc import IntegrityError

from fcgraph import db
from fcgraph.errors import Refused, Unavailable
from fcgraph.intake import Source, Writer, topic_ref
from fcgraph.intake.resolution import replay
from fcgraph.reports.changes import changes_since
from fcgraph.settings import Settings
from tests.reference.csv_files import ALICE, BOB, counts, names, new, rows, take
from tests.reports.stored import Paid, store

MESSAGE = (
    b'{"transaction_id":"a1b2c3d4-e5f6-7a8b-9c0d-00000000aa01","sender_id":"%s","receiver_id":"%s","amount":"1.00",'
    b'"currency":"USD","timestamp":"2025-05-10T08:15:00Z","status":"completed"}'
)


def test_new_users_are_inserted_and_known_ones_renamed(engine: Engine) -> None:
    text = f"user_id,name\n{new(1)},Ivy\n{ALICE},Alice Smith\n{BOB},Bob\n"
    assert counts(take(engine, text)) == (3, 1, 1, 1, 0)
    found = names(engine)
    assert (found[new(1)], found[ALICE], found[BOB]) == ("Ivy", "Alice Smith", "Bob")
    history = rows(
        engine,
        "SELECT r.user_id::text, r.revision, r.name_before, r.name, b.changed_by, b.correlation_id, b.watermark,"
        " b.read_count FROM user_revisions r JOIN user_batches b USING (user_batch_id)",
    )
    (last,) = rows(engine, "SELECT last FROM intake_watermark")[0]
    assert history == [(ALICE, 2, "Alice", "Alice Smith", "cli:tester", "c-1", last, 3)]
    assert last > 0


def test_the_same_file_again_changes_nothing_and_takes_no_watermark(engine: Engine) -> None:
    text = f"user_id,name\n{new(1)},Ivy\n{ALICE},Alice Smith\n"
    take(engine, text)
    before = rows(engine, "SELECT last FROM intake_watermark")
    assert counts(take(engine, text)) == (2, 0, 0, 2, 0)
    assert rows(engine, "SELECT last FROM intake_watermark") == before
    assert len(rows(engine, "SELECT FROM user_revisions")) == 1


def test_rows_of_one_id_are_applied_in_the_order_of_arrival(engine: Engine) -> None:
    quoted = f'"{ALICE}","B, quoted"'  # not one of the plain lines
    text = f"user_id,name\n{new(1)},One\n{ALICE},A\n{quoted}\n{new(1)},Two\n{ALICE},C\n{ALICE},C\n{BOB},X\n{BOB},Bob\n"
    assert counts(take(engine, text)) == (8, 1, 6, 1, 0)
    found = names(engine)
    assert (found[new(1)], found[ALICE], found[BOB]) == ("Two", "C", "Bob")
    history = rows(engine, "SELECT user_id::text, revision, name_before, name FROM user_revisions ORDER BY 1, 2")
    assert history == [
        (ALICE, 2, "Alice", "A"),
        (ALICE, 3, "A", "B, quoted"),
        (ALICE, 4, "B, quoted", "C"),
        (BOB, 2, "Bob", "X"),
        (BOB, 3, "X", "Bob"),
        (new(1), 2, "One", "Two"),
    ]
    assert take(engine, f"user_id,name\n{ALICE},D\n").renamed == 1
    assert rows(engine, "SELECT max(revision) FROM user_revisions WHERE user_id = :id", id=ALICE) == [(5,)]


HEADERS = [
    "user_id,name",
    "name,user_id",
    "\ufeffuser_id,name",
    "User ID,NAME",
    "userId, Name ",
    '"user-id","name"',
    "country,user_id,name,_x",
    "\n \nuser_id,name",
    "sep=,\nuser_id,name",
]


@pytest.mark.parametrize("header", HEADERS)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_headers_in_every_common_spelling(engine: Engine, header: str, end: str) -> None:
    first = header.strip("\ufeff\n ").splitlines()[-1].lower().split(",")
    at = next(n for n, cell in enumerate(first) if "id" in cell)
    row = [ALICE.upper() if n == at else "Zoë" if "name" in cell else "x" for n, cell in enumerate(first)]
    assert counts(take(engine, header.replace("\n", end) + end + ",".join(row) + end)) == (1, 0, 1, 0, 0)
    assert names(engine)[ALICE] == "Zoë"


REFUSED = [
    (b"", "MISSING_HEADER"),
    (b"\n\n", "MISSING_HEADER"),
    (b"user_id\n", "MISSING_HEADER"),
    (b"user_id;name\n", "MISSING_HEADER"),
    (b"user_id,name,User_ID\n", "MISSING_HEADER"),
    (b"\x1f\x8b\x08\x00\xff", "NOT_CSV"),
    ("user_id,name\n".encode("utf-16"), "NOT_CSV"),
    (b"user_id,name" + b"x" * 70_000, "NOT_CSV"),
    (b'user_id,"name\n', "NOT_CSV"),
    (b"user_id,name\n", "INVALID_INPUT"),
    (b"user_id,name\n\n,\n", "INVALID_INPUT"),
    (b"user_id,name\n" + b"x" * 200_000, "FILE_TOO_LARGE"),
]


@pytest.mark.parametrize(("content", "code"), REFUSED)
def test_what_is_no_file_of_users_is_refused(engine: Engine, content: bytes, code: str) -> None:
    with pytest.raises(Refused) as refused:
        take(engine, content, upload_max_bytes=100_000)
    assert (refused.value.code, refused.value.path) == (code, ("source",))


LONG = "長" * 4000
BAD_ROWS = [
    (f"{new(1)}", [("name", "MISSING_VALUE")]),
    (f"{new(1)},", [("name", "MISSING_VALUE")]),
    (f"{new(1)},  \u3000 ", [("name", "MISSING_VALUE")]),
    (f"{new(1)},\\N", [("name", "MISSING_VALUE")]),
    (",Ivy", [("user_id", "MISSING_VALUE")]),
    ("7,Ivy", [("user_id", "INVALID_UUID")]),
    (f"{{{new(1)}}},Ivy", [("user_id", "INVALID_UUID")]),
    ("7,", [("name", "MISSING_VALUE"), ("user_id", "INVALID_UUID")]),
    (f"{new(1)},I\0vy", [("name", "INVALID_ENCODING")]),
    (f"{new(1)}\0,Ivy", [("user_id", "INVALID_ENCODING")]),
    (f"{new(1)},I\x07vy", [("name", "INVALID_NAME")]),
    (f"{new(1)},I\tvy", [("name", "INVALID_NAME")]),
    (f"{new(1)},I\u2028vy", [("name", "INVALID_NAME")]),
    (f"{new(1)},{LONG}x", [("name", "INVALID_NAME")]),
    (f'{new(1)},"Ivy', [(None, "INVALID_CSV")]),
    (f"{new(1)},Ivy,Smith", [(None, "EXTRA_VALUES")]),
    (f"{new(1)},I\udcffvy", [(None, "INVALID_ENCODING")]),
]


@pytest.mark.parametrize(("row", "expected"), BAD_ROWS)
def test_bad_rows_are_rejected_and_good_ones_taken(engine: Engine, row: str, expected: list[tuple[str, str]]) -> None:
    text = f"user_id,name\n{new(8)},Before\n{row}\n{new(9)},Behind\n"
    done = take(engine, text.encode("utf-8", "surrogateescape"))
    assert counts(done) == (3, 2, 0, 0, 1)
    assert [(p.column, p.code) for p in done.problems] == expected
    assert all(p.message.startswith("line 3: ") for p in done.problems)
    assert all(p.value is None or len(p.value) <= 200 for p in done.problems)
    assert {new(8), new(9)} <= names(engine).keys()
    assert new(1) not in names(engine)


def test_an_open_quote_hides_no_row_below_it(engine: Engine) -> None:
    text = f'user_id,name\n{new(1)},"Ivy\n{new(2)},Jon\n{new(3)},Kim"\n{new(4)},Leo\n'
    done = take(engine, text)
    assert counts(done) == (4, 3, 0, 0, 1)
    assert [p.message[:7] for p in done.problems] == ["line 2:"]


GOOD_NAMES = ["x", 'O\'Neil \\ "Zoë"', "\\N x", "\\.", "x" * 2000, LONG, "a\u200db", "🙂", "=1+1"]


@pytest.mark.parametrize("name", GOOD_NAMES)
def test_names_are_stored_as_they_are_but_trimmed(engine: Engine, name: str) -> None:
    cell = '"' + name.replace('"', '""') + '"' if '"' in name else f" \u00a0{name} "
    assert counts(take(engine, f"user_id,name\n{new(1)},{cell}")) == (1, 1, 0, 0, 0)
    assert names(engine)[new(1)] == name


def test_lines_that_are_no_rows_are_not_counted(engine: Engine) -> None:
    text = f"user_id,name\n\n{new(1)},Ivy\n , \nUser_Id,Name\n{new(2)},Jon,,\n"
    assert counts(take(engine, text)) == (2, 2, 0, 0, 0)


def test_problems_are_shown_up_to_the_limit_and_all_counted(engine: Engine) -> None:
    text = "user_id,name\n" + "7,\n" * 500 + f"{new(1)},Ivy\n"
    done = take(engine, text, users_problems_max=30)
    assert counts(done) == (501, 1, 0, 0, 500)
    assert len(done.problems) == 30


def test_many_rows_in_many_chunks(engine: Engine) -> None:
    text = "user_id,name\n" + "".join(f"{new(n)},Name {n}\n" for n in range(5000))
    done = take(engine, text, csv_chunk_bytes=4096)
    assert counts(done) == (5000, 5000, 0, 0, 0)
    assert names(engine)[new(4999)] == "Name 4999"


def test_a_rename_counts_as_no_change_of_a_report(engine: Engine) -> None:
    mark = store(engine, Paid(1, 2, "1.00", "USD", "2025-05-10T10:00:00Z"))
    take(engine, f"user_id,name\n{ALICE},Alice Smith\n{new(1)},Ivy\n")
    assert rows(engine, "SELECT watermark FROM user_batches") == [(mark + 1,)]
    later = store(engine, Paid(1, 2, "2.00", "USD", "2025-05-10T11:00:00Z"))
    assert later == mark + 2

    class Report:
        period, time_zone, statuses, watermark = "2025-05", "UTC", ["completed"], mark

    with db.read(engine) as connection:
        assert changes_since(connection, Report()) == 1


@pytest.mark.parametrize(
    "statement",
    [
        f"UPDATE users SET name = 'Eve' WHERE user_id = '{ALICE}'",
        "UPDATE user_revisions SET name = 'Eve'",
        "DELETE FROM user_revisions",
        "TRUNCATE user_revisions",
        "DELETE FROM user_batches",
        "UPDATE user_batches SET changed_by = 'nobody'",
        "INSERT INTO user_batches (read_count, inserted_count, renamed_count, unchanged_count, rejected_count,"
        " changed_by, correlation_id) VALUES (0, 0, 0, 0, 0, 'x', 'x')",
    ],
)
def test_nothing_escapes_the_history(engine: Engine, statement: str) -> None:
    take(engine, f"user_id,name\n{BOB},Robert\n")
    with pytest.raises(IntegrityError), db.write(engine) as connection:
        connection.execute(sa.text(statement))


def test_two_files_at_once_take_turns(engine: Engine) -> None:
    """The same ids with other names in each: every rename starts from the name set by the other file."""
    ids = [new(n) for n in range(200)]
    texts = ["user_id,name\n" + "".join(f"{i},{name} {i}\n" for i in ids) for name in ("One", "Two")]
    done: list[tuple[int, int, int, int, int]] = []
    threads = [threading.Thread(target=lambda t=text: done.append(counts(take(engine, t)))) for text in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(done) == [(200, 0, 200, 0, 0), (200, 200, 0, 0, 0)]
    broken = (
        "SELECT FROM user_revisions r JOIN users u USING (user_id) WHERE r.name <> u.name OR r.name_before = r.name"
    )
    assert rows(engine, broken) == []


def test_a_file_that_waits_too_long_for_another_is_unavailable(engine: Engine) -> None:
    with db.write(engine) as connection:
        connection.execute(sa.text("LOCK TABLE users IN SHARE ROW EXCLUSIVE MODE"))
        with pytest.raises(Unavailable, match="Another import of users"):
            take(engine, f"user_id,name\n{new(1)},Ivy\n", write_statement_timeout_seconds=0.1)
    assert new(1) not in names(engine)


def test_a_running_writer_knows_new_users_at_once_and_replay_takes_its_rejected_records(
    engine: Engine, database_url: str
) -> None:
    settings = Settings(database_url=database_url)
    writer = Writer(engine, settings)
    with db.write(engine) as connection:
        source = Source("KAFKA", topic_ref=topic_ref(connection, "cluster", "topic", "id"))
    try:
        messages = [MESSAGE % (new(1).encode(), ALICE.encode()), MESSAGE % (new(2).encode(), ALICE.encode())]
        batch = writer.submit_messages([(0, 0, messages[0])], source, "c")
        writer.drain()
        assert [p.code for p in batch.rejected[0].rejection.problems] == ["UNKNOWN_SENDER"]
        take(engine, f"user_id,name\n{new(1)},Ivy\n{new(2)},Jon\n")
        again = messages[1].replace(b"aa01", b"aa02")
        assert writer.submit_messages([(0, 1, again)], source, "c").rejected == []
        writer.drain()
    finally:
        writer.close()
    record_ids = [row[0] for row in rows(engine, "SELECT record_id FROM intake_records")]
    done = replay(engine, settings, record_ids, "c")
    assert (done.replayed, done.still_rejected) == (1, 0)
    assert len(rows(engine, "SELECT FROM transactions")) == 2
