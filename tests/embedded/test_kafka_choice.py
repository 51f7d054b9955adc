"""Which Kafka: Apache's where its jars are available, else the in-process broker, decided in time and reported."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fcgraph.embedded import kafka, kafka_jars
from fcgraph.settings import Settings

MIRROR = """<settings><mirrors><mirror><id>away</id><mirrorOf>*</mirrorOf><url>http://127.0.0.1:{port}/</url>\
</mirror></mirrors></settings>"""
REACH_SECONDS = 20


def choose(wish: kafka.Wish, data_dir: Path, said: list[str], reach_seconds: float = 3) -> kafka.Choice:
    return kafka.choose(wish, data_dir, reach_seconds=reach_seconds, download_seconds=60, say=said.append)


@pytest.fixture
def needs_maven() -> None:
    """These tests are about a Maven without a repository; without Maven and Java there is nothing to test."""
    if kafka_jars.why_no_java() or not any((Path(p) / "mvn").exists() for p in os.get_exec_path()):
        pytest.skip("no Maven or no Java here")


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    """A port that accepts connections and never responds, like a firewall."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def use_mirror(monkeypatch: pytest.MonkeyPatch, home: Path, port: int) -> None:
    """Use an empty Maven home whose settings name a repository at that port."""
    (home / ".m2").mkdir(parents=True)
    (home / ".m2" / "settings.xml").write_text(MIRROR.format(port=port))
    monkeypatch.setenv("MAVEN_OPTS", f"-Duser.home={home}")


@pytest.mark.usefixtures("needs_maven")
def test_a_repository_that_refuses_is_found_out_and_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_mirror(monkeypatch, tmp_path / "home", port=1)
    said: list[str] = []
    begin = time.monotonic()
    choice = choose("auto", tmp_path, said, reach_seconds=Settings().maven_reach_seconds)
    assert choice == kafka.Choice("in-process", "Maven's repository is unreachable")
    assert time.monotonic() - begin < REACH_SECONDS
    assert "in memory only" in choice.line
    assert "unreachable" in choice.line


@pytest.mark.usefixtures("needs_maven")
def test_a_repository_that_never_answers_is_abandoned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, listening: socket.socket
) -> None:
    use_mirror(monkeypatch, tmp_path / "home", port=listening.getsockname()[1])
    begin = time.monotonic()
    choice = choose("auto", tmp_path, [], reach_seconds=3)
    assert choice == kafka.Choice("in-process", "Maven's repository is unreachable")
    assert time.monotonic() - begin < REACH_SECONDS


def test_the_longest_silence_allowed_leaves_time_within_twenty_seconds() -> None:
    assert Settings().maven_reach_seconds + 3 < REACH_SECONDS


@pytest.mark.usefixtures("needs_maven")
def test_stored_jars_are_used_without_asking_maven(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kafka_jars.folder(tmp_path).mkdir(parents=True)
    use_mirror(monkeypatch, tmp_path / "home", port=1)
    said: list[str] = []
    assert choose("auto", tmp_path, said) == kafka.Choice("apache")
    assert said == []


def test_without_java_it_is_the_in_process_broker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert choose("auto", tmp_path, []).reason == "no working java (version 17 or newer) on PATH"


@pytest.mark.parametrize(
    ("version", "reason"), [("11.0.2", "java is older than 17"), ("1.8.0_292", "java is older than 17")]
)
def test_an_old_java_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, reason: str) -> None:
    java = tmp_path / "java"
    java.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\"' >&2\n")
    java.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert kafka_jars.why_no_java() == reason


def test_without_maven_and_stored_jars_it_is_the_in_process_broker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    java = tmp_path / "java"
    java.write_text("#!/bin/sh\necho 'openjdk version \"17.0.1\"' >&2\n")
    java.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert choose("auto", tmp_path, []).reason == "no Maven (mvn) on PATH"


def test_a_wish_for_apache_that_cannot_be_met_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(kafka.NoApacheKafka, match=r"KAFKA_EMBEDDED=apache\): no working java"):
        choose("apache", tmp_path, [])


def test_a_wish_for_the_in_process_broker_asks_nobody(tmp_path: Path) -> None:
    kafka_jars.folder(tmp_path).mkdir(parents=True)
    assert choose("in-process", tmp_path, []) == kafka.Choice("in-process", "KAFKA_EMBEDDED=in-process")


def test_what_maven_has_brought_is_counted() -> None:
    listener = kafka_jars.Listener()
    for line in (
        "[INFO] Downloading from central: https://repo.example/a.jar",
        "[INFO] Downloaded from central: https://repo.example/a.jar (5.5 MB at 12 MB/s)",
        "[INFO] Downloaded from central: https://repo.example/a.pom (1.5 kB at 80 kB/s)",
        "[INFO] Downloaded from central: https://repo.example/b.jar (512 B at 3.1 kB/s)",
        "[INFO] BUILD SUCCESS",
    ):
        listener("maven", line)
    assert (listener.files, round(listener.size_bytes)) == (3, 5_502_012)
