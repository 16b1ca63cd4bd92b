"""Every id is exactly what the git program computes."""

import os
import subprocess
from pathlib import Path

import pytest

from accounts.models import User
from catalog.history.commits import Delete, PutBlob, apply_operations, write_commit
from catalog.history.log import history
from catalog.history.objects import ObjectStore
from catalog.history.refs import create_tag, resolve
from catalog.history.trees import list_entries
from catalog.models import Commit, GitObject, ModelRepo
from tests.factories import make_repo

KINDS = {1: "commit", 2: "tree", 3: "blob", 4: "tag"}
MAIN = "refs/heads/main"


def git(folder: Path, *args: str, data: bytes = b"", env: dict[str, str] | None = None) -> str:
    """Run git in ``folder`` and return what it printed."""
    done = subprocess.run(
        ["git", *args],
        cwd=folder,
        input=data,
        capture_output=True,
        check=True,
        timeout=60,
        env=os.environ | {"GIT_CONFIG_GLOBAL": "/dev/null"} | (env or {}),
    )
    return done.stdout.decode().strip()


def put(repo: ModelRepo, files: dict[str, bytes | None], title: str = "change") -> Commit:
    """Commit ``files`` (``None``: delete) to main."""

    def edit(store, tree):
        operations = [
            Delete(path) if data is None else PutBlob(path, store.add_blob(data))
            for path, data in files.items()
        ]
        apply_operations(store, tree, operations)

    return write_commit(repo=repo, ref_name=MAIN, edit=edit, title=title, author="alice").commit


def exported(repo: ModelRepo, folder: Path) -> Path:
    """Write all objects of ``repo`` into a bare git repository; git recomputes each id."""
    git(folder, "init", "--bare", "-q", ".")
    for row in GitObject.objects.filter(repo=repo):
        kind = KINDS[row.kind]
        oid = git(folder, "hash-object", "-w", "-t", kind, "--stdin", data=bytes(row.data))
        assert oid == row.oid
    return folder


def test_objects_pass_gits_own_check(alice: User, tmp_path: Path) -> None:
    repo = make_repo(alice)
    put(repo, {"a.txt": b"one\n", "sub/b.txt": b"two\n", "sub/deep/c.txt": b"three\n"})
    put(repo, {"a.txt": b"one more\n", "sub/b.txt": None}, title="second line")
    head = put(repo, {"sub/deep/c.txt": None, "ünï/ço dé.txt": "päth\n".encode()})

    folder = exported(repo, tmp_path)
    git(folder, "update-ref", MAIN, head.oid)

    assert git(folder, "fsck", "--strict", "--full") == ""
    listed = git(folder, "-c", "core.quotepath=off", "ls-tree", "-r", "-t", head.oid)
    ours = [
        f"{entry.mode:06o} {'tree' if entry.is_folder else 'blob'} {entry.oid}\t{entry.path}"
        for entry in list_entries(repo, head.oid, recursive=True)
    ]
    assert ours == listed.splitlines()
    assert git(folder, "log", "--format=%H", MAIN).split() == [
        commit.oid for commit in history(repo, head.oid, limit=10)
    ]


def test_ids_equal_those_of_a_commit_made_by_git(alice: User, tmp_path: Path) -> None:
    repo = make_repo(alice, files={".gitattributes": b"*.bin -text\n", "a/b.txt": b"hello\n"})
    commit = Commit.objects.get(repo=repo)

    git(tmp_path, "init", "-q", "-b", "main", ".")
    (tmp_path / "a").mkdir()
    (tmp_path / "a/b.txt").write_bytes(b"hello\n")
    (tmp_path / ".gitattributes").write_bytes(b"*.bin -text\n")
    git(tmp_path, "add", ".")
    when = f"{int(commit.authored_at.timestamp())} +0000"
    who = {
        f"GIT_{role}_{key}": value
        for role in ("AUTHOR", "COMMITTER")
        for key, value in {"NAME": "alice", "EMAIL": "alice@users.noreply", "DATE": when}.items()
    }
    git(tmp_path, "commit", "-qm", "initial commit", env=who)

    assert commit.tree_oid == git(tmp_path, "rev-parse", "HEAD^{tree}")
    made = git(tmp_path, "cat-file", "commit", "HEAD")
    ours = ObjectStore(repo.pk).raw(commit.oid)[1].decode()
    assert ours.strip() == made
    assert commit.oid == git(tmp_path, "rev-parse", "HEAD")


def test_annotated_tags_are_git_tags(alice: User, tmp_path: Path) -> None:
    repo = make_repo(alice)
    head = put(repo, {"x": b"x"})

    plain = create_tag(repo, "v1", revision="main", message=None, tagger="alice")
    noted = create_tag(repo, "v2", revision=head.oid[:8], message="Second\n\nmore", tagger="alice")

    folder = exported(repo, tmp_path)
    assert plain.oid == head.oid
    assert git(folder, "cat-file", "-t", noted.oid) == "tag"
    assert git(folder, "rev-parse", f"{noted.oid}^{{commit}}") == head.oid
    assert git(folder, "fsck", "--strict", "--full", noted.oid) == ""
    assert resolve(repo, "v2").commit_oid == head.oid


@pytest.mark.parametrize("size_bytes", [0, 1, 1000, 3_000_000])
def test_blob_ids(alice: User, tmp_path: Path, size_bytes: int) -> None:
    data = os.urandom(size_bytes)
    repo = make_repo(alice)

    put(repo, {"data": data})

    git(tmp_path, "init", "-q", ".")
    oid = git(tmp_path, "hash-object", "--stdin", data=data)
    assert [
        e.oid for e in list_entries(repo, resolve(repo, "main").commit_oid) if e.path == "data"
    ] == [oid]
