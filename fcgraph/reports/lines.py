"""The lines of a report file: a writer that also hashes them and adds them up, and a reader that yields one at a time.

The lines come from `queries.daily_totals_sql`. This module knows neither file names nor database rows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, BinaryIO
from uuid import UUID

HEADER = b"user_id,day,total_sent,total_received,currency,sent_count,received_count\n"
BLOCK_BYTES = 1024 * 1024
ZEROS = frozenset((b"0", b"0.0", b"0.00", b"0.000", b"0.0000"))


@dataclass(frozen=True, slots=True)
class LineTotals:
    """The amounts that one user sent and received on one day in one currency, at the currency's scale."""

    total_sent: Decimal
    total_received: Decimal
    sent_count: int
    received_count: int


@dataclass(frozen=True, slots=True)
class ReportLine:
    """One line of a report file."""

    user_id: UUID
    day: date
    currency: str
    totals: LineTotals


class LineWriter:
    """Takes the CSV lines that COPY sends, in pieces of any size, and writes, hashes, counts and adds them up.

    Amounts are added up as integer minor units, parsed from the bytes that are written. Memory is one block and one
    sum per day and currency, whatever the length of the file.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.row_count = 0
        self.size_bytes = 0
        self._file = file
        self._sha256 = hashlib.sha256()
        self._block = bytearray()
        # per day and currency: minor units sent and received, number of payments sent and received
        self._sums: dict[tuple[bytes, bytes], list[int]] = {}
        self._decimals: dict[bytes, int] = {}
        self._store(HEADER)

    def write(self, piece: bytes) -> int:
        """Called by the database driver with each piece that it received."""
        self._block += piece
        if len(self._block) >= BLOCK_BYTES:
            end = self._block.rfind(b"\n") + 1
            self._take(bytes(self._block[:end]))
            del self._block[:end]
        return len(piece)

    def finish(self) -> None:
        """Write the rest of the block. Raises ValueError if the last line is incomplete."""
        if self._block and not self._block.endswith(b"\n"):
            raise ValueError("the last line of the report is incomplete")
        self._take(bytes(self._block))
        self._block.clear()

    @property
    def sha256(self) -> str:
        return self._sha256.hexdigest()

    @property
    def balanced(self) -> bool:
        """Whether for each day and currency the amounts sent equal the amounts received, over all users."""
        return all(sent == received and m == n for sent, received, m, n in self._sums.values())

    def totals(self) -> list[dict[str, Any]]:
        """Per currency, sorted: `currency`, `total_sent`, `total_received` (text at its scale), and the counts."""
        sums: dict[bytes, list[int]] = {}
        for (_, currency), day_sums in self._sums.items():
            sums[currency] = [a + b for a, b in zip(sums.get(currency, [0, 0, 0, 0]), day_sums, strict=True)]
        return [
            {
                "currency": currency.decode(),
                "total_sent": _plain(sent, self._decimals[currency]),
                "total_received": _plain(received, self._decimals[currency]),
                "sent_count": sent_count,
                "received_count": received_count,
            }
            for currency, (sent, received, sent_count, received_count) in sorted(sums.items())
        ]

    def _take(self, block: bytes) -> None:
        self._store(block)
        sums_of = self._sums
        lines = block.splitlines()
        self.row_count += len(lines)
        for line in lines:
            _, day, sent, received, currency, sent_count, received_count = line.split(b",")
            sums = sums_of.get((day, currency))
            if sums is None:
                sums = sums_of[day, currency] = [0, 0, 0, 0]
                self._decimals[currency] = len(sent.partition(b".")[2])
            # Most lines have only one side: zeros are not parsed.
            if sent not in ZEROS:
                sums[0] += int(sent.replace(b".", b""))
            if received not in ZEROS:
                sums[1] += int(received.replace(b".", b""))
            if sent_count != b"0":
                sums[2] += int(sent_count)
            if received_count != b"0":
                sums[3] += int(received_count)

    def _store(self, block: bytes) -> None:
        self._file.write(block)
        self._sha256.update(block)
        self.size_bytes += len(block)


def raw_lines(file: BinaryIO) -> Iterator[bytes]:
    """The lines after the header, without line ends. Raises ValueError if the file is not a report."""
    if file.readline() != HEADER:
        raise ValueError("a report file must begin with the header")
    for line in file:
        yield line.removesuffix(b"\n")


def read_lines(file: BinaryIO) -> Iterator[ReportLine]:
    """The lines of a report file as values, in file order: user, day, currency."""
    return (parse_line(line) for line in raw_lines(file))


def parse_line(line: bytes) -> ReportLine:
    """One line as values."""
    user_id, day, sent, received, currency, sent_count, received_count = line.decode("ascii").split(",")
    totals = LineTotals(Decimal(sent), Decimal(received), int(sent_count), int(received_count))
    return ReportLine(UUID(user_id), date.fromisoformat(day), currency, totals)


def _plain(minor_units: int, decimals: int) -> str:
    """25000 with 2 decimals is "250.00", whatever the length of the number."""
    if not decimals:
        return str(minor_units)
    whole, part = divmod(minor_units, 10**decimals)
    return f"{whole}.{part:0{decimals}}"
