"""May a derived model be sold? What its ancestors' licenses say together.

Pure: whoever asks walks the graph (``licensing.services.lineage``) and keeps who confirmed what,
and when.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from catalog.cards.licenses import license_name
from licensing.terms.sale_rules import SALE_RULES, Duty, Obligation, Sale, SaleRule

_STRICTEST = (Sale.FORBIDDEN, Sale.UNKNOWN, Sale.CONDITIONAL, Sale.ALLOWED)
_FURTHER_LIMITS = frozenset({Duty.USE_LIMITS, Duty.NO_RIVAL_TRAINING})
"""Duties to limit the buyer, which share-alike licenses do not let a seller add."""


@dataclass(frozen=True, slots=True)
class AncestorLicense:
    """One ancestor and the licenses it is under."""

    name: str
    """As the reader may see it."""
    licenses: tuple[str, ...]
    """Ids; all of them count. None: nobody knows."""
    distance: int = 1
    """Steps from the model that is to be sold; 0 is that model itself."""
    is_own: bool = False
    """It belongs to the seller, whom their own license does not bind."""


@dataclass(frozen=True, slots=True)
class Reason:
    """What one license of one ancestor says."""

    ancestor: str
    distance: int
    license_id: str
    """Empty: none is known."""
    license_name: str
    sale: Sale
    obligations: tuple[Obligation, ...]
    sentence: str
    source_url: str


@dataclass(frozen=True, slots=True)
class SaleVerdict:
    """Whether a model may be sold, and why."""

    sale: Sale
    reasons: tuple[Reason, ...]
    """Strictest first, then nearest."""
    obligations: tuple[Obligation, ...]
    """Of all reasons together, each once."""
    has_clash: bool
    """Two licenses demand what cannot be done together; the publisher has to find out."""
    is_complete: bool
    """The whole lineage was followed; where it was not, the rest is unknown."""

    @property
    def needs_confirmation(self) -> bool:
        """Only with the publisher's word that they have the right to sell."""
        return self.sale is Sale.UNKNOWN

    def permits(self, *, confirmed: bool) -> bool:
        """Whether the model may be offered for money. What is forbidden stays so, confirmed or not.

        Args:
            confirmed: The publisher said that they have the right to sell.
        """
        if self.sale is Sale.FORBIDDEN:
            return False
        return confirmed or not self.needs_confirmation

    @property
    def same_licenses(self) -> tuple[str, ...]:
        """Licenses that share-alike ancestors demand of what is sold."""
        return tuple(str(item.value) for item in self.obligations if item.duty is Duty.SAME_LICENSE)

    def fits(self, terms_id: str) -> bool:
        """Whether the terms of an offer keep what share-alike ancestors demand.

        An id without a version (``gpl``) takes each version. Where two ancestors clash, one of
        their licenses will do: the publisher has confirmed that it does.
        """
        same = self.same_licenses
        return not same or any(terms_id == one or terms_id.startswith(f"{one}-") for one in same)


def judge(ancestors: Sequence[AncestorLicense], *, is_complete: bool = True) -> SaleVerdict:
    """Return whether what is made from ``ancestors`` may be sold. The strictest license counts.

    Args:
        ancestors: All of them, in any order. None: nothing stands in the way.
        is_complete: ``False``: there are more, which nobody followed.
    """
    reasons = [reason for ancestor in ancestors for reason in _reasons(ancestor)]
    reasons.sort(key=lambda one: (_STRICTEST.index(one.sale), one.distance, one.ancestor))
    obligations = tuple(dict.fromkeys(item for one in reasons for item in one.obligations))
    has_clash = _clashes(obligations)
    found = {one.sale for one in reasons} | {Sale.ALLOWED}
    if has_clash or not is_complete:
        found.add(Sale.UNKNOWN)
    sale = next(one for one in _STRICTEST if one in found)
    return SaleVerdict(sale, tuple(reasons), obligations, has_clash, is_complete)


def _reasons(ancestor: AncestorLicense) -> list[Reason]:
    if not ancestor.licenses:
        sentence = _("No license is known: ask its author, or read what came with it.")
        return [_reason(ancestor, "", "", Sale.UNKNOWN, sentence)]
    found = []
    for item in dict.fromkeys(ancestor.licenses):
        rule = SALE_RULES.get(item)
        if rule is None:
            sentence = _("The store does not know this license: read its text before you sell.")
            found.append(_reason(ancestor, item, item, Sale.UNKNOWN, sentence))
        elif ancestor.is_own and rule.sale is not Sale.UNKNOWN and not rule.is_makers_own:
            sentence = _("Your own model: its license binds others, not you.")
            found.append(_reason(ancestor, item, rule.name, Sale.ALLOWED, sentence))
        elif ancestor.is_own and rule.sale is Sale.FORBIDDEN:
            sentence = _(
                "This license forbids it to all but its maker: only if that is you may you sell."
            )
            found.append(_reason(ancestor, item, rule.name, Sale.UNKNOWN, sentence))
        else:
            found.append(_ruled(ancestor, rule))
    return found


def _ruled(ancestor: AncestorLicense, rule: SaleRule) -> Reason:
    return Reason(
        ancestor.name,
        ancestor.distance,
        rule.license_id,
        rule.name,
        rule.sale,
        rule.obligations,
        str(rule.sentence),
        rule.source_url,
    )


def _reason(
    ancestor: AncestorLicense, license_id: str, name: str, sale: Sale, sentence: str
) -> Reason:
    return Reason(ancestor.name, ancestor.distance, license_id, name, sale, (), sentence, "")


def _clashes(obligations: Sequence[Obligation]) -> bool:
    """Whether a share-alike license meets another one, or limits it does not let a seller add."""
    same = [item for item in obligations if item.duty is Duty.SAME_LICENSE]
    limits = any(item.duty in _FURTHER_LIMITS for item in obligations)
    return len(same) > 1 or bool(same and limits)


_DUTIES: dict[Duty, Any] = {
    Duty.KEEP_NOTICE: gettext_lazy("Keep the notices of the base in what you sell."),
    Duty.GIVE_LICENSE: gettext_lazy("Give each buyer a copy of the base's license."),
    Duty.CREDIT: gettext_lazy("Name the author of the base."),
    Duty.STATE_CHANGES: gettext_lazy("Say what you changed."),
    Duty.SAME_LICENSE: gettext_lazy("Sell it under the same license: %(value)s."),
    Duty.OFFER_SOURCE: gettext_lazy("Give or offer each buyer the source as well."),
    Duty.USE_LIMITS: gettext_lazy("Put the base's forbidden uses into the buyer's terms."),
    Duty.NAME_BASE: gettext_lazy("Begin the model's name with “%(value)s”."),
    Duty.SHOW_WORDS: gettext_lazy("Show the words “%(value)s” where it is offered."),
    Duty.MOST_USERS: gettext_lazy(
        "With more than %(value)s monthly users, ask the base's maker for a license first."
    ),
    Duty.NO_RIVAL_TRAINING: gettext_lazy(
        "What it writes may not improve language models other than %(value)s."
    ),
}


def words(obligation: Obligation) -> str:
    """Return an obligation as a sentence, in the language of the page."""
    value = obligation.value
    if isinstance(value, int):
        shown = f"{value:,}"
    elif obligation.duty is Duty.SAME_LICENSE:
        shown = license_name(value)
    else:
        shown = value
    return str(_DUTIES[obligation.duty]) % {"value": shown}
