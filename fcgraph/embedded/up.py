"""The whole system on one machine: embedded PostgreSQL, Redis and Kafka where no address is set, and our processes.

This module defines the processes and their environment; the supervisor keeps them running.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from http import HTTPStatus
from pathlib import Path

import httpx2

from fcgraph import db, zones
from fcgraph.embedded import kafka, ports, postgres, redis, stack
from fcgraph.embedded.output import Output
from fcgraph.embedded.process import Part
from fcgraph.embedded.stack import Stack
from fcgraph.embedded.supervisor import Supervisor
from fcgraph.errors import FcgraphError
from fcgraph.settings import Settings
from seeds.load import load_reference

ROOT = Path(__file__).parent.parent.parent
READY_POLL_SECONDS = 2
# uvicorn's defaults cost throughput: proxy headers are not used here, the server header is not needed, and frames are
# compressed on the event loop, where two megabytes block everything for tens of milliseconds.
UVICORN_OPTIONS = (
    "--no-proxy-headers",
    "--no-server-header",
    *("--http", "fcgraph.api.http.server:OneWrite"),
    *("--ws-per-message-deflate", "false"),
)
APPLICATION = 1  # the layer above the servers


class NotReady(FcgraphError):
    """The stack was not ready in time; its log says why."""

    code = "NOT_READY"


class Up:
    """One `up`: what was chosen, what runs."""

    def __init__(self, settings: Settings, output: Output) -> None:
        self.settings = settings
        self.output = output
        self.data_dir = settings.data_dir.absolute()
        self.configured = settings.model_fields_set
        # What processes that join need: the settings of `up`, except secrets, and what `up` chooses.
        self.environment = {
            name.upper(): str(getattr(settings, name)) for name in self.configured if Settings.model_fields[name].repr
        }
        self.kafka_kind = "given"
        self.known_kafka = "Kafka: the one at KAFKA_BROKER"
        self.ports = stack.ports(self.data_dir)
        self.supervisor = Supervisor(output.line, self.write_state)

    def run(self) -> None:
        """Start everything, print what to do with it, and keep it running until stopped.

        When another `up` runs, print what to do with that one, and raise AlreadyUp.
        """
        try:
            self.run_alone()
        except stack.AlreadyUp:
            if there := stack.running(self.data_dir):
                where = f"Kafka: {there['kafka_broker']} ({there['kafka_kind']})"
                self.output.welcome(there["api_url"], self.data_dir, where)
            raise

    def run_alone(self) -> None:
        """The same, where no other `up` runs."""
        with stack.locked(self.data_dir), self.supervisor:
            host, port = self.settings.api_host, self.settings.api_port
            ports.require_free(port, "API_PORT", host)
            self.choose_folders()
            self.start_postgres()
            zones.check(db.make_engine(self.address("database_url"), name="up"), self.settings.report_timezone)
            self.start_redis()
            self.start_kafka()
            stack.keep_ports(self.data_dir, self.ports)
            self.migrate_and_seed()
            for part in self.application():
                self.supervisor.start(part)
            self.write_environment()
            seconds = self.settings.start_seconds
            if not self.supervisor.watch(until=self.is_ready, seconds=seconds):
                raise NotReady(f"{self.api_url}/health/ready is not true after {seconds:g} s (START_SECONDS)")
            self.write_state()
            self.output.welcome(self.api_url, self.data_dir, self.known_kafka)
            self.supervisor.watch()

    @property
    def api_url(self) -> str:
        host = self.settings.api_host
        return f"http://{'127.0.0.1' if host in ('0.0.0.0', '::') else host}:{self.settings.api_port}"  # noqa: S104 - only compared

    def address(self, name: str) -> str:
        """The value of this setting for our processes."""
        return self.environment.get(name.upper()) or str(getattr(self.settings, name))

    def choose_folders(self) -> None:
        for name in ("reports_dir", "uploads_dir"):
            if name not in self.configured:
                self.environment[name.upper()] = str(self.data_dir / name.removesuffix("_dir"))
        self.environment["DATA_DIR"] = str(self.data_dir)

    def port(self, name: str) -> int:
        """The port for an embedded server: the one that is set, else the one of the last run, else a free one."""
        setting = f"embedded_{name}_port"
        wished: int = getattr(self.settings, setting)
        chosen = ports.require_free(wished, setting.upper()) if wished else ports.free(self.ports.get(name))
        self.ports[name] = chosen
        return chosen

    def start_postgres(self) -> None:
        if "database_url" in self.configured:
            self.output.line("up", "PostgreSQL: the one at DATABASE_URL")
            self.wait_for_postgres()
            return
        port = self.port("postgres")
        self.output.line("up", f"PostgreSQL 18 on port {port}, data in {self.data_dir / 'postgres'}")
        self.supervisor.start(postgres.part(self.data_dir / "postgres", port), self.settings.start_seconds)
        postgres.create_database(port, postgres.DATABASE)
        self.environment["DATABASE_URL"] = postgres.url(port)

    def wait_for_postgres(self) -> None:
        """Wait for the configured server, logging each reason once."""
        said: set[str] = set()

        def say(reason: str) -> None:
            if reason not in said:
                self.output.line("up", f"waiting for PostgreSQL: {reason}")
            said.add(reason)

        engine = db.make_engine(self.settings.database_url, name="up")
        pause = self.settings.waiting_retry_seconds
        db.wait_until_ready(engine, on_wait=say, pause=lambda: time.sleep(pause), give_up=lambda: False)

    def start_redis(self) -> None:
        if "redis_url" in self.configured:
            self.output.line("up", "Redis: the one at REDIS_URL")
            return
        port = self.port("redis")
        self.output.line("up", f"Redis on port {port}")
        self.supervisor.start(redis.part(self.data_dir / "redis", port), self.settings.start_seconds)
        self.environment["REDIS_URL"] = redis.url(port)

    def start_kafka(self) -> None:
        if "kafka_broker" in self.configured:
            self.output.line("up", self.known_kafka)
            return
        choice = kafka.choose(
            self.settings.kafka_embedded,
            self.data_dir,
            reach_seconds=self.settings.maven_reach_seconds,
            download_seconds=self.settings.maven_download_seconds,
            say=lambda line: self.output.line("up", line),
        )
        self.kafka_kind = choice.kind
        self.known_kafka = f"Kafka: {choice.line}"
        self.output.line("up", self.known_kafka)
        folder = self.data_dir / "kafka"
        if choice.kind == "apache":
            port = self.port("kafka")
            part = kafka.apache_part(self.data_dir, folder, port, self.settings.kafka_partitions)
            self.supervisor.start(part, self.settings.start_seconds)
            self.environment["KAFKA_BROKER"] = f"127.0.0.1:{port}"
        else:
            part = kafka.in_process_part(folder, self.full_environment())
            self.supervisor.start(part, self.settings.start_seconds, on_ready_again=self.follow_the_broker)
            self.environment["KAFKA_BROKER"] = kafka.address_file(folder).read_text()

    def follow_the_broker(self) -> None:
        """The in-process broker came back on another port, which it cannot choose: restart our processes with it."""
        self.environment["KAFKA_BROKER"] = kafka.address_file(self.data_dir / "kafka").read_text()
        self.write_environment()
        self.supervisor.replace(self.application())

    def migrate_and_seed(self) -> None:
        """Bring the database to the newest schema and add the missing users and currencies."""
        self.output.line("up", "migrating and seeding")
        argv = [sys.executable, "-m", "alembic", "-c", str(ROOT / "migrations" / "alembic.ini"), "upgrade", "head"]
        done = subprocess.run(argv, env=self.full_environment(), capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise NotReady(f"the migrations failed:\n{done.stdout}{done.stderr}")
        engine = db.make_engine(self.address("database_url"), name="up")
        with db.write(engine) as connection:
            load_reference(connection)

    def full_environment(self) -> dict[str, str]:
        """The environment of our processes."""
        return {**os.environ, **self.environment, "PYTHONUNBUFFERED": "1"}

    def application(self) -> list[Part]:
        """Our processes."""
        serve = ["uvicorn", "fcgraph.api.app:app", "--host", self.settings.api_host]
        serve += ["--port", str(self.settings.api_port), "--timeout-graceful-shutdown", "5", "--no-access-log"]
        serve += UVICORN_OPTIONS
        modules = {
            "api": serve,
            "consumer": ["workers.consumer"],
            "worker": ["workers.worker"],
            "scheduler": ["workers.scheduler"],
        }
        return [
            Part(
                name=name,
                argv=[sys.executable, "-m", *argv],
                environment=self.full_environment(),
                ready=lambda: True,
                layer=APPLICATION,
            )
            for name, argv in modules.items()
        ]

    def is_ready(self) -> bool:
        try:
            return httpx2.get(f"{self.api_url}/health/ready", timeout=READY_POLL_SECONDS).status_code == HTTPStatus.OK
        except httpx2.HTTPError:
            return False

    def write_state(self) -> None:
        """Write what runs where, for `status` and for processes that join the stack."""
        stack.write(self.data_dir, self.state())

    def state(self) -> Stack:
        """The content of stack.json."""
        environment = {**self.environment, "API_URL": self.api_url}
        if chosen := self.environment.get("REDIS_URL"):
            environment["RQ_REDIS_URL"] = chosen  # where RQ's own command line looks: a plain `rq worker` joins as well
        return {
            "pid": os.getpid(),
            "api_url": self.api_url,
            "database_url": postgres.without_password(self.address("database_url")),
            "redis_url": redis.without_password(self.address("redis_url")),
            "kafka_broker": self.address("kafka_broker"),
            "kafka_kind": self.kafka_kind,
            "environment": environment,
            # `up` may choose DATA_DIR, but a shell that has joined a stack and starts one means the same folder.
            "chosen": sorted(set(environment) - {name.upper() for name in self.configured} - {"DATA_DIR"}),
            "processes": {
                name: {
                    "pid": child.process.pid,
                    "created": child.process.created,
                    "state": child.state,
                    "restarts": child.restarts,
                }
                for name, child in self.supervisor.children.items()
            },
        }

    def write_environment(self) -> None:
        """`. .fcgraph/env` in another terminal joins the stack."""
        stack.write_env(self.data_dir, self.state(), Path(sys.executable).parent)
