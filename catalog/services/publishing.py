"""Adding a commit to a repository: the one way in, whatever the door.

The hub protocol, the web form, the importer and the demo loader all end here. Everything happens
in one transaction: objects, ref, index, verdicts that need no long look, the listing. What needs
a long look becomes a job.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from django.conf import settings
from django.db import transaction

from accounts.viewer import Viewer
from catalog.content.ownership import usable_size
from catalog.content.quotas import charge_git
from catalog.history import commits
from catalog.history.attributes import FILE as ATTRIBUTES_FILE
from catalog.history.attributes import Attributes, with_rule
from catalog.history.errors import EntryNotFoundError, RevisionNotFoundError
from catalog.history.objects import ObjectStore
from catalog.history.paths import check_path
from catalog.history.pointers import LfsPointer, parse_pointer
from catalog.history.refs import PULLS, Resolved, resolve
from catalog.history.worktree import WorkTree
from catalog.models import Commit, Discussion, ModelRepo, RepoEvent
from catalog.services.comments import check_text
from catalog.services.events import emit
from catalog.services.indexing import index_revision
from catalog.services.locks import check_unlocked
from catalog.services.pulls import begin_pull, locked_pull, note_commit, payer_of, title_from
from catalog.services.revisions import check_base, check_write_revision
from store.core.errors import InvalidError, TooLargeError, UnprocessableError

MAX_OPERATIONS = 100_000
MAX_TITLE_CHARS = 1000
MAX_MESSAGE_CHARS = 64 * 1024


class NotOwnedError(UnprocessableError):
    """A commit names an LFS object whose bytes were never uploaded to this repository."""

    code = "lfs_object_missing"


@dataclass(frozen=True, slots=True)
class AddFile:
    """Put a small file; its content travels with the commit."""

    path: str
    content: bytes
    old_path: str = ""


@dataclass(frozen=True, slots=True)
class AddLfs:
    """Put a large file that was uploaded before, by digest."""

    path: str
    sha256: str
    size_bytes: int | None = None
    """What the client says; ``None`` (copies): as stored."""
    old_path: str = ""


Operation = AddFile | AddLfs | commits.Delete


@dataclass(frozen=True, slots=True)
class Published:
    """The outcome."""

    commit: Commit
    has_changed: bool
    """``False``: the operations changed nothing and the head was kept."""
    pull: Discussion | None = None
    """The pull request it went to."""


def publish(
    viewer: Viewer,
    repo: ModelRepo,
    *,
    revision: str,
    operations: Iterable[Operation],
    title: str,
    message: str = "",
    expected_parent: str = "",
    create_pr: bool = False,
) -> Published:
    """Apply ``operations`` in order on top of a branch and index it; or raise, and write nothing.

    Args:
        viewer: Who publishes; becomes the author.
        repo: Through ``catalog.access``.
        revision: A branch or pull request ref.
        operations: Consumed once; contents are written as they come, so memory stays flat.
        title: First line of the message, 1 to 1000 characters.
        message: The rest.
        expected_parent: Commit id, or its beginning, the head must have.
        create_pr: Leave the branch alone, open a pull request for it, as any reader may.

    Raises:
        ForbiddenError, PullClosedError, TooManyOpenError: not the viewer's to change, or not now.
        RevisionNotFoundError, StaleParentError, BadPathError, EntryNotFoundError: no such place.
        NotOwnedError, LockedError: an LFS object is not the viewer's to use; a file is locked.
        TooLargeError, InvalidError, StorageQuotaError: too much, no title, no room.
    """
    check_write_revision(viewer, repo, revision, create_pr=create_pr)
    _check_texts(title, message)
    with transaction.atomic():
        target, store = _writable(repo, revision), ObjectStore(repo.pk)
        prepared = list(_prepare(viewer, store, repo, operations))
        target = _pull(viewer, repo, target, title, message) if create_pr else target
        pull = _joined(viewer, repo, target)
        written = commits.write_commit(
            repo=repo,
            ref_name=target.ref_name or "",
            edit=_editing(prepared),
            title=title,
            message=message,
            author=viewer.identified().username,
            expected_parent=expected_parent,
        )
        check_unlocked(viewer, repo, (change.path for change in written.changes))
        charge_git(repo, store.written_bytes + written.new_bytes, pull=payer_of(viewer, pull))
        return _indexed(viewer, repo, written, target.ref_name or "", pull)


def _indexed(
    viewer: Viewer,
    repo: ModelRepo,
    written: commits.Written,
    ref_name: str,
    pull: Discussion | None,
) -> Published:
    if written.changes:
        index_revision(repo, written, ref_name=ref_name)
        if pull is None:
            _announce(viewer, repo, written.commit, ref_name=ref_name)
        else:
            note_commit(pull, written.commit, viewer.identified())
    return Published(written.commit, has_changed=bool(written.changes), pull=pull)


def _pull(viewer: Viewer, repo: ModelRepo, base: Resolved, title: str, message: str) -> Resolved:
    """Open the pull request a commit wants; late, so that its number is not held for long."""
    check_base(repo, base.ref_name or "")
    pull = begin_pull(
        viewer,
        repo,
        title=title_from(title),
        text=check_text(message, may_be_empty=True),
        base_ref=base.ref_name or "",
        base_oid=base.commit_oid,
        status=Discussion.Status.OPEN,
    )
    return Resolved(base.commit_oid, pull.ref_name)


def _joined(viewer: Viewer, repo: ModelRepo, target: Resolved) -> Discussion | None:
    """Return the pull request a commit goes to, locked; ``None``: it goes to a branch."""
    ref_name = target.ref_name or ""
    return locked_pull(viewer, repo, ref_name) if ref_name.startswith(PULLS) else None


def _announce(viewer: Viewer, repo: ModelRepo, commit: Commit, *, ref_name: str) -> None:
    moved = {"ref": ref_name, "old": commit.parent_oid or None, "new": commit.oid}
    emit(
        RepoEvent.Scope.CONTENT,
        RepoEvent.Action.UPDATE,
        repo=repo,
        actor=viewer.user,
        updated_refs=[moved],
        title=commit.title[:200],
    )


def _editing(prepared: list[commits.Operation]) -> Callable[[ObjectStore, WorkTree], None]:
    def edit(store: ObjectStore, tree: WorkTree) -> None:
        commits.apply_operations(store, tree, prepared)
        _track_lfs(store, tree, prepared)

    return edit


def _check_texts(title: str, message: str) -> None:
    if not 1 <= len(title) <= MAX_TITLE_CHARS or "\n" in title:
        raise InvalidError(f"A commit needs a summary: one line of up to {MAX_TITLE_CHARS}.")
    if len(message) > MAX_MESSAGE_CHARS:
        raise InvalidError(f"A description has at most {MAX_MESSAGE_CHARS} characters.")
    if "\0" in title + message:
        raise InvalidError("A commit message cannot contain NUL.")


def _writable(repo: ModelRepo, revision: str) -> Resolved:
    found = resolve(repo, revision)
    if not found.is_writable:
        raise RevisionNotFoundError(f"Invalid rev id: {revision}", revision=revision)
    return found


def _prepare(
    viewer: Viewer, store: ObjectStore, repo: ModelRepo, operations: Iterable[Operation]
) -> Iterator[commits.Operation]:
    """Write contents as blobs, check what each operation claims, yield what history applies."""
    for count, operation in enumerate(operations, start=1):
        if count > MAX_OPERATIONS:
            raise TooLargeError(f"A commit has at most {MAX_OPERATIONS} operations. Split it.")
        if isinstance(operation, AddFile):
            _check_small(viewer, repo, operation)
            oid = store.add_blob(operation.content)
            yield commits.PutBlob(check_path(operation.path), oid, operation.old_path)
        elif isinstance(operation, AddLfs):
            pointer = _owned_pointer(viewer, repo, operation)
            yield commits.PutLfs(check_path(operation.path), pointer, operation.old_path)
        else:
            yield operation
    store.flush()


def _check_small(viewer: Viewer, repo: ModelRepo, operation: AddFile) -> None:
    most = settings.ENV.max_regular_file_bytes
    if len(operation.content) > most:
        raise TooLargeError(
            f"{operation.path[:200]} is larger than {most} bytes: upload it as an LFS object.",
            path=operation.path[:200],
            max_bytes=most,
        )
    pointer = parse_pointer(operation.content)
    if pointer is not None and usable_size(viewer, repo, pointer.sha256) is None:
        raise _not_owned(operation.path, pointer.sha256)


def _owned_pointer(viewer: Viewer, repo: ModelRepo, operation: AddLfs) -> LfsPointer:
    size_bytes = usable_size(viewer, repo, operation.sha256)
    if size_bytes is None:
        raise _not_owned(operation.path, operation.sha256)
    if operation.size_bytes not in {None, size_bytes}:
        raise UnprocessableError(
            f"{operation.path[:200]} has {size_bytes} bytes, not {operation.size_bytes}.",
            path=operation.path[:200],
            size_bytes=size_bytes,
        )
    return LfsPointer(operation.sha256, size_bytes)


def _not_owned(path: str, sha256: str) -> NotOwnedError:
    return NotOwnedError(
        f"The content of {path[:200]} was not uploaded to this repository. Upload it first.",
        path=path[:200],
        sha256=sha256,
    )


def _track_lfs(store: ObjectStore, tree: WorkTree, prepared: list[commits.Operation]) -> None:
    """Add a line to ``.gitattributes`` for every LFS file no line covers, so that git agrees."""
    paths = [put.path for put in prepared if isinstance(put, commits.PutLfs)]
    if not paths:
        return
    there = tree.get(ATTRIBUTES_FILE)
    if there is not None and there.is_tree:
        raise EntryNotFoundError(f"{ATTRIBUTES_FILE} is a folder.", path=ATTRIBUTES_FILE)
    text = store.blob(there.oid).decode("utf-8", "replace") if there else ""
    attributes, before = Attributes(text), text
    for path in dict.fromkeys(paths):
        if not attributes.is_lfs(path):
            text = with_rule(text, path)
    if text != before:
        tree.put(ATTRIBUTES_FILE, store.add_blob(text.encode()))
