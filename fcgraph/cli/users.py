"""`fcgraph users …`: import users from a CSV, and list them."""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO
from uuid import uuid4

import typer

from fcgraph import settings
from fcgraph.cli.output import NOT_ALL, Json
from fcgraph.cli.stack import join_stack
from fcgraph.errors import Refused

# Commands import what they need, so that `--help` is fast.
if TYPE_CHECKING:
    from fcgraph.reference.users import Imported
    from fcgraph.settings import Settings

BLOCK_BYTES = 1024 * 1024

app = typer.Typer(help="Users: the senders and receivers of payments.", no_args_is_help=True)


@app.command("import")
def import_(
    file: Annotated[str, typer.Argument(help="A CSV with the header user_id,name; - reads standard input.")],
    as_json: Json = False,
) -> None:
    """Add new users, and rename known ones whose name has changed. Exit code 4 when rows were rejected.

    Example: python -m fcgraph users import users.csv
    """
    from fcgraph import intake
    from fcgraph.cli.principal import principal
    from fcgraph.reference.users import import_users

    join_stack()
    current = settings.current()
    engine = intake.engine_of(current, "cli")
    with _opened(file, current) as source:
        done = import_users(engine, source, current, changed_by=principal(), correlation_id=uuid4().hex)
    typer.echo(
        json.dumps(asdict(done) | {"problems": [p._asdict() for p in done.problems]}) if as_json else _text(done)
    )
    if done.rejected:
        raise typer.Exit(NOT_ALL)


@app.command("list")
def list_(
    search: Annotated[str | None, typer.Option(help="Any part of the name, in any case and script.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 100,
    as_json: Json = False,
) -> None:
    """List users by name.

    Example: python -m fcgraph users list --search jose
    """
    join_stack()
    rows, total = asyncio.run(_listed(settings.current(), search, limit))
    if as_json:
        typer.echo(json.dumps({"users": rows, "total_count": total}))
        return
    for row in rows:
        typer.echo(f"{row['user_id']}  {row['name']}")
    typer.echo(f"{len(rows):,} of {total:,} users")


def _opened(file: str, current: Settings) -> BinaryIO:
    """The file, opened so that it can be seeked. Raises Refused."""
    if file != "-":
        path = Path(file)
        if not path.is_file():
            raise Refused(f"There is no file {path}.")
        return path.open("rb")
    copied = tempfile.TemporaryFile()  # noqa: SIM115 the caller closes it
    size = 0
    while size <= current.upload_max_bytes and (block := sys.stdin.buffer.read(BLOCK_BYTES)):
        size += copied.write(block)
    return copied


def _text(done: Imported) -> str:
    lines = [f"{p.message}{'' if p.value is None else f': {p.value!r}'} ({p.code})" for p in done.problems]
    if done.rejected > len({line.partition(":")[0] for line in lines}):
        lines.append("… and more; USERS_PROBLEMS_MAX limits how many problems are shown")
    counts = ("inserted", "renamed", "unchanged", "rejected")
    return "\n".join(
        [*lines, f"read {done.read:,}: " + ", ".join(f"{name} {getattr(done, name):,}" for name in counts)]
    )


async def _listed(current: Settings, search: str | None, limit: int) -> tuple[list[dict[str, str]], int]:
    from fcgraph.api.reader import Reader
    from fcgraph.queries import OPERATOR
    from fcgraph.queries import users as queries
    from fcgraph.queries.pages import PageRequest

    reader = Reader(
        current.database_url,
        pool_max=1,
        wait_seconds=current.read_pool_wait_seconds,
        statement_timeout_seconds=current.read_statement_timeout_seconds,
    )
    try:
        rows = await reader.fetch(queries.users(search, PageRequest(limit), viewer=OPERATOR))
        total = await reader.value(queries.users_count(search, viewer=OPERATOR))
    finally:
        await reader.close()
    return [{"user_id": str(row["userId"]), "name": row["name"]} for row in rows[:limit]], total
