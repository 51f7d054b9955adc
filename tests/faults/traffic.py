"""Traffic to Kafka while faults happen: a thread that sends the records of a history at a constant rate."""

from __future__ import annotations

import threading
import time
from typing import Any

from confluent_kafka import Producer

from tests.faults.history import History, Record

DELIVERY_SECONDS = 600  # longer than every fault, so that in the end each record is accepted


class Traffic:
    """Sends the history's records to the topic, `rate` per second, from `start` until `finish`."""

    def __init__(self, history: History, broker: str, topic: str, *, rate: float) -> None:
        self.history = history
        self._topic = topic
        self._rate = rate
        self._enough = threading.Event()
        self._producer = Producer(
            {
                "bootstrap.servers": broker,
                "enable.idempotence": True,
                "message.timeout.ms": DELIVERY_SECONDS * 1000,
                "reconnect.backoff.max.ms": 1000,
                "log_level": 0,
            }
        )
        self._thread = threading.Thread(target=self._send, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def finish(self) -> None:
        """Stop sending, and wait until everything is delivered."""
        self._enough.set()
        self._thread.join(DELIVERY_SECONDS)
        assert not self._thread.is_alive(), f"not everything was delivered after {DELIVERY_SECONDS} s"

    def abandon(self) -> None:
        """Stop the thread after a failed test; undelivered records are dropped."""
        self._enough.set()
        self._producer.purge()
        self._thread.join(DELIVERY_SECONDS)

    def _send(self) -> None:
        began = time.monotonic()
        while not self._enough.is_set():
            record = self.history.next()
            self._produce(record)
            while (early := began + record.number / self._rate - time.monotonic()) > 0:
                self._producer.poll(early)
        self._producer.flush(DELIVERY_SECONDS)

    def _produce(self, record: Record) -> None:
        def on_delivery(error: Any, message: Any) -> None:
            if error is None:
                self.history.accepted(record, (message.partition(), message.offset()))
            else:
                self.history.unknown(record)

        while True:
            try:
                self._producer.produce(self._topic, record.value, record.key, on_delivery=on_delivery)
                return
            except BufferError:
                self._producer.poll(0.1)
