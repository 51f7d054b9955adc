"""The fast path for rows of the usual form: one compiled pattern over a whole block of rows.

It never rejects a row. It accepts only rows that `records` accepts with the same canonical text (a property test
checks this). All other rows go to `records`, which reports what is wrong with them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from itertools import compress
from typing import NamedTuple

from fcgraph.rules.records import COLUMNS, EARLIEST, CurrencyRule, instant_text

_UUID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
# The part after the year; see `_years_from_century`.
_IN_YEAR = (
    "-(?:(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])|(?:0[13-9]|1[0-2])-(?:29|30)|(?:0[13578]|1[02])-31)"
    "T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]Z"
)
_STATUS = "(?:pending|completed|failed)"
# An ignored column: short printable ASCII without comma or quote. Rows with anything else there go to `records`.
_IGNORED = r"[ !#-+\--~]{0,1000}"
_SECONDS_END = 19  # of `2025-05-01T12:00:00`


class Columns(NamedTuple):
    """Accepted rows by column, each value as canonical text; `position` is a row's line or offset."""

    position: Sequence[int]
    transaction_id: Sequence[str]
    sender_id: Sequence[str]
    receiver_id: Sequence[str]
    amount: Sequence[str]
    currency: Sequence[str]
    timestamp: Sequence[str]
    status: Sequence[str]


class Parsed(NamedTuple):
    """A block after the fast path: the accepted rows, and the number (from 0) and text of the lines left to `records`.

    `numbers` are the line numbers of the accepted rows within the block. `lines` is the text of these rows if it is
    exactly their canonical values in the usual order, separated by commas.
    """

    accepted: Columns
    numbers: Sequence[int]
    rest: list[tuple[int, str]]
    lines: Sequence[str] | None = None

    def leaving(self, indexes: Collection[int], text: str) -> Parsed:
        """A copy in which some accepted rows (by index) are left to `records`. `text` is the parsed block."""
        if not indexes:
            return self
        stays = bytearray(b"\1") * len(self.numbers)
        for n in indexes:
            stays[n] = False
        lines = text.split("\n")
        moved = [(self.numbers[n], lines[self.numbers[n]]) for n in indexes]
        return Parsed(
            Columns._make(list(compress(column, stays)) for column in self.accepted),
            list(compress(self.numbers, stays)),
            sorted(self.rest + moved),
            None if self.lines is None else list(compress(self.lines, stays)),
        )


EMPTY = Columns((), (), (), (), (), (), (), ())


# No leading zeros, so the text is also a valid JSON number and its length bounds the amount.
_WHOLE = "(?:0|[1-9][0-9]{0,14}+)"


def _fraction(decimals: int) -> str:
    return rf"(?:\.[0-9]{{1,{decimals}}}+)?" if decimals else ""


def _by_decimals(currencies: Mapping[str, CurrencyRule]) -> list[tuple[int, str]]:
    """Pairs of a number of decimals and a pattern for the currencies that have it, the most common first."""
    groups: dict[int, list[str]] = {}
    for code, rule in sorted(currencies.items()):
        groups.setdefault(rule.minor_units, []).append(code)
    ordered = sorted(groups.items(), key=lambda group: -len(group[1]))
    return [(decimals, "(?:" + "|".join(codes) + ")") for decimals, codes in ordered] or [(0, "(?!)")]


def _years_from_century(century: int) -> str:
    """A pattern for the years from this century on (19: from 1900), up to 2999.

    Each alternative begins with a literal: a character class there, or finer bounds, made a row 1.4 times slower.
    """
    first, second = divmod(century, 10)
    ways = [f"{later}[0-9]" for later in range(first + 1, 3)] + [f"{first}[{second}-9]" if second < 9 else f"{first}9"]
    return f"(?:{'|'.join(ways)})[0-9]{{2}}"


class CsvRows:
    """Rows of a CSV without quotes, columns in the order of `header` (None: an ignored column).

    One match covers as many rows as possible; a single split then yields all their values.
    """

    def __init__(
        self,
        header: Sequence[str | None],
        currencies: Mapping[str, CurrencyRule],
        latest: datetime,
        earliest: datetime = EARLIEST,
    ) -> None:
        self._run = re.compile(f"(?:{_csv_line(header, currencies, earliest)}\n)++", re.ASCII)
        self._width = len(header)
        self._is_usual = tuple(header) == COLUMNS
        self._places = [header.index(name) for name in COLUMNS]
        self._latest = _to_seconds(latest)
        self._earliest = _to_check(earliest)

    def parse(self, text: str, positions: Sequence[int]) -> Parsed:
        """Parse all lines of `text`, each terminated by LF; `positions` has a line number or offset for each."""
        runs: list[str] = []
        numbers: list[int] = []
        rest: list[tuple[int, str]] = []
        at = number = 0
        while at < len(text):
            run = self._run.match(text, at)
            if run is not None:
                at = run.end()
                runs.append(run[0])
                numbers.extend(range(number, number := number + run[0].count("\n")))
            else:
                end = text.index("\n", at)
                rest.append((number, text[at:end]))
                at, number = end + 1, number + 1
        if number != len(positions):
            raise ValueError(f"{number} lines for {len(positions)} positions")
        if not runs:
            return Parsed(EMPTY, (), rest)
        whole = "".join(runs)
        values = whole.replace("\n", ",").split(",")
        values.pop()
        taken = [positions[n] for n in numbers] if rest else positions
        accepted = Columns(taken, *(values[place :: self._width] for place in self._places))
        texts = whole.split("\n")[:-1] if self._is_usual else None
        return _within(Parsed(accepted, numbers, rest, texts), self._earliest, self._latest, text)


class JsonRows:
    """JSON objects, one per line, with exactly the seven keys in the usual order; the amount may be quoted."""

    def __init__(self, currencies: Mapping[str, CurrencyRule], latest: datetime, earliest: datetime = EARLIEST) -> None:
        values = {name: f'"({pattern})"' for name, pattern in _patterns(earliest).items()}
        # The same quote, or none, on both sides: group 4 is the quote, group 5 the amount.
        values["amount"] = f'("?)({_json_amount(currencies)})\\4'
        values["currency"] = '"([A-Z]{3})"'  # a known code: the amount's lookahead has checked it
        line = ", ?".join(f'"{name}": ?{values[name]}' for name in COLUMNS)
        self._line = re.compile(rf"^(?:\{{{line}\}}|(.*))$", re.MULTILINE | re.ASCII)
        self._latest = _to_seconds(latest)
        self._earliest = _to_check(earliest)

    def parse(self, text: str, positions: Sequence[int]) -> Parsed:
        """Like `CsvRows.parse`."""
        found = self._line.findall(text, 0, len(text) - 1)
        if len(found) != len(positions):
            raise ValueError(f"{len(found)} lines for {len(positions)} positions")
        rest = [(n, row[-1]) for n, row in enumerate(found) if not row[0]]
        numbers: Sequence[int] = range(len(found))
        if rest:
            numbers = [n for n, row in enumerate(found) if row[0]]
            positions = [positions[n] for n in numbers]
            found = [found[n] for n in numbers]
        if not found:
            return Parsed(EMPTY, (), rest)
        one, two, three, _, amount, currency, timestamp, status, _ = zip(*found, strict=True)
        accepted = Columns(positions, one, two, three, amount, currency, timestamp, status)
        return _within(Parsed(accepted, numbers, rest), self._earliest, self._latest, text)


FastRows = CsvRows | JsonRows


def _patterns(earliest: datetime) -> dict[str, str]:
    """A pattern for the value of each column that does not depend on the currency."""
    timestamp = _years_from_century(earliest.year // 100) + _IN_YEAR
    return dict.fromkeys(COLUMNS[:3], _UUID) | {"timestamp": timestamp, "status": _STATUS}


def _csv_line(header: Sequence[str | None], currencies: Mapping[str, CurrencyRule], earliest: datetime) -> str:
    """A pattern for a row. The part from amount to currency is repeated for each number of decimals."""
    patterns = _patterns(earliest)
    at = sorted((header.index("amount"), header.index("currency")))
    spans = []
    for decimals, codes in _by_decimals(currencies):
        span = patterns | {"amount": _WHOLE + _fraction(decimals), "currency": codes}
        spans.append(",".join(_IGNORED if name is None else span[name] for name in header[at[0] : at[1] + 1]))
    either = spans[0] if len(spans) == 1 else f"(?:{'|'.join(spans)})"
    before, after = header[: at[0]], header[at[1] + 1 :]
    around = [[_IGNORED if name is None else patterns[name] for name in names] for names in (before, after)]
    return ",".join([*around[0], either, *around[1]])


def _json_amount(currencies: Mapping[str, CurrencyRule]) -> str:
    """A pattern for an amount followed by a currency that allows that many decimals."""
    ways = [rf'{_fraction(decimals)}(?="?, ?"currency": ?"{codes}")' for decimals, codes in _by_decimals(currencies)]
    return f"{_WHOLE}(?:{'|'.join(ways)})"


def _to_seconds(instant: datetime) -> str:
    return instant_text(instant)[:_SECONDS_END]


def _to_check(earliest: datetime) -> str | None:
    """The lower bound for timestamps; None if the pattern already checks it, as it does for whole centuries."""
    return None if earliest == datetime(earliest.year // 100 * 100, 1, 1, tzinfo=UTC) else _to_seconds(earliest)


def _within(parsed: Parsed, earliest: str | None, latest: str, text: str) -> Parsed:
    """Leave rows to `records` that may be too old or too far in the future."""
    stamps = parsed.accepted.timestamp
    if max(stamps)[:_SECONDS_END] < latest and (earliest is None or min(stamps)[:_SECONDS_END] >= earliest):
        return parsed
    first = earliest or ""
    return parsed.leaving([n for n, stamp in enumerate(stamps) if not first <= stamp[:_SECONDS_END] < latest], text)
