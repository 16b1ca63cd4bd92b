"""Two-factor authentication: turning it on and off, authenticator codes, recovery codes.

The rows and the arithmetic are django-allauth's (``allauth.mfa``). What it leaves to a cache is
decided here under a row lock: a code opens once, whatever happens at the same time. Security keys
have a module of their own.
"""

import base64
import io
import re
from dataclasses import dataclass

import qrcode
from allauth.mfa.adapter import get_adapter
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal import auth as totp
from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from qrcode.image.svg import SvgPathFillImage

from accounts.models import User
from accounts.services import limits, mailing
from accounts.services.audit import record
from store.core.errors import ConflictError, ForbiddenError, InvalidError, NotFoundError
from store.core.sealing import SealBrokenError, seal, unseal

Type = Authenticator.Type
FACTORS = (Type.TOTP, Type.WEBAUTHN)
"""Each alone makes two factors with the password; recovery codes stand in for them."""
_AUTHENTICATOR = re.compile(r"[0-9]{6}", re.ASCII)
_RECOVERY = re.compile(r"[0-9]{12}", re.ASCII)
_BETWEEN = re.compile(r"[\s-]+")


class WrongCodeError(ForbiddenError):
    """The code or the security key is not this person's, or was used before."""

    code = "wrong_code"


class AuthenticatorExistsError(ConflictError):
    """There is an authenticator already."""

    code = "authenticator_exists"


@dataclass(frozen=True, slots=True)
class Standing:
    """What somebody has set up.

    Args:
        authenticator: The authenticator app, if there is one.
        keys: Security keys, oldest first.
        codes_left: Recovery codes that were not used yet.
    """

    authenticator: Authenticator | None
    keys: list[Authenticator]
    codes_left: int

    @property
    def is_on(self) -> bool:
        """Whether a log-in asks for a second factor."""
        return self.authenticator is not None or bool(self.keys)


@dataclass(frozen=True, slots=True)
class Enrolment:
    """An authenticator that is being set up; nothing is kept here before its first code.

    Args:
        secret: To type in, base32.
        sealed: The same, for the form to bring back; good for this person only.
        picture: The same as a QR code, a ``data:`` address.
    """

    secret: str
    sealed: str
    picture: str


def has_two_factor(user: User) -> bool:
    """Whether a log-in of ``user`` asks for a second factor. One query."""
    return bool(Authenticator.objects.filter(user=user, type__in=FACTORS).exists())


def standing_of(user: User) -> Standing:
    """Return what ``user`` has set up. One query."""
    rows = list(Authenticator.objects.filter(user=user).order_by("created_at", "pk"))
    by_type = {row.type: row for row in rows}
    codes = by_type.get(Type.RECOVERY_CODES)
    return Standing(
        authenticator=by_type.get(Type.TOTP),
        keys=[row for row in rows if row.type == Type.WEBAUTHN],
        codes_left=_left(codes.data["used_mask"]) if codes else 0,
    )


def enrolment_of(user: User, sealed: str = "") -> Enrolment:
    """Return what sets up an authenticator app, made anew or from what the form brought back.

    Raises:
        InvalidError: ``sealed`` was not made here for this person.
    """
    secret = _opened(user, sealed) if sealed else totp.generate_totp_secret()
    address = get_adapter().build_totp_url(user, secret)
    drawn = io.BytesIO()
    qrcode.make(address, image_factory=SvgPathFillImage, border=2).save(drawn)
    picture = base64.b64encode(drawn.getvalue()).decode()
    return Enrolment(
        secret=secret,
        sealed=sealed or seal(secret, purpose=_enrolment_of(user)),
        picture=f"data:image/svg+xml;base64,{picture}",
    )


@transaction.atomic
def add_authenticator(user: User, *, sealed: str, code: str, address: str = "") -> list[str]:
    """Turn an authenticator app on by its first code, which is thereby used.

    Returns:
        Recovery codes to show once, when this is the first second factor; else none.

    Raises:
        InvalidError: ``sealed`` is not of ``enrolment_of`` for this person.
        WrongCodeError: the code is not the app's.
        AuthenticatorExistsError: there is one already.
    """
    secret = _opened(user, sealed)
    step = _step_of(secret, _BETWEEN.sub("", code))
    if step is None:
        raise WrongCodeError(
            _("The code is wrong. Check that the clock of your device is right, and try again.")
        )
    lock(user)
    was_on = has_two_factor(user)
    if Authenticator.objects.filter(user=user, type=Type.TOTP).exists():
        raise AuthenticatorExistsError(
            _("You have an authenticator app already. Remove it first to set up another.")
        )
    row = totp.TOTP.activate(user, secret).instance
    row.data["last_step"] = step
    row.save(update_fields=["data"])
    return added(user, was_on=was_on, what="authenticator", address=address)


@transaction.atomic
def remove_authenticator(user: User, *, address: str = "") -> None:
    """Remove the authenticator app; without a security key this turns it all off.

    Raises:
        NotFoundError: there is none.
    """
    lock(user)
    if not Authenticator.objects.filter(user=user, type=Type.TOTP).delete()[0]:
        raise NotFoundError(_("There is no authenticator app to remove."))
    removed(user, what="authenticator", address=address)


@transaction.atomic
def disable(user: User, *, actor: User | None = None, address: str = "") -> None:
    """Turn two-factor authentication off: every factor and all recovery codes go.

    Args:
        user: Whose.
        actor: Who does it; ``None`` for a command of the site's keeper.
        address: The caller's IP address.

    Raises:
        NotFoundError: it is off.
    """
    lock(user)
    if not has_two_factor(user):
        raise NotFoundError(_("Two-factor authentication is off already."))
    Authenticator.objects.filter(user=user).delete()
    _tell(user, "two_factor.off", actor=actor, address=address)


@transaction.atomic
def renew_recovery_codes(user: User, *, address: str = "") -> list[str]:
    """Make ten recovery codes, each good once; older ones end. They are shown this once.

    Raises:
        NotFoundError: two-factor authentication is off.
    """
    lock(user)
    if not has_two_factor(user):
        raise NotFoundError(_("Set up an authenticator app or a security key first."))
    record(
        "two_factor.recovery_codes",
        actor=user,
        subject=user.username,
        namespace=user.namespace,
        address=address,
    )
    return _fresh_codes(user)


def verify(user: User, code: str, *, address: str = "", device: str = "") -> None:
    """Take a code of the authenticator app, or a recovery code; it is used up by this.

    Args:
        user: Whose.
        code: As typed; spaces and dashes do not matter.
        address: The caller's IP address.
        device: Id of the browser, if it has signed this person in before.

    Raises:
        RateLimitedError: too many attempts.
        WrongCodeError: it is wrong, too old or was used before.
    """
    limits.count_second_factor(user.pk, address, device=device)
    typed = _BETWEEN.sub("", code)
    if not (_use_authenticator(user, typed) or _use_recovery_code(user, typed, address)):
        raise WrongCodeError(
            _("The code is wrong or was used before. Wait for the next one and try again.")
        )
    limits.forgive_second_factor(user.pk, address, device=device)


def lock(user: User) -> None:
    """Hold the person's row: their factors change one at a time."""
    User.objects.select_for_update().get(pk=user.pk)


def added(user: User, *, was_on: bool, what: str, address: str) -> list[str]:
    """Note a new factor; the first one brings recovery codes and a letter."""
    if was_on:
        _note(user, "two_factor.add", what, address)
        return []
    _tell(user, "two_factor.on", actor=user, address=address)
    return _fresh_codes(user)


def removed(user: User, *, what: str, address: str) -> None:
    """Note that a factor is gone; with the last one recovery codes go, and a letter comes."""
    if has_two_factor(user):
        _note(user, "two_factor.remove", what, address)
        return
    Authenticator.objects.filter(user=user).delete()
    _tell(user, "two_factor.off", actor=user, address=address)


def _enrolment_of(user: User) -> str:
    return f"accounts.enrolment.{user.pk}"


def _opened(user: User, sealed: str) -> str:
    try:
        return unseal(sealed, purpose=_enrolment_of(user))
    except SealBrokenError as error:
        raise InvalidError(_("This form is out of date. Open the page again.")) from error


def _step_of(secret: str, typed: str) -> int | None:
    """Return the step of 30 s (of the last, this and the next one) whose code was typed."""
    if not _AUTHENTICATOR.fullmatch(typed):
        return None
    for step in totp.yield_hotp_counters_from_time():
        value = totp.format_hotp_value(totp.hotp_value(secret, step))
        if totp.compare_user_code(actual=typed, expected=value):
            return int(step)
    return None


@transaction.atomic
def _use_authenticator(user: User, typed: str) -> bool:
    """Whether ``typed`` is a code later than the last one that was used, which it is now."""
    rows = Authenticator.objects.select_for_update()
    row = rows.filter(user=user, type=Type.TOTP).first()
    if row is None:
        return False
    step = _step_of(get_adapter().decrypt(row.data["secret"]), typed)
    if step is None or step <= row.data.get("last_step", 0):
        return False
    row.data["last_step"] = step
    row.last_used_at = timezone.now()
    row.save(update_fields=["data", "last_used_at"])
    return True


@transaction.atomic
def _use_recovery_code(user: User, typed: str, address: str) -> bool:
    if not _RECOVERY.fullmatch(typed):
        return False
    rows = Authenticator.objects.select_for_update()
    row = rows.filter(user=user, type=Type.RECOVERY_CODES).first()
    if row is None or not RecoveryCodes(row).validate_code(typed):
        return False
    _note(user, "two_factor.recovery", user.username, address)
    return True


def _fresh_codes(user: User) -> list[str]:
    Authenticator.objects.filter(user=user, type=Type.RECOVERY_CODES).delete()
    codes = RecoveryCodes.activate(user).generate_codes()
    return ["-".join((code[:4], code[4:8], code[8:])) for code in codes]


def _left(used_mask: int) -> int:
    """Count the recovery codes without opening their seed: a page shows this at any rate."""
    return int(settings.MFA_RECOVERY_CODE_COUNT) - used_mask.bit_count()


def _note(user: User, action: str, subject: str, address: str) -> None:
    record(action, actor=user, subject=subject, namespace=user.namespace, address=address)


def _tell(user: User, action: str, *, actor: User | None, address: str) -> None:
    """Note that it went on or off, and write to the owner: it may not have been them."""
    event = record(
        action, actor=actor, subject=user.username, namespace=user.namespace, address=address
    )
    mailing.ask(mailing.Letter.NOTICE, event.pk)
