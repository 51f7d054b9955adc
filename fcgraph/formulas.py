"""The guard of text cells that a spreadsheet would run as a formula: put on in every export, undone by the importer."""

from __future__ import annotations

import re

_FORMULA = re.compile(r"'*[=+\-@\t\r]")


def with_guard(cell: str) -> str:
    """A cell that a spreadsheet would run as a formula, with a quote before it; `without_guard` gives it back exactly.

    Which beginnings are dangerous: OWASP, CSV Injection.
    """
    return "'" + cell if _FORMULA.match(cell) else cell


def without_guard(cell: str) -> str:
    """Undo `with_guard`, and nothing else."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell
