"""Pages of trusted publishers: of one model, and of a person for whom CI jobs read."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from accounts.forms import refuse
from accounts.models import User
from accounts.services import identities, publishers
from accounts.views.guards import personal, viewer_of
from catalog.access import repo_for
from catalog.publisher_form import PublisherForm
from catalog.services import ci_publishing
from catalog.views.listing import frame
from store.core.errors import StoreError
from store.core.web import client_address

OWN = "/settings/publishers"
_WORKFLOW = """permissions:
  id-token: write
  contents: read
env:
  HF_ENDPOINT: {endpoint}
  HF_OIDC_RESOURCE: {resource}
steps:
  - uses: actions/checkout@v4
  - run: pip install -U huggingface_hub
  - run: {command}"""


@require_http_methods(["GET", "HEAD", "POST"])
@personal
def repo_page(request: HttpRequest, user: User, ns: str, name: str) -> HttpResponse:
    """Show whose CI jobs may publish to a model, and trust another project."""
    viewer = viewer_of(request)
    repo = repo_for(viewer, ns, name, to="admin")
    form = PublisherForm(request.POST or None)
    if form.is_valid():
        try:
            ci_publishing.trust(viewer, repo, form.trust())
        except StoreError as error:
            refuse(form, error)
        else:
            messages.success(request, _("Its jobs can publish to this model."))
            return redirect(f"/{repo.full_name}/settings/publishers")
    context = frame(viewer, repo, tab="settings") | _context(form, repo.full_name)
    context["publishers"] = ci_publishing.publishers_of(repo)
    context["address"] = f"/{repo.full_name}/settings/publishers"
    status = 400 if form.errors else 200
    return render(request, "catalog/repo_publishers.html", context, status=status)


@require_POST
@personal
def repo_remove(request: HttpRequest, user: User, ns: str, name: str, pk: int) -> HttpResponse:
    """Let a project's jobs publish to a model no more."""
    viewer = viewer_of(request)
    repo = repo_for(viewer, ns, name, to="admin")
    ci_publishing.distrust(viewer, repo, pk)
    messages.success(request, _removed())
    return redirect(f"/{repo.full_name}/settings/publishers")


@require_http_methods(["GET", "HEAD", "POST"])
@personal
def own_page(request: HttpRequest, user: User) -> HttpResponse:
    """Show whose CI jobs read for the person, and trust another project."""
    form = PublisherForm(request.POST or None)
    if form.is_valid():
        try:
            publishers.add(user, form.trust(), address=client_address(request))
        except StoreError as error:
            refuse(form, error)
        else:
            messages.success(request, _("Its jobs can read for you."))
            return redirect(OWN)
    context = _context(form, user.username) | {"section": "programs", "address": OWN}
    context["publishers"] = user.trusted_publishers.filter(repo_id="").order_by("pk")
    status = 400 if form.errors else 200
    return render(request, "catalog/own_publishers.html", context, status=status)


@require_POST
@personal
def own_remove(request: HttpRequest, user: User, pk: int) -> HttpResponse:
    """Let a project's jobs read for the person no more."""
    found = publishers.own_publisher(user, pk)
    publishers.remove(found, actor=user, address=client_address(request))
    messages.success(request, _removed())
    return redirect(OWN)


def _removed() -> str:
    return _("The publisher is removed. Its tokens open nothing any more.")


def _context(form: PublisherForm, resource: str) -> dict[str, Any]:
    """Return what both pages show; a model's name is published to, a person's is read for."""
    command = f"hf upload {resource} ." if "/" in resource else "hf download owner/model"
    workflow = _WORKFLOW.format(endpoint=identities.audience(), resource=resource, command=command)
    return {"form": form, "workflow": workflow, "is_off": not identities.issuers()}
