"""Deriving the listing: what the card claims, what the files show, what search needs.

Everything here can be thrown away and rebuilt from the repository (``manage.py reindex``).
"""

from typing import Any

from django.utils import timezone

from catalog.cards.metadata import CardMetadata, tags_for
from catalog.formats.facts import ModelFacts, model_facts
from catalog.formats.file_facts import ConfigFacts
from catalog.formats.verdicts import FileReport, not_judged
from catalog.history.trees import Entry, list_entries
from catalog.models import BaseModelLink, Commit, FileScan, Listing, ModelCard, ModelRepo
from catalog.search.documents import refresh_search
from catalog.search.furniture import COUNTERS
from catalog.services.cards import read_card
from catalog.services.prices import look_again

_KEPT = {"repo", "created_at", "price_kinds", "prices_change_at", *COUNTERS}
"""Columns of a listing that others write."""
_DERIVED = [
    field.name
    for field in Listing._meta.fields  # noqa: SLF001 - Django's API
    if not field.generated and field.name not in _KEPT
]
_WORST_FIRST = ("unsafe", "error", "pending", "unknown", "clean")


def rebuild_listing(repo: ModelRepo, commit: Commit) -> Listing:
    """Bring the listing of ``repo`` up to date with ``commit``, the head of its main branch."""
    entries = plain_files(repo, commit.oid)
    reports = reports_of(repo, entries)
    facts = model_facts(reports)
    read = read_card(repo, entries)
    listing = Listing.objects.get(repo=repo)
    listing.full_name, listing.is_private = repo.full_name, repo.is_private
    listing.head_oid = commit.oid
    listing.updated_at = timezone.now()
    _claim(listing, read.metadata, read.summary, facts)
    _measure(listing, facts, entries, reports)
    listing.save(update_fields=_DERIVED)
    ModelCard.objects.update_or_create(
        repo=repo,
        defaults=read.columns | {"config": config_of(reports), "facts": facts.to_json()},
    )
    _link_bases(repo, read.metadata)
    refresh_search([repo.pk])
    look_again(repo.pk)
    return listing


def plain_files(repo: ModelRepo, commit_oid: str) -> list[Entry]:
    """Return the files of a revision, links left out."""
    entries = list_entries(repo, commit_oid, recursive=True)
    return [entry for entry in entries if not entry.is_folder and not entry.is_link]


def reports_of(repo: ModelRepo, entries: list[Entry]) -> dict[str, FileReport]:
    """Return what the scanner said of each file; files it has not seen yet are pending."""
    scans = {
        (scan.blob_oid, scan.path): scan
        for scan in FileScan.objects.filter(repo=repo, blob_oid__in={e.oid for e in entries})
    }
    reports = {}
    for entry in entries:
        scan = scans.get((entry.oid, entry.path))
        if scan is not None and scan.report is not None:
            reports[entry.path] = FileReport.from_json(scan.report)
        else:
            reports[entry.path] = not_judged(entry.size_bytes)
    return reports


def _claim(listing: Listing, metadata: CardMetadata, summary: str, facts: ModelFacts) -> None:
    listing.summary = summary[:300]
    listing.pipeline_tag, listing.library = task_and_library(metadata, facts)
    listing.tags = all_tags(metadata, facts)
    listing.licenses = list(metadata.licenses)
    listing.commercial_use = metadata.rights.commercial_use
    listing.languages = list(metadata.languages)
    listing.datasets = list(metadata.datasets)
    listing.base_models = [base.name for base in metadata.base_models]


def task_and_library(metadata: CardMetadata, facts: ModelFacts) -> tuple[str, str]:
    """Return what the card claims, else what the files suggest."""
    return (
        metadata.pipeline_tag or _guessed_task(facts),
        metadata.library_name or _guessed_library(facts),
    )


def all_tags(metadata: CardMetadata, facts: ModelFacts) -> list[str]:
    """Return the hub's ``tags``: the card's and those that follow from the files."""
    task, library = task_and_library(metadata, facts)
    given = tags_for(metadata, facts.formats)
    guessed = [library, *given, facts.model_type, task]
    return list(dict.fromkeys(tag for tag in guessed if tag))


def _guessed_task(facts: ModelFacts) -> str:
    """A causal language model generates text, whether its card says so or not."""
    return "text-generation" if facts.is_runnable else ""


def _guessed_library(facts: ModelFacts) -> str:
    if facts.is_adapter:
        return "peft"
    return "transformers" if facts.architecture and "safetensors" in facts.formats else ""


def _measure(
    listing: Listing, facts: ModelFacts, entries: list[Entry], reports: dict[str, FileReport]
) -> None:
    listing.architecture = facts.architecture[:120]
    listing.model_type = facts.model_type[:64]
    listing.parameters = facts.parameters
    listing.dtype = facts.dtype[:24]
    listing.quantization = facts.quantization[:64]
    listing.context_length = facts.context_length
    listing.vocabulary = facts.vocabulary
    listing.formats = list(facts.formats)
    listing.weights_bytes = facts.weights_bytes
    listing.total_bytes = sum(entry.size_bytes for entry in entries)
    listing.file_count = len(entries)
    listing.is_runnable = facts.is_runnable
    listing.not_runnable_reason = facts.not_runnable_reason
    found = {report.verdict.value for report in reports.values()}
    listing.verdict = next((verdict for verdict in _WORST_FIRST if verdict in found), "clean")


def config_of(reports: dict[str, FileReport]) -> dict[str, Any]:
    """Return what hub clients know as ``config``: the names a loader goes by."""
    report = reports.get("config.json")
    if report is None or not isinstance(report.facts, ConfigFacts):
        return {}
    facts = report.facts
    return {"architectures": list(facts.architectures), "model_type": facts.model_type}


def _link_bases(repo: ModelRepo, metadata: CardMetadata) -> None:
    """Write the lineage the card claims; a base that is in this store is linked to it."""
    BaseModelLink.objects.filter(repo=repo).delete()
    links = []
    for base in metadata.base_models:
        namespace, _, name = base.name.partition("/")
        here = ModelRepo.objects.all().named(namespace, name).first() if name else None
        links.append(
            BaseModelLink(repo=repo, base_name=base.name, base=here, relation=base.relation)
        )
    BaseModelLink.objects.bulk_create(links, ignore_conflicts=True)
    waiting = BaseModelLink.objects.filter(base_name__iexact=repo.full_name, base=None)
    waiting.update(base=repo)
