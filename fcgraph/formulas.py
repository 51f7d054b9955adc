"""The guard for cells that a spreadsheet would run as a formula: added by every export, removed by the importer."""

from __future__ import annotations

import re

_FORMULA = re.compile(r"'*[=+\-@\t\r]")


def with_guard(cell: str) -> str:
    """Prefix a quote to a cell that a spreadsheet would run as a formula; `without_guard` restores it exactly.

    For the dangerous first characters see OWASP, CSV Injection.
    """
    return "'" + cell if _FORMULA.match(cell) else cell


def without_guard(cell: str) -> str:
    """Undo `with_guard`, and nothing else."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell
