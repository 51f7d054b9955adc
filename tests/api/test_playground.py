"""The playground in a real browser that can reach only this API: run a query, import, watch the import."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from fcgraph import db, imports
from fcgraph.api import playground
from fcgraph.settings import Settings
from fcgraph.storage.files import Files
from tests.api import browser
from tests.api.client import Api
from tests.api.process import server

ROOT = Path(__file__).parents[2]
BUILT = playground.DIST / "playground.js"
QUERY_EDITOR = "document.querySelector('.graphiql-query-editor .CodeMirror').CodeMirror"
VARIABLES_EDITOR = "document.querySelector('.graphiql-editor-tool .CodeMirror').CodeMirror"
RESULT = "document.querySelector('.result-window .CodeMirror').CodeMirror.getValue()"
RUN = "document.querySelector('.graphiql-execute-button').click()"


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of the browser. The playground's assets are built if they are missing.

    Without either the test is skipped, and the summary of the run names what is missing.
    """
    program = browser.find()
    if program is None:
        pytest.skip("NOT TESTED: the playground needs Chromium (Debian: apt-get install chromium)")
    if not BUILT.is_file():
        if shutil.which("npm") is None:
            pytest.skip("NOT TESTED: the playground's assets need Node.js 20 and npm")
        subprocess.run(["make", "playground"], cwd=ROOT, check=True)
    return program


@pytest.fixture
def address(api_settings: Settings, tmp_path: Path) -> Iterator[str]:
    """A real server process."""
    with server(api_settings, tmp_path / "api.log") as url:
        yield url


def open_tab(page: browser.Page, number: int) -> None:
    page.run(f"document.querySelectorAll('.graphiql-tab-button')[{number}].click()")


def run_until(page: browser.Page, text: str) -> None:
    """Run the tab's operation until it answers this: just after a change of tabs GraphiQL sends the old name."""
    page.run(RUN)
    again = f"{RESULT}.includes('operationName') && {RUN}"
    page.wait(f"{RESULT}.includes({json.dumps(text)}) || ({again})")


def run_for(page: browser.Page, text: str) -> Any:
    """The data of the answer that has this text."""
    run_until(page, text)
    return shown(page, text)


def shown(page: browser.Page, text: str) -> Any:
    """The answer, once it has this text."""
    page.wait(f"{RESULT}.includes({json.dumps(text)})")
    return json.loads(page.run(RESULT))["data"]


def test_query_import_and_progress(chromium: str, address: str, api_settings: Settings, tmp_path: Path) -> None:
    with browser.page(chromium, f"{address}/graphql", tmp_path / "profile") as page:
        page.wait("document.querySelector('.graphiql-query-editor .CodeMirror')")
        assert page.run("document.querySelectorAll('.graphiql-tab-button').length") == 5
        assert run_for(page, '"Alice"')["user"]["name"] == "Alice"

        # The docs panel shows the schema, which the page loaded from this API.
        page.run("document.querySelector('[aria-label=\"Show Documentation Explorer\"]').click()")
        docs = "document.querySelector('.graphiql-doc-explorer')"
        page.wait(f"{docs}.innerText.includes('Query')")
        page.run(f"[...{docs}.querySelectorAll('a')].find(a => a.innerText === 'Query').click()")
        page.wait(f"{docs}.innerText.includes('What users sent and received, per day and currency')")

        open_tab(page, 2)
        job = run_for(page, '"importId"')["importCsv"]["job"]
        assert job["state"] == "QUEUED"

        open_tab(page, 3)
        run_until(page, "There is no such import")  # not the GraphQL error for an empty id
        page.run(f"{VARIABLES_EDITOR}.setValue(JSON.stringify({{importId: '{job['importId']}'}}))")
        run_for(page, '"QUEUED"')
        engine = db.make_engine(api_settings.database_url, name="tests")
        imports.run(engine, Files(api_settings.uploads_dir), UUID(job["importId"]), api_settings)
        done = shown(page, "SUCCEEDED_WITH_REJECTS")["importProgress"]
        assert done["counts"] == {"read": 2, "inserted": 1, "rejected": 1}
        assert done["records"]["nodes"][0]["problems"][0]["code"] == "NEGATIVE_AMOUNT"
        with engine.connect() as connection:
            assert connection.scalar(sa.text("SELECT count(*) FROM transactions")) == 0  # it was a dry run
        page.screenshot(tmp_path / "playground.png")
        assert page.refused == []


def test_every_example_is_valid(demo: Api) -> None:
    source = (ROOT / "fcgraph" / "api" / "playground" / "playground.js").read_text(encoding="utf-8")
    examples = [part.split("`;")[0] for part in source.split(" = `#")[1:]]
    assert len(examples) == 5
    for example in examples:
        prepared = demo.app.endpoint._documents.prepare("#" + example)
        assert prepared.errors == []


def test_nothing_comes_from_elsewhere() -> None:
    assert "//" not in playground.PAGE.read_text(encoding="utf-8")
    lock = json.loads((playground.PAGE.parent / "package-lock.json").read_text(encoding="utf-8"))
    packages = [found for name, found in lock["packages"].items() if name]
    assert all("integrity" in found and "resolved" not in found for found in packages)


def test_without_assets_the_page_says_what_is_missing(
    demo: Api, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(playground, "DIST", tmp_path)
    response = demo.client.get("/graphql")
    assert response.status_code == 200
    assert "make playground" in response.text
    assert "default-src 'self'" in response.headers["content-security-policy"]
