"""What a wish costs: the one place that computes prices, discounts, tax, fees and shares.

Everything a buyer agrees to is in the digest of the result, so a quote that is priced again later
either comes out the same or is known to be stale.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _

from catalog.models import ModelRepo
from licensing.models import Coupon, Offer, Price
from licensing.services import coupons, extending, sellability, taxing
from licensing.services.dividing import PricedShare, reckoned
from store.core.errors import ConflictError, InvalidError, NotFoundError
from store.core.money import MAX_MINOR, Money, check_currency, show

MAX_LINES = 20
"""Offers in one order."""
MAX_QUANTITY = 10_000
"""Units of one offer in one order."""
MAX_SEATS = 1_000_000_000
"""Seats of one line: what the database can count."""


class OfferNotFoundError(NotFoundError):
    """There is no such offer, or not for this person."""

    code = "offer_not_found"


class OfferClosedError(ConflictError):
    """The offer is not for sale any more, or not now."""

    code = "offer_closed"


class NotOfferedInCurrencyError(InvalidError):
    """The offer has no price in this currency; ``extra.currencies`` has those it has."""

    code = "currency_not_offered"


class BadQuantityError(InvalidError):
    """Fewer than one unit, or more than an order takes."""

    code = "bad_quantity"


class AmountTooLowError(InvalidError):
    """Less than the seller takes; ``extra.least_minor`` is that."""

    code = "amount_too_low"


class BadWishError(InvalidError):
    """The offers cannot be bought together, or there are none."""

    code = "bad_wish"


@dataclass(frozen=True, slots=True)
class Item:
    """One offer somebody wants.

    Args:
        offer: Its public id.
        quantity: Units, 1 to ``MAX_QUANTITY``.
        amount_minor: Pay-what-you-want: what they give for one unit; ``None``: as suggested.
    """

    offer: str
    quantity: int = 1
    amount_minor: int | None = None


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody wants to buy.

    Args:
        items: At least one, each offer once.
        currency: In which to pay.
        holder_id: The name space that gets the licenses.
        billing: Name and address, ``BillingAddress.to_json()``; may be empty when nothing is due.
        coupon: A code; empty: none.
        extends: Public id of the license to give another term; empty: new licenses are made.
    """

    items: tuple[Item, ...]
    currency: str
    holder_id: int
    billing: Mapping[str, Any]
    coupon: str = ""
    extends: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return what a quote keeps."""
        return asdict(self) | {"items": [asdict(item) for item in self.items]}

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> "Wish":
        """Return the wish a quote kept."""
        items = tuple(Item(**item) for item in kept["items"])
        return cls(**dict(kept) | {"items": items})


@dataclass(frozen=True, slots=True)
class PricedLine:
    """One offer with everything it comes to. Amounts are minor units of the wish's currency."""

    offer: Offer
    repos: tuple[ModelRepo, ...]
    quantity: int
    unit_minor: int
    discount_minor: int = 0
    net_minor: int = 0
    tax_minor: int = 0
    gross_minor: int = 0
    fee_minor: int = 0
    tax: Mapping[str, Any] | None = None
    shares: tuple[PricedShare, ...] = ()
    discount_periods: int | None = None
    later: "PricedLine | None" = None
    """What each period of a subscription comes to after those; ``None``: what this one does."""

    @property
    def listed_minor(self) -> int:
        """What the seller's page says it costs, before a coupon."""
        return self.unit_minor * self.quantity

    @property
    def later_gross_minor(self) -> int | None:
        """What each later period costs; ``None``: what this one does."""
        return self.later.gross_minor if self.later else None

    @property
    def detail(self) -> str:
        """The models by name."""
        return ", ".join(repo.full_name for repo in self.repos)

    def to_json(self) -> dict[str, Any]:
        """Return what the buyer sees and agrees to."""
        offer = self.offer
        return {
            "offer": offer.public_id,
            "version": offer.version,
            "title": offer.title,
            "models": [repo.full_name for repo in self.repos],
            "kind": offer.kind,
            "interval": offer.interval,
            "quantity": self.quantity,
            "unit_minor": self.unit_minor,
            "discount_minor": self.discount_minor,
            "net_minor": self.net_minor,
            "tax_minor": self.tax_minor,
            "gross_minor": self.gross_minor,
            "discount_periods": self.discount_periods,
            "later_gross_minor": self.later_gross_minor,
            "tax": dict(self.tax or {}),
            "terms": {"sha256": offer.terms_id, "title": offer.terms.title},
            "rights": offer.rights,
            "seats": offer.seats * self.quantity,
            "seat_kind": offer.seat_kind,
            "term_days": offer.term_days,
            "updates": offer.updates,
        }


@dataclass(frozen=True, slots=True)
class Priced:
    """A wish with everything it comes to."""

    wish: Wish
    lines: tuple[PricedLine, ...]
    coupon: Coupon | None
    at: datetime

    @property
    def listed_minor(self) -> int:
        """What the sellers' pages say it costs, before a coupon."""
        return sum(line.listed_minor for line in self.lines)

    @property
    def discount_minor(self) -> int:
        """What the coupon takes off."""
        return sum(line.discount_minor for line in self.lines)

    @property
    def net_minor(self) -> int:
        """Without tax."""
        return sum(line.net_minor for line in self.lines)

    @property
    def tax_minor(self) -> int:
        """The tax on all lines."""
        return sum(line.tax_minor for line in self.lines)

    @property
    def gross_minor(self) -> int:
        """What is to be paid."""
        return sum(line.gross_minor for line in self.lines)

    @property
    def terms(self) -> frozenset[str]:
        """Hashes of all terms to be accepted."""
        return frozenset(line.offer.terms_id for line in self.lines)

    def to_json(self) -> dict[str, Any]:
        """Return what the buyer sees and agrees to."""
        return {
            "currency": self.wish.currency,
            "lines": [line.to_json() for line in self.lines],
            "net_minor": self.net_minor,
            "tax_minor": self.tax_minor,
            "gross_minor": self.gross_minor,
            "coupon": self.coupon.code if self.coupon else "",
            "extends": self.wish.extends,
        }

    @property
    def digest(self) -> str:
        """SHA-256 of all the buyer agrees to."""
        text = json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


def price(wish: Wish, *, buyer_id: int, at: datetime | None = None) -> Priced:
    """Work out what ``wish`` costs ``buyer_id`` at a moment (now).

    Raises:
        BadWishError, OfferNotFoundError, OfferClosedError, NotOfferedInCurrencyError,
        BadQuantityError, AmountTooLowError, CouponError, LicenseNotFoundError,
        NotExtendableError: see there.
    """
    at = at or timezone.now()
    currency = check_currency(wish.currency)
    wish = replace(wish, currency=currency)
    offers = _offers(wish)
    lines = [_listed(item, offers[item.offer], currency, at) for item in wish.items]
    if wish.extends:
        items = [(line.offer, line.quantity) for line in lines]
        extending.check(wish.extends, holder_id=wish.holder_id, items=items)
    coupon = None
    if wish.coupon:
        chosen = [line.offer for line in lines]
        coupon = coupons.find(wish.coupon, chosen, buyer_id=buyer_id, currency=currency, at=at)
        lines = coupons.discounted(lines, coupon)
    lines = reckoned(lines, wish.billing, at)
    if sum((line.later or line).gross_minor for line in lines) > MAX_MINOR:
        raise BadQuantityError(
            _("An order comes to at most %(most)s.") % {"most": show(Money(MAX_MINOR, currency))}
        )
    return Priced(wish, tuple(lines), coupon, at)


def _offers(wish: Wish) -> dict[str, Offer]:
    """Return the offers of a wish by public id, checked to be sold together."""
    names = Counter(item.offer for item in wish.items)
    if not names:
        raise BadWishError(_("Choose at least one offer."))
    if len(names) > MAX_LINES:
        raise BadWishError(_("An order has at most %(n)d offers.") % {"n": MAX_LINES})
    if twice := [name for name, count in names.items() if count > 1]:
        raise BadWishError(_("Ask for each offer once, with a quantity."), offers=twice)
    shelf = look_up(names)
    for item in wish.items:
        _check_for_sale(shelf, item, wish.holder_id)
    found = shelf.offers
    periodic = {o.interval for o in found.values() if o.kind == Offer.Kind.SUBSCRIPTION}
    if periodic and len(found) > 1:
        raise BadWishError(_("A subscription is ordered alone."))
    return dict(found)


@dataclass(frozen=True, slots=True)
class Shelf:
    """Some offers as they are now.

    Args:
        offers: By public id; what there is not is left out.
        buyable: Ids of those that can be bought.
    """

    offers: Mapping[str, Offer]
    buyable: frozenset[int]


def look_up(names: Iterable[str]) -> Shelf:
    """Return offers by their public ids, with all that a price needs; constant queries."""
    rows = Offer.objects.filter(public_id__in=list(names)).select_related("terms", "namespace")
    offers = {row.public_id: row for row in rows.prefetch_related("prices", *sellability.READS)}
    buyable = sellability.can_be_bought(offers.values())
    return Shelf(offers, frozenset(offer.pk for offer in buyable))


def price_alone(item: Item, shelf: Shelf, *, holder_id: int, currency: str) -> PricedLine:
    """Return a line as if nothing else was wished, without coupon, tax, fee and shares. No query.

    Raises:
        OfferNotFoundError, OfferClosedError, NotOfferedInCurrencyError, BadQuantityError,
        AmountTooLowError, BadWishError: see there.
    """
    at = timezone.now()
    offer = _check_for_sale(shelf, item, holder_id)
    line = _listed(item, offer, check_currency(currency), at)
    return taxing.taxed([line], {}, on=at.date())[0]


def _check_for_sale(shelf: Shelf, item: Item, holder_id: int) -> Offer:
    offer = shelf.offers.get(item.offer)
    if offer is None:
        raise OfferNotFoundError(_("There is no such offer."))
    if offer.namespace_id == holder_id:
        raise BadWishError(_("You need no license for your own models."), offer=offer.public_id)
    if any(repo.is_private for repo in offer.repos.all()):  # first: no other refusal may name it
        raise OfferNotFoundError(_("There is no such offer."))
    if offer.pk not in shelf.buyable:
        raise OfferClosedError(
            _("“%(title)s” is not for sale now.") % {"title": offer.title}, offer=offer.public_id
        )
    return offer


def _listed(item: Item, offer: Offer, currency: str, at: datetime) -> PricedLine:
    """Return a line at the offer's price, or at what the buyer gives."""
    if not 1 <= item.quantity <= MAX_QUANTITY:
        raise BadQuantityError(
            _("A quantity is between 1 and %(most)d.") % {"most": MAX_QUANTITY},
            offer=offer.public_id,
        )
    if offer.seats * item.quantity > MAX_SEATS:
        raise BadQuantityError(
            _("An order has at most %(most)d seats of one offer.") % {"most": MAX_SEATS},
            offer=offer.public_id,
        )
    unit = 0
    if offer.kind != Offer.Kind.FREE:
        unit = _unit(item, offer, _price_in(offer, currency), at)
    elif item.amount_minor:
        raise BadWishError(_("“%(title)s” is free.") % {"title": offer.title})
    if unit * item.quantity > MAX_MINOR:
        raise BadQuantityError(_("That is more than one order takes."), offer=offer.public_id)
    return PricedLine(offer, tuple(offer.repos.all()), item.quantity, unit)


def _price_in(offer: Offer, currency: str) -> Price:
    prices = {row.currency: row for row in offer.prices.all()}
    if currency not in prices:
        known = sorted(prices)
        raise NotOfferedInCurrencyError(
            _("“%(title)s” is not sold in %(currency)s, but in %(known)s.")
            % {"title": offer.title, "currency": currency, "known": ", ".join(known)},
            currencies=known,
        )
    return prices[currency]


def _unit(item: Item, offer: Offer, found: Price, at: datetime) -> int:
    """Return the price of one unit in minor units."""
    least = found.at(at)
    if offer.kind != Offer.Kind.PAY_WHAT_YOU_WANT:
        if item.amount_minor not in {None, least}:
            raise BadWishError(_("The price of “%(title)s” is fixed.") % {"title": offer.title})
        return least
    given = item.amount_minor
    return proposed(found, at) if given is None else check_given(given, offer, found, at)


def proposed(found: Price, at: datetime) -> int:
    """Return what a buyer who names the price is asked for, in minor units."""
    return max(found.at(at), found.suggested_minor or 0)


def check_given(given: int, offer: Offer, found: Price, at: datetime) -> int:
    """Return what a buyer gives for one unit of an offer, in minor units, if it is enough.

    Raises:
        AmountTooLowError: less than the seller takes.
        BadQuantityError: more than one order takes.
    """
    least = found.at(at)
    if given < least:
        raise AmountTooLowError(
            _("The least for “%(title)s” is %(least)s.")
            % {"title": offer.title, "least": show(Money(least, found.currency))},
            least_minor=least,
        )
    if given > MAX_MINOR:
        raise BadQuantityError(_("That is more than one order takes."), offer=offer.public_id)
    return given
