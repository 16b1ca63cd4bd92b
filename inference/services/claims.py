"""Results a publisher claims: the card's ``model-index`` and ``.eval_results`` files.

They are shown apart from what the store measured, and marked: nobody here checked them.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from catalog.models import ModelRepo
from catalog.services.eval_results import read_results
from store.core.ui import figures

MOST_CLAIMS = 100
_MOST_CHARS = 200


@dataclass(frozen=True, slots=True)
class Claim:
    """One figure a publisher claims."""

    dataset: str
    metric: str
    value: str
    """As claimed; nobody knows its unit."""
    place: str
    """The file that claims it."""
    source: str = ""
    """Who measured it, as the publisher says."""
    source_url: str = ""
    date: str = ""


@dataclass(frozen=True, slots=True)
class Claims:
    """All a publisher claims."""

    rows: list[Claim]
    faults: list[tuple[str, str]]
    """(file, what is wrong with it), for its publisher."""
    is_cut: bool = False
    """There are more than are shown."""

    def __bool__(self) -> bool:
        return bool(self.rows)


def claims_of(repo: ModelRepo, head_oid: str, model_index: Any) -> Claims:
    """Return the claims of a revision, files first.

    Args:
        repo: Visible to the reader.
        head_oid: Of the revision; empty: there is none yet.
        model_index: Of its card, unchecked.
    """
    rows, faults = [], []
    for entry in read_results(repo, head_oid) if head_oid else []:
        if "error" in entry:
            faults.append((entry["filename"], entry["error"]))
        else:
            rows.append(_of_file(entry["data"], entry["filename"]))
    rows += list(_of_index(model_index))
    return Claims(rows[:MOST_CLAIMS], faults, len(rows) > MOST_CLAIMS)


def _of_file(data: dict[str, Any], place: str) -> Claim:
    dataset, source = data["dataset"], data.get("source", {})
    return Claim(
        dataset=dataset["id"],
        metric=dataset["task_id"],
        value=_value(data["value"]),
        place=place,
        source=source.get("name", "") or source.get("url", ""),
        source_url=source.get("url", ""),
        date=data.get("date", ""),
    )


def _of_index(model_index: Any) -> Iterator[Claim]:
    for model in _dicts(model_index):
        for result in _dicts(model.get("results")):
            dataset, source = _dict(result.get("dataset")), _dict(result.get("source"))
            name = _text(dataset.get("name")) or _text(dataset.get("type"))
            url = _text(source.get("url"))
            for metric in _dicts(result.get("metrics")):
                yield Claim(
                    dataset=name,
                    metric=_text(metric.get("name")) or _text(metric.get("type")),
                    value=_value(metric.get("value")),
                    place="README.md",
                    source=_text(source.get("name")),
                    source_url=url if url.startswith(("https://", "http://")) else "",
                )


def _dicts(found: Any) -> list[dict[str, Any]]:
    items = found if isinstance(found, list) else []
    return [item for item in items[: MOST_CLAIMS + 1] if isinstance(item, dict)]


def _dict(found: Any) -> dict[str, Any]:
    return found if isinstance(found, dict) else {}


def _text(found: Any) -> str:
    return found[:_MOST_CHARS] if isinstance(found, str) else ""


def _value(found: Any) -> str:
    if isinstance(found, bool) or not isinstance(found, int | float):
        return _text(found) or figures.UNKNOWN
    return figures.measured_text(float(found)) if math.isfinite(found) else figures.UNKNOWN
