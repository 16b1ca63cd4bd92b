"""How much room a person and their organizations use, and what takes it."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from accounts.models import Namespace, User
from accounts.views.guards import personal
from catalog.content.quotas import usage_of
from catalog.services.storage_lists import sized_repos
from catalog.views.browse import viewer_of

LARGEST = 10


@require_safe
@personal
def storage_page(request: HttpRequest, user: User) -> HttpResponse:
    """Show each name space with its quota and its largest models."""
    names = Namespace.objects.filter(pk__in=viewer_of(request).roles).select_related(
        "user", "organization"
    )
    rooms = [
        {
            "namespace": name,
            "usage": usage_of(name),
            "largest": sized_repos(viewer_of(request), name)[:LARGEST],
        }
        for name in sorted(names, key=lambda name: (name.user_id is None, name.name.lower()))
    ]
    return render(request, "catalog/storage.html", {"rooms": rooms, "section": "storage"})
