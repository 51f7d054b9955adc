"""`intake list | replay | dismiss | resolve`: rejections and conflicts, and how to resolve them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID, uuid4

import typer

from fcgraph import settings
from fcgraph.cli.output import NOT_ALL, Json
from fcgraph.cli.principal import principal

if TYPE_CHECKING:
    from fcgraph.intake.record_list import ListedRecord
    from fcgraph.record_filter import RecordFilter


app = typer.Typer(help="List rejections and conflicts, replay, dismiss and resolve them.", no_args_is_help=True)


class Channel(StrEnum):
    CSV = "CSV"
    KAFKA = "KAFKA"


class Kind(StrEnum):
    REJECTED = "REJECTED"
    CONFLICT = "CONFLICT"


Ids = Annotated[list[UUID] | None, typer.Argument(help="Ids of records; or select them with options.")]
Source = Annotated[Channel | None, typer.Option("--source", help="The channel they arrived through.")]
ImportId = Annotated[UUID | None, typer.Option("--import", help="Of this import.")]
Topic = Annotated[str | None, typer.Option("--topic", help="Of this Kafka topic.")]
Codes = Annotated[list[str] | None, typer.Option("--code", help="With this problem; may be repeated.")]
From = Annotated[str | None, typer.Option("--received-from", help="Received at this instant or later, ISO 8601.")]
To = Annotated[str | None, typer.Option("--received-to", help="Received at this instant or earlier, ISO 8601.")]
Note = Annotated[str, typer.Option("--note", help="The reason; it is stored with the record.")]


@app.command("list")
def list_(
    source: Source = None,
    import_id: ImportId = None,
    topic: Topic = None,
    outcome: Annotated[list[Kind] | None, typer.Option("--outcome", help="With this outcome.")] = None,
    code: Codes = None,
    received_from: From = None,
    received_to: To = None,
    with_ended: Annotated[bool, typer.Option("--all", help="Include resolved records.")] = False,
    limit: Annotated[int, typer.Option(min=0, help="The most to list, oldest first; 0 means all.")] = 100,
    as_json: Json = False,
) -> None:
    """List records: id, outcome, place, problem codes and messages, one record per line."""
    from fcgraph import db
    from fcgraph.intake import record_list

    outcomes = tuple(outcome) if outcome else None
    wanted = _filter(source, import_id, topic, code, received_from, received_to, outcomes, open_only=not with_ended)
    engine = db.make_engine(settings.current().database_url, name="cli")
    with db.read(engine, snapshot=True) as connection:
        count = record_list.counted(connection, wanted)
        found = record_list.listed(connection, wanted, limit or None)
        if as_json:
            typer.echo(json.dumps({"count": count, "records": [_as_json(record) for record in found]}))
            return
        shown = 0
        for record in found:
            typer.echo(_line(record))
            shown += 1
    typer.echo(f"{shown:,} of {count:,} records" if shown < count else f"{count:,} records", err=True)


@app.command()
def replay(
    record_ids: Ids = None,
    source: Source = None,
    import_id: ImportId = None,
    topic: Topic = None,
    code: Codes = None,
    received_from: From = None,
    received_to: To = None,
    as_json: Json = False,
) -> None:
    """Validate open rejections again and apply those that pass. Exit code 4 when some are still rejected.

    Without ids and options: every open rejection. Safe to repeat.
    """
    from fcgraph import intake

    wanted = _filter(source, import_id, topic, code, received_from, received_to)
    _only_one(record_ids, wanted)
    values, correlation_id = settings.current(), uuid4().hex
    engine, who = intake.engine_of(values, "cli"), principal()
    if record_ids:
        done = intake.replay(engine, values, record_ids, correlation_id, principal=who)
    else:
        progress = _Progress(lambda p: f"{p.ended:,} replayed, {p.left:,} still rejected")
        intake.replay_matching(engine, values, wanted, correlation_id, principal=who, on_batch=progress)
        done = intake.Replayed(progress.ended, progress.left)
    if as_json:
        typer.echo(json.dumps(done._asdict()))
    else:
        typer.echo(f"{done.replayed:,} replayed, {done.still_rejected:,} still rejected")
    if done.still_rejected:
        raise typer.Exit(NOT_ALL)


@app.command()
def dismiss(
    note: Note,
    record_ids: Ids = None,
    source: Source = None,
    import_id: ImportId = None,
    topic: Topic = None,
    code: Codes = None,
    received_from: From = None,
    received_to: To = None,
    everything: Annotated[bool, typer.Option("--all", help="Every open rejection.")] = False,
    as_json: Json = False,
) -> None:
    """Dismiss rejections that will not be corrected. Conflicts cannot be dismissed. Safe to repeat."""
    from fcgraph import intake
    from fcgraph.record_filter import RecordFilter

    wanted = _filter(source, import_id, topic, code, received_from, received_to)
    _only_one(record_ids, wanted)
    if not record_ids and not everything and wanted == RecordFilter(open_only=True):
        raise typer.BadParameter("select records by ids, by options, or with --all")
    engine, who = intake.engine_of(settings.current(), "cli"), principal()
    if record_ids:
        resolved = intake.dismiss(engine, record_ids, note, principal=who)
    else:
        progress = _Progress(lambda p: f"{p.ended:,} dismissed")
        intake.dismiss_matching(engine, wanted, note, principal=who, on_batch=progress)
        resolved = progress.ended
    typer.echo(json.dumps({"resolved": resolved}) if as_json else f"{resolved:,} dismissed")


@app.command()
def resolve(
    record_id: Annotated[UUID, typer.Argument(help="The id of a conflict.")],
    note: Note,
    keep_stored: Annotated[bool, typer.Option("--keep-stored", help="The stored payment does not change.")] = False,
    accept_incoming: Annotated[
        bool, typer.Option("--accept-incoming", help="The stored payment is replaced; a revision has the old one.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Resolve a conflict. Repeating the same decision changes nothing; a different one is refused."""
    from fcgraph import intake

    if keep_stored == accept_incoming:
        raise typer.BadParameter("set one of --keep-stored and --accept-incoming")
    values = settings.current()
    done = intake.resolve_conflict(
        intake.engine_of(values, "cli"),
        values,
        record_id,
        "KEEP_STORED" if keep_stored else "ACCEPT_INCOMING",
        note,
        uuid4().hex,
        principal=principal(),
    )
    decision = "the stored payment is unchanged" if keep_stored else "the incoming record replaced it"
    shown = {"record_id": str(done.record_id), "transaction_id": str(done.transaction_id)}
    typer.echo(json.dumps(shown) if as_json else f"payment {done.transaction_id}: {decision}")


class _Progress:
    """Counts processed records, and shows the count on a terminal."""

    def __init__(self, said: Callable[[_Progress], str]) -> None:
        self.ended = self.left = 0
        self._said = said

    def __call__(self, ended: int, left: int) -> None:
        self.ended += ended
        self.left += left
        if sys.stderr.isatty():
            typer.echo(self._said(self), err=True)


def _filter(
    source: Channel | None,
    import_id: UUID | None,
    topic: str | None,
    codes: list[str] | None,
    received_from: str | None,
    received_to: str | None,
    outcomes: tuple[str, ...] | None = None,
    *,
    open_only: bool = True,
) -> RecordFilter:
    from fcgraph.record_filter import RecordFilter

    return RecordFilter(
        kind=source.value if source else None,
        outcomes=outcomes,
        codes=tuple(codes) if codes else None,
        import_id=import_id,
        topic=topic,
        received_from=_instant(received_from, "--received-from"),
        received_to=_instant(received_to, "--received-to"),
        open_only=open_only,
    )


def _instant(text: str | None, name: str) -> datetime | None:
    """An instant of the command line; without an offset it is in UTC."""
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError as e:
        raise typer.BadParameter(f"{name}: {text!r} is not an instant such as 2025-05-31T12:00:00Z") from e
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _only_one(record_ids: list[UUID] | None, wanted: RecordFilter) -> None:
    from fcgraph.record_filter import RecordFilter

    if record_ids and wanted != RecordFilter(open_only=True):
        raise typer.BadParameter("select records by ids or by options, not both")


def _place(record: ListedRecord) -> str:
    if record.kind == "KAFKA":
        return f"topic {record.topic} partition {record.partition} offset {record.position}"
    return f"import {record.import_id} line {record.position}"


def _line(record: ListedRecord) -> str:
    codes = ",".join(problem["code"] for problem in record.problems)
    messages = "; ".join(problem["message"] for problem in record.problems)
    ended = "" if record.resolution is None else f"  {record.resolution}"
    return f"{record.record_id}  {record.outcome}{ended}  {_place(record)}  {codes}  {messages}"


def _as_json(record: ListedRecord) -> dict[str, Any]:
    return {
        name: value.isoformat() if isinstance(value, datetime) else str(value) if isinstance(value, UUID) else value
        for name, value in record._asdict().items()
    }
