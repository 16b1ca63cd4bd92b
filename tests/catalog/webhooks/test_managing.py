"""The life of a webhook, and what is refused with nothing changed."""

import base64
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from accounts.models import AuditEvent, Scope, User
from accounts.services.profile import delete_account
from accounts.viewer import MissingScopeError, Viewer
from catalog.models import Webhook, WebhookDelivery, WebhookWatch
from catalog.services.webhooks import managing, signing
from catalog.services.webhooks.managing import (
    TooManyWebhooksError,
    WebhookNotFoundError,
    Wish,
    create,
    delete,
    renew_key,
    set_enabled,
    update,
    webhook_for,
    webhooks_of,
)
from store.core.errors import InvalidError, StoreError, UnauthenticatedError
from store.core.models import Job
from store.core.outgoing.rules import OutgoingRefusedError
from tests.catalog.webhooks.conftest import happen, hook, quiet_repo
from tests.factories import PASSWORD
from tests.threads import at_once

URL = "https://hooks.example.org/in?key=abc"
WATCHED = [{"type": "user", "name": "julien-c"}, {"type": "org", "name": "HuggingFaceH4"}]


def everything() -> list[object]:
    """All there is to know about webhooks."""
    rows = Webhook.objects.order_by("pk").values()
    return [*map(dict, rows), *map(dict, WebhookWatch.objects.order_by("pk").values())]


def test_a_webhook_is_made_as_wished(as_alice: Viewer) -> None:
    webhook, key = create(as_alice, Wish(url=URL, watched=WATCHED, secret="my-secret"))

    assert (webhook.owner, webhook.url, webhook.is_disabled) == (as_alice.user, URL, False)
    assert webhook.domains == ["repo", "discussion"]
    assert list(webhook.watches.values_list("kind", "name")) == [
        ("user", "julien-c"),
        ("org", "HuggingFaceH4"),
    ]
    assert len(base64.b64decode(key.removeprefix("whsec_"))) == 32
    found = signing.secrets_of(Webhook.objects.get())
    assert (found.word, found.keys) == ("my-secret", (key,))
    event = AuditEvent.objects.get(action="webhook.create")
    assert (event.subject, event.detail) == (
        "hooks.example.org",
        {"webhook": webhook.public_id},
    )


def test_no_secret_lies_in_the_database(as_alice: Viewer) -> None:
    _, key = create(as_alice, Wish(url=URL, watched=WATCHED, secret="plainly-visible"))

    with connection.cursor() as cursor:
        cursor.execute("SELECT t::text FROM catalog_webhook t")
        text = cursor.fetchone()[0]
    assert "plainly-visible" not in text
    assert key not in text
    assert key.removeprefix("whsec_") not in text


def test_names_need_not_exist_and_are_kept_once(as_alice: Viewer) -> None:
    watched = [
        {"type": "model", "name": "gpt2"},
        {"type": "model", "name": "GPT2"},
        {"type": "model", "name": "no-body/nothing"},
        {"type": "dataset", "name": "a/b"},
        {"type": "space", "name": "a/b"},
        {"type": "bucket", "name": "a/b"},
    ]

    webhook, _ = create(as_alice, Wish(url=URL, watched=watched))

    assert [str(watch) for watch in webhook.watches.all()] == [
        "model:gpt2",
        "model:no-body/nothing",
        "dataset:a/b",
        "space:a/b",
        "bucket:a/b",
    ]


@pytest.mark.parametrize(
    ("wish", "error"),
    [
        (Wish(watched=WATCHED), OutgoingRefusedError),
        (Wish(url="ftp://example.org/", watched=WATCHED), OutgoingRefusedError),
        (Wish(url="http://10.0.0.1/", watched=WATCHED), OutgoingRefusedError),
        (Wish(url="http://[::1]/", watched=WATCHED), OutgoingRefusedError),
        (Wish(url="https://a:b@example.org/", watched=WATCHED), OutgoingRefusedError),
        (Wish(url="https://example.org/\r\nX: y", watched=WATCHED), OutgoingRefusedError),
        (Wish(url="https://example.org/" + "a" * 2000, watched=WATCHED), OutgoingRefusedError),
        (Wish(url=URL), InvalidError),
        (Wish(url=URL, watched=[]), InvalidError),
        (Wish(url=URL, watched=[{"type": "model"}]), InvalidError),
        (Wish(url=URL, watched=[{"type": "planet", "name": "a"}]), InvalidError),
        (Wish(url=URL, watched=[{"type": "model", "name": 7}]), InvalidError),
        (Wish(url=URL, watched=[{"type": "model", "name": ""}]), InvalidError),
        (Wish(url=URL, watched=[{"type": "model", "name": "a/b/c"}]), InvalidError),
        (Wish(url=URL, watched=[{"type": "user", "name": "a/b"}]), InvalidError),
        (Wish(url=URL, watched=[{"type": "user", "name": "a\n"}]), InvalidError),
        (
            Wish(url=URL, watched=[{"type": "user", "name": f"a{n}"} for n in range(101)]),
            InvalidError,
        ),
        (Wish(url=URL, watched=WATCHED, domains=[]), InvalidError),
        (Wish(url=URL, watched=WATCHED, domains=["repo", "weather"]), InvalidError),
        (Wish(url=URL, watched=WATCHED, secret="a\r\nX-Other: b"), InvalidError),
        (Wish(url=URL, watched=WATCHED, secret=" a"), InvalidError),
        (Wish(url=URL, watched=WATCHED, secret="geheimnisvollé"), InvalidError),
        (Wish(url=URL, watched=WATCHED, secret="a" * 257), InvalidError),
    ],
)
def test_a_wrong_wish_makes_nothing(as_alice: Viewer, wish: Wish, error: type[StoreError]) -> None:
    with pytest.raises(error):
        create(as_alice, wish)

    assert everything() == []
    assert not AuditEvent.objects.filter(action__startswith="webhook.").exists()


@pytest.mark.parametrize(
    "wish",
    [
        Wish(url="http://10.0.0.1/"),
        Wish(domains=[]),
        Wish(domains=["repo"], secret="\n"),
        Wish(url="https://other.example.org/", watched=[{"type": "user", "name": "/"}]),
    ],
)
def test_a_wrong_change_changes_nothing(as_alice: Viewer, alice: User, wish: Wish) -> None:
    webhook = hook(alice, URL)
    before = everything()

    with pytest.raises(StoreError):
        update(as_alice, webhook, wish)

    assert everything() == before


def test_what_is_not_named_stays(as_alice: Viewer, alice: User) -> None:
    webhook = hook(alice, URL, "model:alice/tiny", domains=["repo"], secret="one")
    before = everything()

    update(as_alice, webhook, Wish(watched=[]))  # as huggingface_hub always sends it
    changed = [row | {"updated_at": None} for row in everything()]
    assert changed == [row | {"updated_at": None} for row in before]

    update(as_alice, webhook, Wish(url="https://other.example.org/"))
    update(as_alice, webhook, Wish(watched=WATCHED, domains=["discussion"], secret="two"))
    webhook.refresh_from_db()
    assert (webhook.url, webhook.domains) == ("https://other.example.org/", ["discussion"])
    assert [watch.name for watch in webhook.watches.all()] == ["julien-c", "HuggingFaceH4"]
    assert signing.secrets_of(webhook).word == "two"

    update(as_alice, webhook, Wish(secret=""))
    assert signing.secrets_of(Webhook.objects.get()).word == ""


def test_a_new_address_starts_without_the_old_ones_failures(as_alice: Viewer, alice: User) -> None:
    webhook = hook(alice, URL)
    late = timezone.now() + timedelta(hours=1)
    Webhook.objects.update(failures=7, failing_since=timezone.now(), rest_until=late)

    same = update(as_alice, webhook, Wish(url=URL))
    assert same.failures == 7
    other = update(as_alice, webhook, Wish(url="https://other.example.org/"))

    assert (other.failures, other.failing_since, other.rest_until) == (0, None, None)


def test_everybody_else_sees_nothing(as_alice: Viewer, as_bob: Viewer, alice: User) -> None:
    webhook = hook(alice)
    before = everything()
    token = Viewer(user=alice, token=None)
    assert webhook_for(token, webhook.public_id) == webhook

    for change in (
        lambda who: webhook_for(who, webhook.public_id),
        lambda who: update(who, webhook, Wish(domains=["repo"])),
        lambda who: set_enabled(who, webhook, is_enabled=False),
        lambda who: renew_key(who, webhook),
        lambda who: delete(who, webhook),
    ):
        with pytest.raises(WebhookNotFoundError):
            change(as_bob)
        with pytest.raises(UnauthenticatedError):
            change(Viewer())
    assert list(webhooks_of(as_bob)) == []
    assert everything() == before


def test_a_token_that_only_reads_sees_no_addresses(alice: User) -> None:
    from accounts.services.tokens import authenticate, create_token

    hook(alice)
    text = create_token(alice, name="ci", scopes=[Scope.READ])[1]

    with pytest.raises(MissingScopeError):
        webhooks_of(authenticate(text))


def test_on_and_off(as_alice: Viewer, alice: User) -> None:
    webhook = hook(alice)
    repo = quiet_repo(alice)

    off = set_enabled(as_alice, webhook, is_enabled=False)
    assert (off.disabled_for, off.disabled_at is None) == ("owner", False)
    again = set_enabled(as_alice, webhook, is_enabled=False)
    assert again.disabled_at == off.disabled_at
    happen(repo)
    on = set_enabled(as_alice, webhook, is_enabled=True)
    set_enabled(as_alice, webhook, is_enabled=True)

    assert (on.disabled_for, on.disabled_at) == ("", None)
    assert not WebhookDelivery.objects.exists()
    trail = AuditEvent.objects.filter(action__startswith="webhook.").order_by("pk")
    assert [event.action for event in trail] == [
        "webhook.create",
        "webhook.disable",
        "webhook.enable",
    ]


def test_a_new_key_signs_beside_the_old_one_for_a_day(as_alice: Viewer) -> None:
    webhook, first = create(as_alice, Wish(url=URL, watched=WATCHED))

    renewed, second = renew_key(as_alice, webhook)

    assert first != second
    assert signing.secrets_of(renewed).keys == (second, first)
    Webhook.objects.update(old_key_until=timezone.now())
    assert signing.secrets_of(Webhook.objects.get()).keys == (second,)


def test_an_account_leaves_no_webhook_behind(alice: User) -> None:
    hook(alice)

    delete_account(alice, confirmation="alice", password=PASSWORD)

    assert everything() == []


def test_as_many_as_one_may_have(
    as_alice: Viewer, alice: User, bob: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(managing, "MAX_WEBHOOKS", 2)
    hook(alice)
    first = hook(alice)

    with pytest.raises(TooManyWebhooksError):
        hook(alice)
    assert Webhook.objects.count() == 2
    hook(bob)
    delete(as_alice, first)
    hook(alice)


@pytest.mark.django_db(transaction=True)
def test_many_at_once_are_never_more_than_one_may_have(monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.factories import make_user

    monkeypatch.setattr(managing, "MAX_WEBHOOKS", 3)
    alice = make_user("alice")

    def make(_number: int) -> bool:
        try:
            return bool(hook(alice))
        except TooManyWebhooksError:
            return False

    assert sorted(at_once(make, 8)) == [False] * 5 + [True] * 3
    assert Webhook.objects.count() == 3


@pytest.mark.django_db(transaction=True)
def test_on_off_and_delete_at_the_same_time_end_in_one_of_them() -> None:
    from tests.factories import make_user

    alice = make_user("alice")
    as_alice = Viewer(user=alice)
    for _ in range(3):
        webhook = hook(alice)

        def act(number: int, webhook: Webhook = webhook) -> str:
            try:
                if number == 6:
                    delete(as_alice, webhook)
                    return "deleted"
                on = bool(number % 2)
                return set_enabled(as_alice, webhook, is_enabled=on).disabled_for
            except WebhookNotFoundError:
                return "gone"

        assert set(at_once(act, 6)) <= {"", "owner"}
        row = Webhook.objects.get()
        assert (row.disabled_at is None) == (row.disabled_for == "")
        assert "deleted" in at_once(act, 7)
        assert not Webhook.objects.exists()
    assert not Job.objects.filter(state="failed").exists()
