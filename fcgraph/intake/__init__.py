"""The one write door for payments: batch in, outcome counts out, safe to repeat.

`judge` holds rows against the rules, `settle` meets them with what is stored, `lanes` writes several batches at once,
`kafka_account` keeps the account of partitions, `kafka_positions` says where they are read from, `writer` is the door
itself.
"""

from fcgraph.intake import kafka_positions
from fcgraph.intake.batch import Batch, Counts, Source
from fcgraph.intake.kafka_account import topic_ref
from fcgraph.intake.writer import Writer, collect_garbage_rarely, engine_of

__all__ = ["Batch", "Counts", "Source", "Writer", "collect_garbage_rarely", "engine_of", "kafka_positions", "topic_ref"]
