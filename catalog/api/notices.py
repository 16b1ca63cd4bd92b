"""``/api/v1/notifications``."""

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.rest import viewer
from catalog.api import parameters
from catalog.api import social_examples as examples
from catalog.api.social_serializers import (
    NoticeIn,
    NoticeOut,
    NoticesPageOut,
    ReadOut,
    WishesIn,
    WishesOut,
)
from catalog.services.inbox import count_unread, inbox, read_all, set_read
from catalog.services.notice_settings import Kind, Wish, set_wishes, wishes_of
from store.core.web import origin

_UNREAD = OpenApiParameter("unread", bool, description="Only those not seen yet.")


class NoticesView(APIView):
    """The caller's inbox."""

    @extend_schema(
        operation_id="notifications_list",
        summary="List what you were told",
        parameters=[_UNREAD, *parameters.paging()],
        responses=NoticesPageOut,
        examples=[examples.NOTICES],
    )
    def get(self, request: Request) -> Response:
        """Answer one page, newest first."""
        user = viewer(request).signed_in()
        unread = request.query_params.get("unread") in {"1", "true"}
        found, following = parameters.page_of(request, inbox(user, unread=unread))
        body = {"results": found, "next": following, "unread": count_unread(user)}
        return Response(NoticesPageOut(body, context=_context(request)).data)


class NoticeView(APIView):
    """One notice."""

    @extend_schema(
        operation_id="notifications_update",
        summary="Mark a notification as read or unread",
        request=NoticeIn,
        responses=NoticeOut,
        examples=[examples.READ_BODY, examples.NOTICE],
    )
    def patch(self, request: Request, notice_id: int) -> Response:
        """Mark it; safe to repeat."""
        viewer(request).signed_in()
        form = NoticeIn(data=request.data)
        form.is_valid(raise_exception=True)
        found = set_read(viewer(request), notice_id, is_read=form.validated_data["is_read"])
        return Response(NoticeOut(found, context=_context(request)).data)


class ReadAllView(APIView):
    """The whole inbox."""

    @extend_schema(
        operation_id="notifications_read_all",
        summary="Mark everything as read",
        request=None,
        responses=ReadOut,
        examples=[examples.READ],
    )
    def post(self, request: Request) -> Response:
        """Mark everything; safe to repeat."""
        return Response(ReadOut({"marked": read_all(viewer(request))}).data)


class WishesView(APIView):
    """How the caller hears of things."""

    @extend_schema(
        operation_id="notification_settings_read",
        summary="Read what you hear of, and how",
        responses=WishesOut,
        examples=[examples.WISHES],
    )
    def get(self, request: Request) -> Response:
        """Answer every kind."""
        return _wishes(request)

    @extend_schema(
        operation_id="notification_settings_update",
        summary="Change what you hear of, and how",
        request=WishesIn,
        responses=WishesOut,
        examples=[examples.WISHES_BODY, examples.WISHES],
    )
    def patch(self, request: Request) -> Response:
        """Change the kinds named; the others stay."""
        viewer(request).signed_in()
        form = WishesIn(data=request.data)
        form.is_valid(raise_exception=True)
        wishes = {Kind(kind): Wish(**wish) for kind, wish in form.validated_data.items()}
        set_wishes(viewer(request), wishes)
        return _wishes(request)


def _wishes(request: Request) -> Response:
    wishes = wishes_of(viewer(request).signed_in())
    return Response(WishesOut({kind.value: wish for kind, wish in wishes.items()}).data)


def _context(request: Request) -> dict[str, Any]:
    return {"origin": origin(request._request)}  # noqa: SLF001
