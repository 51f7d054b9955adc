"""The system user that runs PostgreSQL when we are root, since PostgreSQL refuses root, and what it can access.

That user has none of root's rights. A clone, its .venv and its data may be below folders that only root may enter
(such as root's home), and their permissions are not changed: the server enters its data folder before root's rights
are dropped, and its programs are copied to a place that all users can access if they are not in one already.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from fcgraph.embedded.process import launched
from fcgraph.errors import FcgraphError

USERS = ("postgres", "nobody", "daemon")  # the first of these that exists
HERE = Path("/proc/self/cwd")  # the working folder of the process, whatever is above it
# Where a copy may be: places that all users can access; first those where only root can write.
PLACES = ("/var/cache", "/var/lib", "/var/tmp", tempfile.gettempdir(), "/dev/shm")  # noqa: S108 - `trusted` looks
NEEDED = ("bin", "lib", "share")
ANSWER_SECONDS = 30


class NoUnprivilegedServer(FcgraphError):
    """PostgreSQL cannot be run for root here; the message says why."""

    code = "NO_UNPRIVILEGED_SERVER"


def user_for(folder: Path) -> str | None:
    """The user that runs the server when we are root: the owner of its data, else a system user. Else None."""
    if os.geteuid() != 0:
        return None
    if folder.exists() and folder.stat().st_uid != 0:
        return pwd.getpwuid(folder.stat().st_uid).pw_name
    known = {entry.pw_name for entry in pwd.getpwall()}
    for name in USERS:
        if name in known:
            return name
    raise NoUnprivilegedServer(f"PostgreSQL does not run as root, and none of the users {', '.join(USERS)} exists")


def data_option(folder: Path, user: str | None) -> str:
    """The value of `-D`: for another user a name of the working folder that avoids its parents."""
    return str(HERE) if user is not None and HERE.exists() else str(folder)


def programs_for(binaries: Path, user: str | None) -> Path:
    """The folder with PostgreSQL's programs as `user` can run them: `binaries`, or a copy of them."""
    return binaries if user is None else reachable(binaries, user, PLACES)


@lru_cache
def reachable(binaries: Path, user: str, places: tuple[str, ...]) -> Path:
    """`binaries` when `user` can run them, else a copy in the first suitable one of `places`.

    Raises NoUnprivilegedServer when there is none.
    """
    if why_not(binaries, user) is None:
        return binaries
    reasons = [f"{binaries}: {why_not(binaries, user)}"]
    for place in places:
        folder = Path(place) / "fcgraph"
        try:
            if not trusted(folder):
                reasons.append(f"{folder}: others can write there")
                continue
            copied = copy(binaries, folder)
        except OSError as e:
            reasons.append(f"{folder}: {e.strerror}")
            continue
        reason = why_not(copied, user)
        if reason is None:
            return copied
        reasons.append(f"{folder}: {reason}")
    raise NoUnprivilegedServer(
        f"PostgreSQL does not run as root, and the user {user} cannot run it from any of these places:\n"
        + "\n".join(reasons)
    )


def why_not(binaries: Path, user: str) -> str | None:
    """None when `user` can run the programs, else the reason. Tested by running them."""
    for program in ("initdb", "postgres"):
        argv = launched([str(binaries / program), "--version"], user=user)
        done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd="/", timeout=ANSWER_SECONDS)
        if done.returncode != 0:
            return (done.stderr or done.stdout).strip() or f"{program} ended with {done.returncode}"
    return None


def trusted(folder: Path) -> bool:
    """Make the folder, or check that only root can write to it: all users may be able to make folders there."""
    try:
        folder.mkdir(mode=0o755)
    except FileExistsError:
        found = folder.lstat()
        return stat.S_ISDIR(found.st_mode) and found.st_uid == 0 and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    folder.chmod(0o755)  # regardless of the umask
    return True


def copy(binaries: Path, folder: Path) -> Path:
    """Copy the installation of `binaries` below `folder`, once, and return the copy's folder of programs.

    The copy is named after its content, and made in a temporary folder and then moved, so that it is complete.
    """
    installation = binaries.parent
    wheel = installation.parent
    files = sorted(installed(installation, [wheel.with_name(f"{wheel.name}.libs")]))  # where its programs look for it
    target = folder / f"postgresql-{digest(files, wheel.parent)}"
    programs = target / binaries.relative_to(wheel.parent)
    if target.exists():
        return programs
    making = Path(tempfile.mkdtemp(prefix="making-", dir=folder))
    try:
        for file in files:
            copied = making / file.relative_to(wheel.parent)
            copied.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, copied)
            copied.chmod(0o755 if file.stat().st_mode & stat.S_IXUSR else 0o644)
        for path in (making, *(path for path in making.rglob("*") if path.is_dir())):
            path.chmod(0o755)
        making.rename(target)
    except OSError:
        shutil.rmtree(making, ignore_errors=True)
        if not target.exists():  # or another process was faster
            raise
    return programs


def installed(installation: Path, libraries: Iterable[Path]) -> list[Path]:
    """The files that a server needs."""
    folders = [*(installation / name for name in NEEDED), *libraries]
    return [path for folder in folders for path in folder.rglob("*") if path.is_file()]


def digest(files: list[Path], root: Path) -> str:
    """A short hash of the files' names and contents."""
    sums = hashlib.sha256()
    for file in files:
        sums.update(f"{file.relative_to(root)}\0{file.stat().st_size}\0".encode())
        with file.open("rb") as content:
            sums.update(hashlib.file_digest(content, "sha256").digest())
    return sums.hexdigest()[:16]
