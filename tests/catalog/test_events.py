"""What services note when something happens to a repository, and who is told."""

import pytest

from accounts.models import User
from accounts.viewer import Viewer
from catalog.models import Listing, ModelRepo, RepoEvent
from catalog.services import events
from catalog.services.publishing import AddFile, publish
from catalog.services.repos import (
    NotConfirmedError,
    RepoExistsError,
    change_settings,
    delete_repo,
    move_repo,
)
from store.core.models import Job
from tests.factories import make_org, make_repo


def last() -> RepoEvent:
    return RepoEvent.objects.order_by("-pk")[0]


def test_a_new_repository_is_an_event(alice: User) -> None:
    repo = make_repo(alice, is_private=True)

    event = RepoEvent.objects.get()
    assert (event.scope, event.action, event.actor) == ("repo", "create", alice)
    assert (event.repo, event.full_name, event.is_private) == (repo, "alice/tiny", True)
    assert (event.repo_public_id, event.namespace) == (repo.public_id, repo.namespace)
    assert event.facts == {}


def test_a_commit_names_the_ref_it_moved(alice: User, as_alice: Viewer) -> None:
    repo = make_repo(alice)
    before = Listing.objects.get(repo=repo).head_oid

    done = publish(
        as_alice, repo, revision="main", operations=[AddFile("a.txt", b"a")], title="Add a"
    )

    event = last()
    assert (event.scope, event.action, event.actor) == ("repo.content", "update", alice)
    assert event.facts == {
        "updated_refs": [{"ref": "refs/heads/main", "old": before, "new": done.commit.oid}],
        "title": "Add a",
    }


def test_a_commit_that_changes_nothing_is_no_event(alice: User, as_alice: Viewer) -> None:
    repo = make_repo(alice, files={"a.txt": b"a"})
    count = RepoEvent.objects.count()

    publish(as_alice, repo, revision="main", operations=[AddFile("a.txt", b"a")], title="Again")

    assert RepoEvent.objects.count() == count


def test_a_move_is_told_under_the_old_id(alice: User, as_alice: Viewer) -> None:
    make_org("acme", alice="admin")
    repo = make_repo(alice)

    move_repo(as_alice, repo, namespace="acme", name="big")

    event = last()
    assert (event.scope, event.action, event.full_name) == ("repo", "move", "alice/tiny")
    assert (event.namespace.name, event.repo) == ("alice", repo)
    assert event.facts == {"moved_to": {"full_name": "acme/big"}}


def test_a_refused_move_is_no_event(alice: User, as_alice: Viewer) -> None:
    repo = make_repo(alice)
    make_repo(alice, "taken")
    count = RepoEvent.objects.count()

    with pytest.raises(RepoExistsError):
        move_repo(as_alice, repo, namespace="alice", name="Taken")

    assert RepoEvent.objects.count() == count
    assert ModelRepo.objects.get(pk=repo.pk).name == "tiny"


def test_settings_are_told_in_the_hubs_words(alice: User, as_alice: Viewer) -> None:
    repo = make_repo(alice)

    change_settings(as_alice, repo, is_private=True, gate="manual")

    event = last()
    assert (event.scope, event.action, event.is_private) == ("repo.config", "update", True)
    assert event.facts == {"updated_config": {"private": True, "gated": "manual"}}

    change_settings(as_alice, repo, is_private=False, gate="none")

    assert last().facts == {"updated_config": {"private": False, "gated": False}}


def test_settings_that_stay_are_no_event(alice: User, as_alice: Viewer) -> None:
    repo = make_repo(alice)
    count = RepoEvent.objects.count()

    change_settings(as_alice, repo, is_private=False, gate="none")

    assert RepoEvent.objects.count() == count


def test_an_event_outlives_its_repository(alice: User, as_alice: Viewer) -> None:
    repo = make_repo(alice)

    delete_repo(as_alice, ModelRepo.objects.get(pk=repo.pk))

    event = last()
    assert (event.scope, event.action, event.full_name) == ("repo", "delete", "alice/tiny")
    assert (event.repo, event.repo_public_id) == (None, repo.public_id)


def test_a_deletion_that_is_not_confirmed_is_no_event(alice: User, as_alice: Viewer) -> None:
    repo = make_repo(alice)
    count = RepoEvent.objects.count()

    with pytest.raises(NotConfirmedError):
        delete_repo(as_alice, repo, confirmation="alice/other")

    assert RepoEvent.objects.count() == count
    assert ModelRepo.objects.filter(pk=repo.pk).exists()


def test_a_job_tells_every_listener(alice: User, run_jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(
        events, "CONSUMERS", (lambda event: told.append(f"{event.scope} {event.full_name}"),)
    )
    make_repo(alice)

    done = run_jobs()

    assert told == ["repo alice/tiny"]
    assert [(job.name, job.state, job.result) for job in done] == [
        ("catalog.spread_event", Job.State.DONE, {"told": 1})
    ]
