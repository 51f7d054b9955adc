"""A CSV import on a terminal: a bar while it runs, a summary when it is done.

`imports` runs the import; if a worker takes it over meanwhile, it is only watched.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any, BinaryIO
from uuid import UUID, uuid4

import sqlalchemy as sa
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from sqlalchemy import Engine

from fcgraph import db, imports
from fcgraph.errors import Refused
from fcgraph.models import OUTCOMES, Currency, Import, ImportTotal
from fcgraph.settings import Settings
from fcgraph.storage.files import Files

BLOCK_BYTES = 1024 * 1024
LOOK_SECONDS = 0.5
STANDARD_INPUT = "-"
STREAM_NAME = "standard-input.csv"
_STREAM_FOLDERS = ("/dev/fd", "/proc/self/fd")  # `<(…)` of a shell: the name means nothing


@dataclass(frozen=True)
class Ended:
    """A finished import. `counts`: read, each outcome, suspicious. `totals`: per currency, as text at its scale.

    `skipped_lines` are not rows: blank lines, rows of empty values, a repeated header.
    """

    import_id: str
    file_name: str
    already_imported: bool
    dry_run: bool
    state: str
    failure: str | None
    counts: dict[str, int]
    totals: list[dict[str, str]]
    skipped_lines: int

    @property
    def is_clean(self) -> bool:
        """Whether this run stored no rejection and no conflict, and the control totals match."""
        not_stored = self.counts["rejected"] + self.counts["conflict"]
        return not self.failure and (self.already_imported or not not_stored)

    def shown(self) -> dict[str, Any]:
        """As `--json` prints it."""
        return asdict(self)


def import_file(
    engine: Engine,
    settings: Settings,
    file: Path,
    console: Console,
    *,
    dry_run: bool,
    mode: str,
    reimport: bool,
    expected: imports.Expected | None = None,
) -> Ended:
    """Accept the file and import it here to the end, with a bar on a terminal. Raises Refused.

    `file` may be `-` for the standard input, or a pipe.
    """
    files = Files(settings.uploads_dir)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with (
        _opened(file) as (stream, name, size),
        Progress(*columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal) as progress,
    ):
        taken = progress.add_task(f"reading {name}", total=size)
        accepted = imports.accept(
            engine,
            files,
            _blocks(stream, lambda n: progress.advance(taken, n)),
            file_name=name,
            dry_run=dry_run,
            mode=mode,
            expected=expected,
            reimport=reimport,
            correlation_id=uuid4().hex,
            upload_max_bytes=settings.upload_max_bytes,
        )
        importing = progress.add_task("validating" if dry_run else "importing", total=1.0)
        imports.run(
            engine,
            files,
            accepted.import_id,
            settings,
            on_progress=lambda part: progress.update(importing, completed=part),
        )
        # Usually it has ended now. If a worker claimed it first, wait until that has.
        while (done := _progress(engine, accepted.import_id)) is not None:
            progress.update(importing, completed=done)
            time.sleep(LOOK_SECONDS)
        progress.update(importing, completed=1.0)
    end = ended(engine, accepted.import_id, already_imported=accepted.already_imported)
    return _held_against(end, expected) if accepted.already_imported and expected else end


def _held_against(done: Ended, expected: imports.Expected) -> Ended:
    """The earlier import of the same bytes, checked against the control totals of this call."""
    accepted = {total["currency"]: Decimal(total["accepted"]) for total in done.totals}
    wrong = imports.differences(expected.row_count, expected.totals, done.counts["read"], accepted)
    return replace(done, failure=imports.mismatch_text(wrong) or done.failure)


@contextmanager
def _opened(file: Path) -> Iterator[tuple[BinaryIO, str, int | None]]:
    """The file's stream, name and size; the size of a pipe is not known. Raises Refused."""
    if str(file) == STANDARD_INPUT:
        yield sys.stdin.buffer, STREAM_NAME, None
        return
    if file.is_dir():
        raise Refused(f"{file} is a folder; name the files in it, such as {file / '*.csv'}.")
    try:
        stream = file.open("rb")
    except FileNotFoundError:
        raise Refused(f"There is no file {file}.") from None
    except OSError as e:
        raise Refused(f"The file {file} cannot be read: {e.strerror}.") from e
    with stream:
        name = STREAM_NAME if str(file.parent) in _STREAM_FOLDERS else file.name
        yield stream, name, file.stat().st_size if file.is_file() else None


def _blocks(stream: BinaryIO, on_read: Callable[[int], None]) -> Iterator[bytes]:
    while block := stream.read(BLOCK_BYTES):
        on_read(len(block))
        yield block


def _progress(engine: Engine, import_id: UUID) -> float | None:
    """Its progress, 0 to 1; None when it has ended."""
    with db.read(engine) as connection:
        row = connection.execute(
            sa.select(Import.finished_at, Import.done_bytes, Import.size_bytes).where(Import.import_id == import_id)
        ).one()
    return None if row.finished_at else row.done_bytes / max(row.size_bytes, 1)


def ended(engine: Engine, import_id: UUID, *, already_imported: bool) -> Ended:
    """The import as recorded in its rows."""
    counts = [Import.__table__.c[f"{name}_count"].label(name) for name in ("read", *OUTCOMES, "suspicious")]
    totals = (
        sa.select(ImportTotal.currency, ImportTotal.accepted, ImportTotal.rejected, Currency.minor_units)
        .outerjoin(Currency, Currency.code == ImportTotal.currency)
        .where(ImportTotal.import_id == import_id)
        .order_by(ImportTotal.currency)
    )
    with db.read(engine, snapshot=True) as connection:
        row = connection.execute(
            sa.select(Import.file_name, Import.dry_run, Import.state, Import.failure, Import.skipped_lines).where(
                Import.import_id == import_id
            )
        ).one()
        counted = connection.execute(sa.select(*counts).where(Import.import_id == import_id)).one()
        sums = connection.execute(totals).all()
    return Ended(
        import_id=str(import_id),
        file_name=row.file_name,
        already_imported=already_imported,
        dry_run=row.dry_run,
        state=row.state,
        failure=row.failure,
        counts=dict(counted._mapping),
        skipped_lines=row.skipped_lines,
        totals=[
            {
                "currency": s.currency,
                "accepted": at_scale(s.accepted, s.minor_units),
                "rejected": at_scale(s.rejected, s.minor_units),
            }
            for s in sums
        ],
    )


def at_scale(amount: Decimal, minor_units: int | None) -> str:
    """The amount with the currency's decimals; unchanged for an unknown currency."""
    return f"{amount:.{minor_units}f}" if minor_units is not None else f"{amount:f}"


def show(console: Console, done: Ended, api_url: str | None) -> None:
    """Print the summary."""
    if done.already_imported:
        console.print(
            "Already imported: this is the earlier import of the same bytes. --reimport runs them again.",
            soft_wrap=True,
        )
    if done.dry_run:
        console.print("A dry run: the results are those of a real run; no payments were written.")
    console.print(f"{escape(done.file_name)}: [bold]{done.state}[/]", soft_wrap=True)
    table = Table("outcome")
    table.add_column("rows", justify="right")
    for name, count in done.counts.items():
        table.add_row(name, f"{count:,}", style="red" if count and name in ("rejected", "conflict") else "")
    console.print(table)
    for total in done.totals:
        console.print(
            f"{total['currency']}: {total['accepted']} in rows that passed,"
            f" {total['rejected']} in rows rejected or in conflict",
            soft_wrap=True,
        )
    if done.skipped_lines:
        console.print(
            f"{done.skipped_lines:,} lines skipped: blank, without values, or a repeated header", soft_wrap=True
        )
    if done.failure:
        console.print(done.failure, style="red", markup=False, soft_wrap=True)
    console.print(f"import {done.import_id}")
    if api_url and done.counts["rejected"] + done.counts["conflict"]:
        console.print("rows not imported, to correct and send again:")
        console.print(f"{api_url}/imports/{done.import_id}/rejects.csv", soft_wrap=True)  # unbroken, to be clickable
