"""`python -m fcgraph.embedded.in_process_broker FILE`: librdkafka's in-process broker, alive as long as this process.

Writes its address to FILE. It keeps messages in memory only.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from confluent_kafka import Producer

ANSWER_SECONDS = 10


def main(file: Path) -> None:
    signals = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    # The broker lives in this client; any process that knows its address can use it.
    broker = Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "", "log_level": 0})
    metadata = broker.list_topics(timeout=ANSWER_SECONDS)
    address = ",".join(f"{node.host}:{node.port}" for node in metadata.brokers.values())
    written = file.with_suffix(".making")
    written.write_text(address)
    written.rename(file)
    signal.sigwait(signals)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
