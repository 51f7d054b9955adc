"""Where consumed messages go: gathered into slices, handed to the intake, and all committed when `flush` returns.

Quix commits the offsets after `flush`, so an offset moves on only after PostgreSQL has the outcome. After a crash
between the two, or an error, a message is delivered again, and applying it again changes nothing.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from threading import Lock
from uuid import uuid4

from confluent_kafka import TopicPartition
from quixstreams.models import HeadersTuples
from quixstreams.sinks import BaseSink, SinkBackpressureError
from sqlalchemy import Engine

from fcgraph import db, failpoints, intake
from fcgraph.intake.kafka_positions import Extent, Reading
from fcgraph.kafka.clients import TopicIdentity
from fcgraph.observability import log

PLACES_SHOWN_MAX = 5  # of rejected messages in a log line; all of them are in intake_records


class TopicMadeAnew(Exception):
    """The topic is not the one whose partitions were assigned to us."""


class IntakeSink(BaseSink):
    """Gathers messages of one topic and writes them through the intake.

    `identify` gets the topic's identity from Kafka, `measure` where its partitions start and end. `add` is called by
    the polling thread; `flush` by that thread or, while partitions are revoked, by another one. The lock protects
    against a flush that Quix gave up waiting for.
    """

    def __init__(
        self,
        engine: Engine,
        writer: intake.Writer,
        identify: Callable[[], TopicIdentity],
        measure: Callable[[Sequence[int]], dict[int, Extent]],
        *,
        slice_max: int,
        check_seconds: float,
        retry_seconds: float,
    ) -> None:
        super().__init__(on_client_connect_success=lambda: None)
        self._engine = engine
        self._writer = writer
        self._identify = identify
        self._measure = measure
        self._slice_max = slice_max
        self._check_seconds = check_seconds
        self._retry_seconds = retry_seconds
        self._lock = Lock()
        self._log = log.get(__name__)
        self._identity: TopicIdentity | None = None
        self._topic_ref = 0
        self._checked_at = 0.0
        self._is_owed_check = False  # a flush skipped it, too soon after the last check; there may be no next flush
        # By partition, the next offset: after everything read, and after everything stored.
        self._next: dict[int, int] = {}
        self._next_stored: dict[int, int] = {}
        self._begin()

    def _begin(self) -> None:
        self._ends: dict[int, int] = {}  # positions past the last message, see `reached_end`
        self._gathered = 0  # messages since the last flush
        self._slice: list[tuple[int, int, bytes | None]] = []
        self._stored: list[tuple[int, int, tuple[str, ...]]] = []  # partition, offset, codes
        self._failed: Exception | None = None
        self._correlation_id = uuid4().hex

    def assigned(self, partitions: Sequence[TopicPartition], committed: Sequence[TopicPartition]) -> None:
        """Take over partitions: find the topic's stored positions, and set where each is to be read from.

        `kafka_positions.where_to_read` decides. A gap is recorded and logged. A group offset that differs from the
        stored position is logged. Raises KafkaException and database errors.
        """
        offsets = {tp.partition: tp.offset if tp.offset >= 0 else None for tp in committed}
        with self._lock:
            self._identity = self._identify()
            self._checked_at = time.monotonic()
            self._is_owed_check = False
            extents = self._measure([tp.partition for tp in partitions])
            with db.write(self._engine) as connection:
                self._topic_ref = intake.topic_ref(connection, *self._identity)
                taken = intake.kafka_positions.take_over(connection, self._topic_ref, offsets, extents)
            places = {partition: reading.offset for partition, (_, reading) in taken.items()}
            self._next.update(places)
            self._next_stored.update(places)
            for partition in places:
                self._ends.pop(partition, None)
        for tp in partitions:
            tp.offset = places[tp.partition]
        for partition, (stored, reading) in taken.items():
            self._say_taken_over(partition, offsets.get(partition), stored, reading)
        self._log.info("partitions_assigned", topic_ref=self._topic_ref, offsets=places, **self._identity._asdict())

    def _say_taken_over(self, partition: int, committed: int | None, stored: int | None, reading: Reading) -> None:
        place = {"topic": self._identity.topic if self._identity else "", "partition": partition}
        if reading.gap is not None:
            first, last = reading.gap
            self._log.warning(
                "kafka_gap",
                **place,
                first_offset=first,
                last_offset=last,
                offsets=last - first + 1,
                reason="deleted before they were read",
            )
        if reading.difference is not None:
            self._log.warning(
                "kafka_offset_differs",
                **place,
                committed=committed,
                stored=stored,
                reads_from=reading.offset,
                reason=reading.difference,
            )

    def add(
        self,
        value: bytes | None,
        key: object,
        timestamp: int,
        headers: HeadersTuples,
        topic: str,
        partition: int,
        offset: int,
    ) -> None:
        """Gather a message; pass a full slice to the intake, whose writers write while we continue reading."""
        self._gathered += 1
        self._next[partition] = offset + 1
        if self._failed is not None:
            return  # the next flush makes Quix return to the last committed offset
        self._slice.append((partition, offset, value))
        if len(self._slice) < self._slice_max:
            return
        with self._lock:
            try:
                self._hand_in()
            except Exception as e:
                if not db.may_pass(e):
                    raise
                self._failed = e

    def reached_end(self, partition: int, end: int) -> bool:
        """Record that everything that can be delivered before the offset `end` has been added.

        True when `end` is past the last message, as after transaction markers and aborted messages: then the next
        flush moves the position there, and the group's offset may follow.
        """
        if end <= self._next.get(partition, end):
            return False
        self._next[partition] = self._ends[partition] = end
        return True

    def flush(self) -> None:
        """Return when everything gathered is committed. Raises SinkBackpressureError while PostgreSQL is
        unavailable.

        After any error the gathered messages are discarded: Quix reads them again from the last committed offset.
        """
        with self._lock:
            started_at = time.monotonic()
            try:
                if self._failed is not None:
                    raise self._failed
                self._check_topic()
                self._hand_in()
                self._writer.drain()
                self._move_to_ends()
            except Exception as e:
                self._discard()
                if not db.may_pass(e):
                    raise
                self._log.warning("waiting_for_postgresql", reason=first_line(e), retry_seconds=self._retry_seconds)
                raise SinkBackpressureError(self._retry_seconds) from e
            failpoints.reach("messages-committed")
            if self._gathered:
                self._say_applied(time.monotonic() - started_at)
            self._next_stored = dict(self._next)
            self._begin()

    def _move_to_ends(self) -> None:
        """Every message before these offsets is stored by now."""
        if self._ends:
            with db.write(self._engine) as connection:
                intake.kafka_positions.move(connection, self._topic_ref, self._ends)

    def check_topic(self) -> None:
        """While idle, run the check that the last flush skipped. Raises TopicMadeAnew."""
        with self._lock:
            if self._is_owed_check:
                self._check_topic()

    def discard(self) -> None:
        """Discard the gathered messages: their partitions are no longer ours."""
        with self._lock:
            self._discard()

    def _discard(self) -> None:
        self._writer.reset()
        self._next = dict(self._next_stored)
        self._begin()

    def on_paused(self) -> None:
        """Another sink is unavailable. This is the only one, and a failed flush has discarded its messages."""

    def _hand_in(self) -> None:
        if not self._slice:
            return
        source = intake.Source("KAFKA", topic_ref=self._topic_ref)
        batch = self._writer.submit_messages(self._slice, source, self._correlation_id)
        self._stored += [
            (r.partition or 0, r.position, tuple(problem.code for problem in r.rejection.problems))
            for r in batch.rejected
        ]
        self._slice = []
        failpoints.reach("messages-submitted")

    def _check_topic(self) -> None:
        """A recreated topic causes no rebalance, and reading would continue at the old topic's position."""
        if time.monotonic() - self._checked_at < self._check_seconds:
            self._is_owed_check = True
            return
        identity = self._identify()
        if identity != self._identity:
            raise TopicMadeAnew(f"topic id {identity.topic_id}")
        self._checked_at = time.monotonic()
        self._is_owed_check = False

    def _say_applied(self, seconds: float) -> None:
        if self._stored:
            self._log.warning(
                "poison_kept",
                correlation_id=self._correlation_id,
                count=len(self._stored),
                codes=dict(Counter(code for _, _, codes in self._stored for code in codes)),
                places=[f"{partition}:{offset}" for partition, offset, _ in self._stored[:PLACES_SHOWN_MAX]],
            )
        self._log.info(
            "batch_applied",
            correlation_id=self._correlation_id,
            count=self._gathered,
            seconds=round(seconds, 3),
        )


def first_line(error: BaseException) -> str:
    """The first line of an error, for a log line."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
