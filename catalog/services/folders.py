"""Publishing a folder of this machine: the demo catalogue, imports, the web form's staging."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from django.db import transaction

from accounts.viewer import Viewer
from catalog.content.ownership import grant, usable_size
from catalog.content.quotas import charged_for, check_room
from catalog.content.stores import storage
from catalog.history.attributes import FILE as ATTRIBUTES_FILE
from catalog.history.attributes import Attributes
from catalog.history.commits import Delete
from catalog.history.refs import DEFAULT_BRANCH, resolve
from catalog.history.trees import find_entries, list_entries, read_blob
from catalog.models import ModelRepo
from catalog.services.large_files import SAMPLE_BYTES, is_large
from catalog.services.publishing import AddFile, AddLfs, Operation, Published, publish
from catalog.services.revisions import check_write_revision
from store.storage import Digest

_BLOCK_BYTES = 1024 * 1024
_SKIPPED = {".git", ".cache", "__pycache__"}


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file on this machine and where it goes."""

    source: Path
    path: str


def files_of(folder: Path) -> list[LocalFile]:
    """Return every file below ``folder``, in path order; links and caches are left out."""
    found = []
    for source in sorted(folder.rglob("*")):
        inside = source.relative_to(folder)
        if source.is_file() and not source.is_symlink() and not _SKIPPED & set(inside.parts):
            found.append(LocalFile(source, inside.as_posix()))
    return found


def publish_files(
    viewer: Viewer,
    repo: ModelRepo,
    files: Iterable[LocalFile],
    *,
    title: str,
    message: str = "",
    revision: str = DEFAULT_BRANCH,
    is_mirror: bool = False,
    is_room_checked: bool = False,
) -> Published:
    """Commit ``files`` in one go; large ones become LFS objects.

    Args:
        viewer: Who publishes.
        repo: Where.
        files: What.
        title: First line of the commit message.
        message: The rest.
        revision: The branch.
        is_mirror: Also delete what the branch has and ``files`` has not.
        is_room_checked: The large ones are in the owner's quota already.

    Raises:
        What ``publish`` raises; nothing is committed then.
    """
    wanted = list(files)
    rules = Attributes(_attributes(repo, revision, wanted))
    operations = _operations(viewer, repo, wanted, rules, is_room_checked=is_room_checked)
    if is_mirror:
        operations = chain(_deletions(repo, revision, wanted), operations)
    return publish(
        viewer,
        repo,
        revision=revision,
        operations=operations,
        title=title,
        message=message,
    )


def propose_files(
    viewer: Viewer,
    repo: ModelRepo,
    files: Iterable[LocalFile],
    *,
    title: str,
    message: str = "",
    revision: str = DEFAULT_BRANCH,
) -> Published:
    """Open a pull request with ``files``, as any reader may, who is charged for them.

    Raises:
        What ``publish`` raises; nothing is written then.
    """
    check_write_revision(viewer, repo, revision, create_pr=True)
    wanted = list(files)
    rules = Attributes(_attributes(repo, revision, wanted))
    return publish(
        viewer,
        repo,
        revision=revision,
        operations=_operations(viewer, repo, wanted, rules, is_room_checked=False),
        title=title,
        message=message,
        create_pr=True,
    )


def _deletions(repo: ModelRepo, revision: str, files: list[LocalFile]) -> Iterator[Operation]:
    kept = {file.path for file in files}
    for entry in list_entries(repo, resolve(repo, revision).commit_oid, recursive=True):
        if not entry.is_folder and entry.path not in kept:
            yield Delete(entry.path)


def _operations(
    viewer: Viewer,
    repo: ModelRepo,
    files: list[LocalFile],
    rules: Attributes,
    *,
    is_room_checked: bool,
) -> Iterator[Operation]:
    for file in files:
        size_bytes = file.source.stat().st_size
        with file.source.open("rb") as opened:
            sample = opened.read(SAMPLE_BYTES)
        if is_large(rules, file.path, size_bytes, sample):
            sha256 = _stored(viewer, repo, file.source, size_bytes, is_room_checked=is_room_checked)
            yield AddLfs(file.path, sha256, size_bytes)
        else:
            yield AddFile(file.path, file.source.read_bytes())


def _stored(
    viewer: Viewer, repo: ModelRepo, source: Path, size_bytes: int, *, is_room_checked: bool
) -> str:
    """Store a file's content unless the repository owns it; return its sha256."""
    digest = hashlib.sha256()
    with source.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
    sha256 = digest.hexdigest()
    if usable_size(viewer, repo, sha256) is None:
        charged_to = charged_for(repo, viewer.user)
        if not is_room_checked:
            with transaction.atomic():
                check_room(charged_to, size_bytes)
        with source.open("rb") as file:
            storage().put(file, Digest(sha256), size_bytes)
        grant(repo, sha256, size_bytes, by=viewer.user, charged_to=charged_to)
    return sha256


def _attributes(repo: ModelRepo, revision: str, files: list[LocalFile]) -> str:
    """Return the rules that will hold: the folder's own file, else the revision's."""
    for file in files:
        if file.path == ATTRIBUTES_FILE:
            return file.source.read_text("utf-8", "replace")
    commit_oid = resolve(repo, revision).commit_oid
    entry = find_entries(repo, commit_oid, [ATTRIBUTES_FILE]).get(ATTRIBUTES_FILE)
    return read_blob(repo, entry).decode("utf-8", "replace") if entry else ""
