"""Currencies: list them, add or change one. A running intake reads them again for every batch.

A changed threshold applies to later payments only: the suspicions of stored payments do not change.
"""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from fcgraph import db
from fcgraph.errors import Refused, Unavailable
from fcgraph.rules import amounts, words

NAME_MAX_CHARS = 100
SYMBOL_MAX_CHARS = 10
CHECK_VIOLATION, LOCK_NOT_AVAILABLE = "23514", "55P03"

_ALL = "SELECT code, name, symbol, minor_units, round(suspicious_above, minor_units) FROM currency ORDER BY code"
_SAVE = (
    "INSERT INTO currency AS c (code, name, symbol, minor_units, suspicious_above)"
    " VALUES (:code, :name, :symbol, :minor_units, :suspicious_above)"
    " ON CONFLICT (code) DO UPDATE SET name = excluded.name, symbol = excluded.symbol,"
    " minor_units = excluded.minor_units, suspicious_above = excluded.suspicious_above"
    " RETURNING code, name, symbol, minor_units, round(suspicious_above, minor_units)"
)


class Currency(NamedTuple):
    """A currency; `suspicious_above` has the scale of the currency."""

    code: str
    name: str
    symbol: str | None
    minor_units: int
    suspicious_above: Decimal


def currencies(engine: Engine) -> list[Currency]:
    """All currencies, ordered by code."""
    with db.read(engine) as connection:
        return [Currency._make(row) for row in connection.execute(sa.text(_ALL))]


def save_currency(
    engine: Engine, code: str, *, name: str, symbol: str | None, minor_units: int, suspicious_above: Decimal
) -> Currency:
    """Add a currency, or change the one with this code. Idempotent.

    Raises Refused (INVALID_INPUT) with the path of the invalid value, and Unavailable if the decimals are to be reduced
    while payments in the currency are being written.
    """
    values = {
        "code": _code(code),
        "name": _text("name", name, NAME_MAX_CHARS),
        "symbol": None if symbol is None or not symbol.strip() else _text("symbol", symbol, SYMBOL_MAX_CHARS),
        "minor_units": _minor_units(minor_units),
        "suspicious_above": _threshold(suspicious_above, minor_units),
    }
    try:
        with db.write(engine) as connection:
            return Currency._make(connection.execute(sa.text(_SAVE), values).one())
    except DBAPIError as e:
        pgcode = getattr(e.orig, "pgcode", None)
        if pgcode == CHECK_VIOLATION:  # the values themselves are valid: stored payments contradict them
            message = f"Payments in {values['code']} with more than {minor_units} decimals are stored."
            raise Refused(message, path=("minorUnits",)) from e
        if pgcode == LOCK_NOT_AVAILABLE:
            raise Unavailable(f"{values['code']} or payments in it are being written; try again") from e
        raise


def _code(text: str) -> str:
    code = words.currency_code(text.strip())
    if code is None:
        raise Refused(f"code {words.why_not_currency(text.strip())}.", path=("code",))
    return code


def _text(name: str, text: str, chars_max: int) -> str:
    found = text.strip()
    if not 1 <= len(found) <= chars_max or not found.isprintable():
        raise Refused(f"{name} must have 1 to {chars_max} printable characters.", path=(name,))
    return found


def _minor_units(number: int) -> int:
    if not 0 <= number <= amounts.DECIMALS_MAX:
        raise Refused(f"minorUnits must be 0 to {amounts.DECIMALS_MAX}.", path=("minorUnits",))
    return number


def _threshold(amount: Decimal, minor_units: int) -> Decimal:
    text, violations = amounts.read(f"{amount:f}", minor_units)
    if text is None or violations:
        raise Refused(f"suspiciousAbove {violations[0].message}.", path=("suspiciousAbove",))
    return Decimal(text)
