"""Components of buying: prices, the buy box, states of orders and licenses."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol, TypedDict

from django import template
from django.http import HttpRequest
from django.template import RequestContext
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.viewer import Viewer
from catalog.models import Grant, Listing, ModelRepo
from licensing.gateways.registry import default_gateway
from licensing.models import Order, Refund, Subscription
from licensing.services.holdings import Held
from licensing.services.offer_words import course_text, grants_text, interval_text, seats_text
from licensing.services.paperwork import tax_label
from licensing.services.shelf import Sale, price_notes, sale_of
from licensing.services.validating import Code, message_of
from licensing.sessions import cart_of
from licensing.tax.countries import country_name
from licensing.terms.rights import Rights
from store.core.money import BASIS_POINTS, Money
from store.core.templatetags.store_parts import Fact
from store.core.ui.figures import percent_text

register = template.Library()

register.filter("grants_text", grants_text)
register.filter("interval_text", interval_text)
register.filter("country", country_name)
register.simple_tag(course_text, name="course")


@register.filter
def plain(amount_minor: int, currency: str) -> str:
    """Write an amount as a form field holds it: ``22.61``."""
    return str(Money(amount_minor, currency).decimal)


class Taxed(Protocol):
    """A line with its tax: priced just now, or of an order."""

    tax: Mapping[str, Any] | None
    tax_minor: int


@register.filter
def taxes(lines: Iterable[Taxed]) -> list[tuple[str, int]]:
    """Return what each tax comes to, as (``VAT DE 19 %``, minor units), in the order of lines."""
    sums: dict[str, int] = {}
    for line in lines:
        tax = line.tax or {}
        if label := tax_label(tax):
            rate = percent_text(int(tax.get("rate_basis_points", 0)) / BASIS_POINTS)
            name = f"{label} {rate}" if line.tax_minor else label
            sums[name] = sums.get(name, 0) + line.tax_minor
    return list(sums.items())


@register.filter
def tax_notes(lines: Iterable[Taxed]) -> list[str]:
    """Return what the law wants to be said of the taxes, each once."""
    return list(dict.fromkeys(note for line in lines if (note := (line.tax or {}).get("note"))))


@register.filter
def rights_of(kept: dict[str, Any]) -> Rights:
    """Read rights as offers, lines and licenses keep them."""
    return Rights.from_json(kept)


def _viewer(context: RequestContext) -> Viewer:
    viewer: Viewer = context["request"].viewer
    return viewer


def _currency(context: RequestContext) -> str:
    """Return the currency the reader asked for, or pays in already."""
    request: HttpRequest = context["request"]
    return request.GET.get("currency", "").upper()[:3] or cart_of(request).currency


@register.simple_tag(takes_context=True)
def sale(context: RequestContext, repo: ModelRepo) -> Sale | None:
    """Return how a model is sold to the reader; ``None``, without a query, when it is not."""
    return sale_of(_viewer(context), repo, currency=_currency(context))


class BuyBox(TypedDict):
    """What the box shows."""

    repo: ModelRepo
    sale: Sale | None
    listing: Listing
    is_test: bool
    csrf_token: Any


@register.inclusion_tag("licensing/_buy_box.html", takes_context=True)
def buy_box(context: RequestContext, repo: ModelRepo) -> BuyBox:
    """Show what a model costs and how to get it, or what the reader has of it already.

    Nothing where it is not sold. Five queries; none where the page has ``sale`` in its context.
    """
    given = context.get("sale")
    return {
        "repo": repo,
        "sale": given if isinstance(given, Sale) else sale_of(_viewer(context), repo),
        "listing": context["listing"],
        "is_test": default_gateway().is_test,
        "csrf_token": context.get("csrf_token"),
    }


@register.simple_tag
def price_facts(sale: Sale | None) -> list[Fact]:
    """Return the price as a cell of the fact strip; nothing where nothing is sold."""
    if sale is None or not sale.offers:
        return []
    hint = _("Set by the seller. Tax may come on top.")
    return [Fact(_("Price"), sale.words, is_measured=False, hint=hint)]


@register.simple_tag(takes_context=True)
def attach_prices(context: RequestContext, *lists: Iterable[Any], currency: str = "") -> str:
    """Give each listing of lists what it costs, as ``price_note``; two queries for all of them.

    ``{% model_row %}`` shows it. Private ones, which nobody can buy, have none.

    Args:
        context: Of the page.
        *lists: Of listings.
        currency: Preferred for the prices; empty: the one the reader asked for or pays in.
    """
    rows = [row for listings in lists for row in listings]
    currency = currency or _currency(context)
    notes = price_notes([row.pk for row in rows], currency=currency) if rows else {}
    for row in rows:
        row.price_note = notes.get(row.pk, "" if row.is_private else _("Free"))
    return ""


class CartLink(TypedDict):
    """How many offers are in the cart."""

    count: int
    is_here: bool


@register.inclusion_tag("licensing/_cart_link.html", takes_context=True)
def cart_link(context: RequestContext) -> CartLink:
    """Show the way to the cart and how much is in it. No query but the session's."""
    request: HttpRequest = context["request"]
    count = sum(item.quantity for item in cart_of(request).items)
    return {"count": count, "is_here": request.path == "/cart"}


class OfferLine(TypedDict):
    """Where a model that cannot be read is sold."""

    words: str
    repo: ModelRepo
    user: Any


@register.inclusion_tag("licensing/_see_offers.html", takes_context=True)
def see_offers(context: RequestContext, repo: ModelRepo) -> OfferLine:
    """Show what a model costs and the way to its offers, for who was refused its contents."""
    words = price_notes([repo.pk], currency=_currency(context)).get(repo.pk, "")
    return {"repo": repo, "words": words, "user": context["request"].user}


class Badge(TypedDict):
    """A short word about a state."""

    text: Any
    tone: str
    symbol: str
    hint: Any


class Stateful(Protocol):
    """A row with a state that has a name for people."""

    state: str

    def get_state_display(self) -> str: ...


Tones = Mapping[Any, tuple[str, str]]
"""Tone and symbol of each state; a state without either stands plain."""


def state_badge(row: Stateful, tones: Tones) -> Badge:
    """Return a row's state as a word, in its tone."""
    tone, symbol = tones.get(row.state, ("", ""))
    return {"text": row.get_state_display(), "tone": tone, "symbol": symbol, "hint": ""}


_ORDER_TONES: Tones = {
    Order.State.OPEN: ("caution", "clock"),
    Order.State.PAID: ("info", "clock"),
    Order.State.FULFILLED: ("good", "check"),
    Order.State.DISPUTED: ("bad", "warn"),
    Order.State.REFUNDED: ("", ""),
    Order.State.CANCELLED: ("", "cross"),
}


@register.inclusion_tag("components/badge.html")
def order_badge(order: Order) -> Badge:
    """Show where an order stands."""
    return state_badge(order, _ORDER_TONES)


@register.inclusion_tag("components/badge.html")
def test_badge() -> Badge:
    """Say that no real money is in it."""
    return {
        "text": _("Test"),
        "tone": "caution",
        "symbol": "",
        "hint": gettext_lazy("Made with the sandbox: no real money."),
    }


_SUBSCRIPTION_TONES: Tones = {
    Subscription.State.ACTIVE: ("good", "check"),
    Subscription.State.ENDING: ("info", "clock"),
    Subscription.State.OVERDUE: ("caution", "warn"),
    Subscription.State.ENDED: ("", "cross"),
}


@register.inclusion_tag("components/badge.html")
def subscription_badge(subscription: Subscription) -> Badge:
    """Show whether a subscription goes on."""
    return state_badge(subscription, _SUBSCRIPTION_TONES)


_REFUND_TONES: Tones = {
    Refund.State.ASKED: ("caution", ""),
    Refund.State.DECLINED: ("bad", ""),
    Refund.State.SENDING: ("info", ""),
    Refund.State.DONE: ("good", ""),
    Refund.State.FAILED: ("bad", ""),
}


@register.inclusion_tag("components/badge.html")
def refund_badge(refund: Refund) -> Badge:
    """Show where a refund stands."""
    return state_badge(refund, _REFUND_TONES)


_STANDINGS: dict[Code, tuple[str, str, Any]] = {
    Code.VALID: ("good", "check", gettext_lazy("In force")),
    Code.SUSPENDED: ("bad", "lock", gettext_lazy("Suspended")),
    Code.FROZEN: ("caution", "lock", gettext_lazy("Frozen: payment disputed")),
    Code.NOT_STARTED: ("info", "clock", gettext_lazy("Not begun yet")),
    Code.OVERDUE: ("caution", "clock", gettext_lazy("Payment overdue")),
    Code.EXPIRED: ("", "clock", gettext_lazy("Ended")),
    Code.REVOKED: ("", "cross", gettext_lazy("Taken back")),
}


@register.inclusion_tag("components/badge.html")
def standing_badge(code: Code) -> Badge:
    """Show whether a license counts."""
    tone, symbol, text = _STANDINGS[code]
    return {"text": text, "tone": tone, "symbol": symbol, "hint": message_of(code)}


@register.filter
def seats_used(held: Held) -> str:
    """Say how many seats are taken: ``1 of 3 machines``."""
    facts = held.facts
    text = seats_text(facts.seats, facts.seat_kind)
    return _("%(used)d of %(seats)s in use") % {"used": facts.used_seats, "seats": text}


@register.filter
def is_bundle(models: Sequence[Any]) -> bool:
    """Whether it is several models sold together."""
    return len(models) > 1


@register.filter
def updates_label(updates: str) -> Any:
    """Say which later revisions a license reaches."""
    return Grant.Updates(updates).label
