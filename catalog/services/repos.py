"""The life of a repository: create, rename, settings, delete."""

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts.models import Namespace, Organization
from accounts.names import check_repo_name
from accounts.services.audit import record
from accounts.viewer import Viewer
from catalog.access import check_may, publishing_namespace
from catalog.cards.licenses import LICENSES
from catalog.content.ownership import grant
from catalog.content.quotas import charge_git, check_room, recharge
from catalog.content.stores import storage
from catalog.history.attributes import FILE as ATTRIBUTES_FILE
from catalog.history.attributes import Attributes, default_attributes
from catalog.history.commits import add_commit
from catalog.history.objects import ObjectStore
from catalog.history.paths import check_path
from catalog.history.pointers import LfsPointer, parse_pointer
from catalog.history.refs import DEFAULT_BRANCH, HEADS
from catalog.history.worktree import WorkTree
from catalog.models import Listing, ModelRepo, Ref, RepoEvent, RepoRedirect
from catalog.services.events import emit
from catalog.services.indexing import index_revision
from catalog.services.prices import look_again
from store.core.errors import ConflictError, InvalidError, TooLargeError, UnprocessableError
from store.storage import Digest

FIRST_TITLE = "initial commit"


class RepoExistsError(ConflictError):
    """The owner has a repository of this name; ``extra["full_name"]`` is its id."""

    code = "repo_exists"


class NotConfirmedError(InvalidError):
    """Deleting needs the repository's full name typed in."""

    code = "not_confirmed"


class LicensedRepoError(ConflictError):
    """Somebody bought a license for the repository; what they bought is not taken away."""

    code = "licensed_repo"


@dataclass(frozen=True, slots=True)
class NewRepo:
    """What a new repository starts as."""

    name: str
    namespace: str | None = None
    """``None``: the viewer's own."""
    is_private: bool | None = None
    """``None``: as the organization prefers, else public."""
    license: str = ""
    """Goes into a README's front matter, unless ``files`` has a README."""
    files: Mapping[str, bytes] | None = None
    gate: str = ModelRepo.Gate.NONE
    """One of ``ModelRepo.Gate``; the initial files are behind it from the first moment."""


@transaction.atomic
def create_repo(viewer: Viewer, new: NewRepo) -> ModelRepo:
    """Make a repository with its initial commit.

    Raises:
        InvalidNameError, InvalidError: the name breaks a rule; the hub knows no such license.
        RepoExistsError: the owner has one of that name.
        ForbiddenError: the viewer may not publish there.
        BadPathError, TooLargeError: a file cannot be stored, or is too large to come this way.
    """
    check_repo_name(new.name)
    if new.license and new.license not in LICENSES:
        raise InvalidError(f'"license" must be one of [{", ".join(sorted(LICENSES))}]')
    namespace = publishing_namespace(viewer, new.namespace)
    user = viewer.identified()
    is_private = new.is_private
    if is_private is None:
        owner = namespace.owner
        is_private = isinstance(owner, Organization) and owner.is_private_by_default
    try:
        with transaction.atomic():
            repo = ModelRepo.objects.create(
                namespace=namespace,
                name=new.name,
                is_private=is_private,
                gate=new.gate,
                created_by=user,
            )
    except IntegrityError as exc:
        there = ModelRepo.objects.select_related("namespace").get(
            namespace=namespace, name__iexact=new.name
        )
        raise RepoExistsError(
            f"You already created this model repo: {there.full_name}", full_name=there.full_name
        ) from exc
    RepoRedirect.objects.filter(namespace=namespace, name__iexact=new.name).delete()
    _initial_commit(repo, _first_files(new), author=user.username)
    emit(RepoEvent.Scope.REPO, RepoEvent.Action.CREATE, repo=repo, actor=user)
    record(
        "repo.create",
        actor=user,
        subject=repo.full_name,
        namespace=namespace,
        address=viewer.address,
    )
    return repo


@transaction.atomic
def move_repo(viewer: Viewer, repo: ModelRepo, *, namespace: str, name: str) -> ModelRepo:
    """Give a repository another id; the old one leads to it until its owner re-uses it.

    Raises:
        InvalidNameError: the new name breaks a rule.
        RepoExistsError: the new id is in use.
        ForbiddenError: the viewer may not write in one of the two name spaces.
        StorageQuotaError: the new owner has no room for it.
    """
    check_may(viewer, repo, to="admin")
    check_repo_name(name)
    target = publishing_namespace(viewer, namespace)
    old_namespace, old_name = repo.namespace, repo.name
    if (target.pk, name) == (old_namespace.pk, old_name):
        return repo
    locked = ModelRepo.objects.select_for_update().get(pk=repo.pk)
    if target.pk != old_namespace.pk:
        recharge(locked, old_namespace, target)
    locked.namespace, locked.name = target, name
    try:
        with transaction.atomic():
            locked.save(update_fields=["namespace", "name"])
    except IntegrityError as exc:
        raise RepoExistsError(
            f"A model repository called {target.name}/{name} already exists",
            full_name=f"{target.name}/{name}",
        ) from exc
    RepoRedirect.objects.filter(namespace=target, name__iexact=name).delete()
    if (target.pk, name.lower()) != (old_namespace.pk, old_name.lower()):
        RepoRedirect.objects.create(namespace=old_namespace, name=old_name, repo=locked)
    Listing.objects.filter(repo=locked).update(full_name=locked.full_name)
    _reindex(locked)
    _tell_move(viewer, repo, locked)
    return locked


def _tell_move(viewer: Viewer, old: ModelRepo, new: ModelRepo) -> None:
    """Note the move under the id the repository had when it happened."""
    emit(
        RepoEvent.Scope.REPO,
        RepoEvent.Action.MOVE,
        repo=old,
        actor=viewer.user,
        moved_to={"full_name": new.full_name},
    )
    record(
        "repo.move",
        actor=viewer.user,
        subject=new.full_name,
        namespace=new.namespace,
        address=viewer.address,
        old=old.full_name,
    )


@transaction.atomic
def change_settings(
    viewer: Viewer, repo: ModelRepo, *, is_private: bool | None = None, gate: str | None = None
) -> ModelRepo:
    """Change who may see a repository. ``None`` leaves a setting as it is.

    Raises:
        InvalidError: no such gate.
        ForbiddenError: not the viewer's to change.
    """
    check_may(viewer, repo, to="admin")
    if gate is not None and gate not in ModelRepo.Gate.values:
        raise InvalidError(f"gated is one of {ModelRepo.Gate.values}.")
    locked = ModelRepo.objects.select_for_update().get(pk=repo.pk)
    changed: dict[str, object] = {}
    news: dict[str, object] = {}
    if is_private is not None:
        if is_private != locked.is_private:
            news["private"] = is_private
        locked.is_private = changed["private"] = is_private
    if gate is not None:
        if gate != locked.gate:
            news["gated"] = gate if gate != ModelRepo.Gate.NONE else False
        locked.gate = changed["gate"] = gate
    locked.save(update_fields=["is_private", "gate"])
    Listing.objects.filter(repo=locked).update(is_private=locked.is_private)
    if "private" in news:
        look_again(locked.pk)
    if news:
        emit(
            RepoEvent.Scope.CONFIG,
            RepoEvent.Action.UPDATE,
            repo=locked,
            actor=viewer.user,
            updated_config=news,
        )
    record(
        "repo.settings",
        actor=viewer.user,
        subject=locked.full_name,
        namespace=locked.namespace,
        address=viewer.address,
        **changed,
    )
    return locked


@transaction.atomic
def delete_repo(viewer: Viewer, repo: ModelRepo, *, confirmation: str | None = None) -> None:
    """Delete a repository with its history. Large files nobody else owns go to the collector.

    Args:
        viewer: Who asks.
        repo: What to delete.
        confirmation: The full name as typed by a person; ``None`` from programs, which name the
            repository in the call itself.

    Raises:
        NotConfirmedError: the typed name is another.
        ForbiddenError: not the viewer's to delete.
        LicensedRepoError: somebody bought a license for it.
    """
    check_may(viewer, repo, to="admin")
    if confirmation is not None and confirmation != repo.full_name:
        raise NotConfirmedError(f"Type {repo.full_name} to delete it. Nothing was deleted.")
    namespace: Namespace = repo.namespace
    full_name = repo.full_name
    ModelRepo.objects.select_for_update().get(pk=repo.pk)
    if repo.granted.exists():
        raise LicensedRepoError(
            f"People hold licenses for {full_name}: it cannot be deleted. Make it private or stop"
            " selling it; buyers keep what they bought.",
            full_name=full_name,
        )
    emit(RepoEvent.Scope.REPO, RepoEvent.Action.DELETE, repo=repo, actor=viewer.user)
    repo.delete()
    record(
        "repo.delete",
        actor=viewer.user,
        subject=full_name,
        namespace=namespace,
        address=viewer.address,
    )


def _first_files(new: NewRepo) -> dict[str, bytes]:
    files = {check_path(path): data for path, data in (new.files or {}).items()}
    most = settings.ENV.max_regular_file_bytes
    if large := [path for path, data in files.items() if len(data) > most]:
        raise TooLargeError(
            f"{large[0]} is larger than {most} bytes: commit it after the repository is made.",
            path=large[0],
            max_bytes=most,
        )
    files.setdefault(ATTRIBUTES_FILE, default_attributes().encode())
    if new.license:
        files.setdefault("README.md", f"---\nlicense: {new.license}\n---\n".encode())
    return files


def _stored(repo: ModelRepo, data: bytes) -> bytes:
    """Keep ``data`` as a large file of ``repo``; return the pointer git stores."""
    sha256 = hashlib.sha256(data).hexdigest()
    check_room(repo.namespace, len(data))
    storage().put(io.BytesIO(data), Digest(sha256), len(data))
    grant(repo, sha256, len(data), by=repo.created_by)
    return LfsPointer(sha256, len(data)).text()


def _initial_commit(repo: ModelRepo, files: Mapping[str, bytes], *, author: str) -> None:
    store = ObjectStore(repo.pk)
    tree = WorkTree(store)
    rules = Attributes(files[ATTRIBUTES_FILE].decode("utf-8", "replace"))
    for path, data in files.items():
        content = data
        if (pointer := parse_pointer(data)) is not None:
            raise UnprocessableError(
                f"The content of {path} ({pointer.sha256}) was not uploaded to this repository."
            )
        if data and rules.is_lfs(path):
            content = _stored(repo, data)
        tree.put(path, store.add_blob(content))
    written = add_commit(
        store, repo, tree_oid=tree.write(), parent=None, title=FIRST_TITLE, author=author
    )
    oid = written.commit.oid
    Ref.objects.create(repo=repo, name=HEADS + DEFAULT_BRANCH, oid=oid, commit_oid=oid)
    now = timezone.now()
    Listing.objects.create(
        repo=repo,
        full_name=repo.full_name,
        is_private=repo.is_private,
        created_at=now,
        updated_at=now,
    )
    charge_git(repo, written.new_bytes)
    index_revision(repo, written)


def _reindex(repo: ModelRepo) -> None:
    """Search knows a repository by its name, too."""
    from catalog.search.documents import refresh_search

    refresh_search([repo.pk])
