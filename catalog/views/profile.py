"""A person or an organization: models, collections, likes, activity, who follows whom."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from accounts.models import Namespace
from accounts.viewer import Viewer
from accounts.views.guards import viewer_of
from catalog.access import canonical_alias, namespace_for
from catalog.models import Listing
from catalog.search.query import SearchQuery
from catalog.search.run import search
from catalog.services.collection_lists import collections_of
from catalog.services.feeds import feed_of_followed, feed_of_namespace
from catalog.services.follows import followed_by, followers_of, members_of, set_follow
from catalog.services.likes import likes_of
from catalog.services.overviews import Figures, figures_of
from catalog.views.browse import PAGE
from store.core.errors import NotFoundError
from store.core.paging import keyset_page
from store.core.redirects import next_path

PEOPLE_PAGE = 60


@dataclass(frozen=True, slots=True)
class Asked:
    """What one tab is made from."""

    viewer: Viewer
    namespace: Namespace
    cursor: str | None


@require_safe
def profile(request: HttpRequest, ns: str) -> HttpResponse:
    """Show who is behind a name; ``?tab=`` chooses what of theirs."""
    viewer = viewer_of(request)
    alias = canonical_alias(viewer, ns)
    if alias:
        response = HttpResponse(status=307)
        response["Location"] = f"/{alias}"
        return response
    namespace = namespace_for(viewer, ns)
    tab = request.GET.get("tab", "models")
    tabs = _PERSON if namespace.user_id else _TEAM
    if tab not in tabs:
        raise NotFoundError(_("There is no such page of %(name)s.") % {"name": namespace.name})
    figures = figures_of(viewer, namespace)
    content = tabs[tab](Asked(viewer, namespace, request.GET.get("cursor")))
    following = content.pop("next_cursor", None)
    context = content | {
        "namespace": namespace,
        "owner": namespace.owner,
        "figures": figures,
        "tab": tab,
        "tabs": _shown_tabs(namespace, figures, tab),
        "is_own": viewer.user is not None and namespace.user_id == viewer.user.pk,
        "can_write": viewer.can_write(namespace.pk),
        "more": f"?{urlencode({'tab': tab, 'cursor': following})}" if following else "",
    }
    return render(request, "catalog/profile.html", context)


@require_safe
def feed_page(request: HttpRequest) -> HttpResponse:
    """Show what the people the reader follows did."""
    viewer = viewer_of(request)
    if viewer.user is None:
        return redirect("/login?next=/feed")
    page = feed_of_followed(viewer, viewer.user, cursor=request.GET.get("cursor"))
    more = f"?{urlencode({'cursor': page.next_cursor})}" if page.next_cursor else ""
    return render(request, "catalog/feed.html", {"lines": page.lines, "more": more})


@require_POST
def follow(request: HttpRequest) -> HttpResponse:
    """Follow whoever the form names, or stop."""
    viewer = viewer_of(request)
    viewer.signed_in()
    namespace = namespace_for(viewer, request.POST.get("name", ""))
    follows = request.POST.get("follows") == "true"
    set_follow(viewer, namespace, follows=follows)
    text = _("You follow %(name)s.") if follows else _("You no longer follow %(name)s.")
    messages.success(request, text % {"name": namespace.name})
    return redirect(next_path(request, otherwise=f"/{namespace.name}"))


def _models(asked: Asked) -> dict[str, Any]:
    query = SearchQuery.from_params({"author": asked.namespace.name, "sort": "updated"})
    page = search(asked.viewer, query, limit=PAGE, cursor=asked.cursor)
    return {"listings": page.rows, "next_cursor": page.next_cursor}


def _collections(asked: Asked) -> dict[str, Any]:
    return {"collections": collections_of(asked.viewer, asked.namespace)}


def _likes(asked: Asked) -> dict[str, Any]:
    user = asked.namespace.user
    assert user is not None  # noqa: S101
    likes, following = keyset_page(likes_of(asked.viewer, user), asked.cursor, PAGE)
    found = Listing.objects.in_bulk([like.repo_id for like in likes])
    listings = [found[like.repo_id] for like in likes if like.repo_id in found]
    return {"listings": listings, "next_cursor": following}


def _activity(asked: Asked) -> dict[str, Any]:
    page = feed_of_namespace(asked.viewer, asked.namespace, cursor=asked.cursor)
    return {"lines": page.lines, "next_cursor": page.next_cursor}


def _followers(asked: Asked) -> dict[str, Any]:
    rows, following = keyset_page(followers_of(asked.namespace), asked.cursor, PEOPLE_PAGE)
    return {"people": [row.follower for row in rows], "next_cursor": following}


def _following(asked: Asked) -> dict[str, Any]:
    user = asked.namespace.user
    assert user is not None  # noqa: S101
    rows, following = keyset_page(followed_by(user), asked.cursor, PEOPLE_PAGE)
    return {"people": [row.namespace.owner for row in rows], "next_cursor": following}


def _members(asked: Asked) -> dict[str, Any]:
    rows = members_of(asked.namespace).order_by("-pk")
    found, following = keyset_page(rows, asked.cursor, PEOPLE_PAGE)
    return {"people": [row.user for row in found], "next_cursor": following}


Tab = Callable[[Asked], dict[str, Any]]
_COMMON: dict[str, Tab] = {
    "models": _models,
    "collections": _collections,
    "activity": _activity,
    "followers": _followers,
}
_PERSON = _COMMON | {"likes": _likes, "following": _following}
_TEAM = _COMMON | {"members": _members}


def _shown_tabs(namespace: Namespace, figures: Figures, tab: str) -> list[dict[str, Any]]:
    """Return the tabs in their order, with how much is behind each."""
    is_person = namespace.user_id is not None
    rows: list[tuple[str, str, int | None]] = [
        ("models", _("Models"), figures.models),
        ("collections", _("Collections"), figures.collections),
    ]
    if is_person:
        rows.append(("likes", _("Likes"), figures.likes))
    rows.append(("activity", _("Activity"), None))
    if not is_person:
        rows.append(("members", _("Members"), figures.members))
    rows.append(("followers", _("Followers"), figures.followers))
    if is_person:
        followed = figures.following + figures.following_organizations
        rows.append(("following", _("Following"), followed))
    base = f"/{namespace.name}"
    return [
        {
            "text": text,
            "href": base if name == "models" else f"{base}?tab={name}",
            "is_current": name == tab,
            "count": count,
        }
        for name, text, count in rows
    ]
