"""Uploads to the Xet service: xorbs, straight or by a grant, and shards (contract 9.3)."""

import json
import logging
import secrets
import tempfile
from collections.abc import Iterator
from mmap import ACCESS_READ, mmap
from typing import Any

from django.conf import settings
from django.core import signing
from django.http import (
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    JsonResponse,
    StreamingHttpResponse,
)

from accounts.models import Namespace
from accounts.viewer import Viewer
from catalog.content import xorbs
from catalog.content.proving import prove
from catalog.content.quotas import expect_room
from catalog.content.registering import Registration
from catalog.content.stores import storage
from catalog.content.tables import known_xorbs
from catalog.content.xet.hashes import from_hex
from catalog.content.xet.shards import MAX_SHARD_BYTES
from hub.answers import hub_view
from hub.upload_links import BadLinkError
from hub.xet_callers import XetCaller, not_here, service_url, xet_view
from store.core.bodies import body_chunks, body_length, body_stream, read_json
from store.core.errors import InvalidError, StoreError, TransientError

logger = logging.getLogger(__name__)

_SALT = "hub.xet.grant"
_GRANT_S = 3600
_IN_MEMORY_BYTES = 1024 * 1024


class LengthRequiredError(InvalidError):
    """The request does not say how long its body is."""

    code = "length_required"
    status = 411


@xet_view("HEAD", "POST", scope="write")
def xorb(request: HttpRequest, caller: XetCaller, xorb: str) -> HttpResponseBase:
    """Receive a xorb."""
    if request.method == "HEAD":
        return _size_of(xorb)
    size_bytes, body = _check_length(request), body_stream(request)
    is_new = xorbs.receive_xorb(
        xorb, body, charged_to=caller.charged_to, announced_bytes=size_bytes
    )
    return JsonResponse({"was_inserted": is_new})


def _size_of(name: str) -> HttpResponseBase:
    known = known_xorbs([from_hex(name)]).get(from_hex(name))
    if known is None:
        return not_here("There is no such xorb.")
    answer = HttpResponse(content_type="application/octet-stream")
    answer["Content-Length"] = str(known.table.stored_bytes)
    return answer


def _check_length(request: HttpRequest) -> int:
    size_bytes = body_length(request)
    if size_bytes is None:
        raise LengthRequiredError("Say how long the body is (Content-Length).")
    xorbs.check_body_size(size_bytes)
    return size_bytes


@xet_view("POST", scope="write")
def grant(request: HttpRequest, caller: XetCaller, xorb: str) -> HttpResponseBase:
    """Give a link to send a xorb to, unless it is here: then nothing need be sent."""
    body = read_json(request)
    length = body.get("length")
    if not isinstance(length, int) or isinstance(length, bool) or length < 1:
        raise InvalidError("'length' is the number of bytes of the xorb.")
    xorbs.check_body_size(length)
    if xorbs.is_here(xorb):
        return HttpResponse(status=200)
    expect_room(caller.charged_to, length)
    name = secrets.token_hex(16)
    url = storage().drop_url(name, length, expires_s=_GRANT_S)
    if url is None:
        said = {"xorb": xorb, "payer": caller.charged_to.pk, "length": length}
        url = f"{service_url(request)}/v1/xorb-uploads/{signing.dumps(said, salt=_SALT)}"
    return JsonResponse({"id": name, "method": "PUT", "url": url, "headers": {}}, status=201)


@hub_view("PUT")
def granted_upload(
    request: HttpRequest, viewer: Viewer, proof: str, generation: str = ""
) -> HttpResponseBase:
    """Receive a xorb by a grant; the link is the proof, and the bytes are verified at once."""
    try:
        said = signing.loads(proof, salt=_SALT, max_age=_GRANT_S)
    except signing.BadSignature as exc:
        raise BadLinkError("This link is not valid any more. Ask for a new grant.") from exc
    if _check_length(request) != said["length"]:
        raise InvalidError("The body has another length than the grant is for.")
    payer = Namespace.objects.filter(pk=said["payer"]).first()
    if payer is None:
        raise BadLinkError("Whoever this link was made for is gone. Ask for a new grant.")
    xorbs.receive_xorb(said["xorb"], body_stream(request), charged_to=payer)
    return HttpResponse(status=200)


@xet_view("POST", scope="write")
def commit_grant(
    request: HttpRequest, caller: XetCaller, xorb: str, grant: str
) -> HttpResponseBase:
    """Verify what was sent by a grant, and keep it. Repeating is harmless."""
    if not xorbs.is_here(xorb):
        xorbs.take_xorb(xorb, grant, charged_to=caller.charged_to)
    return JsonResponse({"was_inserted": True})


@xet_view("POST", scope="write")
def shard_v1(request: HttpRequest, caller: XetCaller, name: str = "") -> HttpResponseBase:
    """Register the files of a shard; the answer comes when all is done."""
    registration = _registration(caller, _shard_body(request))
    for _ in registration.verify():
        pass
    return JsonResponse({"result": int(registration.write())})


@xet_view("POST", scope="write")
def shard_v2(request: HttpRequest, caller: XetCaller) -> HttpResponseBase:
    """Register the files of a shard and tell how far it is, a line of JSON at a time.

    What is wrong with it is told in the last line, for of that alone clients show the text: of
    another status than 200 a person sees only its number. What is too large to be received is
    refused before the first line (docs/adr/0023).
    """
    body = _shard_body(request)
    lines = (json.dumps(line).encode() + b"\n" for line in _progress(caller, body))
    answer = StreamingHttpResponse(lines, content_type="application/x-ndjson")
    answer["X-Accel-Buffering"] = "no"
    answer["Cache-Control"] = "no-store"
    return answer


def _registration(caller: XetCaller, body: bytes | mmap) -> Registration:
    registration = Registration(caller.repo, caller.user, prove(body))
    registration.check_room()
    return registration


def _shard_body(request: HttpRequest) -> bytes | mmap:
    """Return the body; a large one by way of a file, so that many at once fill no memory."""
    chunks = body_chunks(request, max_bytes=MAX_SHARD_BYTES)
    if (body_length(request) or 0) <= _IN_MEMORY_BYTES:
        return b"".join(chunks)
    settings.SPOOL_DIR.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=settings.SPOOL_DIR) as spool:
        for chunk in chunks:
            spool.write(chunk)
        spool.flush()
        if not spool.tell():  # the client went away
            return b""
        return mmap(spool.fileno(), 0, access=ACCESS_READ)


def _progress(caller: XetCaller, body: bytes | mmap) -> Iterator[dict[str, Any]]:
    yield {"type": "validating", "verified": 0, "total": 0}  # proving may take a while
    try:
        registration = _registration(caller, body)
        for done, total in registration.verify():
            yield {"type": "validating", "verified": done, "total": total}
        yield {"type": "committing", "stage": "syncing"}
        yield {"type": "result", "result": int(registration.write())}
    except StoreError as error:
        yield _told(error)
    except Exception:
        logger.exception("a shard could not be registered")
        message = "The store failed. Try again in a minute."
        yield {"type": "error", "message": message, "retryable": True}


def _told(error: StoreError) -> dict[str, Any]:
    can_retry = isinstance(error, TransientError)
    return {"type": "error", "message": error.message, "retryable": can_retry}
