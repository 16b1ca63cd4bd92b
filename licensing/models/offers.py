"""What is for sale, at which price, and what lowers it."""

from datetime import datetime
from typing import Self

from django.db import models
from django.db.models import Exists, F, OuterRef, Q
from django.db.models.functions import Upper
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import Namespace
from catalog.models import Grant, ModelRepo
from licensing.models.terms import Terms
from store.core.ids import new_public_id
from store.core.money import MAX_MINOR


class SeatKind(models.TextChoices):
    """What a license counts."""

    PEOPLE = "people", _("People")
    MACHINES = "machines", _("Machines")


class OfferQuerySet(models.QuerySet["Offer"]):
    """Questions about offers; chainable, read-only."""

    def on_sale(self) -> Self:
        """Keep those on their seller's shelf; ``sellability`` knows which can be bought now."""
        return self.filter(is_active=True)

    def in_public(self) -> Self:
        """Keep those without a private model: nobody may buy one, or learn its name from it."""
        private = OfferedRepo.objects.filter(offer=OuterRef("pk"), repo__is_private=True)
        return self.exclude(Exists(private))

    def of_repo(self, repo: ModelRepo) -> Self:
        """Keep those that include ``repo``."""
        return self.filter(repos=repo)


class Offer(models.Model):
    """One way to get a license for one model, or for several together (a bundle).

    A change of an offer never reaches what was ordered before: orders copy what they need.
    """

    class Kind(models.TextChoices):
        """How it is paid."""

        FREE = "free", _("Free")
        FIXED = "fixed", _("One price")
        PAY_WHAT_YOU_WANT = "pwyw", _("Pay what you want")
        SUBSCRIPTION = "subscription", _("Subscription")

    class Interval(models.TextChoices):
        """How often a subscription is paid."""

        MONTH = "month", _("month")
        YEAR = "year", _("year")

    public_id = models.CharField(max_length=24, default=new_public_id, unique=True)
    namespace = models.ForeignKey(Namespace, models.PROTECT, related_name="offers")
    """The seller."""
    title = models.CharField(max_length=120)
    description = models.CharField(max_length=500, blank=True)
    kind = models.CharField(max_length=12, choices=Kind.choices)
    interval = models.CharField(max_length=8, choices=Interval.choices, blank=True)
    terms = models.ForeignKey(Terms, models.PROTECT, related_name="+")
    rights = models.JSONField()
    """``licensing.terms.rights.Rights`` as JSON."""
    seats = models.PositiveIntegerField(default=1)
    """In one unit of the offer; 0: any number."""
    seat_kind = models.CharField(max_length=8, choices=SeatKind.choices, default=SeatKind.MACHINES)
    term_days = models.PositiveIntegerField(null=True, blank=True)
    """Life of the license in days; ``None``: for good. A subscription lives as it is paid."""
    updates = models.CharField(
        max_length=8, choices=Grant.Updates.choices, default=Grant.Updates.ALL
    )
    trial_tokens = models.PositiveIntegerField(default=0)
    """Tokens each person may generate with the models before they buy."""
    is_tax_included = models.BooleanField(default=False)
    """Whether the prices have the tax in them."""
    is_active = models.BooleanField(default=True)
    position = models.PositiveSmallIntegerField(default=0)
    version = models.PositiveIntegerField(default=1)
    """Rises with each change of what a buyer sees, so that an old quote is known for one."""
    lineage_confirmed_at = models.DateTimeField(null=True, blank=True)
    """When the seller confirmed that unknown base licenses allow the sale."""
    agreed_asks = models.JSONField(default=dict)
    """What owners upstream asked when the seller last saved it, in basis points by the ancestor's
    name in small letters; 0 for those that asked nothing or were not here."""
    agreed_at = models.DateTimeField(default=timezone.now)
    """When that was."""
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    repos = models.ManyToManyField(ModelRepo, through="OfferedRepo", related_name="offers")

    objects = OfferQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(kind="subscription") ^ Q(interval=""), name="offer_interval_fits"
            ),
            models.CheckConstraint(
                condition=~Q(kind="subscription") | Q(term_days=None), name="offer_term_fits"
            ),
        ]
        indexes = [models.Index(fields=["namespace", "position", "id"], name="offer_of_seller")]

    def __str__(self) -> str:
        return self.title


class OfferedRepo(models.Model):
    """A model an offer includes."""

    offer = models.ForeignKey(Offer, models.CASCADE, related_name="offered")
    repo = models.ForeignKey(ModelRepo, models.CASCADE, related_name="offered")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["offer", "repo"], name="offered_repo_once")]

    def __str__(self) -> str:
        return f"{self.repo_id} in {self.offer_id}"


class Price(models.Model):
    """What an offer costs in one currency."""

    offer = models.ForeignKey(Offer, models.CASCADE, related_name="prices")
    currency = models.CharField(max_length=3)
    amount_minor = models.BigIntegerField()
    """For one unit; with pay-what-you-want the least that is taken, 0 for anything."""
    suggested_minor = models.BigIntegerField(null=True, blank=True)
    """Pay-what-you-want: what the page proposes."""
    launch_minor = models.BigIntegerField(null=True, blank=True)
    """The price between ``launch_from`` and ``launch_until``."""
    launch_from = models.DateTimeField(null=True, blank=True)
    launch_until = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["offer", "currency"], name="price_once_per_currency"),
            models.CheckConstraint(
                condition=Q(amount_minor__gte=0, amount_minor__lte=MAX_MINOR),
                name="price_is_sane",
            ),
            models.CheckConstraint(
                condition=Q(launch_minor=None)
                | Q(launch_minor__gte=0, launch_minor__lt=F("amount_minor"))
                & Q(launch_until__isnull=False),
                name="launch_price_is_lower_and_ends",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.amount_minor} {self.currency}"

    def at(self, moment: datetime | None = None) -> int:
        """Return the price of one unit at a moment, in minor units."""
        moment = moment or timezone.now()
        if self.launch_minor is None or self.launch_until is None:
            return self.amount_minor
        has_begun = self.launch_from is None or self.launch_from <= moment
        return self.launch_minor if has_begun and moment < self.launch_until else self.amount_minor


MAX_COUPON_PERIODS = 120
"""Ten years of months."""


class Coupon(models.Model):
    """A word that lowers the price of one seller's offers."""

    public_id = models.CharField(max_length=24, default=new_public_id, unique=True)
    namespace = models.ForeignKey(Namespace, models.PROTECT, related_name="coupons")
    code = models.CharField(max_length=40)
    basis_points = models.PositiveIntegerField(null=True, blank=True)
    """Hundredths of a percent taken off; or:"""
    amount_minor = models.BigIntegerField(null=True, blank=True)
    """What is taken off the order's lines it fits, in ``currency``."""
    currency = models.CharField(max_length=3, blank=True)
    periods = models.PositiveSmallIntegerField(null=True, blank=True)
    """How many periods of a subscription it lowers, from the first on; ``None``: all of them."""
    starts_at = models.DateTimeField(null=True, blank=True)
    ends_at = models.DateTimeField(null=True, blank=True)
    most_uses = models.PositiveIntegerField(null=True, blank=True)
    """Orders in all; ``None``: any number."""
    most_uses_each = models.PositiveIntegerField(null=True, blank=True)
    """Orders of one buyer."""
    offers = models.ManyToManyField(Offer, related_name="coupons", blank=True)
    """Empty: all of the seller's."""
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint("namespace", Upper("code"), name="coupon_once_per_seller"),
            models.CheckConstraint(
                condition=Q(basis_points__gte=1, basis_points__lte=10_000, amount_minor=None)
                | Q(basis_points=None, amount_minor__gte=1, amount_minor__lte=MAX_MINOR),
                name="coupon_takes_off_one_thing",
            ),
            models.CheckConstraint(
                condition=Q(periods=None) | Q(periods__gte=1, periods__lte=MAX_COUPON_PERIODS),
                name="coupon_periods_are_sane",
            ),
            models.CheckConstraint(
                condition=Q(periods=None) | Q(basis_points=None) | Q(basis_points__lt=10_000),
                name="coupon_never_begins_for_nothing",
            ),
        ]

    def __str__(self) -> str:
        return self.code


class RevenueAsk(models.Model):
    """The part of each sale an owner asks of models that are made from theirs."""

    repo = models.OneToOneField(ModelRepo, models.CASCADE, related_name="revenue_ask")
    basis_points = models.PositiveIntegerField()
    """Hundredths of a percent of the price without tax and the store's fee."""
    changed_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(basis_points__gte=1, basis_points__lte=5_000),
                name="ask_is_at_most_half",
            )
        ]

    def __str__(self) -> str:
        return f"{self.basis_points} bp for {self.repo_id}"


class FeeRule(models.Model):
    """What the store keeps of each sale: the newest rule that has begun, a seller's own first.

    Only ever added: a newer rule replaces an older one.
    """

    namespace = models.ForeignKey(
        Namespace, models.PROTECT, null=True, blank=True, related_name="+"
    )
    """Whose sales; ``None``: everybody's."""
    basis_points = models.PositiveIntegerField()
    starts_at = models.DateTimeField(default=timezone.now)
    note = models.CharField(max_length=200, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(basis_points__lte=10_000), name="fee_is_at_most_all")
        ]

    def __str__(self) -> str:
        return f"{self.basis_points} bp since {self.starts_at:%Y-%m-%d}"
