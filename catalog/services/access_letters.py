"""Letters about access to gated models: to publishers that people wait, to askers how it went.

Asked for in the transaction of the change, written when they are sent, to those who want mail of
the kind "requests for access" then. Notices of the same (``notices``) are on the site alone.
"""

from enum import StrEnum

from django.conf import settings
from django.core.mail import EmailMessage
from django.utils.translation import get_language, ngettext, override
from django.utils.translation import gettext as _

from accounts.models import Role, User
from accounts.services import mailing
from catalog.models import AccessRequest, AccessRequestChange, ModelRepo
from catalog.services.notice_letters import unsubscribe_headers, unsubscribe_path
from catalog.services.notice_settings import Kind, wanting_mail
from store.core.jobs import JobName, enqueue

GATHER_S = 300
"""Requests of so many seconds share a letter: asking by the hundred floods no mailbox."""
MAX_RECIPIENTS = 20
"""Admins of an organization who get the letter, the longest-standing first."""


class AccessLetter(StrEnum):
    """Kinds of letters."""

    WAITING = "waiting"
    """People wait; about a repository, to its publisher."""
    ANSWER = "answer"
    """Let in or rejected; about a step of a request, to whoever asked."""


def tell_publisher(repo: ModelRepo) -> None:
    """Have the publisher told that requests wait; one letter a repository at a time."""
    _ask(AccessLetter.WAITING, repo.pk, delay_s=GATHER_S, key=f"access-waiting-{repo.pk}")


def tell_asker(request: AccessRequest) -> None:
    """Have the asker told of the newest step of their request."""
    change = AccessRequestChange.objects.filter(request=request).latest("id")
    _ask(AccessLetter.ANSWER, change.pk)


def send(letter: str, ident: int, language: str) -> int:
    """Write letters and send them; the work of the job.

    Returns:
        How many were sent: 0 when there is nothing to tell any more.

    Raises:
        MailError: the server could not be reached; worth another attempt.
    """
    with override(language):
        messages = _waiting(ident) if letter == AccessLetter.WAITING else _answer(ident)
    return sum(mailing.deliver(message) for message in messages)


def _ask(letter: AccessLetter, ident: int, *, delay_s: float = 0, key: str = "") -> None:
    language = get_language() or settings.LANGUAGE_CODE
    enqueue(
        JobName.SEND_ACCESS_LETTER,
        delay_s=delay_s,
        key=key,
        letter=letter.value,
        ident=ident,
        language=language,
    )


def _waiting(repo_id: int) -> list[EmailMessage]:
    repo = ModelRepo.objects.select_related("namespace__user").filter(pk=repo_id).first()
    if repo is None or repo.gate == ModelRepo.Gate.NONE:
        return []
    count = repo.access_requests.filter(status=AccessRequest.Status.PENDING).count()
    if not count:
        return []
    subject = ngettext(
        "%(n)d person waits for access to %(model)s",
        "%(n)d people wait for access to %(model)s",
        count,
    ) % {"n": count, "model": repo.full_name}
    link = f"{settings.PUBLIC_URL}/{repo.full_name}/access-requests"
    context = {"repo": repo, "count": count, "link": link}
    return [
        _letter(subject, "catalog/mail/access_waiting.txt", context, person)
        for person in _publishers(repo)
    ]


def _publishers(repo: ModelRepo) -> list[User]:
    """Return who answers for a repository and wants mail: its owner, or its team's admins."""
    if repo.namespace.user is not None:
        people = [repo.namespace.user]
    else:
        admins = User.objects.filter(
            memberships__organization__namespace=repo.namespace,
            memberships__role=Role.ADMIN,
            is_active=True,
        )
        people = list(admins.order_by("memberships__created_at", "pk"))
    wanting = wanting_mail(Kind.ACCESS, repo, [person.pk for person in people])
    return [person for person in people if person.pk in wanting][:MAX_RECIPIENTS]


def _answer(change_id: int) -> list[EmailMessage]:
    rows = AccessRequestChange.objects.select_related("request__repo__namespace", "request__user")
    change = rows.filter(pk=change_id).first()
    if change is None or not change.request.user.is_active:
        return []
    request = change.request
    if not wanting_mail(Kind.ACCESS, request.repo, [request.user_id]):
        return []
    is_in = change.status == AccessRequest.Status.ACCEPTED
    text = _("You have access to %(model)s") if is_in else _("No access to %(model)s")
    context = {
        "repo": request.repo,
        "is_in": is_in,
        "is_by_hand": request.is_by_hand,
        "reason": change.reason,
        "link": f"{settings.PUBLIC_URL}/{request.repo.full_name}",
    }
    subject = text % {"model": request.repo.full_name}
    return [_letter(subject, "catalog/mail/access_answer.txt", context, request.user)]


def _letter(subject: str, template: str, context: dict[str, object], to: User) -> EmailMessage:
    """Write a letter with the way to have no more of its kind, below it and for mail programs."""
    stop = settings.PUBLIC_URL + unsubscribe_path(to, Kind.ACCESS)
    letter = mailing.compose(subject, template, context | {"user": to, "stop": stop}, to.email)
    letter.extra_headers = unsubscribe_headers(stop)
    return letter
