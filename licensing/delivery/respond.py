"""Turns a granted file into an HTTP answer, in the mode the site runs in.

Large files that are one object are never read by Python here: the web server's sendfile, nginx
(``X-Accel-Redirect``) or the object store (a presigned redirect) sends them. Those that lie in
xorbs are joined chunk by chunk, in memory for one chunk.
"""

import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from django.conf import settings
from django.http import (
    FileResponse,
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    StreamingHttpResponse,
)

from accounts.viewer import Viewer
from catalog.content.hot import joined
from catalog.content.reading import Content, content_of
from catalog.content.stores import storage
from catalog.history.trees import read_blob
from catalog.models import ModelRepo
from licensing.delivery import counting
from licensing.delivery.naming import content_type_for
from licensing.delivery.policy import Delivery
from licensing.delivery.ranges import BytesPlan, plan
from store.storage import Digest, content_disposition

_BLOCK_BYTES = 1024 * 1024


def respond(
    request: HttpRequest, viewer: Viewer, delivery: Delivery, *, as_attachment: bool = False
) -> HttpResponseBase:
    """Answer HEAD or GET of a granted file like a static file server.

    Args:
        request: For its method and its range and condition headers.
        viewer: Whose download it is.
        delivery: What ``authorize`` granted.
        as_attachment: Make a browser save the file instead of showing it.
    """
    if delivery.entry.lfs is None:
        answer = _small(request, viewer, delivery)
    else:
        content = content_of(delivery.repo, delivery.entry.lfs.sha256)
        answer = _large(request, viewer, delivery, content)
    _describe(answer, delivery, as_attachment=as_attachment)
    return answer


def respond_pointer(request: HttpRequest, delivery: Delivery) -> HttpResponseBase:
    """Answer with what git stores for a granted large file: its pointer, a few lines of text."""
    data = read_blob(delivery.repo, delivery.entry)
    what = plan(request.method or "GET", len(data), f'"{delivery.entry.oid}"', request.headers)
    body = data[what.start : what.start + what.length] if what.has_body else b""
    answer = with_headers(HttpResponse(body, status=what.status), what)
    _describe(answer, delivery, as_attachment=False)
    answer["ETag"] = f'"{delivery.entry.oid}"'
    if answer.status_code in {200, 206}:
        answer["Content-Type"] = "text/plain; charset=utf-8"
    for name in ("X-Linked-Etag", "X-Linked-Size"):  # they speak of the file itself
        del answer[name]
    return answer


def _plan(request: HttpRequest, delivery: Delivery) -> BytesPlan:
    entry = delivery.entry
    return plan(request.method or "GET", entry.size_bytes, f'"{entry.etag}"', request.headers)


def _small(request: HttpRequest, viewer: Viewer, delivery: Delivery) -> HttpResponseBase:
    """Answer with a file that git itself holds (below 10 MB): from memory."""
    what = _plan(request, delivery)
    body = b""
    if what.has_body:
        data = read_blob(delivery.repo, delivery.entry)
        body = data[what.start : what.start + what.length]
    answer = HttpResponse(body, status=what.status)
    if what.has_body and _reaches_end(what, delivery):
        note(request, viewer, delivery)
    return with_headers(answer, what)


def _large(
    request: HttpRequest, viewer: Viewer, delivery: Delivery, content: Content
) -> HttpResponseBase:
    """Answer with an LFS file: whoever can send it without us does, chunks are joined here."""
    if content.digest is not None and settings.ENV.delivery == "redirect":
        answer = _redirect(delivery, content.digest)
        if request.method == "GET":  # the object store sends it; the grant is what we can count
            note(request, viewer, delivery)
        return answer
    what = _plan(request, delivery)
    if not what.has_body:
        return with_headers(HttpResponse(status=what.status), what)
    path = content.local_path()
    if path is not None and settings.ENV.delivery == "x-accel":
        note(request, viewer, delivery)  # nginx sends it; the grant is what we can count
        return _x_accel(path)
    completed = _noter(request, viewer, delivery) if _reaches_end(what, delivery) else None
    if content.digest is None:
        return with_headers(_joined(content, what, completed), what)
    source = storage().open(content.digest, offset=what.start)
    return with_headers(SentFile(source, what, completed), what)


def _joined(
    content: Content, what: BytesPlan, completed: Callable[[], None] | None
) -> StreamingHttpResponse:
    """Send a file out of its xorbs, a chunk at a time."""

    def pieces() -> Iterator[bytes]:
        yield from content.blocks(what.start, what.length)
        if completed is not None:
            completed()
            joined(content.sha256, content.size_bytes)

    answer = StreamingHttpResponse(pieces(), status=what.status)
    answer["X-Accel-Buffering"] = "no"
    return answer


def _x_accel(path: Path) -> HttpResponse:
    """Let nginx answer, ranges and conditions included (``internal`` location)."""
    answer = HttpResponse()
    inside = path.relative_to(settings.BLOB_DIR)
    answer["X-Accel-Redirect"] = settings.ENV.x_accel_prefix + str(inside)
    del answer["Content-Type"]
    return answer


def _redirect(delivery: Delivery, digest: Digest) -> HttpResponse:
    """Send the caller to the object store with a short-lived link to exactly this object."""
    entry = delivery.entry
    link = storage().download_url(
        digest,
        filename=entry.name,
        content_type=content_type_for(entry.path, delivery.kind),
        expires_s=settings.ENV.download_link_s,
    )
    if link is None:
        raise RuntimeError("STORE_DELIVERY=redirect needs STORE_STORAGE=s3")
    answer = HttpResponse(status=302)
    answer["Location"] = link
    answer["X-Linked-Size"] = str(entry.size_bytes)
    return answer


class LimitedFile(io.RawIOBase):
    """The part of a file that one answer sends.

    The web server either reads it, or takes ``fileno`` for sendfile and afterwards calls
    ``seek`` with where it stopped (``socket.sendfile`` does); both tell how far it came.

    Args:
        source: Positioned at the first byte to send.
        start: That position.
        length: How many bytes to send.
    """

    def __init__(self, source: BinaryIO, start: int, length: int) -> None:
        super().__init__()
        self.source, self.start, self.length = source, start, length
        self.sent = 0

    def readable(self) -> bool:
        return True

    def fileno(self) -> int:
        number = self.source.fileno()
        if os.lseek(number, 0, os.SEEK_CUR) != self.start + self.sent:
            os.lseek(number, self.start + self.sent, os.SEEK_SET)
        return number

    def read(self, size: int = -1) -> bytes:
        left = self.length - self.sent
        data = self.source.read(left if size < 0 else min(size, left))
        self.sent += len(data)
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self.sent = max(self.sent, offset - self.start)
        return offset

    def close(self) -> None:
        if not self.closed:
            self.source.close()
        super().close()

    @property
    def is_complete(self) -> bool:
        """Every byte was handed to the network."""
        return self.sent >= self.length


class SentFile(FileResponse):
    """A file answer that knows whether it was sent to the end."""

    def __init__(
        self, source: BinaryIO, what: BytesPlan, completed: Callable[[], None] | None
    ) -> None:
        self.part = LimitedFile(source, what.start, what.length)
        self.completed = completed
        super().__init__(self.part, status=what.status)
        self.block_size = _BLOCK_BYTES

    def set_headers(self, filelike: Any) -> None:
        """Leave the headers alone: they come from the plan."""

    def close(self) -> None:
        if self.completed is not None and self.part.is_complete:
            self.completed()
            self.completed = None
        super().close()


def with_headers(answer: HttpResponseBase, what: BytesPlan) -> HttpResponseBase:
    """Return ``answer`` with the headers of the plan."""
    for name, value in what.headers.items():
        answer[name] = value
    return answer


def _describe(answer: HttpResponseBase, delivery: Delivery, *, as_attachment: bool) -> None:
    """Add what hub clients and browsers want to know of the file, on every status."""
    entry = delivery.entry
    answer["X-Repo-Commit"] = delivery.commit_oid
    answer["ETag"] = f'"{entry.etag}"'
    answer["Accept-Ranges"] = "bytes"
    if entry.lfs is not None:
        answer["X-Linked-Etag"] = f'"{entry.etag}"'
        answer["X-Linked-Size"] = str(entry.size_bytes)
    answer["Content-Disposition"] = content_disposition(entry.name, inline=not as_attachment)
    if answer.status_code in {200, 206}:
        answer["Content-Type"] = content_type_for(entry.path, delivery.kind)
    answer["Content-Security-Policy"] = "default-src 'none'; sandbox"
    answer["X-Content-Type-Options"] = "nosniff"
    answer["Cross-Origin-Resource-Policy"] = "cross-origin"
    repo = delivery.repo
    is_open = not (repo.is_private or repo.is_sold) and repo.gate == ModelRepo.Gate.NONE
    shared = "public" if is_open else "private"
    answer["Cache-Control"] = (
        f"{shared}, max-age=31536000, immutable" if delivery.is_pinned else "no-cache"
    )
    answer["Vary"] = "Authorization, Accept"


def _reaches_end(what: BytesPlan, delivery: Delivery) -> bool:
    return bool(what.start + what.length == delivery.entry.size_bytes)


def _noter(request: HttpRequest, viewer: Viewer, delivery: Delivery) -> Callable[[], None]:
    return lambda: note(request, viewer, delivery)


def note(request: HttpRequest, viewer: Viewer, delivery: Delivery) -> None:
    """Count that ``viewer`` got the whole of a file."""
    agent = request.headers.get("User-Agent", "")
    counting.note(
        counting.Receipt(
            repo_id=delivery.repo.pk,
            commit_oid=delivery.commit_oid,
            path=delivery.entry.path,
            size_bytes=delivery.entry.size_bytes,
            caller=counting.caller_key(viewer, agent),
            kind=counting.kind_of(agent),
        )
    )
