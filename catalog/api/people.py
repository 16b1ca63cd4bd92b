"""``/api/v1``: who follows whom, who did what, likes and watches."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.permissions import IsAuthenticatedOrReadOnly
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.rest import viewer
from catalog.access import namespace_for, repo_for
from catalog.api import parameters
from catalog.api import social_examples as examples
from catalog.api.social_serializers import (
    ActivityPageOut,
    FiguresOut,
    LikeOut,
    OwnersPageOut,
    WatchIn,
    WatchOut,
)
from catalog.models import Listing, ModelRepo, Watch
from catalog.services.feeds import FeedPage, feed_of_followed, feed_of_namespace
from catalog.services.follows import followed_by, followers_of, set_follow
from catalog.services.likes import set_like
from catalog.services.notice_settings import set_watch, watch_level
from catalog.services.overviews import figures_of
from store.core.errors import NotFoundError
from store.core.web import origin


class FollowersView(APIView):
    """Who follows a person or an organization."""

    permission_classes = (IsAuthenticatedOrReadOnly,)

    @extend_schema(
        operation_id="followers_list",
        summary="List who follows a person or an organization",
        parameters=parameters.paging(),
        responses=OwnersPageOut,
        examples=[examples.OWNERS],
    )
    def get(self, request: Request, name: str) -> Response:
        """Answer one page, the newest first."""
        namespace = namespace_for(viewer(request), name)
        rows = followers_of(namespace).select_related("follower__namespace__user")
        found, following = parameters.page_of(request, rows)
        body = {"results": [row.follower.namespace for row in found], "next": following}
        return Response(OwnersPageOut(body).data)


class FollowingView(APIView):
    """Whom a person follows."""

    permission_classes = (IsAuthenticatedOrReadOnly,)

    @extend_schema(
        operation_id="following_list",
        summary="List whom a person follows",
        parameters=parameters.paging(),
        responses=OwnersPageOut,
        examples=[examples.OWNERS],
    )
    def get(self, request: Request, name: str) -> Response:
        """Answer one page of people and organizations, the newest first."""
        user = namespace_for(viewer(request), name).user
        if user is None:
            raise NotFoundError(f"{name[:42]} is no person: organizations follow nobody.")
        found, following = parameters.page_of(request, followed_by(user))
        body = {"results": [row.namespace for row in found], "next": following}
        return Response(OwnersPageOut(body).data)


class FollowView(APIView):
    """Whether the caller follows somebody."""

    @extend_schema(
        operation_id="following_add",
        summary="Follow a person or an organization",
        request=None,
        responses={204: None},
    )
    def put(self, request: Request, name: str) -> Response:
        """Follow; safe to repeat."""
        return self._set(request, name, follows=True)

    @extend_schema(
        operation_id="following_remove", summary="Follow no longer", responses={204: None}
    )
    def delete(self, request: Request, name: str) -> Response:
        """Stop following; safe to repeat."""
        return self._set(request, name, follows=False)

    def _set(self, request: Request, name: str, *, follows: bool) -> Response:
        who = viewer(request)
        set_follow(who, namespace_for(who, name), follows=follows)
        return Response(status=status.HTTP_204_NO_CONTENT)


class FiguresView(APIView):
    """A person or an organization in figures."""

    permission_classes = (IsAuthenticatedOrReadOnly,)

    @extend_schema(
        operation_id="figures",
        summary="Count what somebody has and who follows them",
        responses=FiguresOut,
        examples=[examples.FIGURES],
    )
    def get(self, request: Request, name: str) -> Response:
        """Answer the figures, of what the caller may see."""
        namespace = namespace_for(viewer(request), name)
        figures = figures_of(viewer(request), namespace)
        body = {field: getattr(figures, field) for field in figures.__slots__} | {
            "name": namespace.name,
            "is_organization": namespace.user_id is None,
        }
        return Response(FiguresOut(body).data)


class ActivityView(APIView):
    """What somebody did."""

    permission_classes = (IsAuthenticatedOrReadOnly,)

    @extend_schema(
        operation_id="activity_list",
        summary="List what a person did, or what was done with an organization's models",
        parameters=parameters.paging(),
        responses=ActivityPageOut,
        examples=[examples.ACTIVITY],
    )
    def get(self, request: Request, name: str) -> Response:
        """Answer one page, newest first, of what the caller may see."""
        who = viewer(request)
        page = feed_of_namespace(who, namespace_for(who, name), **_where(request))
        return _activity(request, page)


class FeedView(APIView):
    """News for the caller."""

    @extend_schema(
        operation_id="feed",
        summary="List what those you follow did",
        parameters=parameters.paging(),
        responses=ActivityPageOut,
        examples=[examples.ACTIVITY],
    )
    def get(self, request: Request) -> Response:
        """Answer one page, newest first, of what the caller may see."""
        who = viewer(request)
        return _activity(request, feed_of_followed(who, who.signed_in(), **_where(request)))


class LikeView(APIView):
    """Whether the caller likes a model."""

    @extend_schema(
        operation_id="models_like",
        summary="Like a model",
        request=None,
        responses=LikeOut,
        examples=[examples.LIKE],
    )
    def put(self, request: Request, ns: str, name: str) -> Response:
        """Like; safe to repeat."""
        return self._set(request, ns, name, liked=True)

    @extend_schema(
        operation_id="models_unlike",
        summary="Take a like back",
        responses={200: LikeOut},
        examples=[examples.LIKE],
    )
    def delete(self, request: Request, ns: str, name: str) -> Response:
        """Take the like back; safe to repeat."""
        return self._set(request, ns, name, liked=False)

    def _set(self, request: Request, ns: str, name: str, *, liked: bool) -> Response:
        who = viewer(request)
        repo = repo_for(who, ns, name)
        set_like(who, repo, liked=liked)
        likes = Listing.objects.values_list("likes", flat=True).get(repo=repo)
        body = {"model": repo.full_name, "liked": liked, "likes": likes}
        return Response(LikeOut(body).data)


class WatchView(APIView):
    """What the caller hears of a model."""

    @extend_schema(
        operation_id="models_watch_read",
        summary="Read what you hear of a model",
        responses=WatchOut,
        examples=[examples.WATCH],
    )
    def get(self, request: Request, ns: str, name: str) -> Response:
        """Answer whether the model is watched, muted, or neither."""
        who = viewer(request)
        who.signed_in()
        return _watch(repo := repo_for(who, ns, name), watch_level(who, repo))

    @extend_schema(
        operation_id="models_watch",
        summary="Watch or mute a model, or neither",
        request=WatchIn,
        responses=WatchOut,
        examples=[examples.WATCH_BODY, examples.WATCH],
    )
    def put(self, request: Request, ns: str, name: str) -> Response:
        """Choose what to hear; safe to repeat."""
        who = viewer(request)
        repo = repo_for(who, ns, name)
        form = WatchIn(data=request.data)
        form.is_valid(raise_exception=True)
        level = form.validated_data["level"]
        set_watch(who, repo, Watch.Level(level) if level else None)
        return _watch(repo, level)


def _where(request: Request) -> dict[str, Any]:
    limit = parameters.limit_of(request.query_params.get("limit"))
    return {"limit": limit, "cursor": request.query_params.get("cursor")}


def _activity(request: Request, page: FeedPage) -> Response:
    body = {"results": page.lines, "next": page.next_cursor}
    context = {"origin": origin(request._request)}  # noqa: SLF001
    return Response(ActivityPageOut(body, context=context).data)


def _watch(repo: ModelRepo, level: str | None) -> Response:
    return Response(WatchOut({"model": repo.full_name, "level": level or None}).data)
