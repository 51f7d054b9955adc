"""Records that did not become payments: returned as a CSV, replayed, resolved."""

from __future__ import annotations

import csv
import io
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa

from fcgraph import db, imports
from fcgraph.errors import Refused
from fcgraph.intake import Counts
from fcgraph.intake.resolution import Replayed, replay, resolve_conflict
from fcgraph.rules.records import COLUMNS
from tests.intake.cases import GOOD, HEADER, STRANGER, USER
from tests.intake.channels import Message, Resources, break_off, payment_id, row


def rejects(resources: Resources, import_id: UUID) -> str:
    found = imports.rejects_csv(resources.engine, import_id)
    assert found is not None
    return b"".join(found).decode()


def test_rejects_come_back_and_only_corrected_rows_become_payments(resources: Resources) -> None:
    header = HEADER + ",note"
    lines = [
        row(1) + ",fine",
        row(2, amount="-5.00") + ",=HYPERLINK(1)",
        row(3, status="done") + ",'-already quoted",
        row(4) + ",fine",
        row(4, amount="1.00") + ",conflict",
        row(5, receiver_id=STRANGER) + ',"a, b"',
    ]
    job = resources.import_csv("\n".join([header, *lines, ""]))
    text = rejects(resources, job)
    table = list(csv.reader(io.StringIO(text)))
    assert table[0] == [*header.split(","), "_line", "_outcome", "_problems", "_record"]
    assert [(r[3], r[7], r[8], r[9]) for r in table[1:]] == [
        ("'-5.00", "'=HYPERLINK(1)", "3", "REJECTED"),
        ("250.00", "''-already quoted", "4", "REJECTED"),
        ("250.00", "a, b", "7", "REJECTED"),
    ]
    corrected = text.replace("'-5.00", "5.00").replace(",done,", ",completed,")
    again = resources.import_csv(corrected)
    assert resources.counts(again) == Counts(read=3, inserted=2, rejected=1)
    assert {p[0]: str(p[3]) for p in resources.payments()} == {
        payment_id(1): "250.0000", payment_id(2): "5.0000", payment_id(3): "250.0000", payment_id(4): "250.0000",
    }  # fmt: skip
    assert resources.job(again).ignored_columns == ["note"]
    third = rejects(resources, again)
    assert third.splitlines()[0] == text.splitlines()[0]
    untouched = resources.import_csv(third)
    assert resources.counts(untouched) == Counts(read=1, rejected=1)


def test_rejects_through_a_spreadsheet_only_what_was_corrected_becomes_a_payment(resources: Resources) -> None:
    """Read and written by another CSV program (BOM, CRLF, quotes of its own); unchanged rows stay rejected."""
    order = [*(c for c in COLUMNS if c != "amount"), "=note", "amount"]
    values = {**GOOD, "=note": "-1+1"}

    def text(n: int, **changed: str) -> str:
        return ",".join({**values, "transaction_id": payment_id(n), **changed}[c] for c in order)

    lines = [
        text(1, status="done").encode(),  # corrected below
        text(2, status="done").encode(),
        text(3).encode() + b",000.00",  # 250.00,000.00: without its last value a good row
        text(4, **{"=note": "caf\xe9"}).encode("latin-1"),  # a good row except for an ignored column
        b'"' + text(5).encode(),
        text(6, amount="25").encode(),  # truncated
    ]
    job = resources.import_csv(",".join(order).encode() + b"\n" + b"\n".join(lines))
    assert resources.counts(job) == Counts(read=6, rejected=6)
    table = list(csv.reader(io.StringIO(rejects(resources, job))))
    assert table[0] == [*order[:6], "'=note", "amount", "_line", "_outcome", "_problems", "_record"]
    assert [row[6] for row in table[1:3]] == ["'-1+1"] * 2
    table[1][order.index("status")] = "completed"
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n", quoting=csv.QUOTE_ALL).writerows(table)
    again = resources.import_csv(out.getvalue().encode("utf-8-sig"))
    assert resources.counts(again) == Counts(read=6, inserted=1, rejected=5)
    assert [p[0] for p in resources.payments()] == [payment_id(1)]
    assert resources.job(again).ignored_columns == ["=note"]
    assert rejects(resources, again).splitlines()[0] == rejects(resources, job).splitlines()[0]


def test_what_was_stored_of_a_row_is_not_replayed_as_the_row(resources: Resources) -> None:
    """A file truncated within an amount, and a line truncated for its length: either part alone would be a good row."""
    header = ",".join([*(c for c in COLUMNS if c != "amount"), "amount"])
    cut = ",".join([*(GOOD[c] for c in COLUMNS if c != "amount"), "25"])
    resources.import_csv(f"{header}\n{cut}")
    resources.import_csv(f"{HEADER},note\n{row(1)},{'x' * 70_000}\n")
    ids = [k.record_id for k in resources.records()]
    assert len(ids) == 2
    assert replay(resources.engine, resources.settings, ids, "test") == Replayed(0, 2)
    assert resources.payments() == []


def test_rows_that_are_no_csv_stand_whole_in_the_first_cell(resources: Resources) -> None:
    job = resources.import_csv(f"{HEADER}\n".encode() + b'"x"y,\xff\n' + row(1).encode() + b"\n")
    table = list(csv.reader(io.StringIO(rejects(resources, job))))
    assert table[1][0] == '"x"y,\\xff'
    assert imports.rejects_csv(resources.engine, uuid4()) is None


def test_replay_of_csv_and_kafka_rejects_once_the_user_exists(resources: Resources) -> None:
    job = resources.import_rows([row(1, sender_id=STRANGER), row(2, amount="x")])
    value = (HEADER, row(3, receiver_id=STRANGER))
    message: Message = (2, 40, ("{" + ", ".join(
        f'"{k}": "{v}"' for k, v in zip(value[0].split(","), value[1].split(","), strict=True)
    ) + "}").encode())  # fmt: skip
    resources.send([message])
    ids = [k.record_id for k in resources.records()]
    assert replay(resources.engine, resources.settings, ids, "test") == Replayed(0, 3)
    with db.write(resources.engine) as connection:
        connection.execute(sa.text("INSERT INTO users (user_id, name) VALUES (:id, 'New')"), {"id": STRANGER})
    assert replay(resources.engine, resources.settings, ids, "test") == Replayed(2, 1)
    assert replay(resources.engine, resources.settings, ids, "test") == Replayed(0, 1)
    places = resources.rows(
        "SELECT t.transaction_id::text, b.import_id, t.source_partition, t.source_position"
        " FROM transactions t JOIN intake_batches b USING (batch_id) ORDER BY 1"
    )
    assert [tuple(r) for r in places] == [(payment_id(1), job, None, 2), (payment_id(3), None, 2, 40)]
    assert {k.position: k.resolution for k in resources.records()} == {
        2: "REPLAYED_INSERTED", 3: None, 40: "REPLAYED_INSERTED",
    }  # fmt: skip
    with pytest.raises(Refused) as refused:
        replay(resources.engine, resources.settings, [uuid4()], "test")
    assert refused.value.code == "NOT_FOUND"


def test_a_replay_that_is_broken_off_begins_anew(resources: Resources) -> None:
    resources.import_rows([row(1000), *(row(n, sender_id=STRANGER) for n in (1, 2, 3))])
    with db.write(resources.engine) as connection:
        connection.execute(sa.text("INSERT INTO users (user_id, name) VALUES (:id, 'New')"), {"id": STRANGER})
    ids = [k.record_id for k in resources.records()]
    found: list[Replayed] = []
    break_off(
        resources,
        lambda: found.append(replay(resources.engine, resources.settings, ids, "test")),
        first=payment_id(3),
        wanted=payment_id(1),
    )
    assert found == [Replayed(3, 0)]
    assert len(resources.payments()) == 4
    assert resources.batch_counts() == Counts(read=7, inserted=4, rejected=3)


def test_a_replayed_row_that_contradicts_becomes_a_conflict(resources: Resources) -> None:
    resources.import_rows([row(1, sender_id=STRANGER)])
    (records,) = resources.records()
    resources.import_rows([row(1)])
    with db.write(resources.engine) as connection:
        connection.execute(sa.text("INSERT INTO users (user_id, name) VALUES (:id, 'New')"), {"id": STRANGER})
    assert replay(resources.engine, resources.settings, [records.record_id], "test") == Replayed(1, 0)
    (after,) = resources.records()
    assert (after.record_id, after.outcome, after.resolution) == (records.record_id, "CONFLICT", None)
    assert after.differences == [{"field": "sender_id", "stored": USER.format(1), "incoming": STRANGER}]


def test_a_person_decides_a_conflict(resources: Resources) -> None:
    resources.import_rows([row(1), row(2)])
    resources.import_rows([row(1, amount="20000.00", status="failed"), row(2, amount="1.00")])
    accept, keep = (k.record_id for k in resources.records())
    for _ in range(2):  # idempotent
        resolve_conflict(resources.engine, resources.settings, accept, "ACCEPT_INCOMING", "the bank says so", "test")
        resolve_conflict(resources.engine, resources.settings, keep, "KEEP_STORED", "a typing error", "test")
    amounts = {p[0]: (str(p[3]), p[6], p[7], p[8]) for p in resources.payments()}
    assert amounts == {
        payment_id(1): ("20000.0000", "failed", True, ["AMOUNT_OVER_THRESHOLD"]),
        payment_id(2): ("250.0000", "completed", False, None),
    }
    revisions = resources.rows("SELECT revision, status, previous->>'amount', note FROM payment_revisions")
    assert [tuple(r) for r in revisions] == [(2, "failed", "250", "the bank says so")]
    assert [k.resolution for k in resources.records()] == ["ACCEPT_INCOMING", "KEEP_STORED"]
    with pytest.raises(Refused) as refused:
        resolve_conflict(resources.engine, resources.settings, keep, "ACCEPT_INCOMING", "no", "test")
    assert refused.value.code == "ALREADY_RESOLVED"
    with pytest.raises(Refused):
        resolve_conflict(resources.engine, resources.settings, keep, "KEEP_STORED", "  ", "test")
    with pytest.raises(Refused) as refused:
        resolve_conflict(resources.engine, resources.settings, uuid4(), "KEEP_STORED", "no", "test")
    assert refused.value.code == "NOT_FOUND"
