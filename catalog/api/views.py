"""``/api/v1/models``: browse, read, publish. Thin: shape in, door, service, shape out."""

from typing import Any

from django.http import HttpRequest
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.rest import viewer
from catalog.access import repo_for
from catalog.api.serializers import (
    ByHashOut,
    FileOut,
    ModelDetailOut,
    ModelOut,
    ModelSettingsIn,
    NewModelIn,
    RevisionOut,
)
from catalog.history import log
from catalog.history.refs import resolve
from catalog.history.trees import list_entries
from catalog.models import FileScan, Listing, ModelCard
from catalog.search.counting import Facet
from catalog.search.query import SearchQuery
from catalog.search.run import search, search_with_facets
from catalog.services.lookup import by_hash
from catalog.services.repos import NewRepo, change_settings, create_repo, delete_repo, move_repo
from store.core.errors import InvalidError
from store.core.paging import decode_cursor, encode_cursor
from store.core.web import origin

PAGE, MAX_PAGE = 20, 100

_CURSOR = [
    OpenApiParameter("cursor", str, description="From `next` of the page before."),
    OpenApiParameter("limit", int, description=f"1 to {MAX_PAGE}, default {PAGE}."),
]
_REVISION = OpenApiParameter("revision", str, description="Branch, tag or commit; default main.")
_ERROR = OpenApiExample(
    "Error",
    value={"error": {"code": "repo_not_found", "message": "There is no model a/b.", "extra": {}}},
    response_only=True,
    status_codes=["404"],
)


class ModelsView(APIView):
    """All models."""

    @extend_schema(
        operation_id="models_list",
        summary="Search models",
        parameters=[
            OpenApiParameter("q", str, description="Words in names, cards and tags."),
            OpenApiParameter("task", str, many=True),
            OpenApiParameter("language", str, many=True),
            OpenApiParameter("license", str, many=True),
            OpenApiParameter("author", str),
            OpenApiParameter("sort", str, description="relevance, trending, downloads, likes …"),
            OpenApiParameter("facets", bool, description="Also count the facets' values."),
            *_CURSOR,
        ],
        responses=ModelOut(many=True),
    )
    def get(self, request: Request) -> Response:
        """Answer one page: `{"results", "next", "total", "facets"}`."""
        who, query = viewer(request), SearchQuery.from_params(request.query_params, strict=True)
        limit, cursor = _limit(request), request.query_params.get("cursor")
        wants_facets = request.query_params.get("facets") in {"1", "true"}
        facets: list[Facet] = []
        if wants_facets:
            page, facets = search_with_facets(who, query, limit=limit, cursor=cursor)
        else:
            page = search(who, query, limit=limit, cursor=cursor)
        body: dict[str, Any] = {
            "results": ModelOut(page.rows, many=True, context=_context(request)).data,
            "next": page.next_cursor,
            "total": page.total,
        }
        if wants_facets:
            body["facets"] = [facet.as_dict() for facet in facets]
        return Response(body)

    @extend_schema(
        operation_id="models_create",
        summary="Make a model repository",
        request=NewModelIn,
        responses={201: ModelDetailOut},
        examples=[
            OpenApiExample("New", value={"name": "my-gpt", "is_private": True}, request_only=True)
        ],
    )
    def post(self, request: Request) -> Response:
        """Make a repository with its initial commit."""
        form = NewModelIn(data=request.data)
        form.is_valid(raise_exception=True)
        repo = create_repo(viewer(request), NewRepo(**form.validated_data))
        return Response(_detail(request, repo.pk), status=status.HTTP_201_CREATED)


class ModelView(APIView):
    """One model."""

    @extend_schema(
        operation_id="models_read",
        summary="Read a model",
        responses=ModelDetailOut,
        examples=[_ERROR],
    )
    def get(self, request: Request, ns: str, name: str) -> Response:
        """Answer everything the listing shows."""
        return Response(_detail(request, repo_for(viewer(request), ns, name).pk))

    @extend_schema(
        operation_id="models_update",
        summary="Rename a model or change who sees it",
        request=ModelSettingsIn,
        responses=ModelDetailOut,
    )
    def patch(self, request: Request, ns: str, name: str) -> Response:
        """Change what is named; the old id leads to the new one."""
        who = viewer(request)
        repo = repo_for(who, ns, name, to="admin")
        form = ModelSettingsIn(data=request.data)
        form.is_valid(raise_exception=True)
        wanted = form.validated_data
        if "name" in wanted or "namespace" in wanted:
            repo = move_repo(
                who,
                repo,
                namespace=wanted.get("namespace", repo.namespace.name),
                name=wanted.get("name", repo.name),
            )
        if "is_private" in wanted:
            repo = change_settings(who, repo, is_private=wanted["is_private"])
        return Response(_detail(request, repo.pk))

    @extend_schema(operation_id="models_delete", summary="Delete a model", responses={204: None})
    def delete(self, request: Request, ns: str, name: str) -> Response:
        """Delete the repository and its history."""
        who = viewer(request)
        delete_repo(who, repo_for(who, ns, name, to="admin"))
        return Response(status=status.HTTP_204_NO_CONTENT)


class FilesView(APIView):
    """The files of one revision."""

    @extend_schema(
        operation_id="models_files",
        summary="List files with digests and verdicts",
        parameters=[_REVISION],
        responses=FileOut(many=True),
    )
    def get(self, request: Request, ns: str, name: str) -> Response:
        """Answer all files of the revision."""
        repo = repo_for(viewer(request), ns, name)
        commit_oid = resolve(repo, request.query_params.get("revision", "main")).commit_oid
        entries = list_entries(repo, commit_oid, recursive=True)
        files = [entry for entry in entries if not entry.is_folder]
        oids = {file.oid for file in files}
        scans = {
            (scan.blob_oid, scan.path): scan
            for scan in FileScan.objects.filter(repo=repo, blob_oid__in=oids)
        }
        context = {"repo": repo, "commit_oid": commit_oid, "scans": scans}
        results = FileOut(files, many=True, context=_context(request) | context).data
        return Response({"revision": commit_oid, "results": results})


class RevisionsView(APIView):
    """The history of a model."""

    @extend_schema(
        operation_id="models_revisions",
        summary="List commits, newest first",
        parameters=[_REVISION, *_CURSOR],
        responses=RevisionOut(many=True),
    )
    def get(self, request: Request, ns: str, name: str) -> Response:
        """Answer one page of commits."""
        repo = repo_for(viewer(request), ns, name)
        head = resolve(repo, request.query_params.get("revision", "main")).commit_oid
        limit, cursor = _limit(request), request.query_params.get("cursor")
        if cursor:
            start = str(decode_cursor(cursor, length=1)[0])
            head = resolve(repo, start).commit_oid
        rows = log.history(repo, head, limit=limit + 1)
        following = encode_cursor([rows[limit].oid]) if len(rows) > limit else None
        results = RevisionOut(rows[:limit], many=True).data
        return Response({"results": results, "next": following})


class ByHashView(APIView):
    """Find models by the digest of a file."""

    @extend_schema(
        operation_id="models_by_hash",
        summary="Find the models that contain a file",
        responses=ByHashOut(many=True),
    )
    def get(self, request: Request, sha256: str) -> Response:
        """Answer where the content occurs, among what the caller may read."""
        return Response({"results": ByHashOut(by_hash(viewer(request), sha256), many=True).data})


def _detail(request: Request, repo_id: int) -> dict[str, Any]:
    card = ModelCard.objects.filter(repo_id=repo_id).first() or ModelCard(repo_id=repo_id)
    listing = Listing.objects.get(repo_id=repo_id)
    return dict(ModelDetailOut(listing, context=_context(request) | {"card": card}).data)


def _context(request: Request) -> dict[str, Any]:
    plain: HttpRequest = request._request  # noqa: SLF001
    return {"origin": origin(plain)}


def _limit(request: Request) -> int:
    text = request.query_params.get("limit", str(PAGE))
    if not text.isdigit() or not 1 <= int(text) <= MAX_PAGE:
        raise InvalidError(f"limit is a whole number from 1 to {MAX_PAGE}.")
    return int(text)
