"""Fine-grained tokens of the person in the browser: what each reaches is chosen here."""

from collections.abc import Mapping

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_http_methods

from accounts.forms import FineGrainedForm
from accounts.models import AccessToken, Permission, User
from accounts.services.tokens import MAX_GRANTS, NewReach, change_reach, create_token, own_tokens
from accounts.views.guards import check_recent, recent_to_open, viewer_of
from catalog.services.token_reach import Place, Wanted, own_namespaces, places_of, read_reach
from store.core.errors import NotFoundError, StoreError
from store.core.web import client_address

BLANK_ROWS = 3
"""Empty lines for models; whoever needs more saves and comes back."""
MAX_NAME_CHARS = 140


@sensitive_variables("text")
@require_http_methods(["GET", "HEAD", "POST"])
@recent_to_open
def new_page(request: HttpRequest, user: User) -> HttpResponse:
    """Make a fine-grained token; its text stands in this answer and nowhere else."""
    is_sent = request.method == "POST"
    form = FineGrainedForm(request.POST if is_sent else None)
    if form.is_valid():
        try:
            check_recent(request)
            token, text = create_token(
                user,
                name=form.cleaned_data["name"],
                scopes=[],
                reach=_reach(request, form),
                expires_at=form.cleaned_data["expires_at"],
                by=viewer_of(request),
            )
        except StoreError as error:
            form.add_error(None, error.message)
        else:
            context = {"token": token, "text": text, "section": "tokens"}
            return render(request, "accounts/token_made.html", context, status=201)
    return _page(request, form, sent=request.POST if is_sent else None)


@require_http_methods(["GET", "HEAD", "POST"])
@recent_to_open
def edit_page(request: HttpRequest, user: User, token_id: int) -> HttpResponse:
    """Show what a fine-grained token reaches, and change it."""
    rows = own_tokens(user).filter(pk=token_id, is_fine_grained=True)
    token = rows.select_related("user").first()
    if token is None:
        raise NotFoundError(_("You have no such token."))
    shown = {
        "name": token.name,
        "reaches_gated": token.reaches_gated,
        "discusses_everywhere": Permission.DISCUSS in token.global_permissions,
    }
    is_sent = request.method == "POST"
    form = FineGrainedForm(request.POST if is_sent else None, initial=shown)
    del form.fields["life_days"]  # a secret that is out does not get a longer life
    if form.is_valid():
        try:
            check_recent(request)
            change_reach(
                user,
                token_id,
                name=form.cleaned_data["name"],
                reach=_reach(request, form),
                address=client_address(request),
            )
        except StoreError as error:
            form.add_error(None, error.message)
        else:
            messages.success(request, _("The token is changed. Programs keep using it as it is."))
            return redirect("/settings/tokens")
    return _page(request, form, sent=request.POST if is_sent else None, token=token)


def _reach(request: HttpRequest, form: FineGrainedForm) -> NewReach:
    everywhere = {Permission.DISCUSS} if form.cleaned_data["discusses_everywhere"] else set()
    return read_reach(
        viewer_of(request),
        _wanted(request.POST),
        everywhere=frozenset(everywhere),
        has_gated=form.cleaned_data["reaches_gated"],
    )


def _wanted(sent: QueryDict) -> list[Wanted]:
    """Return the places of the form: numbered lines, each a name and its ticks."""
    found = []
    for number in range(MAX_GRANTS + 1):
        name = sent.get(f"place{number}", "").strip()[:MAX_NAME_CHARS]
        ticks = sent.getlist(f"may{number}")
        if name:
            held = frozenset(Permission(tick) for tick in ticks if tick in Permission.values)
            found.append(Wanted(name, held))
    return found


def _page(
    request: HttpRequest,
    form: FineGrainedForm,
    *,
    sent: QueryDict | None,
    token: AccessToken | None = None,
) -> HttpResponse:
    """Show the form, filled with what the token has or, after a refusal, with what was sent."""
    places = places_of(token) if token else []
    ticks: dict[str, frozenset[str]] = {
        place.name: frozenset(place.permissions) for place in places
    }
    if sent is not None:
        ticks = {each.name: frozenset(each.permissions) for each in _wanted(sent)}
    context = {
        "form": form,
        "token": token,
        "rows": _rows(request, ticks, places),
        "permissions": list(Permission),
        "section": "tokens",
    }
    status = 400 if form.errors else 200
    return render(request, "accounts/token_reach.html", context, status=status)


def _rows(
    request: HttpRequest, ticks: Mapping[str, frozenset[str]], places: list[Place]
) -> list[dict[str, object]]:
    """Return the lines of the form: each of the person's name spaces, models, blank ones."""
    names = [namespace.name for namespace in own_namespaces(viewer_of(request))]
    models = [name for name in ticks if "/" in name or name not in names]
    models += [place.name for place in places if place.kind == "model" and place.name not in ticks]
    lines = [(name, True) for name in names] + [(name, False) for name in models]
    lines += [("", False)] * BLANK_ROWS
    return [
        {"number": number, "name": name, "is_fixed": is_fixed, "ticks": ticks.get(name, ())}
        for number, (name, is_fixed) in enumerate(lines[: MAX_GRANTS + 1])
    ]
