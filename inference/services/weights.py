"""Which files of a revision a model is loaded from, and why it may not be."""

from collections.abc import Sequence

from django.conf import settings
from django.utils.translation import gettext as _

from catalog.formats.facts import model_facts
from catalog.formats.verdicts import FileReport, Verdict, not_judged
from catalog.history.trees import Entry, list_entries
from catalog.models import FileScan, ModelRepo
from store.core import placing
from store.core.errors import ConflictError
from store.core.ui.figures import size_text

_BESIDE = (
    "config.json",
    "generation_config.json",
    "model.safetensors.index.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "tokenizer.model",
    "spiece.model",
    "chat_template.jinja",
    "chat_template.json",
)
"""What a loader reads beside the weights; nothing of it can carry code."""


class NotRunnableError(ConflictError):
    """The store cannot run this revision; the message says why, ``extra["reason"]`` is stable."""

    code = "not_runnable"


def memory_needed(files: Sequence[Entry]) -> int:
    """Return the least memory a worker must have for ``files`` of ``needed_files``, in bytes.

    The weights alone: who has less than that cannot run them, whatever is computed in.
    """
    return sum(entry.size_bytes for entry in files if entry.path not in _BESIDE)


def needed_files(repo: ModelRepo, commit_oid: str) -> list[Entry]:
    """Return the files a worker needs to run a revision: at its top, and each judged clean.

    Only safetensors and GGUF are weights here. What a loader would act on (configurations,
    tokenizer) must be clean too; the rest comes along only if it is.

    Raises:
        NotRunnableError: something is missing, not clean, asks for code, or is too large.
    """
    entries = _entries(repo, commit_oid)
    reports = _reports(repo, list(entries.values()))
    facts = model_facts(reports)
    if not facts.is_runnable:
        raise NotRunnableError(facts.not_runnable_reason, reason=facts.not_runnable_code)
    beside = [
        entries[name]
        for name in _BESIDE
        if name in entries and reports[name].verdict is Verdict.CLEAN
    ]
    weights = [entries[path] for path in facts.weights]
    _check_size(weights)
    return [*beside, *weights]


def has_chat_template(repo: ModelRepo, commit_oid: str) -> bool:
    """Whether a revision takes messages: its files have a template a loader would find."""
    files = _entries(repo, commit_oid)
    return model_facts(_reports(repo, list(files.values()))).has_chat_template


def _entries(repo: ModelRepo, commit_oid: str) -> dict[str, Entry]:
    return {
        entry.path: entry
        for entry in list_entries(repo, commit_oid, recursive=True)
        if not entry.is_folder and not entry.is_link
    }


def _reports(repo: ModelRepo, entries: Sequence[Entry]) -> dict[str, FileReport]:
    scans = {
        (scan.blob_oid, scan.path): scan.report
        for scan in FileScan.objects.filter(repo=repo, blob_oid__in={e.oid for e in entries})
    }
    found = {}
    for entry in entries:
        report = scans.get((entry.oid, entry.path))
        found[entry.path] = (
            not_judged(entry.size_bytes) if report is None else FileReport.from_json(report)
        )
    return found


def _check_size(weights: list[Entry]) -> None:
    size_bytes = sum(entry.size_bytes for entry in weights)
    most = int(min(settings.ENV.box_memory_bytes, settings.ENV.model_memory_bytes))
    if size_bytes > most:  # of what this process knows; a worker may have more
        most = max(most, placing.most_memory(placing.present()))
    if size_bytes > most:
        raise NotRunnableError(
            _("The weights have %(size)s; this store runs models of up to %(most)s.")
            % {"size": size_text(size_bytes), "most": size_text(most)},
            reason="too_large",
            size_bytes=size_bytes,
            max_bytes=most,
        )
