"""`fcgraph reports`: show a month's report, or list the versions. Neither makes one."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fcgraph import settings
from fcgraph.cli.output import Json, terminal
from fcgraph.cli.stack import join_stack
from fcgraph.errors import Refused

if TYPE_CHECKING:
    from fcgraph.storage.files import Files

app = typer.Typer(help="Monthly reports: show one, list them.", no_args_is_help=True)


@app.command()
def show(
    period: Annotated[str, typer.Argument(help="The month, YYYY-MM.")],
    version: Annotated[int | None, typer.Option(help="The version's number; by default the latest.")] = None,
    as_json: Json = False,
) -> None:
    """Print a version of a month's report with a chart of its days. Exit code 3 when there is none.

    It does not make a version; `report --period` does.
    """
    join_stack()
    from fcgraph.cli import report_view
    from fcgraph.reports import parse_period
    from fcgraph.storage.files import Files

    parse_period(period)
    found = _rows(period, version)
    if not found:
        which = f"version {version} of the report" if version is not None else "report"
        raise Refused(f"there is no {which} of {period}; python -m fcgraph report --period {period} makes one")
    row, files = found[0], Files(settings.current().reports_dir)
    if as_json:
        typer.echo(json.dumps(_dated(row, files), default=datetime.isoformat))
        return
    with files.whole(row.file_key, row.size_bytes).open("rb") as file:
        report_view.show(terminal(), row, file)
    typer.echo(str(files.path(row.file_key)))


@app.command("list")
def list_(
    period: Annotated[str | None, typer.Option(help="All versions of this month, YYYY-MM.")] = None,
    as_json: Json = False,
) -> None:
    """List all versions, newest month and version first."""
    join_stack()
    from fcgraph.reports import parse_period
    from fcgraph.storage.files import Files

    if period is not None:
        parse_period(period)
    files = Files(settings.current().reports_dir)
    found = _rows(period, None)
    if as_json:
        listed = [_dated(row, files) for row in found]
        typer.echo(json.dumps({"reports": listed}, default=datetime.isoformat))
        return
    for row in found:
        state = "whole month" if row.is_final_period else "the month was running"
        balanced = "balanced" if row.balanced else "NOT BALANCED"
        typer.echo(
            f"{row.period} v{row.version}: {row.row_count:,} lines, {state},"
            f" made {row.generated_at:%Y-%m-%d %H:%M} UTC, watermark {row.watermark}, {balanced}"
        )
    if not found:
        typer.echo("no report was made yet" if period is None else f"no report of {period} was made yet")


def _rows(period: str | None, version: int | None) -> list[Any]:
    """Versions of reports, newest month and version first."""
    import sqlalchemy as sa

    from fcgraph import db
    from fcgraph.models import Report

    wanted = sa.select(*Report.__table__.columns).order_by(Report.period.desc(), Report.version.desc())
    if period is not None:
        wanted = wanted.where(Report.period == period)
    if version is not None:
        wanted = wanted.where(Report.version == version)
    engine = db.make_engine(settings.current().database_url, name="reports")
    with db.read(engine) as connection:
        return list(connection.execute(wanted))


def shown(row: Any, files: Files) -> dict[str, Any]:
    """A version as `--json` prints it."""
    return {
        "period": row.period,
        "version": row.version,
        "is_final_period": row.is_final_period,
        "file": str(files.path(row.file_key)),
        "sha256": row.sha256,
        "size_bytes": row.size_bytes,
        "row_count": row.row_count,
        "time_zone": row.time_zone,
        "watermark": row.watermark,
        "balanced": row.balanced,
        "totals": row.totals,
    }


def _dated(row: Any, files: Files) -> dict[str, Any]:
    return shown(row, files) | {"generated_at": row.generated_at}
