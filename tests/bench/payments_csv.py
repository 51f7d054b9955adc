"""Generated payments for the benchmarks: the same for the same seed, with known proportions of bad rows."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

HEADER = "transaction_id,sender_id,receiver_id,amount,currency,timestamp,status\n"
CURRENCIES = ("USD", "EUR", "PHP")
# One kind of bad row for each problem of a single row: the column and the bad value.
BAD_KINDS: dict[str, tuple[int, str]] = {
    "INVALID_UUID": (0, "not-a-uuid"),
    "UNKNOWN_SENDER": (1, "11111111-1111-4111-8111-111111111111"),
    "UNKNOWN_RECEIVER": (2, "22222222-2222-4222-8222-222222222222"),
    "MISSING_VALUE": (2, ""),
    "INVALID_AMOUNT": (3, '"12,5"'),
    "NEGATIVE_AMOUNT": (3, "-4.00"),
    "TOO_MANY_DECIMALS": (3, "1.999"),
    "AMOUNT_TOO_LARGE": (3, "99999999999999999999"),
    "INVALID_CURRENCY": (4, "US$"),
    "UNKNOWN_CURRENCY": (4, "XXX"),
    "INVALID_TIMESTAMP": (5, "2025-02-30T00:00:00Z"),
    "TIMESTAMP_WITHOUT_OFFSET": (5, "2025-02-03T00:00:00"),
    "TIMESTAMP_IN_FUTURE": (5, "9025-02-03T00:00:00Z"),
    "INVALID_STATUS": (6, "done"),
    "EXTRA_VALUES": (6, "completed,more"),
    "INVALID_ENCODING": (6, "completed\udcff"),  # the byte FF
    "INVALID_CSV": (6, '"completed"x'),
}


class Made(NamedTuple):
    """A generated file of `rows` rows, the file of rows to store beforehand, and the new rows, each once."""

    dirty: Path
    stored: Path
    clean: list[list[str]]
    rows: int


def user_ids(count: int) -> list[str]:
    """The ids of the generated users."""
    rnd = random.Random("users")
    return [str(uuid.UUID(int=rnd.getrandbits(128), version=4)) for _ in range(count)]


def payments(seed: str, users: list[str]) -> Iterator[list[str]]:
    """An endless sequence of clean payments, as the seven values of a row."""
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


def spoilt(row: list[str], kind: str) -> str:
    """The row as a line of the file, with a problem of this kind."""
    column, text = BAD_KINDS[kind]
    return ",".join([*row[:column], text, *row[column + 1 :]])


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
    lines += [spoilt(next(made), kind) for kind in BAD_KINDS for _ in range(bad)]
    rnd.shuffle(lines)
    dirty, stored_file = folder / "dirty.csv", folder / "stored.csv"
    dirty.write_text(HEADER + "\n".join(lines) + "\n", encoding="utf-8", errors="surrogateescape")
    stored_file.write_text(HEADER + "\n".join(",".join(row) for row in known) + "\n", encoding="utf-8")
    return Made(dirty, stored_file, fresh, rows)
