"""How the consumer ends: exit code and log line distinguish a bug, a wrong setting and a stop."""

from __future__ import annotations

from tests.workers.conftest import StartConsumer
from tests.workers.topic import Topic, value
from workers import consumer as edge

READY_SECONDS = 20


def test_a_wrong_setting(start_consumer: StartConsumer) -> None:
    consumer = start_consumer(KAFKA_SESSION_TIMEOUT_SECONDS="soon")
    assert consumer.end() == edge.BAD_SETTING
    assert "KAFKA_SESSION_TIMEOUT_SECONDS" in consumer.text()
    assert "soon" not in consumer.text()


def test_a_bug_is_logged_in_full_and_commits_no_offset(start_consumer: StartConsumer, topic: Topic) -> None:
    consumer = start_consumer(FCGRAPH_FAILPOINT="messages-committed=raise")
    consumer.wait_for("partitions_assigned", READY_SECONDS)
    topic.send([value(1)])
    assert consumer.end() == edge.BUG
    [line] = consumer.events("bug")
    assert "FailpointReached" in line["exception"]
    assert not any(topic.committed().values())


def test_two_consumers_of_one_name_end_the_older_one(start_consumer: StartConsumer, apache_kafka: object) -> None:
    older = start_consumer(KAFKA_INSTANCE_ID="one")
    older.wait_for("partitions_assigned", READY_SECONDS)
    newer = start_consumer(KAFKA_INSTANCE_ID="one")
    assert older.end() == edge.BAD_SETTING
    assert "KAFKA_INSTANCE_ID" in older.events("bad_setting")[0]["reason"]
    newer.wait_for("partitions_assigned", READY_SECONDS)


def test_stopped_while_it_waits_for_kafka(start_consumer: StartConsumer) -> None:
    consumer = start_consumer(KAFKA_BROKER="127.0.0.1:1", KAFKA_REQUEST_TIMEOUT_SECONDS="0.5")
    consumer.wait_for("waiting_for_kafka", READY_SECONDS)
    assert consumer.terminate(10) == edge.STOPPED


def test_stopped_while_it_waits_for_postgresql(start_consumer: StartConsumer) -> None:
    consumer = start_consumer(DATABASE_URL="postgresql://postgres@127.0.0.1:1/nowhere")
    consumer.wait_for("waiting_for_postgresql", READY_SECONDS)
    assert consumer.terminate(10) == edge.STOPPED
