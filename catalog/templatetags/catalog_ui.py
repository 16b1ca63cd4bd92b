"""Components of the catalog's pages."""

from typing import Any, TypedDict
from urllib.parse import quote

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from catalog.formats.safetensors import Tensor
from catalog.models import Discussion, ModelCard, ModelRepo
from catalog.services.usage import Snippet, snippets

register = template.Library()


@register.filter
def segment(revision: str) -> str:
    """Encode a revision as one path segment."""
    return quote(revision, safe="")


@register.filter
def then_line(text: str, following: str) -> str:
    """Join two lines of a command."""
    return f"{text}\n{following}"


class StatusBadge(TypedDict):
    """The state of a discussion."""

    tone: str
    symbol: str
    text: Any
    hint: str


_STATUSES = {
    "open": ("good", "comment", _("Open")),
    "draft": ("", "branch", _("Draft")),
    "closed": ("", "check", _("Closed")),
    "merged": ("info", "merge", _("Merged")),
}


@register.inclusion_tag("components/badge.html")
def discussion_badge(discussion: Discussion) -> StatusBadge:
    """Show the state of a discussion or a pull request."""
    tone, symbol, text = _STATUSES[discussion.status]
    if discussion.is_pull_request and discussion.status == Discussion.Status.OPEN:
        symbol = "branch"
    return {"tone": tone, "symbol": symbol, "text": text, "hint": ""}


@register.filter
def person(user: User | None) -> SafeString | str:
    """Name somebody, with a link to their page; "deleted" for an account that is gone."""
    if user is None:
        return gettext("deleted")
    return format_html('<a class="quiet" href="/{0}">{0}</a>', user.username)


@register.filter
def shape_text(tensor: Tensor | None) -> str:
    """Write the shape of a tensor: ``64 by 32``; a dash where there is none."""
    if tensor is None:
        return "—"
    return " by ".join(map(str, tensor.shape)) or gettext("scalar")


class Usage(TypedDict):
    """All ways to use a model."""

    snippets: list[Snippet]


@register.inclusion_tag("catalog/_use.html", takes_context=True)
def use_this_model(context: dict[str, Any], repo: ModelRepo, card: ModelCard) -> Usage:
    """Show how to load and fetch a model, ready to copy."""
    return {"snippets": snippets(context["origin"], repo, card.facts)}
