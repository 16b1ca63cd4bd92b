"""Changing a password, by the old one or by a mailed link."""

from django.db import transaction
from django.utils.translation import gettext as _

from accounts.models import User
from accounts.services import limits, mailing
from accounts.services.audit import record
from accounts.services.people import check_password, find_person
from store.core.errors import ForbiddenError


class WrongPasswordError(ForbiddenError):
    """The present password is needed, and it is another."""

    code = "wrong_password"


def confirm_password(user: User, password: str) -> None:
    """Make sure that it is really ``user`` who sits at an open session.

    Raises:
        RateLimitedError: too many wrong ones.
        WrongPasswordError: it is another.
    """
    limits.count_password_check(user.pk)
    if len(password) > 256 or not user.check_password(password):
        raise WrongPasswordError(_("The password is wrong."))
    limits.forgive_password_check(user.pk)


@transaction.atomic
def change_password(user: User, *, old: str, new: str, address: str = "") -> None:
    """Set another password; every session but the one that is renewed afterwards ends.

    Raises:
        RateLimitedError: too many wrong old ones.
        WrongPasswordError: the old one is wrong.
        WeakPasswordError: the new one is too easy to guess.
    """
    confirm_password(user, old)
    _set(user, new, action="user.password", address=address)


@transaction.atomic
def reset_password(user: User, *, new: str, address: str = "") -> None:
    """Set the password of somebody who followed their link; all their sessions end.

    Raises:
        WeakPasswordError: it is too easy to guess.
    """
    _set(user, new, action="user.password_reset", address=address)


def ask_reset(*, name: str, address: str, language: str) -> None:
    """Have a link for a new password mailed to whoever is called so, if anybody is.

    The same work is done in either case: a job that finds nobody does nothing.

    Raises:
        RateLimitedError: too many wishes.
    """
    person = find_person(name)
    limits.count_reset(limits.person_key(person.pk if person else None, name), address)
    mailing.ask(mailing.Letter.RESET, person.pk if person else 0, language=language)


def _set(user: User, new: str, *, action: str, address: str) -> None:
    check_password(new, user)
    user.set_password(new)
    user.save(update_fields=["password"])
    event = record(
        action, actor=user, subject=user.username, namespace=user.namespace, address=address
    )
    mailing.ask(mailing.Letter.NOTICE, event.pk)
