"""How much room a person or an organization has, and who is charged for a file.

Everything counts that takes room because of them: large files by digest, once each; git objects
of their repositories; uploads that are open, with the size they announced, so that many at a time
cannot overshoot.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from django.conf import settings
from django.db import connection, transaction
from django.db.models import F, OuterRef, Q, Subquery, Sum, Value
from django.db.models.expressions import Combinable
from django.db.models.functions import Coalesce

from accounts.models import Namespace, User
from accounts.viewer import Viewer
from catalog.models import (
    Discussion,
    ModelRepo,
    RepoLfsObject,
    RepoQuerySet,
    Upload,
    XetClaim,
)
from store.core.errors import ForbiddenError
from store.core.ui.figures import size_text


class StorageQuotaError(ForbiddenError):
    """There is no room left; ``extra`` says how much is used, allowed and missing, in bytes."""

    code = "storage_quota"


@dataclass(frozen=True, slots=True)
class Usage:
    """The room of one name space."""

    used_bytes: int
    quota_bytes: int | None
    """``None``: without limit."""

    @property
    def share(self) -> float:
        """What part is used, 0 to 1; 0 without limit."""
        return min(1.0, self.used_bytes / self.quota_bytes) if self.quota_bytes else 0.0


def usage_of(namespace: Namespace) -> Usage:
    """Return what is used, in one query whatever the number of files."""
    return Usage(_used(namespace), quota_of(namespace))


def quota_of(namespace: Namespace) -> int | None:
    """Return the room of a name space in bytes, ``None`` without limit."""
    quota = namespace.storage_quota_bytes
    if quota is None:
        is_person = namespace.user_id is not None
        env = settings.ENV
        quota = env.user_storage_bytes if is_person else env.organization_storage_bytes
    return quota or None


def charged_for(repo: ModelRepo, user: User | None) -> Namespace:
    """Return who is charged for a file that ``user`` sends to ``repo``.

    Its owner, unless a stranger sends it (for a proposal): nobody can fill the room of others.
    """
    if user is None or Viewer(user=user).can_write(repo.namespace_id):
        return repo.namespace
    return Namespace.objects.get(user=user)


def check_room(namespace: Namespace, more_bytes: int) -> None:
    """Refuse what does not fit. Runs in a transaction, and lets one at a time decide.

    Raises:
        StorageQuotaError: there is not so much room left.
    """
    locked = Namespace.objects.select_for_update(no_key=True).get(pk=namespace.pk)
    expect_room(locked, more_bytes)


def expect_room(namespace: Namespace, more_bytes: int) -> None:
    """Refuse what does not fit as things are now; others may use the room meanwhile.

    Raises:
        StorageQuotaError: there is not so much room left.
    """
    quota = quota_of(namespace)
    if quota is None:
        return
    used = _used(namespace)
    if used + more_bytes > quota:
        raise StorageQuotaError(
            f"{namespace.name} uses {size_text(used)} of {size_text(quota)}; this needs"
            f" {size_text(more_bytes)}. Delete what is no longer needed, or ask the store's"
            " staff for more room.",
            used_bytes=used,
            quota_bytes=quota,
            needed_bytes=more_bytes,
        )


def charge_git(repo: ModelRepo, new_bytes: int, *, pull: Discussion | None = None) -> None:
    """Count git objects that were just written, in the same transaction.

    Args:
        repo: Where they were written; its owner is charged,
        new_bytes: for so much,
        pull: unless they are a pull request's, whose author is.

    Raises:
        StorageQuotaError: they do not fit; the transaction must not be committed.
    """
    if not new_bytes:
        return
    if pull is not None and pull.charged_to is not None:
        check_room(pull.charged_to, new_bytes)
        Discussion.objects.filter(pk=pull.pk).update(git_bytes=F("git_bytes") + new_bytes)
    else:
        check_room(repo.namespace, new_bytes)
        ModelRepo.objects.filter(pk=repo.pk).update(git_bytes=F("git_bytes") + new_bytes)


def adopt_charges(repo: ModelRepo, pull: Discussion, sha256s: Iterable[str]) -> None:
    """Charge the owner of ``repo`` for a pull request that is merged in this transaction.

    Args:
        repo: The repository.
        pull: The pull request, locked.
        sha256s: The large files it brings.

    Raises:
        StorageQuotaError: the owner has no room for it.
    """
    if pull.charged_to_id in {None, repo.namespace_id}:
        return
    theirs, digests = Q(repo=repo, charged_to=pull.charged_to), set(sha256s)
    claims = XetClaim.objects.filter(theirs, sha256__in=digests)
    # Locked first: one that is verified at this instant is a claim still, or an object already.
    held = list(claims.select_for_update().order_by("pk").values_list("pk", flat=True))
    claims = XetClaim.objects.filter(pk__in=held)
    brought = RepoLfsObject.objects.filter(theirs, lfs_object__in=digests)
    size = brought.aggregate(total=Sum("lfs_object__size_bytes"))["total"] or 0
    claimed = claims.aggregate(total=Sum("file__size_bytes"))["total"] or 0
    check_room(repo.namespace, size + claimed + pull.git_bytes)
    brought.update(charged_to=repo.namespace)
    claims.update(charged_to=repo.namespace)
    ModelRepo.objects.filter(pk=repo.pk).update(git_bytes=F("git_bytes") + pull.git_bytes)
    Discussion.objects.filter(pk=pull.pk).update(git_bytes=0, charged_to=repo.namespace)


def with_used_bytes(repos: RepoQuerySet) -> RepoQuerySet:
    """Annotate each repository with ``used_bytes``: its large files and its git objects.

    Only large files its own name space is charged for, verified or not.
    """
    own = Q(repo=OuterRef("pk"), charged_to=OuterRef("namespace"))
    used: Combinable = F("git_bytes")
    for rows, size in (
        (RepoLfsObject.objects.filter(own), "lfs_object__size_bytes"),
        (XetClaim.objects.filter(own), "file__size_bytes"),
    ):
        total = rows.order_by().values("repo").annotate(total=Sum(size)).values("total")
        used += Coalesce(Subquery(total), Value(0))
    return repos.annotate(used_bytes=used)


def stored_bytes(repo: ModelRepo) -> int:
    """Return what all revisions of ``repo`` take, whoever is charged for it, verified or not."""
    large = repo.lfs_objects.aggregate(total=Sum("lfs_object__size_bytes"))["total"] or 0
    claimed = repo.xet_claims.aggregate(total=Sum("file__size_bytes"))["total"] or 0
    return int(large + claimed + repo.git_bytes)


@transaction.atomic
def recharge(repo: ModelRepo, old: Namespace, new: Namespace) -> None:
    """Charge a repository that moves to its new owner. Call it before the move.

    Raises:
        StorageQuotaError: the new owner has no room for it.
    """
    mine = RepoLfsObject.objects.filter(repo=repo, charged_to=old)
    claims = XetClaim.objects.filter(repo=repo, charged_to=old)
    size = mine.aggregate(total=Sum("lfs_object__size_bytes"))["total"] or 0
    claimed = claims.aggregate(total=Sum("file__size_bytes"))["total"] or 0
    check_room(new, size + claimed + repo.git_bytes)
    mine.update(charged_to=new)
    claims.update(charged_to=new)
    Upload.objects.filter(repo=repo, charged_to=old).update(charged_to=new)


_USED = """
SELECT coalesce(sum(bytes), 0) FROM (
    SELECT size_bytes AS bytes FROM catalog_lfsobject WHERE sha256 IN
        (SELECT lfs_object_id FROM catalog_repolfsobject WHERE charged_to_id = %(payer)s)
    UNION ALL
    SELECT size_bytes FROM catalog_xetclaim JOIN catalog_xetfile
        ON catalog_xetfile.id = catalog_xetclaim.file_id WHERE charged_to_id = %(payer)s
    UNION ALL
    SELECT stored_bytes FROM catalog_xorb WHERE charged_to_id = %(payer)s AND NOT is_used
    UNION ALL
    SELECT size_bytes FROM catalog_upload WHERE charged_to_id = %(payer)s
    UNION ALL
    SELECT size_bytes FROM catalog_stagedfile JOIN catalog_modelrepo
        ON catalog_modelrepo.id = catalog_stagedfile.repo_id WHERE namespace_id = %(payer)s
    UNION ALL
    SELECT git_bytes FROM catalog_modelrepo WHERE namespace_id = %(payer)s
    UNION ALL
    SELECT git_bytes FROM catalog_discussion WHERE charged_to_id = %(payer)s AND git_bytes > 0
    UNION ALL
    SELECT size_bytes FROM catalog_attachment WHERE charged_to_id = %(payer)s
) AS parts
"""
"""One query, for it is asked twice for each xorb: by the ORM it takes eight."""


def _used(namespace: Namespace) -> int:
    with connection.cursor() as cursor:
        cursor.execute(_USED, {"payer": namespace.pk})
        return int(cursor.fetchone()[0])
