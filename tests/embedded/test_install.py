"""What `make up` installs with: uv if available and able to follow pip's configuration, else pip; it reports which.

The index is a folder on this machine with wheels made here.
"""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
import venv
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from fcgraph.embedded import install
from tests import services

SCRIPT = services.ROOT / "fcgraph" / "embedded" / "install.py"
NAME = "fcgraph-sample"


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Discard the log."""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The folder as a package index."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/simple/"
        server.shutdown()


def add_wheel(index: Path, name: str, version: str, files: dict[str, str], mode: int = 0o644) -> None:
    """Make a wheel of files of that mode and put it into the index."""
    module = name.replace("-", "_")
    about = f"{module}-{version}.dist-info"
    files = files | {
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nGenerator: a test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},,\n" for path in [*files, f"{about}/RECORD"])
    folder = index / "simple" / name
    folder.mkdir(parents=True)
    wheel = f"{module}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(folder / wheel, "w") as archive:
        for path, content in (files | {f"{about}/RECORD": record}).items():
            entry = zipfile.ZipInfo(path)
            entry.external_attr = (stat.S_IFREG | mode) << 16
            archive.writestr(entry, content)
    (folder / "index.html").write_text(f'<html><body><a href="{wheel}">{wheel}</a></body></html>')


@pytest.fixture
def index(tmp_path: Path) -> Path:
    add_wheel(tmp_path / "index", NAME, "1.0", {"fcgraph_sample.py": "HERE = True\n"})
    return tmp_path / "index"


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """A fresh virtual environment; its Python."""
    venv.create(tmp_path / "clone" / ".venv", with_pip=True)
    return tmp_path / "clone" / ".venv" / "bin" / "python"


def run(python: Path, tmp_path: Path, **configured: str) -> subprocess.CompletedProcess[str]:
    """Install the one requirement, with nothing of the developer's configuration."""
    (tmp_path / "requirements.txt").write_text(f"{NAME}==1.0\n")
    return subprocess.run(
        [str(python), "-I", str(SCRIPT), str(tmp_path / "requirements.txt")],
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "PIP_CONFIG_FILE": os.devnull, **configured},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip


def is_installed(python: Path) -> bool:
    return subprocess.run([str(python), "-I", "-c", "import fcgraph_sample"], check=False).returncode == 0


def test_without_uv_pip_installs_and_says_so(index: Path, environment: Path, tmp_path: Path) -> None:
    with served(index) as url:
        done = run(environment, tmp_path, PIP_INDEX_URL=url)
    assert done.returncode == 0, done.stdout
    assert "uv is not available: installing with pip, which takes longer" in done.stdout
    assert f"Collecting {NAME}==1.0" in done.stdout  # pip says what it does
    assert is_installed(environment)


@pytest.mark.parametrize(
    ("mode", "script", "reason"),
    [
        (0o755, "#!/bin/sh\necho no answer >&2\nexit 2\n", "no answer"),
        (0o644, "not to be run", "Permission denied"),
        (0o755, "\x7fELF of another machine", "Exec format error"),
    ],
)
def test_where_uv_fails_pip_installs_and_says_so(
    index: Path, environment: Path, tmp_path: Path, mode: int, script: str, reason: str
) -> None:
    version = install.UV.partition("==")[2]
    add_wheel(index, "uv", version, {f"uv-{version}.data/scripts/uv": script}, mode)
    with served(index) as url:
        done = run(environment, tmp_path, PIP_INDEX_URL=url)
    assert done.returncode == 0, done.stdout
    assert reason in done.stdout
    assert "uv could not install the packages: trying pip, which takes longer" in done.stdout
    assert is_installed(environment)


@pytest.mark.parametrize(
    "configured", [{"PIP_NO_INDEX": "1"}, {"PIP_EXTRA_INDEX_URL": "http://127.0.0.1:1/"}, {"PIP_PROXY": "127.0.0.1:1"}]
)
def test_what_only_pip_knows_is_left_to_pip(
    index: Path, environment: Path, tmp_path: Path, configured: dict[str, str]
) -> None:
    wheels = str(index / "simple" / NAME)
    done = run(environment, tmp_path, **({"PIP_FIND_LINKS": wheels, "PIP_NO_INDEX": "1"} | configured))
    assert done.returncode == 0, done.stdout
    option = next(iter(configured)).removeprefix("PIP_").lower().replace("_", "-")
    assert f"{option}" in done.stdout.splitlines()[0]
    assert done.stdout.splitlines()[0].endswith(", which uv does not support: installing with pip")
    assert is_installed(environment)


def test_what_cannot_be_installed_is_an_error(index: Path, environment: Path, tmp_path: Path) -> None:
    with served(index) as url:
        (index / "simple" / NAME / "index.html").write_text("<html></html>")
        done = run(environment, tmp_path, PIP_INDEX_URL=url)
    assert done.returncode != 0
    assert "No matching distribution found" in done.stdout
    assert not (environment.parent / "fcgraph").exists()


def test_the_command_fcgraph_is_there_and_works_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "it's here").mkdir()
    monkeypatch.setattr(install, "BIN", tmp_path / "it's here")
    install.write_wrapper()
    done = subprocess.run(
        [tmp_path / "it's here" / "fcgraph", "--version"],
        cwd=tmp_path, env=services.clean_environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, "fcgraph 0.1.0"), done.stderr
    assert sys.executable in (tmp_path / "it's here" / "fcgraph").read_text()


def test_uv_is_run_as_pip_is_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SSL_CERT_FILE", "UV_HTTP_TIMEOUT", "UV_LINK_MODE"):
        monkeypatch.delenv(name, raising=False)
    configured = {
        "index-url": "https://packages.example/simple", "find-links": "/a /b", "cert": "/ca.pem", "no-cache-dir": "1",
        "default-timeout": "180",
    }  # fmt: skip
    options, variables = install.for_uv(configured)
    assert options == [
        "--system-certs", "--default-index", "https://packages.example/simple",
        "--find-links", "/a", "--find-links", "/b", "--no-cache",
    ]  # fmt: skip
    assert variables.items() >= {"SSL_CERT_FILE": "/ca.pem", "UV_HTTP_TIMEOUT": "180"}.items()
    assert install.for_uv({})[0] == ["--system-certs"]


def test_pips_configuration_is_read_from_pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    (tmp_path / "pip.conf").write_text("[global]\nindex-url = https://one.example\n[download]\nno-deps = true\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert install.pip_configuration()["index-url"] == "https://one.example"
    assert "no-deps" not in install.pip_configuration()
    monkeypatch.setenv("PIP_INDEX_URL", "https://two.example/it's")
    assert install.pip_configuration()["index-url"] == "https://two.example/it's"
