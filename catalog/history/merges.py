"""Joining two lines of work, file by file.

What one side alone changed is taken over; what both changed alike is no question; a file that
both changed differently is a conflict. Lines inside a file are never mixed: half of one JSON
file and half of another is no file anybody wrote.
"""

from dataclasses import dataclass, field

from catalog.history.changes import Change, tree_changes
from catalog.history.objects import ObjectStore
from catalog.history.paths import folders_above
from catalog.history.worktree import WorkTree


@dataclass(frozen=True, slots=True)
class Merged:
    """The outcome of a merge that is not written yet."""

    tree: WorkTree
    """The trunk's tree with the proposal's changes; meaningless when there are conflicts."""
    conflicts: list[str] = field(default_factory=list)
    """Paths both sides changed differently, in order."""


def merge_trees(store: ObjectStore, *, base_oid: str, ours_oid: str, theirs_oid: str) -> Merged:
    """Apply what changed from ``base`` to ``theirs`` on top of ``ours``.

    Args:
        store: Of the repository all three trees are in.
        base_oid: The tree both sides began with.
        ours_oid: The trunk's tree now.
        theirs_oid: The proposal's tree.
    """
    ours = {change.path: change for change in tree_changes(store, base_oid, ours_oid)}
    theirs = list(tree_changes(store, base_oid, theirs_oid))
    tree = WorkTree(store, ours_oid)
    wanted = [change for change in theirs if not _is_done(change, ours.get(change.path))]
    conflicts = {change.path for change in wanted if change.path in ours}
    for change in wanted:
        if change.new is None and change.path not in conflicts:
            tree.delete(change.path)
    for change in wanted:
        if change.new is None or change.path in conflicts:
            continue
        if tree.is_empty_folder(change.path):
            tree.delete(change.path)
        if _is_in_the_way(tree, change.path):
            conflicts.add(change.path)
        else:
            tree.put(change.path, change.new.oid, change.new.mode)
    return Merged(tree, sorted(conflicts))


def _is_done(theirs: Change, ours: Change | None) -> bool:
    """Whether the trunk has made the same change."""
    return ours is not None and ours.new == theirs.new


def _is_in_the_way(tree: WorkTree, path: str) -> bool:
    """Whether a folder stands where the file goes, or a file where one of its folders goes."""
    there = tree.get(path)
    if there is not None and there.is_tree:
        return True
    above = (tree.get(folder) for folder in folders_above(path))
    return any(item is not None and not item.is_tree for item in above)
