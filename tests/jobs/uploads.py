"""A CSV file accepted as by the API, for tests that then run it."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

from sqlalchemy import Engine

from fcgraph import imports
from fcgraph.storage.files import Files

HEADER = b"transaction_id,sender_id,receiver_id,amount,currency,timestamp,status\n"


def accept(engine: Engine, uploads: Path, lines: bytes) -> UUID:
    """Accept a file of these lines below the header; the value is its import."""
    return imports.accept(
        engine,
        Files(uploads),
        [HEADER, lines],
        file_name="payments.csv",
        dry_run=False,
        mode="VALID_ROWS",
        expected=None,
        reimport=False,
        correlation_id="test",
        upload_max_bytes=10**7,
    ).import_id
