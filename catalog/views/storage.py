"""How much room a person and their organizations use, and what takes it."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from accounts.models import Namespace, User
from accounts.views.guards import personal, viewer_of
from catalog.content.quotas import usage_of, with_used_bytes
from catalog.models import ModelRepo

LARGEST = 10


@require_safe
@personal
def storage_page(request: HttpRequest, user: User) -> HttpResponse:
    """Show each name space with its quota and its largest models."""
    names = Namespace.objects.filter(pk__in=viewer_of(request).roles).select_related(
        "user", "organization"
    )
    rooms = [
        {"namespace": name, "usage": usage_of(name), "largest": _largest(name)}
        for name in sorted(names, key=lambda name: (name.user_id is None, name.name.lower()))
    ]
    return render(request, "catalog/storage.html", {"rooms": rooms, "section": "storage"})


def _largest(namespace: Namespace) -> list[ModelRepo]:
    """Return the repositories that take most room, each with ``used_bytes``."""
    mine = ModelRepo.objects.filter(namespace=namespace).select_related("namespace")
    ordered = with_used_bytes(mine).order_by("-used_bytes", "name")  # type: ignore[misc]
    return list(ordered[:LARGEST])
