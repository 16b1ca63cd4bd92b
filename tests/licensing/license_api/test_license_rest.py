"""The license API over HTTP: answers as described, refusals that change nothing."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import User
from catalog.models import Grant
from licensing.configured import signer
from licensing.documents.jws import open_license, read_file
from licensing.models import License, Offer, OrderLine, Quote, SeatKind, Subscription
from licensing.services import checkout, ordering, refunds
from licensing.services.validating import Code
from tests.factories import add_files, make_user
from tests.licensing.license_api.holding import NO_KEY, OTHER_KEY, everything, hold

pytestmark = pytest.mark.django_db
BASE = "/api/v1/licenses"
Headers = Callable[..., dict[str, str]]


def post(client: Client, path: str, body: Any = None, **more: Any) -> Any:
    """Send JSON."""
    sent = {} if body is None else body
    return client.post(f"{BASE}{path}", sent, content_type="application/json", **more)


def refusal(answer: Any) -> tuple[int, str]:
    """Status and code."""
    return answer.status_code, answer.json()["error"]["code"]


def test_a_valid_key(client: Client) -> None:
    held = hold(seats=3)
    held.machine("m1")

    answer = post(client, "/validate", {"key": held.key, "scope": {"fingerprint": "m1"}})

    told = answer.json()
    assert (answer.status_code, told["code"], told["is_valid"]) == (200, "VALID", True)
    assert told["license"]["seats"] == {"count": 3, "kind": "machines", "used": 1}
    assert told["license"]["models"][0]["name"] == "maria/haiku-gpt"
    assert answer["Cache-Control"] == "no-store"
    assert held.key not in answer.content.decode()


def test_half_a_character_is_no_text(client: Client) -> None:
    hold()

    answer = post(client, "/validate", json.dumps({"key": "\ud800"}))

    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "broken_body")


@pytest.mark.parametrize("key", [NO_KEY, OTHER_KEY, "", "GPTS", "☃" * 100])
def test_any_other_key_is_the_same_200(client: Client, key: str) -> None:
    hold()

    answer = post(client, "/validate", json.dumps({"key": key}))

    told = answer.json()
    del told["checked_at"]
    assert answer.status_code == 200
    assert told == {
        "code": "NOT_FOUND",
        "is_valid": False,
        "message": "There is no such license. Copy its key from your library.",
        "license": None,
    }


def test_a_refund_is_told_at_the_next_question(client: Client) -> None:
    held = hold()
    key = held.key

    refunds.give_back(held.selling, held.row.line.order, None, "Sorry")

    assert post(client, "/validate", {"key": key}).json()["code"] == "REVOKED"


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        ("{", (400, "broken_body")),
        ("[]", (400, "broken_body")),
        ("{}", (400, "invalid")),
        ('{"key": 3}', (400, "invalid")),
        ('{"key": "x", "fingerprint": "m1"}', (400, "invalid")),
        ('{"key": "x", "scope": {"revision": "main"}}', (400, "bad_scope")),
        ('{"key": "x", "scope": {"fingerprint": "é"}}', (422, "bad_fingerprint")),
        ('{"key": "x\\u0000"}', (400, "broken_body")),
        (json.dumps({"key": "x" * 20_000}), (413, "too_large")),
    ],
)
def test_a_question_that_cannot_be_read_is_refused(
    client: Client, body: str, wanted: tuple[int, str]
) -> None:
    assert refusal(post(client, "/validate", body)) == wanted


@pytest.mark.parametrize("path", ["validate", "activate", "heartbeat", "deactivate", "checkout"])
def test_a_key_goes_into_a_post_and_nowhere_else(client: Client, path: str) -> None:
    answer = client.get(f"{BASE}/{path}")

    assert (answer.status_code, answer["Allow"]) == (405, "POST")


@pytest.mark.parametrize("path", ["activate", "heartbeat", "deactivate", "checkout"])
@pytest.mark.parametrize("key", [NO_KEY, OTHER_KEY, "", "☃" * 100])
def test_a_key_nobody_has_does_nothing(client: Client, path: str, key: str) -> None:
    held = hold()
    held.machine("m1")
    before = everything()

    answer = post(client, f"/{path}", json.dumps({"key": key, "fingerprint": "m1"}))

    assert refusal(answer) == (404, "license_not_found")
    assert answer.json()["error"]["extra"] == {}
    assert everything() == before


def test_a_machine_from_first_to_last(client: Client) -> None:
    held = hold(seats=1)
    one = {"key": held.key, "fingerprint": "m1"}

    first = post(client, "/activate", one | {"label": "laptop"})
    again = post(client, "/activate", one)
    beat = post(client, "/heartbeat", one)
    full = post(client, "/activate", one | {"fingerprint": "m2"})
    ended = post(client, "/deactivate", one)
    gone = post(client, "/heartbeat", one)
    other = post(client, "/activate", one | {"fingerprint": "m2"})

    assert [first.status_code, again.status_code, beat.status_code] == [201, 200, 200]
    assert first.json()["id"] == again.json()["id"] == beat.json()["id"]
    assert (first.json()["label"], first.json()["user"]) == ("laptop", None)
    assert refusal(full) == (409, "too_many_machines")
    assert full.json()["error"]["extra"] == {"seats": 1, "used": 1}
    assert ended.json()["ended_at"] is not None
    assert refusal(gone) == (404, "no_machine")
    assert other.status_code == 201


def test_an_offline_file_by_key(client: Client) -> None:
    held = hold(seats=1)

    answer = post(
        client, "/checkout", {"key": held.key, "fingerprint": "m1", "hours": 2, "label": "van"}
    )

    told = answer.json()
    assert answer.status_code == 201
    text = read_file(json.dumps(told["file"]).encode())
    document = open_license(text, signer().key_set()).document
    assert document.machine is not None
    assert document.machine.fingerprint == "m1"
    assert told["file_name"] == f"{held.row.public_id}.gpts-license"
    assert told["activation"]["held_until"] == told["activation"]["ended_at"] == told["expires_at"]
    assert (
        post(client, "/deactivate", {"key": held.key, "fingerprint": "m1"}).json()["ended_at"]
        == told["expires_at"]
    )


@pytest.mark.parametrize(
    ("path", "body", "wanted"),
    [
        ("/checkout", {"hours": "2"}, (400, "invalid")),
        ("/checkout", {"hours": True}, (400, "invalid")),
        ("/checkout", {"hours": 0}, (400, "bad_life")),
        ("/activate", {"label": 3}, (400, "invalid")),
        ("/activate", {"label": "a\u202eb"}, (422, "bad_label")),
        ("/activate", {"fingerprint": "é"}, (422, "bad_fingerprint")),
        ("/activate", {"fingerprint": None}, (422, "bad_seat")),
        ("/activate", {"user": "ada"}, (422, "bad_seat")),
        ("/activate", {"hours": 2}, (400, "invalid")),
    ],
)
def test_what_cannot_be_meant_changes_nothing(
    client: Client, path: str, body: dict[str, Any], wanted: tuple[int, str]
) -> None:
    held = hold()
    before = everything()

    answer = post(client, path, {"key": held.key, "fingerprint": "m1"} | body)

    assert refusal(answer) == wanted
    assert everything() == before


def test_a_license_that_does_not_count_is_told_by_its_code(client: Client) -> None:
    held = hold(term_days=1)
    Grant.objects.update(starts_at=timezone.now() - timedelta(2), ends_at=timezone.now())
    before = everything()

    answer = post(client, "/activate", {"key": held.key, "fingerprint": "m1"})

    assert refusal(answer) == (403, "license_not_in_force")
    assert answer.json()["error"]["extra"] == {"reason": "EXPIRED"}
    assert everything() == before


def test_a_person_comes_with_a_token_not_with_a_cookie(
    client: Client, bearer: Headers, browser_of: Callable[[User], Client]
) -> None:
    held = hold(seat_kind=SeatKind.PEOPLE, seats=2)
    bob = make_user("bob")
    body = {"key": held.key, "user": "bob"}

    assert refusal(post(client, "/activate", body)) == (403, "person_not_allowed")
    assert refusal(post(browser_of(bob), "/activate", body)) == (403, "person_not_allowed")
    answer = post(client, "/activate", body, headers=bearer(bob, "read"))

    assert answer.status_code == 201
    assert (answer.json()["user"], answer.json()["fingerprint"]) == ("bob", "")
    valid = post(client, "/validate", {"key": held.key, "scope": {"user": "bob"}})
    assert valid.json()["code"] == Code.VALID


def test_calls_by_key_are_counted_by_themselves(client: Client, settings: Any) -> None:
    wanted = {"rate_limits": "on", "rate_window_s": 3600, "visitor_licenses_requests": 2}
    settings.ENV = settings.ENV.model_copy(update=wanted | {"visitor_api_requests": 1})
    body = {"key": OTHER_KEY}

    first, second = post(client, "/validate", body), post(client, "/activate", body)
    third = post(client, "/validate", body)

    assert first["RateLimit"].startswith('"licenses";r=1;')
    assert refusal(second) == (404, "license_not_found")
    assert refusal(third) == (429, "rate_limited")
    assert int(third["Retry-After"]) > 0
    assert client.get("/api/v1/me").status_code == 401
    assert client.get("/api/v1/me").status_code == 429


def test_holders_list_and_read(client: Client, bearer: Headers) -> None:
    held = hold(term_days=30)
    headers = bearer(held.shop.buyer, "read")

    listed = client.get(BASE, headers=headers).json()
    told = client.get(f"{BASE}/{held.row.public_id}", headers=headers).json()

    assert listed == {"results": [told], "next": None}
    assert (told["code"], told["seller"], told["holder"]) == ("VALID", "maria", "ada")
    assert told["is_renewable"]
    assert held.key not in json.dumps(told)
    assert client.get(BASE, headers=bearer(held.shop.seller, "read")).json()["results"] == []
    sold = client.get(f"{BASE}?sold=1", headers=bearer(held.shop.seller, "read")).json()
    assert [row["id"] for row in sold["results"]] == [told["id"]]


def test_a_list_takes_as_many_queries_for_many_as_for_one(client: Client, bearer: Headers) -> None:
    held = hold()
    headers = bearer(held.shop.buyer, "read")
    client.get(BASE, headers=headers)  # which notes that the token was used
    with CaptureQueriesContext(connection) as one:
        client.get(BASE, headers=headers)
    for number in range(3):
        held.shop.buy(f"more{number}")

    with CaptureQueriesContext(connection) as many:
        first = client.get(f"{BASE}?limit=3", headers=headers).json()

    assert len(one) == len(many)
    assert len(first["results"]) == 3
    rest = client.get(f"{BASE}?cursor={first['next']}", headers=headers).json()
    assert [row["id"] for row in rest["results"]] == [held.row.public_id]


def test_a_stranger_learns_nothing(client: Client, bearer: Headers) -> None:
    held = hold(term_days=30)
    row = held.machine("m1")
    eve = bearer(make_user("eve"), "admin")
    ways: list[tuple[str, str, dict[str, Any]]] = [
        ("get", "", {}),
        ("post", "/key", {}),
        ("post", "/rotate", {}),
        ("post", "/suspend", {"reason": "x"}),
        ("post", "/reinstate", {}),
        ("get", "/file", {}),
        ("get", "/files", {}),
        ("get", "/updates", {}),
        ("post", "/renew", {"currency": "EUR"}),
        ("get", "/activations", {}),
        ("post", "/activations", {"fingerprint": "m2"}),
        ("delete", f"/activations/{row.public_id}", {}),
        ("post", f"/activations/{row.public_id}/transfer", {"fingerprint": "m2"}),
        ("post", "/checkout", {"fingerprint": "m2"}),
    ]
    before = everything()

    def call(method: str, path: str, body: dict[str, Any], **more: Any) -> Any:
        if method == "get":
            return client.get(BASE + path, **more)
        work = client.post if method == "post" else client.delete
        return work(BASE + path, body, content_type="application/json", **more)

    for method, path, body in ways:
        real, absent = (
            call(method, f"/{public_id}{path}", body, headers=eve)
            for public_id in (held.row.public_id, "0" * 24)
        )
        assert refusal(real) == (404, "license_not_found"), path
        assert (absent.status_code, absent.content) == (404, real.content)
        nobody = call(method, f"/{held.row.public_id}{path}", body)
        assert refusal(nobody) == (401, "not_signed_in"), path
    assert everything() == before
    assert client.get(BASE).status_code == 401


def test_the_key_is_shown_and_replaced(client: Client, bearer: Headers) -> None:
    held = hold()
    path, headers = f"/{held.row.public_id}", bearer(held.shop.buyer, "write")

    shown = post(client, f"{path}/key", headers=headers)
    assert shown.json() == {"key": held.key, "key_rotation": 0}
    assert shown["Cache-Control"] == "no-store"

    changed = post(client, f"{path}/rotate", {"key_rotation": 0}, headers=headers).json()
    assert changed == {"key": held.key, "key_rotation": 1}
    stale = post(client, f"{path}/rotate", {"key_rotation": 0}, headers=headers)
    assert refusal(stale) == (412, "stale")
    assert post(client, f"{path}/rotate", headers=headers).json()["key_rotation"] == 2

    seller = bearer(held.shop.seller, "admin")
    for way in ("key", "rotate"):
        assert refusal(post(client, f"{path}/{way}", headers=seller)) == (403, "forbidden")
    reader = bearer(held.shop.buyer, "read")
    assert refusal(post(client, f"{path}/key", headers=reader)) == (403, "missing_scope")


def test_the_seller_suspends_and_reinstates(client: Client, bearer: Headers) -> None:
    held = hold()
    path, headers = f"/{held.row.public_id}", bearer(held.shop.seller, "write")

    told = post(client, f"{path}/suspend", {"reason": "late"}, headers=headers).json()
    assert (told["code"], told["suspended_for"]) == ("SUSPENDED", "late")
    assert refusal(post(client, f"{path}/suspend", headers=headers)) == (400, "invalid")
    assert post(client, f"{path}/reinstate", headers=headers).json()["code"] == "VALID"
    buyer = bearer(held.shop.buyer, "admin")
    refused = post(client, f"{path}/suspend", {"reason": "x"}, headers=buyer)
    assert refusal(refused) == (403, "forbidden")


def test_the_signed_file(client: Client, bearer: Headers) -> None:
    held = hold()
    path, headers = f"{BASE}/{held.row.public_id}/file", bearer(held.shop.buyer, "read")

    answer = client.get(f"{path}?days=2", headers=headers)
    usual = client.get(path, headers=headers)

    assert answer["Content-Disposition"] == (
        f'attachment; filename="{held.row.public_id}.gpts-license"'
    )
    told = open_license(read_file(answer.content), signer().key_set()).document
    assert told.file_expires_at - told.issued_at == 2 * 86_400
    told = open_license(read_file(usual.content), signer().key_set()).document
    assert told.file_expires_at - told.issued_at == 31 * 86_400
    for days in ("0", "32", "x", ""):
        assert refusal(client.get(f"{path}?days={days}", headers=headers)) == (400, "invalid")
    seller = bearer(held.shop.seller, "read")
    assert refusal(client.get(path, headers=seller)) == (403, "forbidden")


def test_files_and_updates(client: Client, bearer: Headers) -> None:
    held = hold()
    path, headers = f"{BASE}/{held.row.public_id}", bearer(held.shop.seller, "read")
    newer = add_files(held.shop.seller, held.shop.repo, {"notes.md": b"later"})

    first = client.get(f"{path}/files?limit=3", headers=headers).json()
    rest = client.get(f"{path}/files?cursor={first['next']}", headers=headers).json()
    updates = client.get(f"{path}/updates", headers=headers).json()

    rows = first["results"] + rest["results"]
    assert [row["path"] for row in rows] == sorted(row["path"] for row in rows)
    assert len(rows) == held.row.files.count() == 4
    assert {row["sha256"] for row in rows} == set(held.row.files.values_list("sha256", flat=True))
    assert [row["commit"] for row in updates["results"]] == [newer]


def test_another_term_is_quoted_and_ordered(client: Client, bearer: Headers) -> None:
    held = hold(term_days=30)
    ends_at = held.grant.ends_at
    headers = bearer(held.shop.buyer, "buy")

    answer = post(client, f"/{held.row.public_id}/renew", {"currency": "EUR"}, headers=headers)

    told = answer.json()
    assert (answer.status_code, told["gross_minor"]) == (201, 1900)
    assert Quote.objects.get(public_id=told["quote"]).wish["extends"] == held.row.public_id
    order, _new = ordering.open_order(
        held.holding,
        told["quote"],
        key="r",
        accepted_terms=[one["sha256"] for one in told["terms"]],
    )
    checkout.start(order, method="test_success")
    assert held.grant.ends_at == ends_at + timedelta(days=30)


def test_another_term_is_for_those_who_may_buy(client: Client, bearer: Headers) -> None:
    held = hold(term_days=30)
    path = f"/{held.row.public_id}/renew"

    reader = bearer(held.shop.buyer, "read")
    assert refusal(post(client, path, {"currency": "EUR"}, headers=reader)) == (
        403,
        "missing_scope",
    )
    buyer = bearer(held.shop.buyer, "buy")
    assert refusal(post(client, path, {"currency": "USD"}, headers=buyer)) == (
        400,
        "currency_not_offered",
    )
    License.objects.update(suspended_at=timezone.now())
    Grant.objects.update(state=Grant.State.FROZEN)
    refused = post(client, path, {"currency": "EUR"}, headers=buyer)
    assert refusal(refused) == (409, "not_extendable")
    assert Quote.objects.count() == 1


def test_seats_of_a_holder(client: Client, bearer: Headers) -> None:
    held = hold(seats=2)
    path, headers = f"/{held.row.public_id}/activations", bearer(held.shop.buyer, "write")

    made = post(client, path, {"fingerprint": "m1", "label": "laptop"}, headers=headers)
    again = post(client, path, {"fingerprint": "m1"}, headers=headers)
    lent = post(client, f"/{held.row.public_id}/checkout", {"fingerprint": "m2"}, headers=headers)

    assert [made.status_code, again.status_code, lent.status_code] == [201, 200, 201]
    listed = client.get(f"{BASE}{path}", headers=headers).json()["results"]
    assert [row["label"] for row in listed] == ["laptop", ""]
    handed = post(
        client, f"{path}/{made.json()['id']}/transfer", {"fingerprint": "m3"}, headers=headers
    )
    assert handed.status_code == 201
    held_back = post(
        client,
        f"{path}/{lent.json()['activation']['id']}/transfer",
        {"fingerprint": "m4"},
        headers=headers,
    )
    assert refusal(held_back) == (409, "seat_held")
    ended = client.delete(f"{BASE}{path}/{handed.json()['id']}", headers=headers)
    assert ended.json()["ended_at"] is not None
    assert held.live() == ["m2"]
    gone = client.delete(f"{BASE}{path}/{'0' * 24}", headers=headers)
    assert refusal(gone) == (404, "no_machine")


def test_sellers_see_no_machines(client: Client, bearer: Headers) -> None:
    held = hold()
    held.machine("m1")

    answer = client.get(
        f"{BASE}/{held.row.public_id}/activations", headers=bearer(held.shop.seller, "admin")
    )

    assert refusal(answer) == (403, "forbidden")


def test_a_browser_needs_its_secret_to_change_anything(
    client: Client, browser_of: Callable[[User], Client]
) -> None:
    held = hold()
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(held.shop.buyer)

    answer = browser.post(f"{BASE}/{held.row.public_id}/rotate", content_type="application/json")

    assert answer.status_code == 403
    assert License.objects.get().key_rotation == 0


def test_what_is_asked_without_an_account_loads_no_session(client: Client) -> None:
    held = hold()
    body = json.dumps({"key": held.key})

    with CaptureQueriesContext(connection) as asked:
        client.post(f"{BASE}/validate", body, content_type="application/json")

    assert len(asked) == 1


def test_a_subscription_is_read_and_ended(client: Client, bearer: Headers) -> None:
    held = hold(kind=Offer.Kind.SUBSCRIPTION, interval="month")
    path = f"/{held.row.public_id}/subscription"
    reader, writer = (bearer(held.shop.buyer, scope) for scope in ("read", "write"))

    told = client.get(BASE + path, headers=reader).json()

    assert (told["state"], told["interval"], told["periods"]) == ("active", "month", 1)
    assert (told["amount_minor"], told["currency"]) == (1900, "EUR")
    assert told["next_charge_at"] == told["paid_until"]
    refused = post(client, f"{path}/cancel", headers=reader)
    assert refusal(refused) == (403, "missing_scope")
    assert Subscription.objects.get().state == Subscription.State.ACTIVE
    for _ in range(2):
        ended = post(client, f"{path}/cancel", headers=writer)
        assert (ended.status_code, ended.json()) == (
            200,
            told | {"state": "ending", "next_charge_at": None, "is_resumable": True},
        )
    assert client.get(BASE + path, headers=reader).json() == ended.json()


def test_a_subscription_tells_what_it_costs_once_its_discount_has_ended(
    client: Client, bearer: Headers
) -> None:
    held = hold(kind=Offer.Kind.SUBSCRIPTION, interval="month")
    OrderLine.objects.update(
        discount_minor=950,
        net_minor=950,
        gross_minor=950,
        discount_periods=1,
        later_net_minor=1900,
        later_tax_minor=0,
    )
    path, reader = f"/{held.row.public_id}/subscription", bearer(held.shop.buyer, "read")

    def told() -> tuple[int, int | None, str | None]:
        found = client.get(BASE + path, headers=reader).json()
        return found["amount_minor"], found["later_amount_minor"], found["later_from"]

    assert told() == (1900, None, None)
    OrderLine.objects.update(discount_periods=2)
    amount, later, begins = told()
    assert (amount, later) == (950, 1900)
    assert begins is not None
    assert begins > client.get(BASE + path, headers=reader).json()["next_charge_at"]


def test_a_subscription_is_nobody_elses(client: Client, bearer: Headers) -> None:
    held = hold(kind=Offer.Kind.SUBSCRIPTION, interval="month")
    path = f"/{held.row.public_id}/subscription"

    for other in (held.shop.seller, make_user("eve")):
        headers = bearer(other, "admin")
        seen = client.get(BASE + path, headers=headers)
        ended = post(client, f"{path}/cancel", headers=headers)
        absent = client.get(f"{BASE}/{'0' * 24}/subscription", headers=headers)
        assert refusal(seen) == refusal(ended) == (404, "subscription_not_found")
        assert seen.content == ended.content == absent.content
    assert client.get(BASE + path).status_code == 401
    assert post(client, f"{path}/cancel").status_code == 401
    assert Subscription.objects.get().state == Subscription.State.ACTIVE


def test_a_license_bought_once_has_no_subscription(client: Client, bearer: Headers) -> None:
    held = hold()
    headers = bearer(held.shop.buyer, "write")

    answer = post(client, f"/{held.row.public_id}/subscription/cancel", headers=headers)

    assert refusal(answer) == (404, "subscription_not_found")
