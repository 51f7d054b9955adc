"""A rule that a value breaks, and the reason."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple


class Violation(NamedTuple):
    """A code for programs, and a message for people to which the caller prepends the column's name."""

    code: str
    message: str


class Reasons:
    """Common forms of invalid values, with a message for each. The first form that matches gives the reason.

    All forms are compiled into one pattern, because many rows may have the same fault.
    """

    def __init__(self, forms: Sequence[tuple[str, str]]) -> None:
        pattern = "|".join(f"(?P<form{n}>{form})" for n, (form, _) in enumerate(forms))
        self._pattern = re.compile(pattern, re.IGNORECASE | re.ASCII)
        self._messages = {f"form{n}": message for n, (_, message) in enumerate(forms)}

    def of(self, value: str) -> str | None:
        """The reason; None if the value has none of these forms."""
        match = self._pattern.fullmatch(value)
        return None if match is None or match.lastgroup is None else self._messages[match.lastgroup]
