"""The command line: up, migrate, seed, users, currencies, import, intake, report, reports, status.

\b
Exit codes:
  0    done
  1    a bug
  2    a wrong command line or setting, or make up has not run
  3    refused: the message says why
  4    done, but not completely: rows rejected, a process down or stalled
  5    a service is unavailable: PostgreSQL, Redis or Kafka
  130  stopped by Ctrl-C
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from uuid import uuid4

import typer

from fcgraph import joined
from fcgraph import settings as process_settings
from fcgraph.cli import currencies, users
from fcgraph.cli import intake as intake_commands
from fcgraph.cli import reports as reports_noun
from fcgraph.cli.help import examples
from fcgraph.cli.output import AWAY, INTERRUPTED, NOT_ALL, REFUSED, WRONG, Json, terminal
from fcgraph.cli.stack import join_stack
from fcgraph.errors import FcgraphError, Refused, SettingsError, Unavailable

# Commands import what they need, so that `--help` and `status` start fast.
if TYPE_CHECKING:
    from sqlalchemy import Engine

MIGRATIONS = Path(__file__).parent.parent / "migrations" / "alembic.ini"

app = typer.Typer(help=__doc__, no_args_is_help=True, pretty_exceptions_enable=False)

app.add_typer(users.app, name="users")
app.add_typer(currencies.app, name="currencies")
app.add_typer(reports_noun.app, name="reports")


def print_version(wanted: bool) -> None:
    """Print the versions of fcgraph, its schema and its database, and end."""
    if not wanted:
        return
    try:
        stack = join_stack()
    except joined.NotUp:
        joined.leave(os.environ)
        stack = None
    settings = process_settings.current()
    from fcgraph.cli import version

    reachable = stack is not None or "database_url" in settings.model_fields_set
    for line in version.lines(MIGRATIONS.parent, settings.database_url if reachable else None):
        typer.echo(line)
    raise typer.Exit


@app.callback(epilog=examples("fcgraph up", "fcgraph import payments.csv --dry-run", "fcgraph import --help"))
def start(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=print_version, is_eager=True, help="Print the versions of fcgraph and its database."
        ),
    ] = False,
) -> None:
    # No docstring: the help text is the module's.
    del version


@app.command(epilog=examples("fcgraph up", "API_PORT=8020 fcgraph up", "KAFKA_EMBEDDED=in-process fcgraph up"))
def up() -> None:
    """Start everything on this machine and keep it running until Ctrl-C."""
    joined.leave(os.environ)
    from fcgraph.embedded.output import Output
    from fcgraph.embedded.up import Up

    Up(process_settings.current(), Output()).run()


@app.command(epilog=examples("fcgraph migrate"))
def migrate() -> None:
    """Bring the database to the newest schema."""
    join_stack()
    from alembic import command
    from alembic.config import Config

    command.upgrade(Config(str(MIGRATIONS)), "head")
    typer.echo("the schema is the newest")


@app.command(epilog=examples("fcgraph seed", "fcgraph seed --demo"))
def seed(
    demo: Annotated[
        bool, typer.Option("--demo", help="Also load 2,000 deterministic demo payments dated 2025.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Load the missing users and currencies. May be repeated."""
    join_stack()
    from fcgraph import db
    from seeds.load import load_demo, load_reference

    settings, engine = process_settings.current(), writing_engine()
    with db.write(engine) as connection:
        load_reference(connection)
    output: dict[str, Any] = {"reference": True, "demo": None}
    if demo:
        counts = load_demo(engine, settings)
        output["demo"] = asdict(counts)
    if as_json:
        typer.echo(json.dumps(output))
        return
    typer.echo("users and currencies are there")
    if output["demo"]:
        typer.echo("demo payments: " + ", ".join(f"{name} {count:,}" for name, count in output["demo"].items()))


@app.command(
    "import",
    epilog=examples(
        "fcgraph import payments.csv",
        "fcgraph import payments.csv --dry-run",
        "fcgraph import payments.csv --all-or-nothing --json",
    ),
)
def import_(
    files: Annotated[
        list[Path] | None,
        typer.Argument(help="CSV files; - is the standard input. By default the file in CSV_FILE."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Report what would happen; write no payments.")] = False,
    all_or_nothing: Annotated[
        bool, typer.Option("--all-or-nothing", help="Store no payments if any row is bad.")
    ] = False,
    reimport: Annotated[
        bool, typer.Option("--reimport", help="Run a file even if the same bytes were imported before.")
    ] = False,
    expect_rows: Annotated[
        int | None, typer.Option(min=0, help="How many rows the file must have; one file only.")
    ] = None,
    expect_total: Annotated[
        list[str] | None,
        typer.Option(help="The sum of a currency, such as USD=1000.00; may be repeated; one file only."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per file instead of text.")] = False,
) -> None:
    """Import CSV files, each with a progress bar and a summary.

    Exit code 0 also for a file that was imported before; 4 when this run stored rejections or conflicts, or a control
    total does not match; 3 when a file was refused or failed. The other files are imported all the same.
    """
    from fcgraph.cli import control_totals

    expected = control_totals.read(expect_rows, expect_total or [], file_count=len(files or [""]))
    stack = join_stack()
    from fcgraph.cli import import_view

    settings, engine = process_settings.current(), writing_engine()
    exit_code = 0
    for file in files or [settings.csv_file]:
        try:
            done = import_view.import_file(
                engine,
                settings,
                file,
                terminal(stderr=True),
                dry_run=dry_run,
                mode="ALL_OR_NOTHING" if all_or_nothing else "VALID_ROWS",
                reimport=reimport,
                expected=expected,
            )
        except Refused as e:
            typer.echo(f"{f'{file}: ' if files and files[1:] else ''}{e.message} ({e.code})", err=True)
            exit_code = REFUSED
            continue
        if as_json:
            typer.echo(json.dumps(done.shown()))
        else:
            import_view.show(terminal(), done, stack["api_url"] if stack else None)
        if done.state in ("FAILED", "CANCELLED"):
            exit_code = REFUSED
        elif not done.is_clean and exit_code == 0:
            exit_code = NOT_ALL
    if exit_code:
        raise typer.Exit(exit_code)


@app.command(epilog=examples("fcgraph report --period 2025-05 --show", "fcgraph report --json"))
def report(
    period: Annotated[str | None, typer.Option(help="The month, YYYY-MM; by default the previous one.")] = None,
    show: Annotated[bool, typer.Option("--show", help="Print the month as a table with a chart.")] = False,
    as_json: Json = False,
) -> None:
    """Make the report of a month. A new version is added only if the content changed."""
    join_stack()
    import sqlalchemy as sa

    from fcgraph import db, reports, zones
    from fcgraph.cli import report_view
    from fcgraph.models import Report
    from fcgraph.reports.period import period_at
    from fcgraph.storage.files import Files

    settings = process_settings.current()
    engine, files = db.make_engine(settings.database_url, name="report"), Files(settings.reports_dir)
    now, zone = datetime.now(UTC), settings.report_timezone
    zones.check(engine, zone)
    month = period or str(period_at(now, zone).previous)
    with terminal(stderr=True).status(f"making the report of {month}"):
        made = reports.generate(engine, files, month, time_zone=zone, now=now, correlation_id=uuid4().hex)
    with db.read(engine) as connection:
        columns = sa.select(*Report.__table__.columns)
        row = connection.execute(columns.where(Report.period == made.period, Report.version == made.version)).one()
    output = reports_noun.shown(row, files) | {"unchanged": made.unchanged}
    path = files.path(row.file_key)
    if as_json:
        typer.echo(json.dumps(output))
        return
    if show:
        with path.open("rb") as file:
            report_view.show(terminal(), row, file)
    running = "" if row.is_final_period else "; the month is still running"
    typer.echo(
        f"{path} ({'unchanged' if made.unchanged else 'new'}, version {made.version}, {row.row_count} lines{running})"
    )


@app.command(epilog=examples("fcgraph status", "fcgraph status --json"))
def status(as_json: Json = False) -> None:
    """Show processes, lag and jobs.

    Exit code 3: nothing runs; 4: a process is down or stalled; 5: a service is unavailable.

    Without `up`, it queries the services at DATABASE_URL, REDIS_URL and KAFKA_BROKER.
    """
    stack = join_stack()
    settings = process_settings.current()
    if stack is None and not settings.model_fields_set & {"database_url", "redis_url", "kafka_broker"}:
        raise Refused(
            "fcgraph is not up here (python -m fcgraph up); DATA_DIR is its folder; DATABASE_URL,"
            " REDIS_URL and KAFKA_BROKER are the services to query without it"
        )
    from fcgraph.cli import status_view

    stack = stack or status_view.elsewhere(settings)
    work = status_view.look(settings)
    status_view.mark_stalled(stack, work)
    if as_json:
        typer.echo(json.dumps(status_view.shown(stack, work), default=datetime.isoformat))
    else:
        status_view.show(terminal(), stack, work, settings.report_timezone)
    if work.away:
        raise typer.Exit(AWAY)
    if not status_view.all_run(stack, work):
        raise typer.Exit(NOT_ALL)


def writing_engine() -> Engine:
    """An engine for the intake."""
    from fcgraph import intake

    return intake.engine_of(process_settings.current(), "cli")


def before_noun() -> None:
    """The setup that the commands of every noun need."""
    join_stack()


app.add_typer(intake_commands.app, name="intake", callback=before_noun)


def main() -> None:
    """Run the command line; an expected error is one line and an exit code, a bug is a traceback."""
    try:
        app(prog_name="fcgraph")
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except joined.NotUp as e:
        end(f"{e.message} ({e.code})", REFUSED)
    except SettingsError as e:
        end(e.message, WRONG)
    except Unavailable as e:
        end(e.message, AWAY)
    except FcgraphError as e:
        end(f"{e.message} ({e.code})", REFUSED)
    except Exception as e:
        from fcgraph import db

        if db.is_not_migrated(e):
            end("the database has no tables yet: python -m fcgraph migrate", REFUSED)
        if not db.is_away(e):
            raise
        end(f"PostgreSQL is unavailable: {str(e.__cause__ or e).strip().splitlines()[0]}", AWAY)


def end(line: str, exit_code: int) -> None:
    typer.echo(line, err=True)
    sys.exit(exit_code)


if __name__ == "__main__":
    main()
