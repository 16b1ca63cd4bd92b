import pytest

from accounts.viewer import VISITOR
from catalog.access import PurchaseRequiredError, check_contents
from catalog.models import Grant
from licensing.models import Invoice, LedgerAccount, LedgerEntry, License, Order, Payment
from licensing.services import checkout, ledger
from tests.licensing.selling.shop import open_shop

pytestmark = pytest.mark.django_db


def test_a_sale_opens_the_model_to_its_buyer_alone() -> None:
    shop = open_shop()
    for viewer in (VISITOR, shop.buying):
        with pytest.raises(PurchaseRequiredError):
            check_contents(viewer, shop.repo)

    order = shop.buy()

    assert order.state == Order.State.FULFILLED
    check_contents(shop.buying, shop.repo)
    with pytest.raises(PurchaseRequiredError):
        check_contents(VISITOR, shop.repo)
    sold = License.objects.get()
    assert sold.grant.state == Grant.State.ACTIVE
    assert {file.path for file in sold.files.all()} == {
        ".gitattributes",
        "README.md",
        "config.json",
        "model.safetensors",
    }
    assert Invoice.objects.get().text_number.startswith("TEST-MARIA-")
    assert Payment.objects.get().amount_minor == 1900


def test_a_sale_is_in_the_ledger() -> None:
    shop = open_shop()

    shop.buy()

    at = {"gateway": "sandbox", "currency": "EUR"}
    kinds = LedgerAccount.Kind
    assert ledger.balance(kinds.GATEWAY, **at) == 1900
    assert ledger.balance(kinds.DEPOSITS, **at) == 0
    seller_id = shop.repo.namespace_id
    assert ledger.balance(kinds.PAYABLE, namespace_id=seller_id, **at) == 1900
    assert sum(LedgerEntry.objects.values_list("amount_minor", flat=True)) == 0
    assert ledger.off_balance() == []


def test_paying_again_changes_nothing() -> None:
    shop = open_shop()
    order = shop.buy()

    with pytest.raises(checkout.OrderClosedError):
        checkout.start(order, method="test_success")

    assert License.objects.count() == Payment.objects.count() == 1
