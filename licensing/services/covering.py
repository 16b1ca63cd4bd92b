"""Which files and which revisions a license covers."""

import hashlib
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from itertools import takewhile

from django.db.models import Q

from accounts.viewer import Viewer
from catalog.access import PurchaseRequiredError
from catalog.history.graph import load_graph
from catalog.history.log import history
from catalog.history.refs import DEFAULT_BRANCH, HEADS, TAGS, resolve
from catalog.history.trees import list_entries, read_blob, some_have
from catalog.models import Commit, GitObject, GrantedRepo, ModelRepo, Ref
from catalog.models.git import SMALL_FILE_DIGEST
from catalog.reach import Coverage, Held, coverage_of, coverages, limited_grants, reaches
from licensing.models import LicensedFile

MOST_UPDATES = 100
"""So many commits after the bought one are listed. A license reaches them all."""


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
    if held is not None and not reaches(viewer, repo, held, commit_oid):
        raise _not_included(repo, held)


def check_all_revisions(viewer: Viewer, repo: ModelRepo, held: Held) -> AbstractSet[bytes] | None:
    """Refuse all revisions together to somebody whose licenses reach some of them only.

    What is merely proposed is no revision yet: nobody loses a right because somebody opened a pull
    request, and nobody gets what is in it.

    Returns:
        Ids of the commits that may be sent, each with all that are before it; ``None``: all.

    Raises:
        UpdateNotIncludedError: the license is for earlier revisions; they can be had one by one.
    """
    rows = limited_grants(viewer, repo, held)
    if rows is None:
        return None
    graph = load_graph(repo.pk)
    reached = set().union(*(covered.reached for covered in coverages(repo, rows)))
    whole = reached - graph.descendants(graph.parents.keys() - reached)
    if not graph.ancestors(_tips(repo)) <= whole:
        raise _not_included(repo, rows)
    return None if graph.parents.keys() <= whole else whole


def check_object(viewer: Viewer, repo: ModelRepo, sha256: str, held: Held) -> None:
    """Refuse a large file by its digest that no revision the viewer's grants reach has.

    Raises:
        UpdateNotIncludedError: the license is for earlier revisions.
    """
    rows = limited_grants(viewer, repo, held)
    if rows is None:
        return
    bought = LicensedFile.objects.filter(repo=repo, sha256=sha256)
    if bought.filter(license__grant__in=[row.grant_id for row in rows]).exists():
        return
    blobs = _blobs_of(repo.pk, sha256)
    if not any(_has_any(repo, one, one.reached, blobs) for one in coverages(repo, rows)):
        raise _not_included(repo, rows)


def newest_covered(covered: Coverage, repo: ModelRepo, row: GrantedRepo) -> str:
    """Return the newest commit of ``main`` a grant reaches."""
    oid = bytes.fromhex(head_of(repo))
    while oid not in covered.reached:
        parents = covered.graph.parents.get(oid, ())
        if not parents:
            return row.commit_oid
        oid = parents[0]
    is_older = oid in covered.bought  # history was written anew from there
    return row.commit_oid if is_older else oid.hex()


def covers_commit(row: GrantedRepo, commit_oid: str) -> bool:
    """Whether a grant reaches a commit that was published: proposals of strangers are none.

    What the model does not have is told by one look into an index.
    """
    kept = GitObject.objects.filter(repo=row.repo_id, oid=commit_oid, kind=GitObject.Kind.COMMIT)
    if not kept.exists():
        return False
    covered = coverage_of(row)
    return bytes.fromhex(commit_oid) in covered.reached & _published(covered, row)


def covers_file(row: GrantedRepo, sha256: str) -> bool:
    """Whether a published commit within the grant's reach has this file.

    What the model does not have is told by one look into each of two indexes: whoever has a key
    may ask for any number of digests.
    """
    blobs = _blobs_of(row.repo_id, sha256)
    if not blobs:
        return False
    covered = coverage_of(row)
    return _has_any(row.repo, covered, covered.reached & _published(covered, row), blobs)


def _published(covered: Coverage, row: GrantedRepo) -> AbstractSet[bytes]:
    """Return the commits of branches and tags, and those that were bought."""
    return covered.graph.ancestors(_tips(row.repo)) | covered.bought


def _tips(repo: ModelRepo) -> list[bytes]:
    """Return the commits that branches and tags name."""
    refs = Ref.objects.filter(Q(name__startswith=HEADS) | Q(name__startswith=TAGS), repo=repo)
    return [bytes.fromhex(oid) for oid in refs.values_list("commit_oid", flat=True)]


def _blobs_of(repo_id: int, sha256: str) -> set[bytes]:
    """Return the ids of what git keeps for files of this digest, in any revision, 20 bytes each."""
    blobs = GitObject.objects.filter(repo=repo_id, kind=GitObject.Kind.BLOB)
    large = blobs.filter(lfs_sha256=sha256)
    small = blobs.filter(lfs_sha256="").annotate(digest=SMALL_FILE_DIGEST)
    found = [*large.values_list("oid", flat=True)]
    found += small.filter(digest=bytes.fromhex(sha256)).values_list("oid", flat=True)
    return {bytes.fromhex(oid) for oid in found}


def _has_any(
    repo: ModelRepo, covered: Coverage, commits: AbstractSet[bytes], blobs: AbstractSet[bytes]
) -> bool:
    """Whether one of ``commits`` has one of ``blobs``."""
    trees = [covered.graph.trees[oid] for oid in commits if oid in covered.graph]
    return some_have(repo, trees, blobs)


def later_commits(covered: Coverage, repo: ModelRepo) -> list[Commit]:
    """Return the commits of ``main`` after the bought one, newest first, ``MOST_UPDATES`` at most.

    Along first parents, as pages show history.
    """
    found = history(repo, head_of(repo), limit=MOST_UPDATES)
    return list(takewhile(lambda commit: bytes.fromhex(commit.oid) not in covered.bought, found))


def _not_included(repo: ModelRepo, held: Sequence[GrantedRepo]) -> UpdateNotIncludedError:
    covered = held[-1].commit_oid
    return UpdateNotIncludedError(
        repo,
        f"Your license of {repo.full_name} is for earlier revisions, up to {covered[:12]}. Ask for"
        " that revision, or buy the update.",
        covered=covered,
    )
