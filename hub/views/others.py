"""What this store does not have: other repository types, and addresses nobody answers.

Programs ask for both, and must be told in the protocol's words, never by a page.
"""

from django.http import HttpRequest, HttpResponseBase, JsonResponse

from accounts.viewer import Viewer
from catalog.access import RepoNotFoundError
from hub.answers import hub_view
from store.core.errors import NotFoundError

_ALL = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")


@hub_view("GET")
def none_of_them(request: HttpRequest, viewer: Viewer, kind: str) -> HttpResponseBase:
    """List repositories of another type: there are none."""
    return JsonResponse([], safe=False)


@hub_view(*_ALL)
def other_type(request: HttpRequest, viewer: Viewer, kind: str, rest: str = "") -> HttpResponseBase:
    """Answer for a data set, Space, kernel or bucket: there is none of this name."""
    name = "/".join(rest.split("/")[:2])
    raise RepoNotFoundError(f"Repository Not Found: there is no {kind.removesuffix('s')} {name}.")


@hub_view(*_ALL)
def left_out(request: HttpRequest, viewer: Viewer, slug: str) -> HttpResponseBase:
    """Answer for an address of the hub that is left out here and would else mean another thing."""
    raise NotFoundError(f"There is no {request.path_info[:200]} here.")


@hub_view(*_ALL)
def nothing_here(request: HttpRequest, viewer: Viewer, rest: str = "") -> HttpResponseBase:
    """Answer for an address of the programs' area that means nothing."""
    raise NotFoundError(f"There is no /api/{rest[:200]} here.")
