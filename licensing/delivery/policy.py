"""May this caller have this file? The one place that decides, for every route and method."""

import re
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from accounts.viewer import Viewer
from catalog.access import PurchaseRequiredError, can, check_contents
from catalog.content.ownership import owned_size
from catalog.content.reading import recipe_of
from catalog.content.recipes import Recipe
from catalog.formats.kinds import Kind
from catalog.history.errors import EntryNotFoundError
from catalog.history.objects import FILE_MODE
from catalog.history.pointers import LfsPointer
from catalog.history.refs import DEFAULT_BRANCH, resolve
from catalog.history.trees import Entry, find_entry, missing_entry
from catalog.models import FileScan, GitObject, ModelRepo, RepoLfsObject, XetClaim
from catalog.services.revisions import may_see_proposed
from licensing.services import covering, storefront
from store.core.errors import ForbiddenError, NotFoundError

_COMMIT_ID = re.compile(r"[0-9a-f]{40}")
_CARD = "README.md"
_IN_THE_WINDOW = re.compile(r"README\.md|.*\.(?:png|jpe?g|gif|webp)", re.IGNORECASE)
"""What everybody sees of a sold model: its card, and pictures, which are told by their bytes."""
PICTURES = frozenset({Kind.PNG, Kind.JPEG, Kind.GIF, Kind.WEBP})


class FileBlockedError(ForbiddenError):
    """The store does not hand this file to others; ``extra`` has verdict, code and reason."""

    code = "file_blocked"


class RecipeNotFoundError(NotFoundError):
    """No file of this Xet hash that the caller may have."""

    code = "recipe_not_found"


@dataclass(frozen=True, slots=True)
class Delivery:
    """A file somebody may have, and everything its answer needs."""

    repo: ModelRepo
    commit_oid: str
    entry: Entry
    kind: str
    """What the bytes are, as the scanner saw them; empty when it has not looked."""
    is_pinned: bool
    """The caller named a full commit id: the answer can never change."""


def authorize(viewer: Viewer, repo: ModelRepo, revision: str, path: str) -> Delivery:
    """Return the file at ``path`` of ``revision`` if ``viewer`` may have its bytes.

    ``repo`` came through ``catalog.access``, so its visibility is settled.

    Raises:
        RevisionNotFoundError: there is no such revision.
        EntryNotFoundError: it has no such file (or it is a folder or a link), or its content was
            deleted for good.
        RepoDisabledError: the repository is taken down.
        PurchaseRequiredError: it is sold, and the viewer's licenses do not reach this revision.
        GatedRepoError: its publisher has not let the viewer in.
        FileBlockedError: the file's verdict keeps it from others than its owners.
    """
    refusal, held = _asked_at_gate(viewer, repo)
    if refusal is not None and not _IN_THE_WINDOW.fullmatch(path):
        raise refusal
    commit_oid = resolve(repo, revision).commit_oid
    covering.check_revision(viewer, repo, commit_oid, held)
    entry = find_entry(repo, commit_oid, path)
    if entry.is_folder or entry.is_link or (entry.lfs and not _owns(repo, entry.lfs.sha256)):
        raise missing_entry(path, commit_oid)
    scan = FileScan.objects.filter(repo=repo, blob_oid=entry.oid, path=entry.path).first()
    if refusal is not None and path != _CARD and (scan is None or scan.kind not in PICTURES):
        raise refusal
    if not may_see_proposed(viewer, repo, revision, commit_oid, scan):
        check_verdict(viewer, repo, entry.path, scan)
    return Delivery(
        repo=repo,
        commit_oid=commit_oid,
        entry=entry,
        kind=scan.kind if scan else "",
        is_pinned=bool(_COMMIT_ID.fullmatch(revision)),
    )


def authorize_object(viewer: Viewer, repo: ModelRepo, sha256: str) -> Delivery:
    """Return a large file by its digest, as git-lfs asks for it, if ``viewer`` may have it.

    The object must belong to ``repo`` and be committed there.

    Raises:
        EntryNotFoundError: the repository has no such file.
        RepoDisabledError: the repository is taken down.
        GatedRepoError: its publisher has not let the viewer in.
        FileBlockedError: its verdict keeps it from others than its owners.
    """
    held = check_gate(viewer, repo)
    blob = GitObject.objects.filter(repo=repo, lfs_sha256=sha256).defer("data").first()
    scans = FileScan.objects.filter(repo=repo, blob_oid=blob.oid if blob else "")
    listed = scans.filter(is_proposed=False)
    scans = listed if listed.exists() else scans  # no proposal changes what a branch has
    scan = scans.order_by("id").first()
    is_here = blob is not None and scan is not None and _owns(repo, sha256)
    if not is_here or blob is None or scan is None or blob.lfs_size_bytes is None:
        raise missing_entry(sha256, "")
    covering.check_object(viewer, repo, sha256, held)
    for each in scans:  # one content under several names: the worst verdict counts
        check_verdict(viewer, repo, each.path, each)
    pointer = LfsPointer(sha256, blob.lfs_size_bytes)
    entry = Entry(
        scan.path,
        blob.oid,
        FILE_MODE,
        is_folder=False,
        size_bytes=pointer.size_bytes,
        lfs=pointer,
    )
    commit_oid = resolve(repo, DEFAULT_BRANCH).commit_oid
    return Delivery(repo, commit_oid, entry, kind=scan.kind, is_pinned=False)


def authorize_recipe(
    viewer: Viewer, repo: ModelRepo, name: bytes
) -> tuple[Recipe, Delivery | None]:
    """Return the recipe of a file by its Xet hash if ``viewer`` may have its bytes.

    Knowing the hash helps nobody: the file must be committed in ``repo`` and served there, or
    have been brought there by the viewer.

    Returns:
        The recipe, and what the download counts for; ``None``: it is not committed.

    Raises:
        RecipeNotFoundError: the repository has no such file.
        RepoDisabledError: the repository is taken down.
        FileBlockedError: its verdict keeps it from others than its owners.
    """
    check_gate(viewer, repo)
    owned = RepoLfsObject.objects.filter(repo=repo, lfs_object__xet_file__hash=name)
    for row in owned.select_related("lfs_object__xet_file"):
        recipe = recipe_of(row.lfs_object)
        try:
            return recipe, authorize_object(viewer, repo, row.lfs_object_id)
        except EntryNotFoundError:
            if viewer.user is not None and row.created_by_id == viewer.user.pk:
                return recipe, None
    claims = XetClaim.objects.filter(repo=repo, file__hash=name, user=viewer.user, is_false=False)
    claim = claims.select_related("file").first() if viewer.user is not None else None
    if claim is None:
        raise RecipeNotFoundError("The repository has no file of this hash.")
    return Recipe.from_bytes(bytes(claim.file.terms)), None


def _asked_at_gate(
    viewer: Viewer, repo: ModelRepo
) -> tuple[PurchaseRequiredError | None, covering.Held]:
    """Return why a sold model is refused, if it is, and the grants it opens by.

    Raises:
        RepoDisabledError, GatedRepoError: refused for another reason.
    """
    try:
        return None, check_gate(viewer, repo)
    except PurchaseRequiredError as error:
        return error, None


def _owns(repo: ModelRepo, sha256: str) -> bool:
    """Whether the bytes are still the repository's; its owners may have deleted them for good."""
    return owned_size(repo, sha256) is not None


def check_gate(viewer: Viewer, repo: ModelRepo) -> covering.Held:
    """Refuse everything in a repository at once, before any single file is looked at.

    Every way the bytes or a model's outputs leave calls this.

    Returns:
        The grants it opens by, which may not reach every revision; ``None``: it needs none.

    Raises:
        RepoDisabledError: it is taken down and the viewer is not staff.
        PurchaseRequiredError: it is sold; ``extra`` has the offers and where to order.
        GatedRepoError: its publisher has not let the viewer in.
    """
    try:
        return check_contents(viewer, repo)
    except PurchaseRequiredError as error:
        raise storefront.refusal(viewer, repo) from error


def check_reached(viewer: Viewer, repo: ModelRepo, revision: str) -> str:
    """Refuse a revision whose contents, or what a model makes of them, the viewer may not have.

    Returns:
        The commit it is.

    Raises:
        RepoDisabledError, PurchaseRequiredError, GatedRepoError: as ``check_gate``.
        RevisionNotFoundError: there is no such revision.
        UpdateNotIncludedError: the license is for earlier revisions.
    """
    held = check_gate(viewer, repo)
    commit_oid = resolve(repo, revision).commit_oid
    covering.check_revision(viewer, repo, commit_oid, held)
    return commit_oid


def check_whole(viewer: Viewer, repo: ModelRepo) -> AbstractSet[bytes] | None:
    """Refuse what hands out every revision at once, unless the viewer's licenses reach them all.

    Returns:
        Ids of the commits that may be sent, where proposals are not the viewer's; ``None``: all.

    Raises:
        RepoDisabledError, PurchaseRequiredError, GatedRepoError: as ``check_gate``.
        UpdateNotIncludedError: the license is for earlier revisions.
    """
    return covering.check_all_revisions(viewer, repo, check_gate(viewer, repo))


def check_verdict(viewer: Viewer, repo: ModelRepo, path: str, scan: FileScan | None) -> None:
    """Refuse a file that is not known to be harmless, unless the viewer may replace it.

    Raises:
        FileBlockedError: with verdict, code and reason.
    """
    verdict = scan.verdict if scan else FileScan.Verdict.PENDING
    if verdict in FileScan.SERVED or can(viewer, repo, to="write"):
        return
    if verdict == FileScan.Verdict.PENDING:
        message = f"{path} is being checked. Try again in a moment."
    else:
        reason = scan.reason if scan and scan.reason else "the check of this file failed"
        message = f"{path} is not served, because {reason[:1].lower()}{reason[1:]}"
    raise FileBlockedError(
        message,
        path=path,
        verdict=verdict,
        reason_code=scan.code if scan else "",
        reason=scan.reason if scan else "",
    )
