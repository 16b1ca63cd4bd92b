"""Branches, tags, abbreviated ids, last commits, diffs, races."""

import threading

import pytest
from django.db import connection

from accounts.models import User
from catalog.history import refs
from catalog.history.changes import changes_between
from catalog.history.commits import Delete, PutBlob, apply_operations, write_commit
from catalog.history.diffs import file_diffs, unified_text
from catalog.history.errors import (
    BadPathError,
    BadRefNameError,
    EntryNotFoundError,
    RefExistsError,
    RevisionNotFoundError,
    StaleParentError,
)
from catalog.history.log import count, history, last_commits
from catalog.history.trees import find_entries, find_entry, list_entries, read_blob
from catalog.models import Commit, GitObject, ModelRepo, Ref
from tests.catalog.history.test_git_ids import MAIN, put
from tests.factories import make_repo, make_user


def state(repo: ModelRepo) -> tuple[int, int, list[tuple[str, str]]]:
    """What must not change when something is refused."""
    names = list(Ref.objects.filter(repo=repo).order_by("name").values_list("name", "oid"))
    return (
        Commit.objects.filter(repo=repo).count(),
        GitObject.objects.filter(repo=repo).count(),
        names,
    )


def test_a_revision_has_many_names(alice: User) -> None:
    repo = make_repo(alice)
    head = put(repo, {"a": b"a"})
    refs.create_branch(repo, "dev/x", start="main")
    Ref.objects.create(repo=repo, name="refs/pr/1", oid=head.oid, commit_oid=head.oid)

    names = ["main", "HEAD", MAIN, "dev/x", "refs/pr/1", head.oid, head.oid[:7]]

    assert {refs.resolve(repo, name).commit_oid for name in names} == {head.oid}
    assert [refs.resolve(repo, name).is_writable for name in names] == [True] * 5 + [False] * 2


@pytest.mark.parametrize("name", ["nope", "refs/heads/nope", "abc", "0" * 40, "", "main\x00"])
def test_unknown_revisions_are_named(alice: User, name: str) -> None:
    repo = make_repo(alice)

    with pytest.raises(RevisionNotFoundError, match="Invalid rev id"):
        refs.resolve(repo, name)


def test_an_ambiguous_prefix_is_no_name(alice: User) -> None:
    repo = make_repo(alice)
    commit = Commit.objects.get(repo=repo)
    Commit.objects.create(
        repo=repo,
        oid=commit.oid[:8] + "0" * 32,
        tree_oid=commit.tree_oid,
        depth=0,
        author="x",
        title="x",
        authored_at=commit.authored_at,
    )

    with pytest.raises(RevisionNotFoundError):
        refs.resolve(repo, commit.oid[:8])


def test_branches_and_tags_refuse_what_git_refuses(alice: User) -> None:
    repo = make_repo(alice)
    refs.create_branch(repo, "dev")
    before = state(repo)

    for bad in ["a b", "a..b", "-x", "x.lock", "a~1", "a^", "a:b", ".a", "a/", "@{x", "", "a\\b"]:
        with pytest.raises(BadRefNameError):
            refs.create_branch(repo, bad)
        with pytest.raises(BadRefNameError):
            refs.create_tag(repo, bad, revision="main", message=None, tagger="alice")
    with pytest.raises(RefExistsError, match="Reference refs/heads/dev already exists"):
        refs.create_branch(repo, "dev")
    with pytest.raises(RefExistsError):
        refs.create_branch(repo, "dev/below")
    with pytest.raises(refs.ProtectedRefError, match="Cannot delete refs/heads/main"):
        refs.delete_branch(repo, "main")
    with pytest.raises(RevisionNotFoundError):
        refs.delete_branch(repo, "gone")
    with pytest.raises(RevisionNotFoundError):
        refs.delete_tag(repo, "dev")

    assert state(repo) == before


def test_branches_move_only_when_told(alice: User) -> None:
    repo = make_repo(alice)
    first = Commit.objects.get(repo=repo).oid
    refs.create_branch(repo, "dev")
    second = put(repo, {"a": b"a"}).oid

    untouched = refs.create_branch(repo, "dev", overwrite=True).commit_oid
    moved = refs.create_branch(repo, "dev", start="main", overwrite=True).commit_oid
    refs.delete_branch(repo, "dev")

    assert (untouched, moved) == (first, second)
    assert not Ref.objects.filter(repo=repo, name="refs/heads/dev").exists()


def test_last_commit_of_each_path_follows_the_line(alice: User) -> None:
    repo = make_repo(alice)
    one = put(repo, {"a": b"1", "sub/x": b"1", "sub/y": b"1"}, "one")
    two = put(repo, {"sub/x": b"2"}, "two")
    refs.create_branch(repo, "side", start=one.oid)
    put(repo, {"a": b"3"}, "three")

    side = last_commits(repo, one.oid, ["a", "sub", "sub/x"])
    main = last_commits(repo, two.oid, ["a", "sub", "sub/x", "sub/y", "none"])

    assert {path: commit.title for path, commit in side.items()} == {
        "a": "one",
        "sub": "one",
        "sub/x": "one",
    }
    assert {path: commit.title for path, commit in main.items()} == {
        "a": "one",
        "sub": "two",
        "sub/x": "two",
        "sub/y": "one",
    }
    assert [commit.title for commit in history(repo, two.oid, limit=2, skip=1)] == [
        "one",
        "initial commit",
    ]
    assert count(repo, two.oid) == 3


def test_changes_and_diff(alice: User) -> None:
    repo = make_repo(alice)
    one = put(repo, {"keep": b"k", "old": b"1\n2\n", "dir/file": b"x", "bin": b"\0\1"})
    two = put(repo, {"old": b"1\n3", "dir/file": None, "new": b"n\n", "bin": b"\0\2"})

    changes = changes_between(repo, one.oid, two.oid)
    diff = unified_text(file_diffs(repo, changes))

    assert [(change.path, change.kind) for change in changes] == [
        ("bin", "changed"),
        ("dir/file", "deleted"),
        ("new", "added"),
        ("old", "changed"),
    ]
    assert "Binary files a/bin and b/bin differ" in diff
    assert "-2\n+3\n\\ No newline at end of file\n" in diff
    assert "--- /dev/null\n+++ b/new\n" in diff


def test_a_file_becomes_a_folder_and_back(alice: User) -> None:
    repo = make_repo(alice)
    put(repo, {"thing": b"file"})
    put(repo, {"thing": None, "thing/below": b"x"})
    head = put(repo, {"thing": None})

    assert "thing" not in {entry.path for entry in list_entries(repo, head.oid, recursive=True)}


@pytest.mark.parametrize(
    "path",
    [
        "/a",
        "a//b",
        "a/../b",
        ".",
        "a/.git/b",
        ".GIT",
        "..\\x",
        "a\nb",
        "",
        "a/",
        "x" * 256,
        "/".join("d" * 70),
        "\ue000",
        "a\x7f",
    ],
)
def test_bad_paths_are_refused_and_nothing_is_written(alice: User, path: str) -> None:
    repo = make_repo(alice)
    before = state(repo)

    with pytest.raises(BadPathError):
        put(repo, {path: b"x"})

    assert state(repo) == before


def test_a_backslash_inside_is_legal(alice: User) -> None:
    repo = make_repo(alice)
    path = "folder/..\\..\\..\\file"

    head = put(repo, {path: b"x"})

    assert read_blob(repo, find_entry(repo, head.oid, path)) == b"x"


def test_a_file_in_the_way_is_refused(alice: User) -> None:
    repo = make_repo(alice)
    put(repo, {"a": b"x", "dir/b": b"y"})
    before = state(repo)

    for path in ["a/b", "dir"]:
        with pytest.raises(BadPathError):
            put(repo, {path: b"x"})
    with pytest.raises(EntryNotFoundError, match="A file with this name doesn't exist"):
        put(repo, {"gone": None})

    assert state(repo) == before


def test_entries_can_be_asked_for_one_by_one(alice: User) -> None:
    repo = make_repo(alice)
    head = put(repo, {"a/b/c": b"abc"})

    found = find_entries(repo, head.oid, ["a", "a/b/c", "a/x", "a/b/c/d", "a/"])

    assert {path: entry.is_folder for path, entry in found.items()} == {"a": True, "a/b/c": False}
    with pytest.raises(EntryNotFoundError) as caught:
        find_entry(repo, head.oid, "nope")
    assert caught.value.extra == {"path": "nope", "commit": head.oid}
    with pytest.raises(EntryNotFoundError):
        list_entries(repo, head.oid, "a/b/c")


def test_nothing_changed_keeps_the_head(alice: User) -> None:
    repo = make_repo(alice)
    head = put(repo, {"a": b"a"})
    before = state(repo)

    again = put(repo, {"a": b"a"})

    assert again.oid == head.oid
    assert state(repo) == before


@pytest.mark.django_db(transaction=True)
def test_of_eight_committers_with_one_parent_exactly_one_wins() -> None:
    repo = make_repo(make_user("racer"))
    parent = Commit.objects.get(repo=repo).oid
    start, outcomes = threading.Barrier(8), []

    def commit(number: int) -> None:
        def edit(store, tree):
            apply_operations(store, tree, [PutBlob(f"f{number}", store.add_blob(b"x"))])

        start.wait(timeout=20)
        try:
            write_commit(
                repo=repo,
                ref_name=MAIN,
                edit=edit,
                title=f"n{number}",
                author="racer",
                expected_parent=parent,
            )
            outcomes.append("won")
        except StaleParentError as error:
            outcomes.append(error.status)
        finally:
            connection.close()

    threads = [threading.Thread(target=commit, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)

    assert sorted(map(str, outcomes)) == ["412"] * 7 + ["won"]
    assert Commit.objects.filter(repo=repo).count() == 2


@pytest.mark.django_db(transaction=True)
def test_eight_committers_without_a_parent_lose_nothing() -> None:
    repo = make_repo(make_user("racer"))
    errors = []

    def commits(number: int) -> None:
        try:
            for turn in range(5):
                put(repo, {f"t{number}/f{turn}": b"x%d" % turn})
        except Exception as error:  # noqa: BLE001 - reported below
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=commits, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)

    head = refs.resolve(repo, "main").commit_oid
    files = {e.path for e in list_entries(repo, head, recursive=True) if not e.is_folder}
    assert errors == []
    assert count(repo, head) == 41
    assert files >= {f"t{number}/f{turn}" for number in range(8) for turn in range(5)}


def test_deleting_a_folder_takes_everything_below(alice: User) -> None:
    repo = make_repo(alice)
    put(repo, {"sub/a": b"1", "sub/deep/b": b"2", "top": b"3"})

    def edit(store, tree):
        apply_operations(store, tree, [Delete("sub/")])

    head = write_commit(repo=repo, ref_name=MAIN, edit=edit, title="x", author="alice").commit

    assert [entry.path for entry in list_entries(repo, head.oid, recursive=True)] == [
        ".gitattributes",
        "top",
    ]
