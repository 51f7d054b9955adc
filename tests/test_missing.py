"""A Python without our packages, or too old, leads to one line with the remedy, and exit code 2."""

from __future__ import annotations

import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from fcgraph import missing
from tests import services

WRONG = 2
COMMANDS = [
    ("-m", "fcgraph"),
    ("-m", "fcgraph", "status"),
    ("-m", "fcgraph", "up"),
    ("-m", "workers.producer"),
    ("-m", "workers.consumer"),
    ("-m", "workers.worker"),
    ("-m", "workers.scheduler"),
]


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python without any package."""
    folder = tmp_path_factory.mktemp("bare") / "venv"
    venv.create(folder, with_pip=False)
    return folder / "bin" / "python"


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A fresh clone of the code: nothing is installed."""
    for name in ("fcgraph", "workers"):
        ignored = shutil.ignore_patterns("node_modules", "dist", "__pycache__")
        shutil.copytree(services.ROOT / name, tmp_path / name, ignore=ignored)
    return tmp_path


def run(python: Path | str, clone: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(python), *arguments], cwd=clone, env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_python_without_the_packages_is_reported_to_run_make_up(
    bare: Path, clone: Path, command: tuple[str, ...]
) -> None:
    done = run(bare, clone, *command)
    assert (done.returncode, done.stdout) == (WRONG, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"fcgraph's packages are not all installed for {bare} (No module named '")
    assert line.endswith("): run make up first")


def test_another_python_than_that_of_make_up_is_reported_which_one(bare: Path, clone: Path) -> None:
    (clone / ".venv").mkdir()
    (clone / ".venv" / ".installed").touch()
    done = run(bare, clone, "-m", "fcgraph", "status")
    assert done.returncode == WRONG
    assert done.stderr.endswith(f"): run {clone}/.venv/bin/python, for which make up has installed them\n")


def test_the_python_of_make_up_that_lacks_something_is_reported_to_run_it_again(clone: Path) -> None:
    venv.create(clone / ".venv", with_pip=False)
    (clone / ".venv" / ".installed").touch()  # then a package was removed, or a pin changed
    done = run(clone / ".venv" / "bin" / "python", clone, "-m", "fcgraph", "status")
    assert done.returncode == WRONG
    assert done.stderr.endswith("): run make up, which installs what is missing\n")


def test_an_old_python_is_reported_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 9, 18))
    for error in (ImportError("cannot import name 'UTC'"), SyntaxError("match"), ModuleNotFoundError(name="typer")):
        assert (missing.words(error) or "").startswith("fcgraph needs Python 3.11 or newer, and this is ")


def test_our_own_mistakes_keep_their_traceback(clone: Path) -> None:
    assert missing.words(ModuleNotFoundError("No module named 'fcgraph.nothing'", name="fcgraph.nothing")) is None
    assert missing.words(ZeroDivisionError()) is None
    done = run(sys.executable, clone, "-c", "import fcgraph; 1 / 0")
    assert (done.returncode, "Traceback" in done.stderr) == (1, True)
    done = run(sys.executable, clone, "-c", "import fcgraph; import fcgraph.nothing")
    assert (done.returncode, "Traceback" in done.stderr) == (1, True)
