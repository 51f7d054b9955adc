"""Amounts: plain digits with an optional sign and decimal point, never rounded; other forms get a specific message.

The canonical text has no leading zeros, no `+` and at most as many decimals as the currency allows. Trailing zeros
beyond that are dropped, because nothing is lost; trailing zeros within it stay as they arrived.
"""

from __future__ import annotations

import re
import unicodedata

from fcgraph.rules.violation import Reasons, Violation

INTEGER_DIGITS_MAX = 15
DECIMALS_MAX = 4  # the scale of the column NUMERIC(20,4)

_REASON_MAX_CHARS = 100  # only this much of a value is searched for the reason
_AMOUNT = re.compile(r"([+-]?)([0-9]+)(?:\.([0-9]+))?")
_UNUSUAL = re.compile(r"[$\x00-\x1f\x7f]")
_PLAIN = "write plain digits such as 250.00"
_NUMBER = r"[+-]?[0-9][0-9.,]*"
_REASONS = Reasons(
    (
        (r"[+-]?(nan|inf|infinity|null|none|n/a|-)", "is not a number; write plain digits such as 250.00"),
        (r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)e[+-]?[0-9]+", "has an exponent; write all digits, such as 1000.00"),
        (r"0x[0-9a-f]+", "is a hexadecimal number; " + _PLAIN),
        (r"\(.*\)", "is in parentheses, which mean a negative amount; an amount is zero or more, such as 250.00"),
        (rf"[a-z]{{3}} ?{_NUMBER}|{_NUMBER} ?[a-z]{{3}}",
         "has a currency code; write the code in the column currency and the number alone here, such as 250.00"),
        (r"[+-]?[0-9.,]+[+-]", "has its sign at the end; write the sign first, or none"),
        (r"[+-]{2,}.*", "has more than one sign; " + _PLAIN),
        (r"[+-] .*", "has a space after its sign; " + _PLAIN),
        (r"[+-]?[0-9]{1,3}(,[0-9]{3})+(\.[0-9]*)?",
         "has a comma, which may separate thousands or decimals; write 1000.00, not 1,000.00"),
        (r"[+-]?[0-9]{1,3}(,[0-9]{2,3})+,[0-9]{3}(\.[0-9]*)?",
         "has commas that separate thousands; write 1000.00, not 1,000.00"),
        (r"[+-]?[0-9]{1,3}(\.[0-9]{3})+,[0-9]*",
         "has a decimal comma and points that separate thousands; write 1000.00, not 1.000,00"),
        (r"[+-]?[0-9]{1,3}(\.[0-9]{3}){2,}", "has points that separate thousands; write 1000000.00, not 1.000.000"),
        (r"[+-]?[0-9]*,[0-9]*", "has a decimal comma; write a point, as in 250.00"),
        (r"[+-]?[0-9]+(['_][0-9]+)+(\.[0-9]*)?", "has thousands separators; write 1000.00 without them"),
        (r"[+-]?([0-9]+\.|\.[0-9]+)", "needs digits on both sides of the point, as in 0.50"),
        (r"[+-]?[0-9.,'_]*[0-9]( [0-9.,'_]+)+", "has a space inside; " + _PLAIN),
        (r".*%", "has a percent sign; " + _PLAIN),
    )
)  # fmt: skip


def read(value: str, decimals_max: int) -> tuple[str | None, list[Violation]]:
    """The canonical text of an amount (None if it is not a number), and the rules it breaks.

    `decimals_max` is the currency's number of minor units, or DECIMALS_MAX if the currency is unknown.
    """
    match = _AMOUNT.fullmatch(value)
    if match is None:
        return None, [Violation("INVALID_AMOUNT", _reason(value))]
    sign, whole, decimals = match[1], match[2].lstrip("0") or "0", match[3] or ""
    if len(whole) > INTEGER_DIGITS_MAX:
        message = f"has more than {INTEGER_DIGITS_MAX} digits before the point, the most that can be stored"
        return None, [Violation("AMOUNT_TOO_LARGE", message)]
    found = []
    needed = decimals.rstrip("0")
    if len(needed) > decimals_max:
        number = f"{len(needed)} decimal{'s' if len(needed) > 1 else ''}"
        message = f"has {number} and its currency allows {decimals_max}; amounts are never rounded"
        found.append(Violation("TOO_MANY_DECIMALS", message))
    else:
        decimals = decimals[:decimals_max]
    negative = sign == "-" and bool((whole + needed).strip("0"))
    if negative:
        found.append(Violation("NEGATIVE_AMOUNT", "is below zero; it must be zero or more"))
    return ("-" if negative else "") + whole + (f".{decimals}" if decimals else ""), found


def _reason(value: str) -> str:
    """What is wrong with a text that is not an amount, and what to write instead."""
    value = value[:_REASON_MAX_CHARS]
    for character in value if not value.isascii() or _UNUSUAL.search(value) else "":
        category = unicodedata.category(character)
        if category == "Sc":
            return f"has the currency symbol {character}; write the number alone, such as 250.00"
        if category == "Cf":
            return f"has an invisible character (U+{ord(character):04X}); {_PLAIN}"
        if category in ("Zs", "Cc") and character != " ":
            name = "a line end" if character in "\r\n" else f"a space of another kind (U+{ord(character):04X})"
            return f"has {name}; {_PLAIN}"
        if category == "Nd" and not character.isascii():
            return f"has digits that are not 0 to 9; {_PLAIN}"
        if category in ("Pd", "Sm") and not character.isascii():
            return f"has the sign {character} (U+{ord(character):04X}); write the ASCII sign -, or none"
    return _REASONS.of(value) or "is not a plain decimal number such as 250.00"
