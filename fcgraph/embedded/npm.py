"""`python -I npm.py FOLDER`: `npm ci` in the folder, reporting how many packages are downloaded.

On a terminal it updates one line; in a log it writes a line from time to time. Runs before any package is installed,
so it imports only the standard library.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

EVERY_SECONDS = 3.0
LAST_LINES_MAX = 30
INTERRUPTED = 130
# "http": a line for each downloaded file
NPM_CI = ["npm", "ci", "--no-progress", "--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=http"]


def main(folder: Path) -> int:
    """npm's exit code; when it is not 0, npm's last lines are printed."""
    total = packages(folder)
    shown = Shown(folder.name, total)
    words: list[str] = []
    with subprocess.Popen(
        NPM_CI, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        errors="backslashreplace",
    ) as npm:  # fmt: skip
        assert npm.stdout is not None
        for line in npm.stdout:
            if not line.startswith("npm http"):
                words.append(line)
            elif ".tgz" in line:
                shown.one_more()
    shown.end(npm.returncode)
    if npm.returncode != 0:
        sys.stderr.writelines(words[-LAST_LINES_MAX:])
    return npm.returncode


def packages(folder: Path) -> int:
    """The number of packages in the lock file, except those for other systems or for tests only."""
    locked = json.loads((folder / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    return sum(1 for name, package in locked.items() if name and not package.get("os") and not package.get("link"))


class Shown:
    """The progress line."""

    def __init__(self, name: str, total: int) -> None:
        self._name = name
        self._total = total
        self._come = 0
        self._began_at = self._shown_at = time.monotonic()
        self._terminal = sys.stderr.isatty()
        self._show(f"downloading the {total} packages of {name} with npm")

    def one_more(self) -> None:
        self._come += 1
        if self._terminal or time.monotonic() - self._shown_at >= EVERY_SECONDS:
            self._shown_at = time.monotonic()
            self._show(f"{self._name}: {self._come} of {self._total} packages downloaded")

    def end(self, code: int) -> None:
        took = time.monotonic() - self._began_at
        how_far = f"{self._come} of {self._total} packages installed" if code == 0 else "npm failed"
        self._show(f"{self._name}: {how_far} after {took:.0f} s")
        if self._terminal:
            sys.stderr.write("\n")

    def _show(self, line: str) -> None:
        sys.stderr.write(f"\r\x1b[K{line}" if self._terminal else f"{line}\n")
        sys.stderr.flush()


if __name__ == "__main__":
    try:
        sys.exit(main(Path(sys.argv[1])))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
