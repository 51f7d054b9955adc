"""Stored files appear complete or not at all, and no key leads out of the folder."""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fcgraph.errors import StorageFull
from fcgraph.storage.files import DRAFT_PREFIX, Files


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path / "store")


def test_what_was_put_is_read_back(files: Files) -> None:
    files.put(iter([b"first ", b"", b"second"]), "a.csv")
    with files.open("a.csv") as stored:
        assert stored.read() == b"first second"
    assert files.size("a.csv") == 12
    assert files.path("a.csv").stat().st_mode & 0o777 == 0o644
    assert files.stored() == ["a.csv"]


def test_put_replaces_and_delete_can_be_repeated(files: Files) -> None:
    files.put([b"old"], "a.csv")
    files.put([b"new"], "a.csv")
    assert files.path("a.csv").read_bytes() == b"new"
    files.delete("a.csv")
    files.delete("a.csv")
    assert files.stored() == []
    with pytest.raises(FileNotFoundError):
        files.open("a.csv")


def test_a_stream_that_breaks_leaves_the_old_file_and_nothing_else(files: Files) -> None:
    files.put([b"old"], "a.csv")

    def broken() -> Iterator[bytes]:
        yield b"half of the n"
        raise ConnectionResetError("the sender went away")

    with pytest.raises(ConnectionResetError):
        files.put(broken(), "a.csv")
    assert files.path("a.csv").read_bytes() == b"old"
    assert [p.name for p in files.root.iterdir()] == ["a.csv"]


@pytest.mark.parametrize(
    "key", ["", ".", "..", "../a", "a/b", "/etc/passwd", ".draft-x", "a\0b", "a\n", "ä", "x" * 201]
)
def test_a_key_that_is_not_a_plain_name_is_refused(files: Files, key: str) -> None:
    for use in (files.path, files.open, files.size, files.delete):
        with pytest.raises(ValueError, match="plain name"):
            use(key)
    with pytest.raises(ValueError, match="plain name"):
        files.put([b"x"], key)
    assert not files.root.exists()


def test_a_full_disk_is_a_clear_error_and_leaves_nothing(files: Files) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
    try:
        with pytest.raises(StorageFull) as error:
            files.put((b"x" * 100_000 for _ in range(50)), "big.csv")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert error.value.code == "STORAGE_FULL"
    assert list(files.root.iterdir()) == []
    files.put((b"x" * 100_000 for _ in range(50)), "big.csv")
    assert files.size("big.csv") == 5_000_000


@pytest.mark.parametrize(("failpoint", "visible"), [("file-synced", []), ("file-renamed", ["a.csv"])])
def test_a_kill_leaves_the_old_state_or_the_new_and_a_sweep_the_rest(
    files: Files, failpoint: str, visible: list[str]
) -> None:
    program = (
        "import sys, pathlib; from fcgraph.storage.files import Files\n"
        "Files(pathlib.Path(sys.argv[1])).put([b'x'], 'a.csv')"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program, str(files.root)], env={"FCGRAPH_FAILPOINT": f"{failpoint}=kill"}, check=False
    )
    assert ended.returncode == -9
    assert files.stored() == visible
    assert files.sweep(older_than_seconds=3600) == 0
    drafts = list(files.root.glob(f"{DRAFT_PREFIX}*"))
    assert len(drafts) == 1 - len(visible)
    assert files.sweep(older_than_seconds=0) == len(drafts)
    assert [p.name for p in files.root.iterdir()] == visible


def test_a_sweep_of_a_folder_that_is_not_there_finds_nothing(files: Files) -> None:
    assert files.sweep(older_than_seconds=0) == 0
    assert files.stored() == []
