"""Which files of a revision a model is loaded from, and why it may not be."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from django.conf import settings
from django.utils.translation import gettext as _

from accounts.viewer import Viewer
from catalog.access import RepoMovedError, canonical_alias, check_contents, repo_for
from catalog.formats.facts import FP32_BYTES, ModelFacts, model_facts
from catalog.formats.runnable import ADAPTER_WEIGHTS
from catalog.formats.verdicts import FileReport, Verdict, not_judged
from catalog.history.refs import DEFAULT_BRANCH, resolve
from catalog.history.trees import Entry, list_entries
from catalog.models import FileScan, Listing, ModelRepo
from inference.engines.config import remote_for
from store.core import placing
from store.core.errors import ConflictError, StoreError
from store.core.queues import Queue
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
_OF_THE_MODEL = ("config.json", "generation_config.json", "model.safetensors.index.json")
_TOKENIZER = tuple(name for name in _BESIDE if name not in _OF_THE_MODEL)
_WHOLE_TOKENIZERS = frozenset({"tokenizer.json", "tokenizer.model", "spiece.model", "vocab.json"})


class NotRunnableError(ConflictError):
    """The store cannot run this revision; the message says why, ``extra["reason"]`` is stable."""

    code = "not_runnable"


@dataclass(frozen=True, slots=True)
class Part:
    """One file of a model folder.

    Args:
        repo: Whose file it is: the model's, or of an adapter's base.
        entry: The file.
        place: Its path in the folder.
    """

    repo: ModelRepo
    entry: Entry
    place: str


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """What a model is loaded from.

    Args:
        key: 40 hex digits that name exactly these files: the commit; of an adapter, a digest over
            its commit and its base's, of a file that was chosen over the commit and its path.
        parts: The files.
        base: ``(model id, commit)`` of an adapter's base; ``None`` for whole models.
        memory_bytes: What the weights take in the memory of a processor, which computes in fp32.
        least_bytes: What they take wherever they are run: on a graphics card they stay as they are
            stored, only GGUF is unpacked there, too.
        has_chat_template: Whether the revision itself has a template a loader would find, so that
            it takes messages.
    """

    key: str
    parts: list[Part]
    memory_bytes: int
    least_bytes: int
    base: tuple[str, str] | None = None
    has_chat_template: bool = False

    @property
    def size_bytes(self) -> int:
        """Of all files together."""
        return sum(part.entry.size_bytes for part in self.parts)


def needed_files(repo: ModelRepo, commit_oid: str, gguf_file: str = "") -> ModelFiles:
    """Return the files a worker needs to run a revision: at its top, and each judged clean.

    Only safetensors and GGUF are weights here. What a loader would act on (configurations,
    tokenizer) must be clean too; the rest comes along only if it is. An adapter comes with the
    newest revision of its base.

    Args:
        repo: The model.
        commit_oid: Full commit id.
        gguf_file: One of several (``gguf_files``); empty: what a loader takes.

    Raises:
        NotRunnableError: something is missing, not clean, asks for code, or is too large; or an
            adapter's base is not to be had.
    """
    try:
        found = _files(repo, commit_oid, gguf_file)
        if problem := too_large(found.memory_bytes, found.least_bytes):
            raise problem
    except NotRunnableError as error:
        if remote_for(repo.full_name) is None:
            raise
        words = _(
            "Another server writes for %(model)s. To measure or explain it, or to let it read a"
            " text, the store needs its weights here: %(why)s"
        ) % {"model": repo.full_name, "why": error.message}
        raise NotRunnableError(words, **error.extra) from error
    return found


def gguf_files(repo: ModelRepo, commit_oid: str) -> dict[str, str]:
    """Return the GGUF files to choose among, and what their weights are packed in."""
    return model_facts(_reports(repo, list(_entries(repo, commit_oid).values()))).gguf_files


def least_memory(repo: ModelRepo, commit_oid: str) -> int:
    """Return the memory a revision takes wherever it is run, in bytes, however much that is.

    Raises:
        NotRunnableError: as ``needed_files``, but never for its size.
    """
    return _files(repo, commit_oid).least_bytes


def too_large(memory_bytes: int, least_bytes: int) -> NotRunnableError | None:
    """Return why a model does not fit here or on any worker there is; ``None``: it does.

    Args:
        memory_bytes: On a processor, as of ``ModelFiles``.
        least_bytes: Wherever it is run.
    """
    most = int(min(settings.ENV.box_memory_bytes, settings.ENV.model_memory_bytes))
    if memory_bytes <= most:
        return None
    workers = placing.present() or []  # this process knows itself; a worker may have more
    needs = {Queue.INFERENCE: memory_bytes, Queue.INFERENCE_GPU: least_bytes}
    for worker in workers:
        if any(need <= worker.memory_bytes for q, need in needs.items() if q in worker.queues):
            return None
    most = max(most, placing.most_memory(workers))
    return NotRunnableError(
        _("The model takes %(size)s of memory; this store runs models of up to %(most)s.")
        % {"size": size_text(memory_bytes), "most": size_text(most)},
        reason="too_large",
        size_bytes=memory_bytes,
        max_bytes=most,
    )


def why_too_large(listing: Listing) -> str:
    """Return why the newest revision of a model fits no engine here, by its listing; no query."""
    is_gguf = "gguf" in listing.formats and "safetensors" not in listing.formats
    memory_bytes = FP32_BYTES * (listing.parameters or 0) or listing.weights_bytes
    least_bytes = memory_bytes if is_gguf else min(memory_bytes, listing.weights_bytes)
    full_name, needed = listing.full_name, placing.class_of(least_bytes)
    problem = too_large(memory_bytes, least_bytes)
    return problem.message if problem and remote_for(full_name, lambda: needed) is None else ""


def _files(repo: ModelRepo, commit_oid: str, gguf_file: str = "") -> ModelFiles:
    entries, reports, facts = _revision(repo, commit_oid, gguf_file)
    if facts.is_adapter:
        found = _with_base(repo, commit_oid, facts.adapter_base)
        found = replace(found, has_chat_template=facts.has_chat_template)
    else:
        weights = [entries[path] for path in facts.weights]
        places = [*_clean(entries, reports, _BESIDE), *weights]
        parts = [Part(repo, entry, entry.name) for entry in places]
        sizes = facts.memory_bytes, facts.least_memory_bytes
        found = ModelFiles(
            _key_of(commit_oid, gguf_file), parts, *sizes, has_chat_template=facts.has_chat_template
        )
    return found


def _key_of(commit_oid: str, gguf_file: str) -> str:
    chosen = f"{commit_oid} {gguf_file}".encode()
    return hashlib.sha256(chosen).hexdigest()[:40] if gguf_file else commit_oid


def _revision(
    repo: ModelRepo, commit_oid: str, gguf_file: str = ""
) -> tuple[dict[str, Entry], dict[str, FileReport], ModelFacts]:
    """Return a revision's files by path, what is known of each, and of the model.

    Raises:
        NotRunnableError: it does not run.
    """
    entries = _entries(repo, commit_oid)
    reports = _reports(repo, list(entries.values()))
    facts = model_facts(reports, gguf_file=gguf_file)
    if not facts.is_runnable:
        raise NotRunnableError(facts.not_runnable_reason, reason=facts.not_runnable_code)
    return entries, reports, facts


def _clean(
    entries: Mapping[str, Entry], reports: Mapping[str, FileReport], names: Sequence[str]
) -> list[Entry]:
    return [
        entries[name]
        for name in names
        if name in entries and reports[name].verdict is Verdict.CLEAN
    ]


def _with_base(repo: ModelRepo, commit_oid: str, base_id: str) -> ModelFiles:
    """Return an adapter's files and its base's.

    The adapter's own tokenizer, if it has one, takes the place of the base's: training may have
    given it a chat template.
    """
    base = _base_of(repo, base_id)
    base_commit = _head_of_base(base, base_id)
    base_entries, base_reports, base_facts = _revision(base, base_commit)
    if base_facts.is_adapter:
        words = _("This adapter names %(base)s as its base, which is an adapter itself.")
        raise _no_base(base_id, words)
    entries, reports, _facts = _revision(repo, commit_oid)
    tokenizer = _clean(entries, reports, _TOKENIZER)
    is_whole = any(entry.name in _WHOLE_TOKENIZERS for entry in tokenizer)
    names = _OF_THE_MODEL if is_whole else _BESIDE
    beside = _clean(base_entries, base_reports, names)
    weights = [base_entries[path] for path in base_facts.weights]
    parts = [Part(base, entry, entry.name) for entry in (*beside, *weights)]
    if is_whole:
        parts += [Part(repo, entry, entry.name) for entry in tokenizer]
    parts += [
        Part(repo, entries[name], f"adapter/{name}")
        for name in ("adapter_config.json", ADAPTER_WEIGHTS)
    ]
    key = hashlib.sha256(f"{commit_oid} {base.public_id} {base_commit}".encode()).hexdigest()[:40]
    own = entries[ADAPTER_WEIGHTS].size_bytes
    sizes = base_facts.memory_bytes + own, base_facts.least_memory_bytes + own
    return ModelFiles(key, parts, *sizes, base=(base.full_name, base_commit))


def _base_of(repo: ModelRepo, base_id: str) -> ModelRepo:
    """Return an adapter's base, which must be open to everybody who may run the adapter.

    A private adapter may stand on a private model of the same owner.
    """
    nobody = Viewer()
    namespace, _sep, name = (canonical_alias(nobody, base_id) or base_id).partition("/")
    try:
        base = repo_for(nobody, namespace, name)
        check_contents(nobody, base)
    except RepoMovedError as moved:
        return _base_of(repo, moved.repo.full_name)
    except StoreError as error:
        own = ModelRepo.objects.filter(namespace=repo.namespace, disabled_reason="")
        found = own.named(namespace, name).first() if repo.is_private else None
        if found is None:
            words = _(
                "This adapter runs only together with %(base)s, which is not in this store or not"
                " open to everybody. Its staff can copy models of other hubs here."
            )
            raise _no_base(base_id, words) from error
        return found
    return base


def _head_of_base(base: ModelRepo, base_id: str) -> str:
    try:
        return resolve(base, DEFAULT_BRANCH).commit_oid
    except StoreError as error:
        words = _("This adapter runs only together with %(base)s, which has no files yet.")
        raise _no_base(base_id, words) from error


def _no_base(base_id: str, words: str) -> NotRunnableError:
    return NotRunnableError(words % {"base": base_id}, reason="adapter_base", base=base_id)


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
