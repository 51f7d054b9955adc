"""Intake records through the API: resolved by id and by filter, counted by problem, and read back."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa

from fcgraph import db
from fcgraph.intake import open_records
from fcgraph.settings import Settings
from tests.api.cases import user
from tests.api.client import Api, serving
from tests.api.conftest import settings_for
from tests.api.generator import Operation
from tests.api.test_fastpath import BothPaths
from tests.api.test_imports import HEADER, JOB, accepted, line, run

RECORDS = """query($all: Boolean) { intakeRecords(openOnly: $all) { totalCount nodes {
  recordId outcome source { kind importId lineNumber } differences { field stored incoming }
  resolvedAt resolution note resolvedBy supersededBy { kind importId lineNumber topic partition offset } } } }"""
REPLAY = """mutation($filter: IntakeRecordFilter!) {
  replayMatching(filter: $filter) { replayed stillRejected userErrors { code message path } } }"""
DISMISS = """mutation($ids: [UUID!], $filter: IntakeRecordFilter, $note: String!) {
  dismissIntakeRecords(recordIds: $ids, filter: $filter, note: $note) { resolved userErrors { code message path } } }"""
RESOLVE = """mutation($id: UUID!, $how: ConflictResolution!, $note: String!) {
  resolveConflict(recordId: $id, resolution: $how, note: $note) {
    record { resolution note resolvedBy resolvedAt } userErrors { code message } } }"""
COUNTS = "query($filter: IntakeRecordFilter) { problemCounts(filter: $filter) { code records } }"
HISTORY = """query($id: UUID!) { payment(transactionId: $id) { amount history { revision status note decidedBy
  previous { senderId receiverId amount currency timestamp status } } } }"""
PAYMENT_ID = "a1b2c3d4-e5f6-7a8b-9c0d-{:012}"


def imported(api: Api, settings: Settings, text: str, **input: Any) -> str:
    import_id = accepted(api, source={"text": text}, **input)
    run(settings, api, import_id)
    return import_id


def records(api: Api, *, with_ended: bool = True) -> list[Any]:
    """All records, oldest first."""
    found: list[Any] = api.ask(RECORDS, all=not with_ended)["intakeRecords"]["nodes"]
    return found[::-1]


def rejects(api: Api, import_id: str) -> str:
    response = api.client.get(f"/imports/{import_id}/rejects.csv")
    assert response.status_code == 200
    return str(response.text)


def add_user(api: Api, n: int) -> None:
    with db.write(api.app.state.resources.engine) as connection:
        connection.execute(sa.text("INSERT INTO users (user_id, name) VALUES (:id, 'New')"), {"id": user(n)})


def test_a_corrected_row_ends_its_record_and_is_named_by_it(api: Api, api_settings: Settings) -> None:
    first = imported(api, api_settings, HEADER + line(1, "x") + line(2, "y"))
    text = rejects(api, first).replace(",x,", ",1.00,", 1)
    second = imported(api, api_settings, text)
    place = {"kind": "CSV", "topic": None, "partition": None, "offset": None, "importId": second}
    ended = {r["source"]["lineNumber"]: r for r in records(api) if r["source"]["importId"] == first}
    for number in ("2", "3"):
        found = ended[number]
        assert (found["resolution"], found["resolvedBy"], found["note"]) == ("SUPERSEDED", None, None)
        assert found["resolvedAt"] is not None
        assert found["supersededBy"] == place | {"lineNumber": number}
    (still_open,) = records(api, with_ended=False)
    assert still_open["source"] == {"kind": "CSV", "importId": second, "lineNumber": "3"}
    assert still_open["supersededBy"] is None
    imported(api, api_settings, rejects(api, second).replace(",y,", ",2.00,", 1))
    assert records(api, with_ended=False) == []


def test_an_import_with_conflicts_only_has_no_rejects_file(api: Api, api_settings: Settings) -> None:
    imported(api, api_settings, HEADER + line(1))
    conflict = imported(api, api_settings, HEADER + line(1, "99.00"))
    assert api.ask(JOB, id=conflict)["importJob"]["rejectsUrl"] is None
    mixed = imported(api, api_settings, HEADER + line(1, "98.00") + line(2, "x"))
    assert api.ask(JOB, id=mixed)["importJob"]["rejectsUrl"] == f"/imports/{mixed}/rejects.csv"
    assert [r["_line"] for r in csv.DictReader(io.StringIO(rejects(api, mixed)))] == ["3"]


def test_replay_by_filter_twice(api: Api, api_settings: Settings) -> None:
    first = imported(api, api_settings, HEADER + line(1, sender=user(500)) + line(2, "x"))
    imported(api, api_settings, HEADER + line(3, sender=user(500)))
    add_user(api, 500)
    one = {"importId": first, "codes": ["UNKNOWN_SENDER"]}
    assert api.ask(REPLAY, filter=one)["replayMatching"] == {"replayed": 1, "stillRejected": 0, "userErrors": []}
    for replayed in (1, 0):
        done = api.ask(REPLAY, filter={})["replayMatching"]
        assert done == {"replayed": replayed, "stillRejected": 1, "userErrors": []}
    assert api.ask("{ payments { totalCount } }")["payments"]["totalCount"] == 2
    ended = [r for r in records(api) if r["resolution"]]
    assert [(r["resolution"], r["resolvedBy"]) for r in ended] == [("REPLAYED_INSERTED", "local")] * 2


def test_dismissal_twice_by_ids_and_by_filter(api: Api, api_settings: Settings) -> None:
    job = imported(api, api_settings, HEADER + "".join(line(n, "x") for n in range(4)))
    ids = [r["recordId"] for r in records(api)]
    for resolved in (2, 0):
        done = api.ask(DISMISS, ids=ids[:2], note="test rows")["dismissIntakeRecords"]
        assert done == {"resolved": resolved, "userErrors": []}
    for resolved in (2, 0):
        done = api.ask(DISMISS, filter={"importId": job}, note="the rest")["dismissIntakeRecords"]
        assert done == {"resolved": resolved, "userErrors": []}
    assert [(r["resolution"], r["note"], r["resolvedBy"]) for r in records(api)] == [
        ("DISMISSED", "test rows", "local"),
        ("DISMISSED", "test rows", "local"),
        ("DISMISSED", "the rest", "local"),
        ("DISMISSED", "the rest", "local"),
    ]
    assert records(api, with_ended=False) == []


def test_what_cannot_be_dismissed_or_replayed_is_a_user_error(api: Api, api_settings: Settings) -> None:
    imported(api, api_settings, HEADER + line(1) + line(2, "x"))
    imported(api, api_settings, HEADER + line(1, "99.00"))
    rejected, conflict = (r["recordId"] for r in records(api))
    refusals: list[tuple[dict[str, Any], str, list[str]]] = [
        ({"ids": [rejected], "note": " "}, "INVALID_INPUT", ["note"]),
        ({"ids": [rejected], "note": "a" * 2001}, "INVALID_INPUT", ["note"]),
        ({"filter": {}, "note": ""}, "INVALID_INPUT", ["note"]),
        ({"note": "neither"}, "INVALID_INPUT", ["recordIds"]),
        ({"ids": [rejected], "filter": {}, "note": "both"}, "INVALID_INPUT", ["recordIds"]),
        ({"ids": [str(uuid4())], "note": "x"}, "NOT_FOUND", ["recordIds"]),
        ({"ids": [rejected, conflict], "note": "x"}, "INVALID_INPUT", ["recordIds"]),
        ({"filter": {"outcomes": ["CONFLICT"]}, "note": "x"}, "INVALID_INPUT", ["filter", "outcomes"]),
    ]
    for variables, code, path in refusals:
        done = api.ask(DISMISS, **variables)["dismissIntakeRecords"]
        (error,) = done["userErrors"]
        assert (done["resolved"], error["code"], error["path"]) == (0, code, path), variables
    assert conflict in api.ask(DISMISS, ids=[conflict], note="x")["dismissIntakeRecords"]["userErrors"][0]["message"]
    (error,) = api.ask(REPLAY, filter={"outcomes": ["CONFLICT"]})["replayMatching"]["userErrors"]
    assert (error["code"], error["path"]) == ("INVALID_INPUT", ["filter", "outcomes"])
    assert api.code(REPLAY, filter={"topic": "a\0b"}) == "BAD_USER_INPUT"
    assert len(records(api, with_ended=False)) == 2


def test_more_than_one_call_has_time_for_is_said_and_the_next_call_goes_on(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(open_records, "BATCH_RECORDS", 1)
    monkeypatch.setattr("fcgraph.api.graphql.record_ends.TIME_SHARE", 0)
    settings = settings_for(database_url, tmp_path)
    with serving(settings) as api:
        imported(api, settings, HEADER + line(1, "x") + line(2, "x"))
        done = api.ask(DISMISS, filter={}, note="test")["dismissIntakeRecords"]
        assert (done["resolved"], [e["code"] for e in done["userErrors"]]) == (1, ["NOT_FINISHED"])
        done = api.ask(DISMISS, filter={}, note="test")["dismissIntakeRecords"]
        assert done["resolved"] == 1
        assert records(api, with_ended=False) == []


def test_problem_counts(api: Api, api_settings: Settings) -> None:
    job = imported(api, api_settings, HEADER + line(1, "x") + line(2, "x", status="y") + line(3, "-1"))
    imported(api, api_settings, HEADER + line(4, "x"))
    imported(api, api_settings, HEADER + line(5))
    imported(api, api_settings, HEADER + line(5, "9.00"))

    def counts(**filter: Any) -> dict[str, int]:
        found = api.ask(COUNTS, filter=filter or None)["problemCounts"]
        assert [c["records"] for c in found] == sorted((c["records"] for c in found), reverse=True)
        return {c["code"]: c["records"] for c in found}

    everything = {"INVALID_AMOUNT": 3, "CONTENT_DIFFERS": 1, "INVALID_STATUS": 1, "NEGATIVE_AMOUNT": 1}
    assert counts() == everything
    assert counts(importId=job) == {"INVALID_AMOUNT": 2, "INVALID_STATUS": 1, "NEGATIVE_AMOUNT": 1}
    assert counts(outcomes=["CONFLICT"]) == {"CONTENT_DIFFERS": 1}
    assert counts(codes=["INVALID_STATUS"]) == {"INVALID_AMOUNT": 1, "INVALID_STATUS": 1}
    assert counts(source="KAFKA") == counts(topic="transactions") == {}
    assert counts(receivedFrom="2999-01-01T00:00:00Z") == counts(receivedTo="2001-01-01T00:00:00Z") == {}
    assert counts(receivedFrom="2001-01-01T00:00:00Z", receivedTo="2999-01-01T00:00:00Z") == everything
    api.ask(DISMISS, filter={"importId": job}, note="test")
    assert counts() == {"CONTENT_DIFFERS": 1, "INVALID_AMOUNT": 1}
    assert counts(openOnly=False) == everything


def test_a_decision_is_read_back_with_its_note_its_person_and_the_old_values(api: Api, api_settings: Settings) -> None:
    imported(api, api_settings, HEADER + line(1, "611.3", status="pending"))
    imported(api, api_settings, HEADER + line(1, "611.3"))
    imported(api, api_settings, HEADER + line(1, "99"))
    (record,) = records(api)
    assert record["differences"] == [{"field": "amount", "stored": "611.30", "incoming": "99.00"}]
    for _ in range(2):
        done = api.ask(RESOLVE, id=record["recordId"], how="ACCEPT_INCOMING", note="called them")["resolveConflict"]
        assert done["userErrors"] == []
        assert done["record"]["resolution"] == "ACCEPT_INCOMING"
        assert (done["record"]["note"], done["record"]["resolvedBy"]) == ("called them", "local")
    other = api.ask(RESOLVE, id=record["recordId"], how="KEEP_STORED", note="no")["resolveConflict"]
    assert [e["code"] for e in other["userErrors"]] == ["ALREADY_RESOLVED"]
    first, advanced, decided = api.ask(HISTORY, id=PAYMENT_ID.format(1))["payment"]["history"]
    assert first == {"revision": 1, "status": "PENDING", "note": None, "decidedBy": None, "previous": None}
    before = {
        "senderId": user(1),
        "receiverId": user(2),
        "amount": "611.30",
        "currency": "USD",
        "timestamp": "2025-05-10T08:15:00Z",
        "status": "PENDING",
    }
    assert advanced["previous"] == before
    assert (advanced["note"], advanced["decidedBy"]) == (None, None)
    assert decided["previous"] == before | {"status": "COMPLETED"}
    assert (decided["note"], decided["decidedBy"]) == ("called them", "local")


@pytest.mark.parametrize(
    ("stored", "incoming", "shown"),
    [
        ("611.3,USD", "99,USD", [("amount", "611.30", "99.00")]),
        ("7,JPY", "70,JPY", [("amount", "7", "70")]),
        ("7,JPY", "1.5,BHD", [("amount", "7", "1.500"), ("currency", "JPY", "BHD")]),
        ("1.25,BHD", "1.25,USD", [("currency", "BHD", "USD")]),
    ],
)
def test_amounts_of_differences_and_of_previous_are_at_the_currencys_scale(
    api: Api, api_settings: Settings, stored: str, incoming: str, shown: list[tuple[str, str, str]]
) -> None:
    with db.write(api.app.state.resources.engine) as connection:
        connection.execute(
            sa.text("INSERT INTO currency (code, name, minor_units) VALUES ('JPY','Yen',0),('BHD','D',3)")
        )
    for amount in (stored, incoming):
        imported(api, api_settings, HEADER + line(1).replace("250.00,USD", amount))
    (record,) = records(api)
    assert [(d["field"], d["stored"], d["incoming"]) for d in record["differences"]] == shown
    api.ask(RESOLVE, id=record["recordId"], how="ACCEPT_INCOMING", note="yes")
    found = api.ask(HISTORY, id=PAYMENT_ID.format(1))["payment"]["history"][1]["previous"]
    units = {"USD": 2, "JPY": 0, "BHD": 3}
    amount, currency = stored.split(",")
    assert (found["amount"], found["currency"]) == (f"{float(amount):.{units[currency]}f}", currency)
    assert records(api)[0]["differences"] == record["differences"]


def test_both_paths_answer_a_history_alike(api: Api, api_settings: Settings) -> None:
    imported(api, api_settings, HEADER + line(1, "20000.5", status="pending") + line(2))
    imported(api, api_settings, HEADER + line(1, "20000.5") + line(2, "3"))
    api.ask(RESOLVE, id=records(api)[0]["recordId"], how="ACCEPT_INCOMING", note='"quoted" \\ é\n')
    history = (
        "history { revision note decidedBy __typename previous { __typename senderId receiverId amount currency"
        " timestamp status } }"
    )
    for query in (
        f'{{ payment(transactionId: "{PAYMENT_ID.format(2)}") {{ {history} }} }}',
        f"{{ payments {{ nodes {{ amount {history} }} }} }}",
    ):
        fast, slow = BothPaths(api).answers(Operation(query, {}))
        assert fast is not None
        assert fast == slow
        assert b"quoted" in fast
