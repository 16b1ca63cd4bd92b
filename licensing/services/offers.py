"""Offers: made, changed and ended by sellers; and whether a model is for sale at all."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields
from datetime import datetime

from django.db import transaction
from django.db.models import Prefetch, QuerySet, Sum
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import Namespace
from accounts.services.audit import record
from accounts.viewer import Viewer
from catalog.access import check_may
from catalog.models import Listing, ModelRepo
from licensing.documents.document import MAX_FILES
from licensing.models import Offer, OfferedRepo, Price, Terms
from licensing.services import upstream
from licensing.services.asking_prices import refresh_prices
from licensing.services.lineage import check_sale
from licensing.services.offer_checks import (
    BadOfferError,
    NewPrice,
    OfferDraft,
    checked,
    read_title,
)
from licensing.services.sellability import READS, can_be_bought, file_fault
from licensing.terms.catalogue import TermsTemplate
from store.core.errors import ConflictError, NotFoundError
from store.core.money import check_currency

__all__ = ["BadOfferError", "NewPrice", "OfferDraft"]

MAX_OFFERS = 50
"""Offers of one model that can be bought at once."""
MAX_BUNDLE = 50
"""Models in one offer."""


class NotSellableError(ConflictError):
    """The model cannot be sold as it is; ``extra.reason`` says why, stable.

    ``empty``, ``format``, ``verdict``, ``private``, ``disabled``, ``terms``, ``files``.
    """

    code = "not_sellable"


class NoSuchOfferError(NotFoundError):
    """There is no such offer, or it is not this person's."""

    code = "offer_not_found"


def offers_of(repo: ModelRepo) -> list[Offer]:
    """Return what can be bought of a model now with all a buy box shows, in the seller's order."""
    return can_be_bought(all_offers_of(repo).filter(is_active=True))


def all_offers_of(repo: ModelRepo) -> QuerySet[Offer]:
    """Return the offers of a model as its seller sees them, also those nobody can buy."""
    return (
        Offer.objects.of_repo(repo)
        .select_related("terms", "namespace")
        .prefetch_related(Prefetch("prices", Price.objects.order_by("currency")), *READS)
        .order_by("position", "id")
    )


def prices_of(rows: Iterable[Price]) -> tuple[NewPrice, ...]:
    """Return prices that are there as a draft has them."""
    names = [item.name for item in fields(NewPrice)]
    return tuple(NewPrice(**{name: getattr(row, name) for name in names}) for row in rows)


@transaction.atomic
def make_offer(viewer: Viewer, repos: Sequence[ModelRepo], draft: OfferDraft) -> Offer:
    """Put models up for sale. From now on strangers need a license for their contents.

    Args:
        viewer: Who sells: an admin of the owner of every model.
        repos: At least one; several are a bundle, where each counts once.
        draft: What is offered.

    Raises:
        ForbiddenError: a model is not theirs.
        NotSellableError: a model is private, empty, not clean, or has no weights that can be sold.
        SaleForbiddenError, LineageUnconfirmedError: a license upstream does not allow it.
        BadOfferError, BadCurrencyError, BadTermsError: a value is wrong. Nothing is offered.
    """
    repos = list(dict.fromkeys(repos))
    _check_repos(viewer, repos)
    _check_shelf(repos)
    template = checked(draft)
    _check_lineage(viewer, repos, draft.kind, draft.terms_id, confirmed=draft.lineage_confirmed)
    offer = Offer(namespace=repos[0].namespace, position=_last_position(repos[0].namespace) + 1)
    _agree(offer, repos)
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
    template = checked(draft)
    _check_lineage(viewer, repos, draft.kind, draft.terms_id, confirmed=draft.lineage_confirmed)
    locked.version += 1
    _agree(locked, repos)
    _write(locked, draft, template)
    refresh_sale(repos)
    _note(viewer, locked, "offer.change")
    return locked


@transaction.atomic
def set_active(viewer: Viewer, offer: Offer, *, is_active: bool) -> Offer:
    """Take an offer off the shelf, or put it back.

    A model whose last offer is gone is free again for everybody who may see it.

    Raises:
        ForbiddenError: not theirs.
        NotSellableError: it is to come back, but a model cannot be sold any more.
        SaleForbiddenError, LineageUnconfirmedError: a license upstream does not allow it now.
        BadOfferError: it is to come back, but a model has as many offers as it may have.
    """
    locked = Offer.objects.select_for_update().get(pk=offer.pk)
    repos = list(locked.repos.select_related("namespace"))
    _check_repos(viewer, repos)
    if locked.is_active == is_active:
        return locked
    if is_active:
        _check_shelf(repos)
        is_confirmed = locked.lineage_confirmed_at is not None
        terms = Terms.objects.get(pk=locked.terms_id)
        _check_lineage(viewer, repos, locked.kind, terms.template_id, confirmed=is_confirmed)
        _agree(locked, repos)
    locked.is_active = is_active
    locked.save(update_fields=["is_active", "agreed_asks", "agreed_at", "updated_at"])
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
    refresh_prices([repo.pk])
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
    """Note on models whether any offer for them can be bought, and for search what they cost.

    Their rows are locked first: of two last offers that are taken away at once, the later one has
    to see that the other is gone.
    """
    rows = ModelRepo.objects.select_for_update().filter(pk__in=[repo.pk for repo in repos])
    list(rows.order_by("pk").values_list("pk"))
    for repo in repos:
        is_for_sale = Offer.objects.of_repo(repo).on_sale().exists()
        ModelRepo.objects.filter(pk=repo.pk).update(is_for_sale=is_for_sale)
        repo.is_for_sale = is_for_sale
    refresh_prices(repo.pk for repo in repos)


def _check_repos(viewer: Viewer, repos: Sequence[ModelRepo]) -> None:
    if not repos:
        raise BadOfferError(_("Choose at least one model."))
    if len(repos) > MAX_BUNDLE:
        raise BadOfferError(_("A bundle has at most %(n)d models.") % {"n": MAX_BUNDLE})
    for repo in repos:
        check_may(viewer, repo, to="admin")
    if len({repo.namespace_id for repo in repos}) > 1:
        raise BadOfferError(_("The models of a bundle belong to one owner."))


def _check_shelf(repos: Sequence[ModelRepo]) -> None:
    """Refuse one more offer of models that cannot be sold, or have enough of them."""
    for repo in repos:
        _check_sellable(repo)
        if Offer.objects.of_repo(repo).on_sale().count() >= MAX_OFFERS:
            raise BadOfferError(_("A model has at most %(n)d offers.") % {"n": MAX_OFFERS})
    _check_file_count(repos)


def fault_in(repo: ModelRepo) -> NotSellableError | None:
    """Return what keeps an offered model from being bought now; ``None``: nothing of its own.

    Licenses upstream are another matter.
    """
    try:
        _check_sellable(repo)
        _check_file_count([repo])
    except NotSellableError as error:
        return error
    return None


def _check_file_count(repos: Sequence[ModelRepo]) -> None:
    """Refuse more files than a license names."""
    files = Listing.objects.filter(repo__in=repos).aggregate(n=Sum("file_count"))["n"]
    if files > MAX_FILES:
        raise NotSellableError(
            _("A license names every file, at most %(most)d. Here are %(n)d: pack them.")
            % {"most": MAX_FILES, "n": files},
            reason="files",
        )


def _check_sellable(repo: ModelRepo) -> None:
    """Refuse a model whose files nobody should pay for."""

    def refuse(message: str, reason: str) -> NotSellableError:
        return NotSellableError(message % {"model": repo.full_name}, reason=reason)

    if repo.is_private:
        raise refuse(_("%(model)s is private: nobody could find it. Make it public."), "private")
    if repo.disabled_reason:
        raise refuse(_("%(model)s was taken down."), "disabled")
    fault = file_fault(ModelRepo.objects.select_related("listing").get(pk=repo.pk))
    if fault == "empty":
        raise refuse(_("%(model)s has no weights yet. Upload them first."), fault)
    if fault == "format":
        raise refuse(_("Only safetensors and GGUF are sold; %(model)s has neither."), fault)
    if fault:
        raise refuse(
            _("Not every file of %(model)s is known to be harmless. Its page says which."), fault
        )


def _check_lineage(
    viewer: Viewer, repos: Sequence[ModelRepo], kind: str, terms_id: str, *, confirmed: bool
) -> None:
    if kind == Offer.Kind.FREE:
        return
    for repo in repos:
        verdict = check_sale(viewer, repo, confirmed=confirmed)
        if not verdict.fits(terms_id):
            raise NotSellableError(
                _("A model %(model)s was made from asks for the same license: %(known)s.")
                % {"model": repo.full_name, "known": ", ".join(verdict.same_licenses)},
                reason="terms",
            )


def _agree(offer: Offer, repos: Sequence[ModelRepo]) -> None:
    """Note what owners upstream ask, as the seller's page shows it now."""
    offer.agreed_asks, offer.agreed_at = upstream.to_agree(repos), timezone.now()


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
    offer.title, offer.description = read_title(draft.title), draft.description.strip()
    offer.trial_tokens, offer.is_tax_included = draft.trial_tokens, draft.is_tax_included
    offer.lineage_confirmed_at = timezone.now() if draft.lineage_confirmed else None
    offer.save()
    offer.prices.all().delete()
    Price.objects.bulk_create(
        Price(offer=offer, **asdict(price) | {"currency": check_currency(price.currency)})
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
