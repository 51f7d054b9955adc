"""Whether the services that this process needs answer, and the consumer's lag (reported, never a failure)."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from fcgraph import queue
from fcgraph.api.context import Resources
from fcgraph.db import POSTGRES_VERSION_MIN
from fcgraph.errors import FcgraphError, Unavailable
from fcgraph.kafka.lag import LagReader
from fcgraph.queries import Statement, kafka_gaps

KAFKA_SECONDS_MAX = 2.0
CACHED_SECONDS = 1.0  # the services are checked at most once in this time, whatever the number of probes

ASK_POSTGRESQL = Statement(
    "SELECT current_setting('server_version_num')::int, to_regclass('transactions') IS NOT NULL", []
)
OK, AWAY, TOO_OLD, NOT_MIGRATED = "ok", "away", "older than PostgreSQL 18", "not migrated"


@dataclass(frozen=True, slots=True)
class Readiness:
    """Per service "ok" or what is wrong with it; `ready` when all are ok."""

    parts: dict[str, str]
    consumer_lag: dict[str, Any] | None
    kafka_gaps: dict[str, Any] | None

    @property
    def ready(self) -> bool:
        return all(state == OK for state in self.parts.values())

    def shown(self) -> dict[str, Any]:
        """The body of `/health/ready`."""
        return {
            "status": "ready" if self.ready else "not ready",
            **self.parts,
            "consumer_lag": self.consumer_lag,
            "kafka_gaps": self.kafka_gaps,
        }


class Probe:
    """Checks PostgreSQL, Redis and Kafka in parallel, each with a time limit."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._lock = asyncio.Lock()
        self._last: Readiness | None = None
        self._at = 0.0
        self._lag_reader: LagReader | None = None

    def close(self) -> None:
        """Close the connections that are reused between checks."""
        if self._lag_reader is not None:
            self._lag_reader.close()

    async def ask(self) -> Readiness:
        """The readiness, at most a second old."""
        async with self._lock:
            if self._last is None or time.monotonic() - self._at > CACHED_SECONDS:
                self._last = await self._ask_all()
                self._at = time.monotonic()
            return self._last

    async def _ask_all(self) -> Readiness:
        settings = self._resources.settings
        answers = await asyncio.gather(
            self._ask_postgresql(),
            asyncio.to_thread(_ask_redis, settings.redis_url),
            asyncio.to_thread(_ask_kafka, settings.kafka_broker),
            return_exceptions=True,
        )
        for answer in answers:
            if isinstance(answer, BaseException) and not isinstance(answer, FcgraphError):
                raise answer
        parts = {
            name: AWAY if isinstance(answer, FcgraphError) else str(answer)
            for name, answer in zip(("postgresql", "redis", "kafka"), answers, strict=True)
        }
        lag = await asyncio.to_thread(self._lag) if parts["kafka"] == OK else None
        gaps = await self._gaps() if parts["postgresql"] == OK else None
        return Readiness(parts, lag, gaps)

    async def _gaps(self) -> dict[str, Any] | None:
        try:
            return kafka_gaps.shown(await self._resources.reader.fetch(kafka_gaps.GAPS))
        except FcgraphError:
            return None  # it has become unavailable since the check

    async def _ask_postgresql(self) -> str:
        (version, migrated) = (await self._resources.reader.fetch(ASK_POSTGRESQL))[0]
        if version < POSTGRES_VERSION_MIN:
            return TOO_OLD
        return OK if migrated else NOT_MIGRATED

    def _lag(self) -> dict[str, Any] | None:
        s = self._resources.settings
        if self._lag_reader is None:
            self._lag_reader = LagReader(s.kafka_broker, s.kafka_topic, s.kafka_consumer_group)
        try:
            return self._lag_reader.read(KAFKA_SECONDS_MAX).shown(datetime.now(UTC))
        except Unavailable:
            return None


@lru_cache(maxsize=2)
def _kafka(broker: str) -> AdminClient:
    # log_level 0: the probe reports an unavailable broker, so librdkafka need not log it.
    return AdminClient({"bootstrap.servers": broker, "log_level": 0, "reconnect.backoff.max.ms": 1000})


def _ask_kafka(broker: str) -> str:
    try:
        _kafka(broker).list_topics(timeout=KAFKA_SECONDS_MAX)
    except KafkaException as e:
        raise Unavailable("Kafka is unavailable") from e
    return OK


def _ask_redis(url: str) -> str:
    return queue.why_no_writes(url) or OK
