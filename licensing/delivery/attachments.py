"""Attachments of comments leave by the same rules as files: ranges, no sniffing, a sandbox."""

from django.http import HttpRequest, HttpResponse, HttpResponseBase

from catalog.content.stores import storage
from catalog.models import Attachment
from licensing.delivery.ranges import plan
from licensing.delivery.respond import SentFile
from store.storage import Digest, content_disposition


def send(request: HttpRequest, attachment: Attachment) -> HttpResponseBase:
    """Answer HEAD or GET of an attachment the caller may see.

    Args:
        request: For its method and its range and condition headers.
        attachment: Which.
    """
    digest = Digest(attachment.content_id)
    what = plan(request.method or "GET", attachment.size_bytes, f'"{digest}"', request.headers)
    answer: HttpResponseBase = HttpResponse(status=what.status)
    if what.has_body:
        answer = SentFile(storage().open(digest, offset=what.start), what, None)
    for name, value in what.headers.items():
        answer[name] = value
    answer["ETag"] = f'"{digest}"'
    answer["Accept-Ranges"] = "bytes"
    if answer.status_code in {200, 206}:
        answer["Content-Type"] = attachment.media_type
        answer["Content-Disposition"] = content_disposition(attachment.name, inline=True)
    answer["Content-Security-Policy"] = "default-src 'none'; sandbox"
    answer["X-Content-Type-Options"] = "nosniff"
    answer["Cross-Origin-Resource-Policy"] = "same-origin"
    answer["Cache-Control"] = "private, no-cache"  # its comment may be hidden at any time
    answer["Vary"] = "Authorization, Cookie"
    return answer
