"""How much room a person and their organizations use, and what takes it."""

from django.db.models import F, OuterRef, Subquery, Sum, Value
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from accounts.models import Namespace, User
from accounts.views.guards import personal
from catalog.content.quotas import usage_of
from catalog.models import ModelRepo, RepoLfsObject
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
        {"namespace": name, "usage": usage_of(name), "largest": _largest(name)}
        for name in sorted(names, key=lambda name: (name.user_id is None, name.name.lower()))
    ]
    return render(request, "catalog/storage.html", {"rooms": rooms, "section": "storage"})


def _largest(namespace: Namespace) -> list[ModelRepo]:
    """Return the repositories that take most room, each with ``used_bytes``."""
    lfs = RepoLfsObject.objects.filter(repo=OuterRef("pk"), charged_to=namespace)
    total = lfs.order_by().values("repo").annotate(total=Sum("lfs_object__size_bytes"))
    used = F("git_bytes") + Coalesce(Subquery(total.values("total")), Value(0))
    mine = ModelRepo.objects.filter(namespace=namespace).select_related("namespace")
    return list(mine.annotate(used_bytes=used).order_by("-used_bytes", "name")[:LARGEST])
