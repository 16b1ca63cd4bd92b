"""Pages that ask who sits there: recent login, two factors for payouts and for staff."""

import time
from collections.abc import Callable
from typing import Any

import pytest
import time_machine
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import path

from accounts.models import User
from accounts.services import freshness
from accounts.services.two_factor import disable, has_two_factor
from accounts.views.guards import is_recent, recent, two_factor_required
from store.urls import handler404  # noqa: F401  # this module stands in for it
from store.urls import urlpatterns as site_urls
from tests.factories import PASSWORD, code_of, enrol

Browser = Callable[[User], Client]
HTML = {"Accept": "text/html"}
NOON = 1_790_000_010
DONE: list[str] = []
"""What the pages below have done."""

pytestmark = pytest.mark.urls(__name__)


@recent
def money_page(request: HttpRequest, user: User, number: int = 0) -> HttpResponse:
    if request.method == "POST":
        DONE.append(f"{user} {number}")
    return HttpResponse(f"{user} {is_recent(request)}")


@two_factor_required
def payout_page(request: HttpRequest, user: User) -> HttpResponse:
    if request.method == "POST":
        DONE.append(f"payout to {user}")
    return HttpResponse("payouts")


urlpatterns = [
    path("test/money", money_page),
    path("test/money/<int:number>", money_page),
    path("test/payouts", payout_page),
    *site_urls,
]


@pytest.fixture(autouse=True)
def nothing_done() -> None:
    DONE.clear()


@pytest.fixture
def clock() -> Any:
    """A clock that stands still until it is shifted."""
    with time_machine.travel(NOON, tick=False) as frozen:
        yield frozen


def signed_in(name: str = "alice") -> Client:
    """A browser whose person has just given their password."""
    client = Client(headers=HTML)
    assert client.post("/login", {"username": name, "password": PASSWORD}).status_code == 302
    return client


def signed_in_by_code(secret: str, steps: int = 0) -> Client:
    client = signed_in()
    assert client.post("/login/two-factor", {"code": code_of(secret, steps)}).status_code == 302
    return client


def test_a_log_in_is_a_recent_proof(alice: User, clock: Any) -> None:
    client = signed_in()

    assert client.get("/test/money").content == b"alice True"
    clock.shift(900)
    assert client.post("/test/money/7").content == b"alice True"
    assert DONE == ["alice 7"]


def test_signing_up_is_one_too(db: None, clock: Any) -> None:
    client = Client(headers=HTML)
    new = {"username": "dora", "email": "dora@example.org", "password": PASSWORD}
    client.post("/signup", new)

    assert client.get("/test/money").content == b"dora True"


@pytest.mark.parametrize("late_s", [901, 86400, -1])
def test_later_it_asks_and_comes_back(alice: User, clock: Any, late_s: int) -> None:
    client = signed_in()
    clock.shift(late_s)

    asked = client.get("/test/money/7?tab=rates&q=a+b")

    target = "%2Ftest%2Fmoney%2F7%3Ftab%3Drates%26q%3Da%2Bb"
    assert (asked.status_code, asked["Location"]) == (302, f"/login/confirm?next={target}")
    page = client.get(asked["Location"]).content.decode()
    assert 'name="next" value="/test/money/7?tab=rates&amp;q=a+b"' in page
    assert "Confirm with a code" not in page

    key = client.session.session_key
    done = client.post(
        "/login/confirm",
        {"form": "password", "password": PASSWORD, "next": "/test/money/7?tab=rates"},
    )
    assert done["Location"] == "/test/money/7?tab=rates"
    assert client.session.session_key != key
    assert client.get(done["Location"]).content == b"alice True"


def test_a_form_that_comes_late_does_nothing(alice: User, clock: Any) -> None:
    client = signed_in()
    clock.shift(901)

    plain = client.post("/test/money/7?a=1", {"amount": "5"})
    told = client.post(
        "/test/money/7", {"amount": "5"}, headers={"Referer": "http://testserver/test/money?b=2"}
    )
    strange = client.post(
        "/test/money/7", {"amount": "5"}, headers={"Referer": "http://evil.example/test"}
    )
    twisted = client.post(
        "/test/money/7", {"amount": "5"}, headers={"Referer": "http://testserver//evil.example"}
    )

    assert plain["Location"] == "/login/confirm?next=%2Ftest%2Fmoney%2F7%3Fa%3D1"
    assert told["Location"] == "/login/confirm?next=%2Ftest%2Fmoney%3Fb%3D2"
    assert strange["Location"] == "/login/confirm?next=%2Ftest%2Fmoney%2F7"
    assert twisted["Location"] == "/login/confirm?next=%2Ftest%2Fmoney%2F7"
    assert DONE == []
    assert not is_proven(client)


def is_proven(client: Client) -> bool:
    return freshness.is_recent(client.session)


def test_a_wrong_password_confirms_nothing(alice: User, clock: Any) -> None:
    client = signed_in()
    clock.shift(901)

    wrong = client.post("/login/confirm", {"form": "password", "password": "no", "next": "/test"})
    empty = client.post("/login/confirm", {"form": "password", "password": ""})
    other = client.post("/login/confirm", {"form": "code", "code": "123456"})
    nothing = client.post("/login/confirm", {})

    assert (wrong.status_code, empty.status_code, other.status_code) == (403, 400, 403)
    assert "The password is wrong." in wrong.content.decode()
    assert nothing.status_code == 200
    assert not is_proven(client)


def test_guesses_at_the_password_are_limited(alice: User, clock: Any, rate_limits_on: None) -> None:
    client = signed_in()
    clock.shift(901)
    for _number in range(10):
        client.post("/login/confirm", {"form": "password", "password": "no"})

    stopped = client.post("/login/confirm", {"form": "password", "password": PASSWORD})

    assert stopped.status_code == 429
    assert not is_proven(client)


def test_it_never_leads_off_the_site(alice: User, clock: Any) -> None:
    client = signed_in()

    for target in ("//evil.example", "https://evil.example/", "/\\evil.example"):
        sent = {"form": "password", "password": PASSWORD, "next": target}
        assert client.post("/login/confirm", sent)["Location"] == "/"


def test_a_second_factor_confirms_too(alice: User, clock: Any) -> None:
    secret, codes = enrol(alice)
    client = signed_in_by_code(secret, 1)
    clock.shift(901)
    assert "Confirm with a code" in client.get("/login/confirm").content.decode()

    wrong = client.post("/login/confirm", {"form": "code", "code": code_of(secret, 3)})
    assert (wrong.status_code, is_proven(client)) == (403, False)
    right = client.post("/login/confirm", {"form": "code", "code": code_of(secret), "next": "/x"})
    assert (right["Location"], is_proven(client)) == ("/x", True)
    clock.shift(901)
    client.post("/login/confirm", {"form": "code", "code": codes[0]})
    assert is_proven(client)
    clock.shift(901)
    client.post("/login/confirm", {"form": "code", "code": codes[0]})
    assert not is_proven(client)


def test_visitors_and_programs(alice: User, client: Client, bearer: Any) -> None:
    visitor = client.get("/test/money", headers=HTML)
    program = client.get("/test/money", headers=bearer(alice, "admin"))
    client.force_login(alice)
    stale = client.post("/test/money/7")
    lacking = client.get("/login/confirm/options")

    assert visitor["Location"] == "/login?next=%2Ftest%2Fmoney"
    assert (program.status_code, program.json()["code"]) == (403, "browser_only")
    assert (stale.status_code, stale.json()["code"]) == (403, "recent_login_needed")
    assert lacking.status_code == 405
    assert DONE == []


def test_payouts_need_two_factors(alice: User, clock: Any) -> None:
    client = signed_in()

    sent_on = client.post("/test/payouts", {"amount": "5"})
    page = client.get(sent_on["Location"])
    as_program = client.get("/test/payouts", headers={"Accept": "application/json"})

    assert sent_on["Location"] == "/settings/security"
    assert "That page needs two-factor authentication" in page.content.decode()
    assert as_program.json()["code"] == "two_factor_needed"
    assert DONE == []

    secret, _ = enrol(alice)
    old = client.get("/test/payouts")
    assert old["Location"] == "/login/confirm?next=%2Ftest%2Fpayouts&factor=second"
    asked = client.get(old["Location"]).content.decode()
    assert "Confirm with the password" not in asked
    sent = {"next": "/test/payouts", "factor": "second"}
    by_password = client.post("/login/confirm", {"form": "password", "password": PASSWORD} | sent)
    assert by_password.status_code == 200
    assert not freshness.passed_second_factor(client.session)

    by_code = client.post("/login/confirm", {"form": "code", "code": code_of(secret, 1)} | sent)

    assert by_code["Location"] == "/test/payouts"
    assert client.post("/test/payouts").content == b"payouts"
    assert DONE == ["payout to alice"]


def test_payouts_need_a_recent_login_as_well(alice: User, clock: Any) -> None:
    secret, _ = enrol(alice)
    client = signed_in_by_code(secret, 1)
    assert client.get("/test/payouts").status_code == 200
    clock.shift(901)

    assert client.post("/test/payouts")["Location"].startswith("/login/confirm?next=")
    assert DONE == []


def test_turned_off_it_opens_no_payouts(alice: User, clock: Any) -> None:
    secret, _ = enrol(alice)
    client = signed_in_by_code(secret, 1)

    disable(alice, actor=alice)

    assert client.get("/test/payouts")["Location"] == "/settings/security"


def test_the_time_is_a_setting(alice: User, clock: Any, settings: Any) -> None:
    settings.ENV = settings.ENV.model_copy(update={"recent_login_s": 60})
    client = signed_in()
    clock.shift(60)
    assert client.get("/test/money").status_code == 200
    clock.shift(1)
    assert client.get("/test/money").status_code == 302


def test_staff_without_two_factors_are_sent_to_set_them_up(staff: User) -> None:
    client = signed_in("carol")

    response = client.get("/admin/accounts/user/", follow=True)

    assert response.redirect_chain == [
        ("/admin/login/?next=/admin/accounts/user/", 302),
        ("/settings/security", 302),
    ]
    assert "That page needs two-factor authentication" in response.content.decode()


def test_staff_enter_by_a_second_factor_of_this_session(staff: User, alice: User) -> None:
    now = time.time()
    with time_machine.travel(now, tick=False) as clock:
        client = signed_in("carol")
        secret, _ = enrol(staff)
        form = {"email": alice.email, "full_name": "Changed", "bio": "", "homepage": ""}

        refused = client.post(f"/admin/accounts/user/{alice.pk}/change/", form, follow=True)
        clock.shift(30)
        client.post("/login/confirm", {"form": "code", "code": code_of(secret)})
        allowed = client.get("/admin/accounts/user/")

    assert refused.redirect_chain[-1][0].startswith(
        "/login/confirm?next=%2Fadmin%2Faccounts%2Fuser"
    )
    assert refused.redirect_chain[-1][0].endswith("&factor=second")
    alice.refresh_from_db()
    assert alice.full_name == ""
    assert allowed.status_code == 200


def test_a_site_may_let_staff_in_without(staff: User, settings: Any) -> None:
    settings.ENV = settings.ENV.model_copy(update={"staff_two_factor": "off"})
    client = signed_in("carol")

    assert client.get("/admin/").status_code == 200
    assert not has_two_factor(staff)


def test_two_factors_make_nobody_staff(alice: User) -> None:
    secret, _ = enrol(alice)
    client = signed_in_by_code(secret, 1)

    assert client.get("/admin/", follow=True).status_code == 403


def test_the_administration_shows_no_factors(staff: User, browser_of: Browser) -> None:
    browser = browser_of(staff)

    assert browser.get("/admin/mfa/authenticator/", follow=True).status_code == 404
    assert browser.get("/admin/account/emailaddress/", follow=True).status_code == 404
