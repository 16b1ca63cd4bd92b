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


def said_of_xet(fields: Iterable[str]) -> dict[str, bool]:
    """Return the answer to clients of 2025, which ask whether a repository takes uploads by Xet.

    A field of its own: it is none of those a model can be described by, and newer clients would
    take offence at it.
    """
    return {"xetEnabled": True} if "xetEnabled" in fields else {}


def file_info(request: HttpRequest, delivery: Delivery) -> HttpResponseBase | None:
    """Answer a client that only asks where the Xet service has a file.

    Returns:
        ``None``: it does not ask that, or the file is not there; it gets the file itself.
    """
    if request.method != "GET" or FILEINFO not in request.headers.get("Accept", ""):
        return None
    found = _hash_of(delivery)
    if found is None:
        return None
    route, recipe = _routes(request, delivery, found)
    tag, size_bytes = f'"{delivery.entry.etag}"', delivery.entry.size_bytes
    body = {
        "hash": found,
        "refreshUrl": route,
        "reconstructionUrl": recipe,
        "etag": tag,
        "size": size_bytes,
    }
    answer = JsonResponse(body, content_type=FILEINFO)
    answer["X-Repo-Commit"] = delivery.commit_oid
    answer["ETag"] = answer["X-Linked-Etag"] = tag
    answer["X-Linked-Size"] = str(size_bytes)
    answer["Vary"] = "Authorization, Accept"
    answer["Cache-Control"] = "no-cache"
    return _with_links(answer, found, route, recipe)


def offer(request: HttpRequest, delivery: Delivery, answer: HttpResponseBase) -> HttpResponseBase:
    """Add to the answer of ``resolve`` where the Xet service has the file, if it has."""
    found = _hash_of(delivery)
    if found is None:
        return answer
    return _with_links(answer, found, *_routes(request, delivery, found))


def _hash_of(delivery: Delivery) -> str | None:
    return offered_hashes(delivery.repo, [delivery.entry]).get(delivery.entry.path)


def _routes(request: HttpRequest, delivery: Delivery, name: str) -> tuple[str, str]:
    repo = quote(delivery.repo.full_name)
    api = f"{origin(request)}/api/models/{repo}"
    return (
        f"{api}/xet-read-token/{delivery.commit_oid}",
        f"{service_url(request)}/v1/reconstructions/{name}",
    )


def _with_links(answer: HttpResponseBase, name: str, route: str, recipe: str) -> HttpResponseBase:
    answer["X-Xet-Hash"] = name
    answer["X-Xet-Refresh-Route"] = route
    answer["Link"] = f'<{route}>; rel="xet-auth", <{recipe}>; rel="xet-reconstruction-info"'
    return answer
