"""The number that says where a commit stands in the order of commits."""

from __future__ import annotations

from typing import Any


def take_watermark(cursor: Any) -> int:
    """The next watermark. Its lock is held until COMMIT, so this comes last in a transaction."""
    cursor.execute("UPDATE intake_watermark SET last = last + 1 RETURNING last")
    return int(cursor.fetchone()[0])
