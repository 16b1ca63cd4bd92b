"""What stands in the window: offers as facts, for pages, the API and the refusal of a download."""

from typing import Any

from accounts.viewer import Viewer
from catalog.access import PurchaseRequiredError
from catalog.models import Grant, ModelRepo
from licensing.models import Offer, Price
from licensing.services.offers import offers_of
from store.core.money import Money


class TermsToAcceptError(PurchaseRequiredError):
    """It costs nothing, but terms must be accepted first: order the free offer."""

    code = "terms_required"


class LicenseExpiredError(PurchaseRequiredError):
    """The viewer's license has run out; buy another."""

    code = "license_expired"


class LicenseFrozenError(PurchaseRequiredError):
    """The viewer's license opens nothing now: its payment is disputed, or it was suspended."""

    code = "license_suspended"


def refusal(viewer: Viewer, repo: ModelRepo) -> PurchaseRequiredError:
    """Return why a sold model's contents are refused, with what it costs and where to buy it.

    Made so that a person reads it in a client's exception, and a script can order from it.
    """
    offers = offers_of(repo)
    kind, why = _standing(viewer, repo, offers)
    return kind(repo, f"{why} {offer_line(offers)}".strip(), **facts(repo, offers))


def facts(repo: ModelRepo, offers: list[Offer]) -> dict[str, Any]:
    """Return what a program needs to buy ``repo``."""
    return {
        "offers": [offer_facts(offer) for offer in offers],
        "page": f"/{repo.full_name}",
        "quotes": "/api/v1/quotes",
        "orders": "/api/v1/orders",
    }


def offer_facts(offer: Offer) -> dict[str, Any]:
    """Return an offer as JSON; amounts also as text, in whole units."""
    return {
        "id": offer.public_id,
        "title": offer.title,
        "kind": offer.kind,
        "interval": offer.interval,
        "prices": [_price_facts(price) for price in offer.prices.all()],
        "terms": {
            "sha256": offer.terms_id,
            "title": offer.terms.title,
            "url": f"/terms/{offer.terms_id}",
        },
        "seats": offer.seats,
        "seat_kind": offer.seat_kind,
        "term_days": offer.term_days,
        "updates": offer.updates,
        "rights": offer.rights,
        "models": [repo.full_name for repo in offer.repos.all()],
    }


def offer_line(offers: list[Offer]) -> str:
    """Return the offers in one sentence, as ``Licenses: "Commercial" for 19.00 EUR.``.

    In plain ASCII but for titles: clients show it from a header, which has no room for more.
    """
    parts = []
    for offer in offers:
        prices = [price_text(offer, price) for price in offer.prices.all()]
        parts.append(f'"{offer.title}" for {" or ".join(prices) or "free"}')
    return f"Licenses: {', '.join(parts)}." if parts else ""


def price_text(offer: Offer, price: Price) -> str:
    """Return one price of an offer in plain ASCII: ``19.00 EUR a month``."""
    text = f"{Money(price.at(), price.currency).decimal:f} {price.currency}"
    if offer.kind == Offer.Kind.PAY_WHAT_YOU_WANT:
        return f"{text} or more"
    return f"{text} a {offer.interval}" if offer.interval else text


def _price_facts(price: Price) -> dict[str, Any]:
    amount = price.at()
    return {
        "currency": price.currency,
        "amount_minor": amount,
        "amount": f"{Money(amount, price.currency).decimal:f}",
        "suggested_minor": price.suggested_minor,
    }


def _standing(
    viewer: Viewer, repo: ModelRepo, offers: list[Offer]
) -> tuple[type[PurchaseRequiredError], str]:
    """Return the kind of refusal and its first sentence."""
    start = f"Access to model {repo.full_name} is restricted and you are not in the authorized list"
    held = Grant.objects.none()
    if viewer.user is not None:
        held = Grant.objects.held_by(viewer.person_roles).filter(granted__repo=repo)
    states = set(held.values_list("state", flat=True))
    if Grant.State.FROZEN in states:
        return LicenseFrozenError, f"{start}: your license is suspended or its payment disputed."
    if Grant.State.ACTIVE in states:
        return LicenseExpiredError, f"{start}: your license has expired."
    if any(offer.kind == Offer.Kind.FREE for offer in offers):
        return TermsToAcceptError, f"{start}: accept its terms first."
    return PurchaseRequiredError, f"{start}: it needs a license."
