"""Tokens for the Xet service (contract 9.1)."""

from django.http import HttpRequest, HttpResponse, HttpResponseBase

from accounts.viewer import Viewer
from catalog.access import repo_for
from catalog.content.uploads import check_may_upload
from catalog.history.refs import resolve
from catalog.services.revisions import check_write_revision
from hub.answers import hub_view
from hub.params import flag
from hub.xet_callers import token_answer
from licensing.delivery.policy import check_gate


@hub_view("GET")
def read_token(
    request: HttpRequest, viewer: Viewer, ns: str, name: str, rev: str
) -> HttpResponseBase:
    """Give a token that reads files of a repository."""
    repo = repo_for(viewer, ns, name)
    check_gate(viewer, repo)
    resolve(repo, rev)
    return token_answer(request, viewer, repo, "read")


@hub_view("GET")
def write_token(
    request: HttpRequest, viewer: Viewer, ns: str, name: str, rev: str
) -> HttpResponseBase:
    """Give a token that uploads to a repository.

    Pull requests come from anybody who may read: what protects the repository is the commit. With
    ``create_pr`` the revision means nothing; clients send the word ``None``.
    """
    create_pr = flag(request, "create_pr")
    repo = repo_for(viewer, ns, name)
    check_may_upload(viewer, repo)
    check_write_revision(viewer, repo, rev, create_pr=create_pr)
    if not create_pr:
        resolve(repo, rev)
    return token_answer(request, viewer, repo, "write")


@hub_view("POST")
def telemetry(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """Let clients tell their figures; nothing is kept."""
    return HttpResponse(status=200)
