"""Joining two lines of work, held against git's own merge of the same trees."""

import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from catalog.history.merges import merge_trees
from catalog.history.objects import EMPTY_TREE, ObjectStore
from catalog.history.worktree import WorkTree
from catalog.models import ModelRepo
from tests.factories import make_repo, make_user

Files = dict[str, bytes]
PATHS = ["a", "b", "d/x", "d/y", "d/e/z"]
trees = st.dictionaries(st.sampled_from(PATHS), st.sampled_from([b"1", b"2", b"3"]))


def write(store: ObjectStore, files: Files) -> str:
    tree = WorkTree(store)
    for path, content in files.items():
        tree.put(path, store.add_blob(content))
    return tree.write() if files else EMPTY_TREE


def read(store: ObjectStore, oid: str, prefix: str = "") -> Files:
    found: Files = {}
    for item in store.tree(oid):
        if item.is_tree:
            found |= read(store, item.oid, f"{prefix}{item.name}/")
        else:
            found[prefix + item.name] = store.blob(item.oid)
    return found


def merged(store: ObjectStore, base: Files, ours: Files, theirs: Files) -> Files | list[str]:
    """The merged files, or the conflicts."""
    outcome = merge_trees(
        store,
        base_oid=write(store, base),
        ours_oid=write(store, ours),
        theirs_oid=write(store, theirs),
    )
    return outcome.conflicts or read(store, outcome.tree.write())


class Merges(TestCase):
    """Random trees; Django's test case rolls each example back."""

    repo: ModelRepo

    @classmethod
    def setUpTestData(cls) -> None:
        cls.repo = make_repo(make_user("alice"))

    @settings(max_examples=60)
    @given(base=trees, ours=trees, theirs=trees)
    def test_each_path_is_decided_by_itself(self, base: Files, ours: Files, theirs: Files) -> None:
        store = ObjectStore(self.repo.pk)

        outcome = merged(store, base, ours, theirs)

        wanted: Files = {}
        conflicts = []
        for path in PATHS:
            old, mine, yours = base.get(path), ours.get(path), theirs.get(path)
            if old != mine and yours not in {old, mine}:
                conflicts.append(path)
            content = yours if yours != old else mine
            if content is not None:
                wanted[path] = content
        assert outcome == (sorted(conflicts) or wanted)


@pytest.mark.parametrize(
    ("base", "ours", "theirs"),
    [
        ({"a": b"1"}, {"a": b"1", "b": b"2"}, {"a": b"3"}),
        ({"d/x": b"1", "k": b"k"}, {"d/x": b"1", "k": b"2"}, {"d": b"now a file", "k": b"k"}),
        ({"d": b"1", "k": b"k"}, {"d": b"1", "k": b"2"}, {"d/x": b"in a folder", "k": b"k"}),
        ({"d/e/z": b"1", "k": b"k"}, {"d/e/z": b"1", "k": b"2"}, {"d": b"file", "k": b"k"}),
        ({"d/x": b"1", "d/y": b"1"}, {"d/x": b"1"}, {"d/y": b"1", "d/x": b"2"}),
        ({"a": b"1", "k": b"k"}, {"k": b"k"}, {"k": b"k"}),
    ],
)
def test_git_comes_to_the_same_tree(
    db: None, tmp_path: Path, base: Files, ours: Files, theirs: Files
) -> None:
    store = ObjectStore(make_repo(make_user("alice")).pk)

    def git(*args: str) -> str:
        who = ["-c", "user.name=x", "-c", "user.email=x@x"]
        command = ["git", *who, *args]
        done = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def commit(files: Files, branch: str) -> None:
        git("checkout", "-q", "-B", branch, *(["base"] if branch != "base" else []))
        git("rm", "-rq", "--ignore-unmatch", ".")
        for path, content in files.items():
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_bytes(content)
        git("add", "-A")
        git("commit", "-q", "--allow-empty", "-m", branch)

    git("init", "-q")
    for files, branch in ((base, "base"), (theirs, "theirs"), (ours, "ours")):
        commit(files, branch)
    git("merge", "-q", "--no-ff", "-m", "merge", "theirs")
    outcome = merge_trees(
        store,
        base_oid=write(store, base),
        ours_oid=write(store, ours),
        theirs_oid=write(store, theirs),
    )

    assert outcome.conflicts == []
    assert outcome.tree.write() == git("rev-parse", "HEAD^{tree}")
