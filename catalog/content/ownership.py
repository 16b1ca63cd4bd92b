"""Which large files a repository owns. Knowing a digest is not owning the bytes."""

from enum import Enum

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from accounts.models import Namespace, User
from accounts.viewer import Viewer
from catalog.access import can
from catalog.content.blobs import keep, lock
from catalog.models import (
    FileScan,
    GitObject,
    LfsObject,
    ModelRepo,
    Ref,
    RepoLfsObject,
    XetClaim,
    XetFile,
)
from store.core.jobs import JobName, enqueue

WRONG_SHA256 = "wrong_sha256"
"""Code of the verdict on a file whose claim was false."""


def owned_size(repo: ModelRepo, sha256: str, *, by: User | None = None) -> int | None:
    """Return the size in bytes of an object of ``repo``, or ``None`` when it owns no such one.

    The answer never depends on what other repositories own.

    Args:
        repo: The repository.
        sha256: The object's digest.
        by: Who relies on it: what somebody claims for a proposal is good for nobody else.
    """
    return owned_sizes(repo, {sha256}, by=by).get(sha256)


def owned_sizes(repo: ModelRepo, digests: set[str], *, by: User | None = None) -> dict[str, int]:
    """Return ``owned_size`` of those objects that ``repo`` owns, by sha256. Two queries."""
    good = Q(by_writer=True) if by is None else Q(by_writer=True) | Q(user=by)
    claims = XetClaim.objects.filter(good, repo=repo, sha256__in=digests, is_false=False)
    rows = RepoLfsObject.objects.filter(repo=repo, lfs_object_id__in=digests)
    return dict(claims.values_list("sha256", "file__size_bytes")) | dict(
        rows.values_list("lfs_object_id", "lfs_object__size_bytes")
    )


def claims_of(repo: ModelRepo, digests: set[str]) -> dict[str, XetClaim]:
    """Return the owners' claims that stand for files nobody has verified yet, by sha256."""
    rows = XetClaim.objects.filter(repo=repo, sha256__in=digests, by_writer=True, is_false=False)
    return {row.sha256: row for row in rows.select_related("file").order_by("-pk")}


class Standing(Enum):
    """What the store knows of a large file a repository names."""

    VERIFIED = "verified"
    CLAIMED = "claimed"
    """Nobody has checked yet that the content has this sha256."""
    FALSE = "false"
    """It has not."""


def standing(repo: ModelRepo, sha256: str) -> Standing:
    """Return whether a file that ``repo`` names is what it says."""
    if RepoLfsObject.objects.filter(repo=repo, lfs_object_id=sha256).exists():
        return Standing.VERIFIED
    claims = XetClaim.objects.filter(repo=repo, sha256=sha256).values_list("is_false", flat=True)
    if not claims:
        return Standing.VERIFIED  # an object that was released: its bytes are missing, not wrong
    return Standing.FALSE if all(claims) else Standing.CLAIMED


def usable_size(viewer: Viewer, repo: ModelRepo, sha256: str) -> int | None:
    """Return the size of an object of ``repo`` that ``viewer`` may commit there, else ``None``.

    Writers may use all of them. Others, in a pull request, only what is committed already, which
    they can read, and what they sent themselves: knowing the hash of something on its way in must
    not be enough to have it.
    """
    size_bytes = owned_size(repo, sha256, by=viewer.user)
    if size_bytes is None or can(viewer, repo, to="write"):
        return size_bytes
    is_theirs = RepoLfsObject.objects.filter(
        repo=repo, lfs_object_id=sha256, created_by=viewer.user
    ).exists()
    is_committed = GitObject.objects.filter(repo=repo, lfs_sha256=sha256).exists()
    is_claimed = XetClaim.objects.filter(repo=repo, sha256=sha256, user=viewer.user).exists()
    return size_bytes if is_theirs or is_claimed or is_committed else None


@transaction.atomic
def grant(
    repo: ModelRepo,
    sha256: str,
    size_bytes: int,
    *,
    by: User | None,
    charged_to: Namespace | None = None,
    xet_file: XetFile | None = None,
) -> None:
    """Note that ``repo`` owns bytes that are durable and verified. Safe to repeat.

    Call it only once the bytes came by this repository's upload, or to copy what may be read.

    Args:
        repo: Whose they are.
        sha256: Their digest.
        size_bytes: Their size.
        by: Who brought them.
        charged_to: By default the repository's owner.
        xet_file: The recipe that makes them; ``None``: the storage has them as one object.

    Raises:
        LostBytesError: collected meanwhile; nothing is written. Sending them again heals it.
    """
    _made, is_new = hold(sha256, size_bytes, xet_file)
    is_whole = xet_file is None
    is_offered = size_bytes >= max(1, settings.ENV.xet_min_bytes)
    if is_new and is_whole and is_offered and settings.ENV.xet_convert:
        enqueue(JobName.CONVERT_OBJECT, key=sha256, sha256=sha256)
    row, is_new = RepoLfsObject.objects.get_or_create(
        repo=repo,
        lfs_object_id=sha256,
        defaults={"created_by": by, "charged_to": charged_to or repo.namespace},
    )
    if not is_new and by is not None and row.created_by_id != by.pk:
        # Whoever sent it last may use it in a proposal; who pays does not change.
        RepoLfsObject.objects.filter(pk=row.pk).update(created_by=by)
    if XetClaim.objects.filter(repo=repo, sha256=sha256).delete()[0]:
        _judge_again(repo, sha256)


def hold(sha256: str, size_bytes: int, xet_file: XetFile | None = None) -> tuple[LfsObject, bool]:
    """Return the row that keeps verified bytes from the collector, and whether it is new.

    Call it in the transaction that writes what relies on them.

    Args:
        sha256: Their digest.
        size_bytes: Their size.
        xet_file: The recipe that makes them; ``None``: the storage has them as one object.

    Raises:
        LostBytesError: collected meanwhile; nothing is written.
    """
    if xet_file is None:
        keep(sha256)
    else:
        lock(sha256)
    row, is_new = LfsObject.objects.get_or_create(
        sha256=sha256,
        defaults={
            "size_bytes": size_bytes,
            "is_whole": xet_file is None,
            "xet_file": xet_file,
        },
    )
    if not is_new:
        _renew(row, xet_file)
    return row, is_new


@transaction.atomic
def claim(repo: ModelRepo, sha256: str, file: XetFile, *, by: User, charged_to: Namespace) -> bool:
    """Note that somebody says a recipe has this sha256, and have a job check it.

    Safe to repeat. Like ``grant``, only for who brought the content or may copy it.

    Returns:
        Whether they had not said so before.
    """
    mine = XetClaim.objects.filter(repo=repo, sha256=sha256, user=by)
    mine.filter(is_false=True).delete()
    row, is_new = mine.get_or_create(
        repo=repo,
        sha256=sha256,
        user=by,
        defaults={
            "file": file,
            "charged_to": charged_to,
            "by_writer": Viewer(user=by).can_write(repo.namespace_id),
        },
    )
    if is_new and row.by_writer:
        _doubt(repo, sha256)
    enqueue(JobName.VERIFY_CLAIM, key=str(row.pk), claim_id=row.pk)
    return is_new


def _doubt(repo: ModelRepo, sha256: str) -> None:
    """Take back what was found in bytes the repository no longer has: other bytes stand there.

    Called once the claim is a row: who deletes files for good holds the repository meanwhile.
    """
    if not RepoLfsObject.objects.filter(repo=repo, lfs_object_id=sha256).exists():
        blobs = GitObject.objects.filter(repo=repo, lfs_sha256=sha256).values("oid")
        served = FileScan.objects.filter(repo=repo, blob_oid__in=blobs, verdict__in=FileScan.SERVED)
        served.update(verdict=FileScan.Verdict.PENDING, code="", reason="", report=None)


def _judge_again(repo: ModelRepo, sha256: str) -> None:
    """Let files be judged that were not what a claim said, now that the right bytes are here."""
    blobs = GitObject.objects.filter(repo=repo, lfs_sha256=sha256).values("oid")
    scans = FileScan.objects.filter(repo=repo, blob_oid__in=blobs, code=WRONG_SHA256)
    head = Ref.objects.filter(repo=repo, name="refs/heads/main").first()
    if scans.update(verdict=FileScan.Verdict.PENDING, code="", reason="") and head is not None:
        enqueue(JobName.SCAN_COMMIT, repo_id=repo.pk, commit_oid=head.commit_oid)


def _renew(there: LfsObject, xet_file: XetFile | None) -> None:
    """Note a further form of the same bytes, and that somebody relies on them now."""
    changes: dict[str, object] = {"touched_at": timezone.now()}
    if xet_file is None:
        changes |= {"is_whole": True, "cached_at": None}
    elif there.xet_file_id is None:
        changes["xet_file"] = xet_file
    LfsObject.objects.filter(pk=there.pk).update(**changes)
