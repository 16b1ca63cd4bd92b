"""Components about webhooks."""

import json
from typing import Any, TypedDict

from django import template
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from catalog.models import Webhook, WebhookAttempt, WebhookDelivery

register = template.Library()

_ERRORS = {
    "refused": gettext_lazy("not sent: the store does not send to this address"),
    "connection": gettext_lazy("no connection"),
    "timeout": gettext_lazy("no answer in 10 seconds"),
    "tls": gettext_lazy("no safe connection (certificate)"),
    "bad_answer": gettext_lazy("an answer that is no HTTP"),
}
_WHAT = {
    ("repo", "create"): gettext_lazy("made"),
    ("repo", "delete"): gettext_lazy("deleted"),
    ("repo", "move"): gettext_lazy("renamed"),
    ("repo.content", "update"): gettext_lazy("new commits"),
    ("repo.config", "update"): gettext_lazy("settings changed"),
    ("discussion", "create"): gettext_lazy("discussion opened"),
    ("discussion", "update"): gettext_lazy("discussion changed"),
    ("discussion", "delete"): gettext_lazy("discussion deleted"),
    ("discussion.comment", "create"): gettext_lazy("comment"),
    ("discussion.comment", "update"): gettext_lazy("comment changed"),
}
_TONES = {"waiting": "info", "delivered": "good", "failed": "bad", "dropped": "caution"}


class Badge(TypedDict):
    """A short word about a state."""

    text: Any
    tone: str
    symbol: str
    hint: str


@register.filter
def happened(delivery: WebhookDelivery) -> Any:
    """Say what a delivery tells of; the hub's words where we have none of our own."""
    if delivery.is_test:
        return _("test")
    what = _WHAT.get((delivery.scope, delivery.action))
    return what or f"{delivery.scope} {delivery.action}"


@register.filter
def outcome(attempt: WebhookAttempt) -> Any:
    """Say how an attempt went."""
    if attempt.status is not None:
        return f"HTTP {attempt.status}"
    return _ERRORS.get(attempt.error, attempt.error)


@register.filter
def pretty(payload: str) -> str:
    """Write a payload on many lines, for people; it is sent on one."""
    return json.dumps(json.loads(payload), ensure_ascii=False, indent=2)


@register.inclusion_tag("components/badge.html")
def delivery_badge(delivery: WebhookDelivery) -> Badge:
    """Show where a delivery stands."""
    text, tone = delivery.get_state_display(), _TONES[delivery.state]
    if delivery.state == WebhookDelivery.State.WAITING and delivery.tries:
        text, tone = _("Will be tried again"), "caution"
    return {"text": text, "tone": tone, "symbol": "", "hint": ""}


@register.inclusion_tag("components/badge.html")
def webhook_badge(webhook: Webhook) -> Badge:
    """Show how a webhook fares."""
    if webhook.is_disabled:
        return {"text": _("Off"), "tone": "caution", "symbol": "", "hint": ""}
    if webhook.failures:
        return {"text": _("Failing"), "tone": "bad", "symbol": "warn", "hint": ""}
    return {"text": _("On"), "tone": "good", "symbol": "", "hint": ""}
