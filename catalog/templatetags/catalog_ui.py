"""Components of the catalog's pages."""

from typing import Any, TypedDict
from urllib.parse import quote

from django import template
from django.utils.translation import gettext_lazy as _

from catalog.cards.licenses import license_name
from catalog.models import ModelCard, ModelRepo
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
