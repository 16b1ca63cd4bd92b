"""Files on their way in through a browser: in pieces, resumable, committed together.

A browser cannot hash large files beforehand, so the pieces wait on disk; at the commit they go
through the same door as every other file, which hashes and verifies them.
"""

from collections.abc import Iterable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.viewer import Viewer
from catalog.access import check_may
from catalog.content.quotas import check_room
from catalog.history.paths import check_path
from catalog.models import ModelRepo, StagedFile
from catalog.services.folders import LocalFile, publish_files
from catalog.services.publishing import Published
from store.core.bodies import CHUNK_BYTES, Readable
from store.core.errors import ConflictError, InvalidError, NotFoundError, TooLargeError
from store.core.ui.figures import size_text

MAX_FILES = 1000
MAX_PIECE_BYTES = 64 * 1024 * 1024
IDLE = timedelta(days=3)


class WrongOffsetError(ConflictError):
    """The piece does not follow what has arrived; ``extra["received_bytes"]`` says what does."""

    code = "wrong_offset"


def stage(viewer: Viewer, repo: ModelRepo, *, path: str, size_bytes: int) -> StagedFile:
    """Announce a file, or find the announced one to go on with.

    Raises:
        ForbiddenError: not the viewer's repository to change.
        BadPathError: the path cannot be stored.
        TooLargeError: the file is too large, or too many wait.
        StorageQuotaError: the owner has no room left.
    """
    check_may(viewer, repo, to="write")
    check_path(path)
    user = viewer.identified()
    if not 0 <= size_bytes <= settings.ENV.max_file_bytes:
        raise TooLargeError(
            _("A file has at most %(size)s.") % {"size": size_text(settings.ENV.max_file_bytes)}
        )
    mine = StagedFile.objects.filter(repo=repo, user=user)
    there = mine.filter(path=path).first()
    if there is not None and there.size_bytes == size_bytes:
        return there
    if there is not None:
        discard(there)
    with transaction.atomic():
        check_room(repo.namespace, size_bytes)
        if mine.count() >= MAX_FILES:
            raise TooLargeError(
                _("Commit what is there first: at most %(n)d files can wait.") % {"n": MAX_FILES}
            )
        staged = StagedFile.objects.create(repo=repo, user=user, path=path, size_bytes=size_bytes)
    _file(staged).parent.mkdir(parents=True, exist_ok=True)
    _file(staged).touch()
    return staged


def receive_piece(
    viewer: Viewer, repo: ModelRepo, public_id: str, *, offset: int, body: Readable
) -> StagedFile:
    """Append a piece of at most 64 MiB. Repeating a piece that has arrived is an error that heals.

    Raises:
        NotFoundError: no such file waits.
        WrongOffsetError: another piece is due; ``extra`` says which.
        TooLargeError: more bytes than announced; what was there stays.
    """
    check_may(viewer, repo, to="write")
    with transaction.atomic():
        rows = StagedFile.objects.select_for_update().filter(repo=repo, user=viewer.user)
        staged = rows.filter(public_id=public_id).first()
        if staged is None:
            raise NotFoundError(_("This file is not expected. Choose it again."))
        if offset != staged.received_bytes:
            raise WrongOffsetError(_("Another piece is due."), received_bytes=staged.received_bytes)
        staged.received_bytes = _append(staged, body)
        staged.save()
    return staged


def _append(staged: StagedFile, body: Readable) -> int:
    """Write the piece behind what is there; return the new length."""
    end = staged.received_bytes
    with _file(staged).open("r+b") as file:
        file.seek(end)
        while block := body.read(CHUNK_BYTES):
            end += len(block)
            if end > staged.size_bytes or end - staged.received_bytes > MAX_PIECE_BYTES:
                file.truncate(staged.received_bytes)
                raise TooLargeError(_("There is more than was announced. Choose the file again."))
            file.write(block)
    return end


def commit_staged(
    viewer: Viewer,
    repo: ModelRepo,
    *,
    revision: str,
    title: str,
    message: str = "",
    paths: list[str] | None = None,
) -> Published:
    """Commit what waits of this person, in one commit.

    Args:
        viewer: Who publishes.
        repo: Where.
        revision: The branch.
        title: First line of the commit message.
        message: The rest.
        paths: Which files, so that nothing of an earlier visit comes along; ``None``: all.

    Raises:
        InvalidError: nothing waits, or a file has not arrived whole.
        What ``publish`` raises; the files go on waiting then.
    """
    check_may(viewer, repo, to="write")
    waiting = _whole(viewer, repo, paths)
    files = [LocalFile(_file(each), each.path) for each in waiting]
    with transaction.atomic():
        # What waits leaves the owner's quota in the moment in which it enters as files.
        StagedFile.objects.filter(pk__in=[each.pk for each in waiting]).delete()
        published = publish_files(
            viewer,
            repo,
            files,
            title=title,
            message=message,
            revision=revision,
            is_room_checked=True,
        )
    for each in waiting:
        _file(each).unlink(missing_ok=True)
    return published


def _whole(viewer: Viewer, repo: ModelRepo, paths: list[str] | None) -> list[StagedFile]:
    """Return the files that wait and are meant, all of them whole."""
    mine = StagedFile.objects.filter(repo=repo, user=viewer.user)
    if paths is not None:
        mine = mine.filter(path__in=paths[:MAX_FILES])
    waiting = list(mine.order_by("path"))
    if not waiting:
        raise InvalidError(_("Choose some files first."))
    unfinished = [each.path for each in waiting if each.received_bytes < each.size_bytes]
    if unfinished:
        raise InvalidError(
            _("%(path)s has not arrived whole yet.") % {"path": unfinished[0]},
            files=unfinished[:20],
        )
    return waiting


def publish_form_files(
    viewer: Viewer,
    repo: ModelRepo,
    files: Iterable[tuple[str, Path]],
    *,
    revision: str,
    title: str,
) -> Published:
    """Commit files of a plain form, for browsers without JavaScript."""
    found = [LocalFile(source, check_path(path)) for path, source in files]
    if not found:
        raise InvalidError(_("Choose some files first."))
    return publish_files(viewer, repo, found, title=title, revision=revision)


def discard(staged: StagedFile) -> None:
    """Forget a waiting file."""
    _file(staged).unlink(missing_ok=True)
    staged.delete()


def sweep_staged() -> int:
    """Forget files nobody touched for three days, or whose repository went; return how many."""
    limit = timezone.now() - IDLE
    count = 0
    for staged in StagedFile.objects.filter(touched_at__lt=limit):
        discard(staged)
        count += 1
    for path in _folder().glob("*"):
        with suppress(FileNotFoundError):  # committed meanwhile
            is_old = path.stat().st_mtime < limit.timestamp()
            if is_old and not StagedFile.objects.filter(public_id=path.name).exists():
                path.unlink()
                count += 1
    return count


def _file(staged: StagedFile) -> Path:
    """Return where the bytes wait; the name is ours, never the publisher's."""
    return _folder() / staged.public_id


def _folder() -> Path:
    folder: Path = settings.SPOOL_DIR / "staged"
    return folder
