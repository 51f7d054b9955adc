"""PostgreSQL for root: it runs from and in folders that only root may enter, and has none of root's rights.

For other users the same tests start it from and in the same folders, which they then own.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from fcgraph.embedded import ports, postgres, unprivileged
from fcgraph.embedded.process import Process
from tests import services
from tests.embedded.test_postgres import ask

WHEEL = postgres.BINARIES.parent.parent
PR_CAPBSET_DROP = 24
CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH = 1, 2
SERVE = """
import sys
from pathlib import Path
from tests.embedded.test_unprivileged import serving
folder, binaries = map(Path, sys.argv[1:])
with serving(folder, binaries) as port:
    print(port)
with serving(folder, binaries):  # once more, on the data that is there
    pass
"""


@pytest.fixture
def closed(tmp_path: Path) -> Path:
    """A folder that only its owner may enter, as root's home is."""
    folder = tmp_path / "home"
    folder.mkdir(mode=0o700)
    return folder


@pytest.fixture
def installed(closed: Path) -> Path:
    """PostgreSQL's programs below the closed folder, as in the .venv of a clone there, installed under umask 077."""
    programs = closed / "site-packages" / WHEEL.name / "pginstall18"
    libraries = WHEEL.with_name(f"{WHEEL.name}.libs")
    shutil.copytree(postgres.BINARIES.parent, programs, ignore=shutil.ignore_patterns("include"))
    shutil.copytree(libraries, closed / "site-packages" / libraries.name)
    for path in (closed / "site-packages").rglob("*"):
        path.chmod(path.stat().st_mode & 0o700)
    return programs / "bin"


@contextmanager
def serving(folder: Path, binaries: Path) -> Iterator[int]:
    """A server with its data in the folder; the value is its port."""
    port = ports.free()
    server = Process(postgres.part(folder, port, binaries=binaries), lambda *_: None)
    try:
        server.start()
        server.wait_until_ready(60)
        yield port
    finally:
        server.stop()


def modes(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mode for path in (folder, *folder.rglob("*"))}


def test_it_runs_from_and_in_folders_that_only_root_may_enter(closed: Path, installed: Path) -> None:
    data = closed / "clone" / ".fcgraph" / "postgres"
    before = modes(closed)
    for _ in range(2):  # the second time on the data that is there
        with serving(data, installed) as port:
            ask(port, "CREATE TABLE IF NOT EXISTS rows (id int)")
            ask(port, "INSERT INTO rows VALUES (1)")
            found = ask(port, "SELECT count(*) FROM rows")
    assert found == "2"
    after = modes(closed)
    assert {path: after[path] for path in before} == before  # no folder's permissions were changed
    assert (data / "PG_VERSION").read_text() == "18\n"


def test_a_root_without_the_right_to_override_permissions_can_start_it(closed: Path, installed: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SERVE, str(closed / "postgres"), str(installed)],
        cwd=services.ROOT,
        env=services.clean_environment(),
        preexec_fn=give_up_overriding if os.geteuid() == 0 else None,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def give_up_overriding() -> None:
    """As in a container without these capabilities."""
    for capability in (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH):
        assert ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0


def test_whoever_connects_can_read_no_file_that_is_not_the_servers(closed: Path, tmp_path: Path) -> None:
    (closed / "secret").write_text("of root alone")
    port = ports.free()
    server = Process(postgres.part(tmp_path / "postgres", port), lambda *_: None)
    try:
        server.start()
        server.wait_until_ready(60)
        runs_as = psutil.Process(server.pid)
        assert runs_as.uids().real == (runs_as.uids().effective)
        assert runs_as.uids().real != 0
        if os.geteuid() == 0:
            with pytest.raises(Exception, match="Permission denied"):
                ask(port, f"SELECT pg_read_file('{closed / 'secret'}')")
    finally:
        server.stop()


def test_a_server_left_behind_is_known_by_its_command_line(closed: Path, installed: Path) -> None:
    folder = closed / "postgres"
    with serving(folder, installed) as port:
        ask(port, "CREATE TABLE rows (id int)")
        with serving(folder, installed) as again:  # it ends the first one: two on the same data would corrupt it
            assert ask(again, "SELECT count(*) FROM rows") == "0"
            assert not postgres.answers(port)


@pytest.mark.skipif(os.geteuid() != 0, reason="about what only root does: others run PostgreSQL where it is")
class TestTheCopy:
    """Where the programs are copied to when the user who runs them for root cannot reach them."""

    def reach(self, installed: Path, *places: Path) -> Path:
        user = unprivileged.user_for(installed / "nothing")
        assert user is not None
        return unprivileged.reachable(installed, user, tuple(map(str, places)))

    @pytest.fixture
    def open_place(self) -> Iterator[Callable[[str], Path]]:
        """Makes folders that all users can access, unlike those of pytest."""
        made: list[Path] = []

        def make(name: str) -> Path:
            folder = Path(f"/tmp/fcgraph-test-{os.getpid()}-{name}")  # noqa: S108 - the place it is about
            folder.mkdir(mode=0o755)
            made.append(folder)
            return folder

        yield make
        for folder in made:
            shutil.rmtree(folder)

    def test_is_made_once_and_found_again(self, installed: Path, open_place: Callable[[str], Path]) -> None:
        place = open_place("once")
        first = self.reach(installed, place)
        unprivileged.reachable.cache_clear()
        assert self.reach(installed, place) == first
        assert first.is_relative_to(place / "fcgraph")
        assert [path.name[:11] for path in (place / "fcgraph").iterdir()] == ["postgresql-"]

    def test_is_made_in_the_first_place_that_will_do(
        self, installed: Path, closed: Path, open_place: Callable[[str], Path]
    ) -> None:
        planted = open_place("planted")
        (planted / "fcgraph").mkdir()
        shutil.chown(planted / "fcgraph", "nobody")  # another user made it first, and could change its content
        linked = open_place("linked")
        (linked / "fcgraph").symlink_to(planted / "fcgraph")
        good = open_place("good")
        places = (closed / "absent", closed, planted, linked, good)
        assert self.reach(installed, *places).is_relative_to(good)
        assert list((planted / "fcgraph").iterdir()) == []

    def test_that_can_be_nowhere_is_an_error_that_names_the_places(self, installed: Path, closed: Path) -> None:
        with pytest.raises(
            unprivileged.NoUnprivilegedServer, match=f"(?s)cannot run it from any of these places:.*{closed / 'absent'}"
        ):
            self.reach(installed, closed / "absent", closed)

    def test_is_not_made_of_programs_that_the_user_reaches(
        self, closed: Path, open_place: Callable[[str], Path]
    ) -> None:
        place = open_place("unneeded")
        reached = shutil.copytree(WHEEL.parent / WHEEL.name / "pginstall18", place / "a" / WHEEL.name / "pginstall18")
        shutil.copytree(WHEEL.with_name(f"{WHEEL.name}.libs"), place / "a" / f"{WHEEL.name}.libs")
        assert self.reach(reached / "bin", closed) == reached / "bin"
