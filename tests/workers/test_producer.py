"""The sample sender: lines arrive byte for byte, keyed by payment; undelivered messages are counted and reported."""

from __future__ import annotations

import time
from pathlib import Path

from confluent_kafka import Consumer

from fcgraph.settings import Settings
from tests import services
from tests.waiting import until
from tests.workers.process import Process
from tests.workers.topic import Topic
from workers import producer

END_SECONDS = 30
LINES = (
    b'{"transaction_id": "A1B2C3D4-E5F6-7A8B-9C0D-111111111111", "amount": 250.00}',
    b"",
    b"no JSON \xff\xfe",
    b'{"transaction_id": "a1b2c3d4-e5f6-7a8b-9c0d-111111111111", "amount": 250.00}\r',
    b"[1]",
)


def run(settings: Settings, tmp_path: Path, *arguments: str, **more: str) -> tuple[int, str]:
    """The sender's exit code and output."""
    process = Process("workers.producer", tmp_path / "producer.log", settings, *arguments, **more)
    return process.end(END_SECONDS), process.text()


def received(settings: Settings, count: int) -> list[tuple[bytes | None, bytes | None, int]]:
    """Key, value and partition of the topic's first `count` messages, by partition and offset."""
    consumer = Consumer(
        {
            "bootstrap.servers": settings.kafka_broker,
            "group.id": "test",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "log_level": 0,
        }
    )
    found: list[tuple[int, int, bytes | None, bytes | None]] = []

    def all_there() -> bool:
        message = consumer.poll(0.1)
        if message is not None and message.error() is None:
            found.append((message.partition(), message.offset(), message.key(), message.value()))
        return len(found) == count

    try:
        consumer.subscribe([settings.kafka_topic])
        until(all_there, END_SECONDS)
    finally:
        consumer.close()
    return [(key, value, partition) for partition, _, key, value in sorted(found, key=lambda m: m[:2])]


def test_lines_arrive_as_they_are_and_one_payment_keeps_its_order(settings: Settings, tmp_path: Path) -> None:
    file = tmp_path / "lines.jsonl"
    file.write_bytes(b"\n".join(LINES))
    code, said = run(settings, tmp_path, "--file", str(file))
    assert code == producer.DELIVERED, said
    assert "4 delivered" in said
    assert "Outcomes: " in said
    messages = received(settings, 4)
    assert sorted(value or b"" for _, value, _ in messages) == sorted(line for line in LINES if line)
    of_payment = [(value, partition) for key, value, partition in messages if key is not None]
    assert [value for value, _ in of_payment] == [LINES[0], LINES[3]]
    assert len({partition for _, partition in of_payment}) == 1


def test_the_sample_is_sent_by_default_and_the_topic_made(settings: Settings, tmp_path: Path) -> None:
    code, said = run(settings, tmp_path)
    assert code == producer.DELIVERED, said
    lag = Topic(settings).lag()
    assert (len(lag.partitions), lag.total) == (settings.kafka_partitions, 3)


def test_messages_are_sent_at_the_rate(settings: Settings, tmp_path: Path) -> None:
    file = tmp_path / "lines.jsonl"
    file.write_bytes(b"{}\n" * 11)
    started_at = time.monotonic()
    code, said = run(settings, tmp_path, "--file", str(file), "--rate", "10", "--topic", settings.kafka_topic)
    assert code == producer.DELIVERED, said
    assert time.monotonic() - started_at >= 1.0


def test_what_is_not_delivered_is_counted(settings: Settings, tmp_path: Path) -> None:
    file = tmp_path / "lines.jsonl"
    file.write_bytes(b"{}\n" * 3 + b"x" * 3_000_000 + b"\n")  # the last exceeds the message limit
    code, said = run(settings, tmp_path, "--file", str(file))
    assert code == producer.NOT_DELIVERED
    assert "3 delivered" in said
    assert "1 not" in said


def test_kafka_away_and_a_file_that_is_not_there(settings: Settings, tmp_path: Path) -> None:
    away = {"KAFKA_BROKER": "127.0.0.1:1", "KAFKA_REQUEST_TIMEOUT_SECONDS": "1"}
    code, said = run(settings, tmp_path, **away)
    assert (code, "KAFKA_BROKER" in said) == (producer.NOT_DELIVERED, True)
    nowhere = tmp_path / ("a long way to [red] " * 8) / "nowhere"
    code, said = run(settings, tmp_path, "--file", str(nowhere))
    assert (code, str(nowhere) in said) == (producer.BAD_SETTING, True)


def test_a_broker_that_has_just_started_gives_no_warning(
    settings: Settings, apache_kafka: services.Kafka, tmp_path: Path
) -> None:
    """Until it has a producer id the broker reports that it is loading, and librdkafka retries."""
    choice = services.choose_kafka(Settings.model_validate({"kafka_embedded": apache_kafka.kind}))
    with services.kafka_server(tmp_path / "fresh", choice) as fresh:
        code, said = run(settings.model_copy(update={"kafka_broker": fresh.address}), tmp_path)
    assert code == producer.DELIVERED, said
    assert "warning" not in said.lower()
