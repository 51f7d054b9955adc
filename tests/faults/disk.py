"""A disk that is too small: a separate tmpfs where this machine allows mounting, otherwise a limit on file sizes."""

from __future__ import annotations

import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PAGE_BYTES = 4096


class Disk:
    """A folder with little space, until `widen`."""

    def __init__(self, folder: Path, size_bytes: int) -> None:
        self.folder = folder
        folder.mkdir()
        options = f"size={size_bytes},mode=0777"
        self.is_mounted = _mount("-t", "tmpfs", "-o", options, "tmpfs", str(folder))
        self._limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        if not self.is_mounted:  # child processes inherit the limit
            resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, self._limits[1]))

    def widen(self) -> None:
        """Make enough space available."""
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
