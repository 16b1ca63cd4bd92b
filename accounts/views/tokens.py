"""Access tokens of the person in the browser."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_http_methods, require_POST

from accounts.forms import TokenForm, refuse
from accounts.models import Scope, User
from accounts.services.tokens import create_token, own_tokens, revoke_token, rotate_token
from accounts.views.guards import (
    check_admin_token,
    personal,
    recent,
    recent_to_change,
    viewer_of,
)
from store.core.errors import StoreError
from store.core.web import client_address


@sensitive_variables("text")
@require_http_methods(["GET", "HEAD", "POST"])
@recent_to_change
def tokens_page(request: HttpRequest, user: User) -> HttpResponse:
    """Show tokens, and make one; its text stands in this answer and nowhere else."""
    form, text, status = TokenForm(request.POST if request.method == "POST" else None), "", 200
    if form.is_valid():
        try:
            text = _create(request, user, form)
            form, status = TokenForm(), 201
        except StoreError as error:
            refuse(form, error)
    if form.errors:
        status = 400
    tokens = own_tokens(user).order_by("-created_at")
    context = {"form": form, "tokens": tokens, "text": text, "section": "tokens"}
    return render(request, "accounts/tokens.html", context, status=status)


def _create(request: HttpRequest, user: User, form: TokenForm) -> str:
    values = form.cleaned_data
    if values["scope"] == Scope.ADMIN:
        check_admin_token(request, user)
    return create_token(
        user,
        name=values["name"],
        scopes=[Scope(values["scope"])],
        expires_at=values["expires_at"],
        spend_limit=values["limit"],
        by=viewer_of(request),
    )[1]


@require_POST
@personal
def revoke_page(request: HttpRequest, user: User, token_id: int) -> HttpResponse:
    """End a token at once."""
    revoke_token(user, token_id, address=client_address(request))
    messages.success(request, _("The token is revoked. It no longer opens anything."))
    return redirect("/settings/tokens")


@sensitive_variables("text")
@require_POST
@recent
def rotate_page(request: HttpRequest, user: User, token_id: int) -> HttpResponse:
    """Give a token another secret; it stands in this answer and nowhere else."""
    token, text = rotate_token(user, token_id, by=viewer_of(request))
    context = {"token": token, "text": text, "section": "tokens"}
    return render(request, "accounts/token_made.html", context, status=201)
