"""Which files and which revisions a license covers."""

import hashlib
import re
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import takewhile

from django.db.models import BinaryField, F, Func, OuterRef, Q, Subquery

from accounts.viewer import Viewer
from catalog.access import PurchaseRequiredError
from catalog.history.graph import Graph, load_graph
from catalog.history.log import history
from catalog.history.refs import DEFAULT_BRANCH, HEADS, TAGS, resolve
from catalog.history.trees import list_entries, read_blob, some_have
from catalog.models import Commit, GitObject, Grant, GrantedRepo, ModelRepo, Ref
from licensing.models import LicensedFile

MOST_UPDATES = 100
"""So many commits after the bought one are listed. A license reaches them all."""
_VERSION = re.compile(r"v?(\d{1,9})(?:\.\d{1,9}){0,3}(?:[-+][0-9A-Za-z.+-]{1,64})?")
"""Tags that name a version: ``v2``, ``2.1``, ``v2.1.0-rc.1``."""
Majors = Sequence[tuple[bytes, int]]
"""Commits with the major versions tagged there; one may have several."""


def covered_files(repo: ModelRepo, commit_oid: str) -> list[tuple[str, str, int]]:
    """Return (path, sha256, size in bytes) of every file of a commit, in order of path."""
    found = []
    for entry in list_entries(repo, commit_oid, recursive=True):
        if entry.is_folder or entry.is_link:
            continue
        if entry.lfs is not None:
            found.append((entry.path, entry.lfs.sha256, entry.lfs.size_bytes))
        else:
            data = read_blob(repo, entry)
            found.append((entry.path, hashlib.sha256(data).hexdigest(), len(data)))
    return sorted(found)


def head_of(repo: ModelRepo) -> str:
    """Return the newest commit of ``main``."""
    return resolve(repo, DEFAULT_BRANCH).commit_oid


class UpdateNotIncludedError(PurchaseRequiredError):
    """The viewer's license is for earlier revisions; ``extra.covered`` is the newest of them."""

    code = "update_not_included"


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


Held = Sequence[GrantedRepo] | None
"""The grants a model's contents open by; ``None``: they are open without."""


def check_revision(viewer: Viewer, repo: ModelRepo, commit_oid: str, held: Held) -> None:
    """Refuse a revision that the viewer's grants do not reach.

    Args:
        viewer: Who asks.
        repo: The model.
        commit_oid: The revision.
        held: As ``catalog.access.check_contents`` gave it.

    Raises:
        UpdateNotIncludedError: the license is for earlier revisions.
    """
    rows = _limited(viewer, repo, held)
    if rows is None or any(row.commit_oid == commit_oid for row in rows):
        return
    if not any(covered.has(commit_oid) for covered in _coverages(repo, rows)):
        raise _not_included(repo, rows)


def check_all_revisions(viewer: Viewer, repo: ModelRepo, held: Held) -> None:
    """Refuse all revisions together to somebody whose licenses reach some of them only.

    Raises:
        UpdateNotIncludedError: the license is for earlier revisions; they can be had one by one.
    """
    rows = _limited(viewer, repo, held)
    if rows is not None:
        raise _not_included(repo, rows)


def check_object(viewer: Viewer, repo: ModelRepo, sha256: str, held: Held) -> None:
    """Refuse a large file by its digest that no revision the viewer's grants reach has.

    Raises:
        UpdateNotIncludedError: the license is for earlier revisions.
    """
    rows = _limited(viewer, repo, held)
    if rows is None:
        return
    bought = LicensedFile.objects.filter(repo=repo, sha256=sha256)
    if bought.filter(license__grant__in=[row.grant_id for row in rows]).exists():
        return
    if not any(_has_file(repo, one, one.reached, sha256) for one in _coverages(repo, rows)):
        raise _not_included(repo, rows)


def newest_covered(covered: Coverage, repo: ModelRepo, row: GrantedRepo) -> str:
    """Return the newest commit of ``main`` a grant reaches."""
    oid = bytes.fromhex(head_of(repo))
    while oid not in covered.reached:
        parents = covered.graph.parents.get(oid, ())
        if not parents:
            return row.commit_oid
        oid = parents[0]
    return oid.hex()


def _limited(viewer: Viewer, repo: ModelRepo, held: Held) -> Sequence[GrantedRepo] | None:
    """Return grants that do not reach everything; ``None``: nothing is to be looked at."""
    if held is None or any(row.grant.updates == Grant.Updates.ALL for row in held):
        return None
    is_member = viewer.role_at(repo.namespace_id, repo.public_id) is not None
    return None if is_member else held


def coverage_of(row: GrantedRepo) -> Coverage:
    """Return what a grant reaches, to be asked about many commits of one model."""
    return _coverages(row.repo, [row])[0]


def _coverages(repo: ModelRepo, rows: Sequence[GrantedRepo]) -> list[Coverage]:
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


def covers_commit(row: GrantedRepo, commit_oid: str) -> bool:
    """Whether a grant reaches a commit that was published: proposals of strangers are none."""
    covered = coverage_of(row)
    return bytes.fromhex(commit_oid) in covered.reached & _published(covered, row)


def covers_file(row: GrantedRepo, sha256: str) -> bool:
    """Whether a published commit within the grant's reach has this file."""
    covered = coverage_of(row)
    return _has_file(row.repo, covered, covered.reached & _published(covered, row), sha256)


def _published(covered: Coverage, row: GrantedRepo) -> AbstractSet[bytes]:
    """Return the commits of branches and tags, and those that were bought."""
    refs = Ref.objects.filter(repo=row.repo_id)
    published = refs.filter(Q(name__startswith=HEADS) | Q(name__startswith=TAGS))
    tips = [bytes.fromhex(oid) for oid in published.values_list("commit_oid", flat=True)]
    return covered.graph.ancestors(tips) | covered.bought


def _has_file(repo: ModelRepo, covered: Coverage, commits: AbstractSet[bytes], sha256: str) -> bool:
    """Whether one of ``commits`` has a file of this digest."""
    trees = [covered.graph.trees[oid] for oid in commits if oid in covered.graph]
    kept = GitObject.objects.filter(repo=repo, kind=GitObject.Kind.BLOB)
    digest = Func(F("data"), function="sha256", output_field=BinaryField())
    small = kept.filter(lfs_sha256="").annotate(digest=digest)
    return any(
        some_have(repo, trees, {bytes.fromhex(oid) for oid in blobs.values_list("oid", flat=True)})
        for blobs in (
            kept.filter(lfs_sha256=sha256),
            small.filter(digest=bytes.fromhex(sha256)),  # reads them all, so comes last
        )
    )


def later_commits(covered: Coverage, repo: ModelRepo) -> list[Commit]:
    """Return the commits of ``main`` after the bought one, newest first, ``MOST_UPDATES`` at most.

    Along first parents, as pages show history.
    """
    found = history(repo, head_of(repo), limit=MOST_UPDATES)
    return list(takewhile(lambda commit: bytes.fromhex(commit.oid) not in covered.bought, found))


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


def _not_included(repo: ModelRepo, held: Sequence[GrantedRepo]) -> UpdateNotIncludedError:
    covered = held[-1].commit_oid
    return UpdateNotIncludedError(
        repo,
        f"Your license of {repo.full_name} is for earlier revisions, up to {covered[:12]}. Ask for"
        " that revision, or buy the update.",
        covered=covered,
    )
