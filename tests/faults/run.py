"""The length of a fault run, and the seed that replays it. Used by tests only."""

from __future__ import annotations

import os
import random

SOAK = os.environ.get("FCGRAPH_SOAK") == "1"
SEED_NAME = "FCGRAPH_FAULTS_SEED"


def times(long: int) -> int:
    """`long` in the soak, a tenth of it (at least once) in the short run."""
    return long if SOAK else max(1, long // 10)


def make_seed() -> int:
    """The seed from the environment, or a new one."""
    seed = os.environ.get(SEED_NAME)
    return int(seed) if seed else random.SystemRandom().randrange(1_000_000)
