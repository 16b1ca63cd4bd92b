"""Changing a repository from its pages: settings, rename, delete, likes."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from accounts.viewer import Viewer
from accounts.views.guards import viewer_of
from catalog.access import repo_for
from catalog.forms import ConfirmedForm, GateSettingsForm, MoveForm, SquashForm, VisibilityForm
from catalog.models import ModelRepo
from catalog.services.likes import set_like
from catalog.services.repos import NotConfirmedError, change_settings, delete_repo, move_repo
from catalog.services.rewriting import squash_history
from catalog.services.webhooks.listening import watching
from catalog.services.webhooks.managing import webhooks_of
from catalog.views.listing import frame
from store.core.errors import StoreError


@require_http_methods(["GET", "HEAD", "POST"])
def settings_page(request: HttpRequest, ns: str, name: str) -> HttpResponse:
    """Show and change who sees a model, its name, or its existence."""
    viewer = viewer_of(request)
    repo = repo_for(viewer, ns, name, to="admin")
    bound = {"visibility": None, "gate": None, "move": None, "squash": None, "delete": None} | {
        request.POST.get("form", ""): request.POST or None
    }
    forms = {
        "visibility": VisibilityForm(
            bound["visibility"], initial={"is_private": str(repo.is_private).lower()}
        ),
        "gate": GateSettingsForm(bound["gate"], initial={"gate": repo.gate}),
        "move": MoveForm(
            bound["move"], initial={"namespace": repo.namespace.name, "name": repo.name}
        ),
        "squash": SquashForm(bound["squash"], auto_id="squash-%s"),
        "delete": ConfirmedForm(bound["delete"]),
    }
    chosen = forms.get(request.POST.get("form", ""))
    if chosen is not None and chosen.is_valid():
        values = chosen.cleaned_data
        try:
            if isinstance(chosen, VisibilityForm):
                change_settings(viewer, repo, is_private=bool(values["is_private"]))
                messages.success(request, _("The visibility is changed."))
            elif isinstance(chosen, GateSettingsForm):
                change_settings(viewer, repo, gate=values["gate"])
                messages.success(request, _("The gate is changed."))
            elif isinstance(chosen, MoveForm):
                repo = move_repo(viewer, repo, namespace=values["namespace"], name=values["name"])
                messages.success(request, _("The model has a new id; the old one leads here."))
            elif isinstance(chosen, SquashForm):
                _squash(viewer, repo, values)
                messages.success(request, _("The history is one commit now."))
            else:
                delete_repo(viewer, repo, confirmation=values["confirmation"])
                messages.success(request, _("The model is deleted."))
                return redirect(f"/{repo.namespace.name}")
            return redirect(f"/{repo.full_name}/settings")
        except StoreError as error:
            chosen.add_error(None, error.message)
    context = frame(viewer, repo, tab="settings") | {
        "forms": forms,
        "webhooks": webhooks_of(viewer).filter(pk__in=watching(repo).values("pk")),
    }
    status = 400 if chosen is not None and chosen.errors else 200
    return render(request, "catalog/settings.html", context, status=status)


def _squash(viewer: Viewer, repo: ModelRepo, values: dict[str, Any]) -> None:
    if values["confirmation"] != repo.full_name:
        raise NotConfirmedError(f"Type {repo.full_name} to give its history up. Nothing changed.")
    squash_history(viewer, repo, revision=values["branch"], message=values["message"])


@require_POST
def like(request: HttpRequest, ns: str, name: str) -> HttpResponse:
    """Like a model, or take the like back."""
    viewer = viewer_of(request)
    repo = repo_for(viewer, ns, name)
    set_like(viewer, repo, liked=request.POST.get("liked") == "true")
    if getattr(request, "htmx", False):
        return render(request, "catalog/_like.html", frame(viewer, repo, tab=""))
    return redirect(f"/{repo.full_name}")
