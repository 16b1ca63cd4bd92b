"""Who may open a page about themselves."""

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, cast
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache

from accounts.models import User
from accounts.viewer import Viewer
from store.core.errors import ForbiddenError
from store.core.web import wants_json

P = ParamSpec("P")


class BrowserOnlyError(ForbiddenError):
    """A token was sent to a page that changes its owner's account."""

    code = "browser_only"


def viewer_of(request: HttpRequest) -> Viewer:
    """Return who asks."""
    viewer: Viewer = request.viewer  # type: ignore[attr-defined]
    return viewer


def personal(
    view: Callable[Concatenate[HttpRequest, User, P], HttpResponse],
) -> Callable[Concatenate[HttpRequest, P], HttpResponse]:
    """Give the view the person in this browser; ask visitors to sign in; let nothing cache it.

    A token never opens these pages, whatever its scope: a page trusts its session and the form's
    secret, and programs have the REST API with its scopes.
    """

    @wraps(view)
    def guarded(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        viewer = viewer_of(request)
        if viewer.token is not None:
            raise BrowserOnlyError(_("This page is for browsers. Programs use /api/v1."))
        if viewer.is_visitor and not wants_json(request):
            return redirect(f"/login?{urlencode({'next': request.get_full_path()})}")
        return view(request, viewer.signed_in(), *args, **kwargs)

    return cast("Callable[Concatenate[HttpRequest, P], HttpResponse]", never_cache(guarded))
