"""Letters to people.

They are asked for as jobs, so that no page waits for a mail server or tells by its time whether
somebody exists, and written when they are sent, so that no secret lies in a job's row.
"""

import smtplib
from collections.abc import Callable, Mapping
from enum import StrEnum

from django.conf import settings
from django.contrib.auth.tokens import default_token_generator
from django.core.mail import EmailMessage
from django.template.loader import render_to_string
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode
from django.utils.translation import get_language, override
from django.utils.translation import gettext as _

from accounts.models import AuditEvent, Organization, Role, User
from store.core.errors import TransientError
from store.core.jobs import JobName, enqueue
from store.core.models import Job


class Letter(StrEnum):
    """Kinds of letters."""

    RESET = "reset"
    """A link for a new password; about a person."""
    NOTICE = "notice"
    """Something important changed; about an audit event."""
    WEBHOOK = "webhook"
    """A webhook was switched off; about an audit event of its owner's name space."""
    LICENSE = "license"
    """The key of a license was replaced, or it was suspended or reinstated; about an audit event
    of its holder's name space."""


class MailError(TransientError):
    """The mail server could not be reached or refused for now."""

    code = "mail_failed"


_SUBJECTS = {
    "user.password": lambda: _("Your password was changed"),
    "user.password_reset": lambda: _("Your password was changed"),
    "user.email": lambda: _("Your e-mail address was changed"),
    "two_factor.on": lambda: _("Two-factor authentication is on"),
    "two_factor.off": lambda: _("Two-factor authentication is off"),
}


def ask(letter: Letter, ident: int, *, language: str = "") -> Job:
    """Have a letter sent.

    Args:
        letter: What kind.
        ident: Id of the person or the event it is about; 0: nobody, nothing is sent.
        language: To write it in; empty: the one that is active now.
    """
    language = language or get_language() or settings.LANGUAGE_CODE
    return enqueue(JobName.SEND_MAIL, letter=letter.value, ident=ident, language=language)


def send(letter: str, ident: int, language: str) -> int:
    """Write a letter and send it; the work of the job.

    Returns:
        How many were sent: 0 when the person or the event is gone.

    Raises:
        MailError: the server could not be reached; worth another attempt.
    """
    with override(language):
        message = _WRITERS[Letter(letter)](ident)
    return 0 if message is None else deliver(message)


def deliver(message: EmailMessage) -> int:
    """Hand a letter to the mail server.

    Raises:
        MailError: it could not be reached; worth another attempt.
    """
    try:
        return message.send()
    except (smtplib.SMTPException, OSError) as error:
        raise MailError("The mail server could not be reached.") from error


def compose(subject: str, template: str, context: dict[str, object], to: str) -> EmailMessage:
    """Write a letter of plain text; line ends in the subject become spaces.

    Args:
        subject: One line.
        template: Of the body; it knows ``site_name`` beside ``context``.
        context: Its variables.
        to: An e-mail address.
    """
    body = render_to_string(template, context | {"site_name": settings.SITE_NAME})
    return EmailMessage(subject=" ".join(subject.split()), body=body.strip() + "\n", to=[to])


def reset_path(user: User) -> str:
    """Return the path of a fresh link for a new password: good once, and for an hour."""
    uid = urlsafe_base64_encode(force_bytes(user.pk))
    return f"/password-reset/{uid}/{default_token_generator.make_token(user)}"


def _reset_letter(user_id: int) -> EmailMessage | None:
    user = User.objects.filter(pk=user_id, is_active=True).first()
    if user is None:
        return None
    context = {"user": user, "link": settings.PUBLIC_URL + reset_path(user)}
    subject = _("Choose a new password for %(site)s") % {"site": settings.SITE_NAME}
    return compose(subject, "accounts/mail/reset.txt", context, user.email)


def _notice(event_id: int) -> EmailMessage | None:
    event = (
        AuditEvent.objects.select_related("actor", "namespace__user").filter(pk=event_id).first()
    )
    if event is None:
        return None
    # nobody's act is told to the person it was done to
    user = event.actor or (event.namespace.user if event.namespace else None)
    if user is None:
        return None
    context = {
        "user": user,
        "event": event,
        "link": f"{settings.PUBLIC_URL}/password-reset",
    }
    # a changed address is told to the old one: its owner may not have done it
    to = str(event.detail.get("old", user.email))
    return compose(_SUBJECTS[event.action](), "accounts/mail/notice.txt", context, to)


def _webhook_letter(event_id: int) -> EmailMessage | None:
    event = AuditEvent.objects.select_related("namespace__user").filter(pk=event_id).first()
    user = event.namespace.user if event is not None and event.namespace is not None else None
    if event is None or user is None:
        return None
    context = {
        "user": user,
        "event": event,
        "reason": event.detail["reason"],
        "link": settings.PUBLIC_URL + event.detail["path"],
    }
    subject = _("A webhook of yours was switched off")
    return compose(subject, "accounts/mail/webhook.txt", context, user.email)


_LICENSE_SUBJECTS = {
    "license.rotate": lambda: _("The key of a license of yours was replaced"),
    "license.suspend": lambda: _("A license of yours is suspended"),
    "license.reinstate": lambda: _("A license of yours counts again"),
}


def _license_letter(event_id: int) -> EmailMessage | None:
    rows = AuditEvent.objects.select_related("namespace__user", "namespace__organization")
    event = rows.filter(pk=event_id).first()
    owner = event.namespace.owner if event is not None and event.namespace is not None else None
    if event is None or owner is None:
        return None
    people = [owner] if isinstance(owner, User) else _admins(owner)
    if not people:
        return None
    context = {
        "event": event,
        "title": event.detail["title"],
        "reason": event.detail.get("reason", ""),
        "link": f"{settings.PUBLIC_URL}/library",
    }
    message = compose(_LICENSE_SUBJECTS[event.action](), "accounts/mail/license.txt", context, "")
    message.to = [person.email for person in people]
    return message


def _admins(organization: Organization) -> list[User]:
    rows = organization.memberships.filter(role=Role.ADMIN).select_related("user")
    return [row.user for row in rows.order_by("pk")]


_WRITERS: Mapping[Letter, Callable[[int], EmailMessage | None]] = {
    Letter.RESET: _reset_letter,
    Letter.NOTICE: _notice,
    Letter.WEBHOOK: _webhook_letter,
    Letter.LICENSE: _license_letter,
}
