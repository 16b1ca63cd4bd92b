"""Asking for a gated model, and answering who asked.

Every change locks the one row of person and repository, so two answers at once end as one: the
second hears that the request has moved on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import Scope, User
from accounts.services.audit import record
from accounts.services.limits import count_access_request
from accounts.viewer import Viewer
from catalog.access import check_may
from catalog.models import AccessRequest, AccessRequestChange, ModelRepo, RepoEvent
from catalog.services import access_letters
from catalog.services.events import emit
from catalog.services.gate_answers import gate_form_of, read_answers
from store.core.errors import ConflictError, ForbiddenError, InvalidError, NotFoundError, StoreError

MAX_REASON_CHARS = 500
MAX_AT_ONCE = 500
"""Requests one call answers."""

Status = AccessRequest.Status


class NotGatedError(InvalidError):
    """The repository has no gate: there is nothing to ask for."""

    code = "not_gated"


class HasAccessError(InvalidError):
    """The person has access already."""

    code = "has_access"


class SameStatusError(InvalidError):
    """The request stands where it is to be put."""

    code = "same_status"


class RequestNotFoundError(NotFoundError):
    """There is no such request at this repository."""

    code = "access_request_not_found"


class RequestMovedError(ConflictError):
    """Somebody else answered in the meantime; ``extra["status"]`` says how."""

    code = "access_request_moved"


class AccessRejectedError(ForbiddenError):
    """The publisher said no; only the publisher can open the request again."""

    code = "access_rejected"


@dataclass(frozen=True, slots=True)
class Answered:
    """What became of one request of many."""

    name: str
    """Who or which was named."""
    error: StoreError | None = None
    """Why it was left as it is; ``None``: it was answered."""


@transaction.atomic
def ask(viewer: Viewer, repo: ModelRepo, given: Mapping[str, str]) -> AccessRequest:
    """Ask for access. Safe to repeat: a waiting request gets the new answers.

    Args:
        viewer: Who asks.
        repo: Through ``catalog.access``, so its visibility is settled.
        given: Answers by question of the card.

    Raises:
        UnauthenticatedError, MissingScopeError: nobody is signed in; the token may not.
        NotGatedError: there is no gate.
        HasAccessError: a member of the owner needs none.
        AccessRejectedError: the publisher rejected an earlier request.
        AnswersError: questions are open.
        RateLimitedError: too many in this hour.
    """
    user = viewer.require(Scope.WRITE)
    _check_gated(repo)
    if viewer.role_in(repo.namespace_id) is not None:
        raise HasAccessError(_("You have access already: the model is yours or your team's."))
    answers = read_answers(gate_form_of(repo), given)
    count_access_request(user.pk)
    request, is_new = AccessRequest.objects.get_or_create(
        repo=repo, user=user, defaults={"status": Status.WITHDRAWN}
    )
    request = AccessRequest.objects.select_for_update().get(pk=request.pk)
    if request.status == Status.ACCEPTED:
        return request
    if request.status == Status.REJECTED:
        raise AccessRejectedError(
            _("The publisher rejected your request. Only they can open it again.")
        )
    was_waiting = request.status == Status.PENDING
    opens_itself = repo.gate == ModelRepo.Gate.AUTO
    request.answers, request.is_by_hand = answers, False
    if not was_waiting:
        request.asked_at = timezone.now()
    if was_waiting and not opens_itself:
        request.save(update_fields=["answers", "is_by_hand"])
        return request
    status = Status.ACCEPTED if opens_itself else Status.PENDING
    _put(request, status, actor=None if opens_itself else user, reason="")
    action = RepoEvent.Action.CREATE if is_new else RepoEvent.Action.UPDATE
    _tell(repo, request, action, actor=user)
    if not opens_itself:
        access_letters.tell_publisher(repo)
    return request


@transaction.atomic
def withdraw(viewer: Viewer, repo: ModelRepo) -> AccessRequest:
    """Take the viewer's own request back, or give access up; the answers are wiped.

    Raises:
        RequestNotFoundError: they have none.
        AccessRejectedError: it was rejected: taking it back would be a way to ask again.
    """
    user = viewer.require(Scope.WRITE)
    rows = AccessRequest.objects.select_for_update().filter(repo=repo, user=user)
    request = rows.exclude(status=Status.WITHDRAWN).first()
    if request is None:
        raise RequestNotFoundError(_("You have no request at this model."))
    if request.status == Status.REJECTED:
        raise AccessRejectedError(_("A rejected request cannot be taken back."))
    request.answers = []
    _put(request, Status.WITHDRAWN, actor=user, reason="")
    _tell(repo, request, RepoEvent.Action.DELETE, actor=user)
    return request


@transaction.atomic
def answer(
    viewer: Viewer,
    repo: ModelRepo,
    *,
    status: str,
    user: str | None = None,
    request_id: str | None = None,
    reason: str = "",
    seen: str | None = None,
) -> AccessRequest:
    """Accept or reject a request, or put it back to waiting (which re-opens a rejected one).

    Args:
        viewer: Who answers; a writer of ``repo``.
        repo: Whose gate it is.
        status: ``accepted``, ``rejected`` or ``pending``.
        user: Whose request, by name; or
        request_id: which, by its public id.
        reason: For the asker to read; only with a rejection.
        seen: The status the viewer saw; ``None``: as it stands when the call arrives.

    Raises:
        ForbiddenError: not the viewer's to answer.
        NotGatedError: there is no gate.
        InvalidError: no such status, or a reason where none belongs.
        RequestNotFoundError: there is no such request.
        SameStatusError: it stands there already.
        RequestMovedError: somebody answered it meanwhile. Nothing is changed.
    """
    actor = _publisher(viewer, repo)
    _check_answer(status, reason)
    found = _named(repo, user=user, request_id=request_id)
    request = AccessRequest.objects.select_for_update().get(pk=found.pk)
    if request.status != (seen or found.status):
        raise RequestMovedError(
            _("Somebody answered this request meanwhile. Reload the page."), status=request.status
        )
    if request.status == status:
        raise SameStatusError(
            _("This request is %(status)s already.") % {"status": status}, status=status
        )
    _put(request, Status(status), actor=actor, reason=reason)
    _note(viewer, repo, request)
    if status != Status.PENDING:
        access_letters.tell_asker(request)
    return request


@transaction.atomic
def grant(viewer: Viewer, repo: ModelRepo, name: str) -> AccessRequest:
    """Let somebody in who did not ask, or whose request is open or was rejected.

    Raises:
        ForbiddenError: not the viewer's to give.
        NotGatedError: there is no gate.
        RequestNotFoundError: there is nobody of this name.
        HasAccessError: they have access already.
    """
    actor = _publisher(viewer, repo)
    person = User.objects.filter(username__iexact=name, is_active=True).first()
    if person is None:
        raise RequestNotFoundError(_("There is nobody called %(name)s here.") % {"name": name[:42]})
    if Viewer(user=person).role_in(repo.namespace_id) is not None:
        raise HasAccessError(_("%(name)s is a member and has access.") % {"name": person.username})
    request, _is_new = AccessRequest.objects.get_or_create(
        repo=repo, user=person, defaults={"status": Status.WITHDRAWN, "is_by_hand": True}
    )
    request = AccessRequest.objects.select_for_update().get(pk=request.pk)
    if request.status == Status.ACCEPTED:
        raise HasAccessError(_("%(name)s has access already.") % {"name": person.username})
    if request.status == Status.WITHDRAWN:
        request.is_by_hand, request.asked_at = True, timezone.now()
    _put(request, Status.ACCEPTED, actor=actor, reason="")
    _note(viewer, repo, request)
    access_letters.tell_asker(request)
    return request


def answer_many(
    viewer: Viewer,
    repo: ModelRepo,
    request_ids: Sequence[str],
    *,
    status: str,
    reason: str = "",
    seen: str | None = None,
) -> list[Answered]:
    """Answer several requests; each by itself, so that one that moved on stops no other.

    Raises:
        ForbiddenError, NotGatedError, InvalidError: as ``answer``; then none is answered.
    """
    _publisher(viewer, repo)
    _check_answer(status, reason)
    if not 1 <= len(request_ids) <= MAX_AT_ONCE:
        raise InvalidError(_("Choose 1 to %(most)d requests.") % {"most": MAX_AT_ONCE})
    results = []
    for request_id in dict.fromkeys(request_ids):
        try:
            answer(viewer, repo, status=status, request_id=request_id, reason=reason, seen=seen)
        except StoreError as error:
            results.append(Answered(request_id, error))
        else:
            results.append(Answered(request_id))
    return results


def check_publisher(viewer: Viewer, repo: ModelRepo) -> User:
    """Return the viewer if they may see and answer the requests of ``repo``.

    Raises:
        ForbiddenError, UnauthenticatedError, MissingScopeError: they may not.
        NotGatedError: there is no gate.
    """
    return _publisher(viewer, repo)


def _publisher(viewer: Viewer, repo: ModelRepo) -> User:
    check_may(viewer, repo, to="write")
    _check_gated(repo)
    return viewer.identified()


def _check_gated(repo: ModelRepo) -> None:
    if repo.gate == ModelRepo.Gate.NONE:
        raise NotGatedError(
            _("%(name)s is not gated: everybody who sees it may download it.")
            % {"name": repo.full_name}
        )


def _check_answer(status: str, reason: str) -> None:
    if status not in AccessRequest.LISTED:
        raise InvalidError(f"'status' is one of {', '.join(AccessRequest.LISTED)}.")
    if reason and status != Status.REJECTED:
        raise InvalidError(_("A reason goes with a rejection only."))
    if len(reason) > MAX_REASON_CHARS:
        raise InvalidError(
            _("A reason has at most %(most)d characters.") % {"most": MAX_REASON_CHARS}
        )


def _named(repo: ModelRepo, *, user: str | None, request_id: str | None) -> AccessRequest:
    rows = AccessRequest.objects.filter(repo=repo, status__in=AccessRequest.LISTED)
    if request_id is not None:
        rows = rows.filter(public_id=request_id)
    else:
        rows = rows.filter(user__username__iexact=user or "")
    found = rows.first()
    if found is None:
        raise RequestNotFoundError(_("There is no such request at this model."))
    return found


def _put(request: AccessRequest, status: Status, *, actor: User | None, reason: str) -> None:
    """Move a locked request and write its history."""
    request.status, request.reason = status, reason
    request.decided_by = actor if status in {Status.ACCEPTED, Status.REJECTED} else None
    request.changed_at = timezone.now()
    request.save()
    AccessRequestChange.objects.create(
        request=request,
        status=status,
        actor=actor,
        actor_name=actor.username if actor else "",
        reason=reason,
    )


def _note(viewer: Viewer, repo: ModelRepo, request: AccessRequest) -> None:
    """Tell of a publisher's answer."""
    record(
        "access.answer",
        actor=viewer.user,
        subject=repo.full_name,
        namespace=repo.namespace,
        address=viewer.address,
        user=request.user.username,
        status=request.status,
    )
    _tell(repo, request, RepoEvent.Action.UPDATE, actor=viewer.user)


def _tell(
    repo: ModelRepo, request: AccessRequest, action: RepoEvent.Action, *, actor: User | None
) -> None:
    """Note the event. It is between the publisher and the asker: feeds must not show it."""
    emit(
        RepoEvent.Scope.ACCESS,
        action,
        repo=repo,
        actor=actor,
        request=request.public_id,
        user_id=request.user_id,
        status=str(request.status),
    )
