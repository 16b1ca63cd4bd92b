"""Collections (contract 15)."""

from typing import Any

from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse

from accounts.viewer import Viewer
from catalog.models import Collection
from catalog.services.collection_items import (
    Placed,
    add_item,
    change_item,
    items_of,
    remove_item,
)
from catalog.services.collection_lists import CollectionQuery, find_collections
from catalog.services.collections import (
    CollectionExistsError,
    NewCollection,
    change_collection,
    collection_for,
    create_collection,
    delete_collection,
    set_upvote,
)
from hub import social_shapes
from hub.answers import hub_error, hub_view, page_link
from hub.params import number, values
from store.core.bodies import read_json
from store.core.errors import InvalidError
from store.core.web import origin

PAGE = 100
_MAX_BODY_BYTES = 64 * 1024


@hub_view("GET", "POST")
def collections(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """List collections, or make one."""
    return _create(request, viewer) if request.method == "POST" else _list(request, viewer)


@hub_view("GET", "PATCH", "DELETE")
def collection(request: HttpRequest, viewer: Viewer, slug: str) -> HttpResponseBase:
    """Read, change or delete a collection."""
    if request.method == "GET":
        return _answer(request, viewer, collection_for(viewer, slug))
    found = collection_for(viewer, slug, to="write")
    if request.method == "DELETE":
        delete_collection(viewer, found)
        return JsonResponse({"success": True})
    body = read_json(request, max_bytes=_MAX_BODY_BYTES)
    changed = change_collection(
        viewer,
        found,
        title=_text(body, "title"),
        description=_text(body, "description"),
        is_private=_truth(body, "private"),
        theme=_text(body, "theme"),
        position=_whole(body, "position"),
    )
    return JsonResponse({"success": True, "data": _shape(request, viewer, changed)})


@hub_view("POST")
def items(request: HttpRequest, viewer: Viewer, slug: str) -> HttpResponseBase:
    """Put something into a collection."""
    found = collection_for(viewer, slug, to="write")
    body = read_json(request, max_bytes=_MAX_BODY_BYTES)
    kind, name = _thing(body.get("item"))
    add_item(viewer, found, kind=kind, name=name, note=_text(body, "note") or "")
    return _answer(request, viewer, collection_for(viewer, slug))


@hub_view("PATCH", "DELETE")
def item(request: HttpRequest, viewer: Viewer, slug: str, item_id: str) -> HttpResponseBase:
    """Change an item's note, move it, or take it out."""
    found = collection_for(viewer, slug, to="write")
    if request.method == "DELETE":
        remove_item(viewer, found, item_id)
    else:
        body = read_json(request, max_bytes=_MAX_BODY_BYTES)
        note, position = _text(body, "note"), _whole(body, "position")
        change_item(viewer, found, item_id, note=note, position=position)
    return JsonResponse({"success": True})


@hub_view("POST", "DELETE")
def upvote(request: HttpRequest, viewer: Viewer, slug: str) -> HttpResponseBase:
    """Find a collection good, or no longer. Safe to repeat."""
    set_upvote(viewer, collection_for(viewer, slug), upvoted=request.method == "POST")
    return JsonResponse({"success": True})


def _list(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    query = CollectionQuery(
        owners=values(request, "owner"),
        items=values(request, "item"),
        text=request.GET.get("q", ""),
        sort=request.GET.get("sort") or "lastModified",
    )
    limit = min(number(request, "limit", PAGE, least=1), PAGE)
    page = find_collections(viewer, query, limit=limit, cursor=request.GET.get("cursor"))
    answer = JsonResponse(
        [
            social_shapes.listed_collection(row, _previews(row), origin(request))
            for row in page.rows
        ],
        safe=False,
    )
    if page.next_cursor:
        answer["Link"] = page_link(request, cursor=page.next_cursor)
    return answer


def _create(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    viewer.signed_in()
    body = read_json(request, max_bytes=_MAX_BODY_BYTES)
    first = body.get("item")
    new = NewCollection(
        title=_text(body, "title") or "",
        namespace=_text(body, "namespace") or None,
        description=_text(body, "description") or "",
        is_private=_truth(body, "private") or False,
        theme=_text(body, "theme") or Collection.Theme.BLUE.value,
    )
    try:
        with transaction.atomic():
            made = create_collection(viewer, new)
            if first is not None:
                kind, name = _thing(first)
                note = _text(first, "note") or _text(body, "note") or ""
                add_item(viewer, made, kind=kind, name=name, note=note)
    except CollectionExistsError as error:
        answer = hub_error(error.message, status=error.status)
        answer.content = JsonResponse({"error": error.message, **error.extra}).content
        return answer
    return _answer(request, viewer, collection_for(viewer, made.public_id))


def _answer(request: HttpRequest, viewer: Viewer, found: Collection) -> HttpResponse:
    return JsonResponse(_shape(request, viewer, found))


def _shape(request: HttpRequest, viewer: Viewer, found: Collection) -> dict[str, Any]:
    return social_shapes.collection(found, items_of(viewer, found), origin(request))


def _previews(row: Any) -> list[Placed]:
    return [Placed(item, position) for position, item in enumerate(row.previews)]


def _thing(item: Any) -> tuple[str, str]:
    """Return type and id of the item a body names."""
    if not isinstance(item, dict):
        raise InvalidError("'item' is an object with id and type.")
    kind, name = item.get("type"), item.get("id")
    if not isinstance(kind, str) or not isinstance(name, str) or not kind or not name:
        raise InvalidError("'item' needs an id and a type.")
    return kind, name


def _text(body: dict[str, Any], key: str) -> str | None:
    value = body.get(key)
    if value is not None and not isinstance(value, str):
        raise InvalidError(f"'{key}' is a text.")
    return value


def _truth(body: dict[str, Any], key: str) -> bool | None:
    value = body.get(key)
    if value is not None and not isinstance(value, bool):
        raise InvalidError(f"'{key}' is true or false.")
    return value


def _whole(body: dict[str, Any], key: str) -> int | None:
    value = body.get(key)
    if value is not None and type(value) is not int:
        raise InvalidError(f"'{key}' is a whole number.")
    return value
