"""``/api/v1/webhooks``; every answer is held against its description."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from standardwebhooks.webhooks import Webhook as Verifier

from accounts.models import User
from accounts.viewer import Viewer
from catalog.models import Webhook, WebhookDelivery
from catalog.services.events import spread
from catalog.services.repos import change_settings
from store.core.models import Job
from store.core.paging import encode_cursor
from tests import receivers
from tests.catalog.webhooks.conftest import happen, hook, quiet_repo
from tests.receivers import Receiver

API = "/api/v1/webhooks"
JSON = "application/json"


@pytest.fixture
def write(alice: User, bearer) -> dict[str, str]:
    return bearer(alice)


def post(client: Client, headers: dict, path: str = "", body: Any = None):
    return client.post(API + path, body, content_type=JSON, headers=headers)


def patch(client: Client, headers: dict, path: str, body: Any):
    return client.patch(API + path, body, content_type=JSON, headers=headers)


def test_the_life_of_a_webhook(client: Client, write: dict) -> None:
    body = {
        "url": "https://ci.example.org/hook",
        "watched": [{"type": "model", "name": "alice/tiny"}],
        "secret": " word",
    }
    assert post(client, write, body=body).status_code == 400
    made = post(client, write, body=body | {"secret": "word"})

    assert made.status_code == 201
    webhook = made.json()
    key = webhook.pop("signing_key")
    ident = webhook["id"]
    assert (webhook["domains"], webhook["has_secret"]) == (["repo", "discussion"], True)
    assert "word" not in made.content.decode()
    assert client.get(API, headers=write).json() == {"results": [webhook]}
    assert client.get(f"{API}/{ident}", headers=write).json() == webhook

    changed = patch(client, write, f"/{ident}", {"domains": ["repo"], "secret": ""}).json()
    assert (changed["domains"], changed["has_secret"]) == (["repo"], False)
    off = patch(client, write, f"/{ident}", {"is_enabled": False}).json()
    assert (off["is_enabled"], off["disabled_reason"]) == (False, "owner")
    assert patch(client, write, f"/{ident}", {"is_enabled": True}).json()["is_enabled"] is True
    renewed = post(client, write, f"/{ident}/key")
    assert renewed.status_code == 201
    assert renewed.json()["signing_key"] != key

    assert client.delete(f"{API}/{ident}", headers=write).status_code == 204
    assert client.get(f"{API}/{ident}", headers=write).status_code == 404
    assert not Webhook.objects.exists()


@pytest.mark.parametrize(
    "change",
    [
        {"url": "http://10.0.0.1/"},
        {"url": ""},
        {"watched": [{"type": "planet", "name": "x"}]},
        {"watched": [{"type": "user", "name": "a/b"}]},
        {"domains": ["weather"]},
        {"domains": []},
        {"secret": "a\nb"},
        {"is_enabled": "perhaps"},
    ],
)
def test_a_wrong_wish_changes_nothing(
    client: Client, alice: User, write: dict, change: dict
) -> None:
    webhook = hook(alice)
    before = list(Webhook.objects.values())
    whole = {"url": "https://a.example.org/", "watched": [{"type": "user", "name": "alice"}]}

    assert patch(client, write, f"/{webhook.public_id}", change).status_code == 400
    if "is_enabled" not in change:
        assert post(client, write, body=whole | change).status_code == 400
    assert list(Webhook.objects.values()) == before


def test_deliveries_page_by_page_and_again(
    client: Client,
    alice: User,
    write: dict,
    receiver: Callable[..., Receiver],
    run_jobs: Callable[[], list[Job]],
) -> None:
    got = receiver(receivers.status(500, 200))
    webhook = hook(alice, got.url)
    url = f"{API}/{webhook.public_id}/deliveries"
    repo = quiet_repo(alice)
    spread(happen(repo).pk)
    run_jobs()
    test = post(client, write, f"/{webhook.public_id}/test")
    assert (test.status_code, test.json()["state"]) == (202, "waiting")
    run_jobs()

    first = client.get(f"{url}?limit=1", headers=write).json()
    second = client.get(f"{url}?limit=1&cursor={first['next']}", headers=write).json()
    assert (first["results"][0]["is_test"], first["results"][0]["state"]) == (True, "delivered")
    assert second["next"] is None
    [failed] = second["results"]
    assert (failed["state"], failed["attempts"][0]["status"]) == ("waiting", 500)
    assert client.get(url, headers=write).json()["results"] == [
        *first["results"],
        *second["results"],
    ]

    again = post(client, write, f"/{webhook.public_id}/deliveries/{failed['id']}/replay")
    assert again.status_code == 202
    run_jobs()
    shown = client.get(f"{url}/{failed['id']}", headers=write).json()
    assert (shown["state"], [each["status"] for each in shown["attempts"]]) == (
        "delivered",
        [500, 200],
    )
    assert shown["payload"].encode() == got.requests[-1].body
    assert got.requests[-1].headers["webhook-id"] == shown["message_id"]


def test_a_payload_is_shown_as_long_as_the_owner_may_see_the_model(
    client: Client, alice: User, bob: User, bearer
) -> None:
    repo = quiet_repo(alice)
    webhook = hook(bob, "https://hooks.example.org/", "user:alice")
    spread(happen(repo).pk)
    delivery = WebhookDelivery.objects.get()
    url = f"{API}/{webhook.public_id}/deliveries/{delivery.public_id}"
    assert client.get(url, headers=bearer(bob)).json()["payload"] == delivery.payload

    change_settings(Viewer(user=alice), repo, is_private=True)

    assert client.get(url, headers=bearer(bob)).json()["payload"] == ""


def test_a_key_that_was_just_made_verifies(
    client: Client, write: dict, receiver: Callable[..., Receiver], run_jobs: Callable[[], Any]
) -> None:
    got = receiver()
    body = {"url": got.url, "watched": [{"type": "user", "name": "bob"}]}
    made = post(client, write, body=body).json()
    post(client, write, f"/{made['id']}/test")
    run_jobs()

    [request] = got.requests
    assert Verifier(made["signing_key"]).verify(request.body, request.headers) == json.loads(
        request.body
    )


def test_others_see_and_do_nothing(
    client: Client, alice: User, bob: User, write: dict, bearer
) -> None:
    webhook = hook(alice)
    spread(happen(quiet_repo(alice)).pk)
    delivery = WebhookDelivery.objects.get()
    one = f"/{webhook.public_id}"
    before = [list(Webhook.objects.values()), list(WebhookDelivery.objects.values())]

    for headers, status in ((bearer(bob), 404), ({}, 401), (bearer(alice, "read"), 403)):
        answers = [
            client.get(API + one, headers=headers),
            patch(client, headers, one, {"is_enabled": False}),
            client.delete(API + one, headers=headers),
            post(client, headers, f"{one}/key"),
            post(client, headers, f"{one}/test"),
            client.get(f"{API}{one}/deliveries", headers=headers),
            client.get(f"{API}{one}/deliveries/{delivery.public_id}", headers=headers),
            post(client, headers, f"{one}/deliveries/{delivery.public_id}/replay"),
        ]
        assert {answer.status_code for answer in answers} == {status}
    his = hook(bob)
    path = f"/{his.public_id}/deliveries/{delivery.public_id}"
    assert client.get(API + path, headers=bearer(bob)).status_code == 404
    assert post(client, bearer(bob), f"{path}/replay").status_code == 404
    Webhook.objects.filter(owner=bob).delete()
    assert [list(Webhook.objects.values()), list(WebhookDelivery.objects.values())] == before


def test_what_is_off_sends_nothing_by_hand(client: Client, alice: User, write: dict) -> None:
    webhook = hook(alice)
    Webhook.objects.update(disabled_for="owner")

    answer = post(client, write, f"/{webhook.public_id}/test")

    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "webhook_disabled")
    assert not WebhookDelivery.objects.exists()


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=101", "limit=x", "cursor=zzz", f"cursor={encode_cursor(['a'])}"]
    + [f"cursor={encode_cursor([value])}" for value in (-1, 2**63, True, 1.5)],
)
def test_wrong_pages(client: Client, alice: User, write: dict, query: str) -> None:
    webhook = hook(alice)

    answer = client.get(f"{API}/{webhook.public_id}/deliveries?{query}", headers=write)

    assert answer.status_code == 400
