"""Which revisions of a sold model a grant reaches: what was bought, and updates of it."""

import re
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from django.db.models import OuterRef, Subquery

from accounts.viewer import Viewer
from catalog.access import check_contents
from catalog.history.graph import Graph, load_graph
from catalog.history.refs import TAGS
from catalog.models import Commit, Grant, GrantedRepo, ModelRepo, Ref
from store.core.errors import StoreError

_VERSION = re.compile(r"v?(\d{1,9})(?:\.\d{1,9}){0,3}(?:[-+][0-9A-Za-z.+-]{1,64})?")
"""Tags that name a version: ``v2``, ``2.1``, ``v2.1.0-rc.1``."""
Majors = Sequence[tuple[bytes, int]]
"""Commits with the major versions tagged there; one may have several."""
Held = Sequence[GrantedRepo] | None
"""The grants a model's contents open by; ``None``: they are open without."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """Which commits of one model a grant reaches. Ids are 20 bytes.

    Args:
        graph: All commits of the model.
        bought: The commit that was bought and all before it.
        reached: These and its updates, of any branch.
        line: The major version that was bought; 0: none.
    """

    graph: Graph
    bought: AbstractSet[bytes]
    reached: AbstractSet[bytes]
    line: int

    def has(self, commit_oid: str) -> bool:
        """Whether it reaches a commit; never one the model does not have."""
        return bytes.fromhex(commit_oid) in self.reached


def may_see_revisions(viewer: Viewer, repo: ModelRepo, *commit_oids: str) -> bool:
    """Whether the viewer may have the contents of all these revisions of a visible repository."""
    try:
        held = check_contents(viewer, repo)
    except StoreError:
        return False
    return held is None or all(reaches(viewer, repo, held, oid) for oid in commit_oids)


def reaches(viewer: Viewer, repo: ModelRepo, held: Sequence[GrantedRepo], commit_oid: str) -> bool:
    """Whether one of the viewer's grants reaches a revision."""
    rows = limited_grants(viewer, repo, held)
    if rows is None or any(row.commit_oid == commit_oid for row in rows):
        return True
    return any(covered.has(commit_oid) for covered in coverages(repo, rows))


def limited_grants(viewer: Viewer, repo: ModelRepo, held: Held) -> Sequence[GrantedRepo] | None:
    """Return grants that may not reach everything; ``None``: nothing is to be looked at."""
    if held is None or any(row.grant.updates == Grant.Updates.ALL for row in held):
        return None
    is_member = viewer.role_at(repo.namespace_id, repo.public_id) is not None
    return None if is_member else held


def coverage_of(row: GrantedRepo) -> Coverage:
    """Return what a grant reaches, to be asked about many commits of one model."""
    return coverages(row.repo, [row])[0]


def coverages(repo: ModelRepo, rows: Sequence[GrantedRepo]) -> list[Coverage]:
    """Return what each of several grants of one model reaches.

    Always the commit that was bought and all before it. Updates of a major version end where a
    tag begins a later one, and have what is tagged as the same one. What has exactly the files of
    a commit that is reached is reached, too: a squashed history, a revision taken up again.
    """
    graph, majors = _history_of(repo), _majors(repo)
    found = []
    for row in rows:
        oid = bytes.fromhex(row.commit_oid)
        bought = graph.ancestors([oid]) | {oid}
        line, reached = max(row.major, _major_at(bought, majors)), set(bought)
        if row.grant.updates == Grant.Updates.ALL:
            reached |= graph.parents.keys()
        elif row.grant.updates == Grant.Updates.MAJOR:
            later = graph.descendants(at for at, major in majors if major > line)
            reached |= graph.parents.keys() - later
            reached |= {at for at, major in majors if major <= line}
        trees = {graph.trees[at] for at in reached if at in graph}
        reached |= {at for at, tree in graph.trees.items() if tree in trees}
        found.append(Coverage(graph, bought, reached, line))
    return found


def major_at(repo: ModelRepo, commit_oid: str) -> int:
    """Return the highest major version tagged at or before a commit; 0 without any."""
    return _major_at(_history_of(repo).ancestors([bytes.fromhex(commit_oid)]), _majors(repo))


def _major_at(before: AbstractSet[bytes], majors: Majors) -> int:
    return max((major for oid, major in majors if oid in before), default=0)


def _majors(repo: ModelRepo) -> Majors:
    """Return (commit, major version) of every tag that names a version."""
    found = []
    for ref in Ref.objects.filter(repo=repo, name__startswith=TAGS).order_by("name"):
        match = _VERSION.fullmatch(ref.name.removeprefix(TAGS))
        if match:
            found.append((bytes.fromhex(ref.commit_oid), int(match[1])))
    return found


def _history_of(repo: ModelRepo) -> Graph:
    """Return all commits; what history was squashed to comes after what it was.

    That is the newest earlier commit with the same files: a squash begins anew, with no parent.
    """
    graph = load_graph(repo.pk)
    roots = Commit.objects.filter(repo=repo, parent_oid="")
    same = Commit.objects.filter(repo=repo, tree_oid=OuterRef("tree_oid"), pk__lt=OuterRef("pk"))
    before = Subquery(same.order_by("-pk").values("oid")[:1])
    for oid, was in roots.annotate(was=before).values_list("oid", "was"):
        if was is not None:
            graph.parents[bytes.fromhex(oid)] = (bytes.fromhex(was),)
    return graph
