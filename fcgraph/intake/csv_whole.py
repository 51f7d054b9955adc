"""Rows stored whole in the first cell of a rejects file, because splitting them into cells would lose their fault.

A person corrects such a row in that cell. A row that comes back unchanged stays rejected, even if its text would now
pass: a file truncated within an amount, an undecodable byte in an ignored column. To detect that, the cell with the
problems ends with a digest of the row's text.
"""

from __future__ import annotations

import hashlib
import re

WHOLE = ("INVALID_CSV", "INVALID_ENCODING", "EXTRA_VALUES")
_MARK = re.compile(r" \[row ([0-9a-f]{12})\]\s*$")
_CODE = re.compile(rf"({'|'.join(WHOLE)}): ")
_UNCHANGED = "the row came back unchanged; correct it in its first cell: "


def with_mark(problems: str, text: str) -> str:
    """The problems of a row stored whole, with the digest of its text."""
    return f"{problems} [row {_digest(text)}]"


def unchanged(problems: str, text: str) -> tuple[str, str] | None:
    """Code and message of the problem that an unchanged row still has, from its problems cell; None if it was changed.

    Emptying that cell confirms that the row is correct.
    """
    code = _CODE.search(problems)
    mark = _MARK.search(problems)
    if code is None or (mark is not None and mark[1] != _digest(text)):
        return None
    message = _MARK.sub("", problems[code.end() :]).removeprefix(_UNCHANGED)
    return code[1], _UNCHANGED + message


def _digest(text: str) -> str:
    """A digest of the text without line ends and blanks, which spreadsheets change."""
    return hashlib.sha256("".join(text.split()).encode("utf-8")).hexdigest()[:12]
