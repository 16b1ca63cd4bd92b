"""What a seller sold: sums over a time against the one before, by day, by offer, by country.

Amounts of different currencies, and of test sales, are never added: every sum belongs to a
``Purse``.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django.db.models import Count, F, Max, Q, QuerySet, Sum
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Coalesce, TruncDate
from django.utils import timezone

from accounts.models import Namespace
from licensing.models import DownloadCount, LedgerAccount, LedgerEntry, LedgerMovement, OrderLine

PERIODS = (7, 30, 90, 365)
"""Lengths of time the dashboard knows, in days."""
USUAL_DAYS = 30
_STEPS = {7: 1, 30: 1, 90: 3, 365: 5}
"""Days of one point of a chart."""
_THEIRS = (LedgerAccount.Kind.PAYABLE, LedgerAccount.Kind.DISPUTED)
_PAID_OUT = (
    LedgerMovement.Kind.PAYOUT,
    LedgerMovement.Kind.PAYOUT_SENT,
    LedgerMovement.Kind.PAYOUT_FAILED,
)


@dataclass(frozen=True, slots=True, order=True)
class Purse:
    """What may be added: money of one currency, real or of tests."""

    is_test: bool
    currency: str

    @property
    def key(self) -> str:
        """As addresses name it: ``EUR`` or ``EUR-test``."""
        return f"{self.currency}-test" if self.is_test else self.currency


@dataclass(frozen=True, slots=True)
class Period:
    """So many whole days (UTC) up to today, and as many before them."""

    days: int
    today: date

    @property
    def first(self) -> date:
        """The first day."""
        return self.today - timedelta(days=self.days - 1)

    @property
    def start(self) -> datetime:
        """When it begins."""
        return datetime.combine(self.first, time.min, UTC)

    @property
    def before_start(self) -> datetime:
        """When the time it is compared with begins."""
        return self.start - timedelta(days=self.days)

    @property
    def end(self) -> datetime:
        """When it ends: with today."""
        return self.start + timedelta(days=self.days)

    def spans(self, *, is_before: bool = False) -> list[tuple[date, date]]:
        """Return (first day, last day) of each point of a chart, oldest first."""
        first = self.before_start.date() if is_before else self.first
        step = _STEPS.get(self.days, 1)
        starts = [first + timedelta(days=at) for at in range(0, self.days, step)]
        last = first + timedelta(days=self.days - 1)
        return [(start, min(start + timedelta(days=step - 1), last)) for start in starts]


def period_of(days: int, *, now: datetime | None = None) -> Period:
    """Return the period of so many days that ends today."""
    return Period(days, (now or timezone.now()).astimezone(UTC).date())


@dataclass(slots=True)
class Figures:
    """Sums of some days. Amounts are minor units of the purse's currency."""

    sales: int = 0
    """Lines of orders that were paid, free ones among them."""
    gross_minor: int = 0
    """What buyers paid, with tax."""
    refunded_minor: int = 0
    """What went back to buyers in this time, whenever it was bought."""
    earned_minor: int = 0
    """What came to the seller after fee, shares and refunds, with the tax they collect."""

    def add(self, other: "Figures") -> None:
        """Add what ``other`` has."""
        self.sales += other.sales
        self.gross_minor += other.gross_minor
        self.refunded_minor += other.refunded_minor
        self.earned_minor += other.earned_minor


@dataclass(frozen=True, slots=True)
class Summary:
    """What a seller sold in one purse in a period, and in the time before it."""

    purse: Purse
    period: Period
    by_day: dict[date, Figures] = field(default_factory=lambda: defaultdict(Figures))
    """Of both times; days without a row have nothing."""

    @property
    def now(self) -> Figures:
        """The sums of the period."""
        return self._sum(self.period.first, self.period.days)

    @property
    def before(self) -> Figures:
        """The sums of the time before."""
        return self._sum(self.period.before_start.date(), self.period.days)

    def points(self, *, is_before: bool = False) -> list[tuple[date, date, Figures]]:
        """Return (first day, last day, sums) of each point of a chart, oldest first."""
        return [
            (first, last, self._sum(first, (last - first).days + 1))
            for first, last in self.period.spans(is_before=is_before)
        ]

    def _sum(self, first: date, days: int) -> Figures:
        total = Figures()
        for number in range(days):
            row = self.by_day.get(first + timedelta(days=number))
            if row is not None:
                total.add(row)
        return total


def summaries(seller: Namespace, period: Period) -> list[Summary]:
    """Return what a seller sold, real money first, then by currency. Three queries.

    Args:
        seller: Whose sales; the caller has passed ``seller_for``.
        period: Which days; the same number before is read too.
    """
    found: dict[Purse, Summary] = {}

    def put(row: Mapping[str, Any], figures: Figures) -> None:
        purse = Purse(row["is_test"], row["currency"])
        if purse not in found:
            found[purse] = Summary(purse, period)
        found[purse].by_day[row["day"]].add(figures)

    for row in _sold_by_day(seller, period):
        put(row, Figures(sales=row["sales"], gross_minor=row["gross"]))
    for row in _refunded_by_day(seller, period):
        put(row, Figures(refunded_minor=row["total"]))
    for row in _earned_by_day(seller, period):
        put(row, Figures(earned_minor=-row["total"]))
    return [found[purse] for purse in sorted(found)]


def _sold_by_day(seller: Namespace, period: Period) -> Iterable[Mapping[str, Any]]:
    rows = sold_lines(seller, period.before_start, period.end)
    return rows.values(
        day=TruncDate("order__paid_at", tzinfo=UTC),
        is_test=F("order__is_test"),
        currency=F("order__currency"),
    ).annotate(sales=Count("id"), gross=Sum("gross_minor"))


def _refunded_by_day(seller: Namespace, period: Period) -> Iterable[Mapping[str, Any]]:
    """What the ledger says went back, which a bank's decision is part of."""
    rows = LedgerEntry.objects.filter(
        account__kind=LedgerAccount.Kind.DEPOSITS,
        movement__kind=LedgerMovement.Kind.REFUND,
        line__seller=seller,
    )
    return _by_day(rows, period, -1)


def _earned_by_day(seller: Namespace, period: Period) -> Iterable[Mapping[str, Any]]:
    rows = LedgerEntry.objects.filter(account__kind__in=_THEIRS, account__namespace=seller)
    return _by_day(rows.exclude(movement__kind__in=_PAID_OUT), period, 1)


def _by_day(rows: QuerySet[LedgerEntry], period: Period, sign: int) -> Iterable[Mapping[str, Any]]:
    return (
        rows.filter(movement__at__gte=period.before_start, movement__at__lt=period.end)
        .values(
            day=TruncDate("movement__at", tzinfo=UTC),
            is_test=F("movement__order__is_test"),
            currency=F("account__currency"),
        )
        .annotate(total=Sum("amount_minor") * sign)
        .exclude(total=0)
    )


def sold_lines(
    seller: Namespace, start: datetime | None = None, end: datetime | None = None
) -> QuerySet[OrderLine]:
    """Return the lines of a seller that were paid, in a time if one is given."""
    rows = OrderLine.objects.filter(seller=seller, order__paid_at__isnull=False)
    if start is not None:
        rows = rows.filter(order__paid_at__gte=start)
    return rows if end is None else rows.filter(order__paid_at__lt=end)


@dataclass(frozen=True, slots=True)
class Row:
    """Sums of one offer or one country, in one purse."""

    key: str
    """Public id of the offer (its title, once it is gone), or the country; empty: not known."""
    sales: int
    gross_minor: int
    net_minor: int
    refunded_minor: int
    title: str = ""
    detail: str = ""


def by_offer(seller: Namespace, period: Period) -> dict[Purse, list[Row]]:
    """Return what each offer sold in a period, the most first. One query."""
    key = Coalesce("offer__public_id", "title")
    return _sums(seller, period, key=key, title=Max("title"), detail=Max("detail"))


def by_country(seller: Namespace, period: Period) -> dict[Purse, list[Row]]:
    """Return what was sold to each country of the buyers' addresses, the most first. One query."""
    return _sums(seller, period, key=KeyTextTransform("country", "order__billing"))


def _sums(seller: Namespace, period: Period, *, key: Any, **more: Any) -> dict[Purse, list[Row]]:
    rows = sold_lines(seller, period.start, period.end).values(
        key=key, is_test=F("order__is_test"), currency=F("order__currency")
    )
    sums = rows.annotate(
        sales=Count("id"),
        gross_minor=Sum("gross_minor", default=0),
        net_minor=Sum("net_minor", default=0),
        refunded_minor=Sum("refunded_minor", default=0),
        **more,
    )
    found: dict[Purse, list[Row]] = defaultdict(list)
    for row in sums:
        values: dict[str, Any] = dict(row)
        purse = Purse(values.pop("is_test"), values.pop("currency"))
        found[purse].append(Row(**values | {"key": values["key"] or ""}))
    for lines in found.values():
        lines.sort(key=lambda line: (-line.gross_minor, -line.sales, line.title, line.key))
    return dict(found)


def downloads(seller: Namespace, period: Period) -> tuple[int, int]:
    """Return how often people downloaded the seller's models in a period, and before it."""
    rows = DownloadCount.objects.filter(
        repo__namespace=seller, kind__in=DownloadCount.PEOPLE, day__gte=period.before_start.date()
    )
    is_now = Q(day__gte=period.first)
    sums = rows.aggregate(
        now=Sum("downloads", filter=is_now, default=0),
        before=Sum("downloads", filter=~is_now, default=0),
    )
    return int(sums["now"]), int(sums["before"])


def choose(found: Sequence[Summary], key: str) -> Summary | None:
    """Return the summary of a purse by its key; else the one that sold most; else none."""
    named = next((row for row in found if row.purse.key == key), None)
    if named is not None or not found:
        return named
    return max(found, key=lambda row: (not row.purse.is_test, row.now.sales))
