"""Browser login: who the programs are, what a person grants them, and the tokens of a session.

Ours rather than a library's (ADR 18): a session's tokens are access tokens like all others, hashed,
``hf_`` and checked in one place.
"""

import hashlib
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from urllib.parse import urlsplit

from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import (
    AccessToken,
    AuthorizationCode,
    DeviceRequest,
    OAuthClient,
    OAuthRefresh,
    OAuthSession,
    Scope,
    User,
)
from accounts.services.audit import record
from accounts.services.tokens import digest_of, new_secret
from store.core.errors import InvalidError, NotFoundError, StoreError

HF_CLIENT_ID = "26be6b09-91c5-47da-9861-d2d2bb7a7e36"
"""How ``huggingface_hub`` and ``hf`` call themselves (their constant; contract 3.4)."""
ACCESS_LIFE = timedelta(days=30)
"""Of a token for a device; clients renew it by themselves."""
PAGE_ACCESS_LIFE = timedelta(hours=8)
"""Of a token for a page in a browser, where scripts of others may run."""
REFRESH_LIFE = timedelta(days=90)
"""A session nobody renewed for so long is over."""
REUSE_GRACE = timedelta(seconds=60)
"""Programs renew from several processes at once, and answers get lost; past it, it is theft."""
MAX_CLIENTS = 20
MAX_REDIRECTS = 10
_MAX_URI_CHARS = 500
_LOCAL = frozenset({"localhost", "127.0.0.1", "[::1]"})


class OAuthError(StoreError):
    """A refusal in the words of the protocol (RFC 6749 §5.2, RFC 8628 §3.5).

    Args:
        error: The protocol's code.
        message: For the developer of the program.
    """

    code = "oauth"

    def __init__(self, error: str, message: str) -> None:
        super().__init__(message)
        self.error = error


class Access(StrEnum):
    """What a session may do."""

    IDENTITY = "identity"
    """Know who the person is, and what visitors know."""
    READ = "read"
    WRITE = "write"


@dataclass(frozen=True, slots=True)
class Client:
    """A program, as people are asked about it."""

    client_id: str
    name: str
    owner: str = ""
    """User name of who registered it; empty: the store knows it by itself."""
    redirect_uris: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Issued:
    """The secrets of a session, which exist nowhere else."""

    session: OAuthSession
    access_token: str
    refresh_token: str
    expires_in_s: int


def client_for(client_id: str) -> Client:
    """Return the program of this id.

    Raises:
        OAuthError: ``invalid_client``; there is none.
    """
    if client_id == HF_CLIENT_ID:
        return Client(HF_CLIENT_ID, "hf")
    row = OAuthClient.objects.select_related("owner").filter(client_id=client_id[:64]).first()
    if row is None or not row.owner.is_active:
        raise OAuthError("invalid_client", "There is no program of this client_id here.")
    return Client(row.client_id, row.name, row.owner.username, tuple(row.redirect_uris))


@transaction.atomic
def register_client(
    user: User, *, name: str, redirect_uris: Iterable[str], address: str = ""
) -> OAuthClient:
    """Make a program people can sign in to.

    Raises:
        InvalidError: no name, no usable address, or too many.
    """
    name, uris = name.strip(), list(dict.fromkeys(uri.strip() for uri in redirect_uris))
    uris = [uri for uri in uris if uri]
    if not 1 <= len(name) <= 60:
        raise InvalidError(_("Give the program a name of 1 to 60 characters."))
    if not 1 <= len(uris) <= MAX_REDIRECTS:
        raise InvalidError(
            _("Give 1 to %(most)d addresses people are sent back to.") % {"most": MAX_REDIRECTS}
        )
    for uri in uris:
        _check_redirect(uri)
    User.objects.select_for_update().get(pk=user.pk)  # so that the count holds
    if user.oauth_clients.count() >= MAX_CLIENTS:
        raise InvalidError(_("You have %(most)d programs already.") % {"most": MAX_CLIENTS})
    client = OAuthClient.objects.create(owner=user, name=name, redirect_uris=uris)
    record(
        "oauth_client.create",
        actor=user,
        subject=name,
        namespace=user.namespace,
        address=address,
    )
    return client


@transaction.atomic
def delete_client(user: User, client_id: str, *, address: str = "") -> None:
    """Delete a program of ``user``; every session at it ends.

    Raises:
        NotFoundError: they have none of this id.
    """
    client = OAuthClient.objects.filter(owner=user, client_id=client_id).first()
    if client is None:
        raise NotFoundError(_("You have no such program."))
    for session in OAuthSession.objects.filter(client_id=client_id, ended_at=None):
        end(session)
    client.delete()
    record(
        "oauth_client.delete",
        actor=user,
        subject=client.name,
        namespace=user.namespace,
        address=address,
    )


def begin_session(
    user: User, client: Client, *, access: Access, shows_email: bool, address: str = ""
) -> OAuthSession:
    """Let a program in, as the person said. Call it in the transaction that spends the consent."""
    name = f"{client.name} {timezone.now():%Y-%m-%d} {secrets.token_hex(2)}"
    session = OAuthSession.objects.create(
        user=user,
        client_id=client.client_id,
        client_name=client.name,
        name=name,
        access=access.value,
        shows_email=shows_email,
    )
    record(
        "oauth_session.start",
        actor=user,
        subject=name,
        namespace=user.namespace,
        address=address,
        access=access.value,
    )
    return session


def issue(session: OAuthSession, *, life: timedelta) -> Issued:
    """Make the next pair of secrets of a session."""
    now, text, refresh = timezone.now(), new_secret(), secrets.token_urlsafe(32)
    AccessToken.objects.create(
        user=session.user,
        name=session.name,
        digest=digest_of(text),
        tail=text[-4:],
        scopes=[] if session.access == Access.IDENTITY else [Scope(session.access).value],
        is_fine_grained=session.access == Access.IDENTITY,
        session=session,
        expires_at=now + life,
    )
    OAuthRefresh.objects.create(
        session=session, digest=secret_digest(refresh), expires_at=now + REFRESH_LIFE
    )
    return Issued(session, text, refresh, int(life.total_seconds()))


def renew(refresh_token: str, client_id: str) -> Issued:
    """Exchange a refresh token for the next pair.

    Raises:
        OAuthError: ``invalid_grant``; it is unknown, of another program, expired, or its session
            is over. Shown again long after its use it was stolen, and its session ends.
    """
    issued = _renew(refresh_token, client_id)
    if issued is None:
        raise OAuthError("invalid_grant", "This refresh token is not valid any more. Sign in.")
    return issued


@transaction.atomic
def _renew(refresh_token: str, client_id: str) -> Issued | None:
    """Renew, or return ``None``; what a refusal changes is kept, so it must not raise."""
    now = timezone.now()
    rows = OAuthRefresh.objects.select_for_update()
    found = rows.filter(digest=secret_digest(refresh_token), expires_at__gt=now).first()
    if found is None:
        return None
    session = OAuthSession.objects.select_related("user").get(pk=found.session_id)
    if session.client_id != client_id or session.ended_at or not session.user.is_active:
        return None
    if found.used_at is not None and found.used_at < now - REUSE_GRACE:
        end(session)
        return None
    if found.used_at is None:
        found.used_at = now
        found.save(update_fields=["used_at"])
    return issue(session, life=life_of(session.client_id))


def life_of(client_id: str) -> timedelta:
    """Return how long a token of this program lives."""
    return ACCESS_LIFE if client_id == HF_CLIENT_ID else PAGE_ACCESS_LIFE


@transaction.atomic
def end_session(user: User, session_id: int, *, address: str = "") -> None:
    """Sign a program out: its tokens are dead at once. Repeating is harmless.

    Raises:
        NotFoundError: the person has no such session.
    """
    session = OAuthSession.objects.filter(user=user, pk=session_id).first()
    if session is None:
        raise NotFoundError(_("You have no such session."))
    if session.ended_at is None:
        end(session)
        record(
            "oauth_session.end",
            actor=user,
            subject=session.name,
            namespace=user.namespace,
            address=address,
        )


def end(session: OAuthSession) -> None:
    """End a session and its tokens at once."""
    now = timezone.now()
    OAuthSession.objects.filter(pk=session.pk, ended_at=None).update(ended_at=now)
    AccessToken.objects.filter(session=session, revoked_at=None).update(revoked_at=now)


def prune() -> int:
    """Delete codes, wishes and secrets that ended a week ago; run by the beat. Returns how many."""
    past = timezone.now() - timedelta(days=7)
    rows = [
        DeviceRequest.objects.filter(expires_at__lt=past),
        AuthorizationCode.objects.filter(expires_at__lt=past),
        OAuthRefresh.objects.filter(Q(expires_at__lt=past) | Q(session__ended_at__lt=past)),
        AccessToken.objects.filter(session__isnull=False, expires_at__lt=past),
    ]
    return sum(each.delete()[0] for each in rows)


def secret_digest(text: str) -> str:
    """Return what is kept of a code or a refresh token."""
    return hashlib.sha256(text.encode()).hexdigest()


def _check_redirect(uri: str) -> None:
    """Refuse addresses a code must not be sent to (RFC 9700 §4.1).

    Raises:
        InvalidError: it is no address of the web, not encrypted, or has a fragment.
    """
    wrong = InvalidError(
        _("%(uri)s cannot be used: give whole https addresses, or http ones of this computer.")
        % {"uri": uri[:80]}
    )
    if len(uri) > _MAX_URI_CHARS or not uri.isascii() or not uri.isprintable() or " " in uri:
        raise wrong
    try:
        parts = urlsplit(uri)
        host = parts.netloc.rpartition("@")[2].rpartition(":")[0] or parts.netloc
        _port = parts.port
    except ValueError:
        raise wrong from None
    is_safe = parts.scheme == "https" or (parts.scheme == "http" and host in _LOCAL)
    if not is_safe or not parts.hostname or "@" in parts.netloc or parts.fragment or "#" in uri:
        raise wrong
