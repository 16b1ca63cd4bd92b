"""People, organizations, the one name space they share, tokens and the audit trail."""

from typing import ClassVar

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, PermissionsMixin
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.oauth_models import (
    AuthorizationCode,
    DeviceRequest,
    OAuthClient,
    OAuthRefresh,
    OAuthSession,
)
from accounts.publisher_models import TrustedPublisher, UsedIdentity
from accounts.token_grants import Permission, TokenGrant
from store.core.ids import new_public_id
from store.core.money import Money


class UserManager(BaseUserManager["User"]):
    """Finds people by name; making one goes through ``accounts.services.people``."""

    def get_by_natural_key(self, username: str | None) -> "User":
        return self.get(username__iexact=username)


class User(AbstractBaseUser, PermissionsMixin):
    """A person. ``username`` is also the name of the person's namespace."""

    public_id = models.CharField(max_length=24, default=new_public_id, unique=True)
    username = models.CharField(max_length=42)
    email = models.EmailField()
    full_name = models.CharField(max_length=120, blank=True)
    bio = models.TextField(max_length=2000, blank=True)
    homepage = models.URLField(blank=True)
    is_active = models.BooleanField(default=True)
    is_staff = models.BooleanField(default=False)
    date_joined = models.DateTimeField(default=timezone.now)

    objects: ClassVar[UserManager] = UserManager()

    USERNAME_FIELD = "username"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = ["email"]

    class Meta:
        constraints = [
            models.UniqueConstraint(Lower("username"), name="user_name_once"),
            models.UniqueConstraint(Lower("email"), name="user_email_once"),
        ]

    def __str__(self) -> str:
        return self.username

    def get_absolute_url(self) -> str:
        return f"/{self.username}"

    @property
    def display_name(self) -> str:
        """The full name, or the user name when none was given."""
        return self.full_name or self.username


class Organization(models.Model):
    """A team that owns repositories together."""

    public_id = models.CharField(max_length=24, default=new_public_id, unique=True)
    name = models.CharField(max_length=42)
    full_name = models.CharField(max_length=120, blank=True)
    bio = models.TextField(max_length=2000, blank=True)
    homepage = models.URLField(blank=True)
    is_private_by_default = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)
    members = models.ManyToManyField(User, through="Membership", related_name="organizations")

    class Meta:
        constraints = [models.UniqueConstraint(Lower("name"), name="organization_name_once")]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return f"/{self.name}"

    @property
    def display_name(self) -> str:
        """The full name, or the name when none was given."""
        return self.full_name or self.name


class Role(models.TextChoices):
    """What a member may do in an organization; each includes the ones after it."""

    ADMIN = "admin", _("Admin")
    WRITE = "write", _("Write")
    READ = "read", _("Read")


class Membership(models.Model):
    """One person's place in one organization."""

    organization = models.ForeignKey(Organization, models.CASCADE, related_name="memberships")
    user = models.ForeignKey(User, models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=8, choices=Role.choices)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["organization", "user"], name="member_once")]

    def __str__(self) -> str:
        return f"{self.user} in {self.organization} ({self.role})"


class Namespace(models.Model):
    """A name that is or was taken, by a person or an organization. Rows are never deleted."""

    name = models.CharField(max_length=42)
    user = models.OneToOneField(
        User, models.SET_NULL, null=True, blank=True, related_name="namespace"
    )
    organization = models.OneToOneField(
        Organization, models.SET_NULL, null=True, blank=True, related_name="namespace"
    )
    storage_quota_bytes = models.BigIntegerField(null=True, blank=True)
    """Room for files, given by staff; ``None``: as the settings say. 0: without limit."""
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(Lower("name"), name="namespace_name_once"),
            models.CheckConstraint(
                condition=Q(user__isnull=True) | Q(organization__isnull=True),
                name="namespace_has_one_owner",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return f"/{self.name}"

    @property
    def owner(self) -> User | Organization | None:
        """Whoever holds the name; ``None`` once they are gone."""
        return self.user or self.organization


class Scope(models.TextChoices):
    """What a token may be used for; ``write`` includes ``read``, ``admin`` everything."""

    READ = "read", _("Read")
    WRITE = "write", _("Write")
    BUY = "buy", _("Buy")
    ADMIN = "admin", _("Admin")


class AccessToken(models.Model):
    """A secret for programs. Only its SHA-256 is kept; the text is shown once."""

    user = models.ForeignKey(User, models.CASCADE, related_name="tokens")
    name = models.CharField(max_length=96)
    digest = models.CharField(max_length=64, unique=True)
    tail = models.CharField(max_length=4)
    """The last characters, so that a person recognizes the token."""
    scopes = ArrayField(models.CharField(max_length=8, choices=Scope.choices))
    """Empty for a fine-grained token: its grants say what it may do, and where."""
    is_fine_grained = models.BooleanField(default=False)
    global_permissions = ArrayField(
        models.CharField(max_length=24, choices=Permission.choices), default=list, blank=True
    )
    """Fine-grained: what it may do at every repository its owner sees."""
    reaches_gated = models.BooleanField(default=False)
    """Fine-grained: reads public gated models that are open to its owner."""
    spend_limit_minor = models.BigIntegerField(null=True, blank=True)
    """The most it may order in a calendar month (UTC), in minor units of ``spend_currency``;
    ``None``: without limit."""
    spend_currency = models.CharField(max_length=3, blank=True)
    session = models.ForeignKey(
        OAuthSession, models.CASCADE, null=True, blank=True, related_name="tokens"
    )
    """The browser login it came from; it ends with it."""
    publisher = models.ForeignKey(
        TrustedPublisher, models.CASCADE, null=True, blank=True, related_name="tokens"
    )
    """The CI job that exchanged its identity for it; it ends with the trust in it."""
    by_second_factor = models.BooleanField(default=False)
    """Made in a session that had given a second factor: what asks for two opens to it."""
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [models.Index(fields=["user", "-created_at"], name="token_of_user")]

    def __str__(self) -> str:
        return f"{self.name} (…{self.tail})"

    @property
    def role(self) -> str:
        """The hub's word for what it may: ``write``, ``read`` or ``fineGrained``."""
        if self.is_fine_grained:
            return "fineGrained"
        writes = {Scope.WRITE, Scope.ADMIN} & set(self.scopes)
        return "write" if writes else "read"

    @property
    def spend_limit(self) -> Money | None:
        """The most it may order in a calendar month; ``None``: without limit."""
        if self.spend_limit_minor is None:
            return None
        return Money(self.spend_limit_minor, self.spend_currency)

    @property
    def is_usable(self) -> bool:
        """Neither revoked nor expired."""
        expired = self.expires_at is not None and self.expires_at <= timezone.now()
        return self.revoked_at is None and not expired


class AuditEvent(models.Model):
    """Something security-relevant that somebody did. Written once, never changed."""

    at = models.DateTimeField(auto_now_add=True, db_index=True)
    actor = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    actor_name = models.CharField(max_length=42, blank=True)
    namespace = models.ForeignKey(Namespace, models.PROTECT, null=True, related_name="audit_events")
    action = models.CharField(max_length=64)
    subject = models.CharField(max_length=256, blank=True)
    detail = models.JSONField(default=dict)
    address = models.CharField(max_length=45, blank=True)
    """The caller's network, truncated: /24 of IPv4, /48 of IPv6."""

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.action} {self.subject} by {self.actor_name or 'nobody'}"


__all__ = [
    "AccessToken",
    "AuditEvent",
    "AuthorizationCode",
    "DeviceRequest",
    "Membership",
    "Namespace",
    "OAuthClient",
    "OAuthRefresh",
    "OAuthSession",
    "Organization",
    "Permission",
    "Role",
    "Scope",
    "TokenGrant",
    "TrustedPublisher",
    "UsedIdentity",
    "User",
    "UserManager",
]
