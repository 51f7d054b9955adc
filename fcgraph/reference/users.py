"""Import of users: new ones are inserted, known ones renamed, and every rename is recorded.

All changes of a file are one transaction with one watermark, so renames and batches of payments share one commit
order. A file that changes nothing takes no watermark.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import psycopg2
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from fcgraph import db
from fcgraph.errors import Refused, Unavailable
from fcgraph.intake.watermark import take_watermark
from fcgraph.reference import user_rows
from fcgraph.reference.user_rows import UserRow
from fcgraph.rules.records import Problem
from fcgraph.settings import Settings

SOURCE_PATH = ("source",)
LOCK_NOT_AVAILABLE = "55P03"
_MAKE_INCOMING = "CREATE TEMP TABLE incoming_users (line bigint, user_id uuid, name text) ON COMMIT DROP"
# Rows with the same id are processed in order of arrival: each is compared with the name set by the row before it.
_MEET = """
CREATE TEMP TABLE met_users ON COMMIT DROP AS
SELECT i.line, i.user_id, i.name, COALESCE(lag(i.name) OVER of_user, u.name) AS name_before,
       u.user_id IS NOT NULL AS is_known, lead(i.line) OVER of_user IS NULL AS is_last
  FROM incoming_users i LEFT JOIN users u ON u.user_id = i.user_id
WINDOW of_user AS (PARTITION BY i.user_id ORDER BY i.line)
"""
_COUNT = """
SELECT count(*) FILTER (WHERE name_before IS NULL), count(*) FILTER (WHERE name_before <> name),
       count(*) FILTER (WHERE name_before = name)
  FROM met_users
"""
_OPEN_BATCH = """
INSERT INTO user_batches
       (read_count, inserted_count, renamed_count, unchanged_count, rejected_count, changed_by, correlation_id)
VALUES (%s, %s, %s, %s, %s, %s, %s) RETURNING user_batch_id
"""
_INSERT = "INSERT INTO users (user_id, name) SELECT user_id, name FROM met_users WHERE NOT is_known AND is_last"
_RECORD = """
INSERT INTO user_revisions (user_id, revision, name_before, name, user_batch_id)
SELECT m.user_id,
       COALESCE((SELECT max(r.revision) FROM user_revisions r WHERE r.user_id = m.user_id), 1)
         + row_number() OVER (PARTITION BY m.user_id ORDER BY m.line),
       m.name_before, m.name, %s
  FROM met_users m WHERE m.name_before <> m.name
"""
_RENAME = """
UPDATE users u SET name = m.name FROM met_users m
 WHERE m.user_id = u.user_id AND m.is_known AND m.is_last AND u.name <> m.name
"""


@dataclass(slots=True)
class Imported:
    """The result of an import; `problems` holds at most the first USERS_PROBLEMS_MAX."""

    read: int = 0
    inserted: int = 0
    renamed: int = 0
    unchanged: int = 0
    rejected: int = 0
    problems: list[Problem] = field(default_factory=list)


def import_users(
    engine: Engine, file: BinaryIO, settings: Settings, *, changed_by: str, correlation_id: str
) -> Imported:
    """Import a CSV of users. Valid rows are applied, others are rejected. Idempotent.

    `file` must be seekable. Raises Refused (FILE_TOO_LARGE, NOT_CSV, MISSING_HEADER, INVALID_INPUT for a file without
    rows), and Unavailable if another import of users takes too long.
    """
    try:
        return _import(engine, file, settings, changed_by, correlation_id)
    except Refused as e:
        raise Refused(e.message, code=e.code, path=SOURCE_PATH) from e
    except (DBAPIError, psycopg2.Error) as e:
        cause = e.orig if isinstance(e, DBAPIError) else e
        if getattr(cause, "pgcode", None) == LOCK_NOT_AVAILABLE:
            raise Unavailable("Another import of users is running; try again when it has finished") from e
        raise


def _import(engine: Engine, file: BinaryIO, settings: Settings, changed_by: str, correlation_id: str) -> Imported:
    user_rows.refuse_too_large(file, settings.upload_max_bytes)
    limits = user_rows.Limits(settings.user_name_max_chars, settings.csv_line_max_bytes, settings.csv_chunk_bytes)
    done = Imported()
    with db.write(engine) as connection:
        cursor: Any = connection.connection.cursor()
        # A million users take longer than the intake's statement timeout. Wait longer for another import of users too.
        cursor.execute("SET LOCAL statement_timeout = 0")
        cursor.execute(f"SET LOCAL lock_timeout = {int(settings.write_statement_timeout_seconds * 1000)}")
        cursor.execute(_MAKE_INCOMING)
        for rows in user_rows.read(file, limits):
            _copy(cursor, rows.accepted)
            done.read += len(rows.accepted) + rows.rejected
            done.rejected += rows.rejected
            done.problems += rows.problems[: settings.users_problems_max - len(done.problems)]
        if not done.read:
            raise Refused("The file has a header and no rows.")
        _apply(cursor, done, changed_by, correlation_id)
    return done


def _copy(cursor: Any, rows: Sequence[UserRow]) -> None:
    # COPY's text format: names have no tabs or line ends; backslashes are doubled.
    lines = [f"{line}\t{user_id}\t{name}\n".replace("\\", "\\\\") for line, user_id, name in rows]
    cursor.copy_expert("COPY incoming_users FROM STDIN (ENCODING 'UTF8')", io.BytesIO("".join(lines).encode()))


def _apply(cursor: Any, done: Imported, changed_by: str, correlation_id: str) -> None:
    """Compare the rows with the stored users, and write the differences. Reads and the intake of payments continue."""
    cursor.execute("ANALYZE incoming_users")
    cursor.execute("LOCK TABLE users IN SHARE ROW EXCLUSIVE MODE")  # blocks other changes of users until COMMIT
    cursor.execute(_MEET)
    cursor.execute(_COUNT)
    done.inserted, done.renamed, done.unchanged = cursor.fetchone()
    if not done.inserted and not done.renamed:
        return
    counts = (done.read, done.inserted, done.renamed, done.unchanged, done.rejected)
    cursor.execute(_OPEN_BATCH, (*counts, changed_by, correlation_id))
    (batch_id,) = cursor.fetchone()
    cursor.execute(_INSERT)
    cursor.execute(_RECORD, (batch_id,))
    cursor.execute(_RENAME)
    watermark = take_watermark(cursor)
    cursor.execute("UPDATE user_batches SET watermark = %s WHERE user_batch_id = %s", (watermark, batch_id))
