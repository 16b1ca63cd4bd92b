"""What people write in discussions: comments with their history, and events without words."""

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Lower
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import Namespace, User
from accounts.services.limits import count_comment
from accounts.viewer import Viewer
from catalog.access import can, check_may
from catalog.cards.comments import COMMENTS_VERSION, attached, mentioned, render_comment
from catalog.models import (
    Attachment,
    CommentVersion,
    Community,
    Discussion,
    DiscussionEvent,
    ModelRepo,
    RepoEvent,
)
from catalog.services.events import emit
from store.core.errors import ConflictError, ForbiddenError, InvalidError, NotFoundError

MAX_CHARS = 64 * 1024
MAX_COMMENTS = 2_000
"""Of one discussion, so that it can be answered in one piece."""
MAX_TEXT_CHARS = 4_000_000
"""Characters of all comments of one discussion, former versions included."""
HIDDEN = "This comment has been hidden"
"""What programs read in the place of a hidden comment; the hub's words."""


class DiscussionsDisabledError(ForbiddenError):
    """The owners of the repository do not take discussions."""

    code = "discussions_disabled"


class CommentNotFoundError(NotFoundError):
    """The discussion has no such comment."""

    code = "comment_not_found"


class CommentHiddenError(ConflictError):
    """The comment is hidden; its content is gone."""

    code = "comment_hidden"


class DiscussionFullError(ForbiddenError):
    """The discussion is as long as one can be; start another."""

    code = "discussion_full"


def check_enabled(repo: ModelRepo) -> None:
    """Refuse where the owners switched discussions off.

    Raises:
        DiscussionsDisabledError: they did.
    """
    if Community.objects.filter(repo=repo, is_disabled=True).exists():
        raise DiscussionsDisabledError(_("Discussions are disabled for this repo."))


def check_text(text: str, *, may_be_empty: bool = False) -> str:
    """Return ``text`` as it is kept.

    Raises:
        InvalidError: it is empty, too long, or no text.
    """
    text = text.replace("\r\n", "\n")
    if len(text) > MAX_CHARS:
        raise InvalidError(
            _("A comment has at most %(most)d characters.") % {"most": MAX_CHARS}, most=MAX_CHARS
        )
    if not text.strip() and not may_be_empty:
        raise InvalidError(_("Write something first: the comment is empty."))
    if "\0" in text:
        raise InvalidError(_("A comment cannot contain the character NUL."))
    return text.strip()


@transaction.atomic
def comment(viewer: Viewer, discussion: Discussion, *, text: str) -> DiscussionEvent:
    """Say something. Any reader may, also when the discussion is closed.

    Raises:
        UnauthenticatedError, MissingScopeError: nobody is signed in; the token only reads.
        DiscussionsDisabledError: the owners switched discussions off.
        DiscussionFullError: it is as long as one can be.
        InvalidError: the text is empty or too long.
        RateLimitedError: too much on one day.
    """
    check_may(viewer, discussion.repo, to="discuss")
    user = viewer.identified()
    check_enabled(discussion.repo)
    text = check_text(text)
    count_comment(user.pk)
    return add_comment(locked(discussion), user, text)


@transaction.atomic
def edit(viewer: Viewer, discussion: Discussion, public_id: str, *, text: str) -> DiscussionEvent:
    """Change what a comment of the viewer says; what it said before stays readable.

    Raises:
        CommentNotFoundError: the discussion has no such comment.
        ForbiddenError: it is somebody else's.
        CommentHiddenError: it is hidden.
        InvalidError: the text is empty or too long.
    """
    check_may(viewer, discussion.repo, to="discuss")
    user = viewer.identified()
    check_enabled(discussion.repo)
    text = check_text(text)
    held = locked(discussion)
    found = _comment(held, public_id)
    if found.author_id != user.pk:
        raise ForbiddenError(_("Only its author can change a comment."))
    if found.is_hidden:
        raise CommentHiddenError(_("This comment is hidden. It cannot be changed any more."))
    count_comment(user.pk)
    if text == found.text:
        return found
    CommentVersion.objects.create(
        comment=found,
        text=found.text,
        html=found.html,
        author=found.edited_by or found.author,
        written_at=found.edited_at or found.created_at,
    )
    found.text, found.edited_at, found.edited_by = text, timezone.now(), user
    _render(held, found)
    found.save()
    _grow(held, comments=0, chars=len(text))
    _tell(held, found, RepoEvent.Action.UPDATE, user)
    return found


@transaction.atomic
def hide(viewer: Viewer, discussion: Discussion, public_id: str) -> DiscussionEvent:
    """Take away what a comment says, for good: its author may, and the repository's writers.

    Raises:
        CommentNotFoundError: the discussion has no such comment.
        ForbiddenError: it is not the viewer's to hide.
    """
    user = viewer.identified()
    is_moderator = can(viewer, discussion.repo, to="write") or viewer.is_staff
    if not is_moderator:
        check_may(viewer, discussion.repo, to="discuss")
    held = locked(discussion)
    found = _comment(held, public_id)
    if found.author_id != user.pk and not is_moderator:
        raise ForbiddenError(_("Only its author and the owners of the model can hide a comment."))
    if found.is_hidden:
        return found
    found.versions.all().delete()
    found.attachments.clear()
    found.text = found.html = ""
    found.is_hidden = True
    found.edited_at, found.edited_by = timezone.now(), user
    found.save()
    _tell(held, found, RepoEvent.Action.UPDATE, user)
    return found


def locked(discussion: Discussion) -> Discussion:
    """Return a discussion with its row locked: one change of it at a time."""
    held = Discussion.objects.select_for_update().get(pk=discussion.pk)
    held.repo = discussion.repo
    return held


def add_comment(discussion: Discussion, user: User, text: str) -> DiscussionEvent:
    """Write a comment into a locked discussion; its text is checked already.

    Raises:
        DiscussionFullError: it is as long as one can be.
    """
    _grow(discussion, comments=1, chars=len(text))
    made = add_event(discussion, DiscussionEvent.Kind.COMMENT, user, text=text)
    _render(discussion, made)
    made.save()
    _tell(discussion, made, RepoEvent.Action.CREATE, user)
    return made


def add_event(
    discussion: Discussion,
    kind: DiscussionEvent.Kind,
    user: User | None,
    *,
    text: str = "",
    **facts: object,
) -> DiscussionEvent:
    """Write down what happened in a locked discussion."""
    Discussion.objects.filter(pk=discussion.pk).update(updated_at=timezone.now())
    return DiscussionEvent.objects.create(
        discussion=discussion, kind=kind, author=user, text=text, facts=facts
    )


def html_of(discussion: Discussion, event: DiscussionEvent) -> str:
    """Return a comment's HTML, made anew when an older renderer made the stored one."""
    if event.renderer_version != COMMENTS_VERSION and not event.is_hidden:
        _render(discussion, event, is_linking=False)
    return event.html


def render(repo: ModelRepo, text: str) -> str:
    """Return the HTML of a comment that is not written yet: what a preview shows."""
    return _html(repo, text, _attachments(text))


def _comment(discussion: Discussion, public_id: str) -> DiscussionEvent:
    found = (
        DiscussionEvent.objects.filter(
            discussion=discussion, public_id=public_id, kind=DiscussionEvent.Kind.COMMENT
        )
        .select_related("author", "edited_by")
        .first()
    )
    if found is None:
        raise CommentNotFoundError(_("This discussion has no such comment."))
    return found


def _grow(discussion: Discussion, *, comments: int, chars: int) -> None:
    count = discussion.comment_count + comments
    if count > MAX_COMMENTS or discussion.text_chars + chars > MAX_TEXT_CHARS:
        raise DiscussionFullError(_("This discussion is too long. Start another one."))
    Discussion.objects.filter(pk=discussion.pk).update(
        comment_count=F("comment_count") + comments, text_chars=F("text_chars") + chars
    )
    discussion.text_chars += chars
    discussion.comment_count = count


def _render(discussion: Discussion, event: DiscussionEvent, *, is_linking: bool = True) -> None:
    attachments = _attachments(event.text)
    event.html = _html(discussion.repo, event.text, attachments)
    event.renderer_version = COMMENTS_VERSION
    if is_linking:
        event.attachments.set(attachments)


def _attachments(text: str) -> list[Attachment]:
    by_id = {name.partition(".")[0]: name for name in attached(text)}
    return [
        found
        for found in Attachment.objects.filter(public_id__in=by_id)
        if found.name == by_id[found.public_id]
    ]


def _html(repo: ModelRepo, text: str, attachments: list[Attachment]) -> str:
    base = f"/{repo.full_name}"
    return render_comment(
        text,
        file_base=f"{base}/resolve/main/",
        page_base=f"{base}/blob/main/",
        people=_people(text),
        attachments={each.name: each.media_type for each in attachments},
    )


def _people(text: str) -> dict[str, str]:
    """Return the living people and organizations a text mentions, by lower-case name."""
    if not (names := [name.lower() for name in mentioned(text)]):
        return {}
    rows = Namespace.objects.annotate(_name=Lower("name")).filter(_name__in=names)
    living = rows.exclude(user=None, organization=None)
    return {name.lower(): name for name in living.values_list("name", flat=True)}


def _tell(
    discussion: Discussion, event: DiscussionEvent, action: RepoEvent.Action, user: User
) -> None:
    emit(
        RepoEvent.Scope.COMMENT,
        action,
        repo=discussion.repo,
        actor=user,
        num=discussion.number,
        title=discussion.title,
        status=discussion.status,
        is_pull_request=discussion.is_pull_request,
        comment=event.public_id,
        is_hidden=event.is_hidden,
        mentions=sorted(_people(event.text).values()),
    )
