"""Imports by mutation: text and upload, answered at once, followed to the end; errors of the caller are userErrors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from fcgraph import db, imports, queue
from fcgraph.api.graphql.types.enums import FINAL_STATES
from fcgraph.settings import Settings
from fcgraph.storage.files import Files
from seeds.load import SAMPLE_CSV
from tests.api.cases import user
from tests.api.client import Api, serving
from tests.api.conftest import settings_for

IMPORT = """
mutation($input: ImportCsvInput!) {
  importCsv(input: $input) {
    alreadyImported userErrors { code message path }
    job { importId fileName sha256 sizeBytes mode dryRun state progress counts { read } failure createdAt }
  }
}"""
JOB = """
query($id: UUID!) {
  importJob(importId: $id) {
    state progress ignoredColumns rejectsUrl failure startedAt finishedAt
    counts { read inserted updated duplicate stale conflict rejected suspicious }
    controlTotals { currency accepted rejected expected matches }
    records(first: 10) {
      totalCount nodes {
        outcome raw transactionId resolvedAt source { kind importId lineNumber offset }
        problems { column code message value } differences { field stored incoming }
      }
    }
  }
}"""
HEADER = "transaction_id,sender_id,receiver_id,amount,currency,timestamp,status\n"


def line(n: int, amount: str = "250.00", sender: str = user(1), status: str = "completed") -> str:
    return f"a1b2c3d4-e5f6-7a8b-9c0d-{n:012},{sender},{user(2)},{amount},USD,2025-05-10T08:15:00Z,{status}\n"


def run(settings: Settings, api: Api, import_id: str) -> Any:
    """Run the import as a worker does; returns the import afterwards."""
    imports.run(api.app.state.resources.engine, Files(settings.uploads_dir), UUID(import_id), settings)
    return api.ask(JOB, id=import_id)["importJob"]


def accepted(api: Api, **input: Any) -> str:
    payload = api.ask(IMPORT, input=input)["importCsv"]
    assert payload["userErrors"] == []
    import_id: str = payload["job"]["importId"]
    return import_id


def refusal(api: Api, **input: Any) -> Any:
    payload = api.ask(IMPORT, input=input)["importCsv"]
    assert payload["job"] is None
    (error,) = payload["userErrors"]
    return error


def test_the_sample_file(api: Api, api_settings: Settings) -> None:
    text = SAMPLE_CSV.read_text()
    payload = api.ask(IMPORT, input={"source": {"text": text}, "fileName": "may.csv"})["importCsv"]
    job = payload["job"]
    assert (job["fileName"], job["state"], job["progress"], job["sizeBytes"]) == (
        "may.csv",
        "QUEUED",
        None,
        str(len(text)),
    )
    assert queue.waiting(api_settings.redis_url) == 1

    done = run(api_settings, api, job["importId"])
    assert done["state"] == "SUCCEEDED_WITH_REJECTS"
    assert done["progress"] == 1
    assert done["counts"] == {
        "read": 4,
        "inserted": 2,
        "updated": 0,
        "duplicate": 1,
        "stale": 0,
        "conflict": 0,
        "rejected": 1,
        "suspicious": 1,
    }
    (record,) = done["records"]["nodes"]
    assert record["outcome"] == "REJECTED"
    assert record["source"] == {"kind": "CSV", "importId": job["importId"], "lineNumber": "5", "offset": None}
    assert {(p["column"], p["code"]) for p in record["problems"]} == {
        ("transaction_id", "INVALID_UUID"),
        ("timestamp", "INVALID_TIMESTAMP"),
        ("status", "INVALID_STATUS"),
    }
    assert "invalid-uuid" in record["raw"]

    rejects = api.client.get(done["rejectsUrl"])
    assert rejects.status_code == 200
    assert rejects.text.splitlines()[0] == HEADER.strip() + ",_line,_outcome,_problems,_record"
    assert "invalid-uuid" in rejects.text
    payment = api.ask(
        "query($id: UUID!) { payment(transactionId: $id) { amount source { kind importId lineNumber } } }",
        id="a1b2c3d4-e5f6-7a8b-9c0d-aaaa00000001",
    )["payment"]
    assert payment == {
        "amount": "250.00",
        "source": {"kind": "CSV", "importId": job["importId"], "lineNumber": "2"},
    }
    found = api.ask("query($f: PaymentFilter) { payments(filter: $f) { totalCount } }", f={"importId": job["importId"]})
    assert found["payments"]["totalCount"] == 2


def upload(api: Api, content: bytes, *, headers: dict[str, str] | None = None, name: str = "f.csv") -> Any:
    operations = {"query": IMPORT, "variables": {"input": {"source": {"upload": None}}}}
    return api.client.post(
        "/graphql",
        data={"operations": json.dumps(operations), "map": json.dumps({"0": ["variables.input.source.upload"]})},
        files={"0": (name, content, "text/csv")},
        headers={"GraphQL-Require-Preflight": "1"} if headers is None else headers,
    )


def test_an_uploaded_file(api: Api, api_settings: Settings) -> None:
    content = (HEADER + "".join(line(n) for n in range(5000))).encode()
    payload = upload(api, content, name="big.csv").json()["data"]["importCsv"]
    assert payload["userErrors"] == []
    assert (payload["job"]["fileName"], payload["job"]["sizeBytes"]) == ("big.csv", str(len(content)))
    assert run(api_settings, api, payload["job"]["importId"])["counts"]["inserted"] == 5000


def test_the_same_bytes_again_are_reported(api: Api) -> None:
    first = accepted(api, source={"text": HEADER + line(1)})
    again = api.ask(IMPORT, input={"source": {"text": HEADER + line(1)}})["importCsv"]
    assert (again["alreadyImported"], again["job"]["importId"]) == (True, first)
    anew = api.ask(IMPORT, input={"source": {"text": HEADER + line(1)}, "reimport": True})["importCsv"]
    assert anew["alreadyImported"] is False
    assert anew["job"]["importId"] != first


def test_control_totals(api: Api, api_settings: Settings) -> None:
    text = HEADER + line(1) + line(2, "-1")
    expected = {"rowCount": 2, "totals": [{"currency": "USD", "amount": "251"}, {"currency": "EUR", "amount": "0"}]}
    done = run(api_settings, api, accepted(api, source={"text": text}, expected=expected))
    assert done["controlTotals"] == [
        {"currency": "EUR", "accepted": "0.00", "rejected": "0.00", "expected": "0", "matches": True},
        {"currency": "USD", "accepted": "250.00", "rejected": "-1.00", "expected": "251.00", "matches": False},
    ]


def test_a_dry_run_writes_no_payment(api: Api, api_settings: Settings) -> None:
    done = run(api_settings, api, accepted(api, source={"text": HEADER + line(1)}, dryRun=True))
    assert done["counts"]["inserted"] == 1
    assert api.ask("{ payments { totalCount } }")["payments"]["totalCount"] == 0


@pytest.mark.parametrize(
    ("input", "code", "path"),
    [
        ({"source": {"text": ""}}, "MISSING_HEADER", ["input", "source"]),
        ({"source": {"text": "a,b\n1,2\n"}}, "MISSING_HEADER", ["input", "source"]),
        ({"source": {"text": HEADER}}, "INVALID_INPUT", ["input", "source"]),
        ({"source": {"text": "PK\x03\x04zip"}}, "NOT_CSV", ["input", "source"]),
        (
            {
                "source": {"text": HEADER + "x"},
                "expected": {"totals": [{"currency": "USD", "amount": "1"}, {"currency": "USD", "amount": "1"}]},
            },
            "INVALID_INPUT",
            ["input", "expected", "totals"],
        ),
    ],
)
def test_what_cannot_be_imported_is_a_user_error(api: Api, input: dict[str, Any], code: str, path: list[str]) -> None:
    error = refusal(api, **input)
    assert error["path"] == path
    assert error["code"] == code


@pytest.mark.parametrize(
    "source", ["{}", '{text: "a", upload: null}', "{text: null}", '{text: "a", text: "b"}', '"a"', '{upload: "a"}']
)
def test_exactly_one_source(api: Api, source: str) -> None:
    body = api.post(f"mutation {{ importCsv(input: {{source: {source}}}) {{ userErrors {{ code }} }} }}").json()
    codes = [e["extensions"]["code"] for e in body.get("errors", ())] or [
        e["code"] for e in body["data"]["importCsv"]["userErrors"]
    ]
    assert set(codes) <= {"BAD_USER_INPUT", "INVALID_INPUT"}
    assert codes


def test_redis_away_when_accepted(database_url: str, tmp_path: Path) -> None:
    settings = settings_for(database_url, tmp_path)
    with serving(settings) as api:
        import_id = accepted(api, source={"text": HEADER + line(1)})
        assert api.ask(JOB, id=import_id)["importJob"]["state"] == "QUEUED"
        assert [str(i) for i in imports.due(api.app.state.resources.engine, 60)] == [import_id]


def test_cancel(api: Api, api_settings: Settings) -> None:
    cancel = "mutation($id: UUID!) { cancelImport(importId: $id) { job { state } userErrors { code path } } }"
    import_id = accepted(api, source={"text": HEADER + line(1)})
    assert api.ask(cancel, id=import_id)["cancelImport"] == {"job": {"state": "CANCELLED"}, "userErrors": []}
    again = api.ask(cancel, id=import_id)["cancelImport"]
    assert again["job"] == {"state": "CANCELLED"}
    assert again["userErrors"] == [{"code": "ALREADY_FINISHED", "path": ["importId"]}]
    unknown = api.ask(cancel, id=user(1))["cancelImport"]
    assert unknown == {"job": None, "userErrors": [{"code": "NOT_FOUND", "path": ["importId"]}]}
    assert run(api_settings, api, import_id)["state"] == "CANCELLED"


def test_replay_once_the_user_exists(api: Api, api_settings: Settings) -> None:
    run(api_settings, api, accepted(api, source={"text": HEADER + line(1, sender=user(500)) + line(2, "x")}))
    records = api.ask("{ intakeRecords { nodes { recordId problems { code } } } }")["intakeRecords"]["nodes"]
    ids = [r["recordId"] for r in records]
    with db.write(api.app.state.resources.engine) as connection:
        connection.execute(sa.text("INSERT INTO users (user_id, name) VALUES (:id, 'New')"), {"id": user(500)})
    replay = """mutation($ids: [UUID!]!) {
      replayIntakeRecords(recordIds: $ids) { replayed stillRejected userErrors { code path } } }"""
    done = api.ask(replay, ids=ids)["replayIntakeRecords"]
    assert done == {"replayed": 1, "stillRejected": 1, "userErrors": []}
    again = api.ask(replay, ids=ids)["replayIntakeRecords"]
    assert again["replayed"] == 0
    assert api.ask("{ payments { totalCount } }")["payments"]["totalCount"] == 1
    assert len(api.ask("{ intakeRecords { nodes { recordId } } }")["intakeRecords"]["nodes"]) == 1
    assert api.ask(replay, ids=[user(9)])["replayIntakeRecords"]["userErrors"][0]["code"] == "NOT_FOUND"


def test_resolve_a_conflict(api: Api, api_settings: Settings) -> None:
    run(api_settings, api, accepted(api, source={"text": HEADER + line(1)}))
    run(api_settings, api, accepted(api, source={"text": HEADER + line(1, "99.00")}))
    (record,) = api.ask(
        "{ intakeRecords(outcome: [CONFLICT]) { nodes { recordId outcome differences { field stored incoming } } } }"
    )["intakeRecords"]["nodes"]
    assert [d["field"] for d in record["differences"]] == ["amount"]
    resolve = """mutation($id: UUID!, $note: String!, $how: ConflictResolution!) {
      resolveConflict(recordId: $id, resolution: $how, note: $note) {
        record { resolution resolvedAt } payment { amount history { revision } } userErrors { code path } } }"""
    refused = api.ask(resolve, id=record["recordId"], how="ACCEPT_INCOMING", note=" ")["resolveConflict"]
    assert refused["userErrors"] == [{"code": "INVALID_INPUT", "path": ["note"]}]
    done = api.ask(resolve, id=record["recordId"], how="ACCEPT_INCOMING", note="called them")["resolveConflict"]
    assert done["userErrors"] == []
    assert done["payment"] == {"amount": "99.00", "history": [{"revision": 1}, {"revision": 2}]}
    other = api.ask(resolve, id=record["recordId"], how="KEEP_STORED", note="no")["resolveConflict"]
    assert other["userErrors"][0]["code"] == "ALREADY_RESOLVED"


def test_lists_of_imports_and_records_in_pages(api: Api, api_settings: Settings) -> None:
    wanted = [accepted(api, source={"text": HEADER + line(n, "x") + line(n + 1, "y")}) for n in range(0, 6, 2)]
    for import_id in wanted[:2]:
        run(api_settings, api, import_id)
    page = """query($after: String) { importJobs(first: 2, after: $after) {
      totalCount nodes { importId state } pageInfo { hasNextPage endCursor } } }"""
    first = api.ask(page)["importJobs"]
    second = api.ask(page, after=first["pageInfo"]["endCursor"])["importJobs"]
    assert [j["importId"] for j in first["nodes"] + second["nodes"]] == wanted[::-1]
    assert (first["totalCount"], second["pageInfo"]["hasNextPage"]) == (3, False)
    queued = api.ask("{ importJobs(state: [QUEUED]) { totalCount nodes { importId } } }")["importJobs"]
    assert queued == {"totalCount": 1, "nodes": [{"importId": wanted[2]}]}
    lines = """query($id: UUID!, $after: String) { importJob(importId: $id) { records(first: 1, after: $after) {
      nodes { source { lineNumber } } pageInfo { hasNextPage endCursor } } } }"""
    one = api.ask(lines, id=wanted[0])["importJob"]["records"]
    two = api.ask(lines, id=wanted[0], after=one["pageInfo"]["endCursor"])["importJob"]["records"]
    assert [one["nodes"][0]["source"]["lineNumber"], two["nodes"][0]["source"]["lineNumber"]] == ["2", "3"]
    newest = api.ask(
        "{ intakeRecords(first: 1, source: CSV, openOnly: false) { totalCount nodes { source { importId } } } }"
    )
    assert newest["intakeRecords"] == {"totalCount": 4, "nodes": [{"source": {"importId": wanted[1]}}]}
    by_code = "query($id: UUID!) { importJob(importId: $id) { records(code: [UNKNOWN_SENDER]) { totalCount } } }"
    assert api.ask(by_code, id=wanted[0])["importJob"]["records"]["totalCount"] == 0


def test_states_that_end_an_import_are_the_databases(api: Api) -> None:
    with db.read(api.app.state.resources.engine) as connection:
        check = connection.scalar(
            sa.text("SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'ck_imports_finished'")
        )
    assert not any(f"'{state.value}'" in check for state in FINAL_STATES)
    assert "'QUEUED'" in check
