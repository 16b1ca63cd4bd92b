"""Pieces of xorbs: links that are good for one run of bytes, and what they answer.

A xorb may hold chunks of files the caller may not see. So a link names the run, and its proof
covers xorb, run and expiry; the answer is those bytes or a part of them, and 403 to anything
else: only that makes clients ask for fresh links (Xet specification, xorb data).
"""

import re
import time
from collections.abc import Callable, Iterator
from typing import BinaryIO, TypeVar
from urllib.parse import urlencode

from django.conf import settings
from django.http import (
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    StreamingHttpResponse,
)
from django.utils.crypto import constant_time_compare, get_random_string, salted_hmac

from accounts.models import User
from accounts.viewer import Viewer
from catalog.access import may_see_contents
from catalog.content.reconstruction import PlannedFetch
from catalog.content.stores import storage
from catalog.content.tables import KnownXorb, known_xorbs
from catalog.content.xet.errors import XetFormatError
from catalog.content.xet.hashes import from_hex, to_hex
from catalog.models import ModelRepo
from licensing.delivery.ranges import BytesPlan
from licensing.delivery.respond import SentFile, with_headers
from store.core.errors import ForbiddenError
from store.storage import Digest

MAX_RANGES = 256
"""Ranges one request may ask for; a whole xorb in alternate chunks would be thousands."""
Answer = TypeVar("Answer", bound=HttpResponseBase)
_OCTETS = "application/octet-stream"
_SPANS = re.compile(r"bytes=(\d{1,10}-\d{1,10}(?:, ?\d{1,10}-\d{1,10})*)")
_BLOCK_BYTES = 1024 * 1024

Linker = Callable[[bytes, Digest, PlannedFetch], str]
"""Makes a link of a xorb's hash, its stored bytes, and the run."""


class BadXorbLinkError(ForbiddenError):
    """The link is forged, expired, or for other bytes. Ask for the reconstruction again."""

    code = "bad_xorb_link"


def bearer_of(viewer: Viewer, repo: ModelRepo) -> str:
    """Return for whom links to pieces of ``repo`` are; empty: they need not be told apart.

    Links to what is sold are looked at again whenever they are used, so that a refund stops a
    download at its next request.
    """
    return f"{repo.pk}-{viewer.user.pk}" if repo.is_sold and viewer.user is not None else ""


def xorb_link(base: str, xorb: bytes, blob: Digest, fetch: PlannedFetch, bearer: str = "") -> str:
    """Return an absolute link to one run of a xorb's bytes, good for nothing else.

    Args:
        base: The address of the Xet service as the caller reaches it.
        xorb: The xorb's hash.
        blob: Its stored bytes.
        fetch: The run.
        bearer: For whom, as ``bearer_of`` gives it.
    """
    life_s = settings.ENV.xet_link_s
    if bearer:  # nobody can take a presigned link back
        life_s = min(life_s, settings.ENV.download_link_s)
    if settings.ENV.delivery == "redirect":
        link = storage().download_url(
            blob,
            filename="xorb",
            content_type=_OCTETS,
            expires_s=life_s,
            span=(fetch.first, fetch.last),
        )
        if link is not None:
            return link
    name, until_s = to_hex(xorb), int(time.time()) + life_s
    span = f"{fetch.first}-{fetch.last}"
    query = {"span": span, "until": until_s, "proof": _proof(blob, span, until_s, bearer)}
    if bearer:
        query["for"] = bearer
    return f"{base}/data/{name}?{urlencode(query)}"


def send_xorb(request: HttpRequest, name: str) -> HttpResponseBase:
    """Answer a request for a piece of a xorb.

    Raises:
        BadXorbLinkError: whatever is wrong, or the xorb is gone.
    """
    known = _known(name)
    first, last = _granted(request, known)
    spans = _asked(request, first, last)
    size_bytes = known.table.stored_bytes
    if len(spans) > 1:
        return _several(known, spans, size_bytes)
    return _described(_one(known, *spans[0], size_bytes), _OCTETS)


def _granted(request: HttpRequest, known: KnownXorb) -> tuple[int, int]:
    span, until = request.GET.get("span", ""), request.GET.get("until", "")
    bearer = request.GET.get("for", "")
    match = re.fullmatch(r"(\d{1,10})-(\d{1,10})", span)
    if match is None or not re.fullmatch(r"\d{1,12}", until):
        raise BadXorbLinkError("This link is not whole. Ask for the reconstruction again.")
    if not constant_time_compare(
        request.GET.get("proof", ""), _proof(known.blob, span, int(until), bearer)
    ):
        raise BadXorbLinkError("This link was not made here. Ask for the reconstruction again.")
    if int(until) < time.time():
        raise BadXorbLinkError("This link has expired. Ask for the reconstruction again.")
    if bearer and not _may_have(bearer):
        raise BadXorbLinkError("This link was for somebody whose license ended.")
    return int(match[1]), int(match[2])


def _may_have(bearer: str) -> bool:
    """Whether the person a link was made for may still have what is in the model."""
    repo_id, user_id = map(int, bearer.split("-"))
    repo = ModelRepo.objects.select_related("namespace").filter(pk=repo_id).first()
    user = User.objects.filter(pk=user_id, is_active=True).first()
    return repo is not None and user is not None and may_see_contents(Viewer(user=user), repo)


def _asked(request: HttpRequest, first: int, last: int) -> list[tuple[int, int]]:
    """Return the ranges that are asked for, each with its last byte.

    Read more strictly than the RFC wants: nginx may read the same header again, and both must
    understand the same. ``If-Range`` could make it send everything.
    """
    match = _SPANS.fullmatch(request.headers.get("Range", ""))
    if match is None or "If-Range" in request.headers:
        raise BadXorbLinkError("Ask for a range of bytes that this link is for.")
    numbers = [tuple(map(int, each.strip().split("-"))) for each in match[1].split(",")]
    spans = [(start, end) for start, end in numbers]
    if len(spans) > MAX_RANGES or any(not first <= a <= b <= last for a, b in spans):
        raise BadXorbLinkError("This link is for other bytes of the xorb.")
    return spans


def _known(name: str) -> KnownXorb:
    try:
        raw = from_hex(name)
    except XetFormatError as exc:
        raise BadXorbLinkError("This is no hash of a xorb.") from exc
    known = known_xorbs([raw]).get(raw)
    if known is None or not storage().exists(known.blob):
        raise BadXorbLinkError("This xorb has moved. Ask for the reconstruction again.")
    return known


def _one(known: KnownXorb, start: int, end: int, size_bytes: int) -> HttpResponseBase:
    digest = known.blob
    path = storage().local_path(digest)
    if path is not None and settings.ENV.delivery == "x-accel":
        answer = HttpResponse()  # nginx reads the range again and makes 206 of it
        inside = path.relative_to(settings.BLOB_DIR)
        answer["X-Accel-Redirect"] = settings.ENV.x_accel_prefix + str(inside)
        return answer
    length = end - start + 1
    headers = {"Content-Range": f"bytes {start}-{end}/{size_bytes}", "Content-Length": str(length)}
    what = BytesPlan(206, start, length, has_body=True, headers=headers)
    return with_headers(SentFile(storage().open(digest, offset=start), what, None), what)


def _several(
    known: KnownXorb, spans: list[tuple[int, int]], size_bytes: int
) -> StreamingHttpResponse:
    """Answer with a part for each range (RFC 9110, section 14.6)."""
    boundary = get_random_string(32)
    heads = [
        f"\r\n--{boundary}\r\nContent-Type: {_OCTETS}\r\n"
        f"Content-Range: bytes {start}-{end}/{size_bytes}\r\n\r\n".encode()
        for start, end in spans
    ]
    tail = f"\r\n--{boundary}--\r\n".encode()

    def parts() -> Iterator[bytes]:
        with storage().open(known.blob) as source:
            for head, (start, end) in zip(heads, spans, strict=True):
                yield head
                source.seek(start)
                yield from _blocks(source, end - start + 1)
        yield tail

    answer = StreamingHttpResponse(parts(), status=206)
    sizes = sum(end - start + 1 for start, end in spans)
    answer["Content-Length"] = str(sum(map(len, heads)) + sizes + len(tail))
    answer["X-Accel-Buffering"] = "no"
    return _described(answer, f"multipart/byteranges; boundary={boundary}")


def _blocks(source: BinaryIO, left: int) -> Iterator[bytes]:
    while left > 0 and (block := source.read(min(left, _BLOCK_BYTES))):
        left -= len(block)
        yield block


def _described(answer: Answer, content_type: str) -> Answer:
    answer["Content-Type"] = content_type
    answer["Accept-Ranges"] = "bytes"
    answer["Cache-Control"] = "private, max-age=600"
    answer["X-Content-Type-Options"] = "nosniff"
    answer["Content-Security-Policy"] = "default-src 'none'; sandbox"
    return answer


def _proof(blob: Digest, span: str, until_s: int, bearer: str) -> str:
    """Return what only this store can put on a link.

    It is for stored bytes rather than for a xorb: one that was lost can come again packed in
    another way, and the same run is something else then.
    """
    text = f"{blob}:{span}:{until_s}:{bearer}"
    return salted_hmac("licensing.delivery.xorbs", text, algorithm="sha256").hexdigest()
