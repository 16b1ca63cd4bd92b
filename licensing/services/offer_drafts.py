"""Offers that are there, as their sellers would write them again."""

from catalog.models import Grant
from licensing.models import Offer, SeatKind
from licensing.services.offer_checks import OfferDraft
from licensing.services.offers import prices_of
from licensing.terms.catalogue import OWN, shipped_terms
from licensing.terms.rights import Rights


def draft_of(offer: Offer) -> OfferDraft:
    """Return the draft that changes nothing of an offer when it is saved."""
    terms_id = _terms_id(offer)
    return OfferDraft(
        title=offer.title,
        kind=Offer.Kind(offer.kind),
        terms_id=terms_id,
        own_text=offer.terms.text if terms_id == OWN else "",
        rights=Rights.from_json(offer.rights),
        description=offer.description,
        interval=offer.interval,
        prices=prices_of(sorted(offer.prices.all(), key=lambda price: price.currency)),
        seats=offer.seats,
        seat_kind=SeatKind(offer.seat_kind),
        term_days=offer.term_days,
        updates=Grant.Updates(offer.updates),
        trial_tokens=offer.trial_tokens,
        is_tax_included=offer.is_tax_included,
        lineage_confirmed=offer.lineage_confirmed_at is not None,
    )


def _terms_id(offer: Offer) -> str:
    """Return the id of shipped terms that are still the offer's, word for word, or ``own``."""
    terms = shipped_terms().get(offer.terms.template_id)
    if terms is None or terms.sha256 != offer.terms_id or terms.rights.to_json() != offer.rights:
        return OWN
    return terms.id
