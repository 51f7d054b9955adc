"""Slow operations: they are queued, read and sent in pieces, and the same bytes arrive."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import orjson
import psycopg2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fcgraph.api.context import Context
from fcgraph.api.http.endpoint import written
from fcgraph.queries import OPERATOR
from tests.api.client import Api, serving
from tests.api.conftest import settings_for
from tests.waiting import until


def test_slow_statements_are_run_by_turns(demo_url: str, tmp_path: Path) -> None:
    # Every statement that ran once counts as slow here. Two at a time would leave no connection to the fast one.
    pool: dict[str, Any] = {"read_pool_max": 4, "read_pool_wait_seconds": 0.3}
    slow = "{ payments(first: 1) { nodes { amount } } }"
    with (
        psycopg2.connect(demo_url) as holder,
        holder.cursor() as cursor,
        serving(settings_for(demo_url, tmp_path, slow_statement_seconds=1e-9, slow_statements_max=1, **pool)) as api,
        ThreadPoolExecutor(2) as threads,
    ):
        api.ask(slow)
        cursor.execute("LOCK TABLE currency IN ACCESS EXCLUSIVE MODE")
        waiting = [threads.submit(api.post, slow) for _ in range(2)]
        until(lambda: api.app.endpoint.fast_path._slow.locked(), 5)
        assert api.ask("{ users(first: 1) { nodes { name } } }")
        assert not any(f.done() for f in waiting)
        holder.rollback()
        assert [f.result().status_code for f in waiting] == [200, 200]


def test_what_was_slow_and_must_be_requested_again_waits_for_its_turn_again(demo_url: str, tmp_path: Path) -> None:
    """The statement detects too many totals; Strawberry runs it again and reports the error."""
    too_many = '{ dailyTotals(start: "2025-05-01", end: "2025-05-31") { rows { day } } }'
    with serving(settings_for(demo_url, tmp_path, slow_statement_seconds=1e-9, totals_rows_max=1)) as api:
        endpoint = api.app.endpoint
        admitted = endpoint._documents.admit(too_many, None, {})
        context = Context(endpoint._resources, "turn", OPERATOR)
        assert isinstance(endpoint.fast_path.turn(admitted, context), nullcontext)
        assert api.code(too_many) == "RANGE_TOO_LARGE"
        assert endpoint.fast_path.turn(admitted, context) is endpoint.fast_path._slow
        assert api.code(too_many) == "RANGE_TOO_LARGE"


def test_what_strawberry_took_long_for_waits_for_its_turn(demo_url: str, tmp_path: Path) -> None:
    query = "{ currencies { code } }"
    with serving(settings_for(demo_url, tmp_path, slow_answer_seconds=1e-9)) as api:
        endpoint = api.app.endpoint
        admitted = endpoint._documents.admit(query, None, {})
        context = Context(endpoint._resources, "turn", OPERATOR)
        assert isinstance(endpoint.fast_path.turn(admitted, context), nullcontext)
        first = api.ask(query)
        assert endpoint.fast_path.turn(admitted, context) is endpoint.fast_path._slow
        assert api.ask(query) == first


def test_a_slow_statement_is_read_in_pieces_and_gives_the_same_bytes(
    demo: Api, demo_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fcgraph.api.reader.PIECE_BYTES", 7)  # some pieces end within a character
    queries = (
        "{ users { nodes { name payments { nodes { transactionId sender { name } } } } } payments { totalCount } }",
        '{ user(userId: "ffffffff-ffff-ffff-ffff-ffffffffffff") { name } }',  # no row
        '{ user(userId: "00000000-0000-0000-0000-000000000001") { name } }',
    )
    with serving(settings_for(demo_url, tmp_path, slow_statement_seconds=1e-9)) as api:
        for query in queries:
            for _ in range(2):  # the second time it counts as slow
                assert api.post(query).content == demo.post(query).content


def test_rows_for_strawberry_are_fetched_a_few_at_once(
    demo: Api, demo_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fcgraph.api.http.app.BACKGROUND_ROWS_AT_ONCE", 2)
    query = """{ currencies { code } users { nodes { name dailyTotals(start: "2025-05-01", end: "2025-05-31")
      { rows { day totalSent } } payments { totalCount nodes { transactionId history { revision } } } } } }"""
    with serving(settings_for(demo_url, tmp_path)) as api:
        assert api.post(query).content == demo.post(query).content


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=20) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=60,
)


@given(VALUES)
def test_json_in_parts_is_the_json_of_the_whole(value: object) -> None:
    assert b"".join(written(value)) == orjson.dumps(value)


def test_a_long_answer_goes_out_in_pieces_and_arrives_whole(demo: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    query = "{ payments(first: 100) { nodes { transactionId amount timestamp } } users { nodes { name } } }"
    whole = demo.post(query)
    monkeypatch.setattr("fcgraph.api.http.endpoint.SEND_BYTES", 100)
    pieces = demo.post(query)
    assert pieces.content == whole.content
    assert int(pieces.headers["content-length"]) == len(whole.content) > 1000
