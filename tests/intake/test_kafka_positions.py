"""Where a partition is read from, and what a gap is: every order of stored position, committed offset and extent."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine
from sqlalchemy.exc import IntegrityError

from fcgraph import db, intake
from fcgraph.intake.kafka_positions import (
    BEYOND_THE_END,
    NEVER_STORED,
    NO_OFFSET,
    SET_BACK,
    SET_FORWARD,
    Extent,
    Gap,
    Reading,
    move,
    take_over,
    where_to_read,
)

CASES = [
    # stored, committed, start, end -> offset, stored from now on, gap, difference
    ("a new group and topic", None, None, (0, 0), Reading(0, 0)),
    ("a new group where messages have expired", None, None, (20, 30), Reading(20, 20)),
    ("all read", 10, 10, (0, 10), Reading(10, 10)),
    ("unread", 10, 10, (0, 30), Reading(10, 10)),
    ("read messages have expired", 10, 10, (10, 30), Reading(10, 10)),
    ("unread messages have expired", 10, 10, (20, 30), Reading(20, 20, Gap(10, 19))),
    ("all unread messages have expired", 10, 10, (30, 30), Reading(30, 30, Gap(10, 29))),
    ("the first message ever has expired", 0, None, (1, 2), Reading(1, 1, Gap(0, 0))),
    ("a commit was lost", 10, 7, (0, 30), Reading(7, 10, None, SET_BACK)),
    ("set back into what has expired", 10, 3, (7, 30), Reading(7, 10, None, SET_BACK)),
    ("set back, unread ones have expired", 10, 3, (20, 30), Reading(20, 20, Gap(10, 19), SET_BACK)),
    ("set forward", 10, 25, (0, 30), Reading(10, 10, None, SET_FORWARD)),
    ("set forward, unread ones have expired", 10, 25, (20, 30), Reading(20, 20, Gap(10, 19), SET_FORWARD)),
    ("the group is new", 10, None, (0, 30), Reading(0, 10, None, NO_OFFSET)),
    ("the database is new", None, 25, (0, 30), Reading(0, 0, None, NEVER_STORED)),
    ("the database is new, unread ones have expired", None, 5, (20, 30), Reading(20, 20, Gap(5, 19))),
    ("the end was cut off", 40, 40, (0, 30), Reading(0, 40, None, BEYOND_THE_END)),
]


@pytest.mark.parametrize(("name", "stored", "committed", "extent", "expected"), CASES, ids=[case[0] for case in CASES])
def test_where_to_read(
    name: str, stored: int | None, committed: int | None, extent: tuple[int, int], expected: Reading
) -> None:
    assert where_to_read(stored, committed, Extent(*extent)) == expected


offsets = st.integers(0, 20)


@given(st.none() | offsets, st.none() | offsets, offsets, offsets)
def test_no_offset_that_is_there_is_skipped(stored: int | None, committed: int | None, start: int, more: int) -> None:
    end = start + more
    found = where_to_read(stored, committed, Extent(start, end))
    assert start <= found.offset <= end
    assert found.offset <= max(start, start if stored is None else stored), "something that is not stored is skipped"
    assert found.stored >= (stored or 0)
    if stored is not None and stored <= end:  # exactly the offsets neither stored nor available are a gap
        gone = list(range(stored, start))
        gap = found.gap
        assert (list(range(gap.first_offset, gap.last_offset + 1)) if gap else []) == gone


@pytest.fixture
def topic_ref(engine: Engine) -> int:
    with db.write(engine) as connection:
        return intake.topic_ref(connection, "cluster", "t", "id")


def gaps(engine: Engine) -> list[tuple[int, int, int]]:
    with db.read(engine) as connection:
        rows = connection.execute(
            sa.text("SELECT partition, first_offset, last_offset FROM kafka_gaps ORDER BY partition, first_offset")
        )
        return [tuple(row) for row in rows]


def test_a_gap_is_recorded_once_and_never_changes(engine: Engine, topic_ref: int) -> None:
    def take(committed: int, *extent: int) -> Reading:
        with db.write(engine) as connection:
            return take_over(connection, topic_ref, {1: committed}, {1: Extent(*extent)})[1][1]

    with db.write(engine) as connection:
        move(connection, topic_ref, {1: 10})
    assert take(10, 20, 30).gap == Gap(10, 19)
    assert take(10, 20, 30).gap is None
    assert take(20, 25, 30).gap == Gap(20, 24)
    assert gaps(engine) == [(1, 10, 19), (1, 20, 24)]
    for change in ("UPDATE kafka_gaps SET last_offset = 11", "DELETE FROM kafka_gaps", "TRUNCATE kafka_gaps"):
        with pytest.raises(IntegrityError, match="never changed or deleted"), db.write(engine) as connection:
            connection.execute(sa.text(change))


def test_a_position_is_stored_as_soon_as_a_partition_is_ours_and_never_moves_back(
    engine: Engine, topic_ref: int
) -> None:
    with db.write(engine) as connection:
        take_over(connection, topic_ref, {0: None}, {0: Extent(5, 5)})
    with db.write(engine) as connection:
        move(connection, topic_ref, {0: 3})
        assert take_over(connection, topic_ref, {0: None}, {0: Extent(8, 8)})[0] == (
            5,
            Reading(8, 8, Gap(5, 7)),
        )
