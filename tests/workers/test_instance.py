"""The consumer's name in its group: unique among running consumers, and reused after one ends."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests import services
from workers import instance

HOLD = """
import signal, sys
from pathlib import Path
from workers import instance
instance.SLOTS_DIR = Path(sys.argv[1])
with instance.instance_id("group", "") as name:
    print(name, flush=True)
    signal.pause()
"""


@pytest.fixture(autouse=True)
def _own_slots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(instance, "SLOTS_DIR", tmp_path / "slots")


def test_each_running_consumer_has_its_own_name_and_a_free_one_is_taken_again() -> None:
    with instance.instance_id("group", "") as first, instance.instance_id("group", "") as second:
        assert first != second
        with instance.instance_id("other", "") as of_another_group:
            assert of_another_group == first
    with instance.instance_id("group", "") as again:
        assert again == first


def test_a_name_may_be_chosen() -> None:
    with instance.instance_id("group", "mine") as name:
        assert name == "mine"


def test_a_killed_process_leaves_its_name_to_the_next(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", HOLD, str(tmp_path / "slots")]
    holder = subprocess.Popen(argv, cwd=services.ROOT, stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    name = holder.stdout.readline().strip()
    with instance.instance_id("group", "") as second:
        assert second != name
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    holder.stdout.close()
    with instance.instance_id("group", "") as again:
        assert again == name
