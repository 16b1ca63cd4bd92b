"""The gate of a model: what it asks, and where the reader's request stands."""

from typing import Any, TypedDict

from django import template
from django.template import RequestContext

from accounts.viewer import Viewer
from catalog.cards.gate_form import GateForm
from catalog.forms import GateQuestions
from catalog.models import AccessRequest, ModelCard, ModelRepo
from catalog.services.access_lists import own_request

register = template.Library()


class GateBox(TypedDict):
    """What the box shows."""

    repo: ModelRepo
    gate: GateForm
    prompt_html: str
    questions: GateQuestions
    asked: AccessRequest | None
    is_visitor: bool
    problem: str
    csrf_token: Any


@register.inclusion_tag("catalog/_gate.html", takes_context=True)
def gate_box(context: RequestContext, repo: ModelRepo) -> GateBox:
    """Show what a closed gate asks for and a form to ask, or where the request stands.

    Two queries. A page that took refused answers has ``gate_questions`` and ``gate_problem`` in
    its context.
    """
    viewer: Viewer = context["request"].viewer
    card = ModelCard.objects.filter(repo=repo).only("gate_form", "gate_html").first()
    gate = GateForm.from_json(card.gate_form if card else {})
    given: Any = context.get("gate_questions")
    return {
        "repo": repo,
        "gate": gate,
        "prompt_html": card.gate_html if card else "",
        "questions": given if isinstance(given, GateQuestions) else GateQuestions(gate),
        "asked": own_request(viewer, repo),
        "is_visitor": viewer.is_visitor,
        "problem": context.get("gate_problem") or "",
        "csrf_token": context.get("csrf_token"),
    }
