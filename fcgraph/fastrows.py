"""The quick way through the rules for rows in their usual shape: one compiled pattern over a whole block of rows.

It only ever accepts, and only what `records` accepts with the same canonical text (a property test proves it).
Everything it does not recognise goes to `records`, which alone can say what is wrong with a row.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from itertools import compress
from typing import NamedTuple

from fcgraph.records import COLUMNS, CurrencyRule, instant_text

_UUID = "([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})"
_TIMESTAMP = (
    "([12][0-9]{3}-(?:(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])|(?:0[13-9]|1[0-2])-(?:29|30)|(?:0[13578]|1[02])-31)"
    "T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]Z)"
)
_STATUS = "(pending|completed|failed)"
# A column that is kept out: printable ASCII without comma or quote, and not long; anything else takes the slow way.
_IGNORED = r"[ !#-+\--~]{0,1000}"
_SECONDS_END = 19  # of `2025-05-01T12:00:00`


class Columns(NamedTuple):
    """Accepted rows, column by column, each value canonical text; `position` is a row's line or offset."""

    position: Sequence[int]
    transaction_id: Sequence[str]
    sender_id: Sequence[str]
    receiver_id: Sequence[str]
    amount: Sequence[str]
    whole: Sequence[str]
    currency: Sequence[str]
    timestamp: Sequence[str]
    status: Sequence[str]

    def without(self, left_out: Collection[int]) -> Columns:
        """All rows but those with these indexes."""
        keep = [n not in left_out for n in range(len(self.transaction_id))]
        position, *texts = self
        return Columns(tuple(compress(position, keep)), *(tuple(compress(text, keep)) for text in texts))


class Parsed(NamedTuple):
    """A block after the quick way: what it accepted, and index and text of the rows left for the rules."""

    accepted: Columns
    rest: list[tuple[int, str]]

    def moved(self, indexes: Collection[int], text: str) -> Parsed:
        """The same with some accepted rows (by index) left to the rules as well. `text` is the block parsed."""
        left_out = {n for n, _ in self.rest}
        lines = text.split("\n")
        numbers = [n for n in range(len(lines)) if n not in left_out]
        more = [(numbers[n], lines[numbers[n]]) for n in indexes]
        return Parsed(self.accepted.without(indexes), sorted(self.rest + more))


EMPTY = Columns((), (), (), (), (), (), (), (), ())


def _amount_and_currency(currencies: Mapping[str, CurrencyRule]) -> tuple[str, str]:
    """Patterns for the amount and the currency; the decimals are what every known currency allows."""
    decimals = min((rule.minor_units for rule in currencies.values()), default=0)
    fraction = rf"(?:\.[0-9]{{1,{decimals}}})?" if decimals else ""
    # Without leading zeros: so the text is JSON's as well, and the number of digits tells small amounts.
    amount = rf"((0|[1-9][0-9]{{0,14}}){fraction})"
    return amount, "(" + "|".join(sorted(currencies) or ["(?!)"]) + ")"


class FastRows:
    """A compiled pattern for one shape of rows. Rows are lines of a text, separated by LF alone."""

    def __init__(self, line: str, groups: Sequence[str], latest: datetime) -> None:
        self._pattern = re.compile(f"^(?:{line}|(.*))$", re.MULTILINE | re.ASCII)
        self._order = tuple(groups.index(name) for name in Columns._fields[1:])
        self._rest = len(groups)
        self._latest = instant_text(latest)[:_SECONDS_END]

    def parse(self, text: str, positions: Sequence[int]) -> Parsed:
        """Parse all lines of `text`; `positions` gives one number per line, `text` does not end in a line end."""
        found = self._pattern.findall(text)
        if len(found) != len(positions):
            raise ValueError(f"{len(found)} lines for {len(positions)} positions")
        last = self._rest
        first = self._order[0]
        rest = [(n, row[last]) for n, row in enumerate(found) if not row[first]]
        if rest:
            positions = [position for position, row in zip(positions, found, strict=True) if row[first]]
            found = [row for row in found if row[first]]
        if not found:
            return Parsed(EMPTY, rest)
        values = list(zip(*found, strict=True))
        columns = Columns(positions, *(values[n] for n in self._order))
        if max(columns.timestamp)[:_SECONDS_END] >= self._latest:
            late = {n for n, stamp in enumerate(columns.timestamp) if stamp[:_SECONDS_END] >= self._latest}
            return Parsed(columns, rest).moved(late, text)
        return Parsed(columns, rest)


def of_csv(header: Sequence[str | None], currencies: Mapping[str, CurrencyRule], latest: datetime) -> FastRows:
    """Rows of a CSV without quotes, columns in the order of `header` (None: a column that is kept out)."""
    amount, currency = _amount_and_currency(currencies)
    patterns = dict.fromkeys(COLUMNS[:3], _UUID)
    patterns |= {"amount": amount, "currency": currency, "timestamp": _TIMESTAMP, "status": _STATUS}
    line = ",".join(_IGNORED if name is None else patterns[name] for name in header)
    return FastRows(line, _groups([name for name in header if name]), latest)


def of_json(currencies: Mapping[str, CurrencyRule], latest: datetime) -> FastRows:
    """JSON objects with the seven keys in the usual order and nothing else; the amount a number or a string."""
    amount, currency = _amount_and_currency(currencies)
    values = dict.fromkeys(COLUMNS[:3], f'"{_UUID}"')
    values |= {"currency": f'"{currency}"', "timestamp": f'"{_TIMESTAMP}"', "status": f'"{_STATUS}"'}
    values["amount"] = f'("?){amount}\\4'  # the same quote, or none, on both sides
    line = ", ?".join(f'"{name}": ?{values[name]}' for name in COLUMNS)
    groups = _groups(COLUMNS)
    groups.insert(groups.index("amount"), "quote")
    return FastRows(rf"\{{{line}\}}", groups, latest)


def _groups(names: Sequence[str]) -> list[str]:
    """The pattern's groups in order: the amount has its whole part as an inner group."""
    groups = list(names)
    groups.insert(groups.index("amount") + 1, "whole")
    return groups
