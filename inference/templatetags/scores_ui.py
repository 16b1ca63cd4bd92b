"""What the store measured, as panels any page of a model can show."""

from typing import Any, TypedDict

from django import template
from django.template import RequestContext
from django.utils.translation import gettext_lazy as _

from catalog.models import Listing, ModelCard, ModelRepo
from inference.models import EvaluationRun, Score
from inference.services import readings
from inference.services.claims import Claims, claims_of
from inference.services.leaderboards import Board
from inference.services.readings import SPEED
from inference.services.scoreboards import Line, history_plot, score_card
from store.core.ui.plotting import Plot

register = template.Library()

register.filter("reading", readings.reading)
register.filter("metric", readings.metric_text)


class ScoreCard(TypedDict):
    """All lines of a score card."""

    repo: ModelRepo
    listing: Listing
    lines: list[Line]
    can_write: bool


@register.inclusion_tag("inference/_score_card.html", takes_context=True)
def score_card_of(context: RequestContext, repo: ModelRepo, listing: Listing) -> ScoreCard:
    """Show what the store measured of a model, suite by suite. Two queries."""
    return {
        "repo": repo,
        "listing": listing,
        "lines": score_card(repo, listing.head_oid),
        "can_write": bool(context.get("can_write")),
    }


@register.simple_tag
def history_of(line: Line, repo: ModelRepo) -> Plot | None:
    """Return the scores of a suite over the revisions, to be drawn."""
    return history_plot(line, repo.full_name)


@register.filter
def is_speed(line: Line) -> bool:
    """Whether it measures the machine as much as the model, so that the machine is named."""
    return line.score.unit == SPEED


@register.filter
def way(figure: Score | Board) -> str:
    """Say which way is good."""
    return readings.way_text(is_higher_better=figure.is_higher_better)


class ClaimsBox(TypedDict):
    """What a publisher claims."""

    claims: Claims
    can_write: bool


@register.inclusion_tag("inference/_claims.html", takes_context=True)
def claimed_scores(
    context: RequestContext, repo: ModelRepo, listing: Listing, card: ModelCard | None
) -> ClaimsBox:
    """Show the results a publisher claims, marked as such; nothing where there are none."""
    model_index = card.model_index if card else None
    return {
        "claims": claims_of(repo, listing.head_oid, model_index),
        "can_write": bool(context.get("can_write")),
    }


class StateBadge(TypedDict):
    """Where a run stands."""

    text: Any
    tone: str
    symbol: str
    hint: Any


_STATES: dict[str, tuple[str, str, Any]] = {
    EvaluationRun.State.QUEUED: ("info", "clock", _("Waiting")),
    EvaluationRun.State.RUNNING: ("info", "play", _("Running")),
    EvaluationRun.State.DONE: ("good", "check", _("Done")),
    EvaluationRun.State.FAILED: ("bad", "warn", _("Failed")),
    EvaluationRun.State.CANCELLED: ("", "cross", _("Cancelled")),
}


@register.inclusion_tag("components/badge.html")
def evaluation_badge(run: EvaluationRun) -> StateBadge:
    """Show where an evaluation stands."""
    tone, symbol, text = _STATES[run.state]
    return {"tone": tone, "symbol": symbol, "text": text, "hint": ""}


@register.filter
def get(found: dict[Any, Any], key: Any) -> Any:
    """Return the value of a key; ``None``: there is none."""
    return found.get(key)
