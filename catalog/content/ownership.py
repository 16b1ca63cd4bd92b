"""Which large files a repository owns. Knowing a digest is not owning the bytes."""

from accounts.models import Namespace, User
from accounts.viewer import Viewer
from catalog.models import GitObject, LfsObject, ModelRepo, RepoLfsObject


def owned_size(repo: ModelRepo, sha256: str) -> int | None:
    """Return the size in bytes of an object of ``repo``, or ``None`` when it owns no such one.

    The answer never depends on what other repositories own.
    """
    return (
        RepoLfsObject.objects.filter(repo=repo, lfs_object_id=sha256)
        .values_list("lfs_object__size_bytes", flat=True)
        .first()
    )


def usable_size(viewer: Viewer, repo: ModelRepo, sha256: str) -> int | None:
    """Return the size of an object of ``repo`` that ``viewer`` may commit there, else ``None``.

    Writers may use all of them. Others, in a pull request, only what is committed already, which
    they can read, and what they sent themselves: knowing the hash of something on its way in must
    not be enough to have it.
    """
    size_bytes = owned_size(repo, sha256)
    if size_bytes is None or viewer.can_write(repo.namespace_id):
        return size_bytes
    is_theirs = RepoLfsObject.objects.filter(
        repo=repo, lfs_object_id=sha256, created_by=viewer.user
    ).exists()
    is_committed = GitObject.objects.filter(repo=repo, lfs_sha256=sha256).exists()
    return size_bytes if is_theirs or is_committed else None


def grant(
    repo: ModelRepo,
    sha256: str,
    size_bytes: int,
    *,
    by: User | None,
    charged_to: Namespace | None = None,
) -> None:
    """Note that ``repo`` owns bytes that are durable and verified. Safe to repeat.

    ``charged_to`` is by default the repository's owner.

    Call it only after the bytes themselves came through this repository's upload, or for a copy
    whose source the caller may read.
    """
    LfsObject.objects.get_or_create(sha256=sha256, defaults={"size_bytes": size_bytes})
    row, is_new = RepoLfsObject.objects.get_or_create(
        repo=repo,
        lfs_object_id=sha256,
        defaults={"created_by": by, "charged_to": charged_to or repo.namespace},
    )
    if not is_new and by is not None and row.created_by_id != by.pk:
        # Whoever sent it last may use it in a proposal; who pays does not change.
        RepoLfsObject.objects.filter(pk=row.pk).update(created_by=by)
