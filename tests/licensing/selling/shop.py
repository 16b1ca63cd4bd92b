"""A small shop to test with: a seller, a buyer, a model that is for sale."""

from dataclasses import dataclass, replace
from typing import Any

from accounts.models import User
from accounts.viewer import Viewer
from catalog.models import ModelRepo
from licensing.models import Offer, Order
from licensing.services import checkout, ordering, quotes
from licensing.services.offers import NewPrice, OfferDraft, make_offer
from licensing.services.pricing import Item
from tests.factories import make_user, safetensors

BILLING = {
    "kind": "person",
    "name": "Ada Byron",
    "lines": ["Lindenallee 1"],
    "postcode": "10115",
    "city": "Berlin",
    "region": "",
    "country": "DE",
    "vat_number": "",
}
FIXED = OfferDraft(
    title="Commercial",
    kind=Offer.Kind.FIXED,
    terms_id="store-commercial",
    prices=(NewPrice("EUR", 1900),),
)


@dataclass(slots=True)
class Shop:
    """Who sells what to whom."""

    seller: User
    buyer: User
    repo: ModelRepo
    offer: Offer

    @property
    def selling(self) -> Viewer:
        return Viewer(user=self.seller)

    @property
    def buying(self) -> Viewer:
        return Viewer(user=self.buyer)

    def order(self, key: str = "k", **wish: Any) -> Order:
        """An open order of the offer."""
        items = wish.pop("items", [Item(self.offer.public_id)])
        wish = {"currency": "EUR", "billing": BILLING} | wish
        quote, priced = quotes.make_quote(self.buying, items, **wish)
        order, _new = ordering.open_order(
            self.buying, quote.public_id, key=key, accepted_terms=priced.terms
        )
        return order

    def buy(self, key: str = "k", *, method: str = "test_success", **wish: Any) -> Order:
        """An order that was paid with a test card."""
        order = self.order(key, **wish)
        checkout.start(order, method=method)
        return order


def open_shop(**changes: Any) -> Shop:
    """A shop with one offer; ``changes`` are of its draft."""
    seller, buyer = make_user("maria"), make_user("ada")
    repo = make_model(seller, "haiku-gpt")
    offer = make_offer(Viewer(user=seller), [repo], replace(FIXED, **changes))
    return Shop(seller, buyer, ModelRepo.objects.select_related("namespace").get(pk=repo.pk), offer)


def make_model(owner: User, name: str) -> ModelRepo:
    """A public model with weights, a card and a configuration."""
    from tests.factories import add_files, make_repo

    repo = make_repo(owner, name, files={"README.md": b"---\nlicense: mit\n---\n# hi\n"})
    add_files(
        owner, repo, {"model.safetensors": safetensors(), "config.json": b'{"model_type": "gpt2"}'}
    )
    return repo
