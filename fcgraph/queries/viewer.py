"""Who asks. Every read takes a Viewer, and its scope is part of the SQL; how a person proves who he is is not here."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Viewer:
    """One who may see his own payments, or (`user_id` None) the operator, who sees everything.

    `principal` names the viewer wherever a decision is recorded, for example `local` or `cli:alice`.
    """

    user_id: UUID | None
    principal: str = "local"


OPERATOR = Viewer(None)
