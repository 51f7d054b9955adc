"""Imports that run while faults happen; at the end every row of every accepted file is stored once."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import sqlalchemy as sa
from sqlalchemy import Engine

from fcgraph import db
from tests.jobs.uploads import accept

ROWS = 400
RESUME_SECONDS_MAX = 60


def new_lines() -> bytes:
    """Rows of payments that no other file contains."""
    lines = (
        f"{uuid4()},00000000-0000-0000-0000-000000000001,00000000-0000-0000-0000-000000000002,"
        f"1.00,USD,2025-05-10T08:15:00Z,completed\n"
        for _ in range(ROWS)
    )
    return "".join(lines).encode()


class Imports:
    """Accepted files, each with different rows; at the end every row is stored once."""

    def __init__(self, engine: Engine, uploads: Path) -> None:
        self.engine = engine
        self.uploads = uploads
        self.accepted: list[UUID] = []

    def accept(self, lines: bytes | None = None) -> UUID:
        """Accept a file with these lines, or with new ones."""
        self.accepted.append(accept(self.engine, self.uploads, lines or new_lines()))
        return self.accepted[-1]

    def row(self, import_id: UUID) -> Any:
        with db.read(self.engine) as connection:
            return connection.execute(sa.text("SELECT * FROM imports WHERE import_id = :id"), {"id": import_id}).one()

    def is_done(self, import_id: UUID) -> bool:
        return bool(self.row(import_id).state == "SUCCEEDED")

    def check(self) -> None:
        """Check that the stored rows match the accepted files."""
        for import_id in self.accepted:
            row = self.row(import_id)
            assert (row.state, row.read_count, row.inserted_count, row.duplicate_count) == ("SUCCEEDED", ROWS, ROWS, 0)
        with db.read(self.engine) as connection:
            stored = connection.scalar(sa.text("SELECT count(*) FROM transactions WHERE source_partition IS NULL"))
            counted = connection.scalar(sa.text("SELECT sum(read_count) FROM intake_batches WHERE kind = 'CSV'"))
        assert stored == counted == ROWS * len(self.accepted)
