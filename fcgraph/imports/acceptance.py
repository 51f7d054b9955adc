"""Acceptance of a file: streamed to storage, hashed, its header read, and recorded as a QUEUED import."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import Connection, Engine

from fcgraph import db, failpoints
from fcgraph.errors import Refused
from fcgraph.intake import csv_fields, csv_rows
from fcgraph.intake.csv_rows import Header
from fcgraph.storage.files import Draft, Files

MODES = ("VALID_ROWS", "ALL_OR_NOTHING")
FILE_NAME_MAX_CHARS = 255
SOURCE_PATH = ("input", "source")


class Expected(NamedTuple):
    """Control totals from the sender: the number of rows, and the sum per currency."""

    row_count: int | None
    totals: Mapping[str, Decimal]


class Accepted(NamedTuple):
    """The import of a file; `already_imported` if the same bytes were accepted before and nothing new was recorded."""

    import_id: UUID
    already_imported: bool


class _Taken(NamedTuple):
    sha256: str
    size: int
    head: bytes


def accept(
    engine: Engine,
    files: Files,
    stream: Iterable[bytes],
    *,
    file_name: str,
    dry_run: bool,
    mode: str,
    expected: Expected | None,
    reimport: bool,
    correlation_id: str,
    upload_max_bytes: int,
) -> Accepted:
    """Accept a file; when this returns it is durable and will be run, even if processes fail.

    Raises Refused: FILE_TOO_LARGE while streaming, NOT_CSV, MISSING_HEADER, INVALID_INPUT (no rows; bad name or mode).
    """
    if mode not in MODES:
        raise Refused(f"mode must be {' or '.join(MODES)}", path=("input", "mode"))
    text = file_name.encode("utf-8", "replace").decode("utf-8")  # neither lone surrogates nor NUL can be stored
    name = text.replace("\0", "").strip()[:FILE_NAME_MAX_CHARS] or "payments.csv"
    with files.draft() as draft:
        taken = _take(draft, stream, upload_max_bytes)
        header = _header(taken)
        with db.write(engine) as connection:
            # Two concurrent requests with the same bytes: the second waits here and then finds the first import.
            connection.execute(
                sa.text("SELECT pg_advisory_xact_lock(hashtextextended(:sha256, 0))"), {"sha256": taken.sha256}
            )
            earlier = None if reimport or dry_run else _earlier(connection, taken.sha256)
            if earlier is not None:
                return Accepted(earlier, already_imported=True)
            import_id = connection.scalar(sa.text("SELECT uuidv7()"))
            assert isinstance(import_id, UUID)
            key = f"{import_id}.csv"
            draft.keep(key)
            failpoints.reach("import-stored")
            _record(connection, import_id, key, name, taken, header, dry_run, mode, expected, correlation_id)
    failpoints.reach("import-recorded")
    return Accepted(import_id, already_imported=False)


def _take(draft: Draft, stream: Iterable[bytes], upload_max_bytes: int) -> _Taken:
    sha256, size, head = hashlib.sha256(), 0, b""
    for block in stream:
        size += len(block)
        if size > upload_max_bytes:
            message = f"The file is larger than {upload_max_bytes} bytes (UPLOAD_MAX_BYTES)."
            raise Refused(message, code="FILE_TOO_LARGE", path=SOURCE_PATH)
        sha256.update(block)
        if len(head) < csv_rows.HEAD_BYTES:
            head += block[: csv_rows.HEAD_BYTES - len(head)]
        draft.file.write(block)
    return _Taken(sha256.hexdigest(), size, head)


def _header(taken: _Taken) -> Header:
    try:
        header = csv_rows.read_header(taken.head)
    except Refused as e:
        raise Refused(e.message, code=e.code, path=SOURCE_PATH) from e
    if taken.size <= csv_rows.HEAD_BYTES and not _has_rows(taken.head[header.end_byte :], header):
        raise Refused("The file has a header and no rows.", path=SOURCE_PATH)
    return header


def _has_rows(below: bytes, header: Header) -> bool:
    lines = (csv_rows.take_apart(n, line, len(line)) for n, line in enumerate(below.splitlines()))
    return any(csv_fields.as_row(line, header) is not None for line in lines)


def _earlier(connection: Connection, sha256: str) -> UUID | None:
    """The first import of the same bytes that is queued, running or finished; failed and cancelled ones excluded."""
    found: UUID | None = connection.scalar(
        sa.text(
            "SELECT import_id FROM imports WHERE sha256 = :sha256 AND NOT dry_run"
            " AND state IN ('QUEUED', 'RUNNING', 'SUCCEEDED', 'SUCCEEDED_WITH_REJECTS') ORDER BY created_at LIMIT 1"
        ),
        {"sha256": sha256},
    )
    return found


def _record(
    connection: Connection,
    import_id: UUID,
    key: str,
    name: str,
    taken: _Taken,
    header: Header,
    dry_run: bool,
    mode: str,
    expected: Expected | None,
    correlation_id: str,
) -> None:
    totals = {code: str(amount) for code, amount in expected.totals.items()} if expected and expected.totals else None
    connection.execute(
        sa.text(
            "INSERT INTO imports (import_id, file_key, file_name, sha256, size_bytes, mode, dry_run, header,"
            " ignored_columns, expected_row_count, expected_totals, correlation_id) VALUES (:import_id, :key, :name,"
            " :sha256, :size, :mode, :dry_run, :header, :ignored, :row_count, CAST(:totals AS jsonb), :correlation_id)"
        ),
        {
            "import_id": import_id,
            "key": key,
            "name": name,
            "sha256": taken.sha256,
            "size": taken.size,
            "mode": mode,
            "dry_run": dry_run,
            "header": header.raw,
            "ignored": list(header.ignored),
            "row_count": expected.row_count if expected else None,
            "totals": json.dumps(totals) if totals else None,
            "correlation_id": correlation_id,
        },
    )
