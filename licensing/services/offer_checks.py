"""What an offer may be: the values of a draft, each refusal with the field it is about."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.utils.translation import gettext as _

from catalog.models import Grant
from licensing.models import Offer, SeatKind
from licensing.tax.writing import BadTextError, hides_characters, read_line
from licensing.terms.catalogue import OWN, TermsTemplate, own_terms, terms_for
from licensing.terms.rights import Rights
from store.core.errors import InvalidError
from store.core.money import (
    BadAmountError,
    BadCurrencyError,
    Money,
    check_amount,
    check_currency,
)

MAX_TITLE_CHARS = 120
MAX_SEATS = 1_000_000
MAX_TERM_DAYS = 36_500
MAX_TRIAL_TOKENS = 10_000_000
MAX_PRICES = 60
"""Currencies of one offer."""


class BadOfferError(InvalidError):
    """The offer cannot be made like this; the message says which value is wrong.

    ``extra.field`` names it as ``OfferDraft`` does; of a price ``extra.price`` is its place in
    ``prices``, from 0, and ``extra.field`` the field of ``NewPrice``.
    """

    code = "bad_offer"


@dataclass(frozen=True, slots=True)
class NewPrice:
    """What an offer costs in one currency; amounts in minor units. See ``models.Price``."""

    currency: str
    amount_minor: int
    suggested_minor: int | None = None
    launch_minor: int | None = None
    launch_from: datetime | None = None
    launch_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class OfferDraft:
    """An offer as its seller wants it. See ``models.Offer`` for what each field means."""

    title: str
    kind: Offer.Kind
    terms_id: str
    """Of shipped terms, or ``own``."""
    own_text: str = ""
    rights: Rights | None = None
    """With own terms: what the text allows."""
    description: str = ""
    interval: str = ""
    prices: Sequence[NewPrice] = field(default_factory=tuple)
    seats: int = 1
    seat_kind: SeatKind = SeatKind.MACHINES
    term_days: int | None = None
    updates: Grant.Updates = Grant.Updates.ALL
    trial_tokens: int = 0
    is_tax_included: bool = False
    lineage_confirmed: bool = False
    """The seller says that base licenses nobody here knows allow the sale."""


def checked(draft: OfferDraft) -> TermsTemplate:
    """Refuse values that make no sense together; return the terms.

    Raises:
        BadOfferError: a value is wrong.
        BadAmountError, BadCurrencyError: of a price; ``extra.price`` is its place.
        UnknownTermsError, BadTermsError, TermsTooLargeError: of the terms.
    """
    read_title(draft.title)
    if len(draft.description) > 500:
        raise _bad("description", _("The description has at most 500 characters."))
    if hides_characters(draft.description):
        raise _bad("description", _("The description has characters that cannot be seen."))
    if not 0 <= draft.seats <= MAX_SEATS:
        raise _bad("seats", _("Seats are between 1 and a million, or 0 for any number."))
    if draft.term_days is not None and not 1 <= draft.term_days <= MAX_TERM_DAYS:
        raise _bad("term_days", _("A term is between 1 day and 100 years."))
    if not 0 <= draft.trial_tokens <= MAX_TRIAL_TOKENS:
        raise _bad("trial_tokens", _("Trial tokens are between 0 and ten million."))
    _check_interval(draft)
    check_prices(draft)
    if draft.terms_id == OWN:
        return own_terms(draft.own_text, draft.rights or Rights())
    return terms_for(draft.terms_id)


def read_title(text: str) -> str:
    """Return an offer's title, tidied up: it stands on licenses and invoices.

    Raises:
        BadOfferError: it is empty, too long, hides characters, or looks like another.
    """
    try:
        return read_line(text, max_chars=MAX_TITLE_CHARS)
    except BadTextError as error:
        raise _bad("title", _("The title: %(why)s") % {"why": error.message}) from error


def check_prices(draft: OfferDraft) -> None:
    """Refuse prices that do not fit the kind of the offer, or each other.

    Raises:
        BadOfferError, BadAmountError, BadCurrencyError: see ``checked``.
    """
    if draft.kind == Offer.Kind.FREE:
        if draft.prices:
            raise _bad("prices", _("A free offer has no price."))
        return
    if not 1 <= len(draft.prices) <= MAX_PRICES:
        raise _bad("prices", _("Give at least one price, in any currency."))
    seen: set[str] = set()
    for place, price in enumerate(draft.prices):
        try:
            currency = check_currency(price.currency)
            _check_price(draft, price, currency)
        except (BadOfferError, BadAmountError) as error:
            error.extra["price"] = place
            raise
        except BadCurrencyError as error:
            error.extra |= {"field": "currency", "price": place}
            raise
        if currency in seen:
            raise BadOfferError(
                _("Give one price in each currency."), field="currency", price=place
            )
        seen.add(currency)


def _check_interval(draft: OfferDraft) -> None:
    is_subscription = draft.kind == Offer.Kind.SUBSCRIPTION
    if is_subscription and draft.term_days:
        raise _bad("term_days", _("A subscription lives as it is paid: leave the term empty."))
    if is_subscription != bool(draft.interval):
        raise _bad("interval", _("A subscription has a month or a year; nothing else has."))
    if draft.interval and draft.interval not in Offer.Interval.values:
        raise _bad("interval", _("A subscription is paid by the month or by the year."))


def _check_price(draft: OfferDraft, price: NewPrice, currency: str) -> None:
    for name in ("amount_minor", "suggested_minor", "launch_minor"):
        amount = getattr(price, name)
        if amount is not None:
            _check_amount(name, Money(amount, currency))
    is_open = draft.kind == Offer.Kind.PAY_WHAT_YOU_WANT
    if not is_open and not price.amount_minor:
        raise _bad("amount_minor", _("A price of nothing is a free offer: choose that kind."))
    if price.suggested_minor is not None and not is_open:
        raise _bad("suggested_minor", _("Only pay-what-you-want has a suggestion."))
    if price.suggested_minor is not None and price.suggested_minor < price.amount_minor:
        raise _bad("suggested_minor", _("The suggestion is at least the least that is taken."))
    if price.launch_minor is None:
        return
    if price.launch_minor >= price.amount_minor:
        raise _bad("launch_minor", _("The launch price is lower than the price after it."))
    if price.launch_until is None:
        raise _bad("launch_until", _("Say until when the launch price is good."))
    if price.launch_from is not None and price.launch_from >= price.launch_until:
        raise _bad("launch_until", _("The launch price ends after it begins."))


def _check_amount(name: str, money: Money) -> None:
    try:
        check_amount(money)
    except BadAmountError as error:
        error.extra["field"] = name
        raise


def _bad(name: str, message: str) -> BadOfferError:
    return BadOfferError(message, field=name)
