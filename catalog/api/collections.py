"""``/api/v1/collections``."""

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.permissions import IsAuthenticatedOrReadOnly
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.rest import viewer
from accounts.viewer import Viewer
from catalog.api import parameters
from catalog.api import social_examples as examples
from catalog.api.social_serializers import (
    CollectionIn,
    CollectionOut,
    CollectionsPageOut,
    ItemIn,
    NewCollectionIn,
    NewItemIn,
)
from catalog.models import Collection
from catalog.services.collection_items import (
    Placed,
    add_item,
    change_item,
    items_of,
    remove_item,
)
from catalog.services.collection_lists import SORTS, CollectionQuery, find_collections
from catalog.services.collections import (
    NewCollection,
    change_collection,
    collection_for,
    create_collection,
    delete_collection,
    set_upvote,
)
from store.core.web import origin

_FILTERS = [
    OpenApiParameter("owner", str, many=True, description="May be repeated: one must fit."),
    OpenApiParameter(
        "item", str, many=True, description="models/owner/name or collections/slug; one must fit."
    ),
    OpenApiParameter("q", str, description="Part of the title or the description."),
    OpenApiParameter("sort", str, enum=SORTS, description="Default: lastModified."),
]


class CollectionsView(APIView):
    """All collections."""

    permission_classes = (IsAuthenticatedOrReadOnly,)

    @extend_schema(
        operation_id="collections_list",
        summary="Find collections",
        parameters=[*_FILTERS, *parameters.paging()],
        responses=CollectionsPageOut,
        examples=[examples.COLLECTIONS],
    )
    def get(self, request: Request) -> Response:
        """Answer one page, each with its first four items."""
        asked = request.query_params
        query = CollectionQuery(
            owners=asked.getlist("owner"),
            items=asked.getlist("item"),
            text=asked.get("q", ""),
            sort=asked.get("sort") or "lastModified",
        )
        limit = parameters.limit_of(asked.get("limit"))
        page = find_collections(viewer(request), query, limit=limit, cursor=asked.get("cursor"))
        for row in page.rows:
            _show(row, [Placed(item, at) for at, item in enumerate(row.previews)])  # type: ignore[attr-defined]
        body = {"results": page.rows, "next": page.next_cursor}
        return Response(CollectionsPageOut(body, context=_context(request)).data)

    @extend_schema(
        operation_id="collections_create",
        summary="Make a collection",
        request=NewCollectionIn,
        responses={201: CollectionOut},
        examples=[examples.NEW_COLLECTION, examples.COLLECTION],
    )
    def post(self, request: Request) -> Response:
        """Make an empty collection; a second one of the same title is refused."""
        form = NewCollectionIn(data=request.data)
        form.is_valid(raise_exception=True)
        made = create_collection(viewer(request), NewCollection(**form.validated_data))
        return _answer(request, made.public_id, status=status.HTTP_201_CREATED)


class CollectionView(APIView):
    """One collection."""

    permission_classes = (IsAuthenticatedOrReadOnly,)

    @extend_schema(
        operation_id="collections_read",
        summary="Read a collection",
        responses=CollectionOut,
        examples=[examples.COLLECTION],
    )
    def get(self, request: Request, collection: str) -> Response:
        """Answer it with every item the caller may see."""
        return _answer(request, collection)

    @extend_schema(
        operation_id="collections_update",
        summary="Change a collection",
        request=CollectionIn,
        responses=CollectionOut,
        examples=[examples.CHANGED_COLLECTION, examples.COLLECTION],
    )
    def patch(self, request: Request, collection: str) -> Response:
        """Change what is named; old slugs keep working."""
        found = _writable(request, collection)
        form = CollectionIn(data=request.data)
        form.is_valid(raise_exception=True)
        change_collection(viewer(request), found, **form.validated_data)
        return _answer(request, found.public_id)

    @extend_schema(
        operation_id="collections_delete", summary="Delete a collection", responses={204: None}
    )
    def delete(self, request: Request, collection: str) -> Response:
        """Delete the list; the models in it stay."""
        delete_collection(viewer(request), _writable(request, collection))
        return Response(status=status.HTTP_204_NO_CONTENT)


class ItemsView(APIView):
    """The items of a collection."""

    @extend_schema(
        operation_id="collections_add_item",
        summary="Put a model or a collection into a collection",
        request=NewItemIn,
        responses={201: CollectionOut},
        examples=[examples.NEW_ITEM, examples.COLLECTION],
    )
    def post(self, request: Request, collection: str) -> Response:
        """Put it at the end; what is in it already is refused."""
        found = _writable(request, collection)
        form = NewItemIn(data=request.data)
        form.is_valid(raise_exception=True)
        wanted = form.validated_data
        add_item(
            viewer(request), found, kind=wanted["type"], name=wanted["name"], note=wanted["note"]
        )
        return _answer(request, found.public_id, status=status.HTTP_201_CREATED)


class ItemView(APIView):
    """One item of a collection."""

    @extend_schema(
        operation_id="collections_change_item",
        summary="Move an item or change its note",
        request=ItemIn,
        responses=CollectionOut,
        examples=[examples.CHANGED_ITEM, examples.COLLECTION],
    )
    def patch(self, request: Request, collection: str, item: str) -> Response:
        """Change what is named; a position past the end is the end."""
        found = _writable(request, collection)
        form = ItemIn(data=request.data)
        form.is_valid(raise_exception=True)
        change_item(viewer(request), found, item, **form.validated_data)
        return _answer(request, found.public_id)

    @extend_schema(
        operation_id="collections_remove_item",
        summary="Take an item out",
        responses={200: CollectionOut},
        examples=[examples.COLLECTION],
    )
    def delete(self, request: Request, collection: str, item: str) -> Response:
        """Take it out; the model stays."""
        found = _writable(request, collection)
        remove_item(viewer(request), found, item)
        return _answer(request, found.public_id)


class UpvoteView(APIView):
    """Whether the caller finds a collection good."""

    @extend_schema(
        operation_id="collections_upvote",
        summary="Find a collection good",
        request=None,
        responses=CollectionOut,
        examples=[examples.COLLECTION],
    )
    def put(self, request: Request, collection: str) -> Response:
        """Count for it; safe to repeat."""
        return self._set(request, collection, upvoted=True)

    @extend_schema(
        operation_id="collections_take_upvote_back",
        summary="Find a collection good no longer",
        responses={200: CollectionOut},
        examples=[examples.COLLECTION],
    )
    def delete(self, request: Request, collection: str) -> Response:
        """Count no longer for it; safe to repeat."""
        return self._set(request, collection, upvoted=False)

    def _set(self, request: Request, collection: str, *, upvoted: bool) -> Response:
        found = collection_for(viewer(request), collection)
        set_upvote(viewer(request), found, upvoted=upvoted)
        return _answer(request, found.public_id)


def _writable(request: Request, collection: str) -> Collection:
    return collection_for(viewer(request), collection, to="write")


def _answer(request: Request, collection: str, *, status: int = status.HTTP_200_OK) -> Response:
    who: Viewer = viewer(request)
    found = collection_for(who, collection)
    placed = items_of(who, found)
    _show(found, placed)
    found.size = len(placed)  # type: ignore[attr-defined]
    return Response(CollectionOut(found, context=_context(request)).data, status=status)


def _show(found: Any, placed: list[Placed]) -> None:
    found.placed = placed


def _context(request: Request) -> dict[str, Any]:
    return {"origin": origin(request._request)}  # noqa: SLF001
