"""Which repositories take how much room."""

from django.db.models import F, OuterRef, QuerySet, Subquery, Sum, Value
from django.db.models.functions import Coalesce

from accounts.models import Namespace
from accounts.viewer import Viewer
from catalog.models import ModelRepo, RepoLfsObject


def sized_repos(viewer: Viewer, namespace: Namespace) -> QuerySet[ModelRepo]:
    """Return the repositories of a name space that ``viewer`` may see, each with ``used_bytes``.

    What counts is what its owner is charged for: large files of all versions, each once, and
    small files. The largest come first.
    """
    lfs = RepoLfsObject.objects.filter(repo=OuterRef("pk"), charged_to=namespace)
    total = lfs.order_by().values("repo").annotate(total=Sum("lfs_object__size_bytes"))
    used = F("git_bytes") + Coalesce(Subquery(total.values("total")), Value(0))
    seen = ModelRepo.objects.visible_to(viewer).filter(namespace=namespace)
    sized = seen.select_related("namespace").annotate(used_bytes=used)
    return sized.order_by("-used_bytes", "pk")
