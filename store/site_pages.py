"""The site's own small pages: pictures of names, light and dark, guide, status."""

from django.conf import settings
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.templatetags.static import static
from django.urls import is_valid_path
from django.utils.translation import gettext as _
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_POST, require_safe

from accounts.views.guards import viewer_of
from licensing.services.reconciling import latest_run
from store.core.errors import InvalidError, NotFoundError
from store.core.redirects import next_path, own_path
from store.core.ui.identicon import identicon
from store.core.ui.themes import COOKIE, COOKIE_AGE_S, THEMES
from store.core.web import error_page
from store.health import check_all

_NAME_CHARS = 96
_PYTHON = """\
from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("owner/name")
model = AutoModelForCausalLM.from_pretrained("owner/name")
"""
_ROBOTS = """\
User-agent: *
Disallow: /api/
Disallow: /settings
Disallow: /admin/
Disallow: /*/resolve/
Disallow: /*/archive/
"""


class UnknownThemeError(InvalidError):
    """There is light, dark, and what the reader's system says."""

    code = "unknown_theme"


@require_safe
def avatar(request: HttpRequest, name: str) -> HttpResponse:
    """Answer the picture of ``name``, whether somebody has it or not: it tells nothing."""
    answer = HttpResponse(identicon(name[:_NAME_CHARS]), content_type="image/svg+xml")
    answer["Cache-Control"] = "public, max-age=31536000, immutable"
    return answer


@require_safe
@cache_control(public=True, max_age=86400)
def favicon(request: HttpRequest) -> HttpResponse:
    """Lead programs that ask for it unbidden to the icon."""
    return redirect(static("img/icon.svg"))


@require_POST
def set_theme(request: HttpRequest) -> HttpResponse:
    """Remember light or dark for this browser, and go back to the page.

    Raises:
        UnknownThemeError: it is neither, nor ``system``.
    """
    theme = request.POST.get("theme", "")
    if theme not in THEMES:
        raise UnknownThemeError("Choose light, dark or as the system says.")
    answer = redirect(next_path(request))
    answer.set_cookie(
        COOKIE,
        theme,
        max_age=COOKIE_AGE_S,
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )
    return answer


_GATE = """\
extra_gated_heading: Tell us who you are
extra_gated_prompt: |
  You agree **not** to use this model to harm people.
extra_gated_fields:
  Company: text
  Country: country
  Date of birth: date_picker
  I will use it for:
    type: select
    options: [Research, Teaching, {label: Something else, value: other}]
  I agree to the license: checkbox
extra_gated_button_content: Agree and ask"""


@require_safe
def guide(request: HttpRequest) -> HttpResponse:
    """Show how to download, load and publish with the tools people have."""
    return render(request, "guide.html", {"python": _PYTHON, "gate_example": _GATE})


@require_safe
def status(request: HttpRequest) -> HttpResponse:
    """Show which parts of the store work; programs read ``/readyz``.

    Staff see as well whether the money agreed when it was last compared.
    """
    results = check_all()
    is_ready = all(result == "ok" for result in results.values())
    is_for_staff = results["database"] == "ok" and viewer_of(request).is_staff
    context = {
        "results": results,
        "is_ready": is_ready,
        "is_for_staff": is_for_staff,
        "reconciled": latest_run() if is_for_staff else None,
    }
    answer = render(request, "status.html", context, status=200 if is_ready else 503)
    answer["Cache-Control"] = "no-store"
    return answer


def nothing_here(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer an address that does not exist; one with a slash too many leads to the page meant."""
    address = request.get_full_path()
    path, _mark, query = address.partition("?")
    bare = own_path(path.rstrip("/"), otherwise="")
    is_meant = bare and bare != path and is_valid_path(request.path_info.rstrip("/"))
    if request.method in {"GET", "HEAD"} and is_meant:
        return redirect(f"{bare}?{query}" if query else bare)
    try:
        return error_page(request, NotFoundError(_("There is nothing at this address.")))
    except DatabaseError:
        return HttpResponse(render_to_string("404.html"), status=404)


@require_safe
def robots(request: HttpRequest) -> HttpResponse:
    """Tell crawlers which addresses only cost work."""
    return HttpResponse(_ROBOTS, content_type="text/plain; charset=utf-8")
