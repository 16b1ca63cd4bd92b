"""Which words the public models of this store are tagged with, by what they say."""

from collections.abc import Iterable
from typing import Any

from django.db.models import Count, F, Func

from catalog.cards.licenses import license_name
from catalog.cards.tasks import TASKS
from catalog.models import Listing

MOST = 1000
"""Words of one kind: the most frequent ones."""

_PREFIXES = {"license:": "license", "dataset:": "dataset", "region:": "region"}
_HIDDEN = ("base_model:",)


def words_by_kind() -> dict[str, list[dict[str, Any]]]:
    """Return tasks, libraries, languages, licenses, data sets and other tags in use.

    Tasks are all the hub knows. Each word has ``id`` (what a filter takes), ``label`` and ``type``.
    """
    public = Listing.objects.filter(is_private=False)
    libraries = list(
        public.exclude(library="")
        .values_list("library", flat=True)
        .annotate(count=Count("pk"))
        .order_by("-count", "library")[:MOST]
    )
    languages = _elements("languages")
    found: dict[str, list[dict[str, Any]]] = {
        "pipeline_tag": [
            {"id": name, "label": task.label, "type": "pipeline_tag", "subType": task.group}
            for name, task in TASKS.items()
        ],
        "library": _named("library", libraries),
        "language": _named("language", languages),
        "license": [],
        "dataset": [],
        "region": [],
        "other": [],
    }
    known = {*TASKS, *libraries, *languages}
    for tag in _elements("tags"):
        prefix = next((prefix for prefix in _PREFIXES if tag.startswith(prefix)), "")
        kind, word = _PREFIXES.get(prefix, "other"), tag.removeprefix(prefix)
        if tag not in known and not tag.startswith(_HIDDEN) and len(found[kind]) < MOST:
            label = license_name(word) if kind == "license" else word
            found[kind].append({"id": tag, "label": label, "type": kind})
    return found


def _elements(column: str) -> list[str]:
    """Return what stands in an array column of public listings, the most frequent first."""
    rows = (
        Listing.objects.filter(is_private=False)
        .annotate(word=Func(F(column), function="unnest"))
        .values_list("word", flat=True)
        .annotate(count=Count("pk"))
        .order_by("-count", "word")
    )
    return list(rows[: 5 * MOST])


def _named(kind: str, words: Iterable[str]) -> list[dict[str, Any]]:
    return [{"id": word, "label": word, "type": kind} for word in words]
