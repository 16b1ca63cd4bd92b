"""What a buyer holds: licenses, the files they bind to, and where they are used."""

from datetime import datetime
from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.models import Namespace
from catalog.models import Grant, ModelRepo
from licensing.models.offers import SeatKind
from licensing.models.orders import OrderLine
from licensing.models.terms import Terms
from store.core.ids import new_public_id


class License(models.Model):
    """The right to use certain models, with a key. Exactly one for each order line.

    Whether it is in force is its grant's affair; beside it a license may be suspended.
    """

    public_id = models.CharField(max_length=24, default=new_public_id, unique=True)
    line = models.OneToOneField(OrderLine, models.PROTECT, related_name="license")
    grant = models.OneToOneField(Grant, models.PROTECT, related_name="license")
    seller = models.ForeignKey(Namespace, models.PROTECT, related_name="licenses_sold")
    holder = models.ForeignKey(Namespace, models.PROTECT, related_name="licenses")
    licensee = models.CharField(max_length=200)
    """Name on the license, as given at checkout."""
    title = models.CharField(max_length=120)
    key_digest = models.CharField(max_length=64, unique=True)
    """SHA-256 of the key; the key itself is derived again for its holder."""
    key_rotation = models.PositiveIntegerField(default=0)
    """How often the key was made anew."""
    terms = models.ForeignKey(Terms, models.PROTECT, related_name="+")
    rights = models.JSONField()
    seats = models.PositiveIntegerField()
    """0: any number."""
    seat_kind = models.CharField(max_length=8, choices=SeatKind.choices)
    suspended_at = models.DateTimeField(null=True, blank=True)
    suspended_for = models.CharField(max_length=300, blank=True)
    is_test = models.BooleanField()
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        indexes = [
            models.Index(fields=["holder", "-id"], name="license_of_holder"),
            models.Index(fields=["seller", "-id"], name="license_of_seller"),
        ]

    def __str__(self) -> str:
        return f"license {self.public_id}"


class LicensedFile(models.Model):
    """One file a license covers, as it was when it was bought."""

    license = models.ForeignKey(License, models.CASCADE, related_name="files")
    repo = models.ForeignKey(ModelRepo, models.PROTECT, related_name="+")
    path = models.CharField(max_length=1024)
    sha256 = models.CharField(max_length=64)
    size_bytes = models.BigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["license", "repo", "path"], name="licensed_file_once")
        ]
        indexes = [models.Index(fields=["sha256"], name="licensed_file_by_hash")]

    def __str__(self) -> str:
        return self.path


class ActivationQuerySet(models.QuerySet["Activation"]):
    """Questions about seats; chainable, read-only."""

    def live(self, now: datetime | None = None) -> Self:
        """Keep those that use a seat at this moment."""
        return self.filter(Q(ended_at=None) | Q(ended_at__gt=now or timezone.now()))


class Activation(models.Model):
    """A machine or a person that uses one seat."""

    public_id = models.CharField(max_length=24, default=new_public_id, unique=True)
    license = models.ForeignKey(License, models.CASCADE, related_name="activations")
    fingerprint = models.CharField(max_length=128)
    """What the machine calls itself, or ``user:`` and the person's public id."""
    label = models.CharField(max_length=120, blank=True)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, null=True, blank=True, related_name="seats"
    )
    created_at = models.DateTimeField(default=timezone.now)
    seen_at = models.DateTimeField(default=timezone.now)
    held_until = models.DateTimeField(null=True, blank=True)
    """Until then an offline file of this seat is believed: nobody else can have the seat."""
    ended_at = models.DateTimeField(null=True, blank=True)
    """When the seat is free again; may lie ahead, where an offline file is out."""

    objects = ActivationQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["license", "fingerprint"],
                condition=Q(ended_at=None),
                name="activation_once",
            )
        ]

    def __str__(self) -> str:
        return f"{self.label or self.fingerprint} on {self.license_id}"
