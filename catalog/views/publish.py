"""Publishing from a browser: a new model, its files, the checks."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings
from django.db.models import F
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.models import Namespace, Role
from accounts.services.limits import count_commit
from accounts.views.guards import viewer_of
from catalog.access import repo_for
from catalog.cards.licenses import LICENSES
from catalog.forms import NewModelForm
from catalog.models import FileScan, ModelCard
from catalog.services import staging
from catalog.services.repos import NewRepo, create_repo
from catalog.views.listing import frame
from store.core.bodies import body_stream, read_json
from store.core.errors import InvalidError, StoreError


@require_http_methods(["GET", "HEAD", "POST"])
def publish_page(request: HttpRequest) -> HttpResponse:
    """Start a new model."""
    viewer = viewer_of(request)
    if viewer.is_visitor:
        return redirect("/login?next=/publish")
    roles = [pk for pk, role in viewer.roles.items() if role in {Role.ADMIN, Role.WRITE}]
    own_first = F("organization").asc(nulls_first=True)
    names = Namespace.objects.filter(pk__in=roles).order_by(own_first, "name")
    form = NewModelForm(
        *([request.POST] if request.method == "POST" else []),
        namespaces=[namespace.name for namespace in names],
        licenses=[(item.id, f"{item.name} ({item.id})") for item in LICENSES.values()],
    )
    if request.method == "POST" and form.is_valid():
        values = form.cleaned_data
        try:
            new = NewRepo(
                values["name"], values["namespace"], values["is_private"], values["license"]
            )
            repo = create_repo(viewer, new)
        except StoreError as error:
            form.add_error("name", error.message)
        else:
            return redirect(f"/{repo.full_name}/upload/main")
    status = 400 if form.errors else 200
    return render(request, "catalog/publish.html", {"form": form}, status=status)


@require_http_methods(["GET", "HEAD", "POST"])
def upload_page(request: HttpRequest, ns: str, name: str, rev: str) -> HttpResponse:
    """Choose files; without JavaScript they come with the form itself."""
    viewer = viewer_of(request)
    repo = repo_for(viewer, ns, name, to="write")
    context = frame(viewer, repo, tab="files") | {"rev": rev, "error": ""}
    if request.method == "POST":
        try:
            _commit_form(request, ns, name, rev)
        except StoreError as error:
            context["error"] = error.message
        else:
            return redirect(f"/{repo.full_name}/checks")
    status = 400 if context["error"] else 200
    return render(request, "catalog/upload.html", context, status=status)


def _commit_form(request: HttpRequest, ns: str, name: str, rev: str) -> None:
    viewer = viewer_of(request)
    repo = repo_for(viewer, ns, name, to="write")
    title = request.POST.get("title", "").strip() or _("Upload files")
    with form_files(request) as files:
        count_commit(viewer.signed_in().pk)
        staging.publish_form_files(viewer, repo, files, revision=rev, title=title)


@contextmanager
def form_files(request: HttpRequest) -> Iterator[list[tuple[str, Path]]]:
    """Hold the files of a plain form on disk: (name, where it lies)."""
    settings.SPOOL_DIR.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=settings.SPOOL_DIR) as folder:
        files = []
        for number, upload in enumerate(request.FILES.getlist("files")):
            target = Path(folder) / str(number)
            with target.open("wb") as out:
                for chunk in upload.chunks():
                    out.write(chunk)
            files.append((upload.name or "", target))
        yield files


@require_POST
def stage(request: HttpRequest, ns: str, name: str) -> HttpResponse:
    """Announce a file of the drop zone; answers how much of it is here already."""
    viewer = viewer_of(request)
    repo = repo_for(viewer, ns, name, to="write")
    body = read_json(request)
    path, size_bytes = body.get("path"), body.get("size")
    if not isinstance(path, str) or not isinstance(size_bytes, int):
        raise InvalidError("'path' is a text and 'size' a number of bytes.")
    staged = staging.stage(viewer, repo, path=path, size_bytes=size_bytes)
    return JsonResponse({"id": staged.public_id, "received_bytes": staged.received_bytes})


@require_POST
def stage_piece(request: HttpRequest, ns: str, name: str, staged_id: str) -> HttpResponse:
    """Receive the next piece of a file."""
    viewer = viewer_of(request)
    repo = repo_for(viewer, ns, name, to="write")
    offset = request.GET.get("offset", "")
    if not offset.isdigit():
        raise InvalidError("'offset' is a number of bytes.")
    staged = staging.receive_piece(
        viewer, repo, staged_id, offset=int(offset), body=body_stream(request)
    )
    return JsonResponse({"id": staged.public_id, "received_bytes": staged.received_bytes})


@require_POST
def stage_commit(request: HttpRequest, ns: str, name: str, rev: str) -> HttpResponse:
    """Commit what has arrived: all of it, or the files the page shows."""
    viewer = viewer_of(request)
    repo = repo_for(viewer, ns, name, to="write")
    body = read_json(request)
    title = str(body.get("title") or "").strip() or _("Upload files")
    count_commit(viewer.signed_in().pk)
    published = staging.commit_staged(
        viewer, repo, revision=rev, title=title, paths=_paths(body.get("paths"))
    )
    return JsonResponse({"commit": published.commit.oid, "next": f"/{repo.full_name}/checks"})


def _paths(value: object) -> list[str] | None:
    """Read which of the waiting files are meant; ``None``: all."""
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise InvalidError("'paths' is a list of texts.")
    return value


@require_safe
def checks_page(request: HttpRequest, ns: str, name: str) -> HttpResponse:
    """Show what the store found, step by step; fills itself while work goes on."""
    viewer = viewer_of(request)
    repo = repo_for(viewer, ns, name, to="write")
    context = frame(viewer, repo, tab="files")
    card = ModelCard.objects.filter(repo=repo).first() or ModelCard(repo=repo)
    scans = FileScan.objects.filter(repo=repo, is_proposed=False).defer("report")
    pending = scans.filter(verdict=FileScan.Verdict.PENDING).count()
    troubled = list(
        scans.exclude(verdict__in=[FileScan.Verdict.CLEAN, FileScan.Verdict.PENDING])[:20]
    )
    context |= {"card": card, "pending": pending, "troubled": troubled, "total": scans.count()}
    is_fragment = request.GET.get("fragment") == "1"
    template = "catalog/_checks.html" if is_fragment else "catalog/checks.html"
    return render(request, template, context)
