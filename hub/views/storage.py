"""What one's repositories take of one's room (contract 7.6)."""

from typing import Any

from django.http import HttpRequest, HttpResponseBase, JsonResponse

from accounts.models import Namespace
from accounts.viewer import Viewer
from catalog.content.quotas import usage_of
from catalog.models import ModelRepo
from catalog.services.storage_lists import sized_repos
from hub.answers import hub_view, page_link
from hub.params import number
from store.core.clock import iso
from store.core.errors import NotFoundError
from store.core.paging import decode_offset, encode_cursor

PAGE = 500


@hub_view("GET")
def own(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """List the caller's own repositories, the largest first."""
    return _list(request, viewer, Namespace.objects.get(user=viewer.identified()))


@hub_view("GET")
def of_organization(request: HttpRequest, viewer: Viewer, org: str) -> HttpResponseBase:
    """List the repositories of an organization, for its members."""
    viewer.identified()
    mine = Namespace.objects.filter(pk__in=viewer.person_roles, organization__isnull=False)
    namespace = mine.filter(name__iexact=org).first()
    if namespace is None:
        raise NotFoundError("You belong to no organization of this name.")
    return _list(request, viewer, namespace)


def _list(request: HttpRequest, viewer: Viewer, namespace: Namespace) -> HttpResponseBase:
    limit = min(number(request, "limit", PAGE, least=1), PAGE)
    start = decode_offset(request.GET.get("cursor"))
    rows = list(sized_repos(viewer, namespace)[start : start + limit + 1])
    used_bytes = usage_of(namespace).used_bytes
    answer = JsonResponse([_item(row, used_bytes) for row in rows[:limit]], safe=False)
    if len(rows) > limit:
        answer["Link"] = page_link(request, cursor=encode_cursor([start + limit]))
    answer["Cache-Control"] = "no-store"
    return answer


def _item(repo: ModelRepo, all_bytes: int) -> dict[str, Any]:
    used_bytes: int = repo.used_bytes  # type: ignore[attr-defined]
    return {
        "id": repo.full_name,
        "type": "model",
        "updatedAt": iso(repo.updated_at),
        "visibility": "private" if repo.is_private else "public",
        "storage": used_bytes,
        "storagePercent": round(100 * used_bytes / all_bytes, 2) if all_bytes else 0.0,
    }
