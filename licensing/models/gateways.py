"""What the store remembers of the gateways beside orders: their ids, bank transfers, accounts."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import Namespace
from licensing.models.orders import Order
from licensing.models.payments import Refund


class StripeObject(models.Model):
    """An object at Stripe that belongs to one of our orders; only the gateway touches it.

    Facts that carry no word of ours (a refund made by hand, a dispute) find their order by it.
    """

    class Kind(models.TextChoices):
        """What it is there."""

        SESSION = "session"
        INTENT = "intent"
        SUBSCRIPTION = "subscription"

    kind = models.CharField(max_length=12, choices=Kind.choices)
    external_id = models.CharField(max_length=128, unique=True)
    order_ref = models.CharField(max_length=64, db_index=True)
    created_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return self.external_id


class StripeCustomer(models.Model):
    """Who a person is at Stripe, so that they can pay with a card they saved there."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="stripe_customers"
    )
    gateway = models.CharField(max_length=12)
    """Test mode knows other customers than live mode."""
    external_id = models.CharField(max_length=128, unique=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "gateway"], name="stripe_customer_once")
        ]

    def __str__(self) -> str:
        return self.external_id


class SellerAccount(models.Model):
    """Where a gateway sends a seller's money."""

    class State(models.TextChoices):
        """Whether it can be paid."""

        PENDING = "pending", _("Details are missing")
        READY = "ready", _("Ready")
        RESTRICTED = "restricted", _("Restricted by the payment service")

    namespace = models.ForeignKey(Namespace, models.PROTECT, related_name="seller_accounts")
    gateway = models.CharField(max_length=12)
    external_id = models.CharField(max_length=128)
    state = models.CharField(max_length=10, choices=State.choices, default=State.PENDING)
    note = models.CharField(max_length=300, blank=True)
    """Why the gateway restricts it, in its own word."""
    told_at = models.DateTimeField(null=True, blank=True)
    """When the gateway said what ``state`` is, by its clock; older messages change nothing."""
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["namespace", "gateway"], name="seller_account_once"),
            models.UniqueConstraint(fields=["gateway", "external_id"], name="seller_account_of"),
        ]

    def __str__(self) -> str:
        return f"{self.namespace_id} at {self.gateway} ({self.state})"


class BankTransfer(models.Model):
    """Money on the store's bank account, as a person of staff or a statement of the bank says.

    One that has neither order nor refund is listed until somebody says what it was for.
    """

    bank_ref = models.CharField(max_length=100, unique=True)
    """The bank's own number of it; of statements without numbers, a digest of the line."""
    amount_minor = models.BigIntegerField()
    """Positive: came in. Negative: was sent back."""
    currency = models.CharField(max_length=3)
    booked_on = models.DateField()
    text = models.CharField(max_length=500, blank=True)
    """What the payer wrote."""
    order = models.ForeignKey(
        Order, models.PROTECT, null=True, blank=True, related_name="transfers"
    )
    refund = models.OneToOneField(
        Refund, models.PROTECT, null=True, blank=True, related_name="transfer"
    )
    noted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+"
    )
    noted_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(amount_minor__gt=0, refund=None)
                | Q(amount_minor__lt=0, refund__isnull=False, order__isnull=False),
                name="transfer_is_one_way",
            )
        ]

    def __str__(self) -> str:
        return f"{self.bank_ref}: {self.amount_minor} {self.currency}"


class TransferReminder(models.Model):
    """A letter that asks for a transfer; each is written once."""

    order = models.ForeignKey(Order, models.CASCADE, related_name="reminders")
    number = models.PositiveSmallIntegerField()
    """0: how to pay a renewal; 1 and 2: that an order still waits."""
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["order", "number"], name="reminder_once")]

    def __str__(self) -> str:
        return f"reminder {self.number} of {self.order_id}"
