"""The playground as a panel any page of a model can show."""

from typing import Any, TypedDict

from django import template
from django.template import RequestContext

from catalog.models import Listing, ModelRepo
from inference.forms import PlaygroundForm
from inference.services import quotas
from licensing.services import trials

register = template.Library()


class Panel(TypedDict):
    """What the panel shows."""

    repo: ModelRepo
    form: PlaygroundForm
    is_runnable: bool
    is_open: bool
    trial_left: int | None
    """Demo tokens of a model the reader has not bought; ``None``: it needs none."""
    reason: str
    problem: str


@register.inclusion_tag("inference/_panel.html", takes_context=True)
def playground(context: RequestContext, repo: ModelRepo, listing: Listing) -> Panel:
    """Show the playground of a model, or why it cannot run here.

    A page that took a refused question has ``form`` and ``problem`` in its context, every page
    of a listing ``is_open``: a model writes only for people who may have its files.
    """
    given: Any = context.get("form")
    is_open, left = bool(context.get("is_open", True)), None
    if not is_open and repo.is_sold:
        left = trials.left(repo, quotas.asker_of(context["request"].viewer))
    return {
        "repo": repo,
        "form": given if isinstance(given, PlaygroundForm) else PlaygroundForm(),
        "is_runnable": listing.is_runnable,
        "is_open": is_open or bool(left),
        "trial_left": left,
        "reason": listing.not_runnable_reason,
        "problem": context.get("problem") or "",
    }
