"""Turns a granted file into an HTTP answer, in the mode the site runs in.

Bytes of large files are never read by Python here: the web server's sendfile, nginx
(``X-Accel-Redirect``) or the object store (a presigned redirect) sends them.
"""

import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from django.conf import settings
from django.http import FileResponse, HttpRequest, HttpResponse, HttpResponseBase

from accounts.viewer import Viewer
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
    elif settings.ENV.delivery == "redirect":
        answer = _redirect(delivery)
        if request.method == "GET":  # the object store sends it; the grant is what we can count
            _note(request, viewer, delivery)
    else:
        answer = _large(request, viewer, delivery)
    _describe(answer, delivery, as_attachment=as_attachment)
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
        _note(request, viewer, delivery)
    return _with_headers(answer, what)


def _large(request: HttpRequest, viewer: Viewer, delivery: Delivery) -> HttpResponseBase:
    """Answer with an LFS file, by sendfile or through nginx."""
    what = _plan(request, delivery)
    if not what.has_body:
        return _with_headers(HttpResponse(status=what.status), what)
    assert delivery.entry.lfs is not None  # noqa: S101
    digest = Digest(delivery.entry.lfs.sha256)
    path = storage().local_path(digest)
    if path is not None and settings.ENV.delivery == "x-accel":
        _note(request, viewer, delivery)  # nginx sends it; the grant is what we can count
        return _x_accel(path)
    completed = _noter(request, viewer, delivery) if _reaches_end(what, delivery) else None
    source = storage().open(digest, offset=what.start)
    return _with_headers(SentFile(source, what, completed), what)


def _x_accel(path: Path) -> HttpResponse:
    """Let nginx answer, ranges and conditions included (``internal`` location)."""
    answer = HttpResponse()
    inside = path.relative_to(settings.BLOB_DIR)
    answer["X-Accel-Redirect"] = settings.ENV.x_accel_prefix + str(inside)
    del answer["Content-Type"]
    return answer


def _redirect(delivery: Delivery) -> HttpResponse:
    """Send the caller to the object store with a short-lived link to exactly this object."""
    entry = delivery.entry
    assert entry.lfs is not None  # noqa: S101
    link = storage().download_url(
        Digest(entry.lfs.sha256),
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


def _with_headers(answer: HttpResponseBase, what: BytesPlan) -> HttpResponseBase:
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
    is_open = not delivery.repo.is_private and delivery.repo.gate == ModelRepo.Gate.NONE
    shared = "public" if is_open else "private"
    answer["Cache-Control"] = (
        f"{shared}, max-age=31536000, immutable" if delivery.is_pinned else "no-cache"
    )
    answer["Vary"] = "Authorization, Accept"


def _reaches_end(what: BytesPlan, delivery: Delivery) -> bool:
    return bool(what.start + what.length == delivery.entry.size_bytes)


def _noter(request: HttpRequest, viewer: Viewer, delivery: Delivery) -> Callable[[], None]:
    return lambda: _note(request, viewer, delivery)


def _note(request: HttpRequest, viewer: Viewer, delivery: Delivery) -> None:
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


def read_in_blocks(source: BinaryIO) -> Iterator[bytes]:
    """Yield the rest of ``source`` in pieces of 1 MiB and close it."""
    with source:
        while block := source.read(_BLOCK_BYTES):
            yield block
