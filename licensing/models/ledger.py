"""The double-entry ledger. Rows are only ever added, and each movement balances.

Triggers of ``licensing.furniture`` hold both in the database itself.
"""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import Namespace
from store.core.ids import new_public_id


class LedgerAccount(models.Model):
    """Something money is counted for, in one currency."""

    class Kind(models.TextChoices):
        """What it counts. All but ``gateway`` are what the store owes or earned."""

        GATEWAY = "gateway", _("Money at a gateway")
        DEPOSITS = "deposits", _("Owed to buyers: not yet for anything, or to be sent back")
        PAYABLE = "payable", _("Owed to a seller")
        DISPUTED = "disputed", _("Held back while a payment is disputed")
        FEES = "fees", _("Fees of the store")
        PAYOUTS = "payouts", _("On its way to sellers")

    kind = models.CharField(max_length=8, choices=Kind.choices)
    gateway = models.CharField(max_length=12)
    """Test money and money of different gateways never mix."""
    namespace = models.ForeignKey(Namespace, models.PROTECT, null=True, related_name="+")
    currency = models.CharField(max_length=3)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["kind", "gateway", "namespace", "currency"],
                nulls_distinct=False,
                name="ledger_account_once",
            ),
            models.CheckConstraint(
                condition=Q(kind__in=["payable", "disputed", "payouts"], namespace__isnull=False)
                | Q(kind__in=["gateway", "fees", "deposits"], namespace__isnull=True),
                name="ledger_account_owner_fits",
            ),
        ]

    def __str__(self) -> str:
        owner = f" {self.namespace_id}" if self.namespace_id else ""
        return f"{self.kind}{owner} {self.gateway} {self.currency}"


class LedgerMovement(models.Model):
    """One thing that happened to money; its entries add up to nothing."""

    class Kind(models.TextChoices):
        """What happened."""

        PAYMENT = "payment", _("Payment received")
        SALE = "sale", _("Sale")
        REFUND = "refund", _("Refund")
        REFUND_SENT = "refund_sent", _("Refund sent")
        REFUND_RETURNED = "refund_returned", _("Refund came back")
        DISPUTE_OPENED = "dispute_opened", _("Payment disputed")
        DISPUTE_WON = "dispute_won", _("Dispute won")
        DISPUTE_LOST = "dispute_lost", _("Dispute lost")
        PAYOUT = "payout", _("Payout")
        PAYOUT_SENT = "payout_sent", _("Payout arrived")
        PAYOUT_FAILED = "payout_failed", _("Payout failed")

    key = models.CharField(max_length=160, unique=True)
    """Names what it books, so that nothing is booked twice."""
    kind = models.CharField(max_length=16, choices=Kind.choices)
    order = models.ForeignKey(
        "licensing.Order", models.PROTECT, null=True, related_name="movements"
    )
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        indexes = [models.Index(fields=["order", "id"], name="movement_of_order")]

    def __str__(self) -> str:
        return self.key


class LedgerEntry(models.Model):
    """One side of a movement."""

    class Purpose(models.TextChoices):
        """What the amount is, for statements."""

        PRICE = "price", _("Price")
        TAX = "tax", _("Tax collected for the seller")
        FEE = "fee", _("Fee of the store")
        SHARE = "share", _("Share of an upstream owner")
        MONEY = "money", _("Money")

    class Hold(models.TextChoices):
        """The rule that holds a seller's amount until ``available_at``."""

        NONE = "", _("None")
        REFUND_WINDOW = "refund_window", _("The time buyers have to ask for a refund")

    movement = models.ForeignKey(LedgerMovement, models.PROTECT, related_name="entries")
    account = models.ForeignKey(LedgerAccount, models.PROTECT, related_name="entries")
    line = models.ForeignKey(
        "licensing.OrderLine", models.PROTECT, null=True, related_name="entries"
    )
    purpose = models.CharField(max_length=8, choices=Purpose.choices)
    amount_minor = models.BigIntegerField()
    """Positive: the store has it (money at a gateway). Negative: the store owes or earned it."""
    hold = models.CharField(max_length=16, choices=Hold.choices, default=Hold.NONE, blank=True)
    available_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name_plural = "ledger entries"
        constraints = [
            models.CheckConstraint(condition=~Q(amount_minor=0), name="entry_moves_something")
        ]
        indexes = [models.Index(fields=["account", "available_at"], name="entry_of_account")]

    def __str__(self) -> str:
        return f"{self.amount_minor} on {self.account_id}"


class Payout(models.Model):
    """Money sent to one seller, with the statement that says what it is made of."""

    class State(models.TextChoices):
        """Where it stands."""

        SENDING = "sending", _("On its way")
        SENT = "sent", _("Sent")
        FAILED = "failed", _("Failed")

    public_id = models.CharField(max_length=24, default=new_public_id, unique=True)
    namespace = models.ForeignKey(Namespace, models.PROTECT, related_name="payouts")
    gateway = models.CharField(max_length=12)
    currency = models.CharField(max_length=3)
    amount_minor = models.BigIntegerField()
    until = models.DateTimeField()
    """It has everything that was available at this moment."""
    state = models.CharField(max_length=8, choices=State.choices, default=State.SENDING)
    account = models.TextField(max_length=1000, blank=True)
    """Where it goes, noted before the gateway is asked; empty: it was not asked yet. Of one that
    staff transfer it is noted at once: the lines of the seller's bank."""
    external_id = models.CharField(max_length=128, blank=True)
    """What the gateway calls it; of one sent by hand, the bank's reference."""
    failure = models.CharField(max_length=300, blank=True)
    statement = models.OneToOneField(
        "licensing.Invoice", models.PROTECT, null=True, related_name="payout"
    )
    created_at = models.DateTimeField(default=timezone.now)
    closed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(amount_minor__gte=1), name="payout_is_something")
        ]
        indexes = [models.Index(fields=["namespace", "-id"], name="payout_of_seller")]

    def __str__(self) -> str:
        return f"payout {self.public_id} ({self.state})"


class PayoutItem(models.Model):
    """An entry of a seller's payable account that a payout settles, its own booking among them.

    So the items of a payout add up to nothing, and no entry is ever paid out twice.
    """

    payout = models.ForeignKey(Payout, models.PROTECT, related_name="items")
    entry = models.OneToOneField(LedgerEntry, models.PROTECT, related_name="settled_by")

    def __str__(self) -> str:
        return f"{self.entry_id} in {self.payout_id}"


class PayoutPause(models.Model):
    """A seller who is not paid out for the time being; they read why."""

    namespace = models.OneToOneField(
        Namespace, models.PROTECT, related_name="payout_pause", primary_key=True
    )
    reason = models.CharField(max_length=300)
    paused_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+"
    )
    paused_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return f"{self.namespace_id}: {self.reason}"
