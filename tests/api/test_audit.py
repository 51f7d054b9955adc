"""The audit of the GraphQL over HTTP specification: npm's graphql-http against a running API."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.api.conftest import settings_for
from tests.api.process import server

AUDIT = Path(__file__).parent / "audit"
SECONDS = 300
WANTED = {"MUST": 13, "SHOULD": 23, "MAY": 25}


@pytest.fixture(scope="module")
def results(demo_url: str, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Each audit's name and status."""
    if shutil.which("npm") is None:
        pytest.skip("NOT TESTED: the audit of GraphQL over HTTP needs Node.js 20 and npm")
    if not (AUDIT / "node_modules" / "graphql-http").is_dir():
        subprocess.run(["npm", "ci", "--silent", "--no-progress"], cwd=AUDIT, check=True, timeout=SECONDS)
    folder = tmp_path_factory.mktemp("audit")
    with server(settings_for(demo_url, folder), folder / "api.log") as url:
        done = subprocess.run(
            ["node", "audit.mjs", f"{url}/graphql"], cwd=AUDIT, check=True, timeout=SECONDS, capture_output=True
        )
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def test_every_audit_passes(results: list[dict[str, Any]]) -> None:
    assert [r for r in results if r["status"] != "ok"] == []
    assert Counter(r["name"].split()[0] for r in results) == WANTED
