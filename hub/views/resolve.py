"""Downloads (contract 11): files as they are, and pointers of large ones."""

from django.http import HttpRequest, HttpResponseBase

from accounts.viewer import Viewer
from catalog.access import repo_for
from hub.answers import hub_view
from hub.xet_offers import file_info, offer
from licensing.delivery.policy import authorize
from licensing.delivery.respond import respond, respond_pointer


@hub_view("GET", "HEAD")
def resolve(
    request: HttpRequest, viewer: Viewer, ns: str, name: str, rev: str, path: str
) -> HttpResponseBase:
    """Send a file, whole or a range of it."""
    repo = repo_for(viewer, ns, name)
    delivery = authorize(viewer, repo, rev, path)
    if (info := file_info(request, delivery)) is not None:
        return info
    as_attachment = request.GET.get("download", "") in {"true", "1"}
    return offer(request, delivery, respond(request, viewer, delivery, as_attachment=as_attachment))


@hub_view("GET", "HEAD")
def raw(
    request: HttpRequest, viewer: Viewer, ns: str, name: str, rev: str, path: str
) -> HttpResponseBase:
    """Send what git stores: the text of a small file, the pointer of a large one."""
    repo = repo_for(viewer, ns, name)
    delivery = authorize(viewer, repo, rev, path)
    if delivery.entry.lfs is None:
        return respond(request, viewer, delivery)
    return respond_pointer(request, delivery)
