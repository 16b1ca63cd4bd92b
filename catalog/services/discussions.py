"""The life of a discussion: open, rename, close, open again, pin; and whether there are any.

Pull requests are discussions with a ref; what only they do is in ``pulls`` and ``merging``.
"""

from django.db import connection, transaction
from django.utils.translation import gettext as _

from accounts.models import User
from accounts.services.audit import record
from accounts.services.limits import count_comment, count_discussion
from accounts.viewer import Viewer
from catalog.access import RepoDisabledError, can, check_may
from catalog.models import Community, Discussion, DiscussionEvent, ModelRepo, RepoEvent
from catalog.services.comments import add_comment, add_event, check_enabled, check_text, locked
from catalog.services.events import emit
from store.core.errors import ConflictError, ForbiddenError, InvalidError, NotFoundError

MIN_TITLE_CHARS, MAX_TITLE_CHARS = 3, 300

_NEXT_NUMBER = """
    INSERT INTO catalog_community (repo_id, last_number, is_disabled) VALUES (%s, 1, false)
    ON CONFLICT (repo_id) DO UPDATE SET last_number = catalog_community.last_number + 1
    RETURNING last_number
"""


class DiscussionNotFoundError(NotFoundError):
    """The repository has no discussion of this number."""

    code = "discussion_not_found"


class MergedError(ConflictError):
    """The pull request is merged; that cannot be taken back."""

    code = "already_merged"


def discussion_of(repo: ModelRepo, number: int) -> Discussion:
    """Return a discussion of ``repo``, which came through ``catalog.access``.

    Raises:
        DiscussionNotFoundError: there is none of this number.
        DiscussionsDisabledError: the owners switched discussions off.
    """
    check_enabled(repo)
    found = None
    if number < 2**31:
        rows = Discussion.objects.filter(repo=repo, number=number)
        found = rows.select_related("author").first()
    if found is None:
        raise DiscussionNotFoundError(_("There is no discussion of this number here."))
    found.repo = repo
    return found


@transaction.atomic
def open_discussion(viewer: Viewer, repo: ModelRepo, *, title: str, text: str) -> Discussion:
    """Start to talk about ``repo``. Any reader may.

    Raises:
        UnauthenticatedError, MissingScopeError: nobody is signed in; the token only reads.
        DiscussionsDisabledError, RepoDisabledError: there are none, or the model is taken down.
        InvalidError: title or text are too short or too long.
        RateLimitedError: too many on one day.
    """
    user = check_may_open(viewer, repo)
    title, text = check_title(title), check_text(text, may_be_empty=True)
    count_discussion(user.pk)
    return begin(repo, user, title=title, text=text)


def check_may_open(viewer: Viewer, repo: ModelRepo) -> User:
    """Return who opens a discussion or a pull request of ``repo``.

    Raises:
        UnauthenticatedError, MissingScopeError: nobody is signed in; the token only reads.
        DiscussionsDisabledError, RepoDisabledError: there are none, or the model is taken down.
    """
    check_may(viewer, repo, to="discuss")
    check_enabled(repo)
    if repo.disabled_reason and not viewer.is_staff:
        raise RepoDisabledError("This repository is disabled.", reason=repo.disabled_reason)
    return viewer.identified()


def begin(repo: ModelRepo, user: User, *, title: str, text: str, **columns: object) -> Discussion:
    """Write a discussion with its description; everything is checked already."""
    made = Discussion.objects.create(
        repo=repo, number=next_number(repo), title=title, author=user, **columns
    )
    emit(RepoEvent.Scope.DISCUSSION, RepoEvent.Action.CREATE, repo=repo, actor=user, **facts(made))
    add_comment(made, user, text)
    return made


def next_number(repo: ModelRepo) -> int:
    """Return the next number of ``repo``: one at a time, none twice."""
    with connection.cursor() as cursor:
        cursor.execute(_NEXT_NUMBER, [repo.pk])
        row: tuple[int] = cursor.fetchone()
    return row[0]


def facts(discussion: Discussion) -> dict[str, object]:
    """Return what listeners are told of a discussion."""
    told = {
        "num": discussion.number,
        "title": discussion.title,
        "status": discussion.status,
        "is_pull_request": discussion.is_pull_request,
        "discussion": discussion.public_id,
    }
    return told | ({"base": discussion.base_ref} if discussion.is_pull_request else {})


def check_title(title: str) -> str:
    """Return ``title`` as it is kept.

    Raises:
        InvalidError: it is too short, too long, or more than a line.
    """
    title = title.strip()
    is_line = title.isprintable()
    if not MIN_TITLE_CHARS <= len(title) <= MAX_TITLE_CHARS or not is_line:
        raise InvalidError(
            _("A title is one line of %(least)d to %(most)d characters.")
            % {"least": MIN_TITLE_CHARS, "most": MAX_TITLE_CHARS}
        )
    return title


def may_steer(viewer: Viewer, discussion: Discussion) -> bool:
    """Whether the viewer may rename, close and open again: its author and the writers."""
    if can(viewer, discussion.repo, to="write"):
        return True
    is_theirs = viewer.user is not None and viewer.user.pk == discussion.author_id
    return is_theirs and can(viewer, discussion.repo, to="discuss")


def _steering(viewer: Viewer, discussion: Discussion) -> User:
    user = viewer.identified()
    check_enabled(discussion.repo)
    if not may_steer(viewer, discussion):
        check_may(viewer, discussion.repo, to="discuss")  # says what a token lacks
        raise ForbiddenError(
            _("Only whoever opened it and the owners of the model can change this discussion.")
        )
    return user


@transaction.atomic
def rename(viewer: Viewer, discussion: Discussion, *, title: str) -> DiscussionEvent:
    """Give a discussion another title.

    Raises:
        ForbiddenError: it is neither the viewer's discussion nor their model.
        InvalidError: the title is too short or too long.
    """
    user = _steering(viewer, discussion)
    title = check_title(title)
    count_comment(user.pk)
    held = locked(discussion)
    changed = {"from": held.title, "to": title}
    event = add_event(held, DiscussionEvent.Kind.TITLE, user, **changed)
    Discussion.objects.filter(pk=held.pk).update(title=title)
    held.title = discussion.title = title
    emit(
        RepoEvent.Scope.DISCUSSION,
        RepoEvent.Action.UPDATE,
        repo=held.repo,
        actor=user,
        old_title=changed["from"],
        **facts(held),
    )
    return event


@transaction.atomic
def set_status(
    viewer: Viewer, discussion: Discussion, *, status: str, text: str = ""
) -> DiscussionEvent:
    """Close a discussion or open it again; opening a draft publishes it. Safe to repeat.

    Args:
        viewer: Who asks.
        discussion: What to change.
        status: ``open`` or ``closed``.
        text: Said before it, as a comment; may be empty.

    Returns:
        The change; when nothing changed, the last one.

    Raises:
        ForbiddenError: it is neither the viewer's discussion nor their model.
        MergedError: it is a merged pull request.
        InvalidError: there is no such status.
    """
    user = _steering(viewer, discussion)
    if status not in {Discussion.Status.OPEN, Discussion.Status.CLOSED}:
        raise InvalidError(_("A status is 'open' or 'closed'."))
    text = check_text(text, may_be_empty=True)
    held = locked(discussion)
    if held.status == Discussion.Status.MERGED:
        raise MergedError(_("This pull request is merged. That cannot be changed any more."))
    count_comment(user.pk)
    if text:
        add_comment(held, user, text)
    if held.status == status:
        return _last_change(held)
    event = change_status(held, user, Discussion.Status(status))
    discussion.status = status
    return event


def change_status(
    held: Discussion, user: User, status: Discussion.Status, **more: object
) -> DiscussionEvent:
    """Write a status and its event into a locked discussion, and tell."""
    event = add_event(held, DiscussionEvent.Kind.STATUS, user, status=status)
    old, held.status = held.status, status
    Discussion.objects.filter(pk=held.pk).update(status=status)
    emit(
        RepoEvent.Scope.DISCUSSION,
        RepoEvent.Action.UPDATE,
        repo=held.repo,
        actor=user,
        old_status=old,
        **facts(held),
        **more,
    )
    return event


def _last_change(held: Discussion) -> DiscussionEvent:
    kind = DiscussionEvent.Kind.STATUS
    rows = DiscussionEvent.objects.filter(discussion=held, kind=kind).select_related("author")
    return rows.order_by("-id").first() or DiscussionEvent(
        public_id=held.public_id,
        discussion=held,
        kind=kind,
        author=held.author,
        created_at=held.created_at,
        facts={"status": held.status},
    )


@transaction.atomic
def pin(viewer: Viewer, discussion: Discussion, *, is_pinned: bool) -> DiscussionEvent | None:
    """Keep a discussion on top of the list, or no longer. ``None``: it was so already.

    Raises:
        ForbiddenError: the viewer may not write to the repository.
    """
    check_may(viewer, discussion.repo, to="write")
    user = viewer.identified()
    check_enabled(discussion.repo)
    held = locked(discussion)
    if held.is_pinned == is_pinned:
        return None
    event = add_event(held, DiscussionEvent.Kind.PIN, user, pinned=is_pinned)
    Discussion.objects.filter(pk=held.pk).update(is_pinned=is_pinned)
    discussion.is_pinned = is_pinned
    return event


@transaction.atomic
def set_disabled(viewer: Viewer, repo: ModelRepo, *, is_disabled: bool) -> None:
    """Switch the discussions of a repository off or on. Those there are kept, and hidden.

    Raises:
        ForbiddenError: the viewer may not change the repository's settings.
    """
    check_may(viewer, repo, to="admin")
    Community.objects.update_or_create(repo=repo, defaults={"is_disabled": is_disabled})
    record(
        "repo.settings",
        actor=viewer.user,
        subject=repo.full_name,
        namespace=repo.namespace,
        address=viewer.address,
        discussions_disabled=is_disabled,
    )
    emit(
        RepoEvent.Scope.CONFIG,
        RepoEvent.Action.UPDATE,
        repo=repo,
        actor=viewer.user,
        discussionsDisabled=is_disabled,
    )


def are_disabled(repo: ModelRepo) -> bool:
    """Whether the owners switched discussions off."""
    return Community.objects.filter(repo=repo, is_disabled=True).exists()
