"""Attachments of comments (contract 12.2): sent before the comment is written, shown in it."""

from django.http import HttpRequest, HttpResponse, HttpResponseBase

from accounts.models import Permission
from accounts.viewer import Viewer
from catalog.services import attachments
from hub.answers import hub_view
from licensing.delivery.attachments import send as send_attachment
from store.core.bodies import body_chunks
from store.core.web import origin


@hub_view("POST")
def receive(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """Keep a picture, sound or film; answer its address, as plain text."""
    viewer.require_somewhere(Permission.DISCUSS)
    body = body_chunks(request, max_bytes=attachments.most_bytes())
    kept = attachments.receive(viewer, body)
    url = f"{origin(request)}{kept.get_absolute_url()}"
    return HttpResponse(url, content_type="text/plain; charset=utf-8")


@hub_view("GET", "HEAD")
def send(request: HttpRequest, viewer: Viewer, name: str) -> HttpResponseBase:
    """Send an attachment to whoever may read a comment that shows it."""
    return send_attachment(request, attachments.attachment_for(viewer, name))
