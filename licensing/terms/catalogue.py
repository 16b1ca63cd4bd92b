"""The terms a publisher can choose when selling: ours, well-known licenses, or their own text.

A text is known by the hash of its template, so that two orders under one text have one hash
whoever bought; the blanks are filled when a license is issued.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from catalog.cards.licenses import LICENSES
from licensing.terms.rights import Allowed, Rights
from licensing.terms.sale_rules import SALE_RULES
from licensing.terms.text import fill_terms, normalize_terms, terms_sha256
from store.core.errors import NotFoundError

TEXTS = Path(__file__).parent / "texts"
OWN = "own"
"""The id of terms that the publisher wrote."""


class UnknownTermsError(NotFoundError):
    """The store ships no terms of this id."""

    code = "unknown_terms"


class Kind(StrEnum):
    """Where terms come from."""

    TEMPLATE = "template"
    """Written by us in plain English."""
    SPDX = "spdx"
    """A well-known license that lets copies be sold."""
    OPENRAIL = "openrail"
    """A well-known license with a list of forbidden uses."""
    OWN = "own"
    """The publisher's own words."""


@dataclass(frozen=True, slots=True)
class TermsTemplate:
    """Terms that an offer can be under."""

    id: str
    """Ours begin with ``store-``; those of licenses are the ids of cards."""
    title: Any
    """A few words, translated when shown."""
    kind: Kind
    rights: Rights
    text: str
    """Normalized, with its blanks."""
    sha256: str
    source_url: str
    """Where a license's own text is; empty for ours and for own words."""
    version: str
    """Goes up with each change of the text; the beginning of the hash for own words."""

    def fill(self, values: Mapping[str, str]) -> str:
        """Return the text as it is issued; see ``fill_terms``. Own words have no blanks.

        Raises:
            BlankTermsError: a blank has no value.
        """
        return self.text if self.kind is Kind.OWN else fill_terms(self.text, values)


_YES, _NO, _IF = Allowed.YES, Allowed.NO, Allowed.CONDITIONAL
_OURS: tuple[tuple[str, Any, Rights], ...] = (
    (
        "research",
        gettext_lazy("Research, not commercial"),
        Rights(_NO, _YES, _NO, _NO, credit=True),
    ),
    ("commercial", gettext_lazy("Commercial, own use"), Rights(_YES, _YES, _NO, _NO)),
    ("hosted", gettext_lazy("Commercial, with hosted service"), Rights(_YES, _YES, _NO, _YES)),
    ("enterprise", gettext_lazy("Enterprise"), Rights(_YES, _YES, _IF, _YES)),
    ("evaluation", gettext_lazy("Evaluation"), Rights(_NO, _NO, _NO, _NO)),
)
_PRINTED = ("mit", "isc", "bsd-2-clause", "bsd-3-clause", "0bsd", "unlicense")
"""Short licenses that may be copied word for word; a file of ``texts/`` each."""
_NAMED = (
    "apache-2.0 openmdw-1.0 cc-by-4.0 cc0-1.0 cdla-permissive-2.0 cc-by-sa-3.0 cc-by-sa-4.0"
    " mpl-2.0 lgpl-2.1 lgpl-3.0 gpl-2.0 gpl-3.0 agpl-3.0 epl-2.0 eupl-1.2 osl-3.0 odbl"
)
"""Long licenses, by name and address. Share-alike ones, so that what they demand can be met."""
_RAILS = ("bigscience-openrail-m", "creativeml-openrail-m", "bigcode-openrail-m", "openrail++")
_NETWORK_COPYLEFT = frozenset({"agpl-3.0", "eupl-1.2", "osl-3.0"})
"""Licenses that ask something of whoever offers the work over a network."""
_0BSD = ("BSD Zero Clause", "https://spdx.org/licenses/0BSD.html")
"""Not among the licenses of cards."""


@cache
def shipped_terms() -> Mapping[str, TermsTemplate]:
    """Return all terms that come with the store by id, in the order they are offered."""
    found = [
        _terms(f"store-{name}", title, Kind.TEMPLATE, rights, _read(name))
        for name, title, rights in _OURS
    ]
    found += [_license(item, Kind.SPDX, item) for item in _PRINTED]
    found += [_license(item, Kind.SPDX, "reference") for item in _NAMED.split()]
    found += [_license(item, Kind.OPENRAIL, "openrail") for item in _RAILS]
    return MappingProxyType({terms.id: terms for terms in found})


def terms_for(terms_id: str) -> TermsTemplate:
    """Return the shipped terms of this id.

    Raises:
        UnknownTermsError: there are none.
    """
    found = shipped_terms().get(terms_id)
    if found is None:
        raise UnknownTermsError(
            _("There are no terms called '%(id)s'. Choose one of the list, or write your own.")
            % {"id": terms_id[:80]}
        )
    return found


def own_terms(text: str, rights: Rights) -> TermsTemplate:
    """Return terms in the publisher's own words.

    Args:
        text: At most 100 kB; see ``normalize_terms``.
        rights: What the publisher says the text allows.

    Raises:
        TermsTooLargeError, BadTermsError: as ``normalize_terms``.
    """
    text = normalize_terms(text)
    digest = terms_sha256(text)
    title = gettext_lazy("The publisher's own terms")
    return TermsTemplate(OWN, title, Kind.OWN, rights, text, digest, "", digest[:12])


def _license(item: str, kind: Kind, file: str) -> TermsTemplate:
    if item == "0bsd":
        name, url = _0BSD
        rights = Rights(_YES, _YES, _YES, _YES)
    else:
        known = LICENSES[item]
        name, url = known.name, SALE_RULES[item].source_url
        hosted = _IF if item in _NETWORK_COPYLEFT or kind is Kind.OPENRAIL else _YES
        rights = Rights(
            Allowed(known.commercial_use),
            Allowed(known.derivatives),
            Allowed(known.redistribution),
            hosted,
            credit=known.credit,
            share_alike=known.share_alike,
        )
    text = _read(file).replace("{license_name}", name).replace("{license_url}", url)
    return _terms(item, name, kind, rights, text, url)


def _terms(
    terms_id: str, title: Any, kind: Kind, rights: Rights, text: str, url: str = ""
) -> TermsTemplate:
    text = normalize_terms(text)
    version = _VERSIONS.get(terms_id, "1")
    return TermsTemplate(terms_id, title, kind, rights, text, terms_sha256(text), url, version)


_VERSIONS: dict[str, str] = {}
"""Of shipped terms whose text has changed since 1; a test pins each hash to its version."""


def _read(name: str) -> str:
    return (TEXTS / f"{name}.txt").read_text(encoding="utf-8")
