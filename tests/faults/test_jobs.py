"""Imports whose worker, work horse or API is killed, or whose Redis loses its data or fails: each still runs once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import httpx2
import pytest
import sqlalchemy as sa
from redis import Redis
from sqlalchemy import Engine

from fcgraph import db, job_runs, queue
from fcgraph.embedded import ports
from fcgraph.errors import Unavailable
from fcgraph.storage.files import Files
from tests.faults.conftest import Note
from tests.faults.imports import RESUME_SECONDS_MAX, Imports, new_lines
from tests.faults.proxy import Proxy
from tests.faults.run import times
from tests.jobs.processes import Environment, children, redis_at
from tests.jobs.uploads import HEADER
from tests.waiting import until

READY_SECONDS = 30
FAULT_SECONDS = 10
IMPORT = """
mutation($input: ImportCsvInput!) { importCsv(input: $input) { alreadyImported job { importId } userErrors { code } } }
"""


def kill(pid: int) -> None:
    with suppress(ProcessLookupError):  # it had already ended
        os.kill(pid, signal.SIGKILL)


def test_workers_and_horses_killed_at_any_moment(
    jobs: Environment, imports: Imports, redis_url: str, rnd: Random, note: Note
) -> None:
    note("kills", times(50))
    jobs.start("-m", "workers.scheduler")
    worker: subprocess.Popen[bytes] | None = None
    current = imports.accept()
    queue.enqueue_import(redis_url, current)
    for _ in range(times(50)):
        if worker is None:
            worker = jobs.start("-m", "workers.worker")
        if imports.is_done(current):
            current = imports.accept()
            queue.enqueue_import(redis_url, current)
        enough = imports.row(current).done_chunks + rnd.randrange(1, 20)
        until(
            lambda i=current, n=enough: imports.is_done(i) or imports.row(i).done_chunks >= n,  # type: ignore[misc]
            RESUME_SECONDS_MAX,
        )
        victims = rnd.choice(["horse", "worker", "both"])
        horses = children(worker.pid)
        if victims != "horse":
            worker.kill()
            worker.wait()
            worker = None
        if victims != "worker":
            for horse in horses:
                kill(horse)
    if worker is None:
        jobs.start("-m", "workers.worker")
    until(lambda: imports.is_done(current), RESUME_SECONDS_MAX)
    imports.check()


def test_a_redis_that_is_emptied_or_comes_back_empty(
    jobs: Environment, imports: Imports, engine: Engine, tmp_path: Path, rnd: Random, note: Note
) -> None:
    note("emptied", 2 * times(20))
    port = ports.free()
    url = f"redis://127.0.0.1:{port}/0"
    jobs.settings["REDIS_URL"] = url
    jobs.start("-m", "workers.scheduler")
    jobs.start("-m", "workers.worker")
    for n in range(times(20)):
        with redis_at(port, tmp_path):
            import_id = imports.accept()
            if n % 2:
                queue.enqueue_import(url, import_id)
            enough = rnd.randrange(10)
            until(lambda i=import_id, e=enough: imports.row(i).done_chunks >= e, RESUME_SECONDS_MAX)  # type: ignore[misc]
            Redis.from_url(url).flushall()
            # A running import continues; a queued one is found again.
            second = imports.accept()
            until(lambda i=second: imports.is_done(i), RESUME_SECONDS_MAX)  # type: ignore[misc]
        imports.accept()  # while Redis is unavailable: it runs once Redis is back
    with redis_at(port, tmp_path):
        until(lambda: all(imports.is_done(i) for i in imports.accepted), RESUME_SECONDS_MAX)
        until(lambda: due_reports(engine) == "SUCCEEDED", RESUME_SECONDS_MAX)
    imports.check()
    with db.read(engine) as connection:
        assert connection.scalar(sa.text("SELECT count(*) FROM reports WHERE version > 1")) == 0


def due_reports(engine: Engine) -> str | None:
    """The result of the latest run of the due reports."""
    with db.read(engine) as connection:
        runs = {run.job: run.state for run in job_runs.last_runs(connection)}
    return runs.get("run_due_reports")


@pytest.fixture
def redis_proxy(redis_url: str) -> Iterator[Proxy]:
    """A proxy in front of the session's Redis."""
    place = Redis.from_url(redis_url).connection_pool.connection_kwargs
    proxy = Proxy(place["host"], place["port"])
    yield proxy
    proxy.close()


def test_connections_to_redis_cut_stalled_and_answers_lost(
    jobs: Environment, imports: Imports, redis_proxy: Proxy, rnd: Random, note: Note
) -> None:
    note("cuts", times(100))
    url = f"redis://127.0.0.1:{redis_proxy.port}/0"
    jobs.settings["REDIS_URL"] = url
    processes = [jobs.start("-m", "workers.scheduler"), jobs.start("-m", "workers.worker")]
    for _ in range(times(100)):
        import_id = imports.accept()
        with suppress(Unavailable):  # as in the API: the sweep finds it
            queue.enqueue_import(url, import_id)
        kind = redis_proxy.misbehave(rnd, FAULT_SECONDS, lose=b"EXEC")
        until(lambda i=import_id: imports.is_done(i), RESUME_SECONDS_MAX)  # type: ignore[misc]
        assert [process.poll() for process in processes] == [None, None], kind
    imports.check()


def test_the_api_killed_between_storing_an_import_recording_it_and_enqueueing_it(
    jobs: Environment, imports: Imports, engine: Engine, redis_url: str, tmp_path: Path
) -> None:
    content = HEADER + new_lines()
    for moment, recorded in (("import-stored", 0), ("import-recorded", 1)):
        port = ports.free()
        api = jobs.start(
            "-m", "uvicorn", "fcgraph.api.app:app", "--port", str(port), FCGRAPH_FAILPOINT=f"{moment}=kill"
        )
        until(lambda p=port: answers(p), READY_SECONDS)  # type: ignore[misc]
        with pytest.raises(httpx2.TransportError):
            upload(port, content)
        assert api.wait(READY_SECONDS) == -signal.SIGKILL
        with db.read(engine) as connection:
            found = connection.scalars(sa.text("SELECT import_id FROM imports")).all()
        assert len(found) == recorded, moment
    assert queue.waiting(redis_url) == 0
    imports.accepted = list(found)
    jobs.start("-m", "workers.worker")
    jobs.start("-m", "workers.scheduler")
    _, port = start_api(jobs)
    again = upload(port, content)["data"]["importCsv"]  # like a client that got no answer
    assert (again["alreadyImported"], again["job"]["importId"]) == (True, str(found[0]))
    until(lambda: imports.is_done(found[0]), RESUME_SECONDS_MAX)
    imports.check()
    assert Files(tmp_path / "uploads").size(f"{found[0]}.csv") == len(content)


def start_api(jobs: Environment, failpoint: str = "") -> tuple[subprocess.Popen[bytes], int]:
    """A running API, and its port."""
    port = ports.free()
    api = jobs.start("-m", "uvicorn", "fcgraph.api.app:app", "--port", str(port), FCGRAPH_FAILPOINT=failpoint)
    until(lambda: answers(port), READY_SECONDS)
    return api, port


def answers(port: int) -> bool:
    """Whether the API on this port answers."""
    try:
        return httpx2.get(f"http://127.0.0.1:{port}/health").status_code == 200
    except httpx2.TransportError:
        return False


def upload(port: int, content: bytes) -> Any:
    """The answer to a file sent as a multipart form."""
    operations = {"query": IMPORT, "variables": {"input": {"source": {"upload": None}}}}
    form = {"operations": json.dumps(operations), "map": json.dumps({"0": ["variables.input.source.upload"]})}
    url, headers = f"http://127.0.0.1:{port}/graphql", {"GraphQL-Require-Preflight": "1"}
    return httpx2.post(url, data=form, files={"0": ("f.csv", content)}, headers=headers, timeout=READY_SECONDS).json()
