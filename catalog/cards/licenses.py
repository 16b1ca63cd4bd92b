"""The licenses a card can name, and what each allows, as data.

A summary for orientation, not legal advice: ``conditional`` means "read the text", ``unknown`` that
nobody here judged it. Sources: the SPDX list and the license texts themselves.
"""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class License:
    """One license."""

    id: str
    name: str
    commercial_use: str
    """``yes``, ``no``, ``conditional`` or ``unknown``; so are the next three."""
    derivatives: str
    redistribution: str
    share_alike: bool
    """Derived works must carry the same license."""
    credit: bool
    """The author must be named."""
    note: str
    """One plain line."""


@dataclass(frozen=True, slots=True)
class Rights:
    """What a set of licenses allows together: the strictest counts."""

    commercial_use: str = "unknown"
    derivatives: str = "unknown"
    redistribution: str = "unknown"
    share_alike: bool = False
    credit: bool = False


_FREE = ("yes", "yes", "yes")
_RAIL = ("conditional", "yes", "yes")
_NO_MONEY = ("no", "yes", "yes")
_COMMUNITY = ("conditional", "conditional", "conditional")
_UNKNOWN = ("unknown", "unknown", "unknown")

_PERMISSIVE = "Use, change and sell it; keep the notice."
_COPYLEFT = "Use and sell it; what you derive and hand on stays under the same license."
_NC = "Not for commercial use."
_ND = "Hand it on unchanged only."
_BEHAVE = "Use and sell it, within the list of forbidden uses."
_OWNER = "The maker's own terms: read them before commercial use."


def _table() -> dict[str, License]:
    rows: dict[str, License] = {}

    def add(
        ids: str,
        rights: tuple[str, str, str],
        note: str,
        *,
        share_alike: bool = False,
        credit: bool = True,
    ) -> None:
        for item in ids.split():
            rows[item] = License(item, _name(item), *rights, share_alike, credit, note)

    add(
        "apache-2.0 mit afl-3.0 artistic-2.0 bsl-1.0 bsd bsd-2-clause bsd-3-clause"
        " bsd-3-clause-clear c-uda ecl-2.0 isc ncsa ms-pl postgresql zlib openmdw-1.0"
        " etalab-2.0 cdla-permissive-1.0 cdla-permissive-2.0 odc-by",
        _FREE,
        _PERMISSIVE,
    )
    add("cc0-1.0 wtfpl unlicense pddl", _FREE, "Do what you like.", credit=False)
    add("cc-by-2.0 cc-by-2.5 cc-by-3.0 cc-by-4.0", _FREE, "Use and sell it; name the author.")
    add(
        "cc-by-sa-3.0 cc-by-sa-4.0 agpl-3.0 gfdl gpl gpl-2.0 gpl-3.0 lgpl lgpl-2.1 lgpl-3.0"
        " lgpl-lr mpl-2.0 epl-1.0 epl-2.0 eupl-1.1 eupl-1.2 osl-3.0 odbl ofl-1.1"
        " cdla-sharing-1.0 lppl-1.3c",
        _FREE,
        _COPYLEFT,
        share_alike=True,
    )
    add("cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0", _NO_MONEY, _NC)
    nc_sa = "cc-by-nc-sa-2.0 cc-by-nc-sa-3.0 cc-by-nc-sa-4.0"
    add(nc_sa, _NO_MONEY, _NC, share_alike=True)
    add("cc-by-nd-4.0", ("yes", "no", "yes"), _ND)
    add("cc-by-nc-nd-3.0 cc-by-nc-nd-4.0", ("no", "no", "yes"), f"{_NC} {_ND}")
    add(
        "openrail openrail++ bigscience-openrail-m creativeml-openrail-m"
        " bigscience-bloom-rail-1.0 bigcode-openrail-m",
        _RAIL,
        _BEHAVE,
    )
    add("h-research intel-research fair-noncommercial-research-license", _NO_MONEY, _NC)
    add("deepfloyd-if-license apple-amlr", _NO_MONEY, "For research.")
    add("llama2 llama3 llama3.1 llama3.2 llama3.3 llama4 gemma grok2-community", _COMMUNITY, _OWNER)
    add("apple-ascl", ("conditional", "yes", "yes"), _OWNER)
    add("cc unknown other", _UNKNOWN, "Ask the author, or read the text.", credit=False)
    return rows


_NAMES = {
    "afl-3.0": "Academic Free License 3.0",
    "agpl-3.0": "GNU Affero GPL 3.0",
    "apache-2.0": "Apache License 2.0",
    "apple-amlr": "Apple Machine Learning Research License",
    "apple-ascl": "Apple Sample Code License",
    "artistic-2.0": "Artistic License 2.0",
    "bigcode-openrail-m": "BigCode OpenRAIL-M",
    "bigscience-bloom-rail-1.0": "BigScience BLOOM RAIL 1.0",
    "bigscience-openrail-m": "BigScience OpenRAIL-M",
    "bsd": "BSD (any)",
    "bsd-2-clause": "BSD 2-Clause",
    "bsd-3-clause": "BSD 3-Clause",
    "bsd-3-clause-clear": "BSD 3-Clause Clear",
    "bsl-1.0": "Boost Software License 1.0",
    "c-uda": "Computational Use of Data Agreement",
    "cc": "Creative Commons (unspecified)",
    "cc0-1.0": "CC0 1.0, public domain",
    "cdla-permissive-1.0": "Community Data License, Permissive 1.0",
    "cdla-permissive-2.0": "Community Data License, Permissive 2.0",
    "cdla-sharing-1.0": "Community Data License, Sharing 1.0",
    "creativeml-openrail-m": "CreativeML OpenRAIL-M",
    "deepfloyd-if-license": "DeepFloyd IF License",
    "ecl-2.0": "Educational Community License 2.0",
    "epl-1.0": "Eclipse Public License 1.0",
    "epl-2.0": "Eclipse Public License 2.0",
    "etalab-2.0": "Etalab Open License 2.0",
    "eupl-1.1": "European Union Public License 1.1",
    "eupl-1.2": "European Union Public License 1.2",
    "fair-noncommercial-research-license": "FAIR Noncommercial Research License",
    "gemma": "Gemma Terms of Use",
    "gfdl": "GNU Free Documentation License",
    "gpl": "GNU GPL (any)",
    "gpl-2.0": "GNU GPL 2.0",
    "gpl-3.0": "GNU GPL 3.0",
    "grok2-community": "Grok 2 Community License",
    "h-research": "H Research License",
    "intel-research": "Intel Research Use License",
    "isc": "ISC",
    "lgpl": "GNU LGPL (any)",
    "lgpl-2.1": "GNU LGPL 2.1",
    "lgpl-3.0": "GNU LGPL 3.0",
    "lgpl-lr": "LGPL for Linguistic Resources",
    "llama2": "Llama 2 Community License",
    "llama3": "Llama 3 Community License",
    "llama3.1": "Llama 3.1 Community License",
    "llama3.2": "Llama 3.2 Community License",
    "llama3.3": "Llama 3.3 Community License",
    "llama4": "Llama 4 Community License",
    "lppl-1.3c": "LaTeX Project Public License 1.3c",
    "mit": "MIT",
    "mpl-2.0": "Mozilla Public License 2.0",
    "ms-pl": "Microsoft Public License",
    "ncsa": "Illinois/NCSA License",
    "odbl": "Open Database License",
    "odc-by": "Open Data Commons Attribution",
    "ofl-1.1": "SIL Open Font License 1.1",
    "openmdw-1.0": "OpenMDW 1.0",
    "openrail": "OpenRAIL",
    "openrail++": "OpenRAIL++",
    "osl-3.0": "Open Software License 3.0",
    "other": "Other",
    "pddl": "Public Domain Dedication and License",
    "postgresql": "PostgreSQL License",
    "unknown": "Unknown",
    "unlicense": "The Unlicense",
    "wtfpl": "WTFPL",
    "zlib": "zlib",
}


def _name(item: str) -> str:
    """Return a license's name; those of Creative Commons are made from the id."""
    if item in _NAMES:
        return _NAMES[item]
    _cc, *terms, version = item.split("-")
    return f"CC {'-'.join(terms).upper()} {version}"


LICENSES: dict[str, License] = _table()
"""Every license id the hub accepts."""

_STRICTEST = ("no", "conditional", "unknown", "yes")


def rights_for(ids: Iterable[str]) -> Rights:
    """Return what ``ids`` allow together; none or an unlisted one is ``unknown``."""
    found = [LICENSES.get(item, LICENSES["unknown"]) for item in ids]
    if not found:
        return Rights()

    def strictest(field: str) -> str:
        values = {getattr(item, field) for item in found}
        return next(value for value in _STRICTEST if value in values)

    return Rights(
        commercial_use=strictest("commercial_use"),
        derivatives=strictest("derivatives"),
        redistribution=strictest("redistribution"),
        share_alike=any(item.share_alike for item in found),
        credit=any(item.credit for item in found),
    )


def license_name(item: str) -> str:
    """Return a license's name for people; an unlisted id as it is."""
    return LICENSES[item].name if item in LICENSES else item
