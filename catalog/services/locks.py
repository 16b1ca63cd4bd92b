"""Locking files that cannot be merged (git-lfs file locking).

A lock says "I work on this" and is kept by every door: while it holds, nobody else can change
the file on any branch. Owners of the repository can break a lock somebody forgot.
"""

from collections.abc import Iterable

from django.db import IntegrityError, transaction
from django.db.models import QuerySet

from accounts.models import Role
from accounts.viewer import Viewer
from catalog.access import check_may
from catalog.history.paths import check_path
from catalog.models import FileLock, ModelRepo
from store.core.errors import ConflictError, ForbiddenError, NotFoundError, TooLargeError

MAX_LOCKS = 10_000
"""Locks of one repository."""


class LockExistsError(ConflictError):
    """The path is locked already, by ``lock``."""

    code = "lock_exists"

    def __init__(self, lock: FileLock) -> None:
        super().__init__(
            f"{lock.path} is locked by {lock.owner.username}.",
            path=lock.path,
            owner=lock.owner.username,
        )
        self.lock = lock


class LockedError(ForbiddenError):
    """Somebody else has locked a file that would change."""

    code = "file_locked"


def create_lock(viewer: Viewer, repo: ModelRepo, path: str) -> FileLock:
    """Lock a path, whether there is a file yet or not.

    Raises:
        ForbiddenError, MissingScopeError: not the viewer's to change.
        BadPathError: no file can have this path.
        LockExistsError: it is locked already, even if by the viewer.
        TooLargeError: the repository has too many locks.
    """
    check_may(viewer, repo, to="write")
    check_path(path)
    if FileLock.objects.filter(repo=repo).count() >= MAX_LOCKS:
        raise TooLargeError(f"A repository has at most {MAX_LOCKS} locks.")
    try:
        with transaction.atomic():
            return FileLock.objects.create(repo=repo, path=path, owner=viewer.identified())
    except IntegrityError:
        there = FileLock.objects.select_related("owner").filter(repo=repo, path=path).first()
        if there is None:  # unlocked in between
            return create_lock(viewer, repo, path)
        raise LockExistsError(there) from None


def locks_of(repo: ModelRepo) -> QuerySet[FileLock]:
    """Return the locks of a repository, the oldest first."""
    return FileLock.objects.filter(repo=repo).select_related("owner").order_by("pk")


def remove_lock(
    viewer: Viewer, repo: ModelRepo, public_id: str, *, is_forced: bool = False
) -> FileLock:
    """Unlock a file and return the lock it had.

    Args:
        viewer: Who asks.
        repo: The repository.
        public_id: Which lock.
        is_forced: Break somebody else's lock, as owners of the repository may.

    Raises:
        NotFoundError: the repository has no such lock.
        LockedError: it is somebody else's.
        ForbiddenError, MissingScopeError: not the viewer's to change.
    """
    check_may(viewer, repo, to="write")
    with transaction.atomic():
        rows = FileLock.objects.select_for_update(of=("self",)).select_related("owner")
        lock = rows.filter(repo=repo, public_id=public_id).first()
        if lock is None:
            raise NotFoundError("There is no such lock.")
        if lock.owner_id != viewer.identified().pk:
            _check_breaking(viewer, repo, lock, is_forced=is_forced)
        FileLock.objects.filter(pk=lock.pk).delete()
    return lock


def check_unlocked(viewer: Viewer, repo: ModelRepo, paths: Iterable[str]) -> None:
    """Refuse a change of a file, or of a folder above one, that somebody else has locked.

    Raises:
        LockedError: says who has.
    """
    others = FileLock.objects.filter(repo=repo).exclude(owner=viewer.user)
    locked = {lock.path: lock.owner.username for lock in others.select_related("owner")}
    if not locked:
        return
    for path in paths:
        if path in locked:
            raise LockedError(
                f"{path} is locked by {locked[path]}. Ask them to unlock it; an owner can, too:"
                f' git lfs unlock --force "{path}"',
                path=path,
                owner=locked[path],
            )


def _check_breaking(viewer: Viewer, repo: ModelRepo, lock: FileLock, *, is_forced: bool) -> None:
    who = lock.owner.username
    if not is_forced:
        raise LockedError(f"{lock.path} is locked by {who}. An owner can use --force.")
    if viewer.role_at(repo.namespace_id, repo.public_id) != Role.ADMIN:
        raise LockedError(f"Only an owner of the repository can break the lock of {who}.")
