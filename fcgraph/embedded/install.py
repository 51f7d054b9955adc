"""Installs requirements into the virtual environment whose Python runs this: `python -I install.py requirements.txt …`.

Uses uv, which takes a fifth of pip's time, if uv is available and supports pip's configuration; otherwise pip. Both
report their progress, on a terminal and in a log. Runs before any package is installed, so it imports only the standard
library.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

UV = "uv==0.13.9"
ROOT = Path(__file__).resolve().parent.parent.parent
BIN = Path(sys.executable).parent
PIP = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check"]
INTERRUPTED = 130
# pip options that uv can ignore.
OF_NO_CONCERN = {
    "break-system-packages", "cache-dir", "config-file", "default-timeout", "disable-pip-version-check", "log",
    "no-cache-dir", "no-color", "no-input", "no-python-version-warning", "progress-bar", "quiet",
    "require-virtualenv", "retries", "root-user-action", "timeout", "verbose",
}  # fmt: skip
WRAPPER = """\
#!/bin/sh
# `fcgraph …` from anywhere; made by {maker}.
PYTHONPATH={root}${{PYTHONPATH:+:$PYTHONPATH}} exec {python} -m fcgraph "$@"
"""


def main(files: list[str]) -> int:
    requirements = [option for file in files for option in ("-r", file)]
    code = install(requirements)
    if code == 0:
        write_wrapper()
    return code


def install(requirements: list[str]) -> int:
    """Install them and return the exit code."""
    configured = pip_configuration()
    unknown = sorted(set(configured) - OF_NO_CONCERN - {"index-url", "find-links", "cert"})
    if unknown:
        say(f"pip is configured with {', '.join(unknown)}, which uv does not support: installing with pip")
    elif subprocess.run([*PIP, "--only-binary=:all:", UV], check=False).returncode != 0:
        say("uv is not available: installing with pip, which takes longer")
    else:
        arguments, environment = for_uv(configured)
        uv = [str(BIN / "uv"), "pip", "install", "--python", sys.executable, *arguments, *requirements]
        try:
            if subprocess.run(uv, env={**os.environ, **environment}, check=False).returncode == 0:
                return 0
        except OSError as e:  # built for another machine, or on a noexec disk
            say(f"{uv[0]}: {e.strerror}")
        say("uv could not install the packages: trying pip, which takes longer")
    return subprocess.run([*PIP, *requirements], check=False).returncode


def pip_configuration() -> dict[str, str]:
    """pip's install options from its files and variables; variables take precedence, as in pip."""
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False
    )
    found: dict[str, dict[str, str]] = {"global": {}, "install": {}, ":env:": {}}
    for line in listed.stdout.splitlines():
        name, _, value = line.partition("=")
        command, _, option = name.rpartition(".")
        if command in found:
            found[command][option] = ast.literal_eval(value)
    return found["global"] | found["install"] | found[":env:"]


def for_uv(configured: Mapping[str, str]) -> tuple[list[str], dict[str, str]]:
    """The same for uv, as options and variables. Uses the system's certificates, as pip does."""
    options = ["--system-certs"]
    if index := configured.get("index-url"):
        options += ["--default-index", index]
    for link in configured.get("find-links", "").split():
        options += ["--find-links", link]
    if configured.get("no-cache-dir", "").lower() in ("1", "true", "yes", "on"):
        options.append("--no-cache")
    wanted = {
        "SSL_CERT_FILE": configured.get("cert", ""),
        "UV_HTTP_TIMEOUT": configured.get("timeout") or configured.get("default-timeout", ""),
        "UV_LINK_MODE": "" if on_one_disk() else "copy",  # otherwise it would try to link, fail and warn
    }
    return options, {name: value for name, value in wanted.items() if value and name not in os.environ}


def on_one_disk() -> bool:
    """Whether uv's cache and this environment are on the same disk."""
    cache = Path(os.environ.get("UV_CACHE_DIR") or os.environ.get("XDG_CACHE_HOME") or Path.home())
    there = next(folder for folder in (cache.absolute(), *cache.absolute().parents) if folder.exists())
    return there.stat().st_dev == BIN.stat().st_dev


def write_wrapper() -> None:
    """Write the command `fcgraph` next to this Python."""
    file = BIN / "fcgraph"
    file.write_text(WRAPPER.format(maker=Path(__file__).name, root=quoted(ROOT), python=quoted(sys.executable)))
    file.chmod(0o755)


def quoted(path: Path | str) -> str:
    """Quoted for a shell."""
    return "'" + str(path).replace("'", "'\\''") + "'"


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201 - a script's output


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
