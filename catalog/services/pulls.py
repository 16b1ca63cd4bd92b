"""Pull requests: a ref of its own, a branch it is for, commits that come in."""

from django.db import transaction
from django.utils.translation import gettext as _

from accounts.models import Namespace, User
from accounts.services.limits import count_discussion
from accounts.viewer import Viewer
from catalog.history.refs import DEFAULT_BRANCH
from catalog.models import Commit, Discussion, DiscussionEvent, ModelRepo, Ref, RepoEvent
from catalog.services.comments import add_event, check_text, locked
from catalog.services.discussions import (
    MAX_TITLE_CHARS,
    MIN_TITLE_CHARS,
    begin,
    check_may_open,
    check_title,
    facts,
)
from catalog.services.events import emit
from catalog.services.revisions import check_base, check_takes_commits, pull_of
from store.core.errors import ForbiddenError

MAX_OPEN = 100
"""Pull requests one person may have open at a time, in repositories of others."""


class TooManyOpenError(ForbiddenError):
    """The person has too many open pull requests; ``extra["most"]`` says how many may be."""

    code = "too_many_pull_requests"


@transaction.atomic
def open_pull_request(viewer: Viewer, repo: ModelRepo, *, title: str, text: str) -> Discussion:
    """Open a draft for the default branch; commits can be added to its ref. Any reader may.

    Raises:
        UnauthenticatedError, MissingScopeError: nobody is signed in; the token only reads.
        DiscussionsDisabledError, RepoDisabledError: none are taken here.
        TooManyOpenError: the viewer has too many open.
        InvalidError: title or text are too short or too long.
        RateLimitedError: too many on one day.
    """
    check_may_open(viewer, repo)
    title, text = check_title(title), check_text(text, may_be_empty=True)
    base_ref, base_oid = check_base(repo, DEFAULT_BRANCH)
    return begin_pull(
        viewer,
        repo,
        title=title,
        text=text,
        base_ref=base_ref,
        base_oid=base_oid,
        status=Discussion.Status.DRAFT,
    )


def begin_pull(
    viewer: Viewer,
    repo: ModelRepo,
    *,
    title: str,
    text: str,
    base_ref: str,
    base_oid: str,
    status: Discussion.Status,
) -> Discussion:
    """Write a pull request and its ref; title and text are checked already.

    Raises:
        TooManyOpenError: the viewer has too many open.
        RateLimitedError: too many on one day.
    """
    user = viewer.identified()
    is_writer = viewer.is_writer(repo.namespace_id)
    if not is_writer:
        _check_number(user)
    count_discussion(user.pk)
    pull = begin(
        repo,
        user,
        title=title,
        text=text,
        is_pull_request=True,
        status=status,
        base_ref=base_ref,
        base_oid=base_oid,
        charged_to=None if is_writer else Namespace.objects.get(user=user),
    )
    Ref.objects.create(repo=repo, name=pull.ref_name, oid=base_oid, commit_oid=base_oid)
    return pull


def title_from(summary: str) -> str:
    """Return the title of a pull request whose first commit is called ``summary``."""
    title = "".join(char if char.isprintable() else " " for char in summary).strip()
    if len(title) > MAX_TITLE_CHARS:
        return title[: MAX_TITLE_CHARS - 1] + "…"
    return title if len(title) >= MIN_TITLE_CHARS else f"Commit: {title}"


def locked_pull(viewer: Viewer, repo: ModelRepo, ref_name: str) -> Discussion:
    """Return the pull request of a ref for a commit of ``viewer`` in this transaction.

    Raises:
        PullClosedError: it was closed or merged meanwhile.
    """
    pull = pull_of(repo, ref_name)
    assert pull is not None  # noqa: S101 - its ref is there, and they never part
    held = locked(pull)
    held.charged_to = pull.charged_to
    check_takes_commits(held)
    if held.charged_to is None and not viewer.is_writer(repo.namespace_id):
        # Opened as a writer, who is none any more: from now on they pay themselves.
        held.charged_to = Namespace.objects.get(user=viewer.identified())
        held.save(update_fields=["charged_to"])
    return held


def payer_of(viewer: Viewer, pull: Discussion | None) -> Discussion | None:
    """Return the pull request whose author pays for a commit; ``None``: the repository's owner.

    What the owners add to somebody's pull request must not fill that person's room.
    """
    is_writer = pull is not None and viewer.is_writer(pull.repo.namespace_id)
    return None if is_writer else pull


def note_commit(pull: Discussion, commit: Commit, user: User) -> None:
    """Write down in a locked pull request that a commit came in."""
    add_event(pull, DiscussionEvent.Kind.COMMIT, user, subject=commit.title, oid=commit.oid)
    emit(
        RepoEvent.Scope.DISCUSSION,
        RepoEvent.Action.UPDATE,
        repo=pull.repo,
        actor=user,
        ref=pull.ref_name,
        commit=commit.oid,
        **facts(pull),
    )


def _check_number(user: User) -> None:
    mine = Discussion.objects.are_open().filter(author=user, is_pull_request=True)
    if mine.exclude(repo__namespace__user=user).count() >= MAX_OPEN:
        raise TooManyOpenError(
            _("You have %(most)d open pull requests. Close some first.") % {"most": MAX_OPEN},
            most=MAX_OPEN,
        )
