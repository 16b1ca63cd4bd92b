"""The list of models (contract 4)."""

from typing import Any

from django.http import HttpRequest, HttpResponseBase, JsonResponse

from accounts.viewer import Viewer
from catalog.models import Listing, ModelCard, ModelRepo
from catalog.search.query import SearchQuery
from catalog.search.run import search
from hub import shapes
from hub.answers import hub_view, page_link
from hub.expand import check_expand
from hub.params import flag, number, values
from hub.views.info import ModelDescription
from store.core.clock import iso
from store.core.errors import InvalidError

PAGE = 1000
_SORTS = {
    "createdAt": "newest",
    "downloads": "downloads",
    "lastModified": "updated",
    "likes": "likes",
    "likes30d": "likes",
    "trendingScore": "trending",
    "num_parameters": "parameters",
    "mainSize": "size",
    "id": "name",
}


@hub_view("GET")
def list_models(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """List models by filters, one page at a time."""
    limit = min(number(request, "limit", PAGE, least=1), PAGE)
    expand = check_expand(values(request, "expand"))
    found = search(viewer, _query(request), limit=limit, cursor=request.GET.get("cursor"))
    repos = ModelRepo.objects.select_related("namespace").in_bulk(
        [listing.repo_id for listing in found.rows]
    )
    rows = [(repos[listing.repo_id], listing) for listing in found.rows if listing.repo_id in repos]
    answer = JsonResponse(_items(request, rows, expand), safe=False)
    if found.next_cursor:
        answer["Link"] = page_link(request, cursor=found.next_cursor)
    return answer


def _items(
    request: HttpRequest, rows: list[tuple[ModelRepo, Listing]], expand: list[str]
) -> list[dict[str, Any]]:
    if expand:
        return [ModelDescription(repo, listing.head_oid).expanded(expand) for repo, listing in rows]
    wants_card, wants_config = flag(request, "cardData"), flag(request, "config")
    is_full = flag(request, "full")
    cards = {}
    if wants_card or wants_config:
        cards = ModelCard.objects.in_bulk([repo.pk for repo, _ in rows])
    items = []
    for repo, listing in rows:
        item = shapes.list_item(repo, listing)
        if is_full:
            item |= {
                "author": repo.namespace.name,
                "gated": shapes.gated(repo),
                "disabled": bool(repo.disabled_reason),
                "lastModified": iso(repo.updated_at),
                "sha": listing.head_oid,
            }
        card = cards.get(repo.pk)
        if card is not None and wants_card:
            item |= shapes.optional(cardData=card.data)
        if card is not None and wants_config:
            item |= shapes.optional(config=card.config)
        items.append(item)
    return items


def _query(request: HttpRequest) -> SearchQuery:
    """Translate the protocol's parameters into the store's own search."""
    sort = request.GET.get("sort", "trendingScore")
    if sort not in _SORTS:
        raise InvalidError(f"'sort' is one of {', '.join(_SORTS)}.")
    filters = [word for text in values(request, "filter") for word in text.split(",") if word]
    return SearchQuery.from_hub(
        name_part=request.GET.get("search", ""),
        author=request.GET.get("author", ""),
        tags=filters,
        task=request.GET.get("pipeline_tag", ""),
        parameters=request.GET.get("num_parameters", ""),
        gated=request.GET.get("gated", ""),
        apps=values(request, "apps"),
        sort=_SORTS[sort],
    )
