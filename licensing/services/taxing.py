"""The tax on the lines of an order: who sells, who buys, and what that comes to."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Any

from licensing.models import OrderLine, SellerProfile
from licensing.services.tax_numbers import is_confirmed
from licensing.tax.amounts import Line, Taxed, tax_lines, tax_on
from licensing.tax.parties import Buyer, BuyerKind, Seller, read_place
from licensing.tax.rates import RateMissingError, rates_from_settings
from licensing.tax.rules import Assessment, assess, check_rates

if TYPE_CHECKING:
    from licensing.services.pricing import PricedLine


def taxed(
    lines: Sequence["PricedLine"], billing: Mapping[str, Any], *, on: date
) -> list["PricedLine"]:
    """Return the lines with net, tax and gross, reckoned for each seller's document on its own.

    Without an address nothing is known of tax: prices are shown as the seller lists them, and an
    order for money demands the address.

    Args:
        lines: With unit prices and discounts.
        billing: ``BillingAddress.to_json()``, or empty.
        on: Day of the sale.

    Raises:
        BadCountryError, BadRegionError, RateMissingError: see there.
    """
    found = list(lines)
    groups: dict[tuple[int, bool], list[int]] = {}
    for index, line in enumerate(lines):
        groups.setdefault((line.offer.namespace_id, line.offer.is_tax_included), []).append(index)
    taxes = _assessments({seller for seller, _is_included in groups}, billing, on)
    for (seller, is_included), places in groups.items():
        tax = taxes.get(seller)
        rate = tax.rate_basis_points if tax is not None else 0
        amounts = [Line(lines[i].listed_minor - lines[i].discount_minor, rate) for i in places]
        document = tax_lines(amounts, included=is_included)
        for index, part in zip(places, document.lines, strict=True):
            found[index] = replace(
                lines[index],
                net_minor=part.net_minor,
                tax_minor=part.tax_minor,
                gross_minor=part.gross_minor,
                tax=_facts(tax),
            )
    return found


def taxed_again(
    line: OrderLine, billing: Mapping[str, Any], amount_minor: int, *, included: bool, on: date
) -> tuple[Taxed, dict[str, Any]]:
    """Return the tax on a line that is paid again, by the rules of another day.

    Args:
        line: As it was ordered first.
        billing: ``BillingAddress.to_json()`` of the order.
        amount_minor: Its price, discounts taken off.
        included: The price contains the tax.
        on: Day of the new sale.

    Raises:
        BadCountryError, BadRegionError, RateMissingError: see there.
    """
    tax = _assessments({line.seller_id}, billing, on).get(line.seller_id)
    rate = tax.rate_basis_points if tax is not None else 0
    return tax_on(amount_minor, rate, included=included), _facts(tax)


def seller_of(profile: SellerProfile) -> Seller | None:
    """Return a seller as tax sees them; ``None``: they have not said where they are."""
    if not profile.country:
        return None
    return Seller(
        read_place(profile.country, profile.region),
        is_registered=profile.is_registered,
        vat_number=profile.vat_number,
        oss=profile.uses_oss,
        registrations=frozenset(profile.registrations),
    )


def rate_missing(profile: SellerProfile, *, on: date) -> RateMissingError | None:
    """Return what stops sales where a seller collects tax; ``None``: every rate is known.

    It is no fault of theirs and nothing they could mend, so their profile is kept as it is.

    Args:
        profile: As it is, or is to be.
        on: Day of the sales.
    """
    seller = seller_of(profile)
    if seller is None:
        return None
    try:
        check_rates(seller, on, rates_from_settings())
    except RateMissingError as error:
        return error
    return None


def _assessments(
    seller_ids: Collection[int], billing: Mapping[str, Any], on: date
) -> dict[int, Assessment]:
    """Return the tax on what sellers sell to a buyer, by seller; who is left out collects none.

    Two queries, whatever their number; none without an address.
    """
    if not billing.get("country"):
        return {}
    rows = SellerProfile.objects.filter(namespace__in=seller_ids)
    sellers = {row.namespace_id: seller for row in rows if (seller := seller_of(row)) is not None}
    if not sellers:
        return {}
    number = str(billing.get("vat_number") or "")
    buyer = Buyer(  # the checkout shows the tax as soon as the country is known
        read_place(billing["country"], billing.get("region") or ""),
        BuyerKind(billing.get("kind") or BuyerKind.PERSON),
        number,
        vat_checked=bool(number) and is_confirmed(number),
    )
    rates = rates_from_settings()
    return {pk: assess(seller, buyer, on, rates) for pk, seller in sellers.items()}


def _facts(tax: Assessment | None) -> dict[str, Any]:
    """Return what an order keeps of an assessment."""
    if tax is None:
        return {}
    return {
        "kind": tax.kind.value,
        "country": tax.country,
        "region": tax.region,
        "rate_basis_points": tax.rate_basis_points,
        "reason": tax.reason.value,
        "note": tax.note,
    }
