"""The gaps of Kafka partitions, as `status` and `/health/ready` show them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from fcgraph.queries.statement import Statement

GAPS_SHOWN_MAX = 20
FIELDS = ("topic", "partition", "first_offset", "last_offset", "noticed_at")

GAPS = Statement(
    "SELECT topic, partition, first_offset, last_offset, noticed_at, count(*) OVER () AS gap_count"
    " FROM kafka_gaps JOIN kafka_topics USING (topic_ref)"
    f" ORDER BY noticed_at DESC, topic_ref, partition, first_offset LIMIT {GAPS_SHOWN_MAX}",
    [],
)


def shown(rows: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The result of `GAPS`: the number of gaps, and the latest ones."""
    found = [dict(row) for row in rows]
    return {
        "count": found[0]["gap_count"] if found else 0,
        "latest": [{field: row[field] for field in FIELDS} for row in found],
    }
