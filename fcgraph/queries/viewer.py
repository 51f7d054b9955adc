"""The viewer of a read: every read takes a Viewer, whose scope is part of the SQL. Authentication is elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Viewer:
    """A user, who may see their own payments, or (`user_id` None) the operator, who sees everything.

    `principal` names the viewer where a decision is recorded, for example `local` or `cli:alice`.
    """

    user_id: UUID | None
    principal: str = "local"


OPERATOR = Viewer(None)
