"""Files of users for the tests, and their import."""

from __future__ import annotations

import io
import uuid
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Engine

from fcgraph import db
from fcgraph.reference.users import Imported, import_users
from fcgraph.settings import Settings

ALICE, BOB = str(uuid.UUID(int=1)), str(uuid.UUID(int=2))  # from the seed data


def new(n: int) -> str:
    """The id of a user who does not exist yet."""
    return str(uuid.UUID(int=(0xAB << 112) + n))


def take(engine: Engine, text: str | bytes, **changes: Any) -> Imported:
    """Import a file with the settings of the test."""
    settings = Settings.model_validate(changes)
    content = text.encode() if isinstance(text, str) else text
    return import_users(engine, io.BytesIO(content), settings, changed_by="cli:tester", correlation_id="c-1")


def counts(done: Imported) -> tuple[int, int, int, int, int]:
    """Read, inserted, renamed, unchanged, rejected."""
    return done.read, done.inserted, done.renamed, done.unchanged, done.rejected


def rows(engine: Engine, sql: str, **values: Any) -> list[tuple[Any, ...]]:
    """The rows of a SELECT."""
    with db.read(engine) as connection:
        return [tuple(row) for row in connection.execute(sa.text(sql), values)]


def names(engine: Engine) -> dict[str, str]:
    """Every user's name by id."""
    return {str(user_id): name for user_id, name in rows(engine, "SELECT user_id, name FROM users")}
