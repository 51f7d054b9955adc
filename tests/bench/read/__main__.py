"""`make bench-read`: compares fcgraph, PostGraphile and a bare application on one database.

Prints requests per second, p50, p99 and ratios. `--grow-to 20000000` then grows the same database and measures again.
`--database-url` uses (and fills) a migrated PostgreSQL 18 database; without it a temporary server is started.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import httpx2
from rich.console import Console
from rich.table import Table

from fcgraph import db
from fcgraph.embedded import postgres
from tests import services
from tests.bench.read import data, load, queries, servers
from tests.bench.read.load import Measured

EXPERT = Path(__file__).parent / "expert.sql"
DEPTH = 50_000
PARTS = ("questions", "stock", "slow", "deep")
console = Console()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--payments", type=int, default=2_000_000)
    parser.add_argument("--grow-to", type=int)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--only", choices=PARTS, action="append", help="a part; may be repeated")
    parser.add_argument("--database-url")
    arguments = parser.parse_args()
    servers.install_postgraphile()
    with database(arguments.database_url) as url:
        before = measure(url, arguments.payments, arguments)
        if arguments.grow_to:
            growth(before, measure(url, arguments.grow_to, arguments))


def measure(url: str, payments: int, arguments: argparse.Namespace) -> dict[str, Measured]:
    """Measure everything at this number of payments; returns fcgraph's figures for each query."""
    fill(url, payments)
    ours_by_question: dict[str, Measured] = {}
    with ExitStack() as stack:
        bare = stack.enter_context(servers.uvicorn("tests.bench.read.bare:app", url, arguments.processes, "/"))
        theirs = stack.enter_context(servers.postgraphile(url, arguments.processes)) + "/graphql"
        ours = (
            stack.enter_context(servers.uvicorn("fcgraph.api.app:app", url, arguments.processes, "/health"))
            + "/graphql"
        )
        stock = stack.enter_context(servers.uvicorn("tests.bench.read.stock:app", url, arguments.processes, "/health"))
        wanted = arguments.only or PARTS
        if "questions" in wanted:
            ours_by_question = four_questions(ours, theirs, bare, arguments.rounds, arguments.seconds)
        if "stock" in wanted:
            over_stock(ours, stock + "/graphql", arguments.rounds, arguments.seconds)
        if "slow" in wanted:
            during_slow_ones(ours, arguments.rounds, arguments.seconds)
        if "deep" in wanted:
            deep_page(ours, arguments.rounds, arguments.seconds)
    return ours_by_question


def growth(before: dict[str, Measured], after: dict[str, Measured]) -> None:
    """Print how fcgraph's p50 grew with the database."""
    for name, small in before.items():
        big = after[name]
        console.print(f"{name} p50 {small.p50_ms:.2f} ms, grown {big.p50_ms:.2f} ms: {big.p50_ms / small.p50_ms:.2f}")


@contextmanager
def database(database_url: str | None) -> Iterator[str]:
    """The database of this URL, or a migrated one on a temporary server."""
    if database_url is not None:
        yield database_url
        return
    with (
        tempfile.TemporaryDirectory(prefix="fcgraph-bench-") as folder,
        services.postgres_server(Path(folder), shared_buffers=None) as port,
    ):
        services.make_template(port)
        services.copy_template(port, "bench_read")
        yield postgres.url(port, "bench_read")


def fill(url: str, payments: int) -> None:
    """Fill the database to that many payments, and prepare it for PostGraphile as an expert would."""
    console.print(f"a database with {payments:,} payments over {data.USERS:,} users")
    engine = db.make_engine(url, name="bench")
    data.make(engine, payments)
    with db.write(engine) as connection:
        connection.exec_driver_sql(EXPERT.read_text())
    engine.dispose()


def alternating(rounds: int, runs: Mapping[str, Callable[[], Measured]]) -> dict[str, Measured]:
    """The median of each figure over the rounds; each round measures every server in turn."""
    found: dict[str, list[Measured]] = {name: [] for name in runs}
    for run in runs.values():
        run()  # warm: statements prepared, code compiled
    for _ in range(rounds):
        for name, run in runs.items():
            found[name].append(run())
    return {name: Measured(*map(statistics.median, zip(*each, strict=True))) for name, each in found.items()}


def four_questions(ours: str, theirs: str, bare: str, rounds: int, seconds: int) -> dict[str, Measured]:
    """Q1 to Q4 on the three servers; returns fcgraph's figures."""
    ours_by_question = {}
    table = Table("", "server", "req/s", "p50 ms", "p99 ms", "fcgraph over it", title="reads")
    for name, meaning in queries.NAMES.items():
        runs = {
            "fcgraph": partial(load.run, ours, queries.ours(queries.OURS[name]), seconds),
            "PostGraphile": partial(load.run, theirs, queries.theirs(queries.THEIRS[name]), seconds),
            "bare SQL": partial(load.run, f"{bare}/{name}", queries.bare(), seconds),
        }
        same_number_of_rows(ours, theirs, bare, name)
        found = alternating(rounds, runs)
        _compare(table, f"{name} {meaning}", found)
        ours_by_question[name] = found["fcgraph"]
    console.print(table)
    return ours_by_question


def same_number_of_rows(ours: str, theirs: str, bare: str, name: str) -> None:
    """Stop if the servers do not return the same number of rows for the same query."""
    counts = set()
    for url, body in (
        (ours, queries.ours(queries.OURS[name])[0]),
        (theirs, queries.theirs(queries.THEIRS[name])[0]),
        (f"{bare}/{name}", queries.bare()[0]),
    ):
        answer = httpx2.post(url, content=body, headers={"Content-Type": "application/json"}).text
        counts.add(answer.count('"currency"') + answer.count('"createdAt"'))
    if len(counts) != 1 or 0 in counts:
        raise SystemExit(f"{name}: the answers differ: {counts} rows")


def over_stock(ours: str, stock: str, rounds: int, seconds: int) -> None:
    """Queries over several users, on fcgraph and on stock Strawberry."""
    table = Table("", "server", "req/s", "p50 ms", "p99 ms", "fcgraph over it", title="over stock Strawberry")
    for name, query in queries.STOCK.items():
        bodies = queries.ours(query)
        runs = {"fcgraph": partial(load.run, ours, bodies, seconds), "stock": partial(load.run, stock, bodies, seconds)}
        found = alternating(rounds, runs)
        _compare(table, name, found)
    console.print(table)


def during_slow_ones(ours: str, rounds: int, seconds: int) -> None:
    """A trivial query's p99 alone, and while two clients send one of the slowest queries that are allowed."""
    (trivial,) = queries.body("{ __typename }")

    def alone() -> Measured:
        return load.now_and_then(ours, trivial, seconds)

    def lateral(slow: list[str]) -> Measured:
        two = load.start(ours, slow, seconds + 1, connections=2)
        measured = alone()
        load.finish(two)
        # The two clients' last requests take no longer than this one: they must not overlap with the next run.
        load.ask(ours, slow)
        return measured

    runs = {"alone": alone} | {name: partial(lateral, queries.slow(name)) for name in queries.SLOW}
    found = alternating(rounds, runs)
    table = Table("with two other clients", "req/s", "p50 ms", "p99 ms", "p99 over alone", title="a trivial query")
    for name, measured in found.items():
        table.add_row(name, *_figures(measured), f"{measured.p99_ms / found['alone'].p99_ms:.2f}")
    console.print(table)


def deep_page(ours: str, rounds: int, seconds: int) -> None:
    """The heavy user's first page, and the one at depth 50,000."""
    page = """query($id: UUID!, $after: String) { user(userId: $id) { payments(first: 100, after: $after) {
      nodes { transactionId amount } pageInfo { endCursor } } } }"""
    after = None
    with httpx2.Client() as client:
        for _ in range(DEPTH // 100):
            (body,) = queries.body(page, id=queries.HEAVY_USER, after=after)
            answer = client.post(ours, content=body, headers={"Content-Type": "application/json"}).json()
            after = answer["data"]["user"]["payments"]["pageInfo"]["endCursor"]
    found = alternating(
        rounds,
        {
            "first": lambda: load.run(ours, queries.body(page, id=queries.HEAVY_USER), seconds),
            "deep": lambda: load.run(ours, queries.body(page, id=queries.HEAVY_USER, after=after), seconds),
        },
    )
    console.print(
        f"heavy user's page p50: first {found['first'].p50_ms:.2f} ms,"
        f" at depth {DEPTH:,} {found['deep'].p50_ms:.2f} ms, ratio {found['deep'].p50_ms / found['first'].p50_ms:.2f}"
    )


def _compare(table: Table, name: str, found: Mapping[str, Measured]) -> None:
    for server, measured in found.items():
        ratio = "" if server == "fcgraph" else f"{found['fcgraph'].per_second / measured.per_second:.2f}"
        table.add_row(name, server, *_figures(measured), ratio)


def _figures(measured: Measured) -> tuple[str, str, str]:
    return f"{measured.per_second:,.0f}", f"{measured.p50_ms:.2f}", f"{measured.p99_ms:.2f}"


if __name__ == "__main__":
    main()
