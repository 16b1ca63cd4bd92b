"""Contract 16, call by call."""

from typing import Any

import pytest
from django.test import Client

from accounts.models import User
from catalog.models import Webhook, WebhookWatch

API = "/api/settings/webhooks"
BODY = {
    "url": "https://webhook.site/test",
    "watched": [
        {"type": "user", "name": "julien-c"},
        {"type": "org", "name": "HuggingFaceH4"},
    ],
    "domains": ["repo", "discussion"],
    "secret": "my-secret",
}


@pytest.fixture
def write(alice: User, bearer) -> dict[str, str]:
    return bearer(alice)


def call(client: Client, headers: dict[str, str], path: str = "", body: Any = None):
    return client.post(API + path, body, content_type="application/json", headers=headers)


def rows() -> list[Any]:
    return [list(Webhook.objects.values()), list(WebhookWatch.objects.order_by("pk").values())]


def test_make_read_list(client: Client, write: dict) -> None:
    made = call(client, write, body=BODY)

    webhook = made.json()["webhook"]
    assert made.status_code == 200
    key = webhook.pop("signingKey")
    assert key.startswith("whsec_")
    ident = Webhook.objects.get().public_id
    assert webhook == {"id": ident, "disabled": False} | BODY
    del webhook["secret"]
    assert client.get(f"{API}/{ident}", headers=write).json() == {"webhook": webhook}
    assert client.get(API, headers=write).json() == [webhook]


def test_what_is_left_out_has_a_default(client: Client, write: dict) -> None:
    body = {"url": BODY["url"], "watched": BODY["watched"], "secret": None}

    webhook = call(client, write, body=body).json()["webhook"]

    assert webhook["domains"] == ["repo", "discussion"]
    assert "secret" not in webhook


def test_change(client: Client, write: dict) -> None:
    ident = call(client, write, body=BODY).json()["webhook"]["id"]

    changed = call(client, write, f"/{ident}", {"watched": [], "url": "https://webhook.site/new"})

    assert changed.json() == {
        "webhook": {"id": ident, "disabled": False}
        | {name: BODY[name] for name in ("watched", "domains")}
        | {"url": "https://webhook.site/new"}
    }
    other = {"watched": [{"type": "model", "name": "gpt2"}], "domains": ["repo"], "secret": "new"}
    changed = call(client, write, f"/{ident}", other).json()["webhook"]
    assert {name: changed[name] for name in other} == other


def test_switch(client: Client, write: dict) -> None:
    ident = call(client, write, body=BODY).json()["webhook"]["id"]

    off = call(client, write, f"/{ident}/disable").json()["webhook"]
    assert (off["disabled"], off["disabledReason"]) == (True, "owner")
    assert call(client, write, f"/{ident}/disable").json()["webhook"] == off
    on = call(client, write, f"/{ident}/enable").json()["webhook"]
    assert on["disabled"] is False
    assert "disabledReason" not in on
    assert call(client, write, f"/{ident}/toggle").status_code == 404


def test_delete(client: Client, write: dict) -> None:
    ident = call(client, write, body=BODY).json()["webhook"]["id"]

    assert client.delete(f"{API}/{ident}", headers=write).status_code == 200

    for answer in (
        client.get(f"{API}/{ident}", headers=write),
        client.delete(f"{API}/{ident}", headers=write),
        call(client, write, f"/{ident}", {}),
        call(client, write, f"/{ident}/enable"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (404, "webhook_not_found")
        assert "X-Error-Code" not in answer
    assert client.get(API, headers=write).json() == []


def test_others_and_absent_look_the_same(client: Client, write: dict, bob: User, bearer) -> None:
    ident = call(client, write, body=BODY).json()["webhook"]["id"]
    before, his = rows(), bearer(bob)

    for wanted in (ident, "0" * 24):
        answers = [
            client.get(f"{API}/{wanted}", headers=his),
            client.delete(f"{API}/{wanted}", headers=his),
            call(client, his, f"/{wanted}", {"domains": ["repo"]}),
            call(client, his, f"/{wanted}/disable"),
        ]
        assert {(answer.status_code, answer.content) for answer in answers} == {
            (404, answers[0].content)
        }
    assert rows() == before


def test_visitors_cookies_and_weak_tokens_change_nothing(
    client: Client, alice: User, write: dict, bearer, browser_of
) -> None:
    ident = call(client, write, body=BODY).json()["webhook"]["id"]
    before = rows()

    for caller, headers, status in (
        (client, {}, 401),
        (client, bearer(alice, "read"), 403),
        (client, bearer(alice, "buy"), 403),
        (client, {"Authorization": "Bearer hf_wrong"}, 401),
        (browser_of(alice), {}, 401),
    ):
        assert call(caller, headers, body=BODY).status_code == status
        assert call(caller, headers, f"/{ident}", {"domains": ["repo"]}).status_code == status
        assert call(caller, headers, f"/{ident}/disable").status_code == status
        assert caller.delete(f"{API}/{ident}", headers=headers).status_code == status
    assert client.get(API, headers=bearer(alice, "read")).status_code == 403
    assert client.get(API).status_code == 401
    assert rows() == before


@pytest.mark.parametrize(
    "body",
    [
        {},
        BODY | {"url": None},
        BODY | {"url": ""},
        BODY | {"url": 7},
        BODY | {"url": "ftp://webhook.site/"},
        BODY | {"url": "http://169.254.169.254/latest"},
        BODY | {"watched": None},
        BODY | {"watched": []},
        BODY | {"watched": "user:alice"},
        BODY | {"watched": ["user:alice"]},
        BODY | {"watched": [{"type": [], "name": {}}]},
        BODY | {"watched": [{"type": "user", "name": "a\u0000"}]},
        BODY | {"domains": []},
        BODY | {"domains": ["weather"]},
        BODY | {"domains": [["repo"]]},
        BODY | {"secret": 5},
        BODY | {"secret": "a\nb"},
        {"jobSourceId": "abc", "watched": BODY["watched"]},
        BODY | {"secrets": {"HF_TOKEN": "x"}},
        [],
    ],
)
def test_nonsense_makes_nothing(client: Client, write: dict, body: Any) -> None:
    answer = call(client, write, body=body)

    assert answer.status_code == 400
    assert answer.json()["error"]
    assert rows() == [[], []]


@pytest.mark.parametrize(
    "body",
    [
        {"url": ""},
        {"url": 7},
        {"url": "http://169.254.169.254/latest"},
        {"watched": "user:alice"},
        {"watched": [{"type": "planet", "name": "x"}], "domains": ["repo"]},
        {"domains": []},
        {"secret": "a\nb", "url": "https://webhook.site/new"},
        {"jobSourceId": "abc"},
    ],
)
def test_a_wrong_change_changes_nothing(client: Client, write: dict, body: Any) -> None:
    ident = call(client, write, body=BODY).json()["webhook"]["id"]
    before = rows()

    assert call(client, write, f"/{ident}", body).status_code == 400
    assert rows() == before


def test_every_refused_address_gets_the_same_answer(client: Client, write: dict) -> None:
    urls = ["http://a.org", "https://10.0.0.1/", "https://a.org:22/", "file:///etc/passwd", "x"]

    answers = {call(client, write, body=BODY | {"url": url}).content for url in urls}

    assert len(answers) == 1


def test_methods(client: Client, write: dict) -> None:
    assert client.delete(API, headers=write).status_code == 405
    assert client.put(f"{API}/x", headers=write).status_code == 405
    assert client.get(f"{API}/x/enable", headers=write).status_code == 405
