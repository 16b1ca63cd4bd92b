"""Telling clients that they may fetch a file from the Xet service."""

from collections.abc import Iterable
from urllib.parse import quote

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase, JsonResponse

from catalog.content.reading import xet_hashes
from catalog.content.xet.hashes import to_hex
from catalog.history.trees import Entry
from catalog.models import ModelRepo
from hub.xet_callers import service_url
from licensing.delivery.policy import Delivery
from store.core.web import origin

FILEINFO = "application/vnd.xet-fileinfo+json"
"""What the JavaScript client accepts when it only wants to know where a file is."""


def offered_hashes(repo: ModelRepo, entries: Iterable[Entry]) -> dict[str, str]:
    """Return the Xet hash by path, of those files that are offered that way. One query."""
    large = {
        entry.path: entry.lfs.sha256
        for entry in entries
        if entry.lfs is not None and entry.size_bytes >= settings.ENV.xet_min_bytes
    }
    if not large:
        return {}
    found = xet_hashes(repo, set(large.values()))
    return {path: to_hex(found[sha256]) for path, sha256 in large.items() if sha256 in found}


def offer(request: HttpRequest, delivery: Delivery, answer: HttpResponseBase) -> HttpResponseBase:
    """Add to the answer of ``resolve`` where the Xet service has the file, if it has.

    Whoever asks for just that gets it instead of the file.
    """
    found = offered_hashes(delivery.repo, [delivery.entry]).get(delivery.entry.path)
    if found is None:
        return answer
    route, recipe = _routes(request, delivery, found)
    if request.method == "GET" and FILEINFO in request.headers.get("Accept", ""):
        answer.close()
        answer = _file_info(delivery, answer, found, route, recipe)
    answer["X-Xet-Hash"] = found
    answer["X-Xet-Refresh-Route"] = route
    answer["Link"] = f'<{route}>; rel="xet-auth", <{recipe}>; rel="xet-reconstruction-info"'
    return answer


def _routes(request: HttpRequest, delivery: Delivery, name: str) -> tuple[str, str]:
    repo = quote(delivery.repo.full_name)
    api = f"{origin(request)}/api/models/{repo}"
    return (
        f"{api}/xet-read-token/{delivery.commit_oid}",
        f"{service_url(request)}/v1/reconstructions/{name}",
    )


def _file_info(
    delivery: Delivery, full: HttpResponseBase, name: str, route: str, recipe: str
) -> JsonResponse:
    entry = delivery.entry
    body = {
        "hash": name,
        "refreshUrl": route,
        "reconstructionUrl": recipe,
        "etag": f'"{entry.etag}"',
        "size": entry.size_bytes,
    }
    answer = JsonResponse(body, content_type=FILEINFO)
    for header in ("X-Repo-Commit", "X-Linked-Etag", "X-Linked-Size", "ETag", "Vary"):
        answer[header] = full[header]
    answer["Cache-Control"] = "no-cache"
    return answer
