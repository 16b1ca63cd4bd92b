"""Who am I, may I, and the small questions clients ask at start."""

from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse

from accounts.viewer import Viewer
from catalog.access import repo_for
from hub import shapes
from hub.answers import hub_view
from licensing.delivery.policy import check_gate
from store.core.errors import UnauthenticatedError


@hub_view("GET")
def whoami(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """Tell a token's owner who they are (contract 3.2)."""
    if viewer.user is None or viewer.token is None:
        raise UnauthenticatedError("Invalid username or password.")
    return JsonResponse(shapes.whoami(viewer.user, viewer.token))


@hub_view("GET")
def auth_check(request: HttpRequest, viewer: Viewer, ns: str, name: str) -> HttpResponseBase:
    """Say whether the caller may read the files (contract 3.3)."""
    check_gate(viewer, repo_for(viewer, ns, name))
    return HttpResponse("OK", content_type="text/plain")


@hub_view("GET")
def auth_check_write(request: HttpRequest, viewer: Viewer, ns: str, name: str) -> HttpResponseBase:
    """Say whether the caller may write (contract 3.3)."""
    repo_for(viewer, ns, name, to="write")
    return HttpResponse("OK", content_type="text/plain")


@hub_view("GET")
def agent_harnesses(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """Answer the first call of nearly every client process: we know of none."""
    return JsonResponse({"standardEnvVars": [], "harnesses": {}})


@hub_view("HEAD", "GET")
def telemetry(request: HttpRequest, viewer: Viewer, topic: str) -> HttpResponseBase:
    """Let clients tell; nothing is kept."""
    return HttpResponse()
