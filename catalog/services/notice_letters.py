"""Notices by mail: written when they are sent, and only to who may still see what they are of."""

from datetime import timedelta

from django.conf import settings
from django.core import signing
from django.core.mail import EmailMessage
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import override

from accounts.models import User
from accounts.services import mailing
from catalog.models import Notice, Watch
from catalog.services.event_words import notice_link, notice_words
from catalog.services.notice_settings import Kind, stop_mail, wishes_of
from store.core.errors import InvalidError

_SALT = "notices.unsubscribe"
_HOUR = timedelta(hours=1)


class BadUnsubscribeLinkError(InvalidError):
    """The link to end mails is not one of ours, or its person is gone."""

    code = "bad_unsubscribe_link"


def send(notice_id: int) -> int:
    """Mail one notice; the work of the job. Safe to repeat.

    Returns:
        1, or 0 when it was not to be sent: read or mailed meanwhile, hidden, muted, switched off,
        or more than the person's mailbox is to bear in an hour.

    Raises:
        MailError: the server could not be reached; worth another attempt.
    """
    notice = (
        Notice.objects.filter(pk=notice_id, wants_mail=True, mailed_at=None, read_at=None)
        .select_related("user", "actor", "event__actor", "repo__namespace")
        .first()
    )
    if notice is None or not _is_wanted(notice):
        return 0
    with override(settings.LANGUAGE_CODE):
        sent = mailing.deliver(_letter(notice))
    Notice.objects.filter(pk=notice.pk).update(mailed_at=timezone.now())
    return sent


def unsubscribe_path(user: User, kind: Kind) -> str:
    """Return the path that ends mails of ``kind`` to ``user``, whoever opens it."""
    token = signing.dumps([user.public_id, kind.value], salt=_SALT)
    return f"/notifications/unsubscribe/{token}"


def unsubscribe_headers(stop: str) -> dict[str, str]:
    """Return the headers by which mail programs offer the link ``stop``, whatever the letter."""
    return {
        "List-Unsubscribe": f"<{stop}>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",  # RFC 8058
        "Auto-Submitted": "auto-generated",  # no holiday answers
    }


def read_unsubscribe(token: str) -> tuple[User, Kind]:
    """Return whose mails of which kind a link is about.

    Raises:
        BadUnsubscribeLinkError: it is none of ours.
    """
    try:
        public_id, kind = signing.loads(token, salt=_SALT)
        return User.objects.get(public_id=public_id, is_active=True), Kind(kind)
    except (signing.BadSignature, ValueError, TypeError, User.DoesNotExist) as exc:
        raise BadUnsubscribeLinkError(
            _("This link does not work. Change what we mail you in your settings.")
        ) from exc


def unsubscribe(token: str) -> Kind:
    """End mails of the kind a link is about. Safe to repeat.

    Raises:
        BadUnsubscribeLinkError: it is none of ours.
    """
    user, kind = read_unsubscribe(token)
    stop_mail(user, kind)
    return kind


def _is_wanted(notice: Notice) -> bool:
    """Whether the mail may and should go out now; the world may have changed since."""
    user, kind = notice.user, Kind(notice.kind)
    if not user.is_active or not wishes_of(user)[kind].by_mail:
        return False
    shown = Notice.objects.visible_to(user).filter(pk=notice.pk)
    muted = Watch.objects.filter(repo=notice.repo_id, user=user, level=Watch.Level.MUTE)
    if not shown.exists() or muted.exists():
        return False
    most = settings.ENV.notice_mails_per_hour
    lately = Notice.objects.filter(user=user, mailed_at__gt=timezone.now() - _HOUR)
    return not most or lately.count() < most


def _letter(notice: Notice) -> EmailMessage:
    words, kind = notice_words(notice), Kind(notice.kind)
    stop = settings.PUBLIC_URL + unsubscribe_path(notice.user, kind)
    context: dict[str, object] = {
        "user": notice.user,
        "words": words,
        "link": settings.PUBLIC_URL + notice_link(notice),
        "kind": kind.label,
        "stop": stop,
        "settings_link": f"{settings.PUBLIC_URL}/settings/notifications",
    }
    letter = mailing.compose(words, "catalog/mail/notice.txt", context, notice.user.email)
    letter.extra_headers = unsubscribe_headers(stop)
    return letter
