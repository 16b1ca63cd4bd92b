"""Adding commits. One commit is one transaction; the ref's row is the lock."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from django.db import transaction
from django.utils import timezone
from dulwich.objects import Commit as GitCommit
from dulwich.objects import ObjectID

from catalog.history.changes import Change, tree_changes
from catalog.history.errors import (
    EntryNotFoundError,
    RevisionNotFoundError,
    StaleParentError,
)
from catalog.history.objects import EMPTY_TREE, FILE_MODE, ObjectStore
from catalog.history.paths import check_path, folders_above
from catalog.history.pointers import LfsPointer
from catalog.history.refs import PULLS, signature
from catalog.history.worktree import WorkTree
from catalog.models import Commit, CommitPath, ModelRepo, Ref

STALE = "The branch was updated since you opened this page. Please refresh and try again."


@dataclass(frozen=True, slots=True)
class PutBlob:
    """Set a file to a blob that is in the object store already (by ``ObjectStore.add_blob``)."""

    path: str
    oid: str
    old_path: str = ""
    """Not empty: the file was renamed from there."""


@dataclass(frozen=True, slots=True)
class PutLfs:
    """Set a file to an LFS object. Whether the repository owns it is the caller's check."""

    path: str
    pointer: LfsPointer
    old_path: str = ""


@dataclass(frozen=True, slots=True)
class Delete:
    """Take away a file or a folder."""

    path: str


Operation = PutBlob | PutLfs | Delete


@dataclass(frozen=True, slots=True)
class Written:
    """The outcome of a commit."""

    commit: Commit
    changes: list[Change]
    """Against the first parent; empty when nothing changed and the head was kept."""
    new_bytes: int
    """Size of the git objects the repository did not have before."""


def apply_operations(store: ObjectStore, tree: WorkTree, operations: Iterable[Operation]) -> None:
    """Apply ``operations`` to ``tree`` in order.

    Raises:
        BadPathError: a path cannot be stored.
        EntryNotFoundError: something to delete or rename is not there.
    """
    for operation in operations:
        is_delete = isinstance(operation, Delete)
        path = check_path(operation.path.rstrip("/") if is_delete else operation.path)
        if isinstance(operation, Delete):
            _delete(tree, path)
            continue
        old = tree.get(path)
        mode = old.mode if old is not None and not old.is_tree else FILE_MODE
        if operation.old_path:
            _delete(tree, check_path(operation.old_path))
        if isinstance(operation, PutBlob):
            tree.put(path, operation.oid, mode)
        else:
            tree.put(path, store.add_blob(operation.pointer.text()), mode)


@transaction.atomic
def write_commit(
    *,
    repo: ModelRepo,
    ref_name: str,
    edit: Callable[[ObjectStore, WorkTree], None],
    title: str,
    message: str = "",
    author: str,
    expected_parent: str = "",
) -> Written:
    """Edit the tree at the head of ``ref_name`` and move the ref to the new commit.

    Args:
        repo: The repository.
        ref_name: Full name of a branch or pull request ref.
        edit: Changes the tree; runs while the ref is locked.
        title: First line of the message.
        message: The rest.
        author: User name.
        expected_parent: Commit id, or its beginning, the head must have.

    Raises:
        RevisionNotFoundError: there is no such ref.
        StaleParentError: the head is another; nothing is written.
    """
    ref = Ref.objects.select_for_update().filter(repo=repo, name=ref_name).first()
    if ref is None:
        raise RevisionNotFoundError(f"Invalid rev id: {ref_name}", revision=ref_name)
    if expected_parent and not ref.commit_oid.startswith(expected_parent.lower()):
        raise StaleParentError(STALE, head=ref.commit_oid)
    parent = Commit.objects.get(repo=repo, oid=ref.commit_oid)
    store = ObjectStore(repo.pk)
    tree = WorkTree(store, parent.tree_oid)
    edit(store, tree)
    tree_oid = tree.write()
    if tree_oid == parent.tree_oid:
        return Written(parent, [], store.written_bytes)
    written = add_commit(
        store, repo, tree_oid=tree_oid, parent=parent, title=title, message=message, author=author
    )
    move_ref(ref, written.commit.oid)
    return written


def move_ref(ref: Ref, commit_oid: str) -> None:
    """Point a locked ref at a commit. What is only proposed is no change of the repository."""
    ref.oid = ref.commit_oid = commit_oid
    ref.save()
    if not ref.name.startswith(PULLS):
        ModelRepo.objects.filter(pk=ref.repo_id).update(updated_at=timezone.now())


def add_commit(
    store: ObjectStore,
    repo: ModelRepo,
    *,
    tree_oid: str,
    parent: Commit | None,
    title: str,
    message: str = "",
    author: str,
    merged_oid: str = "",
) -> Written:
    """Write a commit object and its index rows; no ref is moved.

    ``merged_oid``, the second parent, makes it a merge.
    """
    now = int(timezone.now().timestamp())
    body = f"{title}\n" + (f"\n{message}\n" if message else "")
    git = GitCommit()
    git.tree = tree_oid.encode()
    parents = [parent.oid if parent else "", merged_oid]
    git.parents = [ObjectID(oid.encode()) for oid in parents if oid]
    git.author = git.committer = signature(author)
    git.author_time = git.commit_time = now
    git.author_timezone = git.commit_timezone = 0
    git.message = body.encode()
    oid = store.add(git)
    store.flush()
    changes = list(tree_changes(store, parent.tree_oid if parent else EMPTY_TREE, tree_oid))
    commit, is_new = Commit.objects.get_or_create(
        repo=repo,
        oid=oid,
        defaults={
            "tree_oid": tree_oid,
            "parent_oid": parent.oid if parent else "",
            "depth": parent.depth + 1 if parent else 0,
            "author": author,
            "title": title[:1000],
            "message": message,
            "authored_at": datetime.fromtimestamp(now, UTC),
        },
    )
    if is_new:
        _index_paths(commit, changes)
    return Written(commit, changes, store.written_bytes)


def _index_paths(commit: Commit, changes: list[Change]) -> None:
    paths = {change.path for change in changes}
    for path in list(paths):
        paths.update(folders_above(path))
    CommitPath.objects.bulk_create(
        [CommitPath(commit=commit, path=path) for path in sorted(paths)], batch_size=2000
    )


def _delete(tree: WorkTree, path: str) -> None:
    if not tree.delete(path):
        raise EntryNotFoundError(f"A file with this name doesn't exist: {path}", path=path)
