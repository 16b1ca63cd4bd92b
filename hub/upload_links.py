"""The signed links large files are sent by (contract 8.3): no other proof comes with the bytes.

A link tells itself whose upload of what it is for, because an upload that succeeded leaves no row:
clients whose answer was lost send the same again, and so do two jobs of one person with one file.
"""

from dataclasses import astuple, dataclass

from django.conf import settings
from django.core import signing
from django.http import HttpRequest

from accounts.models import User
from catalog.content import uploads
from catalog.models import ModelRepo, Upload
from store.core.errors import ForbiddenError

_SALT = "lfs upload"


class BadLinkError(ForbiddenError):
    """The upload link is forged, expired or for something else."""

    code = "bad_upload_link"


@dataclass(frozen=True, slots=True)
class UploadLink:
    """What a link is for."""

    path: str
    """Name of the upload, and what is done with it: ``""``, ``/1``, ``/complete``."""
    repo_id: int
    user_id: int
    sha256: str
    size_bytes: int
    """Of the whole file."""
    body_bytes: int
    """Of what is sent by this link: the file, or one part of it."""


def link_to(base: str, upload: Upload, tail: str = "", *, body_bytes: int = 0) -> str:
    """Return the signed address for one step of an upload.

    Args:
        base: The store's own address.
        upload: The upload.
        tail: What is done: nothing for a whole file, ``/1`` for a part, ``/complete``.
        body_bytes: How many bytes are to be sent there.
    """
    path = f"{upload.public_id}{tail}"
    link = UploadLink(
        path, upload.repo_id, upload.user_id, upload.sha256, upload.size_bytes, body_bytes
    )
    proof = signing.dumps(astuple(link), salt=_SALT)
    return f"{base}/api/lfs/{path}?proof={proof}"


def opened(
    request: HttpRequest, public_id: str, tail: str = ""
) -> tuple[UploadLink, Upload | None]:
    """Return what the link of a request is for, and its upload.

    ``None``: the upload has succeeded already, and what came by it may be used by its sender.

    Raises:
        BadLinkError: forged, expired, or the upload ended in another way.
    """
    try:
        said = signing.loads(
            request.GET.get("proof", ""), salt=_SALT, max_age=settings.ENV.upload_link_s
        )
    except signing.BadSignature as exc:
        raise _bad() from exc
    link = UploadLink(*said)
    if link.path != f"{public_id}{tail}":
        raise _bad()
    upload = Upload.objects.filter(public_id=public_id).select_related("repo", "user").first()
    if upload is None and not _has_succeeded(link):
        raise _bad()
    return link, upload


def _has_succeeded(link: UploadLink) -> bool:
    repo = ModelRepo.objects.filter(pk=link.repo_id).first()
    user = User.objects.filter(pk=link.user_id, is_active=True).first()
    if repo is None or user is None:
        return False
    return uploads.is_usable(repo, user, link.sha256, link.size_bytes)


def _bad() -> BadLinkError:
    return BadLinkError("This upload link is not valid any more. Start again.")
