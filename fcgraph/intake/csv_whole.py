"""Rows that stand whole in the first cell of a rejects file, because laid out in cells they would lose what is wrong.

A person corrects such a row in that cell. One that comes back unchanged stays rejected, even where it would pass as it
is written there: a file cut off within an amount, an unreadable byte in a column that is ignored. So the cell with the
problems ends with a mark of the row's text.
"""

from __future__ import annotations

import hashlib
import re

WHOLE = ("INVALID_CSV", "INVALID_ENCODING", "EXTRA_VALUES")
_MARK = re.compile(r" \[row ([0-9a-f]{12})\]\s*$")
_CODE = re.compile(rf"({'|'.join(WHOLE)}): ")
_UNCHANGED = "the row came back unchanged; correct it in its first cell: "


def with_mark(problems: str, text: str) -> str:
    """The problems of a row that stands whole, with the mark of its text."""
    return f"{problems} [row {_digest(text)}]"


def unchanged(problems: str, text: str) -> tuple[str, str] | None:
    """Code and message of the problem that a row still has, given the cell with its problems; None when it changed.

    Whoever empties that cell says that the row is right.
    """
    code = _CODE.search(problems)
    mark = _MARK.search(problems)
    if code is None or (mark is not None and mark[1] != _digest(text)):
        return None
    message = _MARK.sub("", problems[code.end() :]).removeprefix(_UNCHANGED)
    return code[1], _UNCHANGED + message


def _digest(text: str) -> str:
    """Of the text without line ends and blanks, which spreadsheets change."""
    return hashlib.sha256("".join(text.split()).encode("utf-8")).hexdigest()[:12]
