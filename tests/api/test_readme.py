"""What README and docs show is what people see: their queries give their answers, their commands do what they say."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import uuid
from pathlib import Path

from sqlalchemy import Engine

from fcgraph.embedded import postgres
from fcgraph.settings import Settings
from seeds.load import SAMPLE_CSV, SAMPLE_MESSAGES
from tests import services
from tests.api.client import Api
from tests.api.process import server
from tests.intake.channels import Resources

README = (services.ROOT / "README.md").read_text(encoding="utf-8")
DOCS = {path.name: path.read_text(encoding="utf-8") for path in sorted((services.ROOT / "docs").glob("*.md"))}
ALL = "\n".join((README, *DOCS.values(), (services.ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")))
QUERIES = re.findall(r"```graphql\n(.*?)```\n\n```json\n(.*?)```", ALL, re.DOTALL)
README_LINES_MAX = 120


def test_the_readme_is_short() -> None:
    assert README.count("\n") <= README_LINES_MAX


def test_every_link_leads_somewhere() -> None:
    links = [(folder, link) for folder, text in (("", README), *(("docs", text) for text in DOCS.values()))
             for link in re.findall(r"\]\((?!https?://)([^)#]+)[^)]*\)", text)]  # fmt: skip
    assert links
    for folder, link in links:
        assert (services.ROOT / folder / link).exists(), link


def test_the_readmes_queries_give_the_readmes_answers(api: Api, api_settings: Settings, engine: Engine) -> None:
    resources = Resources(engine, api_settings)
    resources.send([(0, n, value) for n, value in enumerate(SAMPLE_MESSAGES.read_bytes().splitlines())])
    resources.import_csv(SAMPLE_CSV.read_bytes())
    assert len(QUERIES) == 4
    for query, answer in QUERIES:
        assert api.ask(query) == json.loads(answer)


def test_the_commands_for_your_own_data_end_in_a_report(postgres_port: int, tmp_path: Path) -> None:
    """In a database without seeds."""
    section = README.split("## Your own data")[1].split("\n## ")[0]
    (commands,) = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
    database = f"own_{uuid.uuid4().hex}"
    postgres.create_database(postgres_port, database)
    url = postgres.url(postgres_port, database)
    services.migrate(url)
    folders = {name: str(tmp_path / name) for name in ("REPORTS_DIR", "UPLOADS_DIR", "DATA_DIR")}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-ec", commands],
        cwd=tmp_path,
        env=services.clean_environment()
        | folders
        | {"DATABASE_URL": url, "PATH": path, "PYTHONPATH": str(services.ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    services.drop_database(postgres_port, database)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "read 2: inserted 2," in done.stdout
    assert "GBP" in done.stdout
    assert "19.90" in done.stdout
    assert "new, version 1, 2 lines" in done.stdout.replace("\n", " ")


def test_the_readme_names_only_settings_and_files_that_exist() -> None:
    known = {name.upper() for name in Settings.model_fields}
    table = DOCS["operations.md"].split("## Settings")[1].split("## Processes")[0]
    named = {
        name
        for row in table.splitlines()
        if row.startswith("| `")
        for name in re.findall(r"`([A-Z_]+)`", row.split("|")[1])
    }
    assert named
    assert named <= known
    for path in re.findall(r"`((?:fcgraph|workers|seeds|tests|migrations)/[\w./]*)`", ALL):
        assert Path(services.ROOT / path).exists(), path


def test_the_readmes_downloads_work_wherever_the_api_listens(
    api_settings: Settings, engine: Engine, tmp_path: Path
) -> None:
    lines = re.findall(r"curl [^`#\n]*[^`#\s]", ALL)
    assert lines
    assert all('"$API_URL/' in line for line in lines)
    resources = Resources(engine, api_settings)
    resources.import_csv(SAMPLE_CSV.read_bytes())
    environment = services.environment(api_settings)
    report = [sys.executable, "-m", "fcgraph", "report", "--period", "2025-05", "--json"]
    made = subprocess.run(report, cwd=services.ROOT, env=environment, capture_output=True, text=True, check=True)
    downloads = [line for line in lines if "/reports/" in line]
    assert downloads
    with server(api_settings, tmp_path / "api.log") as url:
        for number, line in enumerate(downloads):
            (folder := tmp_path / str(number)).mkdir()
            script = f"set -eu; {line} --fail --silent --show-error"
            subprocess.run(["sh", "-c", script], cwd=folder, env=environment | {"API_URL": url}, check=True)
            (file,) = folder.iterdir()
            assert hashlib.sha256(file.read_bytes()).hexdigest() == json.loads(made.stdout)["sha256"]
