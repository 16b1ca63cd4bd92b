"""Branches and tags: made, moved, taken away; noted and told like every change."""

from django.db import transaction

from accounts.viewer import Viewer
from catalog.access import check_may
from catalog.content.quotas import charge_git
from catalog.history import refs
from catalog.history.commits import add_commit
from catalog.history.objects import EMPTY_TREE, ObjectStore, make_tree
from catalog.models import ModelRepo, Ref, RepoEvent
from catalog.services.events import emit
from catalog.services.listings import rebuild_listing
from store.core.errors import InvalidError

MAX_TAG_MESSAGE_CHARS = 4000


@transaction.atomic
def add_branch(
    viewer: Viewer,
    repo: ModelRepo,
    name: str,
    *,
    start: str | None = None,
    is_empty: bool = False,
    overwrite: bool = False,
) -> Ref:
    """Make a branch at ``start`` (the default branch when not said), or one without files.

    Args:
        viewer: Who asks.
        repo: Through ``catalog.access``.
        name: Without ``refs/heads/``.
        start: Any revision.
        is_empty: Begin a new history without files.
        overwrite: Move the branch if it exists; with neither start nor emptiness that is a no-op.

    Raises:
        ForbiddenError: not the viewer's to change.
        InvalidError: both a start and emptiness.
        BadRefNameError, RefExistsError, RevisionNotFoundError: as ``refs.create_branch``.
    """
    check_may(viewer, repo, to="write")
    if is_empty and start is not None:
        raise InvalidError("A branch is empty or has a starting point, not both.")
    refs.check_ref_name(name)
    there = Ref.objects.select_for_update().filter(repo=repo, name=refs.HEADS + name).first()
    target_oid = None
    if is_empty and (there is None or overwrite):
        target_oid = _empty_commit(viewer, repo)
    ref = refs.create_branch(repo, name, start=start, overwrite=overwrite, target_oid=target_oid)
    old_oid = there.commit_oid if there else None
    if old_oid != ref.commit_oid:
        if name == refs.DEFAULT_BRANCH:
            rebuild_listing(repo, refs.commit_of(repo, name))
        _tell(viewer, repo, ref.name, old_oid, ref.commit_oid)
    return ref


@transaction.atomic
def remove_branch(viewer: Viewer, repo: ModelRepo, name: str) -> None:
    """Take a branch away; its commits stay reachable by id.

    Raises:
        ForbiddenError, ProtectedRefError: not the viewer's to change; the default branch.
        RevisionNotFoundError: there is no such branch.
    """
    check_may(viewer, repo, to="write")
    old = Ref.objects.filter(repo=repo, name=refs.HEADS + name).first()
    refs.delete_branch(repo, name)
    _tell(viewer, repo, refs.HEADS + name, old.commit_oid if old else None, None)


@transaction.atomic
def add_tag(
    viewer: Viewer, repo: ModelRepo, name: str, *, revision: str, message: str | None = None
) -> Ref:
    """Tag the commit ``revision`` means; with a message the tag is an annotated one.

    Raises:
        ForbiddenError: not the viewer's to change.
        InvalidError: the message is too long or has a NUL.
        BadRefNameError, RefExistsError, RevisionNotFoundError: as ``refs.create_tag``.
    """
    check_may(viewer, repo, to="write")
    if len(message or "") > MAX_TAG_MESSAGE_CHARS or "\0" in (message or ""):
        raise InvalidError(f"A tag's message has at most {MAX_TAG_MESSAGE_CHARS} characters.")
    tagger = viewer.identified().username
    ref = refs.create_tag(repo, name, revision=revision, message=message, tagger=tagger)
    _tell(viewer, repo, ref.name, None, ref.commit_oid)
    return ref


@transaction.atomic
def remove_tag(viewer: Viewer, repo: ModelRepo, name: str) -> None:
    """Take a tag away.

    Raises:
        ForbiddenError: not the viewer's to change.
        RevisionNotFoundError: there is no such tag.
    """
    check_may(viewer, repo, to="write")
    old = Ref.objects.filter(repo=repo, name=refs.TAGS + name).first()
    refs.delete_tag(repo, name)
    _tell(viewer, repo, refs.TAGS + name, old.commit_oid if old else None, None)


def _empty_commit(viewer: Viewer, repo: ModelRepo) -> str:
    store = ObjectStore(repo.pk)
    store.add(make_tree([]))
    written = add_commit(
        store,
        repo,
        tree_oid=EMPTY_TREE,
        parent=None,
        title="initial commit",
        author=viewer.identified().username,
    )
    # The repository's row before its name space's, as every commit takes them.
    ModelRepo.objects.select_for_update().get(pk=repo.pk)
    charge_git(repo, store.written_bytes)
    return written.commit.oid


def _tell(
    viewer: Viewer, repo: ModelRepo, ref_name: str, old_oid: str | None, new_oid: str | None
) -> None:
    emit(
        RepoEvent.Scope.CONTENT,
        RepoEvent.Action.UPDATE,
        repo=repo,
        actor=viewer.user,
        updated_refs=[{"ref": ref_name, "old": old_oid, "new": new_oid}],
    )
