"""The inbox, what people want to hear of, and the link in mails that ends them."""

from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.models import User
from accounts.views.guards import personal, viewer_of
from catalog.access import repo_for
from catalog.models import ModelRepo, Watch
from catalog.services.event_words import notice_link
from catalog.services.inbox import NoticeNotFoundError, inbox, read_all, set_read
from catalog.services.notice_letters import read_unsubscribe, unsubscribe
from catalog.services.notice_settings import DEFAULTS, Kind, Wish, set_watch, set_wishes, wishes_of
from store.core.errors import InvalidError
from store.core.paging import keyset_page
from store.core.redirects import next_path

PAGE = 40
MOST_WATCHES = 500


@require_safe
@personal
def inbox_page(request: HttpRequest, user: User) -> HttpResponse:
    """Show what the reader was told, newest first."""
    unread = request.GET.get("show") == "unread"
    found, following = keyset_page(inbox(user, unread=unread), request.GET.get("cursor"), PAGE)
    more = ""
    if following:
        query = {"cursor": following} | ({"show": "unread"} if unread else {})
        more = f"?{urlencode(query)}"
    context = {"notices": found, "unread": unread, "all": not unread, "more": more}
    return render(request, "catalog/notices.html", context)


@require_safe
@personal
def open_notice(request: HttpRequest, user: User, notice_id: int) -> HttpResponse:
    """Mark a notice as read and lead to what it is about."""
    return redirect(notice_link(set_read(viewer_of(request), notice_id, is_read=True)))


@require_POST
@personal
def mark(request: HttpRequest, user: User) -> HttpResponse:
    """Mark one notice, or everything, as read or unread: as the pressed button says."""
    viewer, chosen = viewer_of(request), request.POST.get("notice", "")
    if chosen == "all":
        read_all(viewer)
    elif chosen.isascii() and chosen.isdigit() and len(chosen) < 19:
        set_read(viewer, int(chosen), is_read=request.POST.get("read") != "false")
    else:
        raise NoticeNotFoundError(_("There is no such notice."))
    return redirect(next_path(request, otherwise="/notifications"))


@require_http_methods(["GET", "HEAD", "POST"])
@personal
def settings_page(request: HttpRequest, user: User) -> HttpResponse:
    """Show and change what the reader hears of, and how."""
    if request.method == "POST":
        chosen = {
            kind: Wish(f"site-{kind.value}" in request.POST, f"mail-{kind.value}" in request.POST)
            for kind in DEFAULTS
        }
        set_wishes(viewer_of(request), chosen)
        messages.success(request, _("Your choice is saved."))
        return redirect("/settings/notifications")
    visible = ModelRepo.objects.visible_to(viewer_of(request))
    watches = Watch.objects.filter(user=user, repo__in=visible).select_related("repo__namespace")
    context = {
        "wishes": list(wishes_of(user).items()),
        "watches": watches.order_by("-pk")[:MOST_WATCHES],
        "section": "notifications",
    }
    return render(request, "catalog/notice_settings.html", context)


@require_POST
@personal
def watch(request: HttpRequest, user: User, ns: str, name: str) -> HttpResponse:
    """Watch a model, mute it, or neither: as the pressed button says."""
    viewer = viewer_of(request)
    repo = repo_for(viewer, ns, name)
    level = request.POST.get("level", "")
    if level not in {"", *Watch.Level.values}:
        raise InvalidError(_("Choose everything, nothing, or what concerns you."))
    set_watch(viewer, repo, Watch.Level(level) if level else None)
    texts: dict[str, Any] = {
        "watch": _("You hear of everything at %(name)s."),
        "mute": _("You hear nothing of %(name)s any more."),
        "": _("You hear of %(name)s when it concerns you."),
    }
    messages.success(request, texts[level] % {"name": repo.full_name})
    return redirect(next_path(request, otherwise=f"/{repo.full_name}"))


@csrf_exempt  # mail programs send this, without a page and a cookie; the link itself is the proof
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def unsubscribe_page(request: HttpRequest, token: str) -> HttpResponse:
    """End mails of one kind. Opening the link only asks: programs open links, too (RFC 8058)."""
    if request.method == "POST":
        kind, is_done = unsubscribe(token), True
    else:
        (_user, kind), is_done = read_unsubscribe(token), False
    context = {"kind": Kind(kind).label, "is_done": is_done}
    answer = render(request, "catalog/unsubscribe.html", context)
    answer["Referrer-Policy"] = "no-referrer"
    return answer
