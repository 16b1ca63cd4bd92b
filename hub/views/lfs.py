"""Git-LFS (contract 8.3): which objects are missing, receiving them, confirming them.

Upload links carry their own proof (signed, expiring, bound to one upload and part): clients send
no header with them.
"""

import re
import secrets
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from django.conf import settings
from django.core import signing
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse

from accounts.models import User
from accounts.viewer import Viewer
from catalog.access import can, repo_for
from catalog.content import uploads
from catalog.content.ownership import owned_size, usable_size
from catalog.content.quotas import charged_for, expect_room
from catalog.history.refs import DEFAULT_BRANCH
from catalog.models import ModelRepo, Upload
from hub.answers import LFS_TYPE, hub_view
from hub.upload_links import BadLinkError, UploadLink, link_to, opened
from hub.xet_callers import token_headers
from licensing.delivery.policy import authorize_object, check_gate
from licensing.delivery.respond import respond
from store.core.bodies import body_chunks, body_length, body_stream, read_json
from store.core.errors import ConflictError, InvalidError, NotFoundError, StoreError
from store.core.web import origin

MAX_OBJECTS = 1000
_HASHES = ("sha256", "sha_256")
"""Names of the one hash there is; the second is the JavaScript client's."""

_VERIFY_SALT = "lfs verify"
_SHA256 = re.compile(r"[0-9a-f]{64}")


class HashAlgorithmError(ConflictError):
    """Objects are named by another hash than git-lfs uses here."""

    code = "unknown_hash_algorithm"


@hub_view("POST")
def batch(request: HttpRequest, viewer: Viewer, ns: str, name: str) -> HttpResponseBase:
    """Say what to do for each object: upload it, fetch it, or nothing."""
    repo = repo_for(viewer, ns, name)
    body = read_json(request)
    operation, asked = body.get("operation"), body.get("objects")
    if operation not in {"upload", "download"} or not isinstance(asked, list):
        raise InvalidError("'operation' is upload or download, 'objects' a list.")
    if len(asked) > MAX_OBJECTS:
        raise InvalidError(f"Ask for at most {MAX_OBJECTS} objects at a time.")
    if (body.get("hash_algo") or "sha256") not in _HASHES:
        raise HashAlgorithmError("Objects are named by their sha256 here: say so in 'hash_algo'.")
    if operation == "upload":
        uploads.check_may_upload(viewer, repo)
    else:
        check_gate(viewer, repo)
    transfers = body.get("transfers") or ["basic"]
    if not isinstance(transfers, list):
        raise InvalidError("'transfers' is a list of names.")
    if operation == "upload" and "xet" in transfers:
        return _by_xet(request, viewer, repo, body)
    plans = [_object(request, viewer, repo, operation, item, transfers) for item in asked]
    is_multipart = any("chunk_size" in _upload_header(plan) for plan in plans)
    answer = {"transfer": "multipart" if is_multipart else "basic", "objects": plans}
    return JsonResponse(answer, content_type=LFS_TYPE)


def _by_xet(
    request: HttpRequest, viewer: Viewer, repo: ModelRepo, body: dict[str, Any]
) -> HttpResponseBase:
    """Send clients that speak Xet there: a token for everything that is not here yet.

    Python clients up to 1.19, the JavaScript client and git-xet ask this way.
    """
    user = uploads.check_may_upload(viewer, repo)
    ref = body.get("ref")
    name = ref.get("name") if isinstance(ref, dict) else None
    revision = quote(name if isinstance(name, str) and name else DEFAULT_BRANCH, safe="")
    # somebody who may only read can only mean a pull request
    tail = "" if can(viewer, repo, to="write") else "?create_pr=1"
    route = f"{origin(request)}/api/models/{repo.full_name}/xet-write-token/{revision}{tail}"
    upload = {
        "href": route,
        "header": token_headers(request, viewer, repo, "write")
        | {"X-Xet-Session-Id": secrets.token_hex(16)},
    }
    payer, room_bytes = charged_for(repo, user), 0
    plans = []
    for item in body["objects"]:
        oid, size_bytes = _checked(item)
        plan: dict[str, Any] = {"oid": oid, "size": size_bytes}
        try:
            owned = usable_size(viewer, repo, oid)
            if owned is not None:
                uploads.check_size(owned, size_bytes)
            else:
                uploads.check_file_size(size_bytes)
                expect_room(payer, room_bytes + size_bytes)
                room_bytes += size_bytes
                plan["actions"] = {"upload": upload}
            plans.append(plan | {"authenticated": True})
        except StoreError as error:
            plans.append(plan | {"error": _fault(error)})
    return JsonResponse({"transfer": "xet", "objects": plans}, content_type=LFS_TYPE)


def _object(
    request: HttpRequest,
    viewer: Viewer,
    repo: ModelRepo,
    operation: str,
    item: Any,
    transfers: list[str],
) -> dict[str, Any]:
    oid, size_bytes = _checked(item)
    answer: dict[str, Any] = {"oid": oid, "size": size_bytes}
    try:
        if operation == "download":
            owned = owned_size(repo, oid)
            return answer | {"actions": _download(request, repo, oid, owned)}
        answer["authenticated"] = True
        owned = usable_size(viewer, repo, oid)
        if owned is not None:
            uploads.check_size(owned, size_bytes)
            return answer
        upload = uploads.reserve(
            viewer, repo, sha256=oid, size_bytes=size_bytes, allow_parts="multipart" in transfers
        )
    except StoreError as error:
        return {"oid": oid, "size": size_bytes, "error": _fault(error)}
    return answer | {"actions": _upload_actions(request, repo, upload)}


def _fault(error: StoreError) -> dict[str, Any]:
    return {"code": error.status, "message": error.message}


def _checked(item: Any) -> tuple[str, int]:
    oid = item.get("oid") if isinstance(item, dict) else None
    size_bytes = item.get("size") if isinstance(item, dict) else None
    if not isinstance(oid, str) or not _SHA256.fullmatch(oid):
        raise InvalidError("'oid' is a sha256 of 64 lower-case hex characters.")
    if not isinstance(size_bytes, int) or isinstance(size_bytes, bool) or size_bytes < 0:
        raise InvalidError("'size' is a whole number of bytes.")
    return oid, size_bytes


def _download(request: HttpRequest, repo: ModelRepo, oid: str, owned: int | None) -> dict[str, Any]:
    """Point to the object; not marked as authenticated, git-lfs proves itself there as here."""
    if owned is None:
        raise NotFoundError("Object does not exist in this repository.")
    return {"download": {"href": f"{origin(request)}/{repo.full_name}.git/info/lfs/objects/{oid}"}}


def _upload_actions(request: HttpRequest, repo: ModelRepo, upload: Upload) -> dict[str, Any]:
    base = origin(request)
    proof = signing.dumps([upload.user_id, upload.sha256], salt=_VERIFY_SALT)
    verify = {"href": f"{base}/{repo.full_name}.git/info/lfs/objects/verify?proof={proof}"}
    plan = uploads.plan_of(upload)
    if plan.part_count == 1:
        href = uploads.direct_url(upload) or link_to(base, upload, body_bytes=upload.size_bytes)
        return {"upload": {"href": href}, "verify": verify}
    header = {"chunk_size": str(upload.part_bytes)}
    for number in range(1, plan.part_count + 1):
        direct = uploads.direct_url(upload, number)
        header[f"{number:05d}"] = direct or link_to(
            base, upload, f"/{number}", body_bytes=plan.size_of(number)
        )
    done = {"href": link_to(base, upload, "/complete"), "header": header}
    return {"upload": done, "verify": verify}


def _upload_header(plan: dict[str, Any]) -> dict[str, str]:
    header: dict[str, str] = plan.get("actions", {}).get("upload", {}).get("header", {})
    return header


@hub_view("GET", "HEAD")
def download(
    request: HttpRequest, viewer: Viewer, ns: str, name: str, oid: str
) -> HttpResponseBase:
    """Send an object to git-lfs."""
    repo = repo_for(viewer, ns, name)
    return respond(request, viewer, authorize_object(viewer, repo, oid))


def _sent_again(request: HttpRequest, link: UploadLink) -> Iterator[bytes]:
    uploads.check_size(link.body_bytes, body_length(request) or link.body_bytes)
    return body_chunks(request, max_bytes=link.body_bytes)


@hub_view("PUT")
def receive(request: HttpRequest, viewer: Viewer, upload: str) -> HttpResponseBase:
    """Receive a whole object. Sending it again is harmless, and good for nothing more."""
    link, found = opened(request, upload)
    if found is not None:
        uploads.receive(found, body_stream(request), announced_bytes=body_length(request))
    else:
        uploads.check_again(_sent_again(request, link), link.body_bytes, link.sha256)
    return HttpResponse(status=200)


@hub_view("PUT")
def receive_part(
    request: HttpRequest, viewer: Viewer, upload: str, number: int
) -> HttpResponseBase:
    """Receive one part. Sending it again is harmless, even when the whole is there."""
    link, found = opened(request, upload, f"/{number}")
    if found is not None:
        etag = uploads.receive_part(found, number, body_stream(request))
    else:
        etag = uploads.check_again(_sent_again(request, link), link.body_bytes)
    answer = HttpResponse(status=200)
    answer["ETag"] = f'"{etag}"'
    return answer


@hub_view("POST")
def complete(request: HttpRequest, viewer: Viewer, upload: str) -> HttpResponseBase:
    """Put the parts together; the digest of the whole is checked before anything is visible."""
    _link, found = opened(request, upload, "/complete")
    body = read_json(request)
    parts = body.get("parts")
    if not isinstance(parts, list):
        raise InvalidError("'parts' is a list of partNumber and etag.")
    tags: list[tuple[int, str]] = []
    for part in parts:
        number = part.get("partNumber") if isinstance(part, dict) else None
        etag = part.get("etag") if isinstance(part, dict) else None
        if not isinstance(number, int) or not isinstance(etag, str):
            raise InvalidError("'parts' is a list of partNumber and etag.")
        tags.append((number, etag.strip('"')))
    if found is not None:
        uploads.complete(found, tags)
    return JsonResponse({"success": True})


def _uploader(request: HttpRequest, viewer: Viewer, sha256: str) -> Viewer:
    """Return who asks: git-lfs sends no name to a link that came as ``authenticated``."""
    proof = request.GET.get("proof", "")
    if not viewer.is_visitor or not proof:
        return viewer
    try:
        user_id, signed = signing.loads(
            proof, salt=_VERIFY_SALT, max_age=settings.ENV.upload_link_s
        )
    except signing.BadSignature as exc:
        raise BadLinkError("This link is not valid any more. Start again.") from exc
    user = User.objects.filter(pk=user_id, is_active=True).first()
    if signed != sha256 or user is None:
        raise BadLinkError("This link is not valid any more. Start again.")
    return Viewer(user=user, address=viewer.address)


@hub_view("POST")
def verify(request: HttpRequest, viewer: Viewer, ns: str, name: str) -> HttpResponseBase:
    """Confirm that an object arrived whole."""
    oid, size_bytes = _checked(read_json(request))
    viewer = _uploader(request, viewer, oid)
    repo = repo_for(viewer, ns, name)
    user = uploads.check_may_upload(viewer, repo)
    size = uploads.settle(repo, user, oid)
    if size is None:
        raise NotFoundError("This object was not uploaded to this repository.")
    uploads.check_size(size, size_bytes)
    return JsonResponse({"message": "Success"}, content_type=LFS_TYPE)
