"""A market with everything that divides money: sellers, taxes, fees, shares, coupons, bundles."""

from dataclasses import dataclass, field
from typing import Any

from django.utils import timezone

from accounts.models import User
from accounts.viewer import Viewer
from catalog.models import ModelRepo
from licensing.gateways.sandbox import Sandbox
from licensing.models import (
    Coupon,
    FeeRule,
    Offer,
    Order,
    SandboxCharge,
    SellerProfile,
)
from licensing.services import ordering, quotes, upstream
from licensing.services.offers import NewPrice, OfferDraft, make_offer
from licensing.services.pricing import Item
from store.core import jobs
from store.core.errors import TransientError
from store.core.jobs import JobName
from store.core.models import Job
from store.core.work import JobContext
from tests.factories import add_files, make_repo, make_user, proved_viewer, safetensors
from tests.licensing.selling.shop import BILLING
from workers.handlers import HANDLERS

MONEY_JOBS = (
    JobName.APPLY_PAYMENT,
    JobName.FULFIL_ORDER,
    JobName.SEND_REFUND,
    JobName.TELL_GATEWAY,
)


@dataclass(slots=True)
class Market:
    """Who sells what; ``offers`` by a short name."""

    buyer: User
    staff: User
    offers: dict[str, Offer] = field(default_factory=dict)
    repos: list[ModelRepo] = field(default_factory=list)

    @property
    def buying(self) -> Viewer:
        return Viewer(user=self.buyer)

    @property
    def deciding(self) -> Viewer:
        return proved_viewer(self.staff)

    def order(self, key: str, names: list[str], coupon: str = "", quantity: int = 1) -> Order:
        """An open order of some offers."""
        items = [Item(self.offers[name].public_id, quantity) for name in names]
        quote, priced = quotes.make_quote(
            self.buying, items, currency="EUR", billing=BILLING, coupon=coupon
        )
        order, _is_new = ordering.open_order(
            self.buying, quote.public_id, key=key, accepted_terms=priced.terms
        )
        return order


def open_market() -> Market:
    """Two sellers and the maker of what one of them builds on.

    ``maria`` pays a share to ``ula``, charges German tax on top and has a coupon of a third;
    ``otto`` is tax-free and gives things away. Both have one for the first two periods.
    """
    maria, otto, ula = make_user("maria"), make_user("otto"), make_user("ula")
    market = Market(make_user("ada"), make_user("carol", is_staff=True))
    base = _model(ula, "base", "mit")
    upstream.set_ask(Viewer(user=ula), base, 1234)
    first, second = _model(maria, "haiku", "mit", "ula/base"), _model(maria, "sonnet", "mit")
    third = _model(otto, "prose", "mit")
    market.repos = [first, second, third]
    SellerProfile.objects.create(namespace=maria.namespace, country="DE", is_registered=True)
    FeeRule.objects.create(basis_points=1050, starts_at=timezone.now())
    market.offers = {
        "haiku": _offer(maria, [first], Offer.Kind.FIXED, 1999),
        "bundle": _offer(maria, [first, second], Offer.Kind.FIXED, 777),
        "prose": _offer(otto, [third], Offer.Kind.PAY_WHAT_YOU_WANT, 1),
        "free": _offer(otto, [third], Offer.Kind.FREE, None),
        "monthly": _offer(otto, [third], Offer.Kind.SUBSCRIPTION, 900),
        "rented": _offer(maria, [first], Offer.Kind.SUBSCRIPTION, 1333),
    }
    Coupon.objects.create(namespace=maria.namespace, code="THIRD", basis_points=3333, most_uses=2)
    Coupon.objects.create(namespace=otto.namespace, code="ALL", basis_points=10_000)
    for seller in (maria, otto):
        Coupon.objects.create(
            namespace=seller.namespace, code="BEGIN", basis_points=6667, periods=2
        )
    return market


def _model(owner: User, name: str, license_id: str, base: str = "") -> ModelRepo:
    made_from = f"base_model: {base}\n" if base else ""
    card = f"---\nlicense: {license_id}\n{made_from}---\n# x\n"
    repo = make_repo(owner, name, files={"README.md": card.encode()})
    add_files(owner, repo, {"model.safetensors": safetensors(size=4), "config.json": b"{}"})
    return ModelRepo.objects.select_related("namespace").get(pk=repo.pk)


def _offer(owner: User, repos: list[ModelRepo], kind: Offer.Kind, price: int | None) -> Offer:
    draft = OfferDraft(
        title=str(kind.label),
        kind=kind,
        terms_id="store-commercial",
        prices=(NewPrice("EUR", price),) if price else (),
        interval="month" if kind == Offer.Kind.SUBSCRIPTION else "",
    )
    return make_offer(Viewer(user=owner), repos, draft)


def charges_of(order: Order) -> list[SandboxCharge]:
    """What the pretended bank has of an order, oldest first."""
    return list(SandboxCharge.objects.filter(order_ref=order.public_id).order_by("id"))


def facts_of(order: Order) -> list[Any]:
    return Sandbox().facts_of(order.public_id)


def run_money_jobs() -> None:
    """Do the open jobs of money, as a worker does after the one before it was killed."""
    names = [name.value for name in MONEY_JOBS]
    for _round in range(20):
        rows = Job.objects.filter(name__in=names, state__in=Job.OPEN).order_by("id")
        rows.update(not_before=timezone.now(), lease_until=timezone.now() - ordering.OPEN_FOR)
        ids = list(rows.values_list("pk", flat=True))
        if not ids:
            return
        for job_id in ids:
            claim = jobs.claim(job_id)
            if claim is None:
                continue
            try:
                result = HANDLERS[JobName(claim.job.name)](JobContext(claim))
            except TransientError as error:
                claim.hand_back(delay_s=0, code=error.code, message=error.message)
            else:
                claim.finish(result)
    raise AssertionError("the jobs of money do not end")
