"""Imports: a file is stored, run in chunks, and counted; its row in `imports` is the source of truth.

`acceptance` stores a file, `runner` runs it through the intake, `dry_run` does so without writing payments, `progress`
maintains the row, `rejects` returns the rejected rows as a CSV.
"""

from fcgraph.imports.acceptance import Accepted, Expected, accept
from fcgraph.imports.progress import differences, mismatch_text
from fcgraph.imports.rejects import rejects_csv
from fcgraph.imports.runner import cancel, due, run

__all__ = ["Accepted", "Expected", "accept", "cancel", "differences", "due", "mismatch_text", "rejects_csv", "run"]
