"""Ids, currencies and statuses: their form, and how to fix a value that does not have it."""

from __future__ import annotations

import re
import unicodedata

STATUSES = ("pending", "completed", "failed")

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE | re.ASCII)
_HEX_AND_DASHES = re.compile(r"[0-9a-f-]+", re.ASCII)
_CURRENCY = re.compile(r"[A-Z]{3}")
_EXAMPLE_ID = "00000000-0000-0000-0000-000000000001"
# Names for the three statuses in other systems; ambiguous words are left out.
_SYNONYMS = {
    "completed": "approved captured closed complete confirmed done executed finished ok paid posted processed sent"
    " settled success successful succeeded",
    "pending": "authorized created initiated new open processing queued scheduled submitted waiting",
    "failed": "aborted cancelled canceled declined denied error expired fail failure refused rejected",
}
_STATUS_OF = {word: status for status, words in _SYNONYMS.items() for word in words.split()}


def is_uuid(text: str) -> bool:
    """Whether the text is a UUID in the accepted form: canonical, in lower or upper case."""
    return _UUID.fullmatch(text) is not None


def currency_code(text: str) -> str | None:
    """The code in upper case; None if the text is not a code of three letters."""
    # upper() alone would turn other scripts into ASCII letters (the long s becomes S).
    code = text.upper() if text.isascii() else ""
    return code if _CURRENCY.fullmatch(code) else None


def status(text: str) -> str | None:
    """The status in lower case; None if it is not one of the three."""
    found = text.lower() if text.isascii() else ""
    return found if found in STATUSES else None


def why_not_uuid(text: str) -> str:
    """How to fix a text that is not a UUID."""
    lower = text.lower()
    if lower.startswith("urn:uuid:"):
        return "has the prefix urn:uuid:; write the UUID without it"
    if text[:1] in "{(" and text[-1:] in "})":
        return "is in braces; write the UUID without them"
    if not _HEX_AND_DASHES.fullmatch(lower):
        if any(c.isspace() for c in text) and is_uuid("".join(text.split())):
            return "has a space inside; write the UUID without it"
        return f"is not a UUID like {_EXAMPLE_ID}"
    digits = lower.replace("-", "")
    if len(digits) != 32:
        return f"is not a UUID: a UUID has 32 hexadecimal digits, and this has {len(digits)}"
    if "-" not in lower:
        return f"has no dashes; write it as {lower[:8]}-{lower[8:12]}-{lower[12:16]}-{lower[16:20]}-{lower[20:]}"
    return f"has its dashes in the wrong places; a UUID looks like {_EXAMPLE_ID}"


def why_not_currency(text: str) -> str:
    """How to fix a text that is not a currency code."""
    if any(unicodedata.category(c) == "Sc" for c in text):
        return "has a currency symbol; write the code of three letters, such as USD"
    if re.fullmatch(r"[0-9]{3}", text, re.ASCII):
        return "is a numeric code; write the code of three letters, such as USD"
    return "must be a code of three letters A to Z, such as USD"


def why_not_status(text: str) -> str:
    """The allowed statuses, and which of them this word usually means."""
    rule = "must be pending, completed or failed"
    meant = _STATUS_OF.get(text.lower())
    return f"{rule}; {text} usually means {meant}" if meant else rule
