"""Discussions, pull requests and comments as webhooks tell them."""

import json
from typing import Any

from huggingface_hub._webhooks_payload import WebhookPayload

from accounts.models import User
from accounts.viewer import Viewer
from catalog.models import ModelRepo, RepoEvent, WebhookDelivery
from catalog.services import comments, discussions
from catalog.services.events import spread
from catalog.services.merging import merge
from catalog.services.publishing import AddFile, publish
from tests.catalog.webhooks.conftest import hook, quiet_repo


def told(repo: ModelRepo) -> list[dict[str, Any]]:
    """What the one webhook is told of everything that happened, in order."""
    for event in RepoEvent.objects.filter(repo=repo).order_by("pk"):
        spread(event.pk)
    rows = WebhookDelivery.objects.order_by("event")
    payloads = [json.loads(row.payload) for row in rows]
    for payload in payloads:
        WebhookPayload.model_validate(payload)
    return payloads


def kinds(payloads: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """(scope, action) of each."""
    return [(each["event"]["scope"], each["event"]["action"]) for each in payloads]


def test_a_discussion_from_beginning_to_end(alice: User, bob: User, settings: Any) -> None:
    settings.PUBLIC_URL = "https://models.example.org"
    repo = quiet_repo(alice)
    hook(alice, "https://hooks.example.org/", "model:alice/tiny", domains=["discussion"])
    as_bob = Viewer(user=bob)
    talk = discussions.open_discussion(as_bob, repo, title="It stops", text="After **ten** words.")
    said = comments.comment(Viewer(user=alice), talk, text="Which ones?")
    discussions.set_status(Viewer(user=alice), talk, status="closed")

    payloads = told(repo)

    assert kinds(payloads) == [
        ("discussion", "create"),
        ("discussion.comment", "create"),
        ("discussion.comment", "create"),
        ("discussion", "update"),
    ]
    opened, described, answered, closed = payloads
    assert described["comment"]["content"] == "After **ten** words."
    assert opened["discussion"] == {
        "id": talk.public_id,
        "title": "It stops",
        "url": {
            "web": f"https://models.example.org/alice/tiny/discussions/{talk.number}",
            "api": f"https://models.example.org/api/models/alice/tiny/discussions/{talk.number}",
        },
        "status": "open",
        "author": {"id": bob.public_id},
        "num": talk.number,
        "isPullRequest": False,
    }
    assert answered["comment"] == {
        "id": said.public_id,
        "author": {"id": alice.public_id},
        "hidden": False,
        "url": {
            "web": f"https://models.example.org/alice/tiny/discussions/{talk.number}"
            f"#{said.public_id}"
        },
        "content": "Which ones?",
    }
    assert answered["discussion"]["author"] == {"id": bob.public_id}
    assert closed["discussion"]["status"] == "closed"


def test_a_hidden_comment_says_nothing(alice: User, bob: User) -> None:
    repo = quiet_repo(alice)
    hook(alice, "https://hooks.example.org/", "model:alice/tiny", domains=["discussion"])
    talk = discussions.open_discussion(Viewer(user=bob), repo, title="Spam", text="Hello there.")
    said = comments.comment(Viewer(user=bob), talk, text="Buy my watches")
    comments.hide(Viewer(user=alice), talk, said.public_id)

    payloads = told(repo)

    assert "watches" not in json.dumps(payloads)
    shown = [each["comment"] for each in payloads if "comment" in each]
    his = [comment for comment in shown if comment["id"] == said.public_id]
    assert [comment["hidden"] for comment in his] == [True, True]
    assert not any("content" in comment for comment in his)


def test_a_pull_request_that_is_merged(alice: User, bob: User) -> None:
    repo = quiet_repo(alice)
    hook(alice, "https://hooks.example.org/", "model:alice/tiny")
    done = publish(
        Viewer(user=bob),
        repo,
        revision="main",
        operations=[AddFile("a.txt", b"a")],
        title="Add a",
        create_pr=True,
    )
    assert done.pull is not None
    commit = merge(Viewer(user=alice), done.pull)

    payloads = told(repo)

    by_kind = dict(zip(kinds(payloads), payloads, strict=True)) | {}
    opened, merged = payloads[0]["discussion"], by_kind["discussion", "update"]["discussion"]
    assert (opened["isPullRequest"], opened["changes"]["base"]) == (True, "refs/heads/main")
    assert (merged["status"], merged["changes"]["mergeCommitId"]) == ("merged", commit.oid)
    refs = [ref["ref"] for each in payloads for ref in each.get("updatedRefs", [])]
    assert refs[-1] == "refs/heads/main"


def test_long_comments_are_cut(alice: User) -> None:
    repo = quiet_repo(alice)
    hook(alice, "https://hooks.example.org/", "model:alice/tiny")
    talk = discussions.open_discussion(Viewer(user=alice), repo, title="Long", text="x")
    comments.comment(Viewer(user=alice), talk, text="y" * 50_000)

    assert told(repo)[-1]["comment"]["content"] == "y" * 10_000


def test_a_proposal_and_its_merge_are_told_once_each(alice: User, bob: User) -> None:
    repo = quiet_repo(alice)
    hook(alice, "https://hooks.example.org/", "model:alice/tiny")
    as_bob = Viewer(user=bob)
    change = [AddFile("a.txt", b"a")]
    pull = publish(
        as_bob, repo, revision="main", operations=change, title="Propose", create_pr=True
    ).pull
    assert pull is not None
    more = [AddFile("b.txt", b"b")]
    publish(as_bob, repo, revision=pull.ref_name, operations=more, title="More")

    proposed = told(repo)

    assert [scope for scope, _ in kinds(proposed) if scope == "repo.content"] == []
    merge(Viewer(user=alice), pull)
    merged = told(repo)[len(proposed) :]
    told(repo)
    assert kinds(merged) == [("discussion", "update"), ("repo.content", "update")]
    assert merged[0]["discussion"]["status"] == "merged"
    assert [each["ref"] for each in merged[1]["updatedRefs"]] == ["refs/heads/main"]
    assert WebhookDelivery.objects.count() == len(proposed) + 2
