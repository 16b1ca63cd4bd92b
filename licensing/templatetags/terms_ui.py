"""Components that show terms: what they allow, and whether a model may be sold."""

from typing import Any, TypedDict

from django import template
from django.utils.translation import gettext_lazy as _

from licensing.terms.lineage import Reason, SaleVerdict, words
from licensing.terms.rights import RightLine, Rights, lines
from licensing.terms.sale_rules import Sale

register = template.Library()


class RightsBox(TypedDict):
    """What the four badges show."""

    lines: list[RightLine]
    rights: Rights


@register.inclusion_tag("licensing/_rights.html")
def rights_badges(rights: Rights) -> RightsBox:
    """Show in four icons with words what terms allow, and what they ask in turn."""
    return {"lines": lines(rights), "rights": rights}


_TITLES: dict[Sale, tuple[str, Any]] = {
    Sale.ALLOWED: ("good", _("This model may be sold")),
    Sale.CONDITIONAL: ("info", _("This model may be sold, with conditions")),
    Sale.UNKNOWN: ("caution", _("Nobody here knows whether this model may be sold")),
    Sale.FORBIDDEN: ("bad", _("This model may not be sold")),
}


class VerdictBox(TypedDict):
    """What the box on a lineage shows."""

    tone: str
    title: Any
    verdict: SaleVerdict
    reasons: list[Reason]
    harmless: list[Reason]
    obligations: list[str]
    is_form: bool
    is_confirmed: bool


@register.inclusion_tag("licensing/_lineage_verdict.html")
def lineage_verdict(
    verdict: SaleVerdict, *, is_form: bool = False, is_confirmed: bool = False
) -> VerdictBox:
    """Show whether a model may be sold, why, and what its seller must do.

    Args:
        verdict: As its reader may see it.
        is_form: It stands in a form: where the publisher has to confirm their right to sell,
            there is a checkbox ``confirmed``.
        is_confirmed: The checkbox is ticked.
    """
    tone, title = _TITLES[verdict.sale]
    return {
        "tone": tone,
        "title": title,
        "verdict": verdict,
        "reasons": [one for one in verdict.reasons if one.sale is not Sale.ALLOWED],
        "harmless": [one for one in verdict.reasons if one.sale is Sale.ALLOWED],
        "obligations": [words(item) for item in verdict.obligations],
        "is_form": is_form,
        "is_confirmed": is_confirmed,
    }
