"""The one write path for payments: batch in, outcome counts out, safe to repeat.

`writer` is the entry point. `validation` checks rows against the rules, `apply` compares them with the stored payments
and writes them, `writers` writes several batches concurrently, `kafka_offsets` counts what was read from partitions,
`kafka_positions` decides where to read them from. Intake records are resolved by `replay`, by `resolution` of a
conflict, by `dismissal`, and by `supersession` when a corrected row arrives.
"""

from fcgraph.intake import kafka_positions
from fcgraph.intake.batch import Batch, Counts, Source
from fcgraph.intake.dismissal import dismiss, dismiss_matching
from fcgraph.intake.kafka_offsets import topic_ref
from fcgraph.intake.replay import Replayed, replay, replay_matching
from fcgraph.intake.resolution import Resolved, resolve_conflict
from fcgraph.intake.writer import Writer, collect_garbage_rarely, engine_of

__all__ = [
    "Batch",
    "Counts",
    "Replayed",
    "Resolved",
    "Source",
    "Writer",
    "collect_garbage_rarely",
    "dismiss",
    "dismiss_matching",
    "engine_of",
    "kafka_positions",
    "replay",
    "replay_matching",
    "resolve_conflict",
    "topic_ref",
]
