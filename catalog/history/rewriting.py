"""Writing history anew: one commit instead of many, and files that must never have been there.

What is rewritten keeps authors, dates and messages; what does not change keeps its id. The old
commits are left in the object store, reachable by no ref.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from django.db import transaction
from django.utils import timezone
from dulwich.objects import Commit as GitCommit
from dulwich.objects import ObjectID, ShaFile, Tag, parse_tree

from catalog.history.changes import tree_changes
from catalog.history.commits import Written, add_commit, index_paths
from catalog.history.errors import RevisionNotFoundError
from catalog.history.objects import EMPTY_TREE, TREE_MODE, ObjectStore, TreeItem, make_tree
from catalog.models import Commit, GitObject, ModelRepo, Ref

_READ_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class MovedRef:
    """A ref that leads to another commit now."""

    name: str
    old_oid: str
    new_oid: str


@transaction.atomic
def squash(
    repo: ModelRepo, ref_name: str, *, title: str, message: str, author: str
) -> tuple[Written, MovedRef]:
    """Replace the history of one ref by a single commit with the same files.

    Raises:
        RevisionNotFoundError: there is no such ref.
    """
    ref = Ref.objects.select_for_update().filter(repo=repo, name=ref_name).first()
    if ref is None:
        raise RevisionNotFoundError(f"Invalid rev id: {ref_name}", revision=ref_name)
    head = Commit.objects.get(repo=repo, oid=ref.commit_oid)
    store = ObjectStore(repo.pk)
    written = add_commit(
        store,
        repo,
        tree_oid=head.tree_oid,
        parent=None,
        title=title,
        message=message,
        author=author,
    )
    moved = MovedRef(ref.name, ref.commit_oid, written.commit.oid)
    ref.oid = ref.commit_oid = written.commit.oid
    ref.save()
    ModelRepo.objects.filter(pk=repo.pk).update(updated_at=timezone.now())
    return written, moved


@transaction.atomic
def without_blobs(
    repo: ModelRepo, blob_oids: Iterable[str], *, also: Iterable[str] = ()
) -> tuple[list[MovedRef], int, dict[str, str]]:
    """Rewrite every ref so that no commit in its history has one of ``blob_oids``.

    Args:
        repo: The repository.
        blob_oids: What must go.
        also: Further commits that need one to stand for them, whether or not a ref has them.

    Returns:
        The refs that moved, the bytes of new git objects, and what stands for each of ``also``.
    """
    gone = set(blob_oids)
    refs = list(Ref.objects.select_for_update().filter(repo=repo).order_by("name"))
    store = ObjectStore(repo.pk)
    rewrite = _Rewrite(repo, store, gone)
    moved = []
    for ref in refs:
        commit_oid = rewrite.commit(ref.commit_oid)
        if commit_oid == ref.commit_oid:
            continue
        moved.append(MovedRef(ref.name, ref.commit_oid, commit_oid))
        is_annotated = ref.oid != ref.commit_oid
        ref.oid = rewrite.tag(ref.oid) if is_annotated else commit_oid
        ref.commit_oid = commit_oid
        ref.save()
    instead = {oid: rewrite.commit(oid) for oid in set(also)}
    store.flush()
    if moved:
        ModelRepo.objects.filter(pk=repo.pk).update(updated_at=timezone.now())
    return moved, store.written_bytes, instead


class _Rewrite:
    """One pass over the history of a repository."""

    def __init__(self, repo: ModelRepo, store: ObjectStore, gone: set[str]) -> None:
        self.repo, self.store, self.gone = repo, store, gone
        self.shape = dict(_commits(repo))
        self.hit = _trees_with(repo, gone)
        self.trees: dict[str, str] = {}
        self.commits: dict[str, str] = {}

    def commit(self, head_oid: str) -> str:
        """Return the id that stands for ``head_oid``; all before it are done first."""
        stack = [head_oid]
        while stack:
            oid = stack[-1]
            if oid in self.commits:
                stack.pop()
                continue
            tree_oid, parents = self.shape[oid]
            if waiting := [parent for parent in parents if parent not in self.commits]:
                stack += waiting
                continue
            stack.pop()
            new_parents = [self.commits[parent] for parent in parents]
            new_tree = self.tree(tree_oid) or self.store.add(make_tree([]))
            is_same = new_parents == parents and new_tree == tree_oid
            self.commits[oid] = oid if is_same else self._write(oid, new_tree, new_parents)
        return self.commits[head_oid]

    def tree(self, oid: str) -> str:
        """Return the id of the tree without the files; empty when nothing is left in it."""
        if oid not in self.hit:
            return oid
        if oid not in self.trees:
            kept = []
            for item in self.store.tree(oid):
                below = self.tree(item.oid) if item.is_tree else item.oid
                if below and item.oid not in self.gone:
                    kept.append(TreeItem(item.name, item.mode, below))
            self.trees[oid] = self.store.add(make_tree(kept)) if kept else ""
        return self.trees[oid]

    def tag(self, oid: str) -> str:
        """Return the id of an annotated tag of what its object became."""
        tag = self.store.tag(oid)
        kind, target = tag.object
        inner = target.decode()
        new = self.tag(inner) if kind is Tag else self.commit(inner)
        tag.object = (kind, ObjectID(new.encode()))
        tag.signature = None  # it was given for other bytes
        return self.store.add(tag)

    def _write(self, oid: str, tree_oid: str, parents: list[str]) -> str:
        git = self.store.commit(oid)
        git.tree = ObjectID(tree_oid.encode())
        git.parents = [ObjectID(parent.encode()) for parent in parents]
        git.gpgsig = None
        new_oid = self.store.add(git)
        self._index(oid, new_oid, tree_oid, parents[0] if parents else "")
        return new_oid

    def _index(self, old_oid: str, new_oid: str, tree_oid: str, parent_oid: str) -> None:
        row = Commit.objects.get(repo=self.repo, oid=old_oid)
        values = {
            name: getattr(row, name)
            for name in ("depth", "author", "title", "message", "authored_at")
        }
        values |= {"tree_oid": tree_oid, "parent_oid": parent_oid}
        commit, is_new = Commit.objects.get_or_create(repo=self.repo, oid=new_oid, defaults=values)
        if is_new:
            before = Commit.objects.filter(repo=self.repo, oid=parent_oid).first()
            old_tree = before.tree_oid if before else EMPTY_TREE
            index_paths(commit, list(tree_changes(self.store, old_tree, tree_oid)))


def _commits(repo: ModelRepo) -> Iterator[tuple[str, tuple[str, list[str]]]]:
    """Yield (id, (tree, parents)) of every commit object."""
    for oid, data in _objects(repo, GitObject.Kind.COMMIT):
        git = ShaFile.from_raw_string(GitObject.Kind.COMMIT, data)
        assert isinstance(git, GitCommit)  # noqa: S101
        yield oid, (git.tree.decode(), [parent.decode() for parent in git.parents])


def _trees_with(repo: ModelRepo, blob_oids: set[str]) -> set[str]:
    """Return the trees that have one of the blobs, directly or further down."""
    wanted = {bytes.fromhex(oid) for oid in blob_oids}
    above: dict[bytes, list[bytes]] = {}
    found: list[bytes] = []
    for oid, data in _objects(repo, GitObject.Kind.TREE):
        mine = bytes.fromhex(oid)
        has_one = False
        for _, mode, sha in parse_tree(data, 20):
            inner = bytes.fromhex(sha.decode())
            if mode == TREE_MODE:
                above.setdefault(inner, []).append(mine)
            else:
                has_one = has_one or inner in wanted
        if has_one:
            found.append(mine)
    hit: set[bytes] = set()
    while found:
        oid_bytes = found.pop()
        if oid_bytes not in hit:
            hit.add(oid_bytes)
            found += above.get(oid_bytes, [])
    return {each.hex() for each in hit}


def _objects(repo: ModelRepo, kind: GitObject.Kind) -> Iterator[tuple[str, bytes]]:
    """Yield (id, content) of every object of a kind, a batch in memory at a time."""
    rows = GitObject.objects.filter(repo=repo, kind=kind).values_list("oid", "data")
    for oid, data in rows.iterator(chunk_size=_READ_AT_ONCE):
        yield oid, bytes(data)
