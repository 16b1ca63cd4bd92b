"""Licenses that were bought, to test with."""

from dataclasses import dataclass
from typing import Any

from accounts.viewer import Viewer
from catalog.models import Grant
from licensing.configured import license_key_again
from licensing.gateways.sandbox import Sandbox
from licensing.models import Activation, License, Order, SandboxCharge
from licensing.services import activations, checkout, inbox, ordering, renewing
from licensing.services.activations import Seat
from tests.licensing.selling.shop import BILLING, Shop, open_shop

NO_KEY = "GPTS-00000-00000-00000-00000-00000-00"
"""Its check characters are wrong."""
OTHER_KEY = "GPTS-00000-00000-00000-00000-00000-01"
"""A well-formed key that nobody has."""


@dataclass(slots=True)
class Held:
    """A license with its key, and the shop it came from."""

    shop: Shop
    row: License

    @property
    def key(self) -> str:
        """The key as it is now."""
        row = License.objects.get(pk=self.row.pk)
        return license_key_again(row.public_id, rotation=row.key_rotation, digest=row.key_digest)

    @property
    def grant(self) -> Grant:
        """As the database has it."""
        return Grant.objects.get(pk=self.row.grant_id)

    @property
    def holding(self) -> Viewer:
        return self.shop.buying

    @property
    def selling(self) -> Viewer:
        return self.shop.selling

    def fresh(self) -> License:
        """The license as the database has it."""
        return License.objects.get(pk=self.row.pk)

    def machine(self, fingerprint: str = "m1", **more: Any) -> Activation:
        """An activation of a machine."""
        return activations.activate(self.row, Seat(fingerprint), **more)[0]

    def live(self) -> list[str]:
        """Who has a seat, oldest first."""
        rows = activations.seats_in_use(self.row)
        return [row.label or row.fingerprint for row in rows]


def hold(*, key: str = "k", **offer: Any) -> Held:
    """A license of ada's for maria's model, bought with a test card; ``offer``: its draft."""
    shop = open_shop(**offer)
    order = shop.buy(key)
    return Held(shop, License.objects.select_related("grant", "holder").get(line__order=order))


def renew(held: Held, key: str = "r", *, is_paid: bool = True) -> Order:
    """Buy another term."""
    quote, priced = renewing.quote_renewal(
        held.holding, held.fresh(), currency="EUR", billing=BILLING
    )
    order, _new = ordering.open_order(
        held.holding, quote.public_id, key=key, accepted_terms=priced.terms
    )
    if is_paid:
        checkout.start(order, method="test_success")
    return order


def bank_says(order: Order, word: str) -> None:
    """Dispute the payment of an order (``open``), or end that dispute: ``won``, ``lost``."""
    charge = SandboxCharge.objects.get(order_ref=order.public_id)
    if word == "open":
        Sandbox().dispute(charge.public_id)
    else:
        Sandbox().settle_dispute(charge.public_id, is_won=word == "won")
    inbox.receive("sandbox", Sandbox().facts_of(order.public_id))


def everything() -> dict[str, Any]:
    """What must not change where something is refused."""
    return {
        "licenses": list(License.objects.order_by("id").values()),
        "grants": list(Grant.objects.order_by("id").values()),
        "seats": list(Activation.objects.order_by("id").values()),
    }
