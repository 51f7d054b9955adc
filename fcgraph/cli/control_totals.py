"""Control totals as options of the command line: the number of rows, and the sum of each currency."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal

import typer

from fcgraph.imports import Expected

_TOTAL = re.compile(r"([A-Za-z]{3})=([0-9]+(?:\.[0-9]+)?)")


def read(row_count: int | None, totals: Sequence[str], *, file_count: int) -> Expected | None:
    """The expected control totals of the one file; None when there are none. Raises typer.BadParameter."""
    if row_count is None and not totals:
        return None
    if file_count > 1:
        raise typer.BadParameter("--expect-rows and --expect-total apply to a single file: import it on its own")
    sums: dict[str, Decimal] = {}
    for total in totals:
        match = _TOTAL.fullmatch(total)
        if match is None:
            raise typer.BadParameter(f"{total!r} is not a total such as USD=1000.00", param_hint="--expect-total")
        code = match[1].upper()
        if code in sums:
            raise typer.BadParameter(f"{code} is expected twice", param_hint="--expect-total")
        sums[code] = Decimal(match[2])
    return Expected(row_count, sums)
