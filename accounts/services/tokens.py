"""Access tokens: made once, shown once, checked by digest."""

import hashlib
import secrets
import string
import zlib
from datetime import datetime, timedelta

from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import AccessToken, Scope, User
from accounts.services.audit import record
from accounts.viewer import Viewer
from store.core.errors import BadCredentialsError, InvalidError, NotFoundError

PREFIX = "hf_"
"""What every hub client and secret scanner knows a token by."""
_ALPHABET = string.ascii_letters + string.digits
_RANDOM_CHARS = 30  # 178 bits of chance
_CHECK_CHARS = 4
_LAST_USED_STEP = timedelta(minutes=1)


def _check(body: str) -> str:
    """Return 4 characters that expose a mistyped token without a look into the database."""
    number, out = zlib.crc32(body.encode()), ""
    for _place in range(_CHECK_CHARS):
        number, index = divmod(number, len(_ALPHABET))
        out += _ALPHABET[index]
    return out


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def create_token(
    user: User,
    *,
    name: str,
    scopes: list[Scope],
    expires_at: datetime | None = None,
    address: str = "",
) -> tuple[AccessToken, str]:
    """Make a token.

    Args:
        user: Whose it is.
        name: What the person will recognize it by, 1 to 96 characters.
        scopes: At least one.
        expires_at: When it stops working; ``None``: when it is revoked.
        address: The caller's IP address, for the audit trail.

    Returns:
        The row, and the text, which exists nowhere else.

    Raises:
        InvalidError: no name, no scope, or an expiry in the past.
    """
    name = name.strip()
    if not 1 <= len(name) <= 96:
        raise InvalidError(_("Give the token a name of 1 to 96 characters."))
    if not scopes:
        raise InvalidError(_("Choose at least one scope."))
    if expires_at is not None and expires_at <= timezone.now():
        raise InvalidError(_("The expiry lies in the past."))
    body = "".join(secrets.choice(_ALPHABET) for _place in range(_RANDOM_CHARS))
    text = PREFIX + body + _check(body)
    token = AccessToken.objects.create(
        user=user,
        name=name,
        digest=_digest(text),
        tail=text[-4:],
        scopes=sorted({Scope(scope).value for scope in scopes}),
        expires_at=expires_at,
    )
    record(
        "token.create",
        actor=user,
        subject=name,
        namespace=user.namespace,
        address=address,
        scopes=token.scopes,
    )
    return token, text


def authenticate(text: str, *, address: str = "") -> Viewer:
    """Return the viewer a token stands for.

    Raises:
        BadCredentialsError: unknown, mistyped, revoked or expired; the answer does not say which.
    """
    refusal = BadCredentialsError("Invalid credentials in Authorization header")
    body = text.removeprefix(PREFIX)
    if not text.startswith(PREFIX) or len(body) != _RANDOM_CHARS + _CHECK_CHARS:
        raise refusal
    if _check(body[:_RANDOM_CHARS]) != body[_RANDOM_CHARS:]:
        raise refusal
    token = AccessToken.objects.select_related("user").filter(digest=_digest(text)).first()
    if token is None or not token.is_usable or not token.user.is_active:
        raise refusal
    _touch(token)
    return Viewer(user=token.user, token=token, address=address)


def revoke_token(
    user: User, token_id: int, *, actor: User | None = None, address: str = ""
) -> None:
    """End a token of ``user`` at once. Repeating is harmless.

    Args:
        user: Whose token it is.
        token_id: Which one.
        actor: Who ends it, if not ``user``.
        address: The actor's IP address.

    Raises:
        NotFoundError: the person has no such token.
    """
    token = AccessToken.objects.filter(user=user, pk=token_id).first()
    if token is None:
        raise NotFoundError(_("You have no such token."))
    if AccessToken.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=timezone.now()):
        record(
            "token.revoke",
            actor=actor or user,
            subject=token.name,
            namespace=user.namespace,
            address=address,
        )


def _touch(token: AccessToken) -> None:
    """Note the use, at most once a minute, in one statement."""
    now = timezone.now()
    stale = Q(last_used_at=None) | Q(last_used_at__lt=now - _LAST_USED_STEP)
    if token.last_used_at is None or token.last_used_at < now - _LAST_USED_STEP:
        AccessToken.objects.filter(stale, pk=token.pk).update(last_used_at=now)
