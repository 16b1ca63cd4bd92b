"""Quotes and orders: what somebody wants to buy, frozen as it was shown."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import AccessToken, Namespace
from catalog.models import Grant, ModelRepo
from licensing.models.offers import Coupon, Offer, SeatKind
from licensing.models.terms import Terms
from store.core.ids import new_public_id


class Quote(models.Model):
    """Prices and terms as they were shown to one person, good for a while."""

    public_id = models.CharField(max_length=24, default=new_public_id, unique=True)
    buyer = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="quotes")
    wish = models.JSONField()
    """What was asked for: ``licensing.services.pricing.Wish`` as JSON."""
    digest = models.CharField(max_length=64)
    """SHA-256 of all a buyer agrees to; priced again it must come out the same."""
    priced = models.JSONField()
    """The prices as shown."""
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return f"quote {self.public_id}"


class Order(models.Model):
    """A purchase. ``licensing.services.settling`` alone changes its state and its sums.

    The state follows from facts that only grow: what was paid, what was refunded, whether a
    dispute is open. Lock the order's row before anything that belongs to it.
    """

    class State(models.TextChoices):
        """Where it stands."""

        OPEN = "open", _("Waiting for payment")
        PAID = "paid", _("Paid")
        """The money came; grants are being made."""
        FULFILLED = "fulfilled", _("Complete")
        DISPUTED = "disputed", _("Disputed")
        REFUNDED = "refunded", _("Refunded")
        CANCELLED = "cancelled", _("Cancelled")

    public_id = models.CharField(max_length=24, default=new_public_id, unique=True)
    buyer = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="orders"
    )
    holder = models.ForeignKey(Namespace, models.PROTECT, related_name="orders_held")
    """Who gets the licenses: the buyer's own name space, or an organization's."""
    token = models.ForeignKey(
        AccessToken, models.SET_NULL, null=True, blank=True, related_name="orders"
    )
    """The token it was made, or last paid, with; its spend limit counts it."""
    idempotency_key = models.CharField(max_length=128)
    request_digest = models.CharField(max_length=64)
    """SHA-256 of what was asked under the key."""
    state = models.CharField(max_length=10, choices=State.choices, default=State.OPEN)
    gateway = models.CharField(max_length=12)
    is_test = models.BooleanField()
    """No real money: the gateway is the sandbox."""
    currency = models.CharField(max_length=3)
    net_minor = models.BigIntegerField()
    tax_minor = models.BigIntegerField()
    gross_minor = models.BigIntegerField()
    paid_minor = models.BigIntegerField(default=0)
    refunded_minor = models.BigIntegerField(default=0)
    billing = models.JSONField(default=dict)
    """Name and address as given at checkout."""
    terms_accepted_at = models.DateTimeField()
    coupon = models.ForeignKey(
        Coupon, models.SET_NULL, null=True, blank=True, related_name="orders"
    )
    renews = models.ForeignKey(
        "Subscription", models.PROTECT, null=True, blank=True, related_name="renewals"
    )
    """The subscription whose next period it pays."""
    extends = models.ForeignKey(
        "licensing.License", models.PROTECT, null=True, blank=True, related_name="extensions"
    )
    """The license it adds another term to, instead of making a new one."""
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField()
    """An order that is still open then is cancelled; part payments go back."""
    paid_at = models.DateTimeField(null=True, blank=True)
    fulfilled_at = models.DateTimeField(null=True, blank=True)
    closed_at = models.DateTimeField(null=True, blank=True)
    """When it was refunded or cancelled."""

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["buyer", "idempotency_key"], name="order_once_per_key"),
            models.CheckConstraint(
                condition=Q(net_minor__gte=0, tax_minor__gte=0, paid_minor__gte=0)
                & Q(gross_minor=models.F("net_minor") + models.F("tax_minor"))
                & Q(refunded_minor__gte=0, refunded_minor__lte=models.F("paid_minor")),
                name="order_adds_up",
            ),
        ]
        indexes = [
            models.Index(fields=["buyer", "-id"], name="order_of_buyer"),
            models.Index(fields=["holder", "-id"], name="order_of_holder"),
            models.Index(fields=["state", "expires_at"], name="order_by_state"),
        ]

    def __str__(self) -> str:
        return f"order {self.public_id} ({self.state})"

    def get_absolute_url(self) -> str:
        return f"/orders/{self.public_id}"

    @property
    def due_minor(self) -> int:
        """What is still to be paid, in minor units, from 0.

        Money that went back, or is on its way back, does not count as paid.
        """
        if self.state not in {self.State.OPEN, self.State.CANCELLED}:
            return 0
        return max(0, self.gross_minor - self.paid_minor + self.refunded_minor)


class OrderLine(models.Model):
    """One offer in an order, with everything the buyer agreed to."""

    public_id = models.CharField(max_length=24, default=new_public_id, unique=True)
    order = models.ForeignKey(Order, models.CASCADE, related_name="lines")
    position = models.PositiveSmallIntegerField()
    seller = models.ForeignKey(Namespace, models.PROTECT, related_name="sales")
    offer = models.ForeignKey(Offer, models.SET_NULL, null=True, related_name="lines")
    repos = models.ManyToManyField(ModelRepo, related_name="+")
    title = models.CharField(max_length=120)
    detail = models.CharField(max_length=500, blank=True)
    """The models by name, as they were called then."""
    model_count = models.PositiveSmallIntegerField()
    """How many models it was sold with; ``repos`` loses those that are deleted."""
    kind = models.CharField(max_length=12, choices=Offer.Kind.choices)
    interval = models.CharField(max_length=8, choices=Offer.Interval.choices, blank=True)
    quantity = models.PositiveIntegerField()
    unit_minor = models.BigIntegerField()
    """As the offer shows it, with or without the tax."""
    discount_minor = models.BigIntegerField(default=0)
    net_minor = models.BigIntegerField()
    tax_minor = models.BigIntegerField()
    gross_minor = models.BigIntegerField()
    discount_periods = models.PositiveSmallIntegerField(null=True)
    """Of the line that begins a subscription: how many periods cost what this one does, before the
    discount ends; ``None``: all of them."""
    later_net_minor = models.BigIntegerField(null=True)
    later_tax_minor = models.BigIntegerField(null=True)
    """What each period costs after those, and its tax, by the rate of the day it was ordered."""
    tax = models.JSONField(default=dict)
    """Kind, country, rate and note, as assessed."""
    fee_minor = models.BigIntegerField()
    """What the store keeps of the net price."""
    terms = models.ForeignKey(Terms, models.PROTECT, related_name="+")
    rights = models.JSONField()
    seats = models.PositiveIntegerField()
    """Of all units together; 0: any number."""
    seat_kind = models.CharField(max_length=8, choices=SeatKind.choices)
    term_days = models.PositiveIntegerField(null=True)
    updates = models.CharField(max_length=8, choices=Grant.Updates.choices)
    refunded_minor = models.BigIntegerField(default=0)
    extended_at = models.DateTimeField(null=True, blank=True)
    """When it added its term to the license its order extends."""
    taken_back_at = models.DateTimeField(null=True, blank=True)
    """When what it gave was taken back: refunded whole, or lost in a dispute."""

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["order", "position"], name="order_line_once"),
            models.CheckConstraint(
                condition=Q(gross_minor=models.F("net_minor") + models.F("tax_minor"))
                & Q(refunded_minor__gte=0, refunded_minor__lte=models.F("gross_minor")),
                name="order_line_adds_up",
            ),
            models.CheckConstraint(
                condition=Q(discount_periods=None, later_net_minor=None, later_tax_minor=None)
                | Q(discount_periods__isnull=False, discount_periods__gte=1, kind="subscription")
                & Q(later_net_minor__isnull=False, later_net_minor__gte=0, gross_minor__gt=0)
                & Q(later_tax_minor__isnull=False, later_tax_minor__gte=0),
                name="order_line_discount_ends",
            ),
        ]
        indexes = [models.Index(fields=["seller", "-id"], name="sale_of_seller")]

    def __str__(self) -> str:
        return f"{self.quantity} x {self.title}"

    @property
    def later_gross_minor(self) -> int | None:
        """What each period costs once the discount has ended; ``None``: it does not end."""
        if self.later_net_minor is None or self.later_tax_minor is None:
            return None
        return self.later_net_minor + self.later_tax_minor

    def is_discounted(self, period: int) -> bool:
        """Whether a period of the subscription it begins has its discount; 1 is the first."""
        return self.discount_periods is None or period <= self.discount_periods

    def agreed_minor(self, period: int) -> int:
        """What a period was agreed to cost, tax and all."""
        later = self.later_gross_minor
        return self.gross_minor if later is None or self.is_discounted(period) else later


class LineShare(models.Model):
    """What an upstream owner gets of one line."""

    line = models.ForeignKey(OrderLine, models.CASCADE, related_name="shares")
    namespace = models.ForeignKey(Namespace, models.PROTECT, related_name="+")
    repo = models.ForeignKey(ModelRepo, models.SET_NULL, null=True, related_name="+")
    basis_points = models.PositiveIntegerField()
    amount_minor = models.BigIntegerField()
    later_minor = models.BigIntegerField(null=True)
    """What they get of each period once the line's discount has ended."""

    class Meta:
        constraints = [models.UniqueConstraint(fields=["line", "repo"], name="share_once_per_line")]

    def __str__(self) -> str:
        return f"{self.amount_minor} to {self.namespace_id}"


class Subscription(models.Model):
    """A line that is paid again and again."""

    class State(models.TextChoices):
        """Whether it goes on."""

        ACTIVE = "active", _("Active")
        ENDING = "ending", _("Ends with the paid period")
        OVERDUE = "overdue", _("Payment overdue")
        ENDED = "ended", _("Ended")

    public_id = models.CharField(max_length=24, default=new_public_id, unique=True)
    line = models.OneToOneField(OrderLine, models.PROTECT, related_name="subscription")
    state = models.CharField(max_length=8, choices=State.choices, default=State.ACTIVE)
    external_id = models.CharField(max_length=128, blank=True)
    """What the gateway calls it."""
    paid_until = models.DateTimeField(db_index=True)
    periods = models.PositiveIntegerField(default=1)
    """How many were paid."""
    attempts = models.PositiveSmallIntegerField(default=0)
    """Failed attempts at the period that is due."""
    next_try_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"subscription {self.public_id} ({self.state})"
