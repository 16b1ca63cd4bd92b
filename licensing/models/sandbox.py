"""The pretended bank of the sandbox gateway: the outside world, as far as the store knows."""

from django.db import models
from django.db.models import Q
from django.utils import timezone

from store.core.ids import new_public_id


class SandboxCharge(models.Model):
    """A payment at the pretended bank. Only ``licensing.gateways.sandbox`` touches it."""

    class State(models.TextChoices):
        """Where it stands."""

        OPEN = "open"
        CHALLENGED = "challenged"
        """The pretended bank asks its customer to confirm (3-D Secure)."""
        PAID = "paid"
        DECLINED = "declined"

    public_id = models.CharField(max_length=24, default=new_public_id, unique=True)
    order_ref = models.CharField(max_length=64, db_index=True)
    is_transfer = models.BooleanField(default=False)
    """Money that came without being asked for: in parts, twice, or too much."""
    amount_minor = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    state = models.CharField(max_length=10, choices=State.choices, default=State.OPEN)
    card = models.CharField(max_length=24, blank=True)
    """Name of the test card that was used."""
    dispute = models.CharField(max_length=4, blank=True)
    """``open``, ``won`` or ``lost``; empty: none."""
    disputed_minor = models.BigIntegerField(default=0)
    refunds = models.JSONField(default=list)
    """``[key, amount]`` of each, oldest first; ``hand:`` begins the keys of those nobody asked for.
    Not an object: PostgreSQL sorts the keys of one, and would tell the refunds in random order."""
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(amount_minor__gte=1), name="sandbox_charge_is_sane"),
            models.UniqueConstraint(
                fields=["order_ref"],
                condition=Q(is_transfer=False),
                name="sandbox_charge_once_per_order",
            ),
        ]

    def __str__(self) -> str:
        return f"sandbox charge {self.public_id} ({self.state})"
