"""A disk that is too small: a tmpfs of its own where this machine lets us mount one, else a limit on files' sizes."""

from __future__ import annotations

import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PAGE_BYTES = 4096


class Disk:
    """A folder with little room, until `widen`."""

    def __init__(self, folder: Path, size_bytes: int) -> None:
        self.folder = folder
        folder.mkdir()
        options = f"size={size_bytes},mode=0777"
        self.is_mounted = _mount("-t", "tmpfs", "-o", options, "tmpfs", str(folder))
        self._limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        if not self.is_mounted:  # processes started from now on have the limit as well
            resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, self._limits[1]))

    def widen(self) -> None:
        """There is room now."""
        if self.is_mounted:
            assert _mount("-o", "remount,size=64m", str(self.folder))
        else:
            resource.setrlimit(resource.RLIMIT_FSIZE, self._limits)

    def end(self) -> None:
        if self.is_mounted:
            subprocess.run(["umount", "-l", str(self.folder)], check=True)
        else:
            resource.setrlimit(resource.RLIMIT_FSIZE, self._limits)


@contextmanager
def small_disk(folder: Path, size_bytes: int) -> Iterator[Disk]:
    """A new folder on a disk of this size."""
    disk = Disk(folder, size_bytes)
    try:
        yield disk
    finally:
        disk.end()


def _mount(*arguments: str) -> bool:
    try:
        return subprocess.run(["mount", *arguments], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False
