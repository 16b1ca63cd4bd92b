"""What a model's page says of its sale: offers and prices, and what the reader holds already."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.viewer import Viewer
from catalog.models import Grant, ModelRepo
from licensing.models import License, Offer, OfferedRepo, Price
from licensing.services.offer_words import grants_text, price_text
from licensing.services.offers import offers_of
from licensing.services.sellability import buyable_by_model
from licensing.terms.rights import Rights
from store.core.money import Money, show


@dataclass(frozen=True, slots=True)
class Shown:
    """An offer as a buy box shows it.

    Args:
        offer: With its terms.
        price: Of one unit now, or the least that is taken; ``None``: it is free.
        regular: What it costs when the launch price ends; ``None``: there is no launch price.
        until: When the launch price ends.
        suggested: Pay-what-you-want: what the field proposes.
        rights: What its terms allow.
    """

    offer: Offer
    price: Money | None
    regular: Money | None = None
    until: datetime | None = None
    suggested: Money | None = None
    rights: Rights = field(default_factory=Rights)

    @property
    def words(self) -> str:
        """The price for people."""
        return price_text(self.offer, self.price)

    @property
    def regular_words(self) -> str:
        """The price after the launch."""
        return price_text(self.offer, self.regular)

    @property
    def grants(self) -> str:
        """Seats, term and updates in one line."""
        return grants_text(self.offer)

    @property
    def is_open_price(self) -> bool:
        """The buyer names the price."""
        return self.offer.kind == Offer.Kind.PAY_WHAT_YOU_WANT

    @property
    def is_free(self) -> bool:
        """There is nothing to pay."""
        return self.price is None

    @property
    def least(self) -> str:
        """Pay-what-you-want: the least that is taken, for people; empty: anything is."""
        return show(self.price, is_brief=True) if self.price and self.price.amount_minor else ""

    @property
    def proposed(self) -> str:
        """Pay-what-you-want: what the field holds at first, as a number."""
        money = self.suggested or self.price
        return str(money.decimal) if money is not None else ""

    @property
    def models(self) -> list[ModelRepo]:
        """The models of a bundle; one: it is none."""
        return list(self.offer.repos.all())


@dataclass(frozen=True, slots=True)
class Sale:
    """How a model is sold, to one reader.

    Args:
        repo: The model, which is sold now.
        offers: What can be bought; empty while nothing can: its files are not all harmless, say.
        currency: Of the prices shown.
        currencies: Those there are prices in.
        is_own: The reader is the seller, or of the seller's team.
        licenses: What opens the model to the reader now.
    """

    repo: ModelRepo
    offers: Sequence[Shown]
    currency: str
    currencies: Sequence[str]
    is_own: bool
    licenses: Sequence[License]

    @property
    def words(self) -> str:
        """The lowest price for people: ``€19``, or ``from €19`` where there are several."""
        return _lowest([(shown.offer, shown.price) for shown in self.offers])


def sale_of(viewer: Viewer, repo: ModelRepo, *, currency: str = "") -> Sale | None:
    """Return how a model is sold; ``None``: it is not, or not any more.

    Args:
        viewer: Who reads.
        repo: Visible to them.
        currency: Preferred for the prices; empty, or one that no offer has: the first offer's.
    """
    if not repo.is_sold:
        return None
    offers = offers_of(repo)
    codes = sorted({price.currency for offer in offers for price in offer.prices.all()})
    chosen = currency if currency in codes else _first_currency(offers)
    now = timezone.now()
    return Sale(
        repo=repo,
        offers=[_shown(offer, chosen, now) for offer in offers],
        currency=chosen,
        currencies=codes,
        is_own=viewer.role_at(repo.namespace_id, repo.public_id) is not None,
        licenses=held_licenses(viewer, repo),
    )


def held_licenses(viewer: Viewer, repo: ModelRepo) -> list[License]:
    """Return the licenses in force that open a model to the viewer, the newest first."""
    if viewer.user is None:
        return []
    rows = License.objects.filter(
        holder_id__in=list(viewer.roles),
        grant__in=Grant.objects.in_force(),
        grant__granted__repo=repo,
        suspended_at=None,
    )
    return list(rows.select_related("holder", "grant").order_by("-id")[:20])


def price_notes(repo_ids: Iterable[int], *, currency: str = "") -> dict[int, str]:
    """Return what models cost, for a list: ``{repo id: "from €19"}``.

    As many queries for many as for one; one where nothing is offered. Models that are not sold are
    left out; of those that are, and cannot be bought now, it says so.
    """
    rows = OfferedRepo.objects.filter(
        repo_id__in=list(repo_ids), repo__is_for_sale=True, offer__is_active=True
    )
    rows = rows.select_related("repo").order_by("offer__position", "offer_id")
    pairs = [(row.repo_id, row.offer_id) for row in rows if row.repo.is_sold]
    now = timezone.now()
    return {
        repo_id: _note(mine, currency, now) if mine else _("Not for sale now")
        for repo_id, mine in buyable_by_model(pairs).items()
    }


def _note(offers: list[Offer], currency: str, now: datetime) -> str:
    codes = {price.currency for offer in offers for price in offer.prices.all()}
    chosen = currency if currency in codes else _first_currency(offers)
    return _lowest([(offer, _price_now(offer, chosen, now)) for offer in offers])


def _lowest(prices: Sequence[tuple[Offer, Money | None]]) -> str:
    """Return the lowest of several prices; a free offer beside paid ones is told apart."""
    if not prices:
        return ""
    if len(prices) == 1:
        return price_text(*prices[0])
    paid = [(offer, price) for offer, price in prices if price is not None]
    if not paid:
        return _("Free")
    alike = [pair for pair in paid if pair[1].currency == paid[0][1].currency]
    offer, price = min(alike, key=lambda pair: pair[1].amount_minor)
    words = price_text(offer, price)
    if len(paid) > 1 and offer.kind != Offer.Kind.PAY_WHAT_YOU_WANT:
        words = _("from %(price)s") % {"price": words}
    return _("free or %(price)s") % {"price": words} if len(paid) < len(prices) else words


def _first_currency(offers: Sequence[Offer]) -> str:
    """Return the currency of the first offer that has a price; EUR where all are free."""
    for offer in offers:
        for price in offer.prices.all():
            return price.currency
    return "EUR"


def price_row(offer: Offer, currency: str) -> Price | None:
    """Return an offer's price in a currency, else its first; ``None``: it has none."""
    rows = list(offer.prices.all())
    return next((row for row in rows if row.currency == currency), rows[0] if rows else None)


def _price_now(offer: Offer, currency: str, now: datetime) -> Money | None:
    row = price_row(offer, currency)
    if row is None or offer.kind == Offer.Kind.FREE:
        return None
    return Money(row.at(now), row.currency)


def _shown(offer: Offer, currency: str, now: datetime) -> Shown:
    row, price = price_row(offer, currency), _price_now(offer, currency, now)
    rights = Rights.from_json(offer.rights)
    if row is None or price is None:
        return Shown(offer, None, rights=rights)
    is_launch = price.amount_minor != row.amount_minor
    suggested = row.suggested_minor
    return Shown(
        offer=offer,
        price=price,
        regular=Money(row.amount_minor, row.currency) if is_launch else None,
        until=row.launch_until if is_launch else None,
        suggested=Money(suggested, row.currency) if suggested is not None else None,
        rights=rights,
    )
