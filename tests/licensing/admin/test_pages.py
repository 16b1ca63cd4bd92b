"""The shop's pages in the administration: what they show, and to whom."""

from collections.abc import Callable
from datetime import timedelta

import pytest
import time_machine
from django.test import Client
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.timezone import localtime

from accounts.models import AuditEvent, User
from licensing.models import (
    BankTransfer,
    Dispute,
    LedgerEntry,
    License,
    PaymentEvent,
    Payout,
    ReconcileRun,
    Refund,
    SellerProfile,
)
from licensing.services import fees, paying_out, payouts, reconciling, refunds, tax_numbers
from licensing.services.reconciling import reconcile
from tests.licensing.payouts.market import a_seller, dispute, earn, staff_viewer
from tests.licensing.selling.shop import BILLING, open_shop

pytestmark = pytest.mark.django_db
Browser = Callable[[User], Client]
HTML = {"Accept": "text/html"}
MODELS = (
    *("order", "refund", "dispute", "paymentevent", "payout", "payoutpause", "feerule"),
    *("sellerprofile", "confirmedtaxnumber", "license", "reconcilerun", "banktransfer"),
)


def text_of(browser: Client, place: str) -> str:
    answer = browser.get(f"/admin/licensing/{place}", headers=HTML)
    assert answer.status_code == 200, place
    return answer.content.decode()


def full_shop() -> None:
    """Something of everything."""
    shop, staff = open_shop(), staff_viewer()
    fees.add_rule(staff, None, 1000, None, "The usual fee")
    fees.add_rule(staff, shop.repo.namespace, 500, None, "A friend")
    SellerProfile.objects.create(namespace=shop.repo.namespace, legal_name="Maria Ltd")
    tax_numbers.confirm(staff, "DE136695976", "DE", "VIES W1")
    refunds.ask(shop.buying, shop.buy("a"), None, "It does not load")
    refunds.give_back(staff, shop.buy("b"), None, "As asked")
    dispute(shop.buy("c"))
    earn(shop.repo.namespace, 3000)
    payouts.run_payouts()
    payouts.pause(staff, shop.repo.namespace, "We look at it")
    BankTransfer.objects.create(
        bank_ref="IN1", amount_minor=1900, currency="EUR", booked_on="2026-03-01"
    )
    reconcile()


def test_every_page_and_row_opens(browser_of: Browser, staff: User) -> None:
    full_shop()
    browser = browser_of(staff)

    for model in MODELS:
        page = text_of(browser, f"{model}/")
        assert "/change/" in page, model
        row = page.split("/change/")[0].rsplit("/", 1)[1]
        text_of(browser, f"{model}/{row}/change/")
        assert browser.get(f"/admin/licensing/{model}/add/").status_code == 403
        for deed in ("change", "delete"):
            answer = browser.post(f"/admin/licensing/{model}/{row}/{deed}/", {"post": "yes"})
            assert answer.status_code == 403, (model, deed)
    assert License.objects.count() == 3


def test_strangers_see_nothing(client: Client, browser_of: Browser, alice: User) -> None:
    full_shop()
    careless = Client()
    careless.force_login(staff_viewer().user)

    for model in MODELS:
        for browser in (client, careless):
            assert browser.get(f"/admin/licensing/{model}/", headers=HTML).status_code == 302
        member = browser_of(alice).get(f"/admin/licensing/{model}/", headers=HTML, follow=True)
        assert member.status_code == 403
    for path in ("payout/table.csv", "payout/1/statement.pdf"):
        assert client.get(f"/admin/licensing/{path}", headers=HTML).status_code == 302


def test_an_order_is_found_by_whatever_is_known_of_it(browser_of: Browser, staff: User) -> None:
    shop = open_shop()
    order = shop.buy("a")
    refund = refunds.give_back(shop.selling, order, None, "As asked")
    other = shop.buy("b")
    dispute(other)
    browser = browser_of(staff)
    payment = order.payments.get()
    known = {
        order.public_id: [order],
        payment.external_id: [order],
        refund.public_id: [order],
        Refund.objects.get().external_id: [order],
        Dispute.objects.get().external_id: [other],
        "ada@example.org": [order, other],
        "maria": [order, other],
        "nobody": [],
    }

    for words, orders in known.items():
        page = text_of(browser, f"order/?q={words}")
        found = [row for row in (order, other) if f"/order/{row.pk}/change/" in page]
        assert found == orders, words


def test_an_order_shows_all_that_belongs_to_it(browser_of: Browser, staff: User) -> None:
    shop = open_shop()
    order = shop.buy()
    refunds.give_back(staff_viewer(), order, None, "As asked <b>now</b>")

    page = text_of(browser_of(staff), f"order/{order.pk}/change/")

    assert "1 x Commercial" in page
    assert "Ada Byron<br>Lindenallee 1<br>10115 Berlin<br>DE<br>" in page
    assert License.objects.get().public_id in page
    assert "As asked &lt;b&gt;now&lt;/b&gt;" in page
    assert order.payments.get().external_id in page
    assert "payable maria" in page
    assert date_format(localtime(order.payments.get().at), "DATETIME_FORMAT") in page
    assert "+00:00" not in page
    assert (
        page.count("Refund sent")
        == LedgerEntry.objects.filter(movement__kind="refund_sent").count()
    )


def test_the_query_count_of_a_list_does_not_grow(
    browser_of: Browser, staff: User, django_assert_max_num_queries
) -> None:
    shop = open_shop()
    for number in range(6):
        shop.buy(f"k{number}")
    browser = browser_of(staff)

    with django_assert_max_num_queries(22):
        text_of(browser, "order/")


def test_parked_messages_come_first(browser_of: Browser, staff: User) -> None:
    for outcome in ("applied", "parked", "waiting", "nothing_new"):
        PaymentEvent.objects.create(
            gateway="sandbox",
            external_id=outcome,
            kind="paid",
            order_ref="n",
            fact={},
            outcome=outcome,
        )

    page = text_of(browser_of(staff), "paymentevent/")

    places = [page.index(f">{outcome}<") for outcome in ("parked", "waiting", "nothing_new")]
    assert places == sorted(places)


def test_a_payout_shows_its_entries_and_has_a_statement(browser_of: Browser, staff: User) -> None:
    shop = open_shop()
    order = shop.buy()
    with time_machine.travel(timezone.now() + timedelta(days=15), tick=True):
        earn(shop.repo.namespace, 100)
        (payout,) = payouts.run_payouts()
        paying_out.send(payout.pk)
    browser = browser_of(staff)

    page = text_of(browser, f"payout/{payout.pk}/change/")
    pdf = browser.get(f"/admin/licensing/payout/{payout.pk}/statement.pdf")
    table = browser.get("/admin/licensing/payout/table.csv")

    assert order.public_id in page
    assert payout.statement is not None
    assert payout.statement.text_number in page
    assert "do/mark-failed/" in page
    assert "do/mark-sent/" not in page
    assert pdf.content.startswith(b"%PDF")
    assert pdf["Content-Disposition"].endswith(f'"{payout.statement.text_number}.pdf"')
    assert payout.public_id in table.getvalue().decode()
    assert "no-store" in table["Cache-Control"]
    assert "no-store" in pdf["Cache-Control"]


def test_a_payout_without_a_statement(browser_of: Browser, staff: User) -> None:
    maria = a_seller()
    payout = Payout.objects.create(
        namespace=maria, gateway="invoice", currency="EUR", amount_minor=1, until=timezone.now()
    )
    browser = browser_of(staff)

    page = text_of(browser, f"payout/{payout.pk}/change/")
    answer = browser.get(f"/admin/licensing/payout/{payout.pk}/statement.pdf", headers=HTML)
    nothing = browser.get("/admin/licensing/payout/999999/statement.pdf", headers=HTML)

    assert "do/mark-sent/" in page
    assert (answer.status_code, nothing.status_code) == (404, 404)


def test_reports_say_what_differs(browser_of: Browser, staff: User) -> None:
    PaymentEvent.objects.create(
        gateway="sandbox", external_id="odd", kind="paid", order_ref="n", fact={}, outcome="parked"
    )
    reconcile()
    run = ReconcileRun.objects.get()

    page = text_of(browser_of(staff), f"reconcilerun/{run.pk}/change/")

    assert "<td>event_parked</td><td>odd</td>" in page


def test_staff_see_on_the_status_page_whether_money_agrees(
    client: Client, browser_of: Browser, staff: User
) -> None:
    browser = browser_of(staff)

    def told(who: Client) -> str:
        return who.get("/status", headers=HTML).content.decode()

    assert "were not compared yet" in told(browser)
    reconcile()
    assert "and the ledger agreed on" in told(browser)
    PaymentEvent.objects.create(
        gateway="sandbox", external_id="odd", kind="paid", order_ref="n", fact={}, outcome="parked"
    )
    reconcile()
    newest = reconciling.latest_run()
    assert newest is not None
    assert "1 difference between" in told(browser)
    assert f"/admin/licensing/reconcilerun/{newest.pk}/change/" in told(browser)
    assert "ledger" not in told(client)


def test_the_trail_is_filtered_by_action_and_person(browser_of: Browser, staff: User) -> None:
    maria, other = a_seller(), staff_viewer("dora")
    payouts.pause(staff_viewer(), maria, "By Carol")
    payouts.pause(other, maria, "By Dora")
    browser = browser_of(staff)

    def trail(query: str) -> str:
        answer = browser.get(f"/admin/accounts/auditevent/?{query}", headers=HTML)
        assert answer.status_code == 200
        return answer.content.decode()

    mine = trail(f"action=payout.pause&staff={staff.pk}")
    found = trail("q=dora")
    every = trail("staff=x")

    assert ("By Carol" in mine, "By Dora" in mine) == (True, False)
    assert ("By Carol" in found, "By Dora" in found) == (False, True)
    assert ("By Carol" in every, "By Dora" in every) == (True, True)
    assert AuditEvent.objects.filter(action="payout.pause").count() == 2


def test_numbers_that_wait_to_be_confirmed_are_found_among_the_orders(
    browser_of: Browser, staff: User
) -> None:
    shop = open_shop()
    SellerProfile.objects.create(
        namespace=shop.repo.namespace,
        country="DE",
        is_registered=True,
        vat_number="DE136695976",
    )
    business = BILLING | {"kind": "business", "country": "AT", "vat_number": "ATU13585627"}
    taxed, other = shop.buy("a", billing=business), shop.buy("b")
    assert taxed.tax_minor
    browser, place = browser_of(staff), "order/?tax_number=waits"

    found = text_of(browser, place)

    assert taxed.public_id in found
    assert other.public_id not in found
    tax_numbers.confirm(staff_viewer(), "ATU13585627", "AT", "VIES W2")
    assert taxed.public_id not in text_of(browser, place)
