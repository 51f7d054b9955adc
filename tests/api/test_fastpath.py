"""The fast path and Strawberry answer with the same bytes, for operations generated from the schema."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fcgraph.api.context import Context
from fcgraph.api.fastpath import Plan
from fcgraph.api.fastpath.plans import Root
from fcgraph.api.http.bodies import Request
from fcgraph.api.http.media import JSON
from fcgraph.queries import OPERATOR
from tests.api.cases import ALICE, ZOE, user
from tests.api.client import Api, serving
from tests.api.conftest import settings_for
from tests.api.generator import CURSORS, Operation, OperationMaker

SEEDS = range(400)


class BothPaths:
    """One operation, answered by the fast path and by Strawberry alone."""

    def __init__(self, api: Api) -> None:
        self._endpoint = api.app.endpoint
        self._portal = api.client.portal

    def answers(self, operation: Operation) -> tuple[bytes | None, bytes]:
        """The fast path's answer (or None) and Strawberry's."""
        assert self._portal is not None
        return self._portal.call(self._both, operation)

    async def _both(self, operation: Operation) -> tuple[bytes | None, bytes]:
        endpoint = self._endpoint
        documents, resources = endpoint._documents, endpoint._resources
        request = Request(operation.text, operation.variables, None)
        admitted = documents.admit(request.query, None, request.variables)
        fast = await endpoint.fast_path.answer(admitted, Context(resources, "fast", OPERATOR), endpoint._remaining)
        _, slow = await endpoint._by_strawberry(request, JSON, Context(resources, "slow", OPERATOR))
        return b"".join(fast) if fast is not None else None, b"".join(slow)


@pytest.fixture(scope="module")
def roomy(demo_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """An API without a limit on the length of documents."""
    limits: dict[str, Any] = {"query_aliases_max": 1000, "query_fields_max": 10_000, "query_directives_max": 1000}
    limits |= {"query_depth_max": 20, "query_nodes_max": 10**9, "query_tokens_max": 10_000}
    with serving(settings_for(demo_url, tmp_path_factory.mktemp("roomy"), **limits)) as api:
        yield api


def test_generated_operations_have_equal_answers(roomy: Api) -> None:
    both = BothPaths(roomy)
    maker = OperationMaker(roomy.app.endpoint._documents.schema)
    answered = 0
    for seed in SEEDS:
        operation = maker.make(random.Random(seed))
        fast, slow = both.answers(operation)
        if fast is not None:
            answered += 1
            assert fast == slow, (seed, operation.text, operation.variables)
    # The generator must reach the fast path often, otherwise equal answers prove nothing.
    assert answered > len(SEEDS) // 3


@pytest.mark.parametrize(
    "query",
    [
        "{ user(userId: $zoe) { name __typename } }",
        "{ user(userId: $nobody) { payments { nodes { amount } } } }",
        "{ user(userId: $zoe) { payments(filter: {end: \"2001-01-02\"}) { nodes { amount } } } }",
        "{ user(userId: $zoe) { payments(first: 0) { nodes { amount } edges { cursor } pageInfo { hasNextPage } } } }",
        "{ payments(last: 3) { edges { cursor node { transactionId } } pageInfo { hasPreviousPage startCursor } } }",
        "{ payments(first: 9, after: $a, before: $b) { nodes { amount } pageInfo { hasNextPage hasPreviousPage } } }",
        "{ payments(last: 9, after: $a) { totalCount pageInfo { hasPreviousPage } } }",
        "{ payments(first: 9, before: $b) { pageInfo { hasNextPage } } }",
        "{ payments(last: 9, after: $a, before: $b) { nodes { amount } pageInfo { hasNextPage hasPreviousPage } } }",
        "{ payments(first: 60) { totalCount nodes { source { kind lineNumber topic offset } recordedAt } } }",
        "{ payment(transactionId: $nobody) { amount } }",
        "{ users(search: \"Z\") { nodes { name createdAt } pageInfo { endCursor } } }",
        "{ dailyTotals(start: \"2024-03-01\", end: \"2024-03-01\") { rows { day totalSent } summary { totalSent } } }",
        "{ dailyTotals(start: \"2001-01-01\", end: \"2001-01-01\") { basis { watermark statuses } rows { day } } }",
        "{ users(first: 3) { nodes { payments(last: 2) { edges { cursor node { amount } } pageInfo { startCursor"
        " endCursor hasPreviousPage hasNextPage } } } } }",
        "{ payments(first: 9) { nodes { sender { payments(first: 2) { totalCount nodes { receiver { name } } } }"
        " history { revision status recordedAt source { kind lineNumber } } } } }",
        "{ user(userId: $zoe) { dailyTotals(start: \"2024-03-01\", end: \"2024-04-01\") { rows { day"
        " payments(first: 2) { totalCount nodes { amount sender { name } } pageInfo { endCursor } } } } } }",
        "{ users { nodes { name dailyTotals(start: \"2024-03-01\", end: \"2024-04-01\") { rows { day totalSent }"
        " summary { currency totalSent sentCount } basis { watermark } } } } }",
        "{ users(first: 2) { totalCount pageInfo { hasNextPage endCursor } edges { cursor node {"
        " a: dailyTotals(start: \"2024-03-01\", end: \"2024-04-01\") { rows { day } }"
        " b: dailyTotals(start: \"2024-03-01\", end: \"2024-03-01\", statuses: [PENDING]) { summary { totalSent } } } }"
        " nodes { dailyTotals(start: \"2024-03-01\", end: \"2024-04-01\") { rows { day } } } } }",
        "{ payments(first: 9) { nodes { amount } } currencies { code minorUnits } }",
        "{ a: currencies { code } payments(first: 2) { totalCount } __typename b: reportFiles { totalCount } }",
        "query($id: UUID = $zoe, $p: Month = \"2024-03\") { user(userId: $id) { name }"
        " reportFile(period: $p) { version } ...More } fragment More on Query { c: currencies { ...Code } }"
        " fragment Code on Currency { code symbol }",
        "{ users(first: 0) { nodes { dailyTotals(start: \"2024-03-01\", end: \"2024-04-01\") { rows { day } } } } }",
        "{ dailyTotals(userIds: [], start: \"2024-03-01\", end: \"2024-03-01\") { rows { day } summary { currency }}}",
    ],
)  # fmt: skip
def test_what_must_be_fast_is_fast_and_equal(demo: Api, query: str) -> None:
    text = query.replace("$zoe", f'"{ZOE}"').replace("$nobody", f'"{user(999)}"')
    newer, older = CURSORS["PaymentConnection"][1], CURSORS["PaymentConnection"][0]
    text = text.replace("$a", f'"{newer}"').replace("$b", f'"{older}"')
    fast, slow = BothPaths(demo).answers(Operation(text, {}))
    assert fast == slow


def test_one_document_with_other_conditions_and_variables(demo: Api) -> None:
    text = """query($id: UUID!, $names: Boolean!, $first: Int) {
      user(userId: $id) {
        name @include(if: $names)
        payments(first: $first) { nodes { amount sender @skip(if: $names) { name } } }
      }
    }"""
    both = BothPaths(demo)
    answers = set()
    for names in (True, False):
        for first in (None, 1, 2):
            fast, slow = both.answers(Operation(text, {"id": ZOE, "names": names, "first": first}))
            assert fast == slow
            answers.add(fast)
    assert len(answers) == 6


@pytest.mark.parametrize(
    "query",
    [
        """{ payments(first: 2) { nodes { sender { dailyTotals(start: "2025-05-01", end: "2025-05-09") {
          rows { day } } } } } }""",
        """{ users(first: 2) { nodes { dailyTotals(start: "2025-05-01", end: "2025-05-09") {
          rows { day payments(first: 1) { nodes { amount } } } } } } }""",
    ],
)
def test_what_it_does_not_know_is_left_to_strawberry(demo: Api, query: str) -> None:
    fast, slow = BothPaths(demo).answers(Operation(query, {}))
    assert fast is None
    assert b'"errors"' not in slow


def test_totals_of_a_page_of_users_are_as_many_as_they_may_be(demo: Api, demo_url: str, tmp_path: Path) -> None:
    """All rows of the page count, but not those of the user after it; one more, and Strawberry reports the error."""
    totals = 'dailyTotals(start: "2024-03-01", end: "2024-04-01") { rows { day } }'
    users = demo.ask(f"{{ users {{ nodes {{ {totals} }} }} }}")["users"]["nodes"]
    counts = [len(user["dailyTotals"]["rows"]) for user in users]
    size = max(n for n, count in enumerate(counts) if count)  # the user after the page has some
    rows = 2 * sum(counts[:size])
    assert rows > 2
    page = f"{{ users(first: {size}) {{ nodes {{ a: {totals} b: {totals} }} pageInfo {{ hasNextPage }} }} }}"
    for rows_max, refused in ((rows, False), (rows - 1, True)):
        with serving(settings_for(demo_url, tmp_path, totals_rows_max=rows_max)) as api:
            fast, slow = BothPaths(api).answers(Operation(page, {}))
            assert fast == (None if refused else slow)
            assert (b"TOTALS_ROWS_MAX" in slow) is refused


def test_other_ids_find_the_same_statement(demo: Api) -> None:
    text = "query($id: UUID!, $first: Int) { user(userId: $id) { userId payments(first: $first) { totalCount } } }"
    both = BothPaths(demo)
    for first in (1, 2):
        for query in (ALICE, ZOE, user(999), ALICE.upper()):
            fast, slow = both.answers(Operation(text, {"id": query, "first": first}))
            assert fast == slow
    prepared = demo.app.endpoint._documents.prepare(text)
    ((_, root),) = next(plan.parts for plan in prepared.plans.values() if isinstance(plan, Plan))
    assert isinstance(root, Root)
    assert len(root._known) == 2
