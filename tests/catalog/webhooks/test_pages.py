"""The pages of webhooks, without JavaScript."""

import html
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from standardwebhooks.webhooks import Webhook as Verifier

from accounts.models import User
from catalog.models import Webhook, WebhookDelivery
from catalog.services.events import spread
from catalog.services.webhooks import signing
from catalog.templatetags.webhooks_ui import happened
from catalog.views import webhooks as views
from tests import receivers
from tests.catalog.webhooks.conftest import happen, hook, quiet_repo
from tests.factories import make_org
from tests.receivers import Receiver

LIST = "/settings/webhooks"
HTML = {"Accept": "text/html"}
FORM = {
    "url": "https://ci.example.org/hook?key=abc",
    "watched": "acme\nbob\n\nalice/tiny\ndataset:a/b\n",
    "domains": ["repo"],
    "secret": "word",
}


@pytest.fixture
def browser(alice: User, browser_of: Callable[[User], Client]) -> Client:
    return browser_of(alice)


def page(browser: Client, path: str = "", status: int = 200) -> str:
    answer = browser.get(LIST + path, headers=HTML)
    assert answer.status_code == status, answer.content[-2000:]
    assert b"{%" not in answer.content
    return html.unescape(answer.content.decode())


def send(browser: Client, path: str, data: Any = None, **more: Any) -> Any:
    return browser.post(LIST + path, data or {}, headers=HTML, **more)


def test_nothing_yet(browser: Client) -> None:
    text = page(browser)

    assert "No webhooks yet" in text
    assert f'href="{LIST}/new"' in text


def test_a_webhook_is_made_and_its_key_shown_once(browser: Client, alice: User, bob: User) -> None:
    make_org("acme", alice="admin")
    assert "<textarea" in page(browser, "/new")

    made = send(browser, "/new", FORM)

    assert made.status_code == 201
    webhook = Webhook.objects.get()
    assert (webhook.owner, webhook.url, webhook.domains) == (alice, FORM["url"], ["repo"])
    assert [str(watch) for watch in webhook.watches.all()] == [
        "org:acme",
        "user:bob",
        "model:alice/tiny",
        "dataset:a/b",
    ]
    secrets = signing.secrets_of(webhook)
    assert secrets.word == "word"
    assert secrets.keys[0] in html.unescape(made.content.decode())
    assert b"from standardwebhooks import Webhook\n" in made.content
    assert b"{%" not in made.content
    assert "no-store" in made["Cache-Control"]
    for path in ("", f"/{webhook.public_id}", f"/{webhook.public_id}/edit"):
        text = page(browser, path)
        assert secrets.keys[0] not in text
        assert "word" not in re.findall(r'value="([^"]*)"', text)
    assert FORM["url"] in page(browser)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"url": "http://10.0.0.1/"}, "does not send to this address"),
        ({"url": ""}, "required"),
        ({"watched": "a b"}, "This is no name: a b"),
        ({"watched": "planet:x"}, "This is no name"),
        ({"watched": "<script>alert(1)</script>"}, "This is no name"),
        ({"watched": "\n \n"}, "required"),
        ({"watched": "x" * 141}, "This is no name"),
        ({"domains": []}, "required"),
        ({"domains": ["weather"]}, "not one of the available choices"),
        ({"secret": "a\tb"}, "visible ASCII"),
        ({"secret": "x" * 257}, "at most 256"),
    ],
)
def test_a_wrong_form_says_why_and_makes_nothing(
    browser: Client, alice: User, change: dict, text: str
) -> None:
    answer = send(browser, "/new", FORM | change)

    shown = answer.content.decode()
    assert answer.status_code == 400
    assert text in html.unescape(shown)
    assert "<script>alert" not in shown
    assert not Webhook.objects.exists()

    webhook = hook(alice)
    before = list(Webhook.objects.values())
    assert send(browser, f"/{webhook.public_id}/edit", FORM | change).status_code == 400
    assert list(Webhook.objects.values()) == before


def test_change(browser: Client, alice: User) -> None:
    webhook = hook(
        alice, FORM["url"], "user:bob", "model:gpt2", "model:a/b", "space:a/b", secret="word"
    )
    path = f"/{webhook.public_id}/edit"
    text = page(browser, path)
    assert "bob\nmodel:gpt2\na/b\nspace:a/b</textarea>" in text
    assert "Remove the secret word" in text

    same = {"watched": "bob\nmodel:gpt2\na/b\nspace:a/b", "domains": ["repo", "discussion"]}
    answer = send(browser, path, same | {"url": FORM["url"]})
    assert answer.headers["Location"] == f"{LIST}/{webhook.public_id}"
    webhook = Webhook.objects.get()
    assert signing.secrets_of(webhook).word == "word"
    assert webhook.watches.count() == 4

    send(browser, path, FORM | {"secret": "another"})
    assert signing.secrets_of(Webhook.objects.get()).word == "another"
    send(browser, path, FORM | {"secret": "", "removes_secret": "on"})
    assert signing.secrets_of(Webhook.objects.get()).word == ""
    assert "Remove the secret word" not in page(browser, path)


def test_switch_key_and_delete(browser: Client, alice: User) -> None:
    webhook = hook(alice)
    path = f"/{webhook.public_id}"
    [old] = signing.secrets_of(webhook).keys

    send(browser, f"{path}/disable")
    text = page(browser, path)
    assert "This webhook is off" in text
    assert "Switch on" in text
    assert "Send a test event" not in text
    assert "Off" in page(browser)
    send(browser, f"{path}/enable")
    assert "This webhook is off" not in page(browser, path)
    renewed = send(browser, f"{path}/key")
    new, still = signing.secrets_of(Webhook.objects.get()).keys
    assert (renewed.status_code, still) == (201, old)
    assert new in html.unescape(renewed.content.decode())
    assert send(browser, f"{path}/toggle").status_code == 404
    assert send(browser, f"{path}/delete").headers["Location"] == LIST
    assert not Webhook.objects.exists()
    page(browser, path, 404)


def test_a_test_event_and_its_delivery(
    browser: Client, alice: User, receiver: Callable[..., Receiver], run_jobs: Callable[[], Any]
) -> None:
    got = receiver(receivers.status(500, 200))
    webhook = hook(alice, got.url)
    path = f"/{webhook.public_id}"
    assert "Nothing was sent yet" in page(browser, path)

    sent = send(browser, f"{path}/test")
    where = sent.headers["Location"].removeprefix(LIST)
    waiting = page(browser, where)
    assert "It is on its way" in waiting
    assert "hx-trigger" in waiting
    run_jobs()
    failed = page(browser, where)
    assert "HTTP 500" in failed
    assert "Failed" in failed
    assert "hx-trigger" not in failed
    send(browser, f"{where}/replay")
    run_jobs()

    text = page(browser, where)
    assert "HTTP 200" in text
    assert "Delivered" in text
    [key] = signing.secrets_of(webhook).keys
    request = got.requests[-1]
    assert json.dumps(Verifier(key).verify(request.body, request.headers), indent=2) in text
    shown = page(browser, path)
    assert "test" in shown
    assert "HTTP 200" in shown


def test_failures_and_reasons_are_told(
    browser: Client, alice: User, receiver: Callable[..., Receiver], run_jobs: Callable[[], Any]
) -> None:
    webhook = hook(alice, receiver(receivers.close).url)
    spread(happen(quiet_repo(alice)).pk)
    run_jobs()
    path = f"/{webhook.public_id}"

    text = page(browser, path)
    assert "1 attempt has failed" in text
    assert "an answer that is no HTTP" in text
    assert "Will be tried again" in text
    assert "Failing" in page(browser)
    delivery = WebhookDelivery.objects.get()
    assert "Next attempt:" in page(browser, f"{path}/deliveries/{delivery.public_id}")

    now = timezone.now()
    Webhook.objects.update(disabled_for="gone", disabled_at=now, skipped=3, skipped_at=now)
    text = page(browser, path)
    assert "gone for good (410)" in text
    assert "3 events came on days that had too many" in text
    WebhookDelivery.objects.update(state="dropped", next_try_at=None, payload="", ended_at=now)
    text = page(browser, f"{path}/deliveries/{delivery.public_id}")
    assert "you may not see this model any more" in text
    assert "not kept any more" in text
    assert "Send again" not in text


def test_deliveries_page_by_page(
    browser: Client, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(views, "DELIVERIES_PAGE", 2)
    webhook = hook(alice)
    repo = quiet_repo(alice)
    for scope, action in (("repo", "create"), ("repo.content", "update"), ("repo", "delete")):
        spread(happen(repo, scope, action).pk)
    path = f"/{webhook.public_id}"

    first = page(browser, path)
    [older] = re.findall(r'href="(\?before=\d+)"', first)
    second = page(browser, path + older)
    assert "deleted" in first
    assert "new commits" in first
    assert "made" in second
    assert "new commits" not in second
    assert "before" not in "".join(re.findall(r'href="(\?[^"]*)"', second))
    assert "new commits" in page(browser, path + "?before=²")


def test_every_event_has_words() -> None:
    assert happened(WebhookDelivery(scope="repo.config", action="update")) == "settings changed"
    assert happened(WebhookDelivery(scope="repo", action="update")) == "repo update"


def test_what_receivers_are_called_is_escaped(browser: Client, alice: User) -> None:
    hook(alice, "https://a.example.org/<script>alert(1)</script>\"'")

    assert b"<script>alert" not in browser.get(LIST, headers=HTML).content


def test_others_and_visitors_get_nothing(
    client: Client, alice: User, bob: User, browser_of: Callable[[User], Client], bearer
) -> None:
    webhook = hook(alice)
    spread(happen(quiet_repo(alice)).pk)
    delivery = WebhookDelivery.objects.get()
    one = f"/{webhook.public_id}"
    other = f"{one}/deliveries/{delivery.public_id}"
    before = [list(Webhook.objects.values()), list(WebhookDelivery.objects.values())]
    his = browser_of(bob)

    for path in (one, f"{one}/edit", other):
        page(his, path, 404)
        asked = client.get(LIST + path, headers=HTML)
        assert asked.headers["Location"].startswith("/login?next=")
        assert client.get(LIST + path, headers=HTML | bearer(alice, "admin")).status_code == 403
    for path in (f"{one}/edit", f"{one}/test", f"{one}/key", f"{one}/delete", f"{other}/replay"):
        assert send(his, path, FORM).status_code == 404
        assert send(client, path, FORM).status_code == 302
        assert his.get(LIST + path, headers=HTML).status_code in {404, 405}
    assert [list(Webhook.objects.values()), list(WebhookDelivery.objects.values())] == before


def test_forms_need_their_secret(alice: User) -> None:
    webhook = hook(alice)
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(alice)

    for path in ("/new", f"/{webhook.public_id}/delete", f"/{webhook.public_id}/test"):
        assert send(strict, path, FORM).status_code == 403
    assert Webhook.objects.count() == 1
    assert not WebhookDelivery.objects.exists()


def test_a_models_settings_name_the_webhooks_that_hear_of_it(
    browser: Client, alice: User, bob: User
) -> None:
    quiet_repo(alice)
    address = "/alice/tiny/settings"
    hook(bob, "https://bobs.example.org/", "model:alice/tiny")
    empty = browser.get(address, headers=HTML).content.decode()
    assert "No webhook of yours" in empty
    assert "bobs.example.org" not in empty
    assert f'href="{LIST}/new?watch=alice/tiny"' in empty
    assert "alice/tiny</textarea>" in page(browser, "/new?watch=alice/tiny")

    hook(alice, "https://by-name.example.org/", "model:alice/tiny")
    hook(alice, "https://by-owner.example.org/", "user:alice")
    hook(alice, "https://elsewhere.example.org/", "model:alice/other")

    text = browser.get(address, headers=HTML).content.decode()
    assert "by-name.example.org" in text
    assert "by-owner.example.org" in text
    assert "elsewhere.example.org" not in text


def test_the_list_costs_few_queries(
    browser: Client, alice: User, django_assert_max_num_queries: Any
) -> None:
    for _ in range(20):
        hook(alice)

    with django_assert_max_num_queries(8):
        page(browser)
