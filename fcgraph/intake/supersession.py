"""A corrected row that arrives through a rejects file supersedes the rejection that it names.

The old record is resolved whatever the outcome of the row: either the payment is now stored, or the row is itself an
intake record, so the list of open records has it once. An id that does not apply (unknown record, record resolved in
another way, record of another payment) is ignored, because rejects files are edited by hand.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from fcgraph.intake import csv_rows
from fcgraph.intake.batch import Batch
from fcgraph.rules import records

# A file corrected in several rounds still names the first record, which an earlier round has superseded: the search
# follows the chain to the record of the row that replaced it. Applied rows take precedence over rejected ones.
_SUPERSEDE = """
WITH RECURSIVE named (position, transaction_id, applied, record_id) AS (
    SELECT v.position, v.transaction_id, v.applied, v.record_id
      FROM unnest(%(positions)s::bigint[], %(transaction_ids)s::uuid[], %(applied)s::bool[], %(record_ids)s::uuid[])
           AS v (position, transaction_id, applied, record_id)
    UNION
    SELECT n.position, n.transaction_id, n.applied, next.record_id
      FROM named n
      JOIN intake_records r ON r.record_id = n.record_id
      JOIN intake_records next ON next.kind = 'CSV' AND next.import_id = r.superseded_import_id
       AND next.position = r.superseded_position
)
UPDATE intake_records r
   SET resolved_at = now(), resolution = 'SUPERSEDED', superseded_import_id = %(import_id)s,
       superseded_position = s.position
  FROM (SELECT DISTINCT ON (n.record_id) n.record_id, n.position
          FROM named n JOIN intake_records o ON o.record_id = n.record_id
         WHERE coalesce(n.transaction_id = o.transaction_id, true)
           AND (o.import_id, o.position) IS DISTINCT FROM (%(import_id)s::uuid, n.position)
         ORDER BY n.record_id, n.applied DESC, n.position) s
 WHERE r.record_id = s.record_id AND r.kind = 'CSV' AND r.outcome = 'REJECTED' AND r.resolved_at IS NULL
"""


class Correction(NamedTuple):
    """A row that names a record: its line, its payment id if readable, and whether it passed the rules."""

    record_id: str
    position: int
    transaction_id: str | None
    applied: bool


def supersede(cursor: Any, batch: Batch) -> None:
    """Resolve the records named by the rows of the batch, in the batch's transaction after its rows are written."""
    found = list(_corrections(batch))
    if not found:
        return
    cursor.execute(
        _SUPERSEDE,
        {
            "import_id": str(batch.source.import_id),
            "record_ids": [c.record_id for c in found],
            "positions": [c.position for c in found],
            "transaction_ids": [c.transaction_id for c in found],
            "applied": [c.applied for c in found],
        },
    )


def _corrections(batch: Batch) -> Iterator[Correction]:
    if batch.record_at is None:
        return
    for n, transaction_id in enumerate(batch.transaction_ids):
        record_id = _named(batch.raw(n), batch.record_at)
        if record_id is not None:
            yield Correction(record_id, batch.place(n)[1], transaction_id, applied=True)
    for rejected in batch.rejected:
        record_id = _named(rejected.raw, batch.record_at)
        if record_id is not None:
            yield Correction(record_id, rejected.position, rejected.rejection.transaction_id, applied=False)


def _named(raw: bytes, record_at: int) -> str | None:
    """The id in the row's `_record` cell; None if the cell has no id."""
    fields = csv_rows.parse_fields(raw.decode("utf-8", "replace"))
    if isinstance(fields, str) or len(fields) <= record_at:
        return None
    text = fields[record_at].strip()
    return text if records.is_uuid(text) else None
