"""Where to read each partition from, and which offsets were deleted before they were read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.dialects.postgresql import insert

from fcgraph.models import KafkaGap, KafkaPosition

# Why the group's offset differs from the stored position. In no case is a message skipped.
NEVER_STORED = "the group has an offset, but no position of the partition is stored here: it is read from its start"
NO_OFFSET = "the group has no offset: the partition is read again from its start, which changes nothing"
SET_BACK = "the group's offset is behind: a commit was lost or the offset was reset; reading again changes nothing"
SET_FORWARD = "the group's offset is ahead of the stored position: reading continues at the stored position"
BEYOND_THE_END = "the stored position is beyond the end of the partition: it is read again from its start"


class Extent(NamedTuple):
    """A partition's first offset and the one after its last; a message need not exist at either."""

    start: int
    end: int


class Gap(NamedTuple):
    """Offsets that were deleted before they were read."""

    first_offset: int
    last_offset: int


class Reading(NamedTuple):
    """Where reading continues, the position to store, the gap if there is one, and `difference`:
    why the group's offset differs from the stored position, None if it does not.
    """

    offset: int
    stored: int
    gap: Gap | None = None
    difference: str | None = None


def where_to_read(stored: int | None, committed: int | None, extent: Extent) -> Reading:
    """Decide from the stored position, the group's committed offset and the partition's extent.

    Messages from the stored position on are never skipped: the committed offset may belong to a topic since recreated,
    or to another database, or may have been set by hand. So only deleted offsets are a gap. They are determined by the
    start of the partition, not by the first message delivered, because transaction markers leave holes that are not
    gaps. A new group has no gap, wherever the partition starts.
    """
    start, end = extent
    if stored is None:
        gap = Gap(committed, start - 1) if committed is not None and committed < start else None
        return Reading(start, start, gap, NEVER_STORED if committed is not None and committed > start else None)
    if stored > end:
        return Reading(start, stored, None, BEYOND_THE_END)
    gap = Gap(stored, start - 1) if stored < start else None
    if committed is None:
        return Reading(start, max(stored, start), gap, NO_OFFSET if stored > start else None)
    difference = SET_BACK if committed < stored else SET_FORWARD if committed > stored else None
    return Reading(max(start, min(stored, committed)), max(stored, start), gap, difference)


def take_over(
    connection: Connection, topic_ref: int, committed: Mapping[int, int | None], extents: Mapping[int, Extent]
) -> dict[int, tuple[int | None, Reading]]:
    """Decide for newly assigned partitions; store positions and gaps.

    Returns by partition the position that was stored, and the decision. Recording a gap moves the position past it, so
    the same gap is not found again.
    """
    mine = sorted(extents)
    of_topic = sa.and_(KafkaPosition.topic_ref == topic_ref, KafkaPosition.partition.in_(mine))
    found = sa.select(KafkaPosition.partition, KafkaPosition.next_offset).where(of_topic)
    rows = connection.execute(found.order_by(KafkaPosition.partition).with_for_update())
    stored = {row.partition: row.next_offset for row in rows}
    decided = {
        partition: (
            stored.get(partition),
            where_to_read(stored.get(partition), committed.get(partition), extents[partition]),
        )
        for partition in mine
    }
    move(connection, topic_ref, {partition: reading.stored for partition, (_, reading) in decided.items()})
    gaps = [
        {"topic_ref": topic_ref, "partition": partition, **reading.gap._asdict()}
        for partition, (_, reading) in decided.items()
        if reading.gap is not None
    ]
    if gaps:
        connection.execute(insert(KafkaGap).values(gaps).on_conflict_do_nothing())
    return decided


def move(connection: Connection, topic_ref: int, positions: Mapping[int, int]) -> None:
    """Advance positions; none ever moves back."""
    if not positions:
        return
    rows = [
        {"topic_ref": topic_ref, "partition": partition, "next_offset": positions[partition]}
        for partition in sorted(positions)
    ]
    statement = insert(KafkaPosition).values(rows)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["topic_ref", "partition"],
            set_={"next_offset": statement.excluded.next_offset},
            where=KafkaPosition.next_offset < statement.excluded.next_offset,
        )
    )
