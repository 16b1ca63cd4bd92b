"""Who is told of what, in which words."""

import json
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone
from huggingface_hub._webhooks_payload import WebhookPayload

from accounts.models import User
from accounts.services.people import set_member
from accounts.viewer import Viewer
from catalog.models import Listing, ModelRepo, RepoAlias, RepoEvent, Webhook, WebhookDelivery
from catalog.services.events import spread
from catalog.services.repos import change_settings, delete_repo, move_repo
from catalog.services.webhooks import listening
from store.core.models import Job
from tests.catalog.webhooks.conftest import happen, hook, quiet_repo
from tests.factories import make_org


def told(event: RepoEvent) -> list[str]:
    """The owners who are told of ``event``, in order."""
    spread(event.pk)
    rows = WebhookDelivery.objects.filter(event=event).order_by("webhook__owner__username")
    return list(rows.values_list("webhook__owner__username", flat=True))


def payload_of(event: RepoEvent) -> dict:
    """What alice's one webhook is told of ``event``; valid for the real client."""
    if not Webhook.objects.exists():
        hook(event.actor, "https://hooks.example.org/", f"user:{event.namespace.name}")
        Webhook.objects.update(created_at=event.at)
    spread(event.pk)
    payload = json.loads(WebhookDelivery.objects.get(event=event).payload)
    WebhookPayload.model_validate(payload)
    return payload


# ── who ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "watched",
    [
        "user:alice",
        "user:ALICE",
        "org:alice",
        "model:alice/tiny",
        "model:Alice/Tiny",
        "model:short",
    ],
)
def test_a_watched_name_is_heard(alice: User, bob: User, watched: str) -> None:
    repo = quiet_repo(alice)
    RepoAlias.objects.create(name="short", repo=repo)
    hook(bob, "https://hooks.example.org/", watched)

    assert told(happen(repo)) == ["bob"]


@pytest.mark.parametrize(
    "watched",
    ["user:bob", "model:alice/tin", "model:alice", "model:tiny", "dataset:alice/tiny", "user:tiny"],
)
def test_other_names_are_not(alice: User, bob: User, watched: str) -> None:
    repo = quiet_repo(alice)
    hook(bob, "https://hooks.example.org/", watched)

    assert told(happen(repo)) == []


def test_a_webhook_hears_once_whatever_it_watches(alice: User, bob: User) -> None:
    repo = quiet_repo(alice)
    hook(bob, "https://hooks.example.org/", "user:alice", "model:alice/tiny")
    event = happen(repo)

    spread(event.pk)
    spread(event.pk)

    assert told(event) == ["bob"]
    assert Job.objects.filter(name="catalog.deliver_webhook").count() == 1


def test_what_was_before_the_webhook_is_not_heard(alice: User) -> None:
    event = happen(quiet_repo(alice))
    hook(alice)

    assert told(event) == []


def test_only_the_domains_that_were_chosen(alice: User, bob: User) -> None:
    repo = quiet_repo(alice)
    hook(alice, "https://hooks.example.org/", "user:alice", domains=["discussion"])
    hook(bob, "https://hooks.example.org/", "user:alice", domains=["repo"])
    talk = {"num": 1, "title": "t", "status": "open", "is_pull_request": False}

    assert told(happen(repo)) == ["bob"]
    assert told(happen(repo, "repo", "create")) == ["bob"]
    assert told(happen(repo, "repo.config")) == ["bob"]
    assert told(happen(repo, "discussion", "create", **talk)) == ["alice"]
    assert told(happen(repo, "discussion.comment", "create", comment="c3", **talk)) == ["alice"]


@pytest.mark.parametrize("scope", ["like", "access"])
def test_the_hub_has_no_words_for_some_events(alice: User, scope: str) -> None:
    repo = quiet_repo(alice)
    hook(alice)

    assert told(happen(repo, scope, "create")) == []


def test_a_private_repository_is_told_to_its_own_only(alice: User, bob: User) -> None:
    from tests.factories import make_user

    carol = make_user("carol")
    acme = make_org("acme", alice="admin", bob="read")
    repo = quiet_repo(alice, namespace="acme", is_private=True)
    for person in (alice, bob, carol):
        hook(person, "https://hooks.example.org/", "org:acme", "model:acme/tiny")

    assert told(happen(repo)) == ["alice", "bob"]
    set_member(acme, bob, None, actor=None)
    assert told(happen(repo)) == ["alice"]
    change_settings(Viewer(user=alice), repo, is_private=False)
    assert told(happen(repo)) == ["alice", "bob", "carol"]


def test_a_disabled_webhook_and_a_disabled_person_hear_nothing(alice: User, bob: User) -> None:
    repo = quiet_repo(alice)
    hook(alice)
    hook(bob, "https://hooks.example.org/", "user:alice")
    Webhook.objects.filter(owner=alice).update(disabled_for="owner")
    User.objects.filter(pk=bob.pk).update(is_active=False)

    assert told(happen(repo)) == []


def test_a_deletion_is_told_to_those_who_could_see(alice: User, bob: User) -> None:
    for is_private, expected in ((False, ["alice", "bob"]), (True, ["alice"])):
        Webhook.objects.all().delete()
        repo = quiet_repo(alice, is_private=is_private)
        for person in (alice, bob):
            hook(person, "https://hooks.example.org/", "model:alice/tiny")
        event = happen(repo, "repo", "delete")
        delete_repo(Viewer(user=alice), ModelRepo.objects.get(pk=repo.pk))
        event.refresh_from_db()

        assert event.repo is None
        assert told(event) == expected


@pytest.mark.parametrize("questions", range(4))
def test_a_deletion_between_two_questions_hides_nothing(alice: User, questions: int) -> None:
    repo = quiet_repo(alice, is_private=True)
    event = happen(repo)
    asked = 0

    def delete_after(execute, sql, params, many, context):
        nonlocal asked
        asked += 1
        if asked == questions + 1:
            delete_repo(Viewer(user=alice), ModelRepo.objects.get(pk=repo.pk))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(delete_after):
        assert listening.may_hear(alice, event)


def test_what_was_public_and_went_private_before_it_went_is_not_told(
    alice: User, bob: User
) -> None:
    repo = quiet_repo(alice)
    hook(bob, "https://hooks.example.org/", "model:alice/tiny")
    early = happen(repo)
    ModelRepo.objects.filter(pk=repo.pk).update(is_private=True)
    happen(ModelRepo.objects.select_related("namespace").get(pk=repo.pk), "repo", "delete")
    delete_repo(Viewer(user=alice), ModelRepo.objects.get(pk=repo.pk))

    assert told(early) == []


def test_a_renamed_repository_is_heard_by_every_name_it_had(alice: User, bob: User) -> None:
    make_org("acme", alice="admin")
    repo = quiet_repo(alice)
    hook(alice, "https://hooks.example.org/", "model:alice/tiny")
    hook(bob, "https://hooks.example.org/", "org:acme")

    moved = move_repo(Viewer(user=alice), repo, namespace="acme", name="big")
    move = happen(repo, "repo", "move", moved_to={"full_name": "acme/big"})

    assert told(move) == ["alice", "bob"]
    assert told(happen(moved)) == ["alice", "bob"]
    assert payload_like(move)["repo"]["name"] == "alice/tiny"
    assert payload_like(move)["movedTo"] == {
        "name": "acme/big",
        "owner": {"id": moved.namespace.organization.public_id},
    }


def payload_like(event: RepoEvent) -> dict:
    """What anybody was told of ``event``."""
    payload = json.loads(WebhookDelivery.objects.filter(event=event)[0].payload)
    WebhookPayload.model_validate(payload)
    return payload


def test_a_day_has_a_limit(alice: User, bob: User, settings) -> None:
    settings.ENV = settings.ENV.model_copy(update={"webhook_events_per_day": 2})
    repo = quiet_repo(alice)
    hook(alice)
    hook(bob, "https://hooks.example.org/", "user:alice")
    WebhookDelivery.objects.create(
        webhook=Webhook.objects.get(owner=bob),
        scope="repo",
        action="update",
        full_name="a/b",
        is_test=True,
        next_try_at=timezone.now(),
        give_up_at=timezone.now(),
    )

    assert [told(happen(repo)) for _ in range(3)] == [["alice", "bob"], ["alice", "bob"], []]
    assert list(Webhook.objects.values_list("skipped", flat=True)) == [1, 1]
    assert None not in Webhook.objects.values_list("skipped_at", flat=True)

    old = timezone.now() - timedelta(days=1, minutes=1)
    WebhookDelivery.objects.filter(webhook__owner=alice).update(created_at=old)
    assert told(happen(repo)) == ["alice"]
    settings.ENV = settings.ENV.model_copy(update={"webhook_events_per_day": 0})
    assert told(happen(repo)) == ["alice", "bob"]


def test_a_webhook_that_goes_meanwhile_is_no_trouble(
    alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo = quiet_repo(alice)
    webhook = hook(alice)
    render = listening.render
    monkeypatch.setattr(
        listening, "render", lambda *args: (Webhook.objects.all().delete(), render(*args))[1]
    )

    assert told(happen(repo)) == []
    assert not Webhook.objects.filter(pk=webhook.pk).exists()


def test_many_listeners_cost_few_queries(
    alice: User, django_assert_max_num_queries, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo = quiet_repo(alice)
    for _ in range(10):
        hook(alice)
    event = happen(repo)

    with django_assert_max_num_queries(10 + 10 * 20):
        spread(event.pk)

    assert WebhookDelivery.objects.count() == 10


# ── what ────────────────────────────────────────────────────────────────────────────────────────


def test_a_commit_in_the_hubs_words(alice: User, settings) -> None:
    settings.PUBLIC_URL = "https://models.example.org"
    repo = quiet_repo(alice)
    refs = [{"ref": "refs/heads/main", "old": "a" * 40, "new": "b" * 40}]

    payload = payload_of(happen(repo, updated_refs=refs))

    assert payload == {
        "event": {"action": "update", "scope": "repo.content"},
        "repo": {
            "type": "model",
            "name": "alice/tiny",
            "id": repo.public_id,
            "private": False,
            "url": {
                "web": "https://models.example.org/alice/tiny",
                "api": "https://models.example.org/api/models/alice/tiny",
            },
            "owner": {"id": alice.public_id},
            "headSha": "b" * 40,
        },
        "updatedRefs": [{"ref": "refs/heads/main", "oldSha": "a" * 40, "newSha": "b" * 40}],
        "webhook": {"id": Webhook.objects.get().public_id, "version": 3},
    }


def test_new_and_deleted_refs_have_one_end(alice: User) -> None:
    repo = quiet_repo(alice)
    refs = [
        {"ref": "refs/heads/a", "old": None, "new": "b" * 40},
        {"ref": "refs/heads/b", "old": "a" * 40, "new": None},
    ]

    payload = payload_of(happen(repo, updated_refs=refs))

    assert payload["updatedRefs"] == [
        {"ref": "refs/heads/a", "oldSha": None, "newSha": "b" * 40},
        {"ref": "refs/heads/b", "oldSha": "a" * 40, "newSha": None},
    ]
    assert payload["repo"]["headSha"] == Listing.objects.get(repo=repo).head_oid


def test_life_and_settings(alice: User) -> None:
    repo = quiet_repo(alice, is_private=True)

    made = payload_of(happen(repo, "repo", "create"))
    changed = payload_of(happen(repo, "repo.config", updated_config={"private": True}))
    quiet = payload_of(happen(repo, "repo.config", discussionsDisabled=True))
    gone = payload_of(happen(repo, "repo", "delete"))

    assert (made["event"], made["repo"]["private"]) == ({"action": "create", "scope": "repo"}, True)
    assert set(made) == {"event", "repo", "webhook"}
    assert changed["updatedConfig"] == {"private": True}
    assert quiet["updatedConfig"] == {"discussionsDisabled": True}
    assert gone["event"] == {"action": "delete", "scope": "repo"}
    assert "headSha" not in gone["repo"]


def test_discussions_and_comments_that_are_gone(alice: User, settings) -> None:
    settings.PUBLIC_URL = "https://models.example.org"
    repo = quiet_repo(alice)
    talk = {
        "num": 4,
        "title": "Better <b>",
        "status": "draft",
        "is_pull_request": True,
        "discussion": "d4",
    }

    opened = payload_of(happen(repo, "discussion", "create", base="refs/heads/main", **talk))
    said = payload_of(happen(repo, "discussion.comment", "create", comment="c77", **talk))

    assert opened["discussion"] == {
        "id": "d4",
        "title": "Better <b>",
        "url": {
            "web": "https://models.example.org/alice/tiny/discussions/4",
            "api": "https://models.example.org/api/models/alice/tiny/discussions/4",
        },
        "status": "draft",
        "author": {"id": alice.public_id},
        "num": 4,
        "isPullRequest": True,
        "changes": {"base": "refs/heads/main"},
    }
    assert "comment" not in opened
    assert said["comment"] == {
        "id": "c77",
        "author": {"id": alice.public_id},
        "hidden": False,
        "url": {"web": "https://models.example.org/alice/tiny/discussions/4#c77"},
    }


def test_a_payload_is_bounded(alice: User) -> None:
    repo = quiet_repo(alice)
    refs = [{"ref": f"refs/heads/{n}", "old": None, "new": "b" * 40} for n in range(5000)]
    talk = {"num": 1, "title": "x" * 100_000, "status": "open", "is_pull_request": False}

    assert len(payload_of(happen(repo, updated_refs=refs))["updatedRefs"]) == 100
    title = payload_of(happen(repo, "discussion", "create", **talk))["discussion"]["title"]
    assert title == "x" * 500


def test_nobody_in_particular_did_it(alice: User) -> None:
    repo = quiet_repo(alice)
    hook(alice)
    event = happen(repo, "discussion", "update", num=1, title="t", status="closed")
    RepoEvent.objects.filter(pk=event.pk).update(actor=None)

    assert payload_of(event)["discussion"]["author"] == {"id": ""}
