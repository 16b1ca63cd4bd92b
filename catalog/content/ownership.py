"""Which large files a repository owns. Knowing a digest is not owning the bytes."""

from accounts.models import Namespace, User
from catalog.models import LfsObject, ModelRepo, RepoLfsObject


def owned_size(repo: ModelRepo, sha256: str) -> int | None:
    """Return the size in bytes of an object of ``repo``, or ``None`` when it owns no such one.

    The answer never depends on what other repositories own.
    """
    return (
        RepoLfsObject.objects.filter(repo=repo, lfs_object_id=sha256)
        .values_list("lfs_object__size_bytes", flat=True)
        .first()
    )


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
    RepoLfsObject.objects.get_or_create(
        repo=repo,
        lfs_object_id=sha256,
        defaults={"created_by": by, "charged_to": charged_to or repo.namespace},
    )
