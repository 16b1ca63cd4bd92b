"""Which files differ between two trees."""

from collections.abc import Iterator
from dataclasses import dataclass

from catalog.history.objects import ObjectStore, TreeItem
from catalog.models import Commit, ModelRepo


@dataclass(frozen=True, slots=True)
class Change:
    """One file that was added (``old`` is None), deleted (``new`` is None) or changed."""

    path: str
    old: TreeItem | None
    new: TreeItem | None

    @property
    def kind(self) -> str:
        """``added``, ``deleted`` or ``changed``."""
        if self.old is None:
            return "added"
        return "deleted" if self.new is None else "changed"


def tree_changes(store: ObjectStore, old_oid: str, new_oid: str) -> Iterator[Change]:
    """Yield the files that differ, in path order. Equal folders are never opened."""
    stack = [("", old_oid, new_oid)]
    found: list[Change] = []
    while stack:
        prefix, old_tree, new_tree = stack.pop()
        if old_tree == new_tree:
            continue
        old = {item.name: item for item in store.tree(old_tree)} if old_tree else {}
        new = {item.name: item for item in store.tree(new_tree)} if new_tree else {}
        for name in old.keys() | new.keys():
            before, after = old.get(name), new.get(name)
            if before == after:
                continue
            old_below = before.oid if before and before.is_tree else ""
            new_below = after.oid if after and after.is_tree else ""
            if old_below or new_below:
                stack.append((f"{prefix}{name}/", old_below, new_below))
            old_file = before if before and not before.is_tree else None
            new_file = after if after and not after.is_tree else None
            if old_file or new_file:
                found.append(Change(prefix + name, old_file, new_file))
    yield from sorted(found, key=lambda change: change.path)


def changes_between(repo: ModelRepo, old_oid: str, new_oid: str) -> list[Change]:
    """Return the files that differ between two commits."""
    trees = dict(
        Commit.objects.filter(repo=repo, oid__in=[old_oid, new_oid]).values_list("oid", "tree_oid")
    )
    return list(tree_changes(ObjectStore(repo.pk), trees[old_oid], trees[new_oid]))
