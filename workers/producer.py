"""The sample sender: `python -m workers.producer` sends the lines of a file to the topic, byte for byte.

Exit codes: 0 all delivered, 1 some were not (the count is printed), 78 a setting or the file's name is wrong.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from confluent_kafka import KafkaException
from quixstreams import Application
from quixstreams.kafka import Producer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from fcgraph import joined
from fcgraph import settings as process_settings
from fcgraph.errors import SettingsError
from fcgraph.kafka import clients
from fcgraph.observability import log
from fcgraph.settings import Settings

DELIVERED, NOT_DELIVERED, BAD_SETTING = 0, 1, 78
SAMPLE = Path(__file__).parent.parent / "seeds" / "sample_kafka_messages.jsonl"


def lines_of(file: Path) -> Iterator[bytes]:
    """The lines without their line feed; empty ones are not sent. Raises OSError."""
    with file.open("rb") as lines:
        for line in lines:
            value = line.removesuffix(b"\n")
            if value:
                yield value


def key_of(value: bytes) -> bytes | None:
    """The payment's id, so that all messages about one payment go to one partition and keep their order."""
    try:
        found = json.loads(value)
    except (ValueError, RecursionError):
        return None  # sent all the same: the intake validates it
    transaction_id = found.get("transaction_id") if isinstance(found, dict) else None
    return transaction_id.lower().encode("utf-8", "replace") if isinstance(transaction_id, str) else None


class Sending:
    """Messages in flight: how many are delivered, how many are not."""

    def __init__(self, producer: Producer, topic: str, progress: Progress, total: int) -> None:
        self._producer = producer
        self._topic = topic
        self._progress = progress
        self._task = progress.add_task(f"to {topic}", total=total)
        self._sent = 0
        self.delivered = 0
        self.reason = ""

    @property
    def failed(self) -> int:
        """Messages that were sent and are not known to have arrived."""
        return self._sent - self.delivered

    def send(self, value: bytes) -> None:
        """Queue a message, waiting for room."""
        self._sent += 1
        while True:
            try:
                self._producer.produce(self._topic, value, key_of(value), on_delivery=self._on_delivery)
                return
            except BufferError:
                self._producer.poll(0.1)
            except KafkaException as e:  # larger than the message limit: this one fails, the others continue
                self.reason = e.args[0].str()
                return

    def _on_delivery(self, error: Any, message: object) -> None:
        if error is None:
            self.delivered += 1
            self._progress.advance(self._task)
        else:
            self.reason = error.str()


def send(settings: Settings, file: Path, topic: str, rate: float | None, progress: Progress) -> Sending:
    """Send the file's lines, `rate` a second or as fast as possible, and wait until each has arrived or failed.

    Makes the topic when it is missing. Raises OSError for the file, KafkaException when Kafka does not respond.
    """
    total = sum(1 for _ in lines_of(file))
    application = make_application(settings, topic)
    started_at = time.monotonic()
    with progress, application.get_producer() as producer:
        sending = Sending(producer, topic, progress, total)
        for n, value in enumerate(lines_of(file)):
            if rate is not None:
                while (early := started_at + n / rate - time.monotonic()) > 0:
                    producer.poll(early)
            sending.send(value)
        producer.flush()
    return sending


def make_application(settings: Settings, topic: str) -> Application:
    """Quix's application; makes the topic when it is missing. Raises KafkaException."""
    cluster = clients.make_admin(settings).list_topics(timeout=settings.kafka_request_timeout_seconds)
    manager = clients.topic_manager(settings, cluster)
    application = Application(
        broker_address=settings.kafka_broker,
        consumer_group=settings.kafka_consumer_group,
        producer_extra_config={
            **clients.client_config(),
            "message.timeout.ms": int(settings.kafka_delivery_timeout_seconds * 1000),
        },
        topic_manager=manager,
        loglevel=None,
    )
    application.topic(topic, config=manager.topic_config(num_partitions=settings.kafka_partitions))
    return application


def where_to_look(stack: joined.Stack | None) -> str:
    """Where to look up the outcome of the messages, which is not known here."""
    playground = f"the playground, {stack['api_url']}/graphql" if stack else "the playground"
    return (
        "Outcomes: `python -m fcgraph status` shows unread messages; payments, and rejections in intakeRecords,"
        f" are in {playground}"
    )


class NoFirstNumber(logging.Filter):
    """Drops librdkafka's warning that a starting broker has no producer id yet: librdkafka retries."""

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        return not ("GETPID" in message and "Coordinator load in progress" in message and "retrying" in message)


def main(
    file: Annotated[Path, typer.Option(help="The file whose lines are sent.")] = SAMPLE,
    rate: Annotated[
        float | None, typer.Option(help="Messages a second; as fast as possible by default.", min=0.001)
    ] = None,
    topic: Annotated[str | None, typer.Option(help="The topic; KAFKA_TOPIC by default.")] = None,
) -> None:
    """Send the sample messages, or the lines of a file, to Kafka."""
    console = Console(stderr=True, markup=False, soft_wrap=True)  # errors stay on one line
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    try:
        settings = process_settings.current()
        log.set_up("producer", level=settings.log_level, fmt=settings.log_format)
        logging.getLogger("quixstreams.kafka.producer").addFilter(NoFirstNumber())
        name = topic or settings.kafka_topic
        sending = send(settings, file, name, rate, Progress(*columns, console=console))
    except (SettingsError, OSError) as e:
        console.print(str(e), style="red")
        raise typer.Exit(BAD_SETTING) from None
    except KafkaException as e:
        console.print(f"Kafka at KAFKA_BROKER does not respond: {e.args[0].str()}", style="red")
        raise typer.Exit(NOT_DELIVERED) from None
    console.print(f"{sending.delivered} delivered to {name}, {sending.failed} not")
    if sending.delivered:
        console.print(where_to_look(joined.running(settings.data_dir)))
    if sending.failed:
        console.print(sending.reason, style="red")
        raise typer.Exit(NOT_DELIVERED)


if __name__ == "__main__":
    typer.run(main)
