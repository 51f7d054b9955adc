"""`make bench-read`: fcgraph, PostGraphile and a bare application beside each other on one database.

Prints requests a second, p50, p99 and ratios. `--payments 20000000` is the big run; `--database-url` uses a database
that an earlier run has filled (its server must be PostgreSQL 18), else a server of its own is started and filled.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import httpx
from rich.console import Console
from rich.table import Table

from fcgraph import db
from fcgraph.embedded import postgres
from tests import services
from tests.bench.read import data, load, queries, servers
from tests.bench.read.load import Measured

EXPERT = Path(__file__).parent / "expert.sql"
DEPTH = 50_000
HEAVY_USER = "00000000-0000-0000-0000-000000000001"
console = Console()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--payments", type=int, default=2_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--database-url")
    given = parser.parse_args()
    servers.install_postgraphile()
    with filled(given.database_url, given.payments) as url, ExitStack() as stack:
        bare = stack.enter_context(servers.uvicorn("tests.bench.read.bare:app", url, given.processes, "/"))
        theirs = stack.enter_context(servers.postgraphile(url, given.processes)) + "/graphql"
        ours = stack.enter_context(servers.uvicorn("fcgraph.api.app:app", url, given.processes, "/health")) + "/graphql"
        stock = stack.enter_context(servers.uvicorn("tests.bench.read.stock:app", url, given.processes, "/health"))
        four_questions(ours, theirs, bare, given.rounds, given.seconds)
        off_the_fast_path(ours, stock + "/graphql", given.rounds, given.seconds)
        beside_slow_ones(ours, given.rounds, given.seconds)
        deep_page(ours, given.rounds, given.seconds)


@contextmanager
def filled(database_url: str | None, payments: int) -> Iterator[str]:
    """A database with that many payments."""
    with ExitStack() as stack:
        if database_url is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fcgraph-bench-")))
            port = stack.enter_context(services.postgres_server(folder))
            services.make_template(port)
            services.copy_template(port, "bench_read")
            database_url = postgres.url(port, "bench_read")
        console.print(f"filling the database with {payments:,} payments")
        engine = db.make_engine(database_url, name="bench")
        data.make(engine, payments)
        with db.write(engine) as connection:
            connection.exec_driver_sql(EXPERT.read_text())
        engine.dispose()
        yield database_url


def alternating(rounds: int, runs: Mapping[str, Callable[[], Measured]]) -> dict[str, Measured]:
    """The median of each figure over the rounds; in each round every server has its turn."""
    found: dict[str, list[Measured]] = {name: [] for name in runs}
    for run in runs.values():
        run()  # warm: statements prepared, code compiled
    for _ in range(rounds):
        for name, run in runs.items():
            found[name].append(run())
    return {name: Measured(*map(statistics.median, zip(*each, strict=True))) for name, each in found.items()}


def four_questions(ours: str, theirs: str, bare: str, rounds: int, seconds: float) -> None:
    """Q1 to Q4 on the three servers."""
    table = Table("", "server", "req/s", "p50 ms", "p99 ms", "fcgraph over it", title="reads")
    for name, meaning in queries.NAMES.items():
        runs = {
            "fcgraph": partial(load.run, ours, queries.ours(queries.OURS[name]), seconds),
            "PostGraphile": partial(load.run, theirs, queries.theirs(queries.THEIRS[name]), seconds),
            "bare SQL": partial(load.run, f"{bare}/{name}", queries.bare(), seconds),
        }
        same_number_of_rows(ours, theirs, bare, name)
        found = alternating(rounds, runs)
        for server, measured in found.items():
            ratio = "" if server == "fcgraph" else f"{found['fcgraph'].per_second / measured.per_second:.2f}"
            table.add_row(f"{name} {meaning}", server, *_figures(measured), ratio)
    console.print(table)


def same_number_of_rows(ours: str, theirs: str, bare: str, name: str) -> None:
    """Stop when the servers do not answer the same question with as many rows."""
    counts = set()
    for url, body in (
        (ours, queries.ours(queries.OURS[name])[0]),
        (theirs, queries.theirs(queries.THEIRS[name])[0]),
        (f"{bare}/{name}", queries.bare()[0]),
    ):
        answer = httpx.post(url, content=body, headers={"Content-Type": "application/json"}).text
        counts.add(answer.count('"currency"') + answer.count('"createdAt"'))
    if len(counts) != 1 or 0 in counts:
        raise SystemExit(f"{name}: the answers differ: {counts} rows")


def off_the_fast_path(ours: str, stock: str, rounds: int, seconds: float) -> None:
    """A selection that Strawberry answers, here and as it comes."""
    bodies = queries.ours(queries.OFF)
    found = alternating(
        rounds,
        {"fcgraph": lambda: load.run(ours, bodies, seconds), "stock": lambda: load.run(stock, bodies, seconds)},
    )
    table = Table("server", "req/s", "p50 ms", "p99 ms", title="off the fast path (25 payments with history)")
    for server, measured in found.items():
        table.add_row(server, *_figures(measured))
    console.print(table, f"ratio {found['fcgraph'].per_second / found['stock'].per_second:.2f}\n")


def beside_slow_ones(ours: str, rounds: int, seconds: float) -> None:
    """A trivial query's p99 alone, and while two clients ask the slowest thing that is allowed."""
    trivial = queries.body("{ __typename }")
    slow = queries.body(
        '{ dailyTotals(start: "2025-04-01", end: "2025-06-30", statuses: [COMPLETED, PENDING, FAILED],'
        f' userIds: ["{HEAVY_USER}"]) {{ rows {{ day payments(first: 10) {{ nodes {{ amount }} }} }} }} }}'
    )

    def beside() -> Measured:
        two = load.start(ours, slow, seconds + 1, connections=2)
        measured = load.run(ours, trivial, seconds, connections=1)
        load.finish(two)
        return measured

    found = alternating(rounds, {"alone": lambda: load.run(ours, trivial, seconds, connections=1), "beside": beside})
    console.print(
        f"trivial query p99: alone {found['alone'].p99_ms:.2f} ms, beside two slow clients"
        f" {found['beside'].p99_ms:.2f} ms, ratio {found['beside'].p99_ms / found['alone'].p99_ms:.2f}"
    )


def deep_page(ours: str, rounds: int, seconds: float) -> None:
    """The heavy user's first page, and the one at depth 50,000."""
    page = """query($id: UUID!, $after: String) { user(userId: $id) { payments(first: 100, after: $after) {
      nodes { transactionId amount } pageInfo { endCursor } } } }"""
    after = None
    with httpx.Client() as client:
        for _ in range(DEPTH // 100):
            (body,) = queries.body(page, id=HEAVY_USER, after=after)
            answer = client.post(ours, content=body, headers={"Content-Type": "application/json"}).json()
            after = answer["data"]["user"]["payments"]["pageInfo"]["endCursor"]
    found = alternating(
        rounds,
        {
            "first": lambda: load.run(ours, queries.body(page, id=HEAVY_USER), seconds),
            "deep": lambda: load.run(ours, queries.body(page, id=HEAVY_USER, after=after), seconds),
        },
    )
    console.print(
        f"heavy user's page p50: first {found['first'].p50_ms:.2f} ms,"
        f" at depth {DEPTH:,} {found['deep'].p50_ms:.2f} ms, ratio {found['deep'].p50_ms / found['first'].p50_ms:.2f}"
    )


def _figures(measured: Measured) -> tuple[str, str, str]:
    return f"{measured.per_second:,.0f}", f"{measured.p50_ms:.2f}", f"{measured.p99_ms:.2f}"


if __name__ == "__main__":
    main()
