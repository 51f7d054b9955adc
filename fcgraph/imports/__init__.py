"""The life of an import: bytes are accepted and stored, run as chunks, counted; the row in `imports` is the truth.

`acceptance` takes a file in, `runner` brings it through the intake, `rehearsal` does so without writing payments,
`rejects` gives back what was rejected as a CSV.
"""

from fcgraph.imports.acceptance import Accepted, Expected, accept
from fcgraph.imports.progress import differences, mismatch_text
from fcgraph.imports.rejects import rejects_csv
from fcgraph.imports.runner import cancel, due, run

__all__ = ["Accepted", "Expected", "accept", "cancel", "differences", "due", "mismatch_text", "rejects_csv", "run"]
