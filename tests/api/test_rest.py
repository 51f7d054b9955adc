"""Plain HTTP: health, the two REST views, report downloads, and errors that name the cause."""

from __future__ import annotations

from datetime import timedelta
from email.utils import format_datetime, parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest

from fcgraph.embedded import ports, postgres
from fcgraph.settings import Settings
from tests import services
from tests.api.cases import ALICE, BOB, ZOE, user
from tests.api.client import Api, serving
from tests.api.conftest import settings_for
from tests.api.test_imports import HEADER, accepted, line, run
from tests.waiting import until


def test_health(demo: Api) -> None:
    response = demo.client.get("/health")
    assert (response.status_code, response.json()) == (200, {"status": "ok"})


def test_ready_says_which_part_is_away(api: Api) -> None:
    response = api.client.get("/health/ready")
    assert response.status_code == 503
    body = response.json()
    assert (body["postgresql"], body["redis"], body["kafka"]) == ("ok", "ok", "away")


def test_ready_when_all_parts_answer(settings: Settings) -> None:
    with serving(settings) as api:
        until(lambda: api.client.get("/health/ready").status_code == 200, 20)
        body = api.client.get("/health/ready").json()
    assert body["status"] == "ready"
    assert body["consumer_lag"] is None or body["consumer_lag"]["total"] == 0


def test_a_database_without_tables_is_not_ready_and_said_so(postgres_port: int, tmp_path: Path) -> None:
    with serving(settings_for(postgres.url(postgres_port, "postgres"), tmp_path)) as api:
        assert api.client.get("/health/ready").json()["postgresql"] == "not migrated"
        response = api.post("{ currencies { code } }")
    assert response.status_code == 503
    assert "run the migrations" in response.json()["errors"][0]["message"]


def test_a_server_before_18_is_not_ready_and_said_so(tmp_path: Path) -> None:
    port = ports.free()
    old = postgres.part(tmp_path / "postgres", port, fsync=False, binaries=services.BINARIES_OF_16)
    with (
        services.running(old, tmp_path / "postgres.log"),
        serving(settings_for(postgres.url(port, "postgres"), tmp_path)) as api,
    ):
        response = api.client.get("/health/ready")
    assert (response.status_code, response.json()["postgresql"]) == (503, "older than PostgreSQL 18")


def test_payments_of_a_user(demo: Api) -> None:
    query = {"start": "2024-03-01", "end": "2024-03-01"}
    body = demo.client.get(f"/users/{ZOE}/payments", params=query).json()
    assert (body["user_id"], body["start"], body["end"], body["next"]) == (ZOE, "2024-03-01", "2024-03-01", None)
    assert len(body["payments"]) == 9
    assert body["payments"][-1] == {
        "transaction_id": "ed6e0000-0000-0000-0000-000000000002",
        "sender_id": ALICE,
        "receiver_id": ZOE,
        "amount": "20.02",
        "currency": "USD",
        "timestamp": "2024-03-01T00:00:00Z",
        "status": "completed",
        "is_suspicious": False,
    }
    first = demo.client.get(f"/users/{ZOE}/payments", params={**query, "first": 4}).json()
    rest = demo.client.get(f"/users/{ZOE}/payments", params={**query, "after": first["next"]}).json()
    assert first["payments"] + rest["payments"] == body["payments"]


def test_daily_totals_of_a_user(demo: Api) -> None:
    body = demo.client.get(f"/users/{BOB}/daily-totals", params={"start": "2024-03-01", "end": "2024-03-31"}).json()
    assert body == {
        "user_id": BOB,
        "start": "2024-03-01",
        "end": "2024-03-31",
        "daily_totals": [
            {
                "day": "2024-03-01",
                "currency": "KWD",
                "total_sent": "0.000",
                "total_received": "1.234",
                "sent_count": 0,
                "received_count": 1,
            },
            {
                "day": "2024-03-01",
                "currency": "USD",
                "total_sent": "10000.01",
                "total_received": "0.00",
                "sent_count": 2,
                "received_count": 0,
            },
        ],
    }


@pytest.mark.parametrize("view", ["payments", "daily-totals"])
@pytest.mark.parametrize(
    ("user_id", "params", "status", "code"),
    [
        ("x", {"start": "2025-01-01", "end": "2025-01-02"}, 400, "BAD_USER_INPUT"),
        (user(999), {"start": "2025-01-01", "end": "2025-01-02"}, 404, "NOT_FOUND"),
        (ZOE, {"start": "2025-01-02", "end": "2025-01-01"}, 400, "BAD_USER_INPUT"),
        (ZOE, {"start": "2025-01-01"}, 400, "BAD_USER_INPUT"),
        (ZOE, {"start": "2025-01-01", "end": "tomorrow"}, 400, "BAD_USER_INPUT"),
        (ZOE, {"start": "2025-01-01T00:00:00Z", "end": "2025-01-02"}, 400, "BAD_USER_INPUT"),
    ],
)
def test_what_is_wrong_is_reported(
    demo: Api, view: str, user_id: str, params: dict[str, str], status: int, code: str
) -> None:
    response = demo.client.get(f"/users/{user_id}/{view}", params=params)
    assert response.status_code == status
    assert response.json()["error"]["code"] == code
    assert response.json()["error"]["request_id"] == response.headers["x-request-id"]


def test_a_report_download(api: Api, api_settings: Settings) -> None:
    run(api_settings, api, accepted(api, source={"text": HEADER + line(1)}))
    made = api.ask("""mutation { generateMonthlyReport(period: "2025-05") {
      unchanged userErrors { code }
      reportFile { period version isLatest isFinalPeriod timeZone statuses fileName downloadUrl sha256 sizeBytes
                   rowCount balanced changesSince totals { currency totalSent totalReceived sentCount } } } }""")
    payload = made["generateMonthlyReport"]
    assert (payload["unchanged"], payload["userErrors"]) == (False, [])
    report = payload["reportFile"]
    assert (report["fileName"], report["rowCount"], report["changesSince"]) == ("monthly_report_2025-05_v1.csv", 2, 0)
    assert report["totals"] == [{"currency": "USD", "totalSent": "250.00", "totalReceived": "250.00", "sentCount": 1}]

    url = report["downloadUrl"]
    whole = api.client.get(url)
    assert whole.headers["etag"] == f'"{report["sha256"]}"'
    assert whole.headers["content-disposition"] == f'attachment; filename="{report["fileName"]}"'
    assert whole.headers["content-length"] == report["sizeBytes"]
    assert "last-modified" in whole.headers
    head = api.client.head(url)
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", report["sizeBytes"])
    part = api.client.get(url, headers={"Range": "bytes=0-6"})
    assert (part.status_code, part.content) == (206, whole.content[:7])
    stale = api.client.get(url, headers={"Range": "bytes=0-6", "If-Range": '"other"'})
    assert stale.status_code == 200
    for tag in (whole.headers["etag"], f"W/{whole.headers['etag']}", f'"x", {whole.headers["etag"]}', "*"):
        assert api.client.get(url, headers={"If-None-Match": tag}).status_code == 304
    beyond = api.client.get(url, headers={"Range": "bytes=999999-"})
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{report['sizeBytes']}")
    tail = api.client.get(url, headers={"Range": "bytes=-5", "If-Range": whole.headers["etag"]})
    assert (tail.status_code, tail.content) == (206, whole.content[-5:])
    assert tail.headers["content-range"].endswith(f"/{report['sizeBytes']}")

    modified = parsedate_to_datetime(whole.headers["last-modified"])
    for seconds, status in ((-1, 200), (0, 304), (1, 304)):
        since = {"If-Modified-Since": format_datetime(modified + timedelta(seconds=seconds), usegmt=True)}
        assert api.client.get(url, headers=since).status_code == status
        assert api.client.get(url, headers=since | {"If-None-Match": '"other"'}).status_code == 200
    assert api.client.get(url, headers={"If-Modified-Since": "yesterday"}).status_code == 200
    unchanged = api.client.head(url, headers={"If-None-Match": whole.headers["etag"]})
    assert (unchanged.status_code, unchanged.headers["etag"]) == (304, whole.headers["etag"])


@pytest.mark.parametrize("harm", ["lost", "cut short"])
def test_a_report_whose_file_is_not_whole_is_no_answer_but_an_error(
    api: Api, api_settings: Settings, harm: str
) -> None:
    generate = 'mutation { generateMonthlyReport(period: "2025-05") { unchanged reportFile { downloadUrl } } }'
    url = api.ask(generate)["generateMonthlyReport"]["reportFile"]["downloadUrl"]
    content = api.client.get(url).content
    (path,) = Path(api_settings.reports_dir).iterdir()
    path.unlink() if harm == "lost" else path.write_bytes(content[:-1])
    response = api.client.get(url)
    assert (response.status_code, response.json()["error"]["code"]) == (503, "UNAVAILABLE")
    assert str(api_settings.reports_dir) not in response.text
    compared = api.post('{ reportFile(period: "2025-05") { changesFrom(version: 1) { day } } }')
    # There is data (the report file is null), so GraphQL over HTTP wants 200.
    assert (compared.status_code, compared.json()["errors"][0]["extensions"]["code"]) == (200, "UNAVAILABLE")
    assert api.ask(generate)["generateMonthlyReport"]["unchanged"]  # recreates it from the database
    assert api.client.get(url).content == content


def test_report_versions_and_what_changed_between_them(api: Api, api_settings: Settings) -> None:
    generate = 'mutation { generateMonthlyReport(period: "2025-05") { unchanged reportFile { version } } }'
    run(api_settings, api, accepted(api, source={"text": HEADER + line(1)}))
    assert api.ask(generate)["generateMonthlyReport"] == {"unchanged": False, "reportFile": {"version": 1}}
    assert api.ask(generate)["generateMonthlyReport"] == {"unchanged": True, "reportFile": {"version": 1}}
    run(api_settings, api, accepted(api, source={"text": HEADER + line(2, "1.50")}))
    stale = '{ reportFile(period: "2025-05") { version changesSince } }'
    assert api.ask(stale)["reportFile"] == {"version": 1, "changesSince": 1}
    assert api.ask(generate)["generateMonthlyReport"] == {"unchanged": False, "reportFile": {"version": 2}}
    found = api.ask("""{ reportFile(period: "2025-05", version: 2) { changesFrom(version: 1) {
      userId day currency before { totalSent sentCount } after { totalSent sentCount } } } }""")
    assert found["reportFile"]["changesFrom"][0] == {
        "userId": user(1),
        "day": "2025-05-10",
        "currency": "USD",
        "before": {"totalSent": "250.00", "sentCount": 1},
        "after": {"totalSent": "251.50", "sentCount": 2},
    }
    latest = api.ask("{ reportFiles { totalCount nodes { version isLatest } } }")["reportFiles"]
    assert latest == {"totalCount": 1, "nodes": [{"version": 2, "isLatest": True}]}
    page = """query($a: String) { reportFiles(latestOnly: false, first: 1, after: $a) {
      nodes { version } pageInfo { endCursor } } }"""
    one = api.ask(page)["reportFiles"]
    two = api.ask(page, a=one["pageInfo"]["endCursor"])["reportFiles"]
    assert [one["nodes"], two["nodes"]] == [[{"version": 2}], [{"version": 1}]]
    assert api.ask('{ reportFile(period: "2025-05", version: 9) { version } }')["reportFile"] is None


@pytest.mark.parametrize("month", ["2025-13", "2025-5", "0000-01", "2025-05-01", "../2025", ""])
def test_what_is_no_month_is_reported(api: Api, month: str) -> None:
    for query in (
        "query($m: Month!) { reportFile(period: $m) { version } }",
        "query($m: Month!) { reportFiles(period: $m) { totalCount } }",
        "mutation($m: Month!) { generateMonthlyReport(period: $m) { unchanged } }",
    ):
        errors = api.post(query, {"m": month}).json()["errors"]
        assert [error["extensions"]["code"] for error in errors] == ["BAD_USER_INPUT"]
        assert "such as 2025-05" in errors[0]["message"]


def test_a_month_that_has_not_started(api: Api) -> None:
    query = 'mutation { generateMonthlyReport(period: "2999-01") { reportFile { version } userErrors { code path } } }'
    assert api.ask(query)["generateMonthlyReport"] == {
        "reportFile": None,
        "userErrors": [{"code": "PERIOD_NOT_STARTED", "path": ["period"]}],
    }


@pytest.mark.parametrize(
    "name", ["x", "..%2F..%2Fetc%2Fpasswd", "%2e%2e", "a%00b", "a" * 5000, "monthly_report_2025-05_v1.csv"]
)
def test_only_names_in_the_table_are_files(api: Api, api_settings: Settings, name: str) -> None:
    folder = Path(api_settings.reports_dir)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "monthly_report_2025-05_v1.csv").write_text("not in the table")
    assert api.client.get(f"/reports/{name}").status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nope", 404, "NOT_FOUND"),
        ("GET", "/reports/nope", 404, "NOT_FOUND"),
        ("GET", "/imports/nope/rejects.csv", 404, "NOT_FOUND"),
        ("POST", f"/users/{ZOE}/payments", 405, "METHOD_NOT_ALLOWED"),
        ("PUT", "/graphql", 405, "METHOD_NOT_ALLOWED"),
        ("GET", "/playground/../app.py", 404, "NOT_FOUND"),
    ],
)
def test_what_is_not_served_is_reported_in_the_same_shape(
    demo: Api, method: str, path: str, status: int, code: str
) -> None:
    response = demo.client.request(method, path)
    assert (response.status_code, response.json()["error"]["code"]) == (status, code)
    assert response.json()["error"]["request_id"] == response.headers["x-request-id"]


@pytest.mark.parametrize("import_id", ["x", user(1)])
def test_rejects_of_no_import(api: Api, import_id: str) -> None:
    assert api.client.get(f"/imports/{import_id}/rejects.csv").status_code == 404


def test_postgresql_away(tmp_path: Path) -> None:
    settings = settings_for("postgresql://postgres@127.0.0.1:1/none", tmp_path)
    with serving(settings) as api:
        assert api.client.get("/health").status_code == 200
        for query in ("{ currencies { code } }", "{ users { nodes { name } } }"):
            response = api.post(query)
            assert response.status_code == 503
            (error,) = response.json()["errors"]
            assert error["extensions"]["code"] == "UNAVAILABLE"
        wanted: Any = api.client.get(f"/users/{ZOE}/payments", params={"start": "2025-01-01", "end": "2025-01-01"})
        assert (wanted.status_code, wanted.json()["error"]["code"]) == (503, "UNAVAILABLE")
        assert api.client.get("/reports/x").status_code == 503
        response = api.post(f'mutation {{ cancelImport(importId: "{ZOE}") {{ job {{ state }} }} }}')
        assert response.status_code == 503
        assert api.client.get("/health/ready").json()["postgresql"] == "away"
