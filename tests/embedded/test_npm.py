"""What `make up` prints while npm downloads packages: progress, and npm's own output when it fails."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
import tarfile
import threading
from functools import partial
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest

from fcgraph.embedded import npm
from tests import services
from tests.embedded.test_install import Quiet

SCRIPT = services.ROOT / "fcgraph" / "embedded" / "npm.py"
COUNT = 3

pytestmark = pytest.mark.skipif(shutil.which("npm") is None, reason="no npm here, and its output is what is tested")


def add_package(folder: Path, name: str) -> None:
    """A package as npm packs it."""
    content = json.dumps({"name": name, "version": "1.0.0"}).encode()
    with tarfile.open(folder / f"{name}.tgz", "w:gz") as archive:
        entry = tarfile.TarInfo("package/package.json")
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))


def lock(folder: Path, url: str) -> None:
    """A folder whose packages come from that URL."""
    names = [f"sample-{n}" for n in range(COUNT)]
    wanted = dict.fromkeys(names, "1.0.0")
    packages: dict[str, object] = {"": {"name": "site", "version": "1.0.0", "dependencies": wanted}}
    packages |= {f"node_modules/{name}": {"version": "1.0.0", "resolved": f"{url}/{name}.tgz"} for name in names}
    folder.mkdir()
    (folder / "package.json").write_text(json.dumps({"name": "site", "version": "1.0.0", "dependencies": wanted}))
    (folder / "package-lock.json").write_text(json.dumps({"name": "site", "lockfileVersion": 3, "packages": packages}))


def run(tmp_path: Path, files: Path) -> subprocess.CompletedProcess[str]:
    """Install the packages of tmp_path/site, whose files are in the folder."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(files))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        lock(tmp_path / "site", f"http://127.0.0.1:{server.server_address[1]}")
        done = subprocess.run(
            [sys.executable, "-I", str(SCRIPT), str(tmp_path / "site")],
            env=services.clean_environment() | {"HOME": str(tmp_path), "npm_config_replace_registry_host": "never"},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        )  # fmt: skip
        server.shutdown()
    return done


def test_how_many_have_come_is_said(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    for n in range(COUNT):
        add_package(tmp_path / "files", f"sample-{n}")
    done = run(tmp_path, tmp_path / "files")
    assert done.returncode == 0, done.stdout
    lines = done.stdout.splitlines()
    assert lines[0] == "downloading the 3 packages of site with npm"
    assert lines[-1].startswith("site: 3 of 3 packages installed after ")
    assert (tmp_path / "site" / "node_modules" / "sample-2" / "package.json").exists()


def test_what_npm_says_is_shown_when_it_fails(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()  # no package is there
    done = run(tmp_path, tmp_path / "files")
    assert done.returncode != 0
    assert "npm failed after" in done.stdout
    assert "404" in done.stdout
    assert "npm http" not in done.stdout


def test_the_playgrounds_packages_are_counted() -> None:
    assert npm.packages(services.ROOT / "fcgraph" / "api" / "playground") > 100
