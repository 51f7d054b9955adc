"""Thousands of generated documents, mutated bodies and query strings against a running API: failures and times.

`python -m tests.bench.fuzz [--documents N] [--bodies N] [--queries N] [--seed N]`; exits with 1 on failures.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from functools import partial
from pathlib import Path

from graphql import build_schema
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from fcgraph.api.graphql.schema import sdl
from fcgraph.embedded import postgres
from tests import services
from tests.api import fuzz
from tests.api.conftest import settings_for
from tests.api.demo import make_demo
from tests.api.process import server

FAULTS_SHOWN = 10


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=5000)
    parser.add_argument("--bodies", type=int, default=5000)
    parser.add_argument("--queries", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=1_000_000)
    arguments = parser.parse_args()
    console = Console()
    table = Table("what", "thrown", "refused", "statuses", "faults", "slowest refusal ms", "its seed")
    faults = []
    with tempfile.TemporaryDirectory(prefix="fcgraph-fuzz-") as name, services.postgres_server(Path(name)) as port:
        services.make_template(port)
        services.copy_template(port, "fuzz")
        settings = settings_for(postgres.url(port, "fuzz"), Path(name))
        make_demo(settings)
        log = Path(name) / "api.log"
        with server(settings, log) as url, Progress(console=console, transient=True) as progress:
            for kind, many in (
                (fuzz.documents, arguments.documents),
                (fuzz.bodies, arguments.bodies),
                (fuzz.queries, arguments.queries),
            ):
                task = progress.add_task(kind.__name__, total=many)
                throws = kind(build_schema(sdl()), range(arguments.seed, arguments.seed + many))
                found = fuzz.throw_all(url, throws, log, partial(progress.advance, task))
                statuses = ", ".join(f"{status}: {n}" for status, n in sorted(found.statuses.items()))
                slowest = f"{found.slowest_refusal_seconds * 1000:.1f}"
                seed = str(found.slowest.seed) if found.slowest else ""
                table.add_row(
                    kind.__name__, str(many), str(found.refused), statuses, str(len(found.faults)), slowest, seed
                )
                faults += found.faults
    console.print(table)
    for throw, why in faults[:FAULTS_SHOWN]:
        console.print(f"seed {throw.seed}: {throw.query_string or throw.body[:300]!r}\n  {why[:500]}", markup=False)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
