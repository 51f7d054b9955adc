"""A Kafka broker for one machine: Apache Kafka (KRaft, one node) or librdkafka's in-process broker.

Topics are not made here: the broker creates a missing one when a client requests it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from fcgraph.embedded import kafka_jars, ports
from fcgraph.embedded.process import Part
from fcgraph.errors import FcgraphError

Kind = Literal["apache", "in-process"]
Wish = Literal["auto", "apache", "in-process"]

LOG_CONFIGURATION = Path(__file__).with_name("kafka_log4j2.properties")
JAVA = ["java", "-Xms256m", "-Xmx512m", "-XX:+UseSerialGC", f"-Dlog4j2.configurationFile={LOG_CONFIGURATION}"]
ANSWER_SECONDS = 2
FORMAT_SECONDS = 60
MEMORY_ONLY = (
    "it keeps messages in memory only (at most 5 MiB a partition, oldest dropped) and forgets them when it ends"
)
# What the in-process broker lacks; tests that need it are reported when they are skipped.
IN_PROCESS_LACKS = (
    "messages and offsets that survive a restart of the broker",
    "topics deleted and recreated (topic ids)",
    "more than 5 MiB a partition",
)


class NoApacheKafka(FcgraphError):
    """KAFKA_EMBEDDED=apache is set but Apache Kafka is not available; the message says why."""

    code = "NO_APACHE_KAFKA"


@dataclass(frozen=True)
class Choice:
    """Which broker and, unless it is Apache Kafka, why."""

    kind: Kind
    reason: str | None = None

    @property
    def line(self) -> str:
        """One line for a person."""
        if self.kind == "apache":
            return f"Apache Kafka {kafka_jars.version()} (KRaft)"
        return f"librdkafka's in-process broker: {MEMORY_ONLY}" + (f" ({self.reason})" if self.reason else "")


def choose(
    wish: Wish, data_dir: Path, *, reach_seconds: float, download_seconds: float, say: Callable[[str], None]
) -> Choice:
    """Apache Kafka where Java and the jars are available, else the in-process broker; `wish` overrides this.

    Raises NoApacheKafka when `wish` is apache and it is not available.
    """
    if wish == "in-process":
        return Choice("in-process", "KAFKA_EMBEDDED=in-process")
    reason = kafka_jars.why_no_java() or kafka_jars.resolve(
        data_dir, reach_seconds=reach_seconds, download_seconds=download_seconds, say=say
    )
    if reason is None:
        return Choice("apache")
    if wish == "apache":
        raise NoApacheKafka(f"Apache Kafka is not available (KAFKA_EMBEDDED=apache): {reason}")
    return Choice("in-process", reason)


def apache_part(data_dir: Path, folder: Path, port: int, partitions: int) -> Part:
    """Apache Kafka with its jars under `data_dir` and its messages in `folder`."""
    folder = folder.absolute()
    jars = f"{kafka_jars.folder(data_dir)}/*"
    environment = {"PATH": os.environ.get("PATH", os.defpath)}
    return Part(
        name="kafka",
        argv=[*JAVA, "-cp", jars, "kafka.Kafka", str(folder / "server.properties")],
        environment=environment,
        ready=lambda: answers(f"127.0.0.1:{port}"),
        stop_seconds=30,
        prepare=lambda: prepare_apache(folder, jars, port, partitions),
    )


def prepare_apache(folder: Path, jars: str, port: int, partitions: int) -> None:
    """Write the configuration (ports may have changed) and format the storage, once."""
    folder.mkdir(parents=True, exist_ok=True)
    properties = folder / "server.properties"
    properties.write_text(server_properties(folder / "log", port, ports.free(), partitions))
    if (folder / "log" / "meta.properties").exists():
        return
    cluster_id = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    argv = [*JAVA, "-cp", jars, "kafka.tools.StorageTool", "format", "-c", str(properties)]
    argv.append(f"--cluster-id={cluster_id}")  # with "=": the id may start with a dash
    done = subprocess.run(argv, capture_output=True, text=True, timeout=FORMAT_SECONDS, check=False)
    if done.returncode != 0:
        raise NoApacheKafka(f"Apache Kafka's storage cannot be formatted:\n{done.stdout}{done.stderr}")


def server_properties(log: Path, port: int, controller_port: int, partitions: int) -> str:
    """One node that is broker and controller, listening on this machine only."""
    return f"""\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller_port}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs={log}
num.partitions={partitions}
auto.create.topics.enable=true
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
"""


def in_process_part(folder: Path, environment: dict[str, str]) -> Part:
    """librdkafka's broker in its own process. It chooses its port and writes the address to `folder`/address."""
    file = address_file(folder)

    def forget() -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.unlink(missing_ok=True)

    return Part(
        name="kafka",
        argv=[sys.executable, "-m", "fcgraph.embedded.in_process_broker", str(file)],
        environment=environment,
        ready=lambda: file.exists() and answers(file.read_text()),
        stop_signal=signal.SIGTERM,
        stop_seconds=5,
        prepare=forget,
    )


def address_file(folder: Path) -> Path:
    """Where the in-process broker writes `host:port`, once it listens."""
    return folder.absolute() / "address"


def answers(broker: str) -> bool:
    """Whether the broker responds to a metadata request."""
    admin = AdminClient({"bootstrap.servers": broker, "log_level": 0})
    try:
        return bool(admin.list_topics(timeout=ANSWER_SECONDS).brokers)
    except KafkaException:
        return False
