"""Finding a model: home, the list, a publisher's page."""

from django.db.models import Count, F
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from accounts.views.guards import viewer_of
from catalog.models import Listing
from catalog.search.query import SearchQuery
from catalog.search.run import search, search_with_facets
from catalog.search.suggestions import suggest
from catalog.services.feeds import feed_of_followed
from store.core.paging import BadCursorError

PAGE = 20
SHELF = 6


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """Show what is here: search, what is trending, what is new."""
    viewer = viewer_of(request)
    shelves = {
        sort: search(viewer, SearchQuery(sort=sort), limit=SHELF) for sort in ("trending", "newest")
    }
    tasks = (
        Listing.objects.filter(is_private=False)
        .exclude(pipeline_tag="")
        .values(task=F("pipeline_tag"))
        .annotate(count=Count("pk"))
        .order_by("-count", "task")[:12]
    )
    context = {
        "trending": shelves["trending"].rows,
        "newest": shelves["newest"].rows,
        "total": shelves["trending"].total,
        "tasks": tasks,
        "news": feed_of_followed(viewer, viewer.user, limit=SHELF).lines if viewer.user else [],
    }
    return render(request, "catalog/home.html", context)


@require_safe
def models_list(request: HttpRequest) -> HttpResponse:
    """Show the models that fit, with facets to narrow them down."""
    viewer, query = viewer_of(request), SearchQuery.from_params(request.GET)
    cursor = request.GET.get("cursor")
    try:
        page, facets = search_with_facets(viewer, query, limit=PAGE, cursor=cursor)
    except BadCursorError:  # an old link: start at the front
        page, facets = search_with_facets(viewer, query, limit=PAGE)
    if query.compares_prices:  # the links of the page keep to the currency it was made in
        query = query.in_currency(page.currency)
    context = {
        "query": query,
        "page": page,
        "facets": facets,
        "sorts": _sorts(query),
        "currencies": sorted({*page.currencies, page.currency}) if page.currencies else [],
    }
    is_fragment = bool(getattr(request, "htmx", False)) and not request.htmx.boosted  # type: ignore[attr-defined]
    template = "catalog/_results.html" if is_fragment else "catalog/models.html"
    answer = render(request, template, context)
    answer["Vary"] = "HX-Request, Cookie"
    return answer


def _sorts(query: SearchQuery) -> list[tuple[str, str]]:
    """Return (name, label) of the orders that make sense for ``query``."""
    labels = {
        "relevance": _("Relevance"),
        "trending": _("Trending"),
        "downloads": _("Downloads"),
        "likes": _("Likes"),
        "newest": _("Newest"),
        "updated": _("Last change"),
        "parameters": _("Parameters"),
        "size": _("Size"),
        "name": _("Name"),
        "price": _("Price, lowest first"),
        "price_high": _("Price, highest first"),
    }
    return [(name, label) for name, label in labels.items() if name != "relevance" or query.text]


@require_safe
def suggestions(request: HttpRequest) -> HttpResponse:
    """Complete what is being typed into the search box; an htmx fragment."""
    names = suggest(viewer_of(request), request.GET.get("q", "")[:96])
    return render(request, "catalog/_suggestions.html", {"names": names})
