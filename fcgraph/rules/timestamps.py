"""Timestamps: RFC 3339 with an offset, or PostgreSQL's form; any other form gets a message that says what to change.

PostgreSQL's form has a space instead of T, and its offset may lack the minutes: `2025-05-20 10:00:00+00`.
"""

from __future__ import annotations

import calendar
import re
from datetime import UTC, datetime, timedelta

from fcgraph.rules.violation import Reasons, Violation

_REASON_MAX_CHARS = 100  # only this much of a value is searched for the reason
EXAMPLE = "2025-05-01T12:00:00Z"
# RFC 3339 section 5.6: full-date ("T" / "t" / space) full-time. The offset
# is optional here, so that a missing one can be reported.
_TIMESTAMP = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})([Tt ])([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]+))?"
    r"(?:([Zz])|([+-])([0-9]{2})(?::([0-9]{2}))?)?"
)
_HOURS_ALONE = re.compile(r"[+-][0-9]{2}$")

_DATE = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_TIME = r"[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?"
_OFFSET = r"(?:Z|[+-][0-9]{2}:?[0-9]{2}|[+-][0-9]{2})"
_REASONS = Reasons(
    (
        (rf"{_DATE}[T ]{_TIME}[+-][0-9]{{4}}", "has an offset without a colon; write +05:30, not +0530"),
        (rf"{_DATE}[T ]{_TIME}[+-][0-9]{{2}}:[0-9]{{2}}:[0-9]{{2}}",
         "has an offset with seconds; write it in UTC with Z"),
        (rf"{_DATE}[T ][0-9]{{2}}:[0-9]{{2}}{_OFFSET}?",
         f"has no seconds, which some programs leave out when they are zero; write {EXAMPLE}"),
        (rf"{_DATE}[T ][0-9]{{2}}{_OFFSET}?", f"has no minutes and seconds; write {EXAMPLE}"),
        (rf"{_DATE}{_OFFSET}?", f"is a date without a time; write {EXAMPLE}"),
        (rf"{_DATE}[T ][0-9]{{2}}:[0-9]{{2}}:[0-9]{{2}},[0-9]+{_OFFSET}?",
         "has a comma before the fraction of a second; write a point"),
        (rf"{_DATE}[T ]{_TIME} +{_OFFSET}", f"has a space before its offset; write {EXAMPLE}"),
        (rf"{_DATE}[T ]{_TIME} ?(?:[A-Z][A-Z_/]+|(?:{_OFFSET})?\[[^\]]*\])",
         f"has the name of a time zone; write an offset such as Z or +08:00: {EXAMPLE}"),
        (rf"{_DATE} +BC|{_DATE} {_TIME}{_OFFSET}? BC", "is before the year 1; write a year of four digits"),
        (rf"{_DATE}(?:[ T_]{{2,}}|[^0-9T ]){_TIME}{_OFFSET}?",
         f"has something other than one T between date and time; write {EXAMPLE}"),
        (r"[+-]?[0-9]{9,19}(?:\.[0-9]+)?",
         f"is a number, perhaps of seconds or milliseconds since 1970; write {EXAMPLE}"),
        (r"[0-9]{8}(?:T[0-9]{4,6}(?:\.[0-9]+)?(?:Z|[+-][0-9:]+)?)?",
         f"lacks the separators - and :; write {EXAMPLE}"),
        (r"[0-9]{14}(?:\.[0-9]+)?(?:Z|[+-][0-9:]+)?", f"lacks the separators - and :; write {EXAMPLE}"),
        (r"[0-9]{4}[/.][0-9]{1,2}[/.][0-9]{1,2}.*", f"has a date with / or .; write {EXAMPLE}"),
        (r"[0-9]{1,2}[/.-][0-9]{1,2}[/.-][0-9]{2,4}.*",
         f"does not begin with the year, so day and month may be confused; write the year first: {EXAMPLE}"),
        (r".*[0-9] ?[ap]\.?m\.?.*", f"has a 12-hour time; write hours from 00 to 23: {EXAMPLE}"),
        (r"[+-]?[0-9]{5,}-[0-9]{2}-[0-9]{2}.*", f"has a year of more than four digits; write {EXAMPLE}"),
        (r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[T ][0-9]{1,2}:[0-9]{1,2}:[0-9]{1,2}.*)?",
         f"has a month, day or time of one digit; write two: {EXAMPLE}"),
        (r"[0-9]+(?:[.,][0-9]+)?", f"is a number, not a date and time; write {EXAMPLE}"),
    )
)  # fmt: skip


def read(value: str, earliest: datetime, latest: datetime) -> tuple[str | None, list[Violation]]:
    """The canonical text (None if there is none), and the rules the value breaks. Bounds are inclusive."""
    match = _TIMESTAMP.fullmatch(value)
    if match is None:
        return None, [Violation("INVALID_TIMESTAMP", _reason(value))]
    separator, zulu, sign, minutes = match[4], match[9], match[10], match[12]
    if sign is not None and minutes is None and separator != " ":
        return None, [Violation("INVALID_TIMESTAMP", "has an offset without minutes; write +00:00, not +00")]
    if match[1] == "0000":  # such as 0000-00-00; Python's calendar starts with year 1
        return None, [_too_old(earliest)]
    try:
        instant = _instant(match)
    except ValueError:
        return None, [Violation("INVALID_TIMESTAMP", _impossible(match))]
    except OverflowError:  # reached only by an offset within the first or last hours of the calendar
        return None, [_too_old(earliest) if match[1] == "0001" else _in_future()]
    if zulu is None and sign is None:
        message = "has no offset; add Z for UTC, or an offset such as +08:00"
        return None, [Violation("TIMESTAMP_WITHOUT_OFFSET", message)]
    found = []
    if instant < earliest:
        found.append(_too_old(earliest))
    elif instant > latest:
        found.append(_in_future())
    return instant_text(instant), found


def instant_text(instant: datetime) -> str:
    """The canonical text of an instant: UTC, `Z`, microseconds only if not zero and without trailing zeros."""
    text = (instant if instant.tzinfo is UTC else instant.astimezone(UTC)).isoformat().removesuffix("+00:00")
    return (text.rstrip("0") if instant.microsecond else text) + "Z"


def may_be_cut_off(value: str) -> bool:
    """Whether the value may be a truncated timestamp: `+05` of `+05:30` in PostgreSQL's form."""
    return _HOURS_ALONE.search(value) is not None and _TIMESTAMP.fullmatch(value) is not None


def _instant(match: re.Match[str]) -> datetime:
    """The instant in UTC. Digits beyond microseconds are dropped. Raises ValueError, OverflowError."""
    text, fraction, sign, hours, minutes = match[0], match[8], match[10], match[11], match[12]
    if match[5] == "24":  # newer Python versions accept it as the next day
        raise ValueError("hour 24")
    local = datetime.fromisoformat(f"{text[:10]}T{text[11:19]}+00:00")
    if local.tzinfo is not UTC or fraction:
        local = local.replace(microsecond=int(fraction[:6].ljust(6, "0")) if fraction else 0, tzinfo=UTC)
    if sign is None:
        return local
    if int(hours) > 23 or int(minutes or 0) > 59:
        raise ValueError("an offset out of range")
    offset = timedelta(hours=int(hours), minutes=int(minutes or 0))
    return local - offset if sign == "+" else local + offset


def _impossible(match: re.Match[str]) -> str:
    """Which field of a nonexistent date or time is out of range."""
    month, day = int(match[2]), int(match[3])
    if not 1 <= month <= 12:
        return f"has month {match[2]}; months are 01 to 12, and the order is year, month, day"
    days = calendar.monthrange(int(match[1]), month)[1]
    if not 1 <= day <= days:
        return f"has day {match[3]}; {match[1]}-{match[2]} has {days} days"
    if match[5] == "24":
        return "has hour 24; write 00:00:00 of the next day"
    if int(match[5]) > 23:
        return f"has hour {match[5]}; hours are 00 to 23"
    if int(match[6]) > 59:
        return f"has minute {match[6]}; minutes are 00 to 59"
    if match[7] == "60":
        return "has second 60, a leap second, which cannot be stored; write second 59 or the next minute"
    if int(match[7]) > 59:
        return f"has second {match[7]}; seconds are 00 to 59"
    return "has an offset out of range; offsets are -23:59 to +23:59"


def _too_old(earliest: datetime) -> Violation:
    message = f"is before {earliest.year}, the first year accepted; such dates usually stand for a missing value"
    return Violation("TIMESTAMP_TOO_OLD", message)


def _in_future() -> Violation:
    message = "is too far in the future; check the date, the offset and the sender's clock"
    return Violation("TIMESTAMP_IN_FUTURE", message)


def _reason(value: str) -> str:
    """What is wrong with a text that is not a timestamp, and what to write instead."""
    value = value[:_REASON_MAX_CHARS]
    if not value.isascii():
        return f"has characters other than ASCII; write {EXAMPLE}"
    return _REASONS.of(value) or f"is not an RFC 3339 date and time such as {EXAMPLE}"
