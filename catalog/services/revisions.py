"""Who may write to which revision, and who may see what is only proposed."""

import re

from accounts.models import User
from accounts.viewer import Viewer
from catalog.access import can, check_may
from catalog.history.errors import RevisionNotFoundError
from catalog.history.refs import HEADS, PULLS, resolve
from catalog.models import (
    Discussion,
    DiscussionEvent,
    FileScan,
    GitObject,
    ModelRepo,
    RepoLfsObject,
)
from catalog.services.comments import check_enabled
from catalog.services.discussions import check_may_open
from store.core.errors import ForbiddenError

_PULL = re.compile(rf"{PULLS}([1-9]\d{{0,8}})")


class PullClosedError(ForbiddenError):
    """The pull request is closed or merged and takes no more commits."""

    code = "pull_request_closed"


def check_write_revision(
    viewer: Viewer, repo: ModelRepo, revision: str, *, create_pr: bool = False
) -> None:
    """Refuse a commit, and everything that prepares one, that ``viewer`` may not make.

    Args:
        viewer: Who asks.
        repo: Through ``catalog.access``.
        revision: Where the commit goes: a branch, or the ref of a pull request, which its author
            may write to, too.
        create_pr: The commit opens a pull request, as any reader may; clients then name all kinds
            of revisions, so it is not looked at here.

    Raises:
        UnauthenticatedError, MissingScopeError: nobody is signed in; the token only reads.
        ForbiddenError: not the viewer's to change.
        RevisionNotFoundError: there is no such pull request.
        PullClosedError: it is closed or merged.
        DiscussionsDisabledError: the owners take no pull requests.
    """
    if create_pr:
        check_may_open(viewer, repo)
        return
    pull = pull_of(repo, revision)
    if pull is None:
        if _PULL.fullmatch(revision):
            check_may(viewer, repo, to="discuss")
            raise RevisionNotFoundError(f"Invalid rev id: {revision}", revision=revision)
        check_may(viewer, repo, to="write")
        return
    is_theirs = viewer.identified().pk == pull.author_id
    if not (is_theirs and can(viewer, repo, to="write")):
        check_may(viewer, repo, to="discuss" if is_theirs else "write")
    check_enabled(repo)
    check_takes_commits(pull)


def check_takes_commits(pull: Discussion) -> None:
    """Refuse commits to a pull request that is over.

    Raises:
        PullClosedError: it is closed or merged.
    """
    if not pull.is_open:
        raise PullClosedError(
            f"Pull request #{pull.number} is {pull.status}. Open it again, or make another one."
        )


def check_base(repo: ModelRepo, revision: str) -> tuple[str, str]:
    """Return (ref name, commit) of the branch a pull request is for.

    Raises:
        RevisionNotFoundError: it is no branch.
    """
    found = resolve(repo, revision)
    if found.ref_name is None or not found.ref_name.startswith(HEADS):
        raise RevisionNotFoundError(f"Invalid rev id: {revision}", revision=revision)
    return found.ref_name, found.commit_oid


def pull_of(repo: ModelRepo, revision: str) -> Discussion | None:
    """Return the pull request whose ref is called so; ``None`` for everything else."""
    match = _PULL.fullmatch(revision)
    if match is None:
        return None
    rows = Discussion.objects.filter(repo=repo, number=int(match[1]), is_pull_request=True)
    found = rows.select_related("author", "charged_to").first()
    if found is not None:
        found.repo = repo
    return found


def may_see_proposed(
    viewer: Viewer, repo: ModelRepo, revision: str, commit_oid: str, scan: FileScan | None
) -> bool:
    """Whether a file is the viewer's own proposal, which they may see whatever its verdict.

    A file that is on a branch is none, and neither is a large file whose bytes the viewer never
    sent: a proposal must not open what is closed.

    Args:
        viewer: Who asks.
        repo: The repository.
        revision: How the viewer names the commit.
        commit_oid: What it is.
        scan: The file's verdict.
    """
    if viewer.user is None or scan is None or not scan.is_proposed:
        return False
    if not _is_proposer(viewer.user, repo, revision, commit_oid):
        return False
    blob = GitObject.objects.filter(repo=repo, oid=scan.blob_oid).defer("data").first()
    if blob is None or not blob.lfs_sha256:
        return True
    sent = RepoLfsObject.objects.filter(repo=repo, lfs_object_id=blob.lfs_sha256)
    return sent.filter(created_by=viewer.user).exists()


def may_look(
    viewer: Viewer, repo: ModelRepo, revision: str, commit_oid: str, scan: FileScan | None
) -> bool:
    """Whether pages may show what is in a file: all, but what is proposed and not found harmless.

    That is for whoever proposed it and for the writers who decide.
    """
    if scan is None or not scan.is_proposed or scan.verdict in FileScan.SERVED:
        return True
    is_writer = can(viewer, repo, to="write")
    return is_writer or may_see_proposed(viewer, repo, revision, commit_oid, scan)


def _is_proposer(user: User, repo: ModelRepo, revision: str, commit_oid: str) -> bool:
    pull = pull_of(repo, revision)
    if pull is not None:
        return pull.author_id == user.pk
    kind = DiscussionEvent.Kind.COMMIT
    mine = DiscussionEvent.objects.filter(discussion__repo=repo, discussion__author=user, kind=kind)
    return mine.filter(author=user, facts__oid=commit_oid).exists()
