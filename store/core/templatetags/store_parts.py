"""Parts of pages that show what they are given: facts, rows, crumbs, progress."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, TypedDict

from django import template
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from store.core.ui import figures

register = template.Library()


class Facts(Protocol):
    """What a strip or a row shows of a listing; ``catalog.models.Listing`` has it all."""

    full_name: str
    is_private: bool
    head_oid: str
    summary: str
    pipeline_tag: str
    licenses: list[str]
    architecture: str
    parameters: int | None
    dtype: str
    quantization: str
    context_length: int | None
    vocabulary: int | None
    weights_bytes: int
    verdict: str
    likes: int
    downloads: int
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Fact:
    """One cell of a fact strip."""

    label: str
    value: str
    is_measured: bool = True
    """Measured by the store (solid dot) or claimed by the publisher (hollow)."""
    hint: str = ""
    """When, how and on what commit; shown on hover and focus."""


class FactStrip(TypedDict):
    """Facts in their order."""

    facts: list[Fact]


@register.inclusion_tag("components/fact_strip.html")
def fact_strip(listing: Facts, more: Iterable[Fact] = ()) -> FactStrip:
    """Show the measured facts of a listing, always in the same order and units.

    Args:
        listing: Where they come from.
        more: Facts other rooms measured (memory, speed, scores), shown after them.
    """
    return {"facts": [*_listing_facts(listing), *more]}


@register.inclusion_tag("components/fact_strip.html")
def facts(rows: Iterable[Fact]) -> FactStrip:
    """Show any facts in the order given."""
    return {"facts": list(rows)}


def _listing_facts(listing: Facts) -> list[Fact]:
    hint = _("Read by the store from the files of commit %(commit)s.") % {
        "commit": listing.head_oid[:8] or figures.UNKNOWN
    }
    rows = [
        (_("Parameters"), figures.count_text(listing.parameters)),
        (_("Weights"), figures.size_text(listing.weights_bytes or None)),
        (_("Context"), figures.exact_text(listing.context_length)),
        (_("Number type"), listing.quantization or listing.dtype or figures.UNKNOWN),
        (_("Vocabulary"), figures.exact_text(listing.vocabulary)),
        (_("Architecture"), listing.architecture or figures.UNKNOWN),
    ]
    if all(value == figures.UNKNOWN for _label, value in rows):
        return []  # nothing was measured: a row of dashes says less than none
    return [Fact(label, value, hint=hint) for label, value in rows]


class ModelRow(TypedDict):
    """A listing in a list."""

    listing: Facts
    level: int
    compares: str


@register.inclusion_tag("components/model_row.html")
def model_row(listing: Facts, level: int = 3, compares: str = "") -> ModelRow:
    """Show a listing as a row: name, line, facts. Put rows into ``<div class="models">``.

    Args:
        listing: What to show.
        level: Of the heading, 2 to 4; one below the heading above the list.
        compares: Id of the form a checkbox belongs to that chooses it; empty: there is none.
    """
    return {"listing": listing, "level": level, "compares": compares}


class Crumb(TypedDict):
    """One part of a path."""

    name: str
    path: str


class Crumbs(TypedDict):
    """The way to a file."""

    base: str
    root: str
    crumbs: list[Crumb]


@register.inclusion_tag("components/crumbs.html")
def crumbs(base: str, root: str, path: str) -> Crumbs:
    """Show where in a tree we are; every folder above is a link below ``base``."""
    parts = path.split("/") if path else []
    found: list[Crumb] = [
        {"name": part, "path": "/".join(parts[: at + 1])} for at, part in enumerate(parts)
    ]
    return {"base": base, "root": root, "crumbs": found}


class FileRow(TypedDict):
    """A row of a file list."""

    name: str
    href: str
    is_folder: bool
    size_bytes: int | None
    verdict: str
    change: str
    change_href: str
    changed_at: datetime | None
    download_href: str


@register.inclusion_tag("components/file_row.html")
def file_row(
    name: str,
    href: str,
    *,
    size_bytes: int | None = None,
    verdict: str = "",
    change: str = "",
    change_href: str = "",
    changed_at: datetime | None = None,
    download_href: str = "",
) -> FileRow:
    """Show a file or a folder as a row of five cells, for ``{% table %}``.

    Args:
        name: As shown.
        href: Of its page.
        size_bytes: Of the content; ``None``: it is a folder.
        verdict: Of the scan; empty: none yet.
        change: Title of the last commit that touched it.
        change_href: Of that commit's page.
        changed_at: When that was.
        download_href: Empty: cannot be downloaded.
    """
    return {
        "name": name,
        "href": href,
        "is_folder": size_bytes is None,
        "size_bytes": size_bytes,
        "verdict": verdict,
        "change": change,
        "change_href": change_href,
        "changed_at": changed_at,
        "download_href": download_href,
    }


class Copyable(TypedDict):
    """Code with a copy button."""

    text: str
    label: Any


@register.inclusion_tag("components/copyable.html")
def copyable(text: str, label: str = "") -> Copyable:
    """Show code that one click copies; ``label`` names it for screen readers."""
    return {"text": text, "label": label or gettext_lazy("Code")}


class EmptyState(TypedDict):
    """Nothing here, and what to do about it."""

    title: str
    text: str
    link: str
    action: str


@register.inclusion_tag("components/empty.html")
def empty_state(title: str, text: str = "", link: str = "", action: str = "") -> EmptyState:
    """Say that there is nothing, why, and the one next step."""
    return {"title": title, "text": text, "link": link, "action": action}


class Progress(TypedDict):
    """How far something is."""

    label: str
    share: float | None
    text: str


@register.inclusion_tag("components/progress.html")
def progress_bar(label: str, share: float | None = None, text: str = "") -> Progress:
    """Show how far something is: ``share`` in [0, 1], ``None`` while nobody knows."""
    shown = None if share is None else min(max(share, 0.0), 1.0)
    return {"label": label, "share": shown, "text": text or figures.percent_text(shown)}


class Pager(TypedDict):
    """Links to the neighbours of a page of a list."""

    next_href: str
    previous_href: str
    shown: Any


@register.inclusion_tag("components/pager.html")
def pager(next_href: str = "", previous_href: str = "", shown: str = "") -> Pager:
    """Show the way on through a list; ``shown`` says where we are, as ``12 of 1,204``."""
    return {"next_href": next_href, "previous_href": previous_href, "shown": shown}


class FacetLine(Protocol):
    """One value of a facet."""

    label: str
    count: int
    is_selected: bool
    query_string: str


class FacetGroup(TypedDict):
    """The values of one facet."""

    label: str
    base: str
    lines: Sequence[FacetLine]
    most: int
    has_bars: bool


@register.inclusion_tag("components/facet.html")
def facet_group(
    label: str, lines: Sequence[FacetLine], base: str = "", *, has_bars: bool = False
) -> FacetGroup:
    """Show the values of a facet as switches with counts; each is a link, so it works bare.

    Args:
        label: Name of the facet.
        lines: Values with ``label, count, is_selected, query_string``; without count or choice
            they are left out.
        base: Path the query strings belong to; empty: the page itself.
        has_bars: Draw each count as a bar, for measures.
    """
    kept = [line for line in lines if line.count or line.is_selected]
    most = max((line.count for line in kept), default=0) or 1
    return {"label": label, "base": base, "lines": kept, "most": most, "has_bars": has_bars}
