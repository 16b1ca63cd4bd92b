"""Do payouts and the ledger agree? Part of the reconciler."""

from collections.abc import Iterator
from datetime import datetime

from django.db.models import F, Q, Sum
from django.db.models.functions import Coalesce

from licensing.models import LedgerAccount, LedgerEntry, Payout, PayoutPause
from licensing.services.payout_accounts import BY_HAND

Found = tuple[str, str, str]


def differences(old: datetime) -> Iterator[Found]:
    """Yield what does not agree, as (kind, subject, note).

    Args:
        old: A payout that is on its way since before this moment waits too long.
    """
    yield from _settled()
    yield from _on_their_way()
    yield from _waiting(old)


def _settled() -> Iterator[Found]:
    """What a payout settles, its own booking included, adds up to nothing."""
    total = Coalesce(Sum("items__entry__amount_minor"), 0)
    for payout in Payout.objects.annotate(rest=total).exclude(rest=0).order_by("id"):
        yield "payout_items", payout.public_id, f"its entries leave {payout.rest}"
    bare = Payout.objects.filter(items=None).order_by("id")
    for ident in bare.values_list("public_id", flat=True):
        yield "payout_items", ident, "it settles nothing"


def _on_their_way() -> Iterator[Found]:
    """What the ledger has on its way to a seller is what is being sent."""
    entries = LedgerEntry.objects.filter(account__kind=LedgerAccount.Kind.PAYOUTS)
    owner = ("account__namespace_id", "account__gateway", "account__currency")
    booked = {
        tuple(row[name] for name in owner): -row["total"]
        for row in entries.values(*owner).annotate(total=Sum("amount_minor"))
    }
    rows = Payout.objects.filter(state=Payout.State.SENDING)
    sums = rows.values_list("namespace_id", "gateway", "currency").annotate(Sum("amount_minor"))
    sending = {tuple(row[:3]): row[3] for row in sums}
    for key in sorted(booked.keys() | sending.keys(), key=str):
        has, wants = booked.get(key, 0), sending.get(key, 0)
        if has != wants:
            subject = " ".join(map(str, key))
            yield "payouts_under_way", subject, f"{has} in the ledger, {wants} being sent"


def _waiting(old: datetime) -> Iterator[Found]:
    """A payout is sent soon, unless people send it, or its seller is paused."""
    rows = Payout.objects.filter(state=Payout.State.SENDING, created_at__lt=old)
    paused = Q(namespace__in=PayoutPause.objects.values("namespace"))
    waiting = rows.exclude(paused | Q(gateway__in=BY_HAND)).order_by("id")
    for ident, gateway in waiting.values_list("public_id", F("gateway")):
        yield "payout_waits", ident, f"'{gateway}' has not answered yet"
