"""Going on with a subscription that was ended: from its page, and over REST."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import Membership, Scope, User
from accounts.services.tokens import create_token
from catalog.models import Grant
from licensing.models import License, Offer, Order, Subscription
from licensing.services import granting, renewals
from store.core.money import Money
from tests.factories import make_org, make_user
from tests.licensing.pages.buying import get, post, visible
from tests.licensing.selling.shop import Shop, open_shop

pytestmark = pytest.mark.django_db
Browser = Callable[[User], Client]
State = Subscription.State
GO_ON = "Go on with it"


@pytest.fixture
def club(time_machine: Any) -> Shop:
    time_machine.move_to("2027-01-31 12:00:00+00:00", tick=False)
    return open_shop(kind=Offer.Kind.SUBSCRIPTION, interval="month", title="Club")


def ended(club: Shop, **wish: Any) -> License:
    """The license of a subscription its buyer has ended."""
    order = club.buy(**wish)
    renewals.cancel_subscription(club.buying, Subscription.objects.get())
    return License.objects.get(line__order=order)


def state() -> tuple[Any, ...]:
    """What must not change where something is refused."""
    row, grant = Subscription.objects.get(), Grant.objects.get()
    return row.state, row.paid_until, row.periods, grant.ends_at, Order.objects.count()


def resume(client: Client, row: License) -> Any:
    return post(client, f"/library/{row.public_id}/resume-subscription")


def test_its_page_says_what_is_charged_and_goes_on(club: Shop, browser_of: Browser) -> None:
    row, buyer = ended(club), browser_of(club.buyer)
    page = get(buyer, f"/library/{row.public_id}")
    assert f'action="/library/{row.public_id}/resume-subscription"' in page
    assert (
        "Until then you can go on with it: €19.00 a month, due next on Feb. 28, 2027, until you"
        " end it again." in visible(page)
    )

    for _ in range(2):
        answer = resume(buyer, row)
        assert answer["Location"] == f"/library/{row.public_id}#subscription"

    found = Subscription.objects.get()
    assert found.state == State.ACTIVE
    assert Grant.objects.get().ends_at == found.paid_until + granting.GRACE
    words = visible(get(buyer, f"/library/{row.public_id}"))
    assert "It goes on. The next period begins on Feb. 28, 2027." in words
    assert "Next charge" in words
    assert "End subscription" in words
    assert GO_ON not in words
    assert "went on with the subscription of the order" in words


def test_who_ends_it_is_told_of_the_way_back(club: Shop, browser_of: Browser) -> None:
    row = License.objects.get(line__order=club.buy())

    words = visible(get(browser_of(club.buyer), f"/library/{row.public_id}/end-subscription"))

    assert "Until then you can still go on with it." in words
    assert "cannot be taken back" not in words


def test_there_is_no_way_back_where_it_cannot_go_on(club: Shop, browser_of: Browser) -> None:
    row, buyer = ended(club), browser_of(club.buyer)
    Subscription.objects.update(paid_until=timezone.now())
    before = state()
    assert GO_ON not in visible(get(buyer, f"/library/{row.public_id}"))

    resume(buyer, row)

    words = visible(get(buyer, f"/library/{row.public_id}"))
    assert "What was paid has run out. Subscribe again." in words
    assert state() == before


def test_who_may_go_on_with_it(
    client: Client, browser_of: Browser, club: Shop, staff: User
) -> None:
    mate, writer = make_user("ben"), make_user("wim")
    make_org("acme", ada="admin", ben="read", wim="write")
    row = ended(club, holder="acme")
    before = state()

    assert resume(client, row)["Location"].startswith("/login")
    for other in (make_user("eve"), club.seller, staff):
        assert resume(browser_of(other), row).status_code == 404
    reading = browser_of(mate)
    assert resume(reading, row).status_code == 302
    words = visible(get(reading, f"/library/{row.public_id}"))
    assert "You have no such subscription." in words
    assert GO_ON not in words
    get(browser_of(club.buyer), f"/library/{row.public_id}/resume-subscription", 405)
    assert state() == before
    resume(browser_of(writer), row)
    assert Subscription.objects.get().state == State.ACTIVE


def test_who_bought_it_and_left_the_team_goes_on_from_their_order(
    browser_of: Browser, club: Shop
) -> None:
    make_user("ben")
    make_org("acme", ben="admin", ada="write")
    row, buyer = ended(club, holder="acme"), browser_of(club.buyer)
    Membership.objects.filter(user=club.buyer).delete()
    place = f"/orders/{row.line.order.public_id}"
    assert GO_ON in visible(get(buyer, place))

    assert resume(buyer, row)["Location"] == f"{place}#subscription"

    assert Subscription.objects.get().state == State.ACTIVE


# ── over REST ───────────────────────────────────────────────────────────────────────────────────


def bearer(user: User, *scopes: Scope, limit: Money | None = None) -> dict[str, str]:
    text = create_token(user, name="t", scopes=list(scopes), spend_limit=limit)[1]
    return {"HTTP_AUTHORIZATION": f"Bearer {text}"}


def call(client: Client, row: License, headers: dict[str, str], act: str = "resume") -> Any:
    path = f"/api/v1/licenses/{row.public_id}/subscription/{act}"
    return client.post(path, {}, content_type="application/json", **headers)


def code_of(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def test_a_program_goes_on_with_it(client: Client, club: Shop) -> None:
    row, buying = ended(club), bearer(club.buyer, Scope.BUY)
    place = f"/api/v1/licenses/{row.public_id}/subscription"
    assert client.get(place, **buying).json()["is_resumable"] is True
    before = state()

    refused = call(client, row, bearer(club.buyer, Scope.WRITE))

    assert code_of(refused) == (403, "missing_scope")
    assert state() == before
    for _ in range(2):
        answer = call(client, row, buying)
        told = answer.json()
        assert (answer.status_code, told["state"]) == (200, "active")
        assert (told["next_charge_at"], told["amount_minor"]) == ("2027-02-28T12:00:00Z", 1900)
        assert told["is_resumable"] is False
    assert client.get(place, **buying).json() == told


def test_what_cannot_go_on_is_refused_with_the_reason(
    client: Client, club: Shop, time_machine: Any
) -> None:
    row, buying = ended(club), bearer(club.buyer, Scope.BUY)
    time_machine.move_to(Subscription.objects.get().paid_until, tick=False)
    before = state()

    answer = call(client, row, buying)

    assert code_of(answer) == (409, "not_resumable")
    assert answer.json()["error"]["extra"] == {"reason": "over"}
    assert state() == before


def test_strangers_learn_nothing(client: Client, club: Shop) -> None:
    row, before = ended(club), state()

    for other in (club.seller, make_user("eve")):
        answer = call(client, row, bearer(other, Scope.ADMIN))
        assert code_of(answer) == (404, "subscription_not_found")
    assert call(client, row, {}).status_code == 401
    assert state() == before


def begun_by_token(club: Shop, limit: int) -> tuple[License, dict[str, str]]:
    """A subscription that was ended, and the token with a limit that began it."""
    row = ended(club)
    token, text = create_token(
        club.buyer, name="t", scopes=[Scope.BUY], spend_limit=Money(limit, "EUR")
    )
    Order.objects.update(token=token)
    return row, {"HTTP_AUTHORIZATION": f"Bearer {text}"}


def test_a_limit_has_room_for_what_is_due_this_month(
    client: Client, club: Shop, time_machine: Any
) -> None:
    row, script = begun_by_token(club, 1899)
    time_machine.move_to("2027-02-10 12:00:00+00:00", tick=False)
    before = state()

    answer = call(client, row, script)

    assert code_of(answer) == (403, "spend_limit")
    assert answer.json()["error"]["extra"]["left_minor"] == 1899
    assert state() == before


def test_a_period_of_next_month_is_not_this_months_affair(client: Client, club: Shop) -> None:
    row, script = begun_by_token(club, 1900)  # spent in January

    assert call(client, row, script).status_code == 200


def test_the_room_of_a_limit_is_used_once(client: Client, club: Shop, time_machine: Any) -> None:
    row, script = begun_by_token(club, 3799)
    club.buy("k2")
    Order.objects.update(token=Order.objects.get(pk=row.line.order_id).token)
    renewals.cancel_subscription(club.buying, Subscription.objects.latest("pk"))
    other = License.objects.latest("pk")
    time_machine.move_to("2027-02-10 12:00:00+00:00", tick=False)

    answers = [call(client, each, script) for each in (row, other, row)]

    assert [answer.status_code for answer in answers] == [200, 403, 200]
    assert answers[1].json()["error"]["extra"]["left_minor"] == 1899
    states = Subscription.objects.order_by("pk").values_list("state", flat=True)
    assert list(states) == [State.ACTIVE, State.ENDING]


def test_a_limit_does_not_answer_for_what_another_began(client: Client, club: Shop) -> None:
    row, _script = begun_by_token(club, 9999)
    before = state()

    answer = call(client, row, bearer(club.buyer, Scope.BUY, limit=Money(9999, "EUR")))

    assert code_of(answer) == (403, "spend_limit")
    assert "did not begin this subscription" in answer.json()["error"]["message"]
    assert state() == before
    assert call(client, row, bearer(club.buyer, Scope.BUY)).status_code == 200


def test_an_order_that_waits_counts_in_this_month(
    client: Client, club: Shop, time_machine: Any
) -> None:
    row, script = begun_by_token(club, 3799)
    found = Subscription.objects.get()
    time_machine.move_to("2027-01-31 13:00:00+00:00", tick=False)
    order = renewals.open_renewal(found, renewals.key_of_next(found))
    renewals.cancel_subscription(club.buying, found)  # once more
    before = state()

    assert code_of(call(client, row, script)) == (403, "spend_limit")

    assert state() == before
    order.refresh_from_db()
    assert order.state == Order.State.CANCELLED
