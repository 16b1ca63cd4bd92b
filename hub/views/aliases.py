"""Single-segment ids that staff made: sent on to the repository they mean (contract 1.1)."""

from django.http import HttpRequest, HttpResponse, HttpResponseBase

from accounts.viewer import Viewer
from catalog.access import RepoNotFoundError, canonical_alias
from hub.answers import hub_view


@hub_view("GET", "HEAD", "POST", "PUT", "DELETE")
def by_alias(request: HttpRequest, viewer: Viewer, alias: str, rest: str = "") -> HttpResponseBase:
    """Answer 307 to the same path under the full id."""
    target = canonical_alias(alias)
    if target is None:
        raise RepoNotFoundError(f"Repository Not Found: there is no model {alias}.")
    raw = request.META.get("RAW_URI") or request.get_full_path()
    answer = HttpResponse(status=307)
    answer["Location"] = raw.replace(f"/{alias}", f"/{target}", 1)
    return answer
