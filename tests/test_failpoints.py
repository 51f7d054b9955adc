"""Failpoints do nothing unless the environment of the process enables them."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from fcgraph import failpoints
from fcgraph.errors import SettingsError
from tests import services

PROGRAM = """
from fcgraph import failpoints
for name in ("a", "b", "a", "b"):
    failpoints.reach(name)
    print(name, flush=True)
"""


def run(failpoint: str) -> tuple[int, str]:
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={"FCGRAPH_FAILPOINT": failpoint},
        check=False,
        capture_output=True,
        text=True,
    )
    return ended.returncode, ended.stdout.replace("\n", "")


@pytest.mark.parametrize(
    ("failpoint", "code", "seen"),
    [
        ("", 0, "abab"),
        ("c=kill", 0, "abab"),
        ("a=kill", -9, ""),
        ("b=kill", -9, "a"),
        ("b=kill@2", -9, "aba"),
        ("a=kill@3", 0, "abab"),
        ("a=raise@2", 1, "ab"),
        ("c=kill, b=raise", 1, "a"),
    ],
)
def test_a_failpoint_acts_at_its_time_and_never_else(failpoint: str, code: int, seen: str) -> None:
    assert run(failpoint) == (code, seen)


@pytest.mark.parametrize("text", ["a", "a=explode", "=kill", "a=kill@0", "a=kill@x", "a=kill@-1"])
def test_a_wrong_failpoint_is_reported_and_not_ignored(text: str) -> None:
    with pytest.raises(SettingsError, match="FCGRAPH_FAILPOINT"):
        failpoints.parse(text)


def test_none_is_armed_in_the_tests_own_process() -> None:
    failpoints.reach("report-renamed")
    assert failpoints._armed == {}


def test_every_moment_is_used_by_a_test() -> None:
    sources = [path.read_text() for folder in ("fcgraph", "workers") for path in (services.ROOT / folder).rglob("*.py")]
    named = {name for text in sources for name in re.findall(r'failpoints\.reach\("([a-z-]+)"\)', text)}
    tests = "".join(path.read_text() for path in (services.ROOT / "tests").rglob("test_*.py"))
    assert len(named) >= 12
    assert {name for name in named if f'"{name}' not in tests} == set()
