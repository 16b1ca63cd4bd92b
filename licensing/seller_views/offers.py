"""The offers of one model: what it sells for, in which order, until when."""

from decimal import Decimal
from typing import Any, Literal

from django.contrib import messages
from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from accounts.models import User
from accounts.viewer import Viewer
from accounts.views.guards import recent_to_change, viewer_of
from catalog.access import repo_for
from catalog.models import ModelRepo
from catalog.views.listing import frame
from licensing.forms_offers import AskForm, OpeningForm
from licensing.models import Offer
from licensing.services import offers, upstream
from licensing.services.lineage import sale_verdict
from licensing.services.offer_order import move_offer
from store.core.errors import InvalidError, StoreError

_STEPS: dict[str, Literal[-1, 1]] = {"up": -1, "down": 1}


@require_http_methods(["GET", "HEAD", "POST"])
@recent_to_change
def offers_page(request: HttpRequest, user: User, ns: str, name: str) -> HttpResponse:
    """Show what a model is sold for; order offers, take them off the shelf, set its dates."""
    viewer = viewer_of(request)
    repo = repo_for(viewer, ns, name, to="admin")
    chosen = request.POST.get("form", "") if request.method == "POST" else ""
    sent = request.POST if chosen else None
    asked = upstream.ask_for(repo)
    forms: dict[str, OpeningForm | AskForm] = {
        "opening": OpeningForm(
            sent if chosen == "opening" else None, initial={"opens_at": repo.opens_at}
        ),
        "ask": AskForm(
            sent if chosen == "ask" else None, initial={"percent": Decimal(asked) / 100}
        ),
    }
    status = 200
    if request.method == "POST":
        status = 400
        try:
            if _apply(request, viewer, repo, forms.get(chosen)):
                return redirect(f"/{repo.full_name}/offers")
        except StoreError as error:
            status = error.status
            if chosen in forms:
                forms[chosen].add_error(None, error.message)
            else:
                messages.error(request, error.message)
    context = frame(viewer, repo, tab="offers") | _shelf(viewer, repo) | {"forms": forms}
    context["asked"] = asked
    return render(request, "licensing/offers.html", context, status=status)


def _shelf(viewer: Viewer, repo: ModelRepo) -> dict[str, Any]:
    """Return the offers of a model: those that can be bought, and those off the shelf."""
    is_paid = Q(lines__order__paid_at__isnull=False)
    rows = offers.all_offers_of(repo).annotate(
        sold=Count("lines", filter=is_paid & Q(lines__order__is_test=False), distinct=True),
        sold_test=Count("lines", filter=is_paid & Q(lines__order__is_test=True), distinct=True),
    )
    found = list(rows)
    return {
        "on_sale": [offer for offer in found if offer.is_active],
        "off_sale": [offer for offer in found if not offer.is_active],
        "fault": offers.fault_in(repo) if any(offer.is_active for offer in found) else None,
        "verdict": sale_verdict(viewer, repo),
        "asks": upstream.named_asks(repo),
    }


def _apply(
    request: HttpRequest, viewer: Viewer, repo: ModelRepo, form: OpeningForm | AskForm | None
) -> bool:
    """Do what was asked for; ``False``: the form has errors.

    Raises:
        StoreError: what the services refuse.
    """
    if form is None:
        _act(request, viewer, repo)
        return True
    if not form.is_valid():
        return False
    if isinstance(form, OpeningForm):
        offers.set_opening(viewer, repo, form.cleaned_data["opens_at"])
        messages.success(request, _("The date is set."))
    else:
        upstream.set_ask(viewer, repo, form.basis_points)
        messages.success(request, _("Your share is set. It counts for sales from now on."))
    return True


def _act(request: HttpRequest, viewer: Viewer, repo: ModelRepo) -> None:
    """Move an offer, take it off the shelf, or put it back.

    Raises:
        NoSuchOfferError: it is none of this model's.
        StoreError: what the services refuse.
    """
    act = request.POST.get("act", "")
    offer = offer_of(viewer, repo, request.POST.get("offer", ""))
    if act in _STEPS:
        move_offer(viewer, repo, offer, step=_STEPS[act])
    elif act == "close":
        offers.set_active(viewer, offer, is_active=False)
        messages.success(
            request,
            _("“%(title)s” is off the shelf. Who bought it keeps it.") % {"title": offer.title},
        )
    elif act == "open":
        offers.set_active(viewer, offer, is_active=True)
        messages.success(request, _("“%(title)s” is for sale.") % {"title": offer.title})
    else:
        raise InvalidError(_("Choose what to do with the offer."))


def offer_of(viewer: Viewer, repo: ModelRepo, public_id: str) -> Offer:
    """Return an offer that includes this model.

    Raises:
        NoSuchOfferError: there is none, or it is another model's.
    """
    offer = offers.offer_for(viewer, public_id)
    if all(row.pk != repo.pk for row in offer.repos.all()):
        raise offers.NoSuchOfferError(_("This model has no such offer."))
    return offer
