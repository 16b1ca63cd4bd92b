"""Tables of browser login (OAuth 2): programs, their wishes, and the sessions that came of them.

Of every secret only the SHA-256 is kept. A module that knows no other, so that ``accounts.models``
can show it.
"""

from typing import Any

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models

from store.core.ids import new_public_id


class OAuthClient(models.Model):
    """A program of somebody's that people can sign in to with their account here.

    It is public (RFC 6749 §2.1): a page or an app that could keep no secret, so it has none.
    """

    client_id = models.CharField(max_length=64, default=new_public_id, unique=True)
    name = models.CharField(max_length=60)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="oauth_clients"
    )
    redirect_uris: "ArrayField[Any, Any]" = ArrayField(models.CharField(max_length=500))
    """Addresses a code may be sent to, compared letter by letter."""
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.name


class OAuthSession(models.Model):
    """A person let a program in. Its tokens end with it."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="oauth_sessions"
    )
    client_id = models.CharField(max_length=64)
    client_name = models.CharField(max_length=60)
    name = models.CharField(max_length=96)
    """Of its tokens: what a program stores them under."""
    access = models.CharField(max_length=8)
    """``identity``, ``read`` or ``write``; see ``accounts.services.oauth``."""
    shows_email = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [models.Index(fields=["user", "-created_at"], name="oauth_session_of_user")]

    def __str__(self) -> str:
        return self.name


class OAuthRefresh(models.Model):
    """A secret that renews a session's token; good for one renewal."""

    session = models.ForeignKey(OAuthSession, models.CASCADE, related_name="refreshes")
    digest = models.CharField(max_length=64, unique=True)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"renews {self.session_id}"


class DeviceRequest(models.Model):
    """A program without a browser asks to be let in (RFC 8628)."""

    class State(models.TextChoices):
        """Where it stands."""

        WAITING = "waiting"
        ALLOWED = "allowed"
        DENIED = "denied"
        REDEEMED = "redeemed"

    digest = models.CharField(max_length=64, unique=True)
    """Of the device code, which the program alone has."""
    user_code = models.CharField(max_length=9, unique=True)
    """What the person types, as in ``BCDF-GHJK``; worth nothing without signing in."""
    client_id = models.CharField(max_length=64)
    state = models.CharField(max_length=8, choices=State.choices, default=State.WAITING)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, null=True, related_name="+")
    access = models.CharField(max_length=8, blank=True)
    address = models.CharField(max_length=45, blank=True)
    """The program's network, truncated, for the person to compare."""
    agent = models.CharField(max_length=200, blank=True)
    """What the program calls itself."""
    interval_s = models.PositiveSmallIntegerField()
    """It may ask so often, in seconds."""
    polled_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return self.user_code


class AuthorizationCode(models.Model):
    """The way of a browser program from the page of consent to its token (RFC 6749 §4.1)."""

    digest = models.CharField(max_length=64, unique=True)
    client_id = models.CharField(max_length=64)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    redirect_uri = models.CharField(max_length=500)
    challenge = models.CharField(max_length=128)
    """PKCE (RFC 7636), S256."""
    access = models.CharField(max_length=8)
    shows_email = models.BooleanField(default=False)
    scope = models.CharField(max_length=300)
    """As granted, in the words of the request."""
    session = models.ForeignKey(OAuthSession, models.SET_NULL, null=True, related_name="+")
    """Not empty: it is used up; shown again it ends this session."""
    expires_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return f"code for {self.client_id}"
