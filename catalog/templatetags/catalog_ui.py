"""Components of the catalog's pages."""

from typing import Any, TypedDict
from urllib.parse import quote

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from catalog.cards.licenses import license_name
from catalog.formats.safetensors import Tensor
from catalog.models import Discussion, ModelCard, ModelRepo
from catalog.services.usage import Snippet, snippets

register = template.Library()


@register.filter
def segment(revision: str) -> str:
    """Encode a revision as one path segment."""
    return quote(revision, safe="")


register.filter("license_name", license_name)


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


_FROM = {
    "finetune": _("Fine-tuned from"),
    "adapter": _("An adapter for"),
    "merge": _("Merged from"),
    "quantized": _("Quantized from"),
}
_INTO = {
    "finetune": _("Fine-tuned:"),
    "adapter": _("Adapter:"),
    "merge": _("Merged:"),
    "quantized": _("Quantized:"),
}


@register.filter
def made_from(relation: str) -> Any:
    """Say in words how a model came from its base, to be followed by the base's name."""
    return _FROM.get(relation, _("Made from"))


@register.filter
def made_into(relation: str) -> Any:
    """Say in words how another model came from this one, to be followed by its name."""
    return _INTO.get(relation, _("Made from it:"))


class Usage(TypedDict):
    """All ways to use a model."""

    snippets: list[Snippet]


@register.inclusion_tag("catalog/_use.html", takes_context=True)
def use_this_model(context: dict[str, Any], repo: ModelRepo, card: ModelCard) -> Usage:
    """Show how to load and fetch a model, ready to copy."""
    return {"snippets": snippets(context["origin"], repo, card.facts)}
