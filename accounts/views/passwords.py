"""Forgotten passwords."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.views import PasswordResetConfirmView
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from accounts.forms import NewPasswordForm, ResetForm, refuse
from accounts.services.passwords import ask_reset
from store.core.errors import StoreError
from store.core.web import client_address


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def reset_page(request: HttpRequest) -> HttpResponse:
    """Have a link for a new password mailed; the answer is the same for everybody."""
    form, status = ResetForm(request.POST if request.method == "POST" else None), 200
    if form.is_valid():
        try:
            ask_reset(
                name=form.cleaned_data["name"],
                address=client_address(request),
                language=get_language() or "",
            )
        except StoreError as error:
            refuse(form, error)
            status = error.status
        else:
            return redirect("/password-reset/sent")
    elif form.errors:
        status = 400
    return render(request, "accounts/reset.html", {"form": form}, status=status)


@never_cache
@require_safe
def reset_sent_page(request: HttpRequest) -> HttpResponse:
    """Say that a letter is on its way, if there is somebody to get it."""
    return render(request, "accounts/reset_sent.html")


class NewPasswordView(PasswordResetConfirmView):
    """Sets a new password by the mailed link.

    Django's own view: it moves the link's secret into the session at once, so that no address
    with it is left in the history or told to another page.
    """

    form_class: Any = NewPasswordForm
    template_name = "accounts/new_password.html"
    success_url = "/login"
    title = ""
    reset_url_token = "new"  # noqa: S105  # a word in the address, where the secret stood

    def form_valid(self, form: Any) -> HttpResponse:
        """Send the person to the sign-in; every older session has ended."""
        messages.success(self.request, _("Your new password is set. Sign in with it."))
        return super().form_valid(form)

    def render_to_response(self, context: dict[str, Any], **kwargs: Any) -> HttpResponse:
        """A link that was used, or is too old, is gone."""
        status = 200 if self.validlink else 410
        return super().render_to_response(context, status=status, **kwargs)
