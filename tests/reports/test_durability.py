"""A report's file is durable before its row exists, is restored if it is missing, and survives a full disk."""

from __future__ import annotations

import os
import resource
from pathlib import Path
from stat import S_ISDIR

import pytest
import sqlalchemy as sa
from sqlalchemy import Engine

from fcgraph import db, reports
from fcgraph.errors import StorageFull
from fcgraph.reports.lines import BLOCK_BYTES
from fcgraph.storage.files import DRAFT_PREFIX, Files
from tests.reports.conftest import Make
from tests.reports.stored import Paid, store
from tests.reports.test_versions import NOW, PAID, rows, visible

NAME = "monthly_report_2025-05_v1.csv"


def test_bytes_then_name_then_folder_then_row(
    engine: Engine, files: Files, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order of the calls to the operating system; each call is passed on to it."""
    store(engine, PAID)
    calls: list[str] = []
    fsync, replace = os.fsync, os.replace

    def spy_on_fsync(handle: int) -> None:
        path = Path(os.readlink(f"/proc/self/fd/{handle}"))
        if S_ISDIR(os.fstat(handle).st_mode):
            calls.append(f"folder {path.name}, {len(rows(engine))} rows")
        else:
            calls.append(f"draft {path.name.startswith(DRAFT_PREFIX)}, {path.stat().st_size} bytes")
        fsync(handle)

    def spy_on_replace(source: Path, target: Path) -> None:
        calls.append(f"rename to {target.name}")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", spy_on_fsync)
    monkeypatch.setattr(os, "replace", spy_on_replace)
    make()
    parent = files.root.parent.name  # the folder is new, and must be durable as well
    assert calls == [
        f"folder {parent}, 0 rows",
        f"draft True, {files.size(NAME)} bytes",
        f"rename to {NAME}",
        "folder reports, 0 rows",
    ]
    assert len(rows(engine)) == 1


@pytest.mark.parametrize("harm", ["lost", "cut short", "other bytes"])
def test_a_file_that_was_harmed_comes_back_with_the_same_bytes(
    engine: Engine, files: Files, make: Make, harm: str
) -> None:
    store(engine, PAID)
    make()
    path = files.path(NAME)
    content = path.read_bytes()
    if harm == "lost":
        path.unlink()
    else:
        path.write_bytes(content[:-1] if harm == "cut short" else content.replace(b"10.00", b"99.00"))
    assert make().unchanged
    assert path.read_bytes() == content
    assert rows(engine) == [("2025-05", 1, True, 1)]
    assert visible(files) == [NAME]


def many(count: int) -> list[Paid]:
    return [Paid(n % 7 + 1, 2, "1.00", "USD", f"2025-05-{n % 31 + 1:02}T10:00:00Z") for n in range(count)]


@pytest.mark.parametrize("room_bytes", [1000, BLOCK_BYTES + 1000])
def test_a_full_disk_is_a_clear_error_and_leaves_nothing(
    engine: Engine, files: Files, make: Make, room_bytes: int
) -> None:
    """The disk is full when the draft is synced at the end, or in the middle of COPY."""
    store(engine, *many(100))
    if room_bytes > BLOCK_BYTES:
        make_users_busy(engine, users=2000)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room_bytes, hard))
    try:
        with pytest.raises(StorageFull):
            make()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert rows(engine) == []
    assert visible(files) == []
    assert make().version == 1
    assert files.size(NAME) > room_bytes


def make_users_busy(engine: Engine, users: int) -> None:
    """Many users, each with a payment to themselves on each day of May: a file of many blocks."""
    watermark = store(engine)
    with db.write(engine) as connection:
        connection.execute(
            sa.text("INSERT INTO users (user_id, name) SELECT md5(n::text)::uuid, 'u' FROM generate_series(1, :n) n"),
            {"n": users},
        )
        connection.execute(
            sa.text(
                "INSERT INTO transactions (transaction_id, sender_id, receiver_id, timestamp, batch_id,"
                " source_position, is_suspicious, amount, currency, status)"
                " SELECT gen_random_uuid(), u, u, at, batch_id, 0, false, 1, 'USD', 'completed' FROM intake_batches,"
                " (SELECT md5(n::text)::uuid AS u FROM generate_series(1, :n) n) users,"
                " generate_series(timestamptz '2025-05-01 10:00Z', '2025-05-31 10:00Z', '1 day') at"
                " WHERE watermark = :watermark"
            ),
            {"n": users, "watermark": watermark},
        )


class SweptElsewhere(Files):
    """A folder from which another process deletes every file right after it was listed."""

    def stored(self) -> list[str]:
        found = super().stored()
        for key in found:
            self.delete(key)
        return found


def test_two_sweeps_at_once_do_not_mind_each_other(engine: Engine, files: Files) -> None:
    files.put([b"left"], NAME)
    assert reports.sweep(engine, SweptElsewhere(files.root), **NOW) == 0
    assert visible(files) == []
