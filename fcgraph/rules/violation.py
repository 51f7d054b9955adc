"""A rule that a value breaks, and why."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple


class Violation(NamedTuple):
    """The code for programs and the rest of a sentence for people; the column's name comes before the sentence."""

    code: str
    message: str


class Reasons:
    """Forms that wrong values often have, and what to say about each. The first form that fits is the reason.

    One pattern for all of them: many rows may be wrong in the same way.
    """

    def __init__(self, forms: Sequence[tuple[str, str]]) -> None:
        pattern = "|".join(f"(?P<form{n}>{form})" for n, (form, _) in enumerate(forms))
        self._pattern = re.compile(pattern, re.IGNORECASE | re.ASCII)
        self._messages = {f"form{n}": message for n, (_, message) in enumerate(forms)}

    def of(self, value: str) -> str | None:
        """The reason; None when the value has none of these forms."""
        match = self._pattern.fullmatch(value)
        return None if match is None or match.lastgroup is None else self._messages[match.lastgroup]
