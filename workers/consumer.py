"""The Kafka edge: `python -m workers.consumer` turns the messages of a topic into outcomes, until it is stopped.

While Kafka or PostgreSQL is unavailable it waits and logs it (`waiting_for_kafka`, `waiting_for_postgresql`). Exit
codes: 0 stopped by SIGTERM or SIGINT, 70 a bug (logged in full), 78 a setting is wrong and a restart will not help.
"""

from __future__ import annotations

import os
import signal
import sys
from threading import Event
from typing import Any, NoReturn, cast

from confluent_kafka import KafkaError, KafkaException, TopicPartition
from quixstreams import Application
from quixstreams.checkpointing.exceptions import CheckpointConsumerCommitError, InvalidStoredOffset
from quixstreams.exceptions import PartitionAssignmentError
from quixstreams.kafka.exceptions import BaseKafkaException, KafkaBrokerUnavailableError, KafkaConsumerException
from quixstreams.models.topics.exceptions import CreateTopicFailure, CreateTopicTimeout, TopicNotFoundError
from sqlalchemy import Engine

from fcgraph import db, intake
from fcgraph import settings as process_settings
from fcgraph.errors import FcgraphError, SettingsError
from fcgraph.kafka import clients
from fcgraph.observability import log
from fcgraph.observability.heartbeats import Heartbeat
from fcgraph.settings import Settings
from workers.commit import BoundedCommit
from workers.instance import instance_id
from workers.sink import IntakeSink, TopicMadeAnew, first_line

STOPPED, BUG, BAD_SETTING = 0, 70, 78  # 70 and 78 as in sysexits.h: EX_SOFTWARE, EX_CONFIG

KAFKA_TROUBLE = (
    BaseKafkaException,
    CheckpointConsumerCommitError,
    CreateTopicFailure,
    CreateTopicTimeout,
    KafkaBrokerUnavailableError,
    KafkaException,
    TopicNotFoundError,
)


class Consumer(Application):
    """Quix's application with its checkpoints, rebalancing and backpressure; reading in bulk is ours.

    The sink is notified when partitions are assigned and revoked. Quix has no hooks for that or for reading, so this
    overrides private methods. The version is pinned, and tests cover rebalances, kills and broken connections.
    """

    def __init__(
        self, settings: Settings, instance: str, sink: IntakeSink, heartbeat: Heartbeat, stop: Event, cluster: Any
    ) -> None:
        self._sink = sink
        self._heartbeat = heartbeat
        self._stop = stop
        self._request_timeout_seconds = settings.kafka_request_timeout_seconds
        self._read_max = settings.kafka_read_max
        self._commit_interval_seconds = settings.kafka_commit_interval_seconds
        super().__init__(
            broker_address=settings.kafka_broker,
            consumer_group=settings.kafka_consumer_group,
            auto_offset_reset="error",  # an expired position is detected and recorded as a gap, see _take_event
            commit_every=settings.kafka_commit_every,
            commit_interval=settings.kafka_flood_interval_seconds,  # at the latest; see _process_message
            consumer_extra_config={
                **clients.client_config(),
                "enable.partition.eof": True,
                "group.instance.id": instance,
                "session.timeout.ms": int(settings.kafka_session_timeout_seconds * 1000),
                "heartbeat.interval.ms": int(settings.kafka_session_timeout_seconds * 1000 / 4),
            },
            producer_extra_config=clients.client_config(),
            broker_availability_timeout=settings.kafka_request_timeout_seconds,
            # Errors are raised, and logged once by `say_why_waiting`.
            on_consumer_error=lambda error, message, logger: False,
            on_processing_error=lambda error, row, logger: False,
            topic_manager=clients.topic_manager(settings, cluster),
            use_changelog_topics=False,
            state_dir=settings.data_dir / "consumer",
            loglevel=None,
        )
        # librdkafka detects a lost coordinator after the session timeout; this covers what it does not detect.
        limit_seconds = settings.kafka_session_timeout_seconds + settings.kafka_request_timeout_seconds
        commit = BoundedCommit(self._consumer.commit, limit_seconds, lambda: begin_anew(stop))
        self._consumer.commit = commit  # type: ignore[method-assign]
        config = self._topic_manager.topic_config(num_partitions=settings.kafka_partitions)
        topic = self.topic(settings.kafka_topic, value_deserializer="bytes", key_deserializer="bytes", config=config)
        self.dataframe(topic).sink(sink)

    def _setup_signal_handlers(self) -> None:
        """We handle signals: they also end the waiting before and after the application runs."""

    def _process_message(self, dataframe_composed: Any) -> None:
        """Read the waiting messages, pass them to the sink, and commit when no more are waiting.

        Quix reads one message at a time and passes it through the dataframe, which has no steps here. That costs four
        times as much as reading in bulk. Quix also has one fixed commit interval. A backlog needs a long interval,
        because the intake writers are idle while the last of them drains; a single message needs none.
        """
        messages = self._consumer.consume(self._read_max, self._commit_interval_seconds)
        for message in messages:
            if (error := message.error()) is not None:
                self._take_event(message, error)
                continue
            topic, partition, offset = message.topic(), cast(int, message.partition()), cast(int, message.offset())
            value = cast("bytes | None", message.value())  # no deserializer is configured
            self._sink.add(value, None, 0, (), topic, partition, offset)
            self._processing_context.store_offset(topic, partition, offset)
        if messages:
            self._consumer._broker_available()  # type: ignore[no-untyped-call]  # untyped in Quix
            if len(messages) < self._read_max:
                self._processing_context.commit_checkpoint(force=True)
        else:
            self._sink.check_topic()
        self._heartbeat.beat()

    def _take_event(self, message: Any, error: KafkaError) -> None:
        """Handle an event that is not a message: the end of a partition, or an error, which is raised.

        A partition may end in records that are never delivered (transaction markers, aborted messages). The committed
        offset moves past them, so that the lag becomes 0. A position whose messages have expired is an error: the
        gathered messages are stored first, then the partitions are assigned again, which records the gap.
        """
        if error.code() == KafkaError._PARTITION_EOF:
            topic, partition, end = message.topic(), message.partition(), message.offset()
            if self._sink.reached_end(partition, end):
                self._processing_context.store_offset(topic, partition, end - 1)
            return
        if error.code() == KafkaError._AUTO_OFFSET_RESET:
            self._processing_context.commit_checkpoint(force=True)
        raise KafkaConsumerException(error=error)

    def _on_assign(self, consumer: Any, topic_partitions: list[TopicPartition]) -> None:
        if self._stop.is_set():  # the signal arrived during setup
            self.stop()
        if topic_partitions:
            committed = self._consumer.committed(topic_partitions, timeout=self._request_timeout_seconds)
            self._sink.assigned(topic_partitions, committed)
        super()._on_assign(consumer, topic_partitions)

    def _on_lost(self, consumer: Any, topic_partitions: list[TopicPartition]) -> None:
        # Quix does not clear the state of lost partitions: their offsets, which it can no longer commit and which
        # would fail when they are assigned again, and the messages that the sink has gathered.
        log.get(__name__).warning("partitions_lost", partitions=[tp.partition for tp in topic_partitions])
        self._sink.discard()
        self._processing_context.init_checkpoint()  # type: ignore[no-untyped-call]  # untyped in Quix
        super()._on_lost(consumer, topic_partitions)


def begin_anew(stop: Event) -> NoReturn:
    """Replace this process, which is blocked in a call to Kafka that cannot be interrupted, with a new one.

    The process id stays the same, so a supervisor does not notice. PostgreSQL has already committed the messages.
    """
    log.get(__name__).warning("waiting_for_kafka", reason="a commit of offsets is not answered", begins_anew=True)
    if stop.is_set():
        os._exit(STOPPED)
    os.execv(sys.executable, sys.orig_argv)  # noqa: S606 - this is our own command line


class Stopper:
    """On SIGTERM and SIGINT, ends the application's loop or the waiting."""

    def __init__(self) -> None:
        self.requested = Event()
        self.application: Application | None = None
        signal.signal(signal.SIGTERM, self._on_signal)
        signal.signal(signal.SIGINT, self._on_signal)

    def _on_signal(self, *_: object) -> None:
        self.requested.set()
        if self.application is not None:
            self.application.stop()


def consume(settings: Settings, instance: str, stopper: Stopper) -> None:
    """Consume until stopped. Raises SettingsError, UnsupportedServer, and any bug."""
    intake.collect_garbage_rarely()
    engine = intake.engine_of(settings, "consumer")
    writer = intake.Writer(engine, settings)
    heartbeat = Heartbeat(engine, "consumer", instance, every_seconds=settings.heartbeat_seconds)
    try:
        while not stopper.requested.is_set():
            try:
                consume_once(settings, instance, stopper, writer, heartbeat, engine)
            except Exception as e:  # noqa: BLE001 a bug is raised again by the next line
                say_why_waiting(e, settings.waiting_retry_seconds)
                writer.reset()
                stopper.requested.wait(settings.waiting_retry_seconds)
        heartbeat.end()
    finally:
        writer.close()
        engine.dispose()


def consume_once(
    settings: Settings, instance: str, stopper: Stopper, writer: intake.Writer, heartbeat: Heartbeat, engine: Engine
) -> None:
    """Run the application once: until stopped, or until the first error."""
    with db.read(engine) as connection:
        db.check_version(connection)
    admin = clients.make_admin(settings)
    timeout_seconds = settings.kafka_request_timeout_seconds
    cluster = admin.list_topics(timeout=timeout_seconds)
    sink = IntakeSink(
        engine,
        writer,
        lambda: clients.identify(admin, settings.kafka_topic, timeout_seconds),
        lambda partitions: clients.extents(admin, settings.kafka_topic, partitions, timeout_seconds),
        slice_max=settings.kafka_slice_max,
        check_seconds=settings.kafka_topic_check_seconds,
        retry_seconds=settings.waiting_retry_seconds,
    )
    stopper.application = Consumer(settings, instance, sink, heartbeat, stopper.requested, cluster)
    try:
        if not stopper.requested.is_set():
            stopper.application.run()
    finally:
        stopper.application = None


def say_why_waiting(error: Exception, retry_seconds: float) -> None:
    """Log what we wait for after this error; raise it when waiting does not help: a bug or a wrong setting."""
    cause = error.__cause__ if isinstance(error, PartitionAssignmentError) and error.__cause__ else error
    logger = log.get(__name__)
    if is_fenced(cause):
        raise SettingsError("KAFKA_INSTANCE_ID: another consumer has joined the group under the same name") from error
    if isinstance(cause, InvalidStoredOffset | TopicMadeAnew):
        logger.warning("topic_made_anew", reason=first_line(cause))
    elif isinstance(cause, KafkaConsumerException) and cause.error.code() == KafkaError._AUTO_OFFSET_RESET:
        logger.warning("kafka_position_gone", reason=first_line(cause), retry_seconds=retry_seconds)
    elif isinstance(cause, KAFKA_TROUBLE):
        logger.warning("waiting_for_kafka", reason=first_line(cause), retry_seconds=retry_seconds)
    elif db.may_pass(cause):
        logger.warning("waiting_for_postgresql", reason=first_line(cause), retry_seconds=retry_seconds)
    else:
        raise error


def is_fenced(error: BaseException) -> bool:
    """Whether Kafka reported that another process joined the group under our name."""
    found = error.error if isinstance(error, BaseKafkaException) else next(iter(error.args), None)
    if not isinstance(found, KafkaError):
        return False
    if found.code() == KafkaError._FATAL:  # raised by a poll; the underlying code is only in its text
        return "fenced" in found.str()
    return found.code() in (KafkaError._FENCED, KafkaError.FENCED_INSTANCE_ID)


def main() -> int:
    """Run until stopped; see the module's docstring for the exit codes."""
    try:
        settings = process_settings.current()
    except SettingsError as e:
        log.set_up("consumer")
        log.get(__name__).error("bad_setting", reason=e.message)
        return BAD_SETTING
    log.set_up("consumer", level=settings.log_level, fmt=settings.log_format)
    stopper = Stopper()
    try:
        with instance_id(settings.kafka_consumer_group, settings.kafka_instance_id) as instance:
            consume(settings, instance, stopper)
    except FcgraphError as e:
        log.get(__name__).error("bad_setting", reason=e.message)
        return BAD_SETTING
    except Exception:  # noqa: BLE001 the process ends: logged in full, reported by the exit code
        log.get(__name__).exception("bug")
        return BUG
    log.get(__name__).info("stopped")
    return STOPPED


if __name__ == "__main__":
    sys.exit(main())
