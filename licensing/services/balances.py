"""What a seller is owed, read from the ledger: available, held, disputed, on its way."""

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Max, QuerySet, Sum
from django.db.models.functions import Coalesce, TruncDate
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from accounts.models import Namespace
from licensing.models import LedgerAccount, LedgerEntry

Account = LedgerAccount.Kind
Hold = LedgerEntry.Hold


@dataclass(frozen=True, slots=True)
class Held:
    """An amount that cannot be paid out yet. All of one rule and one day are together.

    Args:
        amount_minor: In minor units.
        rule: ``LedgerEntry.Hold``; may be empty where an entry has only a date.
        releases_at: When the last of it becomes available.
    """

    amount_minor: int
    rule: str
    releases_at: datetime

    @property
    def words(self) -> str:
        """The rule, the date, and what releases it, in a sentence."""
        day = date_format(timezone.localtime(self.releases_at), "DATE_FORMAT")
        if self.rule == Hold.REFUND_WINDOW:
            return _(
                "Held while buyers may ask for a refund. Becomes available by itself on %(day)s"
                " if it is not refunded."
            ) % {"day": day}
        return _("Booked for %(day)s. Becomes available by itself on that day.") % {"day": day}


@dataclass(frozen=True, slots=True)
class Balance:
    """What a seller has at one gateway in one currency, in minor units.

    Args:
        gateway: Where the money is; test money is never added to other money.
        currency: Three capitals.
        available_minor: Can be paid out. Below zero after refunds of what was paid out already:
            coming sales make up for it first.
        held: What becomes available later, by rule and day, the earliest first.
        disputed_minor: Held back until the buyer's bank has decided.
        on_its_way_minor: Left for the seller, not yet known to have arrived.
    """

    gateway: str
    currency: str
    available_minor: int
    held: tuple[Held, ...]
    disputed_minor: int
    on_its_way_minor: int

    @property
    def held_minor(self) -> int:
        """All that is held by date."""
        return sum(part.amount_minor for part in self.held)

    @property
    def owed_minor(self) -> int:
        """What the ledger owes the seller: available, held and disputed together."""
        return self.available_minor + self.held_minor + self.disputed_minor

    @property
    def disputed_words(self) -> str:
        """What holds the disputed part, and what releases it, in a sentence."""
        return _(
            "Held while a buyer's bank looks at a disputed payment. Becomes available when the"
            " dispute is won; banks take up to about four months."
        )


def balance_of(namespace: Namespace, gateway: str, currency: str) -> Balance:
    """Return what a seller has at one gateway in one currency."""
    now = timezone.now()

    def entries(kind: LedgerAccount.Kind) -> QuerySet[LedgerEntry]:
        return LedgerEntry.objects.filter(
            account__kind=kind,
            account__gateway=gateway,
            account__namespace=namespace,
            account__currency=currency,
        )

    payable = entries(Account.PAYABLE)
    return Balance(
        gateway=gateway,
        currency=currency,
        available_minor=_owed(payable.filter(available_at__lte=now)),
        held=_held(payable.filter(available_at__gt=now)),
        disputed_minor=_owed(entries(Account.DISPUTED)),
        on_its_way_minor=_owed(entries(Account.PAYOUTS)),
    )


def balances_of(namespace: Namespace) -> list[Balance]:
    """Return what a seller has or had, at each gateway and in each currency."""
    owned = LedgerAccount.objects.filter(namespace=namespace)
    pairs = owned.order_by("gateway", "currency").values_list("gateway", "currency").distinct()
    return [balance_of(namespace, gateway, currency) for gateway, currency in pairs]


def _owed(entries: QuerySet[LedgerEntry]) -> int:
    return -int(entries.aggregate(total=Coalesce(Sum("amount_minor"), 0))["total"])


def _held(entries: QuerySet[LedgerEntry]) -> tuple[Held, ...]:
    """Return sums by rule and day; what was refunded or disputed while held is no more in them."""
    groups = entries.annotate(day=TruncDate("available_at")).values("hold", "day")
    sums = groups.annotate(total=Sum("amount_minor"), last=Max("available_at"))
    rows = sums.exclude(total=0).order_by("day", "hold")
    return tuple(Held(-row["total"], row["hold"], row["last"]) for row in rows)
