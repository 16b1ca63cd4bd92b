"""What terms allow, as data beside the text: for filters, badges and comparison.

A summary for orientation; the text decides.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from store.core.errors import InvalidError


class BadRightsError(InvalidError):
    """Not the rights of any terms: a field is missing, unknown or of the wrong kind."""

    code = "bad_rights"


class Allowed(StrEnum):
    """How far one thing is allowed."""

    YES = "yes"
    NO = "no"
    CONDITIONAL = "conditional"
    """Under conditions that the text lists."""
    UNKNOWN = "unknown"
    """Nobody here judged it."""


@dataclass(frozen=True, slots=True)
class Rights:
    """What the holder of a license may do."""

    commercial_use: Allowed = Allowed.UNKNOWN
    """Use it to earn money, inside a business too."""
    derivatives: Allowed = Allowed.UNKNOWN
    """Change it: fine-tune, merge, quantize."""
    redistribution: Allowed = Allowed.UNKNOWN
    """Hand on copies, changed or not."""
    hosted_service: Allowed = Allowed.UNKNOWN
    """Let others use it over a network."""
    credit: bool = False
    """The author must be named."""
    share_alike: bool = False
    """What is derived and handed on must carry the same license."""

    def to_json(self) -> dict[str, str | bool]:
        """Return the rights as plain JSON; ``from_json`` reads it back."""
        answers = {name: getattr(self, name).value for name in QUESTIONS}
        return answers | {name: getattr(self, name) for name in FLAGS}

    @classmethod
    def from_json(cls, data: Any) -> "Rights":
        """Read what ``to_json`` wrote: all fields, and no other.

        Raises:
            BadRightsError: something is missing, unknown or of the wrong kind.
        """
        if not isinstance(data, dict) or data.keys() != {*QUESTIONS, *FLAGS}:
            raise BadRightsError(
                _("Rights have exactly these fields: %(names)s.")
                % {"names": ", ".join((*QUESTIONS, *FLAGS))}
            )
        for name in QUESTIONS:
            if not isinstance(data[name], str) or data[name] not in _ANSWERS:
                raise BadRightsError(
                    _("'%(name)s' is one of %(values)s.")
                    % {"name": name, "values": ", ".join(_ANSWERS)},
                    field=name,
                )
        for name in FLAGS:
            if not isinstance(data[name], bool):
                raise BadRightsError(_("'%(name)s' is true or false.") % {"name": name}, field=name)
        answers = {name: Allowed(data[name]) for name in QUESTIONS}
        return cls(**answers, credit=data["credit"], share_alike=data["share_alike"])


QUESTIONS = ("commercial_use", "derivatives", "redistribution", "hosted_service")
"""The four fields that have a badge, in its order."""
FLAGS = ("credit", "share_alike")
_ANSWERS = tuple(item.value for item in Allowed)

SYMBOLS = {
    Allowed.YES: "check",
    Allowed.NO: "cross",
    Allowed.CONDITIONAL: "warn",
    Allowed.UNKNOWN: "info",
}
"""Icons of the sprite that stand for an answer."""

_NAMES: dict[str, Any] = {
    "commercial_use": gettext_lazy("Commercial use"),
    "derivatives": gettext_lazy("Change it"),
    "redistribution": gettext_lazy("Hand it on"),
    "hosted_service": gettext_lazy("Offer it as a service"),
}
_WORDS: dict[Allowed, Any] = {
    Allowed.YES: gettext_lazy("yes"),
    Allowed.NO: gettext_lazy("no"),
    Allowed.CONDITIONAL: gettext_lazy("with conditions"),
    Allowed.UNKNOWN: gettext_lazy("not known"),
}
_SENTENCES: dict[str, dict[Allowed, Any]] = {
    "commercial_use": {
        Allowed.YES: gettext_lazy("You may use it to earn money."),
        Allowed.NO: gettext_lazy("You may not use it to earn money."),
        Allowed.CONDITIONAL: gettext_lazy(
            "You may use it to earn money under conditions: read the terms."
        ),
        Allowed.UNKNOWN: gettext_lazy("Whether you may earn money with it, the text must tell."),
    },
    "derivatives": {
        Allowed.YES: gettext_lazy("You may change it, as by fine-tuning."),
        Allowed.NO: gettext_lazy("You may not change it."),
        Allowed.CONDITIONAL: gettext_lazy("You may change it under conditions: read the terms."),
        Allowed.UNKNOWN: gettext_lazy("Whether you may change it, the text must tell."),
    },
    "redistribution": {
        Allowed.YES: gettext_lazy("You may hand on copies."),
        Allowed.NO: gettext_lazy("You may not hand on copies."),
        Allowed.CONDITIONAL: gettext_lazy(
            "You may hand on copies under conditions: read the terms."
        ),
        Allowed.UNKNOWN: gettext_lazy("Whether you may hand on copies, the text must tell."),
    },
    "hosted_service": {
        Allowed.YES: gettext_lazy("You may let others use it over a network."),
        Allowed.NO: gettext_lazy("You may not let others use it over a network."),
        Allowed.CONDITIONAL: gettext_lazy(
            "You may let others use it over a network under conditions: read the terms."
        ),
        Allowed.UNKNOWN: gettext_lazy(
            "Whether you may let others use it over a network, the text must tell."
        ),
    },
}


@dataclass(frozen=True, slots=True)
class RightLine:
    """One right, ready to be shown."""

    name: str
    """The field of ``Rights``."""
    label: str
    answer: Allowed
    word: str
    sentence: str
    symbol: str


def lines(rights: Rights) -> list[RightLine]:
    """Return the four rights that have a badge, in the language of the page."""
    shown = []
    for name in QUESTIONS:
        answer: Allowed = getattr(rights, name)
        shown.append(
            RightLine(
                name=name,
                label=str(_NAMES[name]),
                answer=answer,
                word=str(_WORDS[answer]),
                sentence=str(_SENTENCES[name][answer]),
                symbol=SYMBOLS[answer],
            )
        )
    return shown


def sentences(rights: Rights) -> list[str]:
    """Return all rights and duties as plain sentences, in the language of the page."""
    told = [line.sentence for line in lines(rights)]
    if rights.credit:
        told.append(_("You must name the author."))
    if rights.share_alike:
        told.append(_("What you derive and hand on must carry the same license."))
    return told
