"""The watermark: the number of a commit in commit order."""

from __future__ import annotations

from typing import Any


def take_watermark(cursor: Any) -> int:
    """The next watermark. It stays locked until COMMIT, so take it last in a transaction."""
    cursor.execute("UPDATE intake_watermark SET last = last + 1 RETURNING last")
    return int(cursor.fetchone()[0])
