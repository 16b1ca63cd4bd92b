"""Which files of a revision a model is loaded from, and why it may not be."""

import re
from collections.abc import Iterable

from django.conf import settings

from catalog.history.trees import Entry, list_entries
from catalog.models import FileScan, Listing, ModelRepo
from store.core.errors import ConflictError

CONFIG = "config.json"
INDEX = "model.safetensors.index.json"
WHOLE = "model.safetensors"
_SHARD = re.compile(r"model-\d{5}-of-\d{5}\.safetensors")
_GGUF = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,199}\.gguf", re.ASCII)
_GGUF_PART = re.compile(r"-\d{5}-of-\d{5}\.gguf$")
_TOKENIZERS = ("tokenizer.json", "vocab.json", "vocab.txt", "tokenizer.model", "spiece.model")
_BESIDE = (
    *_TOKENIZERS,
    "merges.txt",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "generation_config.json",
    "chat_template.jinja",
    "chat_template.json",
)
_LEFT_OUT_UNLESS_CLEAN = frozenset({"tokenizer.model", "spiece.model"})
"""The fast tokenizer beside them says the same, as a rule."""


class NotRunnableError(ConflictError):
    """The store cannot run this revision; the message says why."""

    code = "not_runnable"


def needed_files(repo: ModelRepo, commit_oid: str) -> list[Entry]:
    """Return the files a worker needs to run a revision: all in its root, all judged clean.

    Only safetensors and GGUF are weights here; nothing that could carry code is ever named.

    Raises:
        NotRunnableError: something is missing, not clean, or too large.
    """
    files = {
        entry.name: entry
        for entry in list_entries(repo, commit_oid)
        if not entry.is_folder and not entry.is_link
    }
    weights = _safetensors(files) or _gguf(files)
    if not weights:
        raise NotRunnableError(_without_weights(files))
    names = [CONFIG, *_BESIDE, INDEX] if CONFIG in files else [*_BESIDE]
    if weights[0].name.endswith(".safetensors"):
        _check_config_and_tokenizer(files)
    verdicts = _verdicts(repo, files.values())
    beside = [files[name] for name in names if name in files]
    kept = [
        entry
        for entry in beside
        if entry.name not in _LEFT_OUT_UNLESS_CLEAN
        or _is_clean(verdicts.get((entry.oid, entry.path)))
    ]
    for entry in [*kept, *weights]:
        _check_verdict(entry, verdicts.get((entry.oid, entry.path)))
    _check_size(weights)
    return [*kept, *weights]


def check_runnable(repo: ModelRepo, commit_oid: str) -> None:
    """Refuse a revision that cannot run.

    Raises:
        NotRunnableError: with the reason the listing shows, or one of ``needed_files``.
    """
    listing = Listing.objects.filter(repo=repo).first()
    if listing and listing.head_oid == commit_oid and not listing.is_runnable:
        raise NotRunnableError(
            listing.not_runnable_reason or "This model cannot be run here.", commit=commit_oid
        )
    needed_files(repo, commit_oid)


def _safetensors(files: dict[str, Entry]) -> list[Entry]:
    if WHOLE in files:
        return [files[WHOLE]]
    if INDEX not in files:
        return []
    return [entry for name, entry in sorted(files.items()) if _SHARD.fullmatch(name)]


def _gguf(files: dict[str, Entry]) -> list[Entry]:
    """Choose the largest: every quantization needs the same memory once it is loaded."""
    whole = [
        entry
        for name, entry in sorted(files.items())
        if _GGUF.fullmatch(name) and not _GGUF_PART.search(name)
    ]
    return [max(whole, key=lambda entry: entry.size_bytes)] if whole else []


def _without_weights(files: Iterable[str]) -> str:
    names = list(files)
    if any(name.startswith("adapter_model") for name in names):
        return "This is an adapter: it runs only together with its base model."
    if any(name.endswith(".gguf") for name in names):
        return "The GGUF file comes in parts. Publish it in one piece to run it here."
    if any(name.endswith((".bin", ".pt", ".pth", ".ckpt")) for name in names):
        return "The weights are pickles, which are never run here. Publish them as safetensors."
    return "There are no weights to run: publish model.safetensors or a GGUF file."


def _check_config_and_tokenizer(files: dict[str, Entry]) -> None:
    if CONFIG not in files:
        raise NotRunnableError("config.json is missing, so nobody knows how to load the weights.")
    if not any(name in files for name in _TOKENIZERS):
        raise NotRunnableError("There is no tokenizer: publish tokenizer.json beside the weights.")


def _verdicts(repo: ModelRepo, entries: Iterable[Entry]) -> dict[tuple[str, str], FileScan]:
    scans = FileScan.objects.filter(repo=repo, blob_oid__in={entry.oid for entry in entries})
    return {(scan.blob_oid, scan.path): scan for scan in scans.defer("report")}


def _is_clean(scan: FileScan | None) -> bool:
    return scan is not None and scan.verdict == FileScan.Verdict.CLEAN


def _check_verdict(entry: Entry, scan: FileScan | None) -> None:
    if _is_clean(scan):
        return
    if scan is None or scan.verdict == FileScan.Verdict.PENDING:
        raise NotRunnableError(f"{entry.name} is being checked. Try again in a moment.")
    reason = scan.reason or "it could not be checked"
    raise NotRunnableError(f"{entry.name} is not loaded: {reason}", path=entry.name)


def _check_size(weights: list[Entry]) -> None:
    size_bytes = sum(entry.size_bytes for entry in weights)
    most = min(settings.ENV.box_memory_bytes, settings.ENV.model_memory_bytes)
    if size_bytes > most:
        raise NotRunnableError(
            f"The weights have {size_bytes / 1e9:.1f} GB; this store runs models of up to"
            f" {most / 1e9:.1f} GB.",
            size_bytes=size_bytes,
            max_bytes=most,
        )
