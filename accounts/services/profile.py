"""What people change about themselves."""

from django.conf import settings
from django.contrib.auth.tokens import default_token_generator
from django.core.mail import send_mail
from django.db import IntegrityError, transaction
from django.template.loader import render_to_string
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_decode, urlsafe_base64_encode
from django.utils.translation import gettext as _

from accounts.models import AccessToken, Namespace, Organization, Role, User
from accounts.names import NameTakenError
from accounts.services.audit import record
from accounts.services.people import check_password
from store.core.errors import ConflictError, ForbiddenError, InvalidError


class WrongPasswordError(ForbiddenError):
    """The present password is needed and it is another."""

    code = "wrong_password"


class NotEmptyError(ConflictError):
    """Models or organizations stand in the way."""

    code = "not_empty"


@transaction.atomic
def change_profile(
    user: User, *, full_name: str, bio: str, homepage: str, email: str, password: str = ""
) -> None:
    """Change what others see, and the e-mail address, which needs the password.

    Raises:
        WrongPasswordError: the address changes and the password is wrong.
        NameTakenError: somebody has this address.
    """
    if email.lower() != user.email.lower() and not user.check_password(password):
        raise WrongPasswordError(_("Type your password to change the e-mail address."))
    user.full_name, user.bio, user.homepage, user.email = full_name, bio, homepage, email
    try:
        with transaction.atomic():
            user.save(update_fields=["full_name", "bio", "homepage", "email"])
    except IntegrityError as exc:
        raise NameTakenError(_("Somebody has this e-mail address.")) from exc
    record("user.profile", actor=user, subject=user.username)


@transaction.atomic
def change_password(user: User, *, old: str, new: str) -> None:
    """Set another password; all other sessions end by it.

    Raises:
        WrongPasswordError: the old one is wrong.
        WeakPasswordError: the new one is too easy.
    """
    if not user.check_password(old):
        raise WrongPasswordError(_("The present password is wrong."))
    check_password(new, user)
    user.set_password(new)
    user.save(update_fields=["password"])
    record("user.password", actor=user, subject=user.username)


def send_reset(name_or_email: str) -> None:
    """Mail a link for a new password, if there is such a person; never tells whether."""
    people = User.objects.filter(is_active=True)
    user = (
        people.filter(email__iexact=name_or_email).first()
        or people.filter(username__iexact=name_or_email).first()
    )
    if user is None:
        return
    uid = urlsafe_base64_encode(force_bytes(user.pk))
    link = f"{settings.PUBLIC_URL}/reset/{uid}/{default_token_generator.make_token(user)}"
    text = render_to_string("accounts/reset_mail.txt", {"user": user, "link": link})
    send_mail(_("A new password for %s") % settings.SITE_NAME, text, None, [user.email])
    record("user.reset_sent", actor=None, subject=user.username)


def user_of_reset(uid: str, token: str) -> User | None:
    """Return whose reset link this is; ``None`` when it is used, old or forged."""
    try:
        pk = int(urlsafe_base64_decode(uid))
    except (ValueError, OverflowError):
        return None
    user = User.objects.filter(pk=pk, is_active=True).first()
    return user if user and default_token_generator.check_token(user, token) else None


@transaction.atomic
def reset_password(user: User, new: str) -> None:
    """Set the password of somebody who followed their link.

    Raises:
        WeakPasswordError: it is too easy.
    """
    check_password(new, user)
    user.set_password(new)
    user.save(update_fields=["password"])
    record("user.reset", actor=user, subject=user.username)


@transaction.atomic
def delete_account(user: User, *, confirmation: str, password: str) -> None:
    """Delete a person. Their name stays taken for ever; models must be gone or moved before.

    Raises:
        InvalidError: the typed name is another.
        WrongPasswordError: the password is wrong.
        NotEmptyError: they own models, or an organization would be left without admin.
    """
    if confirmation != user.username:
        raise InvalidError(_("Type %s to delete the account.") % user.username)
    if not user.check_password(password):
        raise WrongPasswordError(_("The password is wrong."))
    if Namespace.objects.filter(user=user, repos__isnull=False).exists():
        raise NotEmptyError(_("Delete or move your models first."))
    mine = Organization.objects.filter(memberships__user=user, memberships__role=Role.ADMIN)
    for organization in mine:
        if organization.memberships.filter(role=Role.ADMIN).count() == 1:
            raise NotEmptyError(_("Make somebody else admin of %s first.") % organization.name)
    AccessToken.objects.filter(user=user).delete()
    record("user.delete", actor=None, subject=user.username)
    user.delete()
