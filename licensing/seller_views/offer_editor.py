"""The editor of an offer, with a preview of what it brings."""

from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from accounts.models import User
from accounts.viewer import Viewer
from accounts.views.guards import check_recent, recent_to_open, viewer_of
from catalog.access import repo_for
from catalog.models import ModelRepo
from catalog.views.listing import frame
from licensing.forms_offers import (
    SPARE_ROWS,
    OfferForm,
    PriceForm,
    PriceFormSet,
    as_typed,
    filled,
    first_prices,
    first_values,
)
from licensing.models import Offer, Price
from licensing.seller_views.offers import offer_of
from licensing.services import offers, upstream
from licensing.services.lineage import sale_verdict
from licensing.services.offer_checks import MAX_PRICES, OfferDraft
from licensing.services.previewing import Preview, preview
from licensing.terms.catalogue import OWN, terms_for
from licensing.terms.rights import Rights
from store.core.errors import StoreError

MOST_OTHERS = 200
"""Models of the same owner that can be ticked for a bundle."""
USUAL_TERMS = "store-commercial"
USUAL_CURRENCY = "EUR"
PREFIX = "prices"
_FIELDS_OF_CODES = {
    "unknown_terms": "terms_id",
    "bad_terms": "own_text",
    "terms_too_large": "own_text",
    "lineage_unconfirmed": "confirmed",
    "confirm_in_person": "confirmed",
}
_FIELDS_OF_DRAFTS = {
    "interval": "plan",
    "amount_minor": "amount",
    "suggested_minor": "suggested",
    "launch_minor": "launch",
}


@dataclass(slots=True)
class _Editor:
    """One request to the editor."""

    viewer: Viewer
    repo: ModelRepo
    offer: Offer | None
    others: list[ModelRepo]
    """What a bundle could have beside the model; nothing where the offer exists already."""

    def repos(self, form: OfferForm) -> list[ModelRepo]:
        """Return the models the offer is or would be for."""
        if self.offer is not None:
            return list(self.offer.repos.select_related("namespace"))
        chosen = set(form.cleaned_data.get("models") or ())
        return [self.repo, *(repo for repo in self.others if repo.public_id in chosen)]


@require_http_methods(["GET", "HEAD", "POST"])
@recent_to_open
def new_page(request: HttpRequest, user: User, ns: str, name: str) -> HttpResponse:
    """Make an offer for a model."""
    viewer = viewer_of(request)
    repo = repo_for(viewer, ns, name, to="admin")
    return _page(request, _Editor(viewer, repo, None, _others(repo)))


@require_http_methods(["GET", "HEAD", "POST"])
@recent_to_open
def edit_page(request: HttpRequest, user: User, ns: str, name: str, offer: str) -> HttpResponse:
    """Change an offer of a model. What was sold keeps what it was sold with."""
    viewer = viewer_of(request)
    repo = repo_for(viewer, ns, name, to="admin")
    return _page(request, _Editor(viewer, repo, offer_of(viewer, repo, offer), []))


def _others(repo: ModelRepo) -> list[ModelRepo]:
    rows = ModelRepo.objects.filter(
        namespace=repo.namespace_id,
        is_private=False,
        disabled_reason="",
        listing__verdict="clean",
        listing__weights_bytes__gt=0,
    )
    return list(rows.exclude(pk=repo.pk).select_related("namespace").order_by("name")[:MOST_OTHERS])


def _page(request: HttpRequest, editor: _Editor) -> HttpResponse:
    if request.method != "POST":
        return _show(request, editor, *_first(editor))
    sent, do = request.POST, request.POST.get("do", "save")
    if do == "save":
        return _save(request, editor)
    found = _previewed(sent, editor) if do == "preview" else {}
    if do == "preview" and getattr(request, "htmx", False):
        return render(request, "licensing/_offer_preview.html", found)
    form = OfferForm(initial=as_typed(OfferForm, sent), others=editor.others)
    count = _row_count(sent)
    rows = [as_typed(PriceForm, sent, f"{PREFIX}-{number}") for number in range(count)]
    prices = PriceFormSet(initial=rows, prefix=PREFIX)
    prices.extra = 1 if do == "row" else 0
    return _show(request, editor, form, prices, found)


def _row_count(sent: QueryDict) -> int:
    text = sent.get(f"{PREFIX}-TOTAL_FORMS", "")
    is_number = text.isascii() and text.isdigit() and len(text) < 4
    return min(int(text), MAX_PRICES) if is_number else SPARE_ROWS


def _first(editor: _Editor) -> tuple[OfferForm, Any, dict[str, Any]]:
    """Return the forms as they are shown first, and the preview of an offer that is there."""
    if editor.offer is None:
        used = Price.objects.filter(offer__namespace=editor.repo.namespace_id).order_by("-id")
        currency = used.values_list("currency", flat=True).first() or USUAL_CURRENCY
        form = OfferForm(initial={"terms_id": USUAL_TERMS}, others=editor.others)
        prices = PriceFormSet(initial=[{"currency": currency}], prefix=PREFIX)
        prices.extra = 0
        terms = terms_for(USUAL_TERMS)
        return form, prices, {"terms_text": terms.text, "terms_rights": terms.rights}
    offer = editor.offer
    rows = list(offer.prices.all())
    form = OfferForm(initial=first_values(offer), others=editor.others)
    prices = PriceFormSet(initial=first_prices(rows), prefix=PREFIX)
    draft = OfferDraft(
        title="",
        kind=Offer.Kind(offer.kind),
        terms_id="",
        interval=offer.interval,
        prices=offers.prices_of(rows),
        is_tax_included=offer.is_tax_included,
    )
    found: dict[str, Any] = {
        "preview": preview(list(offer.repos.select_related("namespace")), draft),
        "terms_text": offer.terms.text,
        "terms_rights": Rights.from_json(offer.rights),
    }
    return form, prices, found


def _save(request: HttpRequest, editor: _Editor) -> HttpResponse:
    form = OfferForm(request.POST, others=editor.others)
    prices = PriceFormSet(request.POST, prefix=PREFIX)
    status = 400
    if form.is_valid() and prices.is_valid():
        rows = filled(prices)
        draft = form.draft([price for _row, price in rows])
        try:
            check_recent(request)
            offer = _write(editor, form, draft)
        except StoreError as error:
            status = error.status
            refuse(form, prices, error, [row for row, _price in rows])
        else:
            messages.success(request, _("“%(title)s” is saved.") % {"title": offer.title})
            return redirect(f"/{editor.repo.full_name}/offers")
    found = _previewed(request.POST, editor)
    return _show(request, editor, form, prices, found, status=status)


def _write(editor: _Editor, form: OfferForm, draft: OfferDraft) -> Offer:
    if editor.offer is not None:
        return offers.change_offer(editor.viewer, editor.offer, draft)
    return offers.make_offer(editor.viewer, editor.repos(form), draft)


def refuse(form: OfferForm, prices: Any, error: StoreError, rows: list[int]) -> None:
    """Show a refusal at the field it is about, or above the form.

    Args:
        form: The offer.
        prices: Its price rows.
        error: What the service said.
        rows: Which row each price of the draft came from.
    """
    named = str(error.extra.get("field", ""))
    name = _FIELDS_OF_DRAFTS.get(named, named)
    place = error.extra.get("price")
    if isinstance(place, int):
        row = prices.forms[rows[place]]
        row.add_error(name if name in row.fields else None, error.message)
        return
    if error.extra.get("reason") == "terms":
        name = "terms_id"
    name = _FIELDS_OF_CODES.get(error.code, name)
    form.add_error(name if name in form.fields else None, error.message)


def _previewed(sent: QueryDict, editor: _Editor) -> dict[str, Any]:
    """Return what the preview shows of the forms as they stand, complete or not."""
    form = OfferForm(sent, others=editor.others)
    prices = PriceFormSet(sent, prefix=PREFIX)
    form.is_valid()
    found: dict[str, Any] = {"preview": None, "problem": ""}
    terms_id = form.cleaned_data.get("terms_id", "")
    if terms_id == OWN:
        found |= {"terms_text": form.cleaned_data.get("own_text", "")}
        found |= {"terms_rights": form.rights()}
    elif terms_id:
        terms = terms_for(terms_id)
        found |= {"terms_text": terms.text, "terms_rights": terms.rights}
    if not prices.is_valid():
        return found | {"problem": _first_problem(prices)}
    given = [price for _row, price in filled(prices)]
    draft = form.money_draft(given)
    if not given and draft.kind != Offer.Kind.FREE:
        return found
    try:
        found["preview"] = _preview(editor, form, draft)
    except StoreError as error:
        found["problem"] = error.message
    return found


def _preview(editor: _Editor, form: OfferForm, draft: OfferDraft) -> Preview:
    return preview(editor.repos(form), draft)


def _first_problem(prices: Any) -> str:
    for errors in prices.errors:
        for texts in errors.values():
            return str(texts[0])
    return str(next(iter(prices.non_form_errors()), ""))


def _show(
    request: HttpRequest,
    editor: _Editor,
    form: OfferForm,
    prices: Any,
    found: dict[str, Any],
    *,
    status: int = 200,
) -> HttpResponse:
    repos = [editor.repo]
    if editor.offer is not None:
        repos = list(editor.offer.repos.select_related("namespace"))
    context = frame(editor.viewer, editor.repo, tab="offers") | found
    context |= {
        "form": form,
        "price_rows": prices,
        "offer": editor.offer,
        "bundle": repos if len(repos) > 1 else [],
        "verdicts": [(repo, sale_verdict(editor.viewer, repo)) for repo in repos],
        "asks": [ask for repo in repos for ask in upstream.named_asks(repo)],
        "is_confirmed": form["confirmed"].value(),
    }
    return render(request, "licensing/offer_editor.html", context, status=status)
