"""``/api/v1/models``: browse, read, publish. Thin: shape in, door, service, shape out."""

from typing import Any

from django.db.models import prefetch_related_objects
from django.http import HttpRequest
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.permissions import IsAuthenticatedOrReadOnly
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.models import Namespace
from accounts.rest import viewer
from catalog.access import repo_for
from catalog.api import examples, parameters
from catalog.api.serializers import (
    FilesPageOut,
    FoundOut,
    ModelDetailOut,
    ModelSettingsIn,
    ModelsPageOut,
    NewModelIn,
    RevisionsPageOut,
    StorageOut,
)
from catalog.content.quotas import usage_of
from catalog.history import log
from catalog.history.refs import resolve
from catalog.history.trees import list_page
from catalog.models import FileScan, Listing, ModelCard, ModelRepo
from catalog.search.counting import Facet
from catalog.search.query import SearchQuery
from catalog.search.run import search, search_with_facets
from catalog.services.lookup import by_hash
from catalog.services.repos import NewRepo, change_settings, create_repo, delete_repo, move_repo
from store.core.paging import BadCursorError, decode_cursor, decode_offset, encode_cursor
from store.core.web import origin


class ModelsView(APIView):
    """All models."""

    permission_classes = (IsAuthenticatedOrReadOnly,)

    @extend_schema(
        operation_id="models_list",
        summary="Search models",
        parameters=[*parameters.SEARCH, *parameters.paging()],
        responses=ModelsPageOut,
        examples=[examples.MODELS],
    )
    def get(self, request: Request) -> Response:
        """Answer one page of the models that match, with facets when asked for."""
        who, query = viewer(request), SearchQuery.from_params(request.query_params, strict=True)
        limit, cursor = _limit(request), request.query_params.get("cursor")
        wants_facets = request.query_params.get("facets") in {"1", "true"}
        facets: list[Facet] = []
        if wants_facets:
            page, facets = search_with_facets(who, query, limit=limit, cursor=cursor)
        else:
            page = search(who, query, limit=limit, cursor=cursor)
        prefetch_related_objects(page.rows, "prices")
        body: dict[str, Any] = {
            "results": page.rows,
            "next": page.next_cursor,
            "total": page.total,
            "currency": page.currency,
        }
        if wants_facets:
            body["facets"] = facets
        return Response(ModelsPageOut(body, context=_context(request)).data)

    @extend_schema(
        operation_id="models_create",
        summary="Make a model repository",
        request=NewModelIn,
        responses={201: ModelDetailOut},
        examples=[examples.NEW_MODEL, examples.MODEL],
    )
    def post(self, request: Request) -> Response:
        """Make a repository with its initial commit."""
        form = NewModelIn(data=request.data)
        form.is_valid(raise_exception=True)
        repo = create_repo(viewer(request), NewRepo(**form.validated_data))
        return Response(_detail(request, repo.pk), status=status.HTTP_201_CREATED)


class ModelView(APIView):
    """One model."""

    permission_classes = (IsAuthenticatedOrReadOnly,)

    @extend_schema(
        operation_id="models_read",
        summary="Read a model",
        responses=ModelDetailOut,
        examples=[examples.MODEL],
    )
    def get(self, request: Request, ns: str, name: str) -> Response:
        """Answer everything the listing shows."""
        return Response(_detail(request, repo_for(viewer(request), ns, name).pk))

    @extend_schema(
        operation_id="models_update",
        summary="Rename a model or change who sees it",
        request=ModelSettingsIn,
        responses=ModelDetailOut,
        examples=[examples.MODEL_SETTINGS, examples.MODEL],
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

    permission_classes = (IsAuthenticatedOrReadOnly,)

    @extend_schema(
        operation_id="models_files",
        summary="List files with digests and verdicts",
        parameters=[
            parameters.REVISION,
            *parameters.paging(parameters.FILES_PAGE, parameters.MAX_FILES_PAGE),
        ],
        responses=FilesPageOut,
        examples=[examples.FILES],
    )
    def get(self, request: Request, ns: str, name: str) -> Response:
        """Answer one page of the revision's files, in git's order."""
        repo = repo_for(viewer(request), ns, name)
        commit_oid = resolve(repo, request.query_params.get("revision", "main")).commit_oid
        start = decode_offset(request.query_params.get("cursor"))
        most = parameters.MAX_FILES_PAGE
        limit = parameters.limit_of(request.query_params.get("limit"), usual=most, most=most)
        files, total = list_page(repo, commit_oid, show="files", start=start, limit=limit)
        scans = {
            (scan.blob_oid, scan.path): scan
            for scan in FileScan.objects.filter(
                repo=repo, blob_oid__in={file.oid for file in files}
            ).defer("report")
        }
        body = {
            "revision": commit_oid,
            "results": files,
            "next": encode_cursor([start + limit]) if start + limit < total else None,
            "total": total,
        }
        context = {"repo": repo, "commit_oid": commit_oid, "scans": scans}
        return Response(FilesPageOut(body, context=_context(request) | context).data)


class RevisionsView(APIView):
    """The history of a model."""

    permission_classes = (IsAuthenticatedOrReadOnly,)

    @extend_schema(
        operation_id="models_revisions",
        summary="List commits, newest first",
        parameters=[parameters.REVISION, *parameters.paging()],
        responses=RevisionsPageOut,
        examples=[examples.REVISIONS],
    )
    def get(self, request: Request, ns: str, name: str) -> Response:
        """Answer one page of commits."""
        repo = repo_for(viewer(request), ns, name)
        head = resolve(repo, request.query_params.get("revision", "main")).commit_oid
        limit, cursor = _limit(request), request.query_params.get("cursor")
        if cursor:
            head = _commit_of(repo, cursor)
        rows = log.history(repo, head, limit=limit + 1)
        following = encode_cursor([rows[limit].oid]) if len(rows) > limit else None
        return Response(RevisionsPageOut({"results": rows[:limit], "next": following}).data)


class ByHashView(APIView):
    """Find models by the digest of a file."""

    permission_classes = (IsAuthenticatedOrReadOnly,)

    @extend_schema(
        operation_id="models_by_hash",
        summary="Find the models that contain a file",
        responses=FoundOut,
        examples=[examples.FOUND],
    )
    def get(self, request: Request, sha256: str) -> Response:
        """Answer where the content occurs, among what the caller may read."""
        return Response(FoundOut({"results": by_hash(viewer(request), sha256)}).data)


class StorageView(APIView):
    """What the caller's files take."""

    @extend_schema(
        operation_id="storage",
        summary="Read how much room is used",
        responses=StorageOut,
        examples=[examples.STORAGE],
    )
    def get(self, request: Request) -> Response:
        """Answer use and quota of the caller and of their organizations."""
        who = viewer(request)
        who.signed_in()
        names = Namespace.objects.filter(pk__in=who.roles).order_by("name")
        rooms = [(name, usage_of(name)) for name in names]
        results = [
            {"namespace": name.name, "used_bytes": use.used_bytes, "quota_bytes": use.quota_bytes}
            for name, use in rooms
        ]
        return Response(StorageOut({"results": results}).data)


def _commit_of(repo: ModelRepo, cursor: str) -> str:
    """Return the commit a page of the history starts at."""
    (oid,) = decode_cursor(cursor, length=1)
    if not isinstance(oid, str):
        raise BadCursorError("This cursor is not ours. Start again without one.")
    return resolve(repo, oid).commit_oid


def _detail(request: Request, repo_id: int) -> dict[str, Any]:
    card = ModelCard.objects.filter(repo_id=repo_id).first() or ModelCard(repo_id=repo_id)
    listing = Listing.objects.get(repo_id=repo_id)
    return dict(ModelDetailOut(listing, context=_context(request) | {"card": card}).data)


def _context(request: Request) -> dict[str, Any]:
    plain: HttpRequest = request._request  # noqa: SLF001
    return {"origin": origin(plain)}


def _limit(request: Request) -> int:
    return parameters.limit_of(request.query_params.get("limit"))
