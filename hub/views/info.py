"""One model: what it is, at any revision (contract 5)."""

from django.http import HttpRequest, HttpResponseBase, JsonResponse

from accounts.viewer import Viewer
from catalog.access import repo_for
from catalog.history.refs import resolve
from catalog.models import Listing
from hub.answers import hub_view
from hub.describe import ModelDescription
from hub.expand import check_expand
from hub.params import flag, words
from hub.xet_offers import said_of_xet


@hub_view("GET", "HEAD")
def info(
    request: HttpRequest, viewer: Viewer, ns: str, name: str, rev: str = "main"
) -> HttpResponseBase:
    """Describe a model at a revision."""
    repo = repo_for(viewer, ns, name)
    commit_oid = resolve(repo, rev).commit_oid
    model = ModelDescription(repo, Listing.objects.get(repo=repo), commit_oid)
    if expand := words(request, "expand"):
        return JsonResponse(model.expanded(check_expand(expand)) | said_of_xet(expand))
    return JsonResponse(
        model.full(with_blobs=flag(request, "blobs"), with_security=flag(request, "securityStatus"))
    )
