"""Everything of a revision as one zip, made while it is sent.

Entries are stored, not compressed (weights do not shrink), with zip64 where needed, so the size
is known before the first byte. A broken transfer is resumed by fetching the files one by one.
"""

from collections.abc import Iterator

from django.http import HttpRequest, StreamingHttpResponse
from zipstream import ZIP_STORED, ZipStream

from accounts.viewer import Viewer
from catalog.content.reading import content_of
from catalog.history.trees import Entry, list_entries, read_blob
from catalog.models import Commit, FileScan, ModelRepo
from catalog.services.revisions import may_see_proposed
from licensing.delivery import counting
from licensing.delivery.policy import FileBlockedError, check_reached, check_verdict
from store.core.errors import NotFoundError
from store.storage import content_disposition

LEFT_OUT = "NOT-INCLUDED.txt"


def archive(
    request: HttpRequest, viewer: Viewer, repo: ModelRepo, revision: str
) -> StreamingHttpResponse:
    """Answer with all files of ``revision`` that ``viewer`` may have.

    Files the store does not hand out are left out; a text file in the archive names them.

    Raises:
        RevisionNotFoundError: there is no such revision.
        RepoDisabledError: the repository is taken down.
        GatedRepoError: its publisher has not let the viewer in.
        NotFoundError: there is nothing to download.
    """
    commit = Commit.objects.get(repo=repo, oid=check_reached(viewer, repo, revision))
    granted, blocked = _granted(viewer, repo, revision, commit)
    if not granted:
        raise NotFoundError("There is no file to download in this revision yet.")
    zipped = _zip(repo, granted, blocked)
    answer = StreamingHttpResponse(
        _counted(request, viewer, repo, commit.oid, zipped), content_type="application/zip"
    )
    answer["Content-Length"] = str(len(zipped))
    answer["Content-Disposition"] = content_disposition(
        f"{repo.name}-{commit.oid[:8]}.zip", inline=False
    )
    answer["X-Repo-Commit"] = commit.oid
    answer["Cache-Control"] = "no-store"
    return answer


def _granted(
    viewer: Viewer, repo: ModelRepo, revision: str, commit: Commit
) -> tuple[list[Entry], dict[str, str]]:
    """Return (files to send, reasons by path of those that are not)."""
    entries = list_entries(repo, commit.oid, recursive=True)
    files = [entry for entry in entries if not entry.is_folder and not entry.is_link]
    scans = {
        (scan.blob_oid, scan.path): scan
        for scan in FileScan.objects.filter(repo=repo, blob_oid__in={file.oid for file in files})
    }
    granted, blocked = [], {}
    for file in files:
        scan = scans.get((file.oid, file.path))
        try:
            if not may_see_proposed(viewer, repo, revision, commit.oid, scan):
                check_verdict(viewer, repo, file.path, scan)
        except FileBlockedError as error:
            blocked[file.path] = error.message
        else:
            granted.append(file)
    return granted, blocked


def _zip(repo: ModelRepo, files: list[Entry], blocked: dict[str, str]) -> ZipStream:
    zipped = ZipStream(compress_type=ZIP_STORED, sized=True)
    for file in files:
        zipped.add(_content(repo, file), file.path, size=file.size_bytes)
    if blocked:
        lines = "".join(f"{message}\n" for message in blocked.values())
        zipped.add(lines, LEFT_OUT)
    return zipped


def _content(repo: ModelRepo, file: Entry) -> Iterator[bytes]:
    """Open the file only when its turn comes."""
    if file.lfs is None:
        yield read_blob(repo, file)
    else:
        yield from content_of(repo, file.lfs.sha256).blocks()


def _counted(
    request: HttpRequest, viewer: Viewer, repo: ModelRepo, commit_oid: str, zipped: ZipStream
) -> Iterator[bytes]:
    agent = request.headers.get("User-Agent", "")
    yield from zipped
    counting.note(
        counting.Receipt(
            repo_id=repo.pk,
            commit_oid=commit_oid,
            path="all.zip",
            size_bytes=len(zipped),
            caller=counting.caller_key(viewer, agent),
            kind=counting.kind_of(agent),
        )
    )
