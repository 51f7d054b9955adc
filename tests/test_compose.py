"""compose.yaml and the Dockerfile match the code: the commands start, and the names exist.

No Docker is needed: each service's command runs with its environment on what the Dockerfile copies, in a folder.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from sqlalchemy import Engine, text

from fcgraph import db
from fcgraph.api import playground
from fcgraph.embedded import kafka as embedded_kafka
from fcgraph.embedded import ports, postgres
from fcgraph.embedded.up import UVICORN_OPTIONS
from fcgraph.settings import Settings
from tests import services
from tests.waiting import until

COMPOSE: dict[str, Any] = yaml.safe_load((services.ROOT / "compose.yaml").read_text(encoding="utf-8"))
DOCKERFILE = (services.ROOT / "Dockerfile").read_text(encoding="utf-8")
SERVICES: dict[str, Any] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"] == "fcgraph"}
PLAYGROUND_STAGE, IMAGE_STAGE = re.split(r"^FROM ", DOCKERFILE, flags=re.MULTILINE)[1:]
COPY = re.compile(r"^COPY (\S+) (\S+)$", flags=re.MULTILINE)
COPIES = COPY.findall(IMAGE_STAGE)
SETTINGS = {name.upper() for name in Settings.model_fields}
READY_SECONDS = 60
# What each process logs once it works; `api` is ready when its health check says so.
WORKS = {"consumer": "partitions_assigned", "worker": "worker_started", "scheduler": "scheduler_registered"}


def test_the_services_are_those_of_the_design() -> None:
    assert set(OURS) == {"migrate", "api", "consumer", "worker", "scheduler"}
    assert set(SERVICES) - set(OURS) == {"postgres", "redis", "kafka"}
    assert SERVICES["postgres"]["image"] == "postgres:18"


@pytest.mark.parametrize("name", OURS)
def test_every_variable_is_a_setting_and_every_value_a_valid_one(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = interpolated(OURS[name]["environment"])
    assert set(environment) <= SETTINGS
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    assert Settings().model_fields_set == {variable.lower() for variable in environment}


@pytest.mark.parametrize("name", OURS)
def test_every_address_is_that_of_a_service(name: str) -> None:
    environment = interpolated(OURS[name]["environment"])
    database, redis = urlsplit(environment["DATABASE_URL"]), urlsplit(environment["REDIS_URL"])
    variables = interpolated(SERVICES["postgres"]["environment"])
    assert (database.hostname, database.port, database.path) == ("postgres", 5432, f"/{variables['POSTGRES_DB']}")
    assert (database.username, database.password) == ("postgres", variables["POSTGRES_PASSWORD"])
    assert (redis.hostname, redis.port) == ("redis", 6379)
    advertised = SERVICES["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"].split(",")
    assert f"PLAINTEXT://{environment['KAFKA_BROKER']}" in advertised


def test_kafka_gets_only_settings_that_a_broker_knows() -> None:
    """The image turns KAFKA_A_B into the property a.b. Our embedded broker is of the same kind and has all of them."""
    answer = {v.removeprefix("KAFKA_").lower().replace("_", ".") for v in SERVICES["kafka"]["environment"]}
    embedded = embedded_kafka.server_properties(Path("log"), 1, 2, partitions=4)
    assert answer <= {line.partition("=")[0] for line in embedded.splitlines()}


def test_start_order_waits_for_health_and_for_the_migrations() -> None:
    for name, service in OURS.items():
        for needed, how in service["depends_on"].items():
            if how["condition"] == "service_healthy":
                assert "healthcheck" in SERVICES[needed], (name, needed)
        assert service["depends_on"]["postgres"] == {"condition": "service_healthy"}
        if name != "migrate":
            assert service["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}
    assert OURS["migrate"]["restart"] == "no"


def test_every_volume_is_declared_and_lies_where_the_settings_say() -> None:
    used = {v.partition(":")[0] for service in SERVICES.values() for v in service.get("volumes", [])}
    assert used == set(COMPOSE["volumes"])
    for name in ("api", "worker"):  # the processes that store and serve files share a folder
        mounted = {v.partition(":")[2] for v in OURS[name]["volumes"]}
        assert {OURS[name]["environment"][folder] for folder in ("REPORTS_DIR", "UPLOADS_DIR")} == mounted


def test_every_path_that_is_copied_exists_and_is_let_through() -> None:
    let_through = set((services.ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines())
    assert COPIES
    for source, _ in COPIES:
        assert (services.ROOT / source).exists(), source
        assert f"!{source}" in let_through


def test_the_playground_is_built_from_what_is_there_to_where_the_api_looks() -> None:
    [(source, _)] = COPY.findall(PLAYGROUND_STAGE)
    assert {"package.json", "package-lock.json", "build.mjs"} <= {f.name for f in (services.ROOT / source).iterdir()}
    built = re.search(r"^COPY --from=playground /build/dist (\S+)$", IMAGE_STAGE, flags=re.MULTILINE)
    assert built is not None
    assert (services.ROOT / built[1]).resolve() == playground.DIST.resolve()


def test_the_api_has_the_options_that_make_up_gives_it() -> None:
    options = list(UVICORN_OPTIONS)
    [image_command] = re.findall(r"^CMD (\[.*?\])$", IMAGE_STAGE.replace("\\\n", ""), flags=re.MULTILINE)
    assert OURS["api"]["command"] == json.loads(image_command)
    assert OURS["api"]["command"][-len(options) :] == options


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the Dockerfile copies, in a folder."""
    folder = tmp_path_factory.mktemp("image") / "app"
    for source, target in COPIES:
        found = services.ROOT / source
        if found.is_dir():
            shutil.copytree(
                found, folder / target, ignore=shutil.ignore_patterns("__pycache__", "node_modules", "dist")
            )
        else:
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copy(found, folder / target)
    return folder


@pytest.mark.parametrize("name", [*WORKS, "api"])
def test_the_command_starts_and_works(name: str, image: Path, settings: Settings, tmp_path: Path) -> None:
    port = ports.free()
    with command(name, image, settings, tmp_path / "log", port) as process:
        if name == "api":
            check = [arg.replace("8000", str(port)) for arg in OURS["api"]["healthcheck"]["test"][1:]]
            checked = [[sys.executable, *check[1:]] if check[0] == "python" else check][0]
            until(lambda: subprocess.run(checked, check=False, capture_output=True).returncode == 0, READY_SECONDS)
        else:
            until(lambda: WORKS[name] in (tmp_path / "log").read_text() or process.poll() is not None, READY_SECONDS)
        assert process.poll() is None, (tmp_path / "log").read_text()
        process.terminate()
        assert process.wait(30) in (0, -signal.SIGTERM), (tmp_path / "log").read_text()  # uvicorn passes the signal on


def test_migrate_makes_the_schema_and_the_seeds_in_an_empty_database(
    image: Path, settings: Settings, postgres_port: int, tmp_path: Path
) -> None:
    empty = f"{settings.database_url.rpartition('/')[2]}_empty"
    postgres.create_database(postgres_port, empty)
    try:
        changed = settings.model_copy(update={"database_url": postgres.url(postgres_port, empty)})
        with command("migrate", image, changed, tmp_path / "log", 0) as process:
            assert process.wait(READY_SECONDS) == 0, (tmp_path / "log").read_text()
        engine = db.make_engine(changed.database_url, name="tests")
        assert [count(engine, table) for table in ("users", "currency", "transactions")] == [7, 3, 0]
    finally:
        services.drop_database(postgres_port, empty)


def count(engine: Engine, table: str) -> int:
    with db.read(engine) as connection:
        return int(connection.scalar(text(f"SELECT count(*) FROM {table}")) or 0)


@contextmanager
def command(name: str, image: Path, settings: Settings, log: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """The service's command with its environment, addresses and folders replaced by the test's, run in the image."""
    environment = interpolated(OURS[name]["environment"])
    for setting in ("database_url", "redis_url", "kafka_broker", "kafka_topic", "kafka_consumer_group"):
        environment[setting.upper()] = str(getattr(settings, setting))
    for setting in ("reports_dir", "uploads_dir", "data_dir"):
        environment[setting.upper()] = str(getattr(settings, setting))
    argv = OURS[name]["command"]
    argv = [arg.replace("8000", str(port)) for arg in (shlex.split(argv) if isinstance(argv, str) else argv)]
    binaries = str(Path(sys.executable).parent)
    clean = services.clean_environment()
    environment = clean | environment | {"PATH": f"{binaries}:{clean['PATH']}", "PYTHONDONTWRITEBYTECODE": "1"}
    environment.pop("PYTHONPATH", None)
    with log.open("wb") as output:
        process = subprocess.Popen(argv, cwd=image, env=environment, stdout=output, stderr=output)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def interpolated(environment: dict[str, str]) -> dict[str, str]:
    """The values as Compose resolves them when the variables are not set."""
    return {name: re.sub(r"\$\{[A-Z_]+:-([^}]*)\}", r"\1", value) for name, value in environment.items()}
