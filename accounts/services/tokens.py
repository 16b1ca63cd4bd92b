"""Access tokens: made once, shown once, checked by digest."""

import hashlib
import secrets
import string
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import (
    AccessToken,
    Permission,
    Scope,
    TokenGrant,
    TrustedPublisher,
    User,
)
from accounts.services.audit import record
from accounts.viewer import VISITOR, Viewer
from store.core.errors import BadCredentialsError, InvalidError, NotFoundError
from store.core.money import Money, check_amount, check_currency

PREFIX = "hf_"
"""What every hub client and secret scanner knows a token by."""
_ALPHABET = string.ascii_letters + string.digits
_RANDOM_CHARS = 30  # 178 bits of chance
_CHECK_CHARS = 4
_LAST_USED_STEP = timedelta(minutes=1)
MAX_GRANTS = 100
"""Places one fine-grained token lists."""


@dataclass(frozen=True, slots=True)
class NewReach:
    """What a fine-grained token is to reach; see ``catalog.services.token_reach``."""

    namespaces: Mapping[int, frozenset[Permission]] = field(default_factory=dict)
    """By id of a name space."""
    repos: Mapping[str, frozenset[Permission]] = field(default_factory=dict)
    """By public id of a repository."""
    everywhere: frozenset[Permission] = frozenset()
    """At most ``DISCUSS``."""
    has_gated: bool = False

    @property
    def is_empty(self) -> bool:
        """Nothing at all: such a token would be of no use."""
        return not (self.namespaces or self.repos or self.everywhere or self.has_gated)


def _check(body: str) -> str:
    """Return 4 characters that expose a mistyped token without a look into the database."""
    number, out = zlib.crc32(body.encode()), ""
    for _place in range(_CHECK_CHARS):
        number, index = divmod(number, len(_ALPHABET))
        out += _ALPHABET[index]
    return out


def digest_of(text: str) -> str:
    """Return what is kept of a secret."""
    return hashlib.sha256(text.encode()).hexdigest()


@transaction.atomic
def create_token(
    user: User,
    *,
    name: str,
    scopes: list[Scope],
    reach: NewReach | None = None,
    expires_at: datetime | None = None,
    spend_limit: Money | None = None,
    publisher: TrustedPublisher | None = None,
    by: Viewer = VISITOR,
) -> tuple[AccessToken, str]:
    """Make a token.

    Args:
        user: Whose it is.
        name: What the person will recognize it by, 1 to 96 characters.
        scopes: At least one; none for a fine-grained token.
        reach: Makes it fine-grained.
        expires_at: When it stops working; ``None``: when it is revoked.
        spend_limit: The most it may order in a calendar month; ``None``: without limit.
        publisher: The CI job it is for; whoever makes it writes that down.
        by: Who makes it: what asks for two factors opens to it if it opened to them.

    Returns:
        The row, and the text, which exists nowhere else.

    Raises:
        InvalidError: no name, scope or reach, an expiry in the past, a limit that is no amount.
    """
    if reach is None and not scopes:
        raise InvalidError(_("Choose at least one scope."))
    _check_expiry(expires_at)
    text = new_secret()
    token = AccessToken.objects.create(
        user=user,
        name=_checked_name(name),
        digest=digest_of(text),
        tail=text[-4:],
        scopes=[] if reach else sorted({Scope(scope).value for scope in scopes}),
        is_fine_grained=reach is not None,
        expires_at=expires_at,
        publisher=publisher,
        by_second_factor=by.passed_two_factor,
        **_limit(spend_limit),
    )
    if reach is not None:
        _set_reach(token, reach)
    if publisher is None:
        _note_new(token, by.address)
    return token, text


def _note_new(token: AccessToken, address: str) -> None:
    record(
        "token.create",
        actor=token.user,
        subject=token.name,
        namespace=token.user.namespace,
        address=address,
        scopes=token.scopes,
    )


def _limit(spend_limit: Money | None) -> dict[str, Any]:
    """Return a limit as the row keeps it."""
    if spend_limit is None:
        return {}
    amount_minor = check_amount(spend_limit).amount_minor
    currency = check_currency(spend_limit.currency)
    return {"spend_limit_minor": amount_minor, "spend_currency": currency}


def _check_expiry(expires_at: datetime | None) -> None:
    if expires_at is not None and expires_at <= timezone.now():
        raise InvalidError(_("The expiry lies in the past."))


@transaction.atomic
def change_reach(
    user: User, token_id: int, *, name: str, reach: NewReach, address: str = ""
) -> AccessToken:
    """Change the name of a fine-grained token and what it reaches; its secret stays.

    Raises:
        NotFoundError: the person has no such token in use.
        InvalidError: no name, or nothing to reach.
    """
    token = _in_use(user, token_id).filter(is_fine_grained=True).select_for_update().first()
    if token is None:
        raise NotFoundError(_("You have no such token."))
    token.name = _checked_name(name)
    token.save(update_fields=["name"])
    _set_reach(token, reach)
    record(
        "token.change",
        actor=user,
        subject=token.name,
        namespace=user.namespace,
        address=address,
    )
    return token


@transaction.atomic
def rotate_token(user: User, token_id: int, *, by: Viewer = VISITOR) -> tuple[AccessToken, str]:
    """Give a token another secret; the old one is dead at once. Rights and expiry stay.

    Args:
        user: Whose it is.
        token_id: Which one.
        by: Who does: as if they made it, since the secret is in their hands.

    Returns:
        The row, and the new text, which exists nowhere else.

    Raises:
        NotFoundError: the person has no such token in use.
    """
    token = _in_use(user, token_id).select_for_update().first()
    if token is None or not token.is_usable:
        raise NotFoundError(_("You have no such token."))
    text = new_secret()
    token.digest, token.tail, token.last_used_at = digest_of(text), text[-4:], None
    token.by_second_factor = by.passed_two_factor
    token.save(update_fields=["digest", "tail", "last_used_at", "by_second_factor"])
    record(
        "token.rotate",
        actor=user,
        subject=token.name,
        namespace=user.namespace,
        address=by.address,
    )
    return token, text


def own_tokens(user: User) -> QuerySet[AccessToken]:
    """Return the tokens a person made and not revoked; not those of browser logins and CI jobs."""
    return AccessToken.objects.filter(user=user, revoked_at=None, session=None, publisher=None)


def _in_use(user: User, token_id: int) -> QuerySet[AccessToken]:
    return own_tokens(user).filter(pk=token_id)


def _checked_name(name: str) -> str:
    name = name.strip()
    if not 1 <= len(name) <= 96:
        raise InvalidError(_("Give the token a name of 1 to 96 characters."))
    return name


def _set_reach(token: AccessToken, reach: NewReach) -> None:
    if reach.is_empty:
        raise InvalidError(_("Choose at least one thing the token may do."))
    if len(reach.namespaces) + len(reach.repos) > MAX_GRANTS:
        raise InvalidError(_("A token lists at most %(most)d places.") % {"most": MAX_GRANTS})
    if not reach.everywhere <= {Permission.DISCUSS}:
        raise InvalidError(_("Only taking part in discussions can be allowed everywhere."))
    token.global_permissions = sorted(reach.everywhere)
    token.reaches_gated = reach.has_gated
    token.save(update_fields=["global_permissions", "reaches_gated"])
    token.grants.all().delete()
    rows = [
        TokenGrant(token=token, namespace_id=pk, permissions=_with_reading(held))
        for pk, held in reach.namespaces.items()
    ]
    rows += [
        TokenGrant(token=token, repo_id=public_id, permissions=_with_reading(held))
        for public_id, held in reach.repos.items()
    ]
    TokenGrant.objects.bulk_create(rows)


def _with_reading(held: frozenset[Permission]) -> list[str]:
    return sorted(held | {Permission.READ})


def new_secret() -> str:
    """Return the text of a new token."""
    body = "".join(secrets.choice(_ALPHABET) for _place in range(_RANDOM_CHARS))
    return PREFIX + body + _check(body)


def authenticate(text: str, *, address: str = "") -> Viewer:
    """Return the viewer a token stands for.

    Raises:
        BadCredentialsError: unknown, mistyped, revoked or expired; the answer does not say which.
    """
    refusal = BadCredentialsError()
    body = text.removeprefix(PREFIX)
    if not text.startswith(PREFIX) or len(body) != _RANDOM_CHARS + _CHECK_CHARS:
        raise refusal
    if _check(body[:_RANDOM_CHARS]) != body[_RANDOM_CHARS:]:
        raise refusal
    rows = AccessToken.objects.select_related("user", "session")
    token = rows.filter(digest=digest_of(text)).first()
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
