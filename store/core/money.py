"""Amounts of money: whole minor units and a currency, never a fraction, never a float.

Currencies and their decimals are those of ISO 4217 (the ``iso4217`` package); how an amount is
written for people comes from Babel's locale data.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache

from babel.core import UnknownLocaleError
from babel.numbers import format_currency
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from iso4217 import Currency

from store.core.errors import InvalidError

MAX_MINOR = 10**12
"""Largest amount one price, line or order may have, in minor units (ten milliard euros)."""
BASIS_POINTS = 10_000
"""Rates are whole numbers of hundredths of a percent: 10,000 is all of it."""
_WRITTEN = re.compile(r"\d{1,13}(?:[.,]\d{1,4})?")


class BadAmountError(InvalidError):
    """Not an amount of this currency that the store can hold."""

    code = "bad_amount"


class BadCurrencyError(InvalidError):
    """No currency of ISO 4217 that money can be paid in."""

    code = "bad_currency"


class CurrencyMismatchError(InvalidError):
    """Two amounts of different currencies were to be joined."""

    code = "currency_mismatch"


@cache
def currencies() -> dict[str, int]:
    """Return the decimals of every currency people pay in, by its three letters."""
    return {item.code: item.exponent for item in Currency if item.exponent is not None}


def check_currency(code: str) -> str:
    """Return ``code`` in capitals.

    Raises:
        BadCurrencyError: it is no currency (metals and test codes are none).
    """
    found = code.strip().upper()
    if found not in currencies():
        raise BadCurrencyError(
            _("'%(code)s' is no currency. Use three letters of ISO 4217, as EUR.")
            % {"code": code[:12]}
        )
    return found


@dataclass(frozen=True, slots=True, order=False)
class Money:
    """An amount.

    Args:
        amount_minor: In the currency's smallest unit (cents); may be negative.
        currency: Three capitals of ISO 4217.
    """

    amount_minor: int
    currency: str

    def __add__(self, other: "Money") -> "Money":
        return Money(self.amount_minor + self._same(other).amount_minor, self.currency)

    def __sub__(self, other: "Money") -> "Money":
        return Money(self.amount_minor - self._same(other).amount_minor, self.currency)

    def __neg__(self) -> "Money":
        return Money(-self.amount_minor, self.currency)

    def __str__(self) -> str:
        return show(self)

    def _same(self, other: "Money") -> "Money":
        if other.currency != self.currency:
            raise CurrencyMismatchError(
                f"{self.currency} and {other.currency} cannot be added.",
                currencies=[self.currency, other.currency],
            )
        return other

    @property
    def decimal(self) -> Decimal:
        """The amount in whole units, exactly: 1900 EUR cents are ``19.00``."""
        return Decimal(self.amount_minor).scaleb(-currencies()[self.currency])


def read_number(text: str) -> Decimal:
    """Return what a person wrote, as ``19``, ``19.5`` or ``19,50``, whatever the currency.

    Raises:
        BadAmountError: no number, negative, more than four decimals, or too much.
    """
    text = text.strip()
    if not _WRITTEN.fullmatch(text) or not text.isascii():
        raise BadAmountError(_("Write the amount as a number, such as 19 or 19.50."))
    value = Decimal(text.replace(",", "."))
    if value > MAX_MINOR:
        raise BadAmountError(_("That is more than anything costs."))
    return value


def read_amount(text: str, currency: str) -> Money:
    """Return what a person wrote, as ``19``, ``19.5`` or ``19,50``.

    Raises:
        BadCurrencyError: no such currency.
        BadAmountError: no number, negative, more decimals than the currency has, or too much.
    """
    currency = check_currency(currency)
    decimals = currencies()[currency]
    value = read_number(text)
    minor = value.scaleb(decimals)
    if minor != minor.to_integral_value():
        raise BadAmountError(
            _("%(currency)s has %(n)d decimals.") % {"currency": currency, "n": decimals}
        )
    return check_amount(Money(int(minor), currency))


def check_amount(money: Money) -> Money:
    """Return ``money`` if it can be a price.

    Raises:
        BadAmountError: negative, or more than ``MAX_MINOR``.
    """
    if not 0 <= money.amount_minor <= MAX_MINOR:
        raise BadAmountError(
            _("An amount is between 0 and %(most)s.")
            % {"most": show(Money(MAX_MINOR, money.currency))}
        )
    return money


def show(money: Money, locale: str | None = None, *, is_brief: bool = False) -> str:
    """Return the amount for people, as ``€19.00``, in the language of the page.

    Args:
        money: What to show.
        locale: A language code of Django's; ``None``: the active one.
        is_brief: Leave decimals out where all are 0: ``€19``.
    """
    language = (locale or get_language() or "en").replace("-", "_")
    decimals = currencies()[money.currency]
    if is_brief and money.amount_minor % 10**decimals == 0:
        decimals = 0
    pattern = "¤#,##0" + ("." + "0" * decimals if decimals else "")
    pattern = f"{pattern};-{pattern}"
    try:
        return format_currency(
            money.decimal, money.currency, pattern, locale=language, currency_digits=False
        )
    except (UnknownLocaleError, ValueError):
        return format_currency(
            money.decimal, money.currency, pattern, locale="en", currency_digits=False
        )


def share_of(amount_minor: int, basis_points: int) -> int:
    """Return so many hundredths of a percent of an amount, rounded half away from zero.

    Args:
        amount_minor: In minor units; may be negative.
        basis_points: 0 to 10,000, or more for a tax above 100 %.
    """
    sign = -1 if amount_minor < 0 else 1
    scaled = abs(amount_minor) * basis_points
    return sign * ((scaled + BASIS_POINTS // 2) // BASIS_POINTS)


def spread(amount_minor: int, weights: Sequence[int]) -> list[int]:
    """Divide an amount by weights so that the parts add up to it exactly.

    Largest remainders get the units that rounding leaves; equal ones in order.

    Args:
        amount_minor: In minor units, from 0.
        weights: Each from 0. All zero: everything goes to the first.

    Raises:
        ValueError: no weights, or a negative number.
    """
    if not weights or amount_minor < 0 or min(weights) < 0:
        raise ValueError("Amounts and weights are not negative, and there is at least one weight.")
    total = sum(weights)
    if total == 0:
        return [amount_minor, *([0] * (len(weights) - 1))]
    parts = [amount_minor * weight // total for weight in weights]
    rests = [amount_minor * weight % total for weight in weights]
    order = sorted(range(len(weights)), key=lambda index: (-rests[index], index))
    for index in order[: amount_minor - sum(parts)]:
        parts[index] += 1
    return parts
