"""From a pushed history to index rows: what each new commit changed, in which order they come."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from catalog.history.changes import tree_changes
from catalog.history.errors import PackTooLargeError
from catalog.history.graph import Graph, Oid
from catalog.history.objects import EMPTY_TREE, LINK_MODE
from catalog.history.paths import check_path, folders_above
from catalog.history.strict import CommitFacts, read_commit
from catalog.history.unpacking import Unpacked
from catalog.history.verifying import PushedStore
from catalog.models import Commit, CommitPath, ModelRepo

MAX_CHANGES = 200_000
"""Changed files, summed over the commits of one push; each becomes a row."""
MAX_ITEMS = 50_000_000
"""Lines of folders compared to find them: about a minute of work."""
MAX_MESSAGE_CHARS = 64 * 1024
NO_TITLE = "(no message)"


@dataclass(slots=True)
class PlannedCommit:
    """A commit that is new to the repository, with what its index rows need."""

    row: Commit
    """Not saved yet."""
    paths: list[str]
    """Files it changed against its first parent, every folder above them included."""
    files: list[tuple[str, str]]
    """(path, blob id) of the files it added or changed, symbolic links left out."""
    is_merge: bool


def plan_commits(
    repo: ModelRepo,
    unpacked: Unpacked,
    pushed: Graph,
    graph: Graph,
    *,
    author_of: Callable[[CommitFacts], str],
) -> list[PlannedCommit]:
    """Return the commits that the repository does not have yet, parents first.

    Args:
        repo: Where they go.
        unpacked: The pack they came in.
        pushed: The pack's commits.
        graph: Those and all the repository has.
        author_of: How a page names who wrote a commit.

    Raises:
        BadPathError: a commit has a path that cannot be stored.
        PackTooLargeError: they change too much.
    """
    known = _known(repo, [oid.hex() for oid in pushed.parents])
    store = PushedStore(repo.pk, unpacked, max_items=MAX_ITEMS)
    depths = _depths(repo, pushed)
    planned, count = [], 0
    for oid in parents_first(pushed):
        parents = pushed.parents[oid]
        depths[oid] = depths.get(parents[0], -1) + 1 if parents else 0
        if oid.hex() in known:
            continue
        facts = read_commit(oid, unpacked.data(oid))
        old_tree = graph.trees[parents[0]].hex() if parents else EMPTY_TREE
        planned.append(_planned(repo, store, oid, facts, old_tree, depths[oid]))
        planned[-1].row.author = author_of(facts)[:120]
        count += len(planned[-1].paths)
        if count > MAX_CHANGES:
            raise PackTooLargeError(
                f"The pushed commits change more than {MAX_CHANGES} files."
                " Push older commits first, in several steps."
            )
    return planned


def without_known(repo: ModelRepo, planned: list[PlannedCommit]) -> list[PlannedCommit]:
    """Leave out what another push has brought since; call it when no other can be writing."""
    known = _known(repo, [each.row.oid for each in planned])
    return [each for each in planned if each.row.oid not in known]


def save_commits(planned: Iterable[PlannedCommit]) -> None:
    """Write the index rows."""
    for group in _some(planned, 500):
        Commit.objects.bulk_create([each.row for each in group])
        CommitPath.objects.bulk_create(
            [CommitPath(commit=each.row, path=path) for each in group for path in each.paths],
            batch_size=2000,
        )


def parents_first(pushed: Graph) -> Iterator[Oid]:
    """Yield the pushed commits, each after those of its parents that are among them."""
    done: set[Oid] = set()
    for start in pushed.parents:
        stack = [start]
        while stack:
            oid = stack[-1]
            if oid in done:
                stack.pop()
                continue
            todo = [each for each in pushed.parents[oid] if each in pushed and each not in done]
            if todo:
                stack += todo
                continue
            done.add(oid)
            yield stack.pop()


def _planned(
    repo: ModelRepo,
    store: PushedStore,
    oid: Oid,
    facts: CommitFacts,
    old_tree: str,
    depth: int,
) -> PlannedCommit:
    changes = list(tree_changes(store, old_tree, facts.tree.hex()))
    paths: set[str] = set()
    files = []
    for change in changes:
        paths.add(change.path)
        paths.update(folders_above(change.path))
        if change.new is not None:
            check_path(change.path)
            if change.new.mode != LINK_MODE:
                files.append((change.path, change.new.oid))
    row = Commit(
        repo=repo,
        oid=oid.hex(),
        tree_oid=facts.tree.hex(),
        parent_oid=facts.parents[0].hex() if facts.parents else "",
        depth=depth,
        title=facts.title.strip()[:1000] or NO_TITLE,
        message=facts.rest[:MAX_MESSAGE_CHARS],
        authored_at=facts.authored_at,
    )
    return PlannedCommit(row, sorted(paths), files, is_merge=len(facts.parents) > 1)


def _known(repo: ModelRepo, oids: list[str]) -> set[str]:
    return set(Commit.objects.filter(repo=repo, oid__in=oids).values_list("oid", flat=True))


def _depths(repo: ModelRepo, pushed: Graph) -> dict[Oid, int]:
    """Return the depth of every first parent that the repository has already."""
    firsts = {parents[0].hex() for parents in pushed.parents.values() if parents}
    rows = Commit.objects.filter(repo=repo, oid__in=firsts).values_list("oid", "depth")
    return {bytes.fromhex(oid): depth for oid, depth in rows}


def _some(planned: Iterable[PlannedCommit], count: int) -> Iterator[list[PlannedCommit]]:
    group: list[PlannedCommit] = []
    for each in planned:
        group.append(each)
        if len(group) == count:
            yield group
            group = []
    if group:
        yield group
