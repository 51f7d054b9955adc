"""One line instead of a traceback when this Python is too old or lacks a package: `make up` has not run, or ran
for another Python. Imported before anything else, by any Python: standard library only.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import TracebackType

OLDEST = (3, 11)
WRONG = 2  # the exit code of a wrong command line or setting
OURS = ("fcgraph", "workers", "seeds", "tests", "migrations")
PYTHON = Path(__file__).resolve().parent.parent / ".venv" / "bin" / "python"
INSTALLED = PYTHON.parent.parent / ".installed"


def watch() -> None:
    """Print it in one line when the process ends by such an error. Caught errors are not affected."""
    before = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        line = words(error)
        if line is None:
            before(kind, error, trace)
            return
        sys.stderr.write(line + "\n")
        raise SystemExit(WRONG)  # a hook can change only the exit code

    sys.excepthook = hook


def words(error: BaseException) -> str | None:
    """The line, or None for other errors, which keep their traceback."""
    if sys.version_info < OLDEST and isinstance(error, (ImportError, SyntaxError)):
        return f"fcgraph needs Python {OLDEST[0]}.{OLDEST[1]} or newer, and this is {sys.version.split()[0]}: {cure()}"
    if isinstance(error, ModuleNotFoundError) and error.name and error.name.split(".")[0] not in OURS:
        return f"fcgraph's packages are not all installed for {sys.executable} ({error}): {cure()}"
    return None


def cure() -> str:
    """What to do about it."""
    if not INSTALLED.exists():
        return "run make up first"
    if sys.executable == str(PYTHON):
        return "run make up, which installs what is missing"
    return f"run {PYTHON}, for which make up has installed them"
