"""A rule that a value breaks."""

from __future__ import annotations

from typing import NamedTuple


class Violation(NamedTuple):
    """The code for programs and the rest of a sentence for people; the column's name comes before the sentence."""

    code: str
    message: str
