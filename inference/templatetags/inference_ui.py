"""The playground as a panel any page of a model can show."""

from collections.abc import Iterable
from typing import Any, TypedDict

from django import template
from django.template import RequestContext

from catalog.models import Listing, ModelCard, ModelRepo
from inference.engines.config import remote_for
from inference.forms import ChatForm, PlaygroundForm
from inference.models import DemoGeneration
from inference.services import demos, quotas
from inference.services.demo_shelf import DemoGroup, groups_of
from inference.services.payers import organizations_of
from inference.services.task_presets import TaskPreset, takes_messages, task_presets
from inference.services.weights import why_too_large
from licensing.services import trials

register = template.Library()


class Panel(TypedDict):
    """What the panel shows."""

    repo: ModelRepo
    form: PlaygroundForm
    has_chat: bool
    """Whether it takes messages beside prompts."""
    tasks: list[TaskPreset]
    task: TaskPreset | None
    note: str
    is_runnable: bool
    is_open: bool
    trial_left: int | None
    """Demo tokens of a model the reader has not bought; ``None``: it needs none."""
    has_payers: bool
    """Whether an organization may pay in tokens."""
    has_files: bool
    """Whether there are several files with weights to choose among."""
    trial_cost: int | None
    """How many of them the form takes as it stands; ``None``: it cannot be sent as it stands."""
    reason: str
    problem: str


@register.inclusion_tag("inference/_panel.html", takes_context=True)
def playground(context: RequestContext, repo: ModelRepo, listing: Listing) -> Panel:
    """Show the playground of a model, or why it cannot run here.

    A page that took a refused question has ``form`` and ``problem`` in its context, every page
    of a listing ``is_open``: a model writes only for people who may have its files.
    """
    reason = _why_not(repo, listing)
    given: Any = context.get("form")
    is_open, left = bool(context.get("is_open", True)), None
    if not is_open and repo.is_sold:
        left = trials.left(repo, quotas.asker_of(context["request"].viewer))
    task = context.get("task") or None
    has_chat = takes_messages(context.get("card") or None)
    form = given if isinstance(given, PlaygroundForm) else None
    form = form or (ChatForm() if has_chat else PlaygroundForm())
    return {
        "has_chat": has_chat,
        "tasks": list(task_presets().values()),
        "task": task,
        "note": task.note(listing) if task else "",
        "repo": repo,
        "form": form,
        "is_runnable": not reason,
        "is_open": is_open or bool(left),
        "has_payers": form.offer_payers(organizations_of(context["request"].viewer)),
        "has_files": form.offer_files(_files_of(context.get("card"))),
        "trial_left": left,
        "trial_cost": form.most_tokens() if left else None,
        "reason": reason,
        "problem": context.get("problem") or "",
    }


def _files_of(card: ModelCard | None) -> dict[str, str]:
    return dict(card.facts.get("gguf_files") or {}) if card else {}


def _why_not(repo: ModelRepo, listing: Listing) -> str:
    if remote_for(repo.full_name) is not None:
        return ""
    return why_too_large(listing) if listing.is_runnable else listing.not_runnable_reason


SHELF = 3
"""Texts a listing shows; the rest is on a page of its own."""


class DemoShelf(TypedDict):
    """What a listing shows of its demo generations."""

    repo: ModelRepo
    demos: demos.Demos | None
    groups: list[DemoGroup]
    waiting: int


@register.inclusion_tag("inference/_demo_shelf.html", takes_context=True)
def demo_shelf(context: RequestContext, repo: ModelRepo) -> DemoShelf:
    """Show the first demo generations of a model; nothing where there are none to come."""
    if repo.disabled_reason:
        return {"repo": repo, "demos": None, "groups": [], "waiting": 0}
    found = demos.demos_of(context["request"].viewer, repo)
    written = [group for group in groups_of(found.rows) if group.best and group.best.text.strip()]
    waiting = sum(row.state == DemoGeneration.State.QUEUED for row in found.rows)
    return {"repo": repo, "demos": found, "groups": written[:SHELF], "waiting": waiting}


@register.simple_tag
def attach_demos(*lists: Iterable[Any]) -> str:
    """Give each listing of lists the beginning of what it writes, as ``demo_note``; one query.

    ``{% model_row %}`` shows it.
    """
    rows = [row for listings in lists for row in listings]
    notes = demos.excerpts(rows)
    for row in rows:
        row.demo_note = notes.get(row.pk, "")
    return ""
