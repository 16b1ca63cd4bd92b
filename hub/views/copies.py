"""Copies inside the store (contract 7.5, 8.6), and what one's repositories take (7.6)."""

import re
from typing import Any

from django.http import HttpRequest, HttpResponseBase, JsonResponse

from accounts.models import Namespace
from accounts.viewer import Viewer
from catalog.access import NamespaceNotFoundError, RepoMovedError, namespace_for, repo_for
from catalog.content.quotas import quota_of, with_used_bytes
from catalog.models import ModelRepo
from catalog.services.repos import NewRepo, RepoExistsError
from hub.answers import hub_view, page_link
from hub.params import number
from hub.views.repos import privacy_of, text_of
from licensing.delivery.copying import duplicate, share_objects
from store.core.bodies import read_json
from store.core.clock import iso
from store.core.errors import ForbiddenError, InvalidError
from store.core.paging import decode_offset, encode_cursor
from store.core.web import origin

MAX_SHARED = 500
"""Files of one call."""
PAGE = 1000
_SHA256 = re.compile(r"[0-9a-f]{64}")


@hub_view("POST")
def duplicate_repo(request: HttpRequest, viewer: Viewer, ns: str, name: str) -> HttpResponseBase:
    """Make a repository of one's own with the files of another."""
    source = repo_for(viewer, ns, name)
    user = viewer.identified()
    body = read_json(request)
    namespace, _, new_name = text_of(body, "repository").rpartition("/")
    new = NewRepo(new_name, namespace or user.username, privacy_of(body))
    try:
        made = duplicate(viewer, source, new)
    except RepoExistsError as error:
        url = f"{origin(request)}/{error.extra['full_name']}"
        return JsonResponse({"error": error.message, "url": url}, status=409)
    answer = {
        "url": f"{origin(request)}/{made.repo.full_name}",
        "name": made.repo.full_name,
        "id": made.repo.public_id,
        "filesCopyPending": made.is_pending,
    }
    return JsonResponse(answer)


@hub_view("POST")
def duplicate_lfs_files(
    request: HttpRequest, viewer: Viewer, ns: str, name: str
) -> HttpResponseBase:
    """Let another repository name large files of this one."""
    source = repo_for(viewer, ns, name)
    viewer.identified()
    body = read_json(request)
    target = _target(viewer, body.get("target"))
    files = body.get("files")
    if not isinstance(files, list) or len(files) > MAX_SHARED:
        raise InvalidError(f"'files' is a list of up to {MAX_SHARED} objects.")
    failed = share_objects(viewer, source, target, dict(_asked(item) for item in files))
    lines = [{"sha256": digest, "error": reason} for digest, reason in failed.items()]
    return JsonResponse({"failed": lines})


def _target(viewer: Viewer, given: Any) -> ModelRepo:
    if not isinstance(given, dict) or not isinstance(given.get("name"), str):
        raise InvalidError("'target' has 'type' and 'name'.")
    if (given.get("type") or "model") != "model":
        raise InvalidError("This store holds models only.")
    namespace, _, name = given["name"].partition("/")
    try:
        return repo_for(viewer, namespace, name)
    except RepoMovedError as moved:
        return moved.repo


def _asked(item: Any) -> tuple[str, str]:
    sha256 = item.get("sha256") if isinstance(item, dict) else None
    if not isinstance(sha256, str) or not _SHA256.fullmatch(sha256):
        raise InvalidError("Each of 'files' has 'sha256': 64 lower-case hex characters.")
    return sha256, str(item.get("filename") or sha256)


@hub_view("GET")
def my_repositories(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """List what the caller's own repositories take."""
    return _storage(request, viewer, namespace_for(viewer, viewer.identified().username))


@hub_view("GET")
def their_repositories(request: HttpRequest, viewer: Viewer, org: str) -> HttpResponseBase:
    """List what the repositories of an organization take; for its members."""
    viewer.identified()
    namespace = namespace_for(viewer, org)
    if namespace.organization_id is None:
        raise NamespaceNotFoundError(f"There is no organization called {org} here.")
    if viewer.role_in(namespace.pk) is None:
        raise ForbiddenError(f"Only members of {namespace.name} see what its models take.")
    return _storage(request, viewer, namespace)


def _storage(request: HttpRequest, viewer: Viewer, namespace: Namespace) -> HttpResponseBase:
    limit = min(number(request, "limit", PAGE, least=1), PAGE)
    after_id = decode_offset(request.GET.get("cursor"))
    mine = ModelRepo.objects.filter(namespace=namespace, pk__gt=after_id)
    if namespace.pk not in viewer.roles:  # a token that lists some of them, one by one
        mine = mine.filter(public_id__in=viewer.listed_repos)
    rows = list(with_used_bytes(mine.select_related("namespace")).order_by("pk")[: limit + 1])
    quota = quota_of(namespace)
    answer = JsonResponse([_row(repo, quota) for repo in rows[:limit]], safe=False)
    if len(rows) > limit:
        answer["Link"] = page_link(request, cursor=encode_cursor([rows[limit - 1].pk]))
    return answer


def _row(repo: ModelRepo, quota: int | None) -> dict[str, Any]:
    used_bytes: int = repo.used_bytes  # type: ignore[attr-defined]
    return {
        "id": repo.full_name,
        "type": "model",
        "updatedAt": iso(repo.updated_at),
        "visibility": "private" if repo.is_private else "public",
        "storage": used_bytes,
        "storagePercent": round(100 * used_bytes / quota, 2) if quota else 0,
    }
