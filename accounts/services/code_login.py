"""Signing in to a page of somebody else's (RFC 6749 §4.1 with PKCE, RFC 7636)."""

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlencode, urlsplit

from django.db import transaction
from django.utils import timezone

from accounts.models import AuthorizationCode, OAuthSession, User
from accounts.services import oauth
from accounts.services.oauth import Access, Client, Issued, OAuthError, client_for, secret_digest

LIFE = timedelta(minutes=2)
MAX_STATE_CHARS = 2000
_WRITING = frozenset({"write-repos", "manage-repos", "contribute-repos"})
_READING = frozenset({"read-repos", "gated-repos"})
KNOWN = ("openid", "profile", "email", *sorted(_READING), *sorted(_WRITING))
"""Scopes that mean something here; the hub's others are left out of what is granted."""
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")


class RedirectRefusedError(OAuthError):
    """Client or address are wrong: the person is told here, and sent nowhere."""

    code = "oauth_redirect"


@dataclass(frozen=True, slots=True)
class Wish:
    """What a page asks for, checked."""

    client: Client
    redirect_uri: str
    state: str
    challenge: str
    scopes: tuple[str, ...]

    @property
    def access(self) -> Access:
        """What the scopes amount to."""
        if _WRITING & set(self.scopes):
            return Access.WRITE
        return Access.READ if _READING & set(self.scopes) else Access.IDENTITY

    @property
    def shows_email(self) -> bool:
        """The page learns the person's address."""
        return "email" in self.scopes

    @property
    def host(self) -> str:
        """Where the person is sent back to, to be shown."""
        return urlsplit(self.redirect_uri).netloc

    @property
    def origin(self) -> str:
        """Scheme and host of that place."""
        parts = urlsplit(self.redirect_uri)
        return f"{parts.scheme}://{parts.netloc}"

    def back(self, **values: str) -> str:
        """Return the address that takes an answer to the page."""
        given = values | ({"state": self.state} if self.state else {})
        mark = "&" if urlsplit(self.redirect_uri).query else "?"
        return f"{self.redirect_uri}{mark}{urlencode(given)}"


def read_wish(given: Mapping[str, str]) -> Wish:
    """Check what a page asks for.

    Raises:
        RedirectRefusedError: no such program, or an address that is not its own.
        OAuthError: anything else; the page may be told at its ``redirect_uri``.
    """
    try:
        client = client_for(given.get("client_id", ""))
    except OAuthError as error:
        raise RedirectRefusedError(error.error, error.message) from error
    redirect_uri = given.get("redirect_uri", "")
    if redirect_uri not in client.redirect_uris:
        raise RedirectRefusedError(
            "invalid_request", "The program asks to send you to an address that is not its own."
        )
    asked = given.get("scope", "").split()
    scopes = tuple(dict.fromkeys(scope for scope in asked if scope in KNOWN))
    challenge = given.get("code_challenge", "")
    wish = Wish(client, redirect_uri, given.get("state", "")[:MAX_STATE_CHARS], challenge, scopes)
    if given.get("response_type") != "code":
        raise OAuthError("unsupported_response_type", "response_type must be 'code'.")
    if given.get("code_challenge_method") != "S256" or not _CHALLENGE.fullmatch(challenge):
        raise OAuthError("invalid_request", "PKCE is needed: code_challenge with method S256.")
    return wish


def allow(user: User, wish: Wish) -> str:
    """Return a code for what the person allowed; good once, and for two minutes."""
    code = secrets.token_urlsafe(32)
    AuthorizationCode.objects.create(
        digest=secret_digest(code),
        client_id=wish.client.client_id,
        user=user,
        redirect_uri=wish.redirect_uri,
        challenge=wish.challenge,
        access=wish.access.value,
        shows_email=wish.shows_email,
        scope=" ".join(wish.scopes),
        expires_at=timezone.now() + LIFE,
    )
    return code


def redeem(given: Mapping[str, str]) -> tuple[Issued, str]:
    """Return the tokens a code stands for, and the scopes that were granted.

    Raises:
        OAuthError: ``invalid_grant``; the code is unknown, used, expired, of another program or
            address, or the verifier is another. A code shown twice ends the session it began.
    """
    answer = _redeem(given)
    if answer is None:
        raise OAuthError("invalid_grant", "This code is not valid. Start the login again.")
    return answer


@transaction.atomic
def _redeem(given: Mapping[str, str]) -> tuple[Issued, str] | None:
    """Redeem, or return ``None``; that a stolen code ends its session is kept."""
    rows = AuthorizationCode.objects.select_for_update()
    code = rows.filter(digest=secret_digest(given.get("code", ""))).first()
    if code is None or not _fits(code, given):
        return None
    if code.session_id is not None:
        session = OAuthSession.objects.get(pk=code.session_id)
        oauth.end(session)
        return None
    user = User.objects.filter(pk=code.user_id, is_active=True).first()
    if user is None or code.expires_at <= timezone.now():
        return None
    session = oauth.begin_session(
        user,
        client_for(code.client_id),
        access=Access(code.access),
        shows_email=code.shows_email,
    )
    code.session = session
    code.save(update_fields=["session"])
    return oauth.issue(session, life=oauth.PAGE_ACCESS_LIFE), code.scope


def _fits(code: AuthorizationCode, given: Mapping[str, str]) -> bool:
    verifier = given.get("code_verifier", "")
    if not _VERIFIER.fullmatch(verifier):
        return False
    hashed = hashlib.sha256(verifier.encode()).digest()
    proof = base64.urlsafe_b64encode(hashed).decode().rstrip("=")
    return (
        # JavaScript's hub client leaves it out: the verifier tells who began the login
        given.get("client_id", code.client_id) == code.client_id
        and given.get("redirect_uri") == code.redirect_uri
        and hmac.compare_digest(proof, code.challenge)
    )
