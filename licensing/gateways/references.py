"""The reference a payer writes on a bank transfer: an ISO 11649 creditor reference.

It is short enough to type, two check digits catch each digit or letter taken for another and all
but about 1 % of digits taken for letters (ISO 7064, mod 97-10), and banks' own forms know it. Its
body is the beginning of the order's public id, which says nothing of how many orders a
store has: 48 random bits, so that two orders that share one are not to be expected, and are never
guessed between.
"""

import re

from stdnum import iso11649
from stdnum.iso7064 import mod_97_10

ID_CHARS = 12
"""Of the order's public id."""
_LENGTH = 4 + ID_CHARS
_SHAPE = re.compile(rf"RF[0-9]{{2}}[0-9A-F]{{{ID_CHARS}}}")
_NOISE = re.compile(r"[^0-9A-Z]")


def reference_of(order_ref: str) -> str:
    """Return the reference of an order, 16 letters and digits.

    Args:
        order_ref: Its public id, lower-case hex.
    """
    body = order_ref[:ID_CHARS].upper()
    return f"RF{mod_97_10.calc_check_digits(body + 'RF')}{body}"


def shown(reference: str) -> str:
    """Return a reference in groups of four, as people copy it."""
    return str(iso11649.format(reference))


def find(text: str) -> list[str]:
    """Return what orders' public ids begin with, for each good reference in a payer's words.

    Banks break lines, drop spaces and join fields, so spaces and signs do not count.
    """
    plain = _NOISE.sub("", text.upper())
    starts = [match.start() for match in re.finditer("RF", plain)]
    found = [plain[start : start + _LENGTH] for start in starts]
    good = [item for item in found if _SHAPE.fullmatch(item) and iso11649.is_valid(item)]
    return list(dict.fromkeys(item[4:].lower() for item in good))
