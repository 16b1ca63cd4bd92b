"""Which files and which revisions a license covers."""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import takewhile

from django.db.models import Q

from accounts.viewer import Viewer
from catalog.access import PurchaseRequiredError
from catalog.history.graph import Graph, load_graph
from catalog.history.log import history
from catalog.history.refs import DEFAULT_BRANCH, HEADS, TAGS, resolve
from catalog.history.trees import list_entries, read_blob
from catalog.models import Commit, Grant, GrantedRepo, ModelRepo, Ref
from licensing.models import LicensedFile

MOST_UPDATES = 100
"""So many commits of a model are looked at for updates."""
_VERSION = re.compile(r"v?(\d{1,9})(?:\.\d{1,9}){0,3}(?:[-+][0-9A-Za-z.+-]{1,64})?")
"""Tags that name a version: ``v2``, ``2.1``, ``v2.1.0-rc.1``."""


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
    graph = load_graph(repo.pk)
    if not any(_reaches(graph, repo, row, commit_oid) for row in rows):
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

    Looked for in the files that were bought and in the newest revision the grants reach.

    Raises:
        UpdateNotIncludedError: the license is for earlier revisions.
    """
    rows = _limited(viewer, repo, held)
    if rows is None:
        return
    bought = LicensedFile.objects.filter(repo=repo, sha256=sha256)
    if bought.filter(license__grant__in=[row.grant_id for row in rows]).exists():
        return
    graph = load_graph(repo.pk)
    for row in rows:
        newest = newest_covered(graph, repo, row)
        if any(sha256 == digest for _path, digest, _size in covered_files(repo, newest)):
            return
    raise _not_included(repo, rows)


def newest_covered(graph: Graph, repo: ModelRepo, row: GrantedRepo) -> str:
    """Return the newest commit of ``main`` a grant reaches."""
    oid = bytes.fromhex(head_of(repo))
    covered = coverage_of(graph, repo, row)
    while not covered.has(oid.hex()):
        parents = graph.parents.get(oid, ())
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


def _reaches(graph: Graph, repo: ModelRepo, row: GrantedRepo, commit_oid: str) -> bool:
    """Whether a grant covers a commit: what was there when it was bought, or its updates."""
    return coverage_of(graph, repo, row).has(commit_oid)


@dataclass(frozen=True, slots=True)
class Coverage:
    """Which commits of one model a grant reaches.

    Args:
        graph: All commits of the model.
        bought: The commit that was bought and all before it.
        updates: Which later ones it reaches.
        later_majors: The commits that begin a later major version.
    """

    graph: Graph
    bought: AbstractSet[bytes]
    updates: str
    later_majors: AbstractSet[bytes]

    def has(self, commit_oid: str) -> bool:
        """Whether it reaches a commit, of any branch; never one the model does not have."""
        oid = bytes.fromhex(commit_oid)
        if oid in self.bought:
            return True
        if oid not in self.graph or self.updates == Grant.Updates.REVISION:
            return False
        is_all = self.updates == Grant.Updates.ALL
        return is_all or not self.graph.reaches(oid, self.later_majors)


def coverage_of(graph: Graph, repo: ModelRepo, row: GrantedRepo) -> Coverage:
    """Return what a grant reaches, to be asked about many commits of one model."""
    oid, updates = bytes.fromhex(row.commit_oid), row.grant.updates
    is_major = updates == Grant.Updates.MAJOR
    later = _later_majors(graph, repo, oid) if is_major else set()
    return Coverage(graph, graph.ancestors([oid]) | {oid}, updates, later)


def covers_commit(row: GrantedRepo, commit_oid: str) -> bool:
    """Whether a grant reaches a commit that was published: proposals of strangers are none."""
    graph = load_graph(row.repo_id)
    refs = Ref.objects.filter(repo=row.repo_id)
    published = refs.filter(Q(name__startswith=HEADS) | Q(name__startswith=TAGS))
    tips = [bytes.fromhex(oid) for oid in published.values_list("commit_oid", flat=True)]
    if bytes.fromhex(commit_oid) not in graph.ancestors([*tips, bytes.fromhex(row.commit_oid)]):
        return False
    return coverage_of(graph, row.repo, row).has(commit_oid)


def covers_file(row: GrantedRepo, sha256: str) -> bool:
    """Whether one of the commits an update brought has this file, within the grant's reach.

    Looked at are the newest ``MOST_UPDATES`` commits of ``main``; what was bought is in
    ``LicensedFile``.
    """
    repo, graph = row.repo, load_graph(row.repo_id)
    covered = coverage_of(graph, repo, row)
    for commit in later_commits(covered, repo):
        if covered.has(commit.oid) and any(
            sha256 == digest for _path, digest, _size in covered_files(repo, commit.oid)
        ):
            return True
    return False


def later_commits(covered: Coverage, repo: ModelRepo) -> list[Commit]:
    """Return the commits of ``main`` after the bought one, newest first, ``MOST_UPDATES`` at most.

    Along first parents, as pages show history.
    """
    found = history(repo, head_of(repo), limit=MOST_UPDATES)
    return list(takewhile(lambda commit: bytes.fromhex(commit.oid) not in covered.bought, found))


def line_of(row: GrantedRepo) -> str:
    """Return the name of the major version that was bought: ``v2``."""
    before = load_graph(row.repo_id).ancestors([bytes.fromhex(row.commit_oid)])
    return f"v{_major_at(before, dict(_majors(row.repo)))}"


def _later_majors(graph: Graph, repo: ModelRepo, bought: bytes) -> set[bytes]:
    """Return the commits that begin a later major version than the one that was bought."""
    tagged = dict(_majors(repo))
    mine = _major_at(graph.ancestors([bought]), tagged)
    return {oid for oid, major in tagged.items() if major > mine}


def _major_at(before: AbstractSet[bytes], tagged: Mapping[bytes, int]) -> int:
    """Return the highest version tagged at or before a commit, 0 without any."""
    return max((major for oid, major in tagged.items() if oid in before), default=0)


def _majors(repo: ModelRepo) -> Iterable[tuple[bytes, int]]:
    """Return (commit, major version) of every tag that names a version."""
    for ref in Ref.objects.filter(repo=repo, name__startswith=TAGS).order_by("name"):
        match = _VERSION.fullmatch(ref.name.removeprefix(TAGS))
        if match:
            yield bytes.fromhex(ref.commit_oid), int(match[1])


def _not_included(repo: ModelRepo, held: Sequence[GrantedRepo]) -> UpdateNotIncludedError:
    covered = held[-1].commit_oid
    return UpdateNotIncludedError(
        repo,
        f"Your license of {repo.full_name} is for earlier revisions, up to {covered[:12]}. Ask for"
        " that revision, or buy the update.",
        covered=covered,
    )
