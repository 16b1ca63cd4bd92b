"""A push is a commit like any other: all of it or nothing, by the same rules."""

import io
from collections.abc import Sequence

import pytest
from django.db import connection

from accounts.models import User
from accounts.viewer import Viewer
from catalog.content.quotas import StorageQuotaError
from catalog.history import pushed
from catalog.history.errors import (
    BadObjectError,
    BadPackError,
    BadPathError,
    MissingBaseError,
    PackTooLargeError,
)
from catalog.history.objects import read_many
from catalog.history.unpacking import Limits, unpack
from catalog.models import (
    Commit,
    CommitPath,
    FileScan,
    GitObject,
    Listing,
    ModelRepo,
    Ref,
    RepoEvent,
)
from catalog.services.locks import LockedError, create_lock
from catalog.services.receiving import NOTHING, PushRefusedError, RefUpdate, receive_push
from store.core.errors import ForbiddenError, StoreError, TooLargeError
from tests.catalog.history.packs import BLOB, COMMIT, TAG, TREE, entry, oid_of, pack_of
from tests.factories import make_org, make_repo, make_user
from tests.threads import at_once

MAIN = "refs/heads/main"
WHO = "Somebody <some@body> 1700000000 +0000"
Objects = list[tuple[int, bytes]]


def tree(**names: tuple[str, bytes]) -> tuple[int, bytes]:
    """A tree object: ``tree(a=("100644", oid))``; ``__`` in a name is a dot."""
    lines = [(name.replace("__", "."), mode, oid) for name, (mode, oid) in names.items()]
    lines.sort(key=lambda line: line[0] + ("/" if line[1] == "40000" else ""))
    return TREE, b"".join(f"{mode} {name}\0".encode() + oid for name, mode, oid in lines)


def commit_of(
    tree_oid: bytes, *parents: str, who: str = WHO, message: str = "by hand"
) -> tuple[int, bytes]:
    lines = [f"tree {tree_oid.hex()}", *(f"parent {parent}" for parent in parents)]
    return COMMIT, "\n".join([*lines, f"author {who}", f"committer {who}", "", message]).encode()


def ids(objects: Objects) -> list[str]:
    return [oid_of(kind, data).hex() for kind, data in objects]


def one_file(
    *parents: str, name: str = "a", data: bytes = b"hello\n", **more: str
) -> tuple[str, Objects]:
    """A commit with a single file; (its id, all objects)."""
    folder = tree(**{name: ("100644", oid_of(BLOB, data))})
    commit = commit_of(oid_of(*folder), *parents, **more)
    return oid_of(*commit).hex(), [(BLOB, data), folder, commit]


def push(
    user: User,
    repo: ModelRepo,
    objects: Objects,
    *updates: tuple[str, str, str],
    limits: Limits | None = None,
) -> int:
    unpacked = unpack(
        io.BytesIO(pack_of(*(entry(kind, data) for kind, data in objects))),
        io.BytesIO(),
        limits=limits or Limits(blob_bytes=10_000),
        bases=lambda oids: read_many(repo.pk, oids),
    )
    wanted = [RefUpdate(*update) for update in updates]
    return receive_push(Viewer(user=user), repo, updates=wanted, unpacked=unpacked)


def head(repo: ModelRepo) -> str:
    return Ref.objects.get(repo=repo, name=MAIN).oid


def state(repo: ModelRepo) -> Sequence[object]:
    """Everything a push may change."""
    return [
        list(Ref.objects.filter(repo=repo).order_by("name").values_list("name", "oid")),
        GitObject.objects.filter(repo=repo).count(),
        Commit.objects.filter(repo=repo).count(),
        FileScan.objects.filter(repo=repo).count(),
        RepoEvent.objects.count(),
        ModelRepo.objects.values_list("git_bytes", "updated_at").get(pk=repo.pk),
        Listing.objects.values_list("head_oid", "updated_at").get(repo=repo),
    ]


@pytest.fixture
def repo(alice: User) -> ModelRepo:
    return make_repo(alice)


def test_everything_that_follows_from_a_commit_follows_from_a_push(
    alice: User, repo: ModelRepo
) -> None:
    old, before = head(repo), ModelRepo.objects.get(pk=repo.pk).git_bytes
    readme = b"---\nlicense: mit\n---\n# By git\n"
    oid, objects = one_file(old, name="README__md", data=readme, message="First\n\nrest\n")

    waiting = push(alice, repo, objects, (MAIN, old, oid))

    assert waiting == 0
    row = Commit.objects.get(repo=repo, oid=oid)
    assert (row.title, row.message, row.author) == ("First", "rest", "Somebody")
    assert (row.parent_oid, row.depth, row.authored_at.year) == (old, 1, 2023)
    assert set(CommitPath.objects.filter(commit=row).values_list("path", flat=True)) == {
        "README.md",
        ".gitattributes",
    }
    assert FileScan.objects.get(repo=repo, path="README.md").verdict == "clean"
    listing = Listing.objects.get(repo=repo)
    assert (listing.head_oid, listing.licenses) == (oid, ["mit"])
    new_bytes = sum(len(data) for _kind, data in objects)
    assert ModelRepo.objects.get(pk=repo.pk).git_bytes == before + new_bytes
    event = RepoEvent.objects.get(scope="repo.content")
    assert (event.action, event.actor) == ("update", alice)
    assert event.facts == {"updated_refs": [{"ref": MAIN, "old": old, "new": oid}]}


def test_new_and_deleted_refs_are_told_as_such(alice: User, repo: ModelRepo) -> None:
    old = head(repo)
    tag = (TAG, f"object {old}\ntype commit\ntag v1\ntagger {WHO}\n\nv1\n".encode())
    outer = (TAG, f"object {ids([tag])[0]}\ntype tag\ntag v2\ntagger {WHO}\n\nv2\n".encode())
    [_, outer_oid] = ids([tag, outer])

    push(alice, repo, [tag, outer], ("refs/tags/v2", NOTHING, outer_oid))
    push(alice, repo, [], ("refs/heads/a", NOTHING, old))
    push(alice, repo, [], ("refs/heads/a", old, NOTHING), ("refs/heads/a/b", NOTHING, old))
    push(alice, repo, [], ("refs/tags/v3", NOTHING, outer_oid))

    assert Ref.objects.get(repo=repo, name="refs/tags/v2").commit_oid == old
    assert Ref.objects.get(repo=repo, name="refs/tags/v3").commit_oid == old
    assert not Ref.objects.filter(repo=repo, name="refs/heads/a").exists()
    events = RepoEvent.objects.filter(scope=RepoEvent.Scope.CONTENT).order_by("id")
    told = [event.facts["updated_refs"] for event in events]
    assert told[0] == [{"ref": "refs/tags/v2", "old": None, "new": old}]
    assert told[2][0] == {"ref": "refs/heads/a", "old": old, "new": None}


def test_a_merge_is_indexed_along_its_first_parent(alice: User, repo: ModelRepo) -> None:
    old = head(repo)
    side, side_objects = one_file(old, name="side", data=b"s")
    both = tree(a=("100644", oid_of(BLOB, b"a")), side=("100644", oid_of(BLOB, b"s")))
    trunk, trunk_objects = one_file(old, name="a", data=b"a")
    merge = commit_of(oid_of(*both), trunk, side)
    merge_oid = oid_of(*merge).hex()

    push(alice, repo, [merge, both, *side_objects, *trunk_objects], (MAIN, old, merge_oid))

    depths = dict(Commit.objects.filter(repo=repo).values_list("oid", "depth"))
    assert depths == {old: 0, side: 1, trunk: 1, merge_oid: 2}
    row = Commit.objects.get(oid=merge_oid)
    assert row.parent_oid == trunk
    assert list(row.paths.values_list("path", flat=True)) == ["side"]


def test_a_commit_without_files(alice: User, repo: ModelRepo) -> None:
    old = head(repo)
    commit = commit_of(oid_of(TREE, b""), old)
    oid = oid_of(*commit).hex()

    push(alice, repo, [commit], (MAIN, old, oid))

    assert head(repo) == oid
    assert GitObject.objects.filter(repo=repo, oid=oid_of(TREE, b"").hex(), size_bytes=0).exists()


def test_who_a_pushed_commit_is_by(alice: User, bob: User, repo: ModelRepo) -> None:
    make_user("carol")
    names = {
        "Whoever <alice@example.org> 1 +0000": "alice",
        "Whoever <ALICE@users.noreply> 1 +0000": "alice",
        "alice <elsewhere@x> 1 +0000": "alice",
        "Bob <bob@example.org> 1 +0000": "Bob (not verified)",
        "Dora  the \t Explorer <bob@example.org> 1 +0000": "Dora the Explorer",
        " <x@y> 1 +0000": "unknown",
    }
    for number, (who, shown) in enumerate(names.items()):
        old = head(repo)
        oid, objects = one_file(old, data=b"%d" % number, who=who, message="")

        push(alice, repo, objects, (MAIN, old, oid))

        row = Commit.objects.get(oid=oid)
        assert (row.author, row.title) == (shown, "(no message)"), who


def test_what_is_not_whole_or_not_well_formed(alice: User, repo: ModelRepo) -> None:
    old, before = head(repo), state(repo)
    _oid, objects = one_file(old)
    file, folder, commit = objects
    link = tree(l=("120000", oid_of(BLOB, b"a\0b")))
    long = tree(l=("120000", oid_of(BLOB, b"x" * 5000)))
    as_folder = tree(a=("40000", oid_of(*file)))
    mixed = tree(a=("40000", oid_of(*file)), b=("100644", oid_of(*file)))
    twice = tree(a=("40000", b"\1" * 20), b=("100644", b"\1" * 20))
    stored = tree(a=("100644", bytes.fromhex(old)))
    slash = (TREE, b"100644 x\\..\0" + oid_of(*file))
    deep = [file, folder]
    for _level in range(70):
        deep.append(tree(x=("40000", oid_of(*deep[-1]))))
    cases: list[tuple[type[StoreError], Objects, str]] = [
        (MissingBaseError, [folder, commit], "leaves out the blob"),
        (MissingBaseError, [file, commit], "leaves out the tree"),
        (MissingBaseError, [*one_file("0" * 39 + "1")[1]], "leaves out the commit"),
        (BadPackError, [*objects, (BLOB, b"extra")], "1 objects that no pushed ref leads to"),
        (BadPackError, [*objects, (BLOB, b"x" * 10_001)], "1 objects that no pushed ref"),
    ]
    for tree_object, extra, why in [
        (link, (BLOB, b"a\0b"), "leads to no possible path"),
        (long, (BLOB, b"x" * 5000), "leads to no possible path"),
        (as_folder, file, "not the kind of object"),
        (mixed, file, "not the kind of object"),
        (stored, None, "not the kind of object"),
        (twice, None, "not the kind of object"),
    ]:
        made = commit_of(oid_of(*tree_object), old)
        more = [extra] if extra else []
        cases.append((BadObjectError, [made, tree_object, *more], why))
    cases.append((BadPathError, [commit_of(oid_of(*deep[-1]), old), *deep], "deeper than 64"))

    for error, sent, reason in cases:
        tip = next(ids([each])[0] for each in sent if each[0] == COMMIT)
        with pytest.raises(error, match=reason):
            push(alice, repo, sent, (MAIN, old, tip))
        assert state(repo) == before, reason
    fine = commit_of(oid_of(*slash), old)
    push(alice, repo, [fine, slash, file], (MAIN, old, ids([fine])[0]))


def test_a_large_file_is_named(alice: User, repo: ModelRepo) -> None:
    old, before = head(repo), state(repo)
    inner = tree(big=("100644", oid_of(BLOB, b"x" * 10_001)))
    outer = tree(sub=("40000", oid_of(*inner)))
    commit = commit_of(oid_of(*outer), old)
    objects = [(BLOB, b"x" * 10_001), inner, outer, commit]

    with pytest.raises(PackTooLargeError, match="sub/big is too large for git itself"):
        push(alice, repo, objects, (MAIN, old, ids(objects)[-1]))

    assert state(repo) == before


def test_refs_that_cannot_move_so(alice: User, repo: ModelRepo) -> None:
    old = head(repo)
    oid, objects = one_file(old)
    push(alice, repo, objects, (MAIN, old, oid))
    before = state(repo)
    cases = {
        (MAIN, old, old): "it has moved since you last fetched",
        (MAIN, NOTHING, oid): "it has moved since you last fetched",
        ("refs/heads/none", old, NOTHING): "it has moved since you last fetched",
        ("refs/heads/a b", NOTHING, oid): "cannot name a branch or tag",
        ("refs/heads/main/x", NOTHING, oid): "stands in the way of another",
        ("refs/tags/none", NOTHING, "1" * 40): "does not lead to a commit",
        ("refs/tags/blob", NOTHING, ids(objects)[0]): "does not lead to a commit",
        ("HEAD", NOTHING, oid): "only branches",
    }
    for update, reason in cases.items():
        with pytest.raises(PushRefusedError) as caught:
            push(alice, repo, [], update)
        assert reason in caught.value.reason_of(update[0]), update
        assert state(repo) == before
    tag = (TAG, f"object {oid}\ntype commit\ntag v1\n\n".encode())
    with pytest.raises(PushRefusedError) as caught:
        push(alice, repo, [tag], ("refs/heads/t", NOTHING, ids([tag])[0]))
    assert "not to a tag" in caught.value.reason_of("refs/heads/t")
    assert state(repo) == before


def test_strangers_and_too_many_refs(alice: User, bob: User, repo: ModelRepo) -> None:
    old, before = head(repo), state(repo)
    with pytest.raises(ForbiddenError):
        push(bob, repo, [], ("refs/heads/x", NOTHING, old))
    with pytest.raises(TooLargeError):
        push(alice, repo, [], *((f"refs/heads/{n}", NOTHING, old) for n in range(1001)))
    assert state(repo) == before


def test_no_room(alice: User, repo: ModelRepo) -> None:
    old = head(repo)
    alice.namespace.storage_quota_bytes = ModelRepo.objects.get(pk=repo.pk).git_bytes + 50
    alice.namespace.save()
    before = state(repo)
    oid, objects = one_file(old)

    with pytest.raises(StorageQuotaError):
        push(alice, repo, objects, (MAIN, old, oid))

    assert state(repo) == before


def test_history_that_changes_too_much(
    alice: User, repo: ModelRepo, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, before = head(repo), state(repo)
    parent, objects = old, []
    for number in range(6):
        parent, more = one_file(parent, data=b"%d" % number)
        objects += more
    for limit, reason in [("MAX_CHANGES", "change more than"), ("MAX_ITEMS", "changes too much")]:
        with monkeypatch.context() as patch:
            patch.setattr(pushed, limit, 5)
            with pytest.raises(PackTooLargeError, match=reason):
                push(alice, repo, objects, (MAIN, old, parent))
        assert state(repo) == before
    push(alice, repo, objects, (MAIN, old, parent))


def test_old_files_of_a_long_history_wait_for_the_job(
    alice: User, repo: ModelRepo, run_jobs
) -> None:
    parent, objects = head(repo), []
    for number in range(30):
        parent, more = one_file(parent, data=b"%d" % number)
        objects += more

    waiting = push(alice, repo, objects, (MAIN, head(repo), parent))

    assert waiting == 10  # the newest 20 are judged at once
    assert FileScan.objects.get(repo=repo, blob_oid=ids([(BLOB, b"29")])[0]).verdict == "clean"
    run_jobs()
    assert not FileScan.objects.filter(repo=repo).exclude(verdict="clean").exists()


def test_locks_bind_pushes_but_not_merges(alice: User) -> None:
    bob = make_user("bob")
    make_org("acme", alice="admin", bob="write")
    repo = make_repo(alice, namespace="acme")
    old = head(repo)
    oid, objects = one_file(old)
    push(bob, repo, objects, (MAIN, old, oid))
    create_lock(Viewer(user=bob), repo, "a")
    new, changed = one_file(oid, data=b"changed")
    before = state(repo)

    with pytest.raises(LockedError, match="a is locked by bob"):
        push(alice, repo, changed, (MAIN, oid, new))
    assert state(repo) == before

    push(bob, repo, changed, ("refs/heads/bobs", NOTHING, new))
    other, others = one_file(oid, name="b")
    both = tree(a=("100644", oid_of(BLOB, b"changed")), b=("100644", oid_of(BLOB, b"hello\n")))
    merge = commit_of(oid_of(*both), other, new)
    with pytest.raises(LockedError):  # the other commit deletes it
        push(alice, repo, [*others, both, merge], (MAIN, oid, ids([merge])[0]))
    kept = commit_of(oid_of(*changed[1]), oid, new)
    push(alice, repo, [kept], (MAIN, oid, ids([kept])[0]))


@pytest.mark.django_db(transaction=True)
def test_the_same_commits_by_several_at_once() -> None:
    alice = make_user("alice")
    repo = make_repo(alice)
    old = head(repo)
    oid, objects = one_file(old)

    def work(number: int) -> str:
        try:
            push(alice, repo, objects, (f"refs/heads/b{number % 2}", NOTHING, oid))
        except PushRefusedError as refused:
            return refused.reasons[f"refs/heads/b{number % 2}"]
        return ""

    said = at_once(work, 4)

    assert said.count("") == 2  # one for each branch
    assert all("moved" in reason or "already exists" in reason for reason in said if reason)
    assert Commit.objects.filter(repo=repo).count() == 2
    connection.close()


@pytest.mark.django_db(transaction=True)
def test_one_of_many_pushes_to_a_branch_wins() -> None:
    alice = make_user("alice")
    repo = make_repo(alice)
    old = head(repo)
    made = [one_file(old, data=b"%d" % number) for number in range(6)]

    def work(number: int) -> str:
        oid, objects = made[number]
        try:
            push(alice, repo, objects, (MAIN, old, oid))
        except PushRefusedError as refused:
            return refused.reasons[MAIN]
        return ""

    said = at_once(work, 6)

    assert said.count("") == 1
    assert all("fetch first" in reason for reason in said if reason)
    assert head(repo) == made[said.index("")][0]
    assert Commit.objects.filter(repo=repo).count() == 2
    connection.close()
