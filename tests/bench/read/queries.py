"""The requests for each server: the same four queries in its own schema, for the same users."""

from __future__ import annotations

import json
import random
from typing import Any
from uuid import UUID

from tests.bench.read.data import USERS

QUERIED_USERS = 300
START, END = "2025-05-01", "2025-05-31"
SINCE, UNTIL = "2025-05-01T00:00:00Z", "2025-06-01T00:00:00Z"
NAMES = {
    "Q1": "payments of a month, first 100",
    "Q2": "daily totals of a month",
    "Q3": "one user",
    "Q4": "Q1 with both names",
}
EIGHT = "transactionId senderId receiverId amount currency timestamp status isSuspicious"
TOTALS = "day currency totalSent totalReceived sentCount receivedCount"

OURS = {
    "Q1": "query($id: UUID!, $start: Date!, $end: Date!) { user(userId: $id) {"
    f" payments(filter: {{start: $start, end: $end}}, first: 100) {{ nodes {{ {EIGHT} }} }} }} }}",
    "Q2": "query($id: UUID!, $start: Date!, $end: Date!) { user(userId: $id) {"
    f" dailyTotals(start: $start, end: $end) {{ rows {{ {TOTALS} }} }} }} }}",
    "Q3": "query($id: UUID!) { user(userId: $id) { userId name createdAt } }",
    "Q4": "query($id: UUID!, $start: Date!, $end: Date!) { user(userId: $id) {"
    f" payments(filter: {{start: $start, end: $end}}, first: 100) {{ nodes {{ {EIGHT} sender {{ name }}"
    " receiver { name } } } } }",
}
THEIRS = {
    "Q1": "query($id: UUID!, $since: Datetime!, $until: Datetime!) { userByUserId(userId: $id) {"
    f" fieldsList(since: $since, until: $until, size: 100) {{ {EIGHT} }} }} }}",
    "Q2": "query($id: UUID!, $since: Datetime!, $until: Datetime!) { userByUserId(userId: $id) {"
    f" dailyTotalsList(since: $since, until: $until) {{ {TOTALS} }} }} }}",
    "Q3": "query($id: UUID!) { userByUserId(userId: $id) { userId name createdAt } }",
    "Q4": "query($id: UUID!, $since: Datetime!, $until: Datetime!) { userByUserId(userId: $id) {"
    f" pageList(since: $since, until: $until, size: 100) {{ {EIGHT} userBySenderId {{ name }}"
    " userByReceiverId { name } } } }",
}
# Other queries. The first page of users whose name contains "User 10" does not include the one with the most payments.
PAGE_WITH_TOTALS = (
    'query($start: Date!, $end: Date!) { users(first: 10, search: "User 10") { nodes { userId name createdAt'
    " dailyTotals(start: $start, end: $end) { summary { currency totalSent totalReceived } } } } }"
)
OFF = (
    'query($start: Date!, $end: Date!) { users(first: 3, search: "User 10") { nodes { userId name createdAt'
    " dailyTotals(start: $start, end: $end) { rows { day currency totalSent totalReceived"
    " payments(first: 3) { nodes { transactionId amount status } } } } } } }"
)
STOCK = {"10 users, their totals of a month": PAGE_WITH_TOTALS, "off the fast path: 3 users, down to payments": OFF}
HEAVY_USER = str(UUID(int=1))
FIFTY = [str(UUID(int=n)) for n in range(2, 52)]
ALL = 'start: "2025-04-01", end: "2025-06-30", statuses: [COMPLETED, PENDING, FAILED]'
# The most expensive queries within the limits: 10,000 nodes or 10,000 daily totals, on the fast path and off it.
SLOW = {
    "99 users, 100 payments each": "query { users(first: 99) { nodes { payments(first: 100) { nodes { EIGHT } } } } }",
    "totals of 50 users, three months": "query($ids: [UUID!]) { dailyTotals(userIds: $ids, ALL) { rows { TOTALS } } }",
    "270 totals, 30 payments each": "query($heavy: [UUID!]) { dailyTotals(userIds: $heavy, ALL)"
    " { rows { day payments(first: 30) { nodes { EIGHT } } } } }",
    "totals of all users (refused)": "query { dailyTotals(ALL) { rows { TOTALS } } }",
    "totals of a page of 50 users": "query { users(first: 50) { nodes { dailyTotals(ALL) { rows { TOTALS } } } } }",
    "off the fast path: 50 senders' totals": "query { payments(first: 50) { nodes { sender { dailyTotals(ALL)"
    " { rows { TOTALS } } } } } }",
}


def slow(name: str) -> list[str]:
    """The body of a slow query."""
    query = SLOW[name].replace("EIGHT", EIGHT).replace("TOTALS", TOTALS).replace("ALL", ALL)
    return body(query, ids=FIFTY, heavy=[HEAVY_USER])


def users() -> list[str]:
    """The users in the queries; the one with the most payments is not among them."""
    rnd = random.Random(2025)
    return [str(UUID(int=rnd.randrange(2, USERS + 1))) for _ in range(QUERIED_USERS)]


def bodies(query: str | None, days: dict[str, str]) -> list[str]:
    """A request body for each user; without a query only the variables."""
    return [json.dumps({**({"query": query} if query else {}), "variables": {"id": user, **days}}) for user in users()]


def ours(query: str) -> list[str]:
    """Bodies for fcgraph."""
    return bodies(query, {"start": START, "end": END} if "$start" in query else {})


def theirs(query: str) -> list[str]:
    """Bodies for PostGraphile."""
    return bodies(query, {"since": SINCE, "until": UNTIL} if "$since" in query else {})


def bare() -> list[str]:
    """Bodies for the bare application."""
    return bodies(None, {"start": START, "end": END})


def body(query: str, **variables: Any) -> list[str]:
    """One body."""
    return [json.dumps({"query": query, "variables": variables})]
