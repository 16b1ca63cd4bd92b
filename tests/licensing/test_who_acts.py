"""Who may do what about money: sessions prove themselves, staff by two factors."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from accounts.models import AuditEvent, Scope, User
from accounts.services.tokens import create_token
from accounts.viewer import Viewer
from catalog.models import Grant, ModelRepo
from licensing.models import Coupon, Invoice, License, Offer
from tests.factories import make_user
from tests.licensing.license_api.holding import Held, everything, hold
from tests.licensing.pages_seller.test_offer_pages import FORM
from tests.licensing.selling.shop import open_shop

pytestmark = pytest.mark.django_db
Browser = Callable[[User], Client]
HTML = {"Accept": "text/html"}
REPO = "maria/haiku-gpt"
WEIGHTS = f"/{REPO}/resolve/main/model.safetensors"


def forget(client: Client, **facts: Any) -> Client:
    """Let the session grow old, or forget its second factor."""
    session = client.session
    session.update(facts or {"confirmed_at": 0})
    session.save()
    return client


@pytest.fixture
def held() -> Held:
    return hold()


def sold_state(held: Held) -> Any:
    """All that the deeds below could change."""
    row = held.fresh()
    return (
        everything(),
        list(Offer.objects.values_list("pk", "version", "is_active", "position")),
        list(Coupon.objects.values_list("code", "is_active")),
        ModelRepo.objects.get(pk=held.shop.repo.pk).opens_at,
        (row.key_rotation, row.key_digest),
        AuditEvent.objects.count(),
    )


# ── staff ───────────────────────────────────────────────────────────────────────────────────────


def doors(held: Held) -> dict[str, tuple[str, str]]:
    """What staff see and do outside of the administration."""
    order = held.row.line.order
    invoice = Invoice.objects.filter(order_ref=order.public_id).first()
    assert invoice is not None
    ident = held.row.public_id
    return {
        "order": ("get", f"/orders/{order.public_id}"),
        "order by api": ("get", f"/api/v1/orders/{order.public_id}"),
        "invoice": ("get", f"/invoices/{invoice.public_id}.pdf"),
        "license": ("get", f"/library/{ident}"),
        "license by api": ("get", f"/api/v1/licenses/{ident}"),
        "suspend": ("post", f"/api/v1/licenses/{ident}/suspend"),
        "reinstate": ("post", f"/api/v1/licenses/{ident}/reinstate"),
    }


def statuses(client: Client, held: Held, **headers: str) -> dict[str, int]:
    found = {}
    for name, (method, path) in doors(held).items():
        more = {"data": {"reason": "fraud"}, "content_type": "application/json"}
        sent = more if method == "post" else {}
        answer = getattr(client, method)(path, **sent, headers=headers)
        found[name] = answer.status_code
    return found


def test_staff_without_a_second_factor_are_people_like_all(held: Held, browser_of: Browser) -> None:
    clerk = make_user("clerk", is_staff=True)
    by_password = Client()
    by_password.force_login(clerk)
    never_set_up = statuses(by_password, held)
    proved = browser_of(clerk)
    not_given = forget(browser_of(clerk), second_factor=False)
    unproved = create_token(clerk, name="t", scopes=[Scope.ADMIN], by=Viewer(user=clerk))[1]
    before = sold_state(held)

    assert set(never_set_up.values()) <= {403, 404}
    assert set(statuses(not_given, held).values()) == {404}
    by_program = statuses(Client(), held, Authorization=f"Bearer {unproved}")
    assert set(by_program.values()) == {403, 404}  # pages are for browsers
    assert sold_state(held) == before
    assert set(statuses(proved, held).values()) == {200}


def test_staff_deeds_need_a_recent_proof(held: Held, browser_of: Browser) -> None:
    old = forget(browser_of(make_user("clerk", is_staff=True)))
    before = sold_state(held)

    found = statuses(old, held)

    assert (found["suspend"], found["reinstate"]) == (403, 403)
    assert (found["order"], found["license"]) == (200, 200)
    assert sold_state(held) == before


# ── pages and their twins ───────────────────────────────────────────────────────────────────────

CHANGES: list[tuple[str, dict[str, Any]]] = [
    ("/sales/coupons/COUPON/end", {}),
    ("/sales/buyers", {"act": "suspend", "license": "LICENSE", "words": "late"}),
    (f"/{REPO}/offers", {"act": "close", "offer": "OFFER"}),
    (f"/{REPO}/offers", {"form": "opening", "opens_at": "2100-01-01T00:00"}),
]
BUYERS: list[tuple[str, dict[str, Any]]] = [
    ("/library/LICENSE/key", {}),
    ("/library/LICENSE/key", {"rotate": "1", "rotation": "0"}),
    ("/library/LICENSE/end-subscription", {}),
    ("/library/LICENSE/resume-subscription", {}),
]
TWINS: list[tuple[str, str, dict[str, Any]]] = [
    ("post", "coupons", {"code": "FREE", "basis_points": 10000}),
    ("post", "coupons/COUPON/end", {}),
    ("get", "sales", {}),
    ("get", "sales/ORDER", {}),
    ("get", "sales/summary", {}),
    ("post", f"models/{REPO}/offers", {}),
    ("put", "offers/OFFER", {}),
    ("patch", "offers/OFFER", {"is_active": False}),
    ("put", f"models/{REPO}/opening", {"opens_at": None}),
    ("put", f"models/{REPO}/revenue-ask", {"basis_points": 100}),
    ("post", "licenses/LICENSE/suspend", {"reason": "late"}),
    ("post", "licenses/LICENSE/reinstate", {}),
    ("post", "licenses/LICENSE/key", {}),
    ("post", "licenses/LICENSE/rotate", {"key_rotation": 0}),
    ("post", "licenses/LICENSE/subscription/cancel", {}),
    ("post", "licenses/LICENSE/subscription/resume", {}),
]


@pytest.fixture
def at(held: Held) -> Callable[[str], str]:
    """Put what there is into an address."""
    coupon = Coupon.objects.create(namespace=held.shop.repo.namespace, code="X", basis_points=1)
    names = {
        "COUPON": coupon.public_id,
        "LICENSE": held.row.public_id,
        "OFFER": held.shop.offer.public_id,
        "ORDER": held.row.line.order.public_id,
    }

    def fill(text: str) -> str:
        for name, ident in names.items():
            text = text.replace(name, ident)
        return text

    return fill


@pytest.mark.parametrize(("path", "sent"), CHANGES + BUYERS)
def test_an_old_session_changes_nothing_about_money(
    held: Held, browser_of: Browser, at: Callable[[str], str], path: str, sent: dict[str, Any]
) -> None:
    is_buyers = (path, sent) in BUYERS
    browser = forget(browser_of(held.shop.buyer if is_buyers else held.shop.seller))
    sent, before = {name: at(text) for name, text in sent.items()}, sold_state(held)
    page = at(path)

    answer = browser.post(
        page, sent, headers=HTML | {"Referer": "http://testserver/library?state=all"}
    )

    assert answer.status_code == 302
    assert answer["Location"] == "/login/confirm?next=%2Flibrary%3Fstate%3Dall"
    assert sold_state(held) == before


@pytest.mark.parametrize(
    "path",
    [
        "/sales",
        "/sales/orders",
        "/sales/orders/ORDER",
        "/sales/buyers",
        "/sales/coupons",
        "/sales/coupons/new",
        f"/{REPO}/offers/new",
        f"/{REPO}/offers/OFFER",
    ],
)
def test_an_old_session_sees_no_sales(
    held: Held, browser_of: Browser, at: Callable[[str], str], path: str
) -> None:
    page = at(path)

    answer = forget(browser_of(held.shop.seller)).get(page, headers=HTML)

    assert answer["Location"] == f"/login/confirm?next={page.replace('/', '%2F')}"
    assert browser_of(held.shop.seller).get(page, headers=HTML).status_code == 200


@pytest.mark.parametrize(
    ("path", "sent", "typed"),
    [
        ("/sales/coupons/new", {"code": "SPRING", "percent": "100"}, "SPRING"),
        (f"/{REPO}/offers/new", FORM | {"title": "Typed by hand"}, "Typed by hand"),
        (f"/{REPO}/offers/OFFER", FORM | {"title": "Typed by hand"}, "Typed by hand"),
    ],
)
def test_a_late_form_keeps_what_was_typed(
    held: Held,
    browser_of: Browser,
    at: Callable[[str], str],
    path: str,
    sent: dict[str, Any],
    typed: str,
) -> None:
    browser, before = forget(browser_of(held.shop.seller)), sold_state(held)

    answer = browser.post(at(path), sent, headers=HTML)

    assert answer.status_code in {400, 403}
    assert "Confirm that it is you at /login/confirm" in answer.text
    assert f'value="{typed}"' in answer.text
    assert sold_state(held) == before
    assert browser_of(held.shop.seller).post(at(path), sent, headers=HTML).status_code == 302


@pytest.mark.parametrize(("method", "path", "sent"), TWINS)
def test_an_old_session_does_no_more_by_api(
    held: Held,
    browser_of: Browser,
    at: Callable[[str], str],
    method: str,
    path: str,
    sent: dict[str, Any],
) -> None:
    buyers = ("/key", "/rotate", "/cancel", "/resume")
    holder = held.shop.buyer if path.endswith(buyers) else held.shop.seller
    browser, before = forget(browser_of(holder)), sold_state(held)

    answer = getattr(browser, method)(
        f"/api/v1/{at(path)}",
        **({"data": sent, "content_type": "application/json"} if sent else {}),
    )

    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "recent_login_needed")
    assert sold_state(held) == before


def test_a_buyer_reads_what_is_theirs_without_ado(held: Held, browser_of: Browser) -> None:
    browser = forget(browser_of(held.shop.buyer))

    for path in ("/library", f"/library/{held.row.public_id}", "/orders"):
        assert browser.get(path, headers=HTML).status_code == 200


# ── takedown and deletion ───────────────────────────────────────────────────────────────────────


def test_a_buyer_downloads_after_a_takedown(client: Client, bearer: Any) -> None:
    shop = open_shop()
    shop.buy()

    def fetched() -> bytes:
        answer = client.get(WEIGHTS, headers=bearer(shop.buyer, "read"), follow=True)
        assert answer.status_code == 200
        return bytes(answer.getvalue())

    wanted = fetched()

    ModelRepo.objects.filter(pk=shop.repo.pk).update(disabled_reason="a complaint")

    assert fetched() == wanted
    others: list[Any] = [{}, bearer(make_user("bob"), "read"), bearer(shop.seller, "write")]
    for who in others:
        refused = client.get(WEIGHTS, headers=who)
        assert refused.status_code == 403
        assert refused["X-Error-Message"] == "Access to this resource is disabled."
    Grant.objects.update(state=Grant.State.REVOKED)
    assert client.get(WEIGHTS, headers=bearer(shop.buyer, "read")).status_code == 403


def test_a_sold_model_cannot_be_deleted(client: Client, bearer: Any, browser_of: Browser) -> None:
    shop = open_shop()
    shop.buy()
    seller, before = bearer(shop.seller, "write"), AuditEvent.objects.count()

    page = browser_of(shop.seller).post(
        f"/{REPO}/settings", {"form": "delete", "confirmation": REPO}, headers=HTML
    )
    rest = client.delete(f"/api/v1/models/{REPO}", headers=seller)
    hub = client.delete(
        "/api/repos/delete",
        {"organization": "maria", "name": "haiku-gpt", "type": "model"},
        content_type="application/json",
        headers=seller,
    )

    assert page.status_code == 400
    assert "People hold licenses for maria/haiku-gpt" in page.text
    assert (rest.status_code, rest.json()["error"]["code"]) == (409, "licensed_repo")
    assert hub.status_code == 409
    assert "People hold licenses for maria/haiku-gpt" in hub["X-Error-Message"]
    assert ModelRepo.objects.filter(pk=shop.repo.pk).exists()
    assert License.objects.get().grant.state == Grant.State.ACTIVE
    assert AuditEvent.objects.count() == before
    reader = bearer(shop.buyer, "read")
    answer = client.get(WEIGHTS, headers=reader, follow=True)
    assert (answer.status_code, len(answer.getvalue()) > 0) == (200, True)
