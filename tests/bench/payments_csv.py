"""Made payments for the benchmarks: always the same for the same seed, dirty in known proportions."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

HEADER = "transaction_id,sender_id,receiver_id,amount,currency,timestamp,status\n"
CURRENCIES = ("USD", "EUR", "PHP")
# One kind of bad row each: the column it spoils and the text it puts there.
BAD_KINDS: tuple[tuple[int, str], ...] = (
    (0, "not-a-uuid"),
    (1, "11111111-1111-4111-8111-111111111111"),  # no known user
    (2, ""),
    (3, "12,5"),
    (3, "-4.00"),
    (3, "1.999"),
    (4, "XXX"),
    (5, "2025-02-30T00:00:00Z"),
    (6, "done"),
)


class Made(NamedTuple):
    """A made file of `rows` rows, the file of those to be stored beforehand, and the rows that are new, each once."""

    dirty: Path
    stored: Path
    clean: list[list[str]]
    rows: int


def user_ids(count: int) -> list[str]:
    """The made users' ids."""
    rnd = random.Random("users")
    return [str(uuid.UUID(int=rnd.getrandbits(128), version=4)) for _ in range(count)]


def payments(seed: str, users: list[str]) -> Iterator[list[str]]:
    """Clean payments without end, as the seven values of a row."""
    rnd = random.Random(seed)
    while True:
        yield [
            str(uuid.UUID(int=rnd.getrandbits(128), version=4)),
            rnd.choice(users),
            rnd.choice(users),
            f"{rnd.randrange(1, 1_020_000) / 100:.2f}",
            rnd.choice(CURRENCIES),
            f"2025-{rnd.randrange(1, 13):02}-{rnd.randrange(1, 29):02}T{rnd.randrange(24):02}:{rnd.randrange(60):02}"
            f":{rnd.randrange(60):02}Z",
            rnd.choice(("completed", "completed", "completed", "pending", "failed")),
        ]


def make_dirty(folder: Path, rows: int, users: list[str], seed: str = "dirty") -> Made:
    """A file of `rows` rows: 1 % bad of each kind, 2 % duplicates within the file, 2 % stored already."""
    rnd = random.Random(seed)
    made = payments(seed, users)
    bad = rows // 100
    duplicates = stored = rows // 50
    clean = rows - bad * len(BAD_KINDS) - duplicates - stored
    fresh = [next(made) for _ in range(clean)]
    known = [next(made) for _ in range(stored)]
    lines = [",".join(row) for row in fresh + known]
    lines += [",".join(row) for row in rnd.sample(fresh, duplicates)]
    for column, text in BAD_KINDS:
        for _ in range(bad):
            row = next(made)
            row[column] = text
            lines.append(",".join(f'"{v}"' if "," in v else v for v in row))
    rnd.shuffle(lines)
    dirty, stored_file = folder / "dirty.csv", folder / "stored.csv"
    dirty.write_text(HEADER + "\n".join(lines) + "\n", encoding="utf-8")
    stored_file.write_text(HEADER + "\n".join(",".join(row) for row in known) + "\n", encoding="utf-8")
    return Made(dirty, stored_file, fresh, rows)
