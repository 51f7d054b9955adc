"""Stored files: uploads and reports. Each is stored atomically, under a key recorded in a database row.

It knows nothing of their content. Storage is a folder today; all file access goes through this class.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from fcgraph import failpoints
from fcgraph.errors import StorageFull, Unavailable

# A key is one plain name, so that no request can escape from the folder.
KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
DRAFT_PREFIX = ".draft-"
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
NO_FOLDER = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST)


class Draft:
    """A file being written. `keep(key)` makes it visible under its key; otherwise the draft is removed."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self.file = file
        self._path = path

    def keep(self, key: str) -> None:
        """Make the bytes written so far durable and visible under `key`, in place of what was there."""
        target = self._path.parent / checked(key)
        self.file.flush()
        os.fsync(self.file.fileno())
        failpoints.reach("file-synced")
        self._path.replace(target)
        _sync_folder(target.parent)
        failpoints.reach("file-renamed")


class Files:
    """The files below one folder. Keys are plain names: letters, digits, dot, dash and underscore."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def put(self, stream: Iterable[bytes], key: str) -> None:
        """Store all of `stream` under `key`, or nothing when it raises. Raises StorageFull when there is no room."""
        checked(key)
        with self.draft() as draft:
            for block in stream:
                draft.file.write(block)
            draft.keep(key)

    @contextmanager
    def draft(self) -> Iterator[Draft]:
        """A new file, invisible until `keep`. Raises StorageFull; Unavailable when the folder cannot be written to."""
        try:
            _make_folder(self.root)
            handle, name = tempfile.mkstemp(prefix=DRAFT_PREFIX, dir=self.root)
            path = Path(name)
            try:
                with os.fdopen(handle, "wb", buffering=1024 * 1024) as file:
                    os.fchmod(file.fileno(), 0o644)  # mkstemp's 0600 would hide a report from other users
                    yield Draft(file, path)
            finally:
                path.unlink(missing_ok=True)
        except OSError as e:
            if e.errno in NO_ROOM:
                raise StorageFull(f"no room to store a file in {self.root.name}: {e.strerror}") from e
            if e.errno in NO_FOLDER:
                raise Unavailable(f"{self.root.name} is not a writable folder: {e.strerror}") from e
            raise

    def open(self, key: str) -> BinaryIO:
        """The stored bytes, for reading. Raises FileNotFoundError."""
        return self.path(key).open("rb")

    def path(self, key: str) -> Path:
        """Where the file is on this machine's disk."""
        return self.root / checked(key)

    def size(self, key: str) -> int:
        """Bytes. Raises FileNotFoundError."""
        return self.path(key).stat().st_size

    def whole(self, key: str, size_bytes: int) -> Path:
        """The path of the file, which must have that many bytes. Raises Unavailable when it is missing or truncated."""
        path = self.path(key)
        try:
            found = path.stat().st_size
        except FileNotFoundError:
            raise Unavailable(f"The file {key} is not in its folder") from None
        if found != size_bytes:
            raise Unavailable(f"The file {key} has {found} bytes instead of {size_bytes}")
        return path

    def sha256(self, key: str) -> str | None:
        """The SHA-256 of the bytes as they are stored now; None when there is no such file."""
        try:
            with self.path(key).open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except FileNotFoundError:
            return None

    def age_seconds(self, key: str) -> float | None:
        """How long ago the bytes were written; None when there is no such file."""
        try:
            return time.time() - self.path(key).stat().st_mtime
        except FileNotFoundError:
            return None

    def delete(self, key: str) -> None:
        """Delete the file; a missing one is not an error."""
        self.path(key).unlink(missing_ok=True)

    def stored(self) -> list[str]:
        """The keys of all stored files, sorted."""
        if not self.root.is_dir():
            return []
        return sorted(p.name for p in self.root.iterdir() if KEY.fullmatch(p.name) and p.is_file())

    def sweep(self, older_than_seconds: float) -> int:
        """Delete drafts that a killed process left behind; returns how many. Stored files are never touched."""
        if not self.root.is_dir():
            return 0
        limit = time.time() - older_than_seconds
        swept = 0
        for path in self.root.glob(f"{DRAFT_PREFIX}*"):
            try:
                if path.stat().st_mtime <= limit:
                    path.unlink()
                    swept += 1
            except FileNotFoundError:
                continue  # another sweep, or its own process, removed it first
        return swept


def checked(key: str) -> str:
    """The key itself. Raises ValueError when it is not a plain name."""
    if not KEY.fullmatch(key):
        raise ValueError("a file's key is a plain name of letters, digits, dots, dashes and underscores")
    return key


def _make_folder(folder: Path) -> None:
    """Make the folder and its parents, so that they survive a power cut once a file is in them."""
    missing = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for made in missing:
        _sync_folder(made.parent)


def _sync_folder(folder: Path) -> None:
    """Make a rename in the folder survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
