"""Copying files between repositories inside the store: rows are copied, bytes are not.

Whether somebody may have the files is decided before, by ``licensing.delivery.copying``.
"""

from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from accounts.viewer import Viewer
from catalog.access import check_may
from catalog.content.ownership import claim, claims_of, grant, owned_size, owned_sizes
from catalog.content.quotas import charge_git, charged_for, check_room
from catalog.content.uploads import check_may_upload
from catalog.history.commits import add_commit
from catalog.history.objects import EMPTY_TREE, ObjectStore
from catalog.history.refs import DEFAULT_BRANCH, HEADS
from catalog.history.trees import Entry, list_entries
from catalog.models import Commit, GitObject, LfsObject, ModelRepo, Ref, RepoLfsObject
from catalog.services.indexing import index_revision

_COPY_OBJECTS = """
    INSERT INTO catalog_gitobject
        (repo_id, oid, kind, size_bytes, data, lfs_sha256, lfs_size_bytes)
    SELECT %(target)s, oid, kind, size_bytes, data, lfs_sha256, lfs_size_bytes
    FROM catalog_gitobject WHERE repo_id = %(source)s AND oid = ANY(%(oids)s)
    ON CONFLICT DO NOTHING
    RETURNING size_bytes
"""
_COPY_VERDICTS = """
    INSERT INTO catalog_filescan (repo_id, blob_oid, path, verdict, kind, code, reason, report,
        scanner_version, scanned_at, is_proposed)
    SELECT %(target)s, blob_oid, path, verdict, kind, code, reason, report,
        scanner_version, scanned_at, false
    FROM catalog_filescan
    WHERE repo_id = %(source)s AND blob_oid = ANY(%(oids)s) AND NOT is_proposed
    ON CONFLICT DO NOTHING
"""


@dataclass(frozen=True, slots=True)
class CopiedFiles:
    """The outcome of a copy."""

    commit_oid: str
    file_count: int


@transaction.atomic
def copy_revision(
    viewer: Viewer, source: ModelRepo, commit_oid: str, target: ModelRepo
) -> CopiedFiles:
    """Make the files of a revision of ``source`` the next commit of ``target``'s default branch.

    The target's files are replaced. Safe to repeat: the same files are no second commit.

    Raises:
        ForbiddenError: the target is not the viewer's to change.
        StorageQuotaError: its owner has no room for them.
    """
    check_may(viewer, target, to="write")
    head = Ref.objects.select_for_update().get(repo=target, name=HEADS + DEFAULT_BRANCH)
    parent = Commit.objects.get(repo=target, oid=head.commit_oid)
    commit = Commit.objects.get(repo=source, oid=commit_oid)
    entries = list_entries(source, commit_oid, recursive=True)
    files = [entry for entry in entries if not entry.is_folder]
    if commit.tree_oid == parent.tree_oid:
        return CopiedFiles(parent.oid, len(files))
    # The repository's row before its name space's, as every commit takes them.
    ModelRepo.objects.filter(pk=target.pk).update(updated_at=timezone.now())
    _copy_large(viewer, source, target, files)
    new_bytes = _copy_objects(source, target, [commit.tree_oid, *(entry.oid for entry in entries)])
    written = add_commit(
        ObjectStore(target.pk),
        target,
        tree_oid=commit.tree_oid,
        parent=parent,
        title=f"Duplicate from {source.full_name}",
        author=viewer.identified().username,
    )
    head.oid = head.commit_oid = written.commit.oid
    head.save()
    charge_git(target, new_bytes + written.new_bytes)
    index_revision(target, written)
    return CopiedFiles(written.commit.oid, len(files))


@transaction.atomic
def copy_objects(viewer: Viewer, source: ModelRepo, target: ModelRepo, digests: set[str]) -> None:
    """Let ``target`` own large files that ``source`` owns, for a commit that will name them.

    Like an upload, it needs no right to commit: what protects the target is the commit. Digests
    the source does not own are passed over.

    Raises:
        UnauthenticatedError, MissingScopeError: nobody is signed in; the token only reads.
        StorageQuotaError: whoever is charged has no room left.
    """
    user = check_may_upload(viewer, target)
    payer = charged_for(target, user)
    claims = claims_of(source, digests)
    for digest in sorted(digests):
        if owned_size(target, digest, by=user) is not None:
            continue
        found = LfsObject.objects.filter(pk=digest, owners__repo=source).first()
        if found is not None:
            if not RepoLfsObject.objects.filter(charged_to=payer, lfs_object=found).exists():
                check_room(payer, found.size_bytes)
            grant(
                target,
                digest,
                found.size_bytes,
                by=user,
                charged_to=payer,
                xet_file=found.xet_file,
            )
        elif digest in claims:
            file = claims[digest].file
            check_room(payer, file.size_bytes)
            claim(target, digest, file, by=user, charged_to=payer)


def _copy_large(viewer: Viewer, source: ModelRepo, target: ModelRepo, files: list[Entry]) -> None:
    wanted = {entry.lfs.sha256 for entry in files if entry.lfs}
    claims = claims_of(source, wanted)  # first: a claim ends when its object is there
    owned = RepoLfsObject.objects.filter(repo=source, lfs_object__in=wanted)
    sizes = dict(owned.values_list("lfs_object_id", "lfs_object__size_bytes"))
    paid = RepoLfsObject.objects.filter(charged_to=target.namespace, lfs_object__in=sizes)
    free = set(paid.values_list("lfs_object_id", flat=True))
    for digest in sizes.keys() | owned_sizes(target, set(claims)).keys():
        claims.pop(digest, None)
    new_bytes = sum(size for digest, size in sizes.items() if digest not in free)
    claimed_bytes = sum(held.file.size_bytes for held in claims.values())
    check_room(target.namespace, new_bytes + claimed_bytes)
    RepoLfsObject.objects.bulk_create(
        [
            RepoLfsObject(
                repo=target,
                lfs_object_id=digest,
                created_by=viewer.user,
                charged_to=target.namespace,
            )
            for digest in sorted(sizes)
        ],
        ignore_conflicts=True,
    )
    user = viewer.identified()
    for digest, held in sorted(claims.items()):  # the copy's are verified by themselves
        claim(target, digest, held.file, by=user, charged_to=target.namespace)


def _copy_objects(source: ModelRepo, target: ModelRepo, oids: list[str]) -> int:
    """Copy git objects and the verdicts on them; return the bytes that were new."""
    values: dict[str, Any] = {
        "source": source.pk,
        "target": target.pk,
        "oids": sorted(set(oids) - {EMPTY_TREE}),
    }
    with connection.cursor() as cursor:
        cursor.execute(_COPY_OBJECTS, values)
        new_bytes: int = sum(size for (size,) in cursor.fetchall())
        cursor.execute(_COPY_VERDICTS, values)
    return new_bytes


def weight_of(source: ModelRepo, commit_oid: str) -> tuple[int, int]:
    """Return (files, bytes of git objects) that copying a revision means."""
    entries = list_entries(source, commit_oid, recursive=True)
    oids = {entry.oid for entry in entries}
    sizes = GitObject.objects.filter(repo=source, oid__in=oids).values_list("size_bytes", flat=True)
    return len(entries), sum(sizes)
