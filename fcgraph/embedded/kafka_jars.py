"""Apache Kafka's jars: downloaded by Maven once and then reused offline. Starts no broker."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from fcgraph.embedded.process import Part, Process

OUT_OF_REACH = "Maven's repository is unreachable"
POM = Path(__file__).with_name("kafka_pom.xml")
PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
JAVA_MIN = 17
JAVA_ANSWER_SECONDS = 10
LAST_LINES_MAX = 3
STOP_SECONDS = 2
POLL_SECONDS = 0.05
SAY_EVERY_SECONDS = 3.0
DOWNLOADED = re.compile(r"Downloaded from .*\(([\d.]+) ([kMG]?B)")
UNITS = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9}

Say = Callable[[str], None]


def version() -> str:
    """The pinned version of Apache Kafka, such as 4.1.1."""
    found = re.search(r"<artifactId>kafka_[\d.]+</artifactId>\s*<version>([\d.]+)</version>", POM.read_text())
    assert found is not None, POM
    return found.group(1)


def folder(data_dir: Path) -> Path:
    """Where the jars are stored."""
    return data_dir.absolute() / "kafka-jars" / version()


def why_no_java() -> str | None:
    """None when there is a Java that can run Kafka, else what is missing."""
    try:
        version = subprocess.run(
            ["java", "-version"], capture_output=True, text=True, timeout=JAVA_ANSWER_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return f"no working java (version {JAVA_MIN} or newer) on PATH"
    found = re.search(r'version "(?:1\.)?(\d+)', version.stderr + version.stdout)
    if found is None or int(found.group(1)) < JAVA_MIN:
        return f"java is older than {JAVA_MIN}"
    return None


def resolve(data_dir: Path, *, reach_seconds: float, download_seconds: float, say: Say) -> str | None:
    """Ensure that `folder(data_dir)` has the jars. None when it does, else the reason.

    Stored jars are used without a download. Maven's repository counts as unreachable when nothing arrives for
    `reach_seconds`; while data arrives, the download may take `download_seconds`.
    """
    target = folder(data_dir)
    if target.exists():
        return None
    if shutil.which("mvn") is None:
        return "no Maven (mvn) on PATH"
    say(f"downloading Apache Kafka {version()} with Maven, once (about 45 MB)")
    target.parent.mkdir(parents=True, exist_ok=True)
    making = Path(tempfile.mkdtemp(prefix="making-", dir=target.parent))
    # -U: retry a repository that could not be reached before.
    argv = ["mvn", "-B", "-U", "-f", str(POM), PLUGIN, f"-DoutputDirectory={making}", "-DincludeScope=runtime"]
    reason = run_maven(argv, reach_seconds, download_seconds, say)
    if reason is None and not any(making.glob("kafka_*.jar")):
        reason = "Maven did not download Kafka"
    if reason is None and not target.exists():  # or another process was faster
        making.rename(target)
    shutil.rmtree(making, ignore_errors=True)
    return reason


class Listener:
    """Parses Maven's output: when the repository last responded, what was downloaded, and errors."""

    def __init__(self) -> None:
        self.heard_at = time.monotonic()
        self.errors: list[str] = []
        self.files = 0
        self.size_bytes = 0.0

    def __call__(self, name: str, line: str) -> None:
        if came := DOWNLOADED.search(line):
            self.files += 1
            self.size_bytes += float(came.group(1)) * UNITS[came.group(2)]
        if "Downloading from" not in line:  # a request is not a response
            self.heard_at = time.monotonic()
        if "ERROR" in line:
            self.errors.append(line)


def run_maven(argv: list[str], reach_seconds: float, download_seconds: float, say: Say) -> str | None:
    """Run Maven; None on success, else the reason. It is stopped when its repository does not respond."""
    listener = Listener()
    end = time.monotonic() + download_seconds
    said_at, said_files = time.monotonic(), 0
    maven = Process(Part("maven", argv, os.environ, ready=lambda: True, stop_seconds=STOP_SECONDS), listener)
    try:
        maven.start()
        while maven.alive:
            now = time.monotonic()
            if now > end:
                return f"the download took longer than {download_seconds:g} s (MAVEN_DOWNLOAD_SECONDS)"
            if now > listener.heard_at + reach_seconds:
                return OUT_OF_REACH
            if listener.files > said_files and now > said_at + SAY_EVERY_SECONDS:
                said_at, said_files = now, listener.files
                say(f"Apache Kafka: {listener.files} files, {listener.size_bytes / 1e6:.0f} MB downloaded")
            time.sleep(POLL_SECONDS)
    finally:
        maven.stop()
    if maven.exit_code == 0:
        return None
    unreachable = any("Could not transfer" in line or "offline mode" in line for line in listener.errors)
    return OUT_OF_REACH if unreachable else f"Maven failed: {' '.join(listener.errors[:LAST_LINES_MAX])}"
