"""The list of models (contract 4)."""

from typing import Any

from django.http import HttpRequest, HttpResponseBase, JsonResponse

from accounts.viewer import Viewer
from catalog.models import Listing, ModelCard, ModelRepo
from catalog.search.query import SearchQuery
from catalog.search.run import search
from hub import shapes
from hub.answers import hub_view, page_link
from hub.describe import COSTLY, ModelDescription
from hub.expand import check_expand
from hub.params import flag, number, words
from store.core.errors import InvalidError

PAGE = 1000
COSTLY_PAGE = 100
"""Rows of a page when each takes a look into its repository."""

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
_OTHER_SPELLINGS = {
    "created_at": "createdAt",
    "last_modified": "lastModified",
    "trending_score": "trendingScore",
    "trending": "trendingScore",
}
_SORTED_FIELDS = {"lastModified": ("lastModified",), "num_parameters": ("safetensors", "gguf")}
"""What an item tells beside its default form, for the list is sorted by it."""
_OF_CARDS = frozenset({"cardData", "config", "safetensors", "gguf"})
_FULL = ("author", "gated", "disabled", "lastModified", "sha", "siblings")


@hub_view("GET", "HEAD")
def list_models(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """List models by filters, one page at a time."""
    expand = check_expand(words(request, "expand"))
    query = _query(request)
    most = COSTLY_PAGE if flag(request, "full") or COSTLY & set(expand) else PAGE
    limit = min(number(request, "limit", PAGE, least=1), most)
    if _asks_for_providers(request):
        return JsonResponse([], safe=False)
    found = search(viewer, query, limit=limit, cursor=request.GET.get("cursor"))
    answer = JsonResponse(_items(request, found.rows, expand), safe=False)
    if found.next_cursor:
        answer["Link"] = page_link(request, cursor=found.next_cursor)
    return answer


def _items(
    request: HttpRequest, listings: list[Listing], expand: list[str]
) -> list[dict[str, Any]]:
    ids = [listing.repo_id for listing in listings]
    repos = ModelRepo.objects.select_related("namespace").in_bulk(ids)
    wanted = [name for name in ("cardData", "config") if flag(request, name)]
    sorted_by = _SORTED_FIELDS.get(_sort(request), ())
    fields = [*(_FULL if flag(request, "full") else ()), *wanted, *sorted_by]
    needs_cards = expand or not _OF_CARDS.isdisjoint(fields)
    cards = ModelCard.objects.defer("html", "body").in_bulk(ids) if needs_cards else {}
    items = []
    for listing in listings:
        if (repo := repos.get(listing.repo_id)) is None:  # deleted at this moment
            continue
        card = cards.get(repo.pk)
        model = ModelDescription(repo, listing, listing.head_oid, card)
        if expand:
            items.append(model.expanded(expand))
        else:
            items.append(shapes.list_item(repo, listing) | model.expanded(fields))
    return items


def _query(request: HttpRequest) -> SearchQuery:
    """Translate the protocol's parameters into the store's own search."""
    sort = _sort(request)
    if sort not in _SORTS:
        raise InvalidError(f"'sort' is one of {', '.join(_SORTS)}.")
    return SearchQuery.from_hub(
        name_part=request.GET.get("search", ""),
        author=request.GET.get("author", ""),
        tags=words(request, "filter"),
        task=request.GET.get("pipeline_tag", ""),
        parameters=request.GET.get("num_parameters", ""),
        gated=request.GET.get("gated", ""),
        apps=words(request, "apps"),
        sort=_SORTS[sort],
    )


def _sort(request: HttpRequest) -> str:
    asked = request.GET.get("sort") or "trendingScore"
    return _OTHER_SPELLINGS.get(asked, asked)


def _asks_for_providers(request: HttpRequest) -> bool:
    """Whether only models served by providers of the hub are wanted: there are none here."""
    inference = request.GET.get("inference", "")
    if inference not in {"", "warm"}:
        raise InvalidError("'inference' is 'warm'.")
    return bool(inference or words(request, "inference_provider"))
