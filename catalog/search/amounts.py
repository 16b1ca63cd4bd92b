"""Numbers as people write them: ``125M`` parameters, ``1.5 GB``."""

import re

from django.utils.translation import gettext as _

from store.core.errors import InvalidError
from store.core.ui.figures import count_text, size_text

MAX_AMOUNT = 2**63 - 1

_PARAMETERS = {"": 1, "k": 10**3, "m": 10**6, "b": 10**9, "t": 10**12}
_BYTES = {"": 1, "b": 1}
_BYTES |= {
    **{f"{unit}{b}": 1000**n for n, unit in enumerate("kmgt", start=1) for b in ("", "b")},
    **{f"{unit}i{b}": 1024**n for n, unit in enumerate("kmgt", start=1) for b in ("", "b")},
}
_UNITS = {"parameters": _PARAMETERS, "size": _BYTES}
_SHAPE = re.compile(r"([0-9]{1,19})(?:\.([0-9]{1,9}))? ?([a-z]{0,3})", re.ASCII)


class BadAmountError(InvalidError):
    """The text is no number of this kind."""

    code = "bad_amount"


def parse_amount(text: str, *, measure: str) -> int:
    """Return the number of parameters or bytes that ``text`` means.

    Args:
        text: As ``125M``, ``1.5B``, ``7000000`` (parameters) or ``500 MB``, ``1.5GiB`` (size).
        measure: ``parameters`` or ``size``.

    Raises:
        BadAmountError: it is none, or too large.
    """
    units = _UNITS[measure]
    match = _SHAPE.fullmatch(text.strip().lower())
    if match is None or match[3] not in units:
        example = "125M or 1.5B" if measure == "parameters" else "500MB or 1.5GB"
        raise BadAmountError(f"'{text[:40]}' is no number. Write it as {example}.")
    whole, part, unit = match[1], match[2] or "", units[match[3]]
    amount: int = int(whole + part) * unit // 10 ** len(part)
    if amount > MAX_AMOUNT:
        raise BadAmountError(f"'{text[:40]}' is too large.")
    return amount


def format_amount(amount: int, *, measure: str) -> str:
    """Return ``amount`` so that ``parse_amount`` gives it back: in the largest unit that fits."""
    units = {"parameters": "TBMK", "size": "TGMk"}[measure]
    for power, unit in zip((12, 9, 6, 3), units, strict=True):
        if amount and amount % 10**power == 0:
            return f"{amount // 10**power}{unit}{'B' if measure == 'size' else ''}"
    return str(amount)


def amount_text(amount: int, *, measure: str) -> str:
    """Return ``amount`` for people: rounded, with a space before the unit."""
    return size_text(amount) if measure == "size" else count_text(amount)


def range_text(low: str, high: str) -> str:
    """Return two ends, either of which may be empty, as one text."""
    if low and high:
        return _("%(low)s to %(high)s") % {"low": low, "high": high} if low != high else low
    return f"\u2265 {low}" if low else f"\u2264 {high}"
