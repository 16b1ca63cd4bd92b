"""What gateways told us: payments, refunds, disputes, and the inbox they came through."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from licensing.models.orders import Order, OrderLine
from store.core.ids import new_public_id


class Payment(models.Model):
    """Money that came for an order, once each, by the gateway's own id."""

    order = models.ForeignKey(Order, models.PROTECT, related_name="payments")
    gateway = models.CharField(max_length=12)
    external_id = models.CharField(max_length=128)
    amount_minor = models.BigIntegerField()
    refunded_minor = models.BigIntegerField(default=0)
    at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["gateway", "external_id"], name="payment_once"),
            models.CheckConstraint(
                condition=Q(amount_minor__gte=1, refunded_minor__gte=0)
                & Q(refunded_minor__lte=models.F("amount_minor")),
                name="payment_is_sane",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.gateway} {self.external_id}: {self.amount_minor}"


class PaymentEvent(models.Model):
    """The inbox: one verified message of a gateway, kept before anything is done with it."""

    class Outcome(models.TextChoices):
        """What came of it."""

        WAITING = "waiting", _("Not yet applied")
        APPLIED = "applied", _("Applied")
        NOTHING_NEW = "nothing_new", _("Nothing new")
        PARKED = "parked", _("Does not fit; staff must look")

    gateway = models.CharField(max_length=12)
    external_id = models.CharField(max_length=128)
    kind = models.CharField(max_length=32)
    """``licensing.gateways.base.FactKind``."""
    order_ref = models.CharField(max_length=64, db_index=True)
    """Public id of the order it speaks of; may be of none of ours."""
    fact = models.JSONField()
    """``licensing.gateways.base.Fact`` as JSON."""
    received_at = models.DateTimeField(default=timezone.now)
    outcome = models.CharField(max_length=12, choices=Outcome.choices, default=Outcome.WAITING)
    applied_at = models.DateTimeField(null=True, blank=True)
    note = models.CharField(max_length=300, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["gateway", "external_id"], name="payment_event_once")
        ]
        indexes = [models.Index(fields=["outcome", "received_at"], name="payment_event_waiting")]

    def __str__(self) -> str:
        return f"{self.gateway} {self.kind} {self.external_id}: {self.outcome}"


class Refund(models.Model):
    """Money that goes back, asked for by a person or told by a gateway."""

    class State(models.TextChoices):
        """Where it stands."""

        ASKED = "asked", _("Asked for")
        """The buyer asked; seller or staff must answer."""
        DECLINED = "declined", _("Declined")
        SENDING = "sending", _("On its way")
        """Decided; access has ended; the gateway is told."""
        DONE = "done", _("Refunded")
        FAILED = "failed", _("Failed")
        COVERED = "covered", _("Taken back by the bank")
        """The money went back another way: by a lost dispute, or by hand at the gateway."""

    OPEN = (State.ASKED, State.SENDING)
    OWED = (State.SENDING, State.FAILED)
    """The money is the buyer's again and has not left yet."""

    public_id = models.CharField(max_length=24, default=new_public_id, unique=True)
    order = models.ForeignKey(Order, models.PROTECT, related_name="refunds")
    line = models.ForeignKey(
        OrderLine, models.PROTECT, null=True, blank=True, related_name="refunds"
    )
    """One line; ``None``: all that is left of the order, or an amount without a line."""
    payment = models.ForeignKey(
        Payment, models.PROTECT, null=True, blank=True, related_name="refunds"
    )
    """Where it is sent back from; known as soon as it is decided."""
    state = models.CharField(max_length=8, choices=State.choices)
    amount_minor = models.BigIntegerField()
    external_id = models.CharField(max_length=128, blank=True)
    is_surplus = models.BooleanField(default=False)
    """Money that was never for anything: paid twice, or too much."""
    reason = models.CharField(max_length=500, blank=True)
    answer = models.CharField(max_length=500, blank=True)
    asked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+"
    )
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(default=timezone.now)
    decided_at = models.DateTimeField(null=True, blank=True)
    done_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["order", "external_id"],
                condition=~Q(external_id=""),
                name="refund_once",
            ),
            models.CheckConstraint(condition=Q(amount_minor__gte=0), name="refund_is_sane"),
        ]
        indexes = [models.Index(fields=["state", "created_at"], name="refund_by_state")]

    def __str__(self) -> str:
        return f"refund {self.public_id} of {self.order_id} ({self.state})"


class Dispute(models.Model):
    """The buyer's bank takes a payment back, or asks to."""

    class State(models.TextChoices):
        """How it stands."""

        OPEN = "open", _("Open")
        WON = "won", _("Won")
        LOST = "lost", _("Lost")

    order = models.ForeignKey(Order, models.PROTECT, related_name="disputes")
    gateway = models.CharField(max_length=12)
    external_id = models.CharField(max_length=128)
    amount_minor = models.BigIntegerField()
    state = models.CharField(max_length=4, choices=State.choices, default=State.OPEN)
    opened_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["gateway", "external_id"], name="dispute_once")
        ]

    def __str__(self) -> str:
        return f"dispute {self.external_id} ({self.state})"
