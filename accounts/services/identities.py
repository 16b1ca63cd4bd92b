"""Who a CI job is: its ID token, checked against the keys of an issuer this site trusts.

OpenID Connect Core 1.0 §3.1.3.7 and RFC 8725: the issuer is one of ``STORE_OIDC_ISSUERS``, its keys
come from its own host, RS256 alone is believed, and the one audience is this store's address.
"""

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, cast
from urllib.parse import urlsplit

import httpx2
import jwt
from django.conf import settings
from django.core.cache import cache
from django.utils import timezone

from accounts.services.oauth import OAuthError
from store.core.errors import TransientError
from store.core.valkey import needed

logger = logging.getLogger(__name__)

Kind = Literal["github", "gitlab"]
LEEWAY_S = 30
"""So far may the issuer's clock be from ours."""
KEYS_LIFE_S = 600
_AGAIN_S = 60
"""A key nobody knows makes us ask the issuer anew, at most so often."""
_MAX_TOKEN_CHARS = 16_384
_MAX_KEYS_BYTES = 256 * 1024
_TIMEOUT_S = 5.0
_LEAST_KEY_BITS = 2048
_MAX_LIFE = timedelta(days=1)
"""No issuer's tokens live longer; GitLab's live as long as the job, an hour unless it says more."""


class IssuerAwayError(TransientError):
    """The keys that would prove an identity could not be fetched."""

    code = "issuer_away"


@dataclass(frozen=True, slots=True)
class Issuer:
    """Who signs ID tokens of CI jobs."""

    kind: Kind
    """Which claims its tokens have."""
    url: str
    """The ``iss`` claim, letter by letter."""

    @property
    def label(self) -> str:
        """Its name, and its host where it is not the one everybody means."""
        name = {"github": "GitHub Actions", "gitlab": "GitLab CI/CD"}[self.kind]
        return name if self in _USUAL else f"{name} ({urlsplit(self.url).hostname})"


_USUAL = (
    Issuer("github", "https://token.actions.githubusercontent.com"),
    Issuer("gitlab", "https://gitlab.com"),
)


@dataclass(frozen=True, slots=True)
class Identity:
    """A job that proved who it is."""

    issuer: Issuer
    claims: Mapping[str, Any]
    digest: str
    """What is remembered of the token, so that it is good once; 64 hex digits."""
    expires_at: datetime
    """Past it the token would be refused anyway."""

    def text(self, name: str) -> str:
        """Return a claim, empty where it is missing or no text."""
        value = self.claims.get(name)
        return value if isinstance(value, str) else ""

    @property
    def project(self) -> str:
        """The project it runs for."""
        return self.text("repository" if self.issuer.kind == "github" else "project_path")

    @property
    def project_ids(self) -> str:
        """The issuer's ids of the project's owner and of the project."""
        if self.issuer.kind == "github":
            return f"{self.text('repository_owner_id')}/{self.text('repository_id')}"
        return f"{self.text('namespace_id')}/{self.text('project_id')}"

    @property
    def branch(self) -> str:
        """The branch it runs on; empty for tags and pull requests."""
        ref, kind = self.text("ref"), self.text("ref_type")
        if kind != "branch":
            return ""
        return ref.removeprefix("refs/heads/") if self.issuer.kind == "github" else ref

    @property
    def workflow(self) -> str:
        """File name of the GitHub workflow whose lines run; empty for one of another project."""
        path, _at, ref = self.text("job_workflow_ref").partition("@")
        folder = f"{self.project}/.github/workflows/"
        is_here = path.startswith(folder) and ref in {self.text("ref"), self.text("sha")}
        return path.removeprefix(folder) if is_here else ""


def issuers() -> list[Issuer]:
    """Return the issuers this site trusts, in the order of the setting."""
    pairs = (each.partition("=") for each in settings.ENV.oidc_issuers if each != "none")
    return [Issuer(cast("Kind", kind), url) for kind, _is, url in pairs]


def audience() -> str:
    """Return what a token's one ``aud`` must be: the store's address as its settings say.

    Not as the request says: whoever holds a token for another service could name that as the host.
    """
    return str(settings.PUBLIC_URL)


def verified(text: str) -> Identity:
    """Return whose job sent the ID token ``text``, a signed JWT.

    Raises:
        OAuthError: ``invalid_request``; it proves nothing to us, with the reason.
        IssuerAwayError: the issuer's keys could not be fetched.
        ValkeyAwayError: keys cannot be kept, so nobody may make us fetch them.
    """
    if len(text) > _MAX_TOKEN_CHARS:
        raise _refused("The ID token is too long.")
    try:
        told = jwt.decode_complete(text, options={"verify_signature": False})
    except jwt.PyJWTError as error:
        raise _refused("subject_token is no ID token (a signed JWT).") from error
    issuer = next((each for each in issuers() if each.url == told["payload"].get("iss")), None)
    if issuer is None:
        raise _refused("This store does not trust the issuer of this ID token.")
    header = told["header"]
    if header.get("alg") != "RS256" or not isinstance(header.get("kid"), str):
        raise _refused("The ID token must be signed with RS256 and name its key.")
    return _checked(text, issuer, _key(issuer, header["kid"]))


def _checked(text: str, issuer: Issuer, key: jwt.PyJWK) -> Identity:
    try:
        claims = jwt.decode(
            text,
            key=key,
            algorithms=["RS256"],
            issuer=issuer.url,
            audience=audience(),
            leeway=LEEWAY_S,
            options={"require": ["iss", "aud", "exp", "iat", "sub"], "strict_aud": True},
        )
    except jwt.ExpiredSignatureError as error:
        raise _refused("The ID token has expired. Let the job ask for a new one.") from error
    except jwt.InvalidAudienceError as error:
        message = f"The ID token is not for this store: its one audience must be {audience()}."
        raise _refused(message) from error
    except jwt.PyJWTError as error:
        raise _refused("The ID token is not valid: its signature or its claims.") from error
    past = timezone.now() + _MAX_LIFE
    if claims["exp"] > past.timestamp():
        raise _refused("The ID token lives longer than a day.")
    once = claims["jti"] if isinstance(claims.get("jti"), str) and claims["jti"] else text
    digest = hashlib.sha256(f"{issuer.url} {once}".encode()).hexdigest()
    return Identity(issuer, claims, digest, past + timedelta(seconds=LEEWAY_S))


def _key(issuer: Issuer, kid: str) -> jwt.PyJWK:
    """Return the issuer's key of this name; one nobody knows may be new, so the issuer is asked."""
    with needed():
        kept = cache.get(_kept_at(issuer))
        key = _find(kept, kid)
        if key is None and (kept is None or cache.add(f"{_kept_at(issuer)}:asked", 1, _AGAIN_S)):
            kept = _fetched(issuer)
            cache.set(_kept_at(issuer), kept, KEYS_LIFE_S)
            key = _find(kept, kid)
    if key is None:
        raise _refused("The ID token is signed with a key its issuer does not have.")
    return key


def _kept_at(issuer: Issuer) -> str:
    return f"oidc-keys:{hashlib.sha256(issuer.url.encode()).hexdigest()[:32]}"


def _find(keys: list[dict[str, Any]] | None, kid: str) -> jwt.PyJWK | None:
    for each in keys or ():
        if each.get("kid") == kid and each.get("kty") == "RSA" and each.get("use") in {"sig", None}:
            try:
                found = jwt.PyJWK(each, algorithm="RS256")
            except jwt.PyJWTError:
                continue
            if found.key.key_size >= _LEAST_KEY_BITS:
                return found
    return None


def _fetched(issuer: Issuer) -> list[dict[str, Any]]:
    """Ask the issuer for its keys.

    Raises:
        IssuerAwayError: it does not answer, or not with what it should.
    """
    try:
        with httpx2.Client(timeout=_TIMEOUT_S, headers={"User-Agent": "gpt-store"}) as client:
            keys = _json(client, _keys_address(client, issuer)).get("keys")
    except (httpx2.HTTPError, httpx2.InvalidURL, ValueError) as error:
        logger.warning("keys of %s: %s", issuer.url, error)
        host = urlsplit(issuer.url).hostname
        raise IssuerAwayError(
            f"The keys of {host} could not be fetched. Try again in a minute."
        ) from error
    return [each for each in keys if isinstance(each, dict)] if isinstance(keys, list) else []


def _keys_address(client: httpx2.Client, issuer: Issuer) -> str:
    """Return where the issuer says its keys are (OpenID Connect Discovery 1.0 §4)."""
    told = _json(client, f"{issuer.url}/.well-known/openid-configuration")
    address = str(told.get("jwks_uri"))
    if told.get("issuer") != issuer.url or not _is_of(issuer, address):
        raise ValueError("it tells of keys that are not its own")
    return address


def _is_of(issuer: Issuer, address: str) -> bool:
    """Whether an address is on the issuer's own host: an issuer sends us nowhere else."""
    return urlsplit(address)[:2] == urlsplit(issuer.url)[:2]


def _json(client: httpx2.Client, address: str) -> dict[str, Any]:
    """Return a JSON object. Raises ``HTTPError`` or ``ValueError``."""
    with client.stream("GET", address) as answer:
        if answer.status_code != 200:
            raise ValueError(f"{address} answers {answer.status_code}")
        body = b""
        for piece in answer.iter_bytes(64 * 1024):
            body += piece
            if len(body) > _MAX_KEYS_BYTES:
                raise ValueError(f"{address} does not end")
    told = json.loads(body)
    return told if isinstance(told, dict) else {}


def _refused(message: str) -> OAuthError:
    return OAuthError("invalid_request", message)  # RFC 8693 §2.2.2
