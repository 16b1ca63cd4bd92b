"""Signing in a program that has no browser (RFC 8628): it shows a code, its owner types it here."""

import re
import secrets
from dataclasses import dataclass
from datetime import timedelta

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import DeviceRequest, User
from accounts.services import limits, oauth
from accounts.services.audit import network_of
from accounts.services.oauth import Access, Issued, OAuthError, client_for, secret_digest
from store.core.errors import ConflictError, NotFoundError, TransientError

LIFE = timedelta(minutes=15)
INTERVAL_S = 5
_SLOWER_S = 5
_TOLERANCE_S = 1
"""Clocks and networks jitter: so much sooner than the interval is still in time."""
_LETTERS = "BCDFGHJKLMNPQRSTVWXZ"
"""No vowels, so that no code is a word; 20^8 codes (RFC 8628 §6.1)."""
_CODE = re.compile(f"[{_LETTERS}]{{8}}")
_TRIES = 5

State = DeviceRequest.State


class CodeNotFoundError(NotFoundError):
    """Nobody waits behind this code, or not any more."""

    code = "code_not_found"


class CodeUsedError(ConflictError):
    """The code was answered already."""

    code = "code_used"


@dataclass(frozen=True, slots=True)
class Started:
    """What a program needs to go on; the device code exists nowhere else."""

    request: DeviceRequest
    device_code: str


def start(client_id: str, *, address: str = "", agent: str = "") -> Started:
    """Begin a login of a program.

    Raises:
        OAuthError: there is no such program.
        RateLimitedError: too many from this address.
    """
    client = client_for(client_id)
    limits.count_device_login(address)
    device_code = secrets.token_urlsafe(32)
    for _try in range(_TRIES):
        letters = "".join(secrets.choice(_LETTERS) for _place in range(8))
        try:
            with transaction.atomic():
                request = DeviceRequest.objects.create(
                    digest=secret_digest(device_code),
                    user_code=f"{letters[:4]}-{letters[4:]}",
                    client_id=client.client_id,
                    address=network_of(address),
                    agent="".join(char for char in agent if char.isprintable())[:200],
                    interval_s=INTERVAL_S,
                    expires_at=timezone.now() + LIFE,
                )
        except IntegrityError:  # somebody waits with this very code
            continue
        return Started(request, device_code)
    raise TransientError("No code could be made. Try again.")


def find(user: User, typed: str) -> DeviceRequest:
    """Return the login that waits behind a code, however it is typed.

    Raises:
        RateLimitedError: too many codes.
        CodeNotFoundError: nobody waits behind it.
    """
    limits.count_user_code(user.pk)
    letters = re.sub(r"[^A-Z]", "", typed[:40].upper())
    rows = DeviceRequest.objects.filter(expires_at__gt=timezone.now(), state=State.WAITING)
    found = None
    if _CODE.fullmatch(letters):
        found = rows.filter(user_code=f"{letters[:4]}-{letters[4:]}").first()
    if found is None:
        raise CodeNotFoundError(
            _("No program waits with this code. Codes are good for 15 minutes; start again.")
        )
    return found


def decide(user: User, request: DeviceRequest, access: Access | None) -> None:
    """Let the program in with ``access``, or (``None``) do not. The first answer counts.

    Raises:
        CodeUsedError: it was answered, or has expired. Nothing is changed.
    """
    waiting = DeviceRequest.objects.filter(
        pk=request.pk, state=State.WAITING, expires_at__gt=timezone.now()
    )
    state = State.DENIED if access is None else State.ALLOWED
    if not waiting.update(state=state, user=user, access=access.value if access else ""):
        raise CodeUsedError(_("This code was answered already, or has expired. Start again."))


def redeem(device_code: str, client_id: str) -> Issued:
    """Return the program's token once the person said yes; good once.

    Raises:
        OAuthError: ``authorization_pending``, ``slow_down``, ``expired_token``,
            ``access_denied``, or ``invalid_grant`` for a code that is unknown or used up.
    """
    answer = _redeem(device_code, client_id)
    if isinstance(answer, OAuthError):
        raise answer
    return answer


@transaction.atomic
def _redeem(device_code: str, client_id: str) -> Issued | OAuthError:
    """Redeem, or return the refusal: the time of asking is kept in either case."""
    now = timezone.now()
    rows = DeviceRequest.objects.select_for_update()
    request = rows.filter(digest=secret_digest(device_code), client_id=client_id).first()
    if request is None or request.state == State.REDEEMED:
        return OAuthError("invalid_grant", "This device code is unknown or used up.")
    if request.state == State.DENIED:
        return OAuthError("access_denied", "The person said no.")
    if request.expires_at <= now:
        return OAuthError("expired_token", "The code has expired. Start again.")
    if request.state == State.WAITING:
        return _not_yet(request)
    user = request.user
    if user is None or not user.is_active:
        return OAuthError("access_denied", "The account is gone.")
    request.state = State.REDEEMED
    request.save(update_fields=["state"])
    session = oauth.begin_session(
        user,
        client_for(client_id),
        access=Access(request.access),
        shows_email=True,
        address=request.address,
    )
    return oauth.issue(session, life=oauth.ACCESS_LIFE)


def _not_yet(request: DeviceRequest) -> OAuthError:
    """Note that the program asked; one that asks too often must go slower from now on."""
    now, last = timezone.now(), request.polled_at
    in_time = timedelta(seconds=request.interval_s - _TOLERANCE_S)
    is_early = last is not None and now - last < in_time
    request.polled_at = now
    if is_early:
        request.interval_s = min(request.interval_s + _SLOWER_S, 300)
    request.save(update_fields=["polled_at", "interval_s"])
    if is_early:
        return OAuthError("slow_down", f"Ask every {request.interval_s} seconds.")
    return OAuthError("authorization_pending", "The person has not answered yet.")
