"""From looking to paying: people who saw a seller's models, checkouts they began, orders paid."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date

from django.db.models import Count, QuerySet, Sum
from django.db.models.functions import TruncDate

from accounts.models import Namespace
from catalog.models import PageViews
from licensing.models import Offer, Order
from licensing.services.sales import Period


@dataclass(frozen=True, slots=True)
class Funnel:
    """Counts by day of a period and of the time before it; days without any are missing.

    Args:
        period: Which days.
        views: People who opened the page of a model the seller has offers for.
        begun: Orders that were placed, paid or not; renewals are none.
        paid: Orders of those that were paid, on the day they were; free ones among them.
    """

    period: Period
    views: Mapping[date, int] = field(default_factory=Counter)
    begun: Mapping[date, int] = field(default_factory=Counter)
    paid: Mapping[date, int] = field(default_factory=Counter)

    def sums(self, by_day: Mapping[date, int]) -> tuple[int, int]:
        """Return how many in the period, and in the time before."""
        first = self.period.first
        now = sum(count for day, count in by_day.items() if day >= first)
        return now, sum(by_day.values()) - now

    def points(
        self, by_day: Mapping[date, int], *, is_before: bool = False
    ) -> list[tuple[date, date, int]]:
        """Return (first day, last day, count) of each point of a chart, oldest first."""
        return [
            (first, last, sum(count for day, count in by_day.items() if first <= day <= last))
            for first, last in self.period.spans(is_before=is_before)
        ]

    @property
    def days(self) -> list[date]:
        """Days of the period on which anything happened, oldest first."""
        found = {*self.views, *self.begun, *self.paid}
        return sorted(day for day in found if day >= self.period.first)

    @property
    def is_empty(self) -> bool:
        """Nothing happened, in neither time."""
        return not (self.views or self.begun or self.paid)


def funnel_of(seller: Namespace, period: Period, *, is_test: bool | None = None) -> Funnel:
    """Return how many came how far. Three queries.

    Args:
        seller: Whose models; the caller has passed ``seller_for``.
        period: Which days; the same number before is read too.
        is_test: Orders with real money (``False``), of the sandbox (``True``) or both.
    """
    offers = Offer.objects.filter(namespace=seller)
    since = period.before_start.date()
    views = PageViews.objects.filter(
        repo__in=offers.values("repos"), day__gte=since, day__lt=period.end.date()
    )
    orders = Order.objects.filter(renews=None, lines__seller=seller)
    if is_test is not None:
        orders = orders.filter(is_test=is_test)
    return Funnel(
        period,
        views={row["day"]: row["n"] for row in views.values("day").annotate(n=Sum("people"))},
        begun=_by_day(orders, "created_at", period),
        paid=_by_day(orders, "paid_at", period),
    )


def _by_day(orders: QuerySet[Order], moment: str, period: Period) -> dict[date, int]:
    within = {f"{moment}__gte": period.before_start, f"{moment}__lt": period.end}
    rows = orders.filter(**within).values(day=TruncDate(moment, tzinfo=UTC))
    counted = rows.annotate(n=Count("pk", distinct=True)).order_by("day")
    return {row["day"]: row["n"] for row in counted}
