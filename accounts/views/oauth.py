"""Pages of browser login: letting a program in, and the programs that are in.

Whoever lets one read or write for them proves that it is them, as for a token they make themselves.
"""

from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from accounts.forms import ClientForm, DeviceCodeForm, refuse
from accounts.models import DeviceRequest, OAuthClient, OAuthSession, User
from accounts.services import code_login, device_login, oauth
from accounts.services.code_login import RedirectRefusedError, Wish
from accounts.services.oauth import Access, OAuthError, client_for
from accounts.views.guards import confirm_first, is_recent, personal
from store.core.errors import InvalidError, StoreError
from store.core.web import client_address


@require_http_methods(["GET", "HEAD", "POST"])
@personal
def verify_page(request: HttpRequest, user: User) -> HttpResponse:
    """Take the code a program shows, say who asks for what, and take the answer.

    Opening a link with the code in it decides nothing: the person must press a button here.
    """
    sent = request.POST if request.method == "POST" else request.GET
    typed = sent.get("code", "")
    form = DeviceCodeForm({"code": typed} if typed else None)
    if not form.is_valid():
        return _verify(request, form)
    try:
        waiting = device_login.find(user, form.cleaned_data["code"])
        client = client_for(waiting.client_id)
        if "decision" in request.POST:
            access = _decision(request)
            if access is not None and not is_recent(request):
                return confirm_first(request, _page_of(waiting))
            device_login.decide(user, waiting, access)
            return _verify(request, DeviceCodeForm(), is_in=access is not None, is_done=True)
    except StoreError as error:
        form.add_error("code", error.message)
        return _verify(request, form, status=error.status)
    return _verify(request, form, waiting=waiting, client=client)


def _page_of(waiting: DeviceRequest) -> str:
    """Return the page that asks about one program: whoever confirms first decides there anew."""
    return f"/oauth/verify?{urlencode({'code': waiting.user_code})}"


def _decision(request: HttpRequest) -> Access | None:
    chosen = request.POST["decision"]
    if chosen == "deny":
        return None
    access = request.POST.get("access", "")
    if chosen != "allow" or access not in {Access.READ, Access.WRITE}:
        raise InvalidError(_("Choose what the program may do."))
    return Access(access)


def _verify(
    request: HttpRequest, form: DeviceCodeForm, *, status: int = 200, **more: object
) -> HttpResponse:
    context = {"waiting": None, "client": None, "is_done": False, "is_in": False} | more
    return render(request, "accounts/oauth_verify.html", context | {"form": form}, status=status)


@require_http_methods(["GET", "HEAD", "POST"])
@personal
def authorize_page(request: HttpRequest, user: User) -> HttpResponse:
    """Ask the person whether a page of somebody else's may know them, or act for them."""
    given = request.GET.dict()
    try:
        wish = code_login.read_wish(given)
    except RedirectRefusedError:
        raise
    except OAuthError as error:  # client and address are right: its developer may be told
        return _back(_told(given, error))
    if request.method == "POST":
        if request.POST.get("decision") == "allow":
            if wish.access != Access.IDENTITY and not is_recent(request):
                return confirm_first(request, request.get_full_path())
            return _back(wish.back(code=code_login.allow(user, wish)))
        return _back(wish.back(error="access_denied", error_description="The person said no."))
    answer = render(request, "accounts/oauth_authorize.html", {"wish": wish})
    # where a browser may go once the form is sent: back to the program, nowhere else
    answer._csp_update = {"form-action": [wish.origin]}  # type: ignore[attr-defined]  # noqa: SLF001
    return answer


def _told(given: dict[str, str], error: OAuthError) -> str:
    client = client_for(given["client_id"])
    state = given.get("state", "")[: code_login.MAX_STATE_CHARS]
    wish = Wish(client, given["redirect_uri"], state, "", ())
    return wish.back(error=error.error, error_description=error.message)


def _back(address: str) -> HttpResponse:
    """Send the browser to a registered address, whatever Django thinks of its scheme."""
    answer = HttpResponse(status=303)
    answer["Location"] = address
    answer["Referrer-Policy"] = "no-referrer"
    return answer


@require_http_methods(["GET", "HEAD", "POST"])
@personal
def programs_page(request: HttpRequest, user: User) -> HttpResponse:
    """Show the programs that are signed in, and the person's own ones; register one."""
    form, status = ClientForm(request.POST if request.method == "POST" else None), 200
    if form.is_valid():
        try:
            oauth.register_client(
                user,
                name=form.cleaned_data["name"],
                redirect_uris=form.cleaned_data["redirect_uris"].split(),
                address=client_address(request),
            )
        except StoreError as error:
            refuse(form, error)
        else:
            messages.success(request, _("The program is registered."))
            return redirect("/settings/programs")
    if form.errors:
        status = 400
    context = {
        "form": form,
        "sessions": OAuthSession.objects.filter(user=user, ended_at=None).order_by("-created_at"),
        "clients": OAuthClient.objects.filter(owner=user).order_by("name"),
        "section": "programs",
    }
    return render(request, "accounts/programs.html", context, status=status)


@require_POST
@personal
def end_session(request: HttpRequest, user: User, session_id: int) -> HttpResponse:
    """Sign a program out."""
    oauth.end_session(user, session_id, address=client_address(request))
    messages.success(request, _("The program is signed out. Its tokens open nothing any more."))
    return redirect("/settings/programs")


@require_POST
@personal
def delete_client(request: HttpRequest, user: User, client_id: str) -> HttpResponse:
    """Delete a program of one's own, with everybody's sessions at it."""
    oauth.delete_client(user, client_id, address=client_address(request))
    messages.success(request, _("The program is deleted."))
    return redirect("/settings/programs")
