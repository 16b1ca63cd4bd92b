"""Webhooks of the caller (contract 16)."""

from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse

from accounts.viewer import Viewer
from catalog.services.webhooks import managing
from catalog.services.webhooks.managing import WebhookNotFoundError, Wish
from hub import shapes
from hub.answers import hub_view
from store.core.bodies import read_json
from store.core.errors import InvalidError


@hub_view("GET", "POST")
def all_webhooks(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """List the caller's webhooks, or make one."""
    if request.method == "GET":
        rows = managing.webhooks_of(viewer)
        return JsonResponse([shapes.webhook(item) for item in rows], safe=False)
    wish = _wish(read_json(request))
    made, key = managing.create(viewer, wish)
    return JsonResponse({"webhook": shapes.webhook(made, secret=wish.secret, key=key)})


@hub_view("GET", "POST", "DELETE")
def one_webhook(request: HttpRequest, viewer: Viewer, ident: str) -> HttpResponseBase:
    """Show, change or delete one webhook."""
    found = managing.webhook_for(viewer, ident)
    if request.method == "GET":
        return JsonResponse({"webhook": shapes.webhook(found)})
    if request.method == "DELETE":
        managing.delete(viewer, found)
        return HttpResponse("OK", content_type="text/plain")
    wish = _wish(read_json(request))
    changed = managing.update(viewer, found, wish)
    return JsonResponse({"webhook": shapes.webhook(changed, secret=wish.secret)})


@hub_view("POST")
def switch_webhook(
    request: HttpRequest, viewer: Viewer, ident: str, switch: str
) -> HttpResponseBase:
    """Switch one webhook on or off."""
    found = managing.webhook_for(viewer, ident)
    if switch not in {"enable", "disable"}:
        raise WebhookNotFoundError("There is nothing here.")
    changed = managing.set_enabled(viewer, found, is_enabled=switch == "enable")
    return JsonResponse({"webhook": shapes.webhook(changed)})


def _wish(body: dict[str, Any]) -> Wish:
    """Return what a body asks for; absent and ``null`` leave a value as it is."""
    if body.get("jobSourceId") is not None or body.get("secrets") is not None:
        raise InvalidError("This store runs no jobs: give the webhook a 'url'.")
    for name in ("url", "secret"):
        if not isinstance(body.get(name, ""), str | None):
            raise InvalidError(f"'{name}' is a text.")
    return Wish(
        url=body.get("url"),
        watched=_list(body, "watched", dict),
        domains=_list(body, "domains", str),
        secret=body.get("secret"),
    )


def _list(body: dict[str, Any], name: str, kind: type) -> list[Any] | None:
    value = body.get(name)
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(item, kind) for item in value):
        raise InvalidError(f"'{name}' is a list.")
    return value
