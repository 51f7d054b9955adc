"""Apache Kafka's jars: brought by Maven once, kept, and found again without asking anybody. Starts no broker."""

from __future__ import annotations

import re
import selectors
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

POM = Path(__file__).with_name("kafka_pom.xml")
PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
JAVA_MIN = 17
JAVA_ANSWER_SECONDS = 10
LAST_LINES_MAX = 3

Say = Callable[[str], None]


def version() -> str:
    """The pinned version of Apache Kafka, such as 4.1.1."""
    found = re.search(r"<artifactId>kafka_[\d.]+</artifactId>\s*<version>([\d.]+)</version>", POM.read_text())
    assert found is not None, POM
    return found.group(1)


def folder(data_dir: Path) -> Path:
    """Where the jars are kept."""
    return data_dir.absolute() / "kafka-jars" / version()


def why_no_java() -> str | None:
    """None when a Java that runs Kafka is there, else what is missing."""
    try:
        told = subprocess.run(
            ["java", "-version"], capture_output=True, text=True, timeout=JAVA_ANSWER_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return f"no working java (version {JAVA_MIN} or newer) on PATH"
    found = re.search(r'version "(?:1\.)?(\d+)', told.stderr + told.stdout)
    if found is None or int(found.group(1)) < JAVA_MIN:
        return f"java is older than {JAVA_MIN}"
    return None


def resolve(data_dir: Path, *, reach_seconds: float, download_seconds: float, say: Say) -> str | None:
    """See to it that `folder(data_dir)` has the jars. None when it has, else the reason why not.

    Kept jars are used without asking. Maven's repository counts as out of reach when nothing comes from it for
    `reach_seconds`; while something comes, it may go on for `download_seconds`.
    """
    target = folder(data_dir)
    if target.exists():
        return None
    if shutil.which("mvn") is None:
        return "no Maven (mvn) on PATH"
    say(f"bringing Apache Kafka {version()} by Maven, once (about 45 MB)")
    making = target.with_name(target.name + ".making")
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir(parents=True)
    # -U: a repository that could not be reached yesterday is asked again today.
    argv = ["mvn", "-B", "-U", "-f", str(POM), PLUGIN, f"-DoutputDirectory={making}", "-DincludeScope=runtime"]
    reason = run_maven(argv, reach_seconds, download_seconds)
    if reason is None and not any(making.glob("kafka_*.jar")):
        reason = "Maven brought no Kafka"
    if reason is not None:
        shutil.rmtree(making, ignore_errors=True)
        return reason
    making.rename(target)
    return None


def run_maven(argv: list[str], reach_seconds: float, download_seconds: float) -> str | None:
    """Run Maven; None when it ended well, else why not. It is stopped when its repository stays silent."""
    end = time.monotonic() + download_seconds
    silent_after = time.monotonic() + reach_seconds
    last: list[str] = []
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as maven:
        assert maven.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(maven.stdout, selectors.EVENT_READ)
            while True:
                wait = min(end, silent_after) - time.monotonic()
                if wait <= 0 or not selector.select(wait):
                    maven.kill()
                    return (
                        "Maven's repository is out of reach" if time.monotonic() < end else "the download is too slow"
                    )
                line = maven.stdout.readline().decode(errors="replace").strip()
                if not line:
                    break
                if "Downloading from" not in line:  # a wish is no answer
                    silent_after = time.monotonic() + reach_seconds
                if "ERROR" in line:
                    last.append(line)
        if maven.wait() == 0:
            return None
    unreachable = any("Could not transfer" in line or "offline mode" in line for line in last)
    return "Maven's repository is out of reach" if unreachable else f"Maven failed: {' '.join(last[:LAST_LINES_MAX])}"
