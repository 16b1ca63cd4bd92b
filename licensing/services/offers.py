"""Offers: made, changed and ended by sellers; and whether a model is for sale at all."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.db import transaction
from django.db.models import Prefetch, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import Namespace
from accounts.services.audit import record
from accounts.viewer import Viewer
from catalog.access import check_may
from catalog.models import Grant, Listing, ModelRepo
from licensing.models import Offer, OfferedRepo, Price, SeatKind, Terms
from licensing.services.lineage import check_sale
from licensing.terms.catalogue import OWN, TermsTemplate, own_terms, terms_for
from licensing.terms.rights import Rights
from store.core.errors import ConflictError, InvalidError, NotFoundError
from store.core.money import Money, check_amount, check_currency

MAX_OFFERS = 50
"""Offers of one model that can be bought at once."""
MAX_BUNDLE = 50
"""Models in one offer."""
MAX_SEATS = 1_000_000
MAX_TERM_DAYS = 36_500
MAX_PRICES = 60
"""Currencies of one offer."""
_SOLD_FORMATS = {"safetensors", "gguf"}


class BadOfferError(InvalidError):
    """The offer cannot be made like this; the message says which value is wrong."""

    code = "bad_offer"


class NotSellableError(ConflictError):
    """The model cannot be sold as it is; ``extra.reason`` says why, stable.

    ``empty``, ``format``, ``verdict``, ``private``, ``disabled``, ``terms``.
    """

    code = "not_sellable"


class NoSuchOfferError(NotFoundError):
    """There is no such offer, or it is not this person's."""

    code = "offer_not_found"


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


def offers_of(repo: ModelRepo, *, on_sale: bool = True) -> QuerySet[Offer]:
    """Return the offers of a model with all a buy box shows, the seller's order kept."""
    rows = Offer.objects.of_repo(repo)
    if on_sale:
        rows = rows.on_sale()
    return (
        rows.select_related("terms", "namespace")
        .prefetch_related(
            Prefetch("prices", Price.objects.order_by("currency")), "repos__namespace"
        )
        .order_by("position", "id")
    )


@transaction.atomic
def make_offer(viewer: Viewer, repos: Sequence[ModelRepo], draft: OfferDraft) -> Offer:
    """Put models up for sale. From now on strangers need a license for their contents.

    Args:
        viewer: Who sells: an admin of the owner of every model.
        repos: At least one; several are a bundle.
        draft: What is offered.

    Raises:
        ForbiddenError: a model is not theirs.
        NotSellableError: a model is private, empty, not clean, or has no weights that can be sold.
        SaleForbiddenError, LineageUnconfirmedError: a license upstream does not allow it.
        BadOfferError, BadAmountError, BadTermsError: a value is wrong. Nothing is offered.
    """
    _check_repos(viewer, repos)
    for repo in repos:
        _check_sellable(repo)
        if offers_of(repo).count() >= MAX_OFFERS:
            raise BadOfferError(_("A model has at most %(n)d offers.") % {"n": MAX_OFFERS})
    template = _checked(draft)
    _check_lineage(viewer, repos, draft)
    offer = Offer(namespace=repos[0].namespace, position=_last_position(repos[0].namespace) + 1)
    _write(offer, draft, template)
    OfferedRepo.objects.bulk_create(OfferedRepo(offer=offer, repo=repo) for repo in repos)
    refresh_sale(repos)
    _note(viewer, offer, "offer.make")
    return offer


@transaction.atomic
def change_offer(viewer: Viewer, offer: Offer, draft: OfferDraft) -> Offer:
    """Change an offer. Orders and licenses that exist keep what they were made with.

    Raises:
        NoSuchOfferError, BadOfferError and the others of ``make_offer``. Nothing changes.
    """
    locked = Offer.objects.select_for_update().get(pk=offer.pk)
    repos = list(locked.repos.select_related("namespace"))
    _check_repos(viewer, repos)
    template = _checked(draft)
    _check_lineage(viewer, repos, draft)
    locked.version += 1
    _write(locked, draft, template)
    _note(viewer, locked, "offer.change")
    return locked


@transaction.atomic
def set_active(viewer: Viewer, offer: Offer, *, is_active: bool) -> Offer:
    """Take an offer off the shelf, or put it back.

    A model whose last offer is gone is free again for everybody who may see it.

    Raises:
        ForbiddenError: not theirs.
        NotSellableError: it is to come back, but a model cannot be sold any more.
    """
    locked = Offer.objects.select_for_update().get(pk=offer.pk)
    repos = list(locked.repos.select_related("namespace"))
    _check_repos(viewer, repos)
    if is_active:
        for repo in repos:
            _check_sellable(repo)
    locked.is_active = is_active
    locked.save(update_fields=["is_active", "updated_at"])
    refresh_sale(repos)
    _note(viewer, locked, "offer.open" if is_active else "offer.close")
    return locked


@transaction.atomic
def set_opening(viewer: Viewer, repo: ModelRepo, opens_at: datetime | None) -> ModelRepo:
    """Say when a model that is sold becomes free for all by itself; ``None``: never.

    Raises:
        ForbiddenError: not theirs.
        BadOfferError: the moment is past.
    """
    check_may(viewer, repo, to="admin")
    if opens_at is not None and opens_at <= timezone.now():
        raise BadOfferError(_("Choose a moment in the future, or take the offers away."))
    ModelRepo.objects.filter(pk=repo.pk).update(opens_at=opens_at)
    record(
        "repo.opening",
        actor=viewer.user,
        subject=repo.full_name,
        namespace=repo.namespace,
        address=viewer.address,
        opens_at=opens_at.isoformat() if opens_at else None,
    )
    repo.refresh_from_db()
    return repo


def offer_for(viewer: Viewer, public_id: str) -> Offer:
    """Return an offer its seller may change.

    Raises:
        NoSuchOfferError: there is none, or not theirs.
    """
    viewer.identified()
    rows = Offer.objects.select_related("namespace", "terms").prefetch_related("prices", "repos")
    found = rows.filter(public_id=public_id).first()
    if found is None or not viewer.is_writer(found.namespace_id):
        raise NoSuchOfferError(_("You have no such offer."))
    return found


def refresh_sale(repos: Sequence[ModelRepo]) -> None:
    """Note on models whether any offer for them can be bought."""
    for repo in repos:
        is_for_sale = Offer.objects.of_repo(repo).on_sale().exists()
        ModelRepo.objects.filter(pk=repo.pk).update(is_for_sale=is_for_sale)
        repo.is_for_sale = is_for_sale


def _check_repos(viewer: Viewer, repos: Sequence[ModelRepo]) -> None:
    if not repos:
        raise BadOfferError(_("Choose at least one model."))
    if len(repos) > MAX_BUNDLE:
        raise BadOfferError(_("A bundle has at most %(n)d models.") % {"n": MAX_BUNDLE})
    for repo in repos:
        check_may(viewer, repo, to="admin")
    if len({repo.namespace_id for repo in repos}) > 1:
        raise BadOfferError(_("The models of a bundle belong to one owner."))


def _check_sellable(repo: ModelRepo) -> None:
    """Refuse a model whose files nobody should pay for."""

    def refuse(message: str, reason: str) -> NotSellableError:
        return NotSellableError(message % {"model": repo.full_name}, reason=reason)

    listing = Listing.objects.filter(repo=repo).first()
    if repo.is_private:
        raise refuse(_("%(model)s is private: nobody could find it. Make it public."), "private")
    if repo.disabled_reason:
        raise refuse(_("%(model)s was taken down."), "disabled")
    if listing is None or not listing.weights_bytes:
        raise refuse(_("%(model)s has no weights yet. Upload them first."), "empty")
    if not _SOLD_FORMATS & set(listing.formats):
        raise refuse(_("Only safetensors and GGUF are sold; %(model)s has neither."), "format")
    if listing.verdict != "clean":
        raise refuse(
            _("Not every file of %(model)s is known to be harmless. Its page says which."),
            "verdict",
        )


def _check_lineage(viewer: Viewer, repos: Sequence[ModelRepo], draft: OfferDraft) -> None:
    if draft.kind == Offer.Kind.FREE:
        return
    for repo in repos:
        verdict = check_sale(viewer, repo, confirmed=draft.lineage_confirmed)
        if not verdict.fits(draft.terms_id):
            raise NotSellableError(
                _("A model %(model)s was made from asks for the same license: %(known)s.")
                % {"model": repo.full_name, "known": ", ".join(verdict.same_licenses)},
                reason="terms",
            )


def _checked(draft: OfferDraft) -> TermsTemplate:
    """Refuse values that make no sense together; return the terms."""
    if not 1 <= len(draft.title.strip()) <= 120:
        raise BadOfferError(_("Give the offer a title of 1 to 120 characters."))
    if len(draft.description) > 500:
        raise BadOfferError(_("The description has at most 500 characters."))
    if not 0 <= draft.seats <= MAX_SEATS:
        raise BadOfferError(_("Seats are between 1 and a million, or 0 for any number."))
    if draft.term_days is not None and not 1 <= draft.term_days <= MAX_TERM_DAYS:
        raise BadOfferError(_("A term is between 1 day and 100 years."))
    if not 0 <= draft.trial_tokens <= 10_000_000:
        raise BadOfferError(_("Trial tokens are between 0 and ten million."))
    is_subscription = draft.kind == Offer.Kind.SUBSCRIPTION
    if is_subscription != bool(draft.interval) or (is_subscription and draft.term_days):
        raise BadOfferError(_("A subscription has a month or a year; nothing else has."))
    if draft.interval and draft.interval not in Offer.Interval.values:
        raise BadOfferError(_("A subscription is paid by the month or by the year."))
    _check_prices(draft)
    if draft.terms_id == OWN:
        return own_terms(draft.own_text, draft.rights or Rights())
    return terms_for(draft.terms_id)


def _check_prices(draft: OfferDraft) -> None:
    if draft.kind == Offer.Kind.FREE:
        if draft.prices:
            raise BadOfferError(_("A free offer has no price."))
        return
    if not 1 <= len(draft.prices) <= MAX_PRICES:
        raise BadOfferError(_("Give at least one price, in any currency."))
    currencies = [check_currency(price.currency) for price in draft.prices]
    if len(set(currencies)) < len(currencies):
        raise BadOfferError(_("Give one price in each currency."))
    for price in draft.prices:
        _check_price(draft, price)


def _check_price(draft: OfferDraft, price: NewPrice) -> None:
    currency = check_currency(price.currency)
    for amount in (price.amount_minor, price.suggested_minor, price.launch_minor):
        if amount is not None:
            check_amount(Money(amount, currency))
    is_open = draft.kind == Offer.Kind.PAY_WHAT_YOU_WANT
    if not is_open and not price.amount_minor:
        raise BadOfferError(_("A price of nothing is a free offer: choose that kind."))
    if price.suggested_minor is not None and not is_open:
        raise BadOfferError(_("Only pay-what-you-want has a suggestion."))
    if price.suggested_minor is not None and price.suggested_minor < price.amount_minor:
        raise BadOfferError(_("The suggestion is at least the least that is taken."))
    if price.launch_minor is None:
        return
    if price.launch_minor >= price.amount_minor:
        raise BadOfferError(_("The launch price is lower than the price after it."))
    if price.launch_until is None or (
        price.launch_from is not None and price.launch_from >= price.launch_until
    ):
        raise BadOfferError(_("Say until when the launch price is good."))


def _write(offer: Offer, draft: OfferDraft, template: TermsTemplate) -> None:
    """Save an offer with its terms and prices."""
    offer.terms, _made = Terms.objects.get_or_create(
        sha256=template.sha256,
        defaults={
            "source": template.kind.value,
            "template_id": template.id,
            "title": str(template.title),
            "text": template.text,
        },
    )
    offer.rights = template.rights.to_json()
    for name in ("kind", "interval", "seats", "seat_kind", "term_days", "updates"):
        setattr(offer, name, getattr(draft, name))
    offer.title, offer.description = draft.title.strip(), draft.description.strip()
    offer.trial_tokens, offer.is_tax_included = draft.trial_tokens, draft.is_tax_included
    offer.lineage_confirmed_at = timezone.now() if draft.lineage_confirmed else None
    offer.save()
    offer.prices.all().delete()
    Price.objects.bulk_create(
        Price(
            offer=offer,
            currency=check_currency(price.currency),
            amount_minor=price.amount_minor,
            suggested_minor=price.suggested_minor,
            launch_minor=price.launch_minor,
            launch_from=price.launch_from,
            launch_until=price.launch_until,
        )
        for price in draft.prices
    )


def _last_position(namespace: Namespace) -> int:
    last = Offer.objects.filter(namespace=namespace).order_by("-position").first()
    return last.position if last else 0


def _note(viewer: Viewer, offer: Offer, action: str) -> None:
    record(
        action,
        actor=viewer.user,
        subject=offer.title,
        namespace=offer.namespace,
        address=viewer.address,
        offer=offer.public_id,
        version=offer.version,
    )
