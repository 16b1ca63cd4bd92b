"""Git-LFS file locking (https://github.com/git-lfs/git-lfs/blob/main/docs/api/locking.md)."""

from typing import Any

from django.http import HttpRequest, HttpResponseBase, JsonResponse

from accounts.viewer import Viewer
from catalog.access import check_may, repo_for
from catalog.models import FileLock, ModelRepo
from catalog.services.locks import LockExistsError, create_lock, locks_of, remove_lock
from hub.answers import LFS_TYPE, hub_view
from store.core.bodies import read_json
from store.core.clock import iso
from store.core.errors import InvalidError
from store.core.paging import keyset_page

MAX_PAGE = 100


@hub_view("GET", "POST")
def locks(request: HttpRequest, viewer: Viewer, ns: str, name: str) -> HttpResponseBase:
    """List the locks, or lock a file."""
    repo = repo_for(viewer, ns, name)
    if request.method == "GET":
        return _list(request, repo)
    body = read_json(request)
    path = body.get("path")
    if not isinstance(path, str):
        raise InvalidError("'path' is missing.")
    try:
        lock = create_lock(viewer, repo, path)
    except LockExistsError as error:
        return _answer({"lock": _shape(error.lock), "message": error.message}, status=409)
    return _answer({"lock": _shape(lock)}, status=201)


@hub_view("POST")
def verify(request: HttpRequest, viewer: Viewer, ns: str, name: str) -> HttpResponseBase:
    """Tell who is about to push which locks are theirs and which are others'."""
    repo = repo_for(viewer, ns, name)
    check_may(viewer, repo, to="write")
    body = read_json(request)
    found, more = _page(repo, str(body.get("cursor") or ""), body.get("limit"))
    user = viewer.identified()
    ours = [_shape(lock) for lock in found if lock.owner_id == user.pk]
    theirs = [_shape(lock) for lock in found if lock.owner_id != user.pk]
    return _answer({"ours": ours, "theirs": theirs} | more)


@hub_view("POST")
def unlock(
    request: HttpRequest, viewer: Viewer, ns: str, name: str, lock_id: str
) -> HttpResponseBase:
    """Unlock a file."""
    repo = repo_for(viewer, ns, name)
    is_forced = read_json(request).get("force") is True
    lock = remove_lock(viewer, repo, lock_id, is_forced=is_forced)
    return _answer({"lock": _shape(lock)})


def _list(request: HttpRequest, repo: ModelRepo) -> HttpResponseBase:
    given = request.GET
    wanted = {
        field: given[key]
        for key, field in (("path", "path"), ("id", "public_id"))
        if given.get(key)
    }
    limit = given.get("limit", "")
    found, more = _page(
        repo, given.get("cursor", ""), int(limit) if limit.isdigit() else None, **wanted
    )
    return _answer({"locks": [_shape(lock) for lock in found]} | more)


def _page(
    repo: ModelRepo, cursor: str, limit: Any, **wanted: str
) -> tuple[list[FileLock], dict[str, str]]:
    """Return the locks of one page, and the cursor of the next."""
    is_number = isinstance(limit, int) and not isinstance(limit, bool) and limit > 0
    count = min(limit, MAX_PAGE) if is_number else MAX_PAGE
    rows = locks_of(repo).filter(**wanted)
    found, following = keyset_page(rows, cursor, count, oldest_first=True)
    return found, {"next_cursor": following} if following else {}


def _shape(lock: FileLock) -> dict[str, Any]:
    return {
        "id": lock.public_id,
        "path": lock.path,
        "locked_at": iso(lock.locked_at),
        "owner": {"name": lock.owner.username},
    }


def _answer(body: dict[str, Any], *, status: int = 200) -> HttpResponseBase:
    return JsonResponse(body, status=status, content_type=LFS_TYPE)
