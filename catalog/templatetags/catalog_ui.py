"""Components of the catalog's pages."""

from typing import Any, TypedDict
from urllib.parse import quote

from django import template

from catalog.models import ModelCard, ModelRepo
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


class Usage(TypedDict):
    """All ways to use a model."""

    snippets: list[Snippet]


@register.inclusion_tag("catalog/_use.html", takes_context=True)
def use_this_model(context: dict[str, Any], repo: ModelRepo, card: ModelCard) -> Usage:
    """Show how to load and fetch a model, ready to copy."""
    return {"snippets": snippets(context["origin"], repo, card.facts)}
