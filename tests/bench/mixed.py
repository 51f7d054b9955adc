"""`python -m tests.bench.mixed`: an operation of which SQL answers one field and Strawberry another, over its parts.

In process, without the HTTP server: processor time of the whole process per operation, the lowest of some rounds.
Before the fallback was per root field, the mixed operation went to Strawberry whole.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from fcgraph.api.context import Context
from fcgraph.api.http.app import Application, create
from fcgraph.api.http.bodies import Request
from fcgraph.embedded import postgres
from fcgraph.queries import OPERATOR
from tests import services
from tests.api.conftest import settings_for
from tests.api.demo import make_demo

PAGE = "payments(first: 100) { nodes { transactionId senderId receiverId amount currency timestamp status } }"
CURRENCIES = "currencies { code name minorUnits }"
QUERIES = {
    "page of 100": f"{{ {PAGE} }}",
    "currencies": f"{{ {CURRENCIES} }}",
    "both": f"{{ {PAGE} {CURRENCIES} }}",
}


async def cpu_us(app: Application, query: str, times: int) -> float:
    """Processor microseconds of one operation."""
    resources = app.state.resources
    start = time.process_time()
    for n in range(times):
        status, _ = await app.endpoint.execute(Request(query, {}, None), Context(resources, str(n), OPERATOR))
        assert status == 200
    return (time.process_time() - start) / times * 1e6


async def measure(app: Application, rounds: int, times: int) -> dict[str, float]:
    """The lowest of the rounds, by the query's name; rounds are interleaved."""
    lowest: dict[str, float] = {}
    async with app.router.lifespan_context(app):
        for _ in range(rounds + 1):  # the first one warms up
            for name, query in QUERIES.items():
                found = await cpu_us(app, query, times)
                lowest[name] = min(found, lowest.get(name, found))
    return lowest


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--times", type=int, default=200, help="operations in a round")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fcgraph-mixed-") as name, services.postgres_server(Path(name)) as port:
        services.make_template(port)
        services.copy_template(port, "mixed")
        settings = settings_for(postgres.url(port, "mixed"), Path(name))
        make_demo(settings)
        found = asyncio.run(measure(create(settings), arguments.rounds, arguments.times))
    table = Table("operation", "CPU us")
    for label, microseconds in found.items():
        table.add_row(label, f"{microseconds:,.0f}")
    console = Console()
    console.print(table)
    parts = found["page of 100"] + found["currencies"]
    console.print(f"both over the sum of its parts: {found['both'] / parts:.2f}")


if __name__ == "__main__":
    main()
