"""Prices with and without tax, in whole minor units.

Everything counts in the currency's smallest unit, so currencies without decimals need no case of
their own. Rounding is half away from zero, as in ``store.core.money``.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from store.core.money import BASIS_POINTS, share_of, spread


@dataclass(frozen=True, slots=True)
class Taxed:
    """An amount and its tax: ``net_minor + tax_minor == gross_minor``, always.

    Args:
        net_minor: Without tax, in minor units.
        tax_minor: The tax.
        gross_minor: With tax: what is paid.
    """

    net_minor: int
    tax_minor: int
    gross_minor: int


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a document.

    Args:
        amount_minor: Its price in minor units, for all its pieces together, discounts taken off.
        rate_basis_points: Its rate, from 0.
    """

    amount_minor: int
    rate_basis_points: int


@dataclass(frozen=True, slots=True)
class RateSum:
    """What all lines of one rate come to.

    Args:
        rate_basis_points: The rate.
        taxed: Their sum and its tax.
    """

    rate_basis_points: int
    taxed: Taxed


@dataclass(frozen=True, slots=True)
class TaxedDocument:
    """Lines with their tax, and the sums; each sum is that of the lines exactly.

    Args:
        lines: In the order they were given.
        rates: One for each rate, the highest first.
        total: Of everything.
    """

    lines: tuple[Taxed, ...]
    rates: tuple[RateSum, ...]
    total: Taxed


def tax_on(amount_minor: int, rate_basis_points: int, *, included: bool) -> Taxed:
    """Return an amount with its tax.

    Args:
        amount_minor: In minor units; negative for what is given back.
        rate_basis_points: Hundredths of a percent, from 0.
        included: The amount contains the tax already; otherwise it comes on top.

    Raises:
        ValueError: the rate is negative.
    """
    if rate_basis_points < 0:
        raise ValueError("A rate of tax is not negative.")
    if not included:
        tax = share_of(amount_minor, rate_basis_points)
        return Taxed(amount_minor, tax, amount_minor + tax)
    sign = -1 if amount_minor < 0 else 1
    whole = BASIS_POINTS + rate_basis_points
    tax = sign * ((2 * abs(amount_minor) * rate_basis_points + whole) // (2 * whole))
    return Taxed(amount_minor - tax, tax, amount_minor)


def tax_lines(lines: Sequence[Line], *, included: bool) -> TaxedDocument:
    """Return the tax of a document: reckoned on the sum of each rate, spread over its lines.

    So the document's tax is rounded once for each rate, however many lines it has.

    Args:
        lines: None, or all to pay, or all to give back.
        included: Prices contain the tax already.

    Raises:
        ValueError: a negative rate, or amounts of both signs at one rate.
    """
    shares = [0] * len(lines)
    rates = []
    for rate in sorted({line.rate_basis_points for line in lines}, reverse=True):
        places = [index for index, line in enumerate(lines) if line.rate_basis_points == rate]
        amounts = [lines[index].amount_minor for index in places]
        if min(amounts) < 0 < max(amounts):
            raise ValueError("Take discounts off the lines: at one rate all have the same sign.")
        taxed = tax_on(sum(amounts), rate, included=included)
        rates.append(RateSum(rate, taxed))
        sign = -1 if taxed.tax_minor < 0 else 1
        parts = spread(abs(taxed.tax_minor), [abs(amount) for amount in amounts])
        for index, part in zip(places, parts, strict=True):
            shares[index] = sign * part
    taxed_lines = tuple(
        _line(line.amount_minor, share, included=included)
        for line, share in zip(lines, shares, strict=True)
    )
    return TaxedDocument(taxed_lines, tuple(rates), _sum([item.taxed for item in rates]))


def _line(amount_minor: int, tax_minor: int, *, included: bool) -> Taxed:
    net = amount_minor - tax_minor if included else amount_minor
    return Taxed(net, tax_minor, net + tax_minor)


def _sum(parts: Sequence[Taxed]) -> Taxed:
    return Taxed(
        sum(part.net_minor for part in parts),
        sum(part.tax_minor for part in parts),
        sum(part.gross_minor for part in parts),
    )
