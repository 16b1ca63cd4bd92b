"""Pages and downloads of the licensing room."""

from django.http import HttpRequest, HttpResponseBase
from django.views.decorators.http import require_safe

from catalog.access import repo_for
from licensing.delivery.archive import archive


@require_safe
def download_all(request: HttpRequest, ns: str, name: str, rev: str) -> HttpResponseBase:
    """Send all files of a revision as one zip."""
    viewer = request.viewer  # type: ignore[attr-defined]
    repo = repo_for(viewer, ns, name)
    return archive(request, viewer, repo, rev)
