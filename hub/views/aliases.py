"""Single-segment ids that staff made: sent on to the repository they mean (contract 1.1)."""

from django.http import HttpRequest, HttpResponse, HttpResponseBase

from accounts.viewer import Viewer
from catalog.access import RepoNotFoundError, canonical_alias
from hub.answers import hub_view
from hub.views.info import info

_API = "/api/models/"


@hub_view("GET", "HEAD", "POST", "PUT", "DELETE")
def by_alias(request: HttpRequest, viewer: Viewer, alias: str, rest: str = "") -> HttpResponseBase:
    """Answer 307 to the same path under the full id."""
    target = canonical_alias(viewer, alias)
    if target is None:
        raise RepoNotFoundError(f"Repository Not Found: there is no model {alias}.")
    raw: str = request.META.get("RAW_URI") or request.get_full_path()
    before = _API if raw.startswith(_API) else "/"
    answer = HttpResponse(status=307)
    answer["Location"] = f"{before}{target}{raw[len(before) + len(alias) :]}"
    answer["Cache-Control"] = "no-store"
    return answer


@hub_view("GET", "HEAD", "POST", "PUT", "DELETE")
def alias_or_model(request: HttpRequest, viewer: Viewer, ns: str, name: str) -> HttpResponseBase:
    """Answer for ``gpt2/refs``: what staff call ``gpt2``, else the model of this full id."""
    if request.method in {"GET", "HEAD"} and canonical_alias(viewer, ns) is None:
        return info(request, ns=ns, name=name)
    return by_alias(request, alias=ns)
