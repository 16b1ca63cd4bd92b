"""Sellers and buyers for tests with a live store, made beside it by commands."""

import json
from collections.abc import Mapping

from huggingface_hub import HfApi

from tests.live import LiveStore

_OFFER = """
from accounts.models import User
from accounts.viewer import Viewer
from catalog.access import repo_for
from catalog.models import Grant
from licensing.services.offers import NewPrice, OfferDraft, make_offer

wish = json.loads({wish!r})
viewer = Viewer(user=User.objects.get(username=wish["seller"]))
repo = repo_for(viewer, *wish["model"].split("/"))
for draft in wish["offers"]:
    prices = tuple(NewPrice(*price) for price in draft.pop("prices"))
    print(make_offer(viewer, [repo], OfferDraft(prices=prices, **draft)).public_id)
"""

_ORDER = """
from accounts.models import User
from accounts.viewer import Viewer
from licensing.models import License
from licensing.services import activations, checkout, ordering, quotes
from licensing.services.pricing import Item

wish = json.loads({wish!r})
viewer = Viewer(user=User.objects.get(username=wish["buyer"]))
billing = {{"name": "Mary Crawford", "kind": "person", "country": "GB", "lines": ["1 Park"],
    "postcode": "", "city": "Northampton", "region": "", "vat_number": ""}}
for way in ("open", "paid"):
    key = way + wish["offer"]
    quote, priced = quotes.make_quote(
        viewer, [Item(wish["offer"])], currency="EUR", billing=billing
    )
    order, _new = ordering.open_order(
        viewer, quote.public_id, key=key, accepted_terms=priced.terms
    )
    begun = checkout.start(order, method="test_success" if way == "paid" else "")
    print("/orders/" + order.public_id)
    if way == "open":
        print("/sandbox/" + begun.url.rpartition("/")[2])
license_ = License.objects.get(line__order=order)
activations.activate(license_, activations.seat_of(license_, viewer, fingerprint="laptop"))
print("/library/" + license_.public_id)
print("/terms/" + license_.terms_id)
"""


def model_of(store: LiveStore, name: str, token: str) -> str:
    """Publish a model with weights that can be sold; return its full name."""
    from tests.factories import safetensors  # pictures are taken without Django

    api = HfApi(endpoint=store.url, token=token)
    repo = f"{name}/haiku-gpt"
    api.create_repo(repo)
    files = {
        "README.md": b"---\nlicense: mit\n---\n# haiku-gpt\n\nWrites haiku.\n",
        "config.json": b'{"model_type": "gpt2"}',
        "model.safetensors": safetensors(),
    }
    for path, content in files.items():
        api.upload_file(path_or_fileobj=content, path_in_repo=path, repo_id=repo)
    store.settled(repo, token)
    return repo


def buy(store: LiveStore, buyer: str, offer: str) -> list[str]:
    """Order an offer twice and pay for it once; return the addresses of what came of it."""
    wish = json.dumps({"buyer": buyer, "offer": offer})
    code = "import json\n" + _ORDER.format(wish=wish)
    return store.manage("shell", "--no-imports", "-c", code).split()


def put_on_sale(
    store: LiveStore, seller: str, model: str, *offers: Mapping[str, object]
) -> list[str]:
    """Make offers of a model; return their public ids."""
    wish = json.dumps({"seller": seller, "model": model, "offers": offers})
    code = "import json\n" + _OFFER.format(wish=wish)
    return store.manage("shell", "--no-imports", "-c", code).split()
