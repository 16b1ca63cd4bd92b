"""``/api/v1/models/…/discussions``: talk, propose, merge."""

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.permissions import IsAuthenticatedOrReadOnly
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.rest import viewer
from catalog.access import repo_for
from catalog.api import discussion_examples as examples
from catalog.api import parameters
from catalog.api.discussion_shapes import (
    CommentIn,
    DiscussionChangeIn,
    DiscussionDetailOut,
    DiscussionOut,
    DiscussionsPageOut,
    EventOut,
    MergedOut,
    MergeIn,
    NewDiscussionIn,
)
from catalog.models import Discussion, DiscussionEvent
from catalog.services import comments, discussions, merging, threads
from catalog.services.pulls import open_pull_request
from store.core.paging import keyset_page
from store.core.web import origin

FILTERS = [
    OpenApiParameter("type", str, enum=threads.KINDS, description="Default: all."),
    OpenApiParameter(
        "status", str, enum=threads.STATUSES, description="Drafts are open, merged ones closed."
    ),
    OpenApiParameter("author", str, description="User name of whoever opened it."),
]


class DiscussionsView(APIView):
    """The discussions of a model."""

    permission_classes = (IsAuthenticatedOrReadOnly,)

    @extend_schema(
        operation_id="discussions_list",
        summary="List discussions and pull requests",
        parameters=[*FILTERS, *parameters.paging()],
        responses=DiscussionsPageOut,
        examples=[examples.DISCUSSIONS],
    )
    def get(self, request: Request, ns: str, name: str) -> Response:
        """Answer one page, newest first."""
        repo = repo_for(viewer(request), ns, name)
        asked = request.query_params
        found = threads.find(
            repo,
            kind=asked.get("type", "all"),
            status=asked.get("status", "all"),
            author=asked.get("author", ""),
        )
        limit, total = parameters.limit_of(asked.get("limit")), found.count()
        newest = found.select_related("author").order_by("-number")
        page, following = keyset_page(newest, asked.get("cursor"), limit, key="number", below=2**31)
        body = {"results": list(threads.belonging(page, repo)), "next": following, "total": total}
        return Response(DiscussionsPageOut(body, context=_context(request)).data)

    @extend_schema(
        operation_id="discussions_create",
        summary="Open a discussion, or a draft of a pull request",
        request=NewDiscussionIn,
        responses={201: DiscussionDetailOut},
        examples=[examples.NEW_DISCUSSION, examples.DISCUSSION],
    )
    def post(self, request: Request, ns: str, name: str) -> Response:
        """Open one; anybody who may read the model may."""
        who = viewer(request)
        repo = repo_for(who, ns, name)
        form = NewDiscussionIn(data=request.data)
        form.is_valid(raise_exception=True)
        wanted = form.validated_data
        start = open_pull_request if wanted["is_pull_request"] else discussions.open_discussion
        made = start(who, repo, title=wanted["title"], text=wanted["text"])
        return Response(_detail(request, made), status=status.HTTP_201_CREATED)


class DiscussionView(APIView):
    """One discussion."""

    permission_classes = (IsAuthenticatedOrReadOnly,)

    @extend_schema(
        operation_id="discussions_read",
        summary="Read a discussion or a pull request",
        responses=DiscussionDetailOut,
        examples=[examples.DISCUSSION],
    )
    def get(self, request: Request, ns: str, name: str, number: int) -> Response:
        """Answer it with its comments, and with what it would change."""
        return Response(_detail(request, _found(request, ns, name, number)))

    @extend_schema(
        operation_id="discussions_update",
        summary="Rename, close, open again, publish or pin",
        request=DiscussionChangeIn,
        responses=DiscussionDetailOut,
        examples=[examples.CHANGE, examples.DISCUSSION],
    )
    def patch(self, request: Request, ns: str, name: str, number: int) -> Response:
        """Change what is named."""
        who, found = viewer(request), _found(request, ns, name, number)
        form = DiscussionChangeIn(data=request.data)
        form.is_valid(raise_exception=True)
        wanted = form.validated_data
        if "title" in wanted:
            discussions.rename(who, found, title=wanted["title"])
        if "status" in wanted:
            discussions.set_status(who, found, status=wanted["status"])
        if "is_pinned" in wanted:
            discussions.pin(who, found, is_pinned=wanted["is_pinned"])
        return Response(_detail(request, _found(request, ns, name, number)))


class CommentsView(APIView):
    """The comments of a discussion."""

    @extend_schema(
        operation_id="comments_create",
        summary="Comment on a discussion",
        request=CommentIn,
        responses={201: EventOut},
        examples=[examples.COMMENT_IN, examples.COMMENT],
    )
    def post(self, request: Request, ns: str, name: str, number: int) -> Response:
        """Say something."""
        found = _found(request, ns, name, number)
        made = comments.comment(viewer(request), found, text=_text(request))
        return Response(_event(found, made), status=status.HTTP_201_CREATED)


class CommentView(APIView):
    """One comment."""

    @extend_schema(
        operation_id="comments_update",
        summary="Edit a comment of one's own",
        request=CommentIn,
        responses=EventOut,
        examples=[examples.COMMENT_IN, examples.COMMENT],
    )
    def patch(self, request: Request, ns: str, name: str, number: int, comment: str) -> Response:
        """Change what it says; what it said before stays readable."""
        found = _found(request, ns, name, number)
        made = comments.edit(viewer(request), found, comment, text=_text(request))
        return Response(_event(found, made))

    @extend_schema(operation_id="comments_hide", summary="Hide a comment", responses={204: None})
    def delete(self, request: Request, ns: str, name: str, number: int, comment: str) -> Response:
        """Take away what it says, for good."""
        comments.hide(viewer(request), _found(request, ns, name, number), comment)
        return Response(status=status.HTTP_204_NO_CONTENT)


class MergeView(APIView):
    """The merge of a pull request."""

    @extend_schema(
        operation_id="discussions_merge",
        summary="Merge a pull request",
        request=MergeIn,
        responses=MergedOut,
        examples=[examples.MERGE_IN, examples.MERGED],
    )
    def post(self, request: Request, ns: str, name: str, number: int) -> Response:
        """Bring it into its branch; conflicts are refused and named."""
        form = MergeIn(data=request.data)
        form.is_valid(raise_exception=True)
        found = _found(request, ns, name, number)
        commit = merging.merge(viewer(request), found, text=form.validated_data["text"])
        return Response(MergedOut({"merge_oid": commit.oid}).data)


def _found(request: Request, ns: str, name: str, number: int) -> Discussion:
    return discussions.discussion_of(repo_for(viewer(request), ns, name), number)


def _text(request: Request) -> str:
    form = CommentIn(data=request.data)
    form.is_valid(raise_exception=True)
    text: str = form.validated_data["text"]
    return text


def _event(discussion: Discussion, event: DiscussionEvent) -> dict[str, Any]:
    return dict(EventOut(event, context={"discussion": discussion}).data)


def _detail(request: Request, found: Discussion) -> dict[str, Any]:
    proposal = None
    if found.is_pull_request:
        would = merging.proposal_of(found)
        proposal = {
            "base": found.base_ref,
            "ref": found.ref_name,
            "head_oid": would.head_oid,
            "merge_oid": found.merge_oid,
            "changed_files": len(would.changes),
            "conflicts": would.conflicts[: merging.MAX_NAMED],
            "is_base_there": would.is_base_there,
        }
    context = _context(request) | {"discussion": found}
    line = DiscussionOut(found, context=context).data
    events = EventOut(threads.events_of(found), many=True, context=context).data
    return dict(line) | {"events": events, "proposal": proposal}


def _context(request: Request) -> dict[str, Any]:
    return {"origin": origin(request._request)}  # noqa: SLF001
