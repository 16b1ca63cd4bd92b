"""What a draft would bring: what buyers in three places pay, and who gets what of it.

Reckoned by the functions that price orders, so the preview cannot promise something else.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _
from eu_vat_rates_data import is_eu_member

from catalog.models import ModelRepo
from licensing.models import Offer, Price, SellerProfile
from licensing.services import fees
from licensing.services.dividing import reckoned
from licensing.services.offer_checks import NewPrice, OfferDraft, check_prices
from licensing.services.pricing import PricedLine
from licensing.services.seller_profiles import profile_of
from licensing.tax.countries import NEEDS_REGION, country_name, region_name
from licensing.tax.parties import BillingAddress, BuyerKind, Place
from licensing.tax.rates import RateMissingError
from store.core.money import Money

_NUMBERS = {"DE": "DE136695976", "FR": "FR40303265045"}
"""Tax numbers in the right shape, for businesses that do not exist."""


@dataclass(frozen=True, slots=True)
class Part:
    """What one upstream owner gets of a sale."""

    owner: str
    model: str
    basis_points: int
    amount: Money


@dataclass(frozen=True, slots=True)
class Case:
    """One sale of one unit to one kind of buyer.

    Args:
        buyer: Who, in words.
        pays: With tax; ``None``: it cannot be sold there, and ``problem`` says why.
        tax: Of that.
        tax_basis_points: Its rate.
        note: What documents say about the tax.
        fee: What the store keeps.
        shares: What upstream owners get.
        receives: What is left to the seller, without the tax.
        problem: Why it cannot be sold to this buyer; empty: it can.
    """

    buyer: str
    pays: Money | None = None
    tax: Money | None = None
    tax_basis_points: int = 0
    note: str = ""
    fee: Money | None = None
    shares: tuple[Part, ...] = ()
    receives: Money | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Preview:
    """What a draft comes to in each currency it is priced in."""

    by_currency: tuple[tuple[str, tuple[Case, ...]], ...]
    fee_basis_points: int
    knows_tax: bool
    """The seller has said where they are; without, no tax is reckoned."""


def preview(
    repos: Sequence[ModelRepo], draft: OfferDraft, *, at: datetime | None = None
) -> Preview:
    """Work out what a draft would bring at a moment (now). Nothing is kept.

    Args:
        repos: What it would sell, of one owner, at least one.
        draft: Only its kind, its prices and whether tax is in them count.
        at: For launch prices, fees and rates.

    Raises:
        BadOfferError, BadAmountError, BadCurrencyError: the prices make no sense.
    """
    check_prices(draft)
    at = at or timezone.now()
    seller = repos[0].namespace
    profile = profile_of(seller)
    buyers = _buyers(profile)
    offer = Offer(namespace=seller, kind=draft.kind, is_tax_included=draft.is_tax_included)
    prices = () if draft.kind == Offer.Kind.FREE else draft.prices
    found = []
    for price in prices:
        currency = price.currency.strip().upper()
        line = PricedLine(offer, tuple(repos), 1, _unit(draft, price, at))
        cases = [_case(line, currency, words, billing, at) for words, billing in buyers]
        found.append((currency, tuple(cases)))
    return Preview(tuple(found), fees.fee_rate(seller, at), bool(profile.country))


def _unit(draft: OfferDraft, price: NewPrice, at: datetime) -> int:
    """Return what one unit costs, as the shelf shows it first."""
    row = Price(
        amount_minor=price.amount_minor,
        launch_minor=price.launch_minor,
        launch_from=price.launch_from,
        launch_until=price.launch_until,
    )
    if draft.kind == Offer.Kind.PAY_WHAT_YOU_WANT:
        return max(row.at(at), price.suggested_minor or 0)
    return row.at(at)


def _buyers(profile: SellerProfile) -> list[tuple[str, dict[str, Any]]]:
    """Return typical buyers: at home, a business in the EU, and abroad, with their address."""
    home = profile.country
    if not home:
        return [(_("Anybody"), {})]
    found = [_person(home, profile.region if home in NEEDS_REGION else "")]
    if is_eu_member(home):
        found.append(_business("FR" if home != "FR" else "DE"))
        found.append(_person("US", "NY"))
    else:
        found.append(_business("DE"))
        found.append(_person("DE") if home == "US" else _person("US", "NY"))
    return found


def _person(country: str, region: str = "") -> tuple[str, dict[str, Any]]:
    place = country_name(country)
    if region:
        place = f"{region_name(country, region)}, {place}"
    words = _("A person in %(place)s") % {"place": place}
    return words, _address(BuyerKind.PERSON, Place(country, region))


def _business(country: str) -> tuple[str, dict[str, Any]]:
    words = _("A business in %(place)s") % {"place": country_name(country)}
    return words, _address(BuyerKind.BUSINESS, Place(country), _NUMBERS[country])


def _address(kind: BuyerKind, place: Place, vat_number: str = "") -> dict[str, Any]:
    """Return an address of nobody, of which only the place and the number count."""
    name = "Example"
    return BillingAddress(kind, name, (name,), "", name, place, vat_number).to_json()


def _case(
    line: PricedLine, currency: str, words: str, billing: Mapping[str, Any], at: datetime
) -> Case:
    try:
        sold = reckoned([line], billing, at)[0]
    except RateMissingError as error:  # an order would be told the same
        return Case(words, problem=error.message)
    tax = sold.tax or {}
    names = _owners({share.repo_id for share in sold.shares})
    shares = tuple(
        Part(*names[share.repo_id], share.basis_points, Money(share.amount_minor, currency))
        for share in sold.shares
    )
    left = sold.net_minor - sold.fee_minor - sum(share.amount_minor for share in sold.shares)
    return Case(
        buyer=words,
        pays=Money(sold.gross_minor, currency),
        tax=Money(sold.tax_minor, currency),
        tax_basis_points=tax.get("rate_basis_points", 0),
        note=tax.get("note", ""),
        fee=Money(sold.fee_minor, currency),
        shares=shares,
        receives=Money(left, currency),
    )


def _owners(repo_ids: set[int]) -> dict[int, tuple[str, str]]:
    """Return owner and model by name."""
    if not repo_ids:
        return {}
    rows = ModelRepo.objects.filter(pk__in=repo_ids).select_related("namespace")
    return {row.pk: (row.namespace.name, row.full_name) for row in rows}
