"""Resolves many intake records with one mutation: replay and dismissal by filter, within the operation timeout."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from uuid import UUID

from fcgraph.api.context import Context
from fcgraph.errors import Refused
from fcgraph.intake import Replayed, dismiss, dismiss_matching, replay_matching
from fcgraph.intake.open_records import OutOfTime
from fcgraph.record_filter import RecordFilter

# Share of OPERATION_TIMEOUT_SECONDS after which no transaction starts, so that the answer still reaches the client.
TIME_SHARE = 0.7


class Ended:
    """How many records were ended, how many are left, and whether the time ran out."""

    def __init__(self, context: Context) -> None:
        self._until = time.monotonic() + context.settings.operation_timeout_seconds * TIME_SHARE
        self.ended = self.left = 0
        self.refused: Refused | None = None

    def run(self, work: Callable[[Ended], None]) -> Ended:
        """Do the work, which reports its counts here; a refusal is stored for the answer."""
        try:
            work(self)
        except Refused as e:
            self.refused = e
        except OutOfTime:
            message = "The time was not enough for all records; repeat the call to continue."
            self.refused = Refused(message, code="NOT_FINISHED", path=("filter",))
        return self

    def count(self, ended: int, left: int) -> None:
        """Add what one transaction did."""
        self.ended += ended
        self.left += left

    def more_time(self) -> bool:
        """Whether another transaction may start."""
        return time.monotonic() < self._until


def replay_by_filter(context: Context, wanted: RecordFilter) -> tuple[Replayed, Refused | None]:
    """Replay every open rejection that matches the filter; blocking."""
    done = Ended(context).run(
        lambda ended: replay_matching(
            context.resources.engine,
            context.settings,
            wanted,
            context.request_id,
            principal=context.viewer.principal,
            on_batch=ended.count,
            more_time=ended.more_time,
        )
    )
    return Replayed(done.ended, done.left), done.refused


def dismiss_records(
    context: Context, record_ids: Sequence[UUID] | None, wanted: RecordFilter | None, note: str
) -> tuple[int, Refused | None]:
    """Dismiss the records with these ids, or every open rejection that matches the filter; blocking."""
    engine, principal = context.resources.engine, context.viewer.principal

    def work(ended: Ended) -> None:
        if (record_ids is None) == (wanted is None):
            raise Refused("Exactly one of recordIds and filter is needed.", path=("recordIds",))
        if record_ids is not None:
            ended.count(dismiss(engine, record_ids, note, principal=principal), 0)
        if wanted is not None:
            more_time = ended.more_time
            dismiss_matching(engine, wanted, note, principal=principal, on_batch=ended.count, more_time=more_time)

    done = Ended(context).run(work)
    return done.ended, done.refused
