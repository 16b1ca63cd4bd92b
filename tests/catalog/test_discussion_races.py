"""The same thing from many threads at once: numbers, merges, commits, edits."""

import pytest

from accounts.models import User
from accounts.viewer import Viewer
from catalog.models import CommentVersion, Commit, Discussion, DiscussionEvent, ModelRepo, Ref
from catalog.services import comments, merging
from catalog.services.discussions import MergedError, open_discussion, set_status
from catalog.services.publishing import AddFile, publish
from catalog.services.pulls import open_pull_request
from store.core.errors import StoreError
from tests.factories import make_repo, make_user
from tests.threads import at_once

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def people() -> tuple[User, User]:
    """The owner and a stranger."""
    return make_user("alice"), make_user("bob")


def propose(user: User, repo: ModelRepo, path: str, content: bytes = b"x") -> Discussion:
    published = publish(
        Viewer(user=user),
        repo,
        revision="main",
        operations=[AddFile(path, content)],
        title=f"Add {path}",
        create_pr=True,
    )
    assert published.pull is not None
    return published.pull


def test_numbers_are_given_once(people: tuple[User, User]) -> None:
    alice, bob = people
    repo = make_repo(alice)

    def begin(number: int) -> int:
        viewer = Viewer(user=(alice, bob)[number % 2])
        if number % 3 == 0:
            return propose(viewer.signed_in(), repo, f"{number}.txt").number
        start = (open_discussion, open_pull_request)[number % 2]
        return start(viewer, repo, title="Hello", text="").number

    numbers = at_once(begin, 12)

    assert sorted(numbers) == list(range(1, 13))
    pulls = Discussion.objects.filter(is_pull_request=True)
    assert {pull.ref_name for pull in pulls} == set(
        Ref.objects.filter(name__startswith="refs/pr/").values_list("name", flat=True)
    )


def test_one_merge_wins(people: tuple[User, User]) -> None:
    alice, bob = people
    repo = make_repo(alice)
    pull = propose(bob, repo, "a.txt")

    def merge(_: int) -> bool:
        try:
            merging.merge(Viewer(user=alice), pull)
        except MergedError:
            return False
        return True

    answers = at_once(merge, 6)

    assert sorted(answers) == [False] * 5 + [True]
    assert Commit.objects.filter(title="Add a.txt (#1)").count() == 1
    changes = DiscussionEvent.objects.filter(kind="status-change")
    assert [event.facts for event in changes] == [{"status": "merged"}]


def test_merges_and_commits_lose_nothing(people: tuple[User, User]) -> None:
    alice, bob = people
    repo = make_repo(alice)
    pulls = [propose(bob, repo, f"theirs{number}.txt") for number in range(4)]

    def work(number: int) -> None:
        if number < 4:
            merging.merge(Viewer(user=alice), pulls[number])
        else:
            operations = [AddFile(f"ours{number}.txt", b"x")]
            publish(Viewer(user=alice), repo, revision="main", operations=operations, title="ours")

    at_once(work, 8)

    from catalog.history.trees import list_entries

    head = Ref.objects.get(repo=repo, name="refs/heads/main").commit_oid
    assert {entry.path for entry in list_entries(repo, head)} == {
        ".gitattributes",
        *(f"theirs{number}.txt" for number in range(4)),
        *(f"ours{number}.txt" for number in range(4, 8)),
    }


def test_a_pull_request_is_merged_as_it_was_or_not_at_all(people: tuple[User, User]) -> None:
    alice, bob = people
    repo = make_repo(alice)
    pull = propose(bob, repo, "a.txt")

    def work(number: int) -> str:
        try:
            if number == 0:
                return merging.merge(Viewer(user=alice), pull).oid
            if number == 1:
                set_status(Viewer(user=bob), pull, status="closed")
            else:
                operations = [AddFile(f"late{number}.txt", b"x")]
                publish(
                    Viewer(user=bob),
                    repo,
                    revision=pull.ref_name,
                    operations=operations,
                    title="late",
                )
        except StoreError as error:
            return error.code
        return ""

    at_once(work, 5)

    pull.refresh_from_db()
    ref = Ref.objects.get(repo=repo, name=pull.ref_name)
    assert pull.status in {"merged", "closed"}
    if pull.status == "merged":
        assert pull.merged_head_oid == ref.commit_oid
    else:
        assert pull.merge_oid == ""


def test_edits_at_once_keep_every_version(people: tuple[User, User]) -> None:
    alice, _ = people
    repo = make_repo(alice)
    viewer = Viewer(user=alice)
    discussion = open_discussion(viewer, repo, title="Hello", text="0")
    comment = DiscussionEvent.objects.get()

    at_once(
        lambda number: comments.edit(
            viewer, discussion, comment.public_id, text=f"version {number}"
        ),
        6,
    )
    at_once(lambda number: comments.comment(viewer, discussion, text=f"{number}"), 6)

    comment.refresh_from_db()
    said = [*CommentVersion.objects.values_list("text", flat=True), comment.text]
    assert sorted(said) == ["0", *(f"version {number}" for number in range(6))]
    discussion.refresh_from_db()
    assert discussion.comment_count == 7
    assert discussion.text_chars == 1 + 6 * len("version 0") + 6
