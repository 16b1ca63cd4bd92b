"""What is said of each kind of file: one short function a kind, and one table."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import partial

from catalog.formats import (
    archives,
    file_facts,
    gguf,
    json_files,
    pickles,
    pictures,
    safetensors,
    sentencepiece,
)
from catalog.formats.errors import FormatError
from catalog.formats.file_facts import (
    FileFacts,
    GgufFacts,
    PickleFacts,
    SafetensorsFacts,
    SentencePieceFacts,
    plain,
)
from catalog.formats.kinds import EXECUTABLES, NOUNS, PICTURES, TEXTS, Kind, ending
from catalog.formats.sniff import read_whole_text
from catalog.formats.sources import MeteredSource


class Verdict(StrEnum):
    """What the store thinks of a file."""

    CLEAN = "clean"
    """A format our own strict reader accepts, plain text, or a known picture."""
    UNKNOWN = "unknown"
    """Served with a notice; never loaded by a worker, never sold."""
    UNSAFE = "unsafe"
    """Can run code, or is not what its name says: not served to others."""
    PENDING = "pending"
    """Not judged yet; not served to others."""
    ERROR = "error"
    """Could not be judged; treated like ``UNSAFE``."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What is said of a file."""

    verdict: Verdict
    code: str
    reason: str
    facts: FileFacts | None = None


def clean(reason: str, facts: FileFacts | None = None) -> Finding:
    """Return the finding of a file nothing is wrong with."""
    return Finding(Verdict.CLEAN, "clean", reason, facts)


def noun(kind: Kind) -> str:
    """Return how a sentence calls ``kind``: "a pickle", "of the kind onnx"."""
    return NOUNS.get(kind, f"of the kind {kind.value}")


def find(source: MeteredSource, path: str, kind: Kind) -> Finding:
    """Judge a file of known kind.

    Raises:
        OverBudgetError: Judging it takes more than the budget of ``source``.
    """
    claimed = ending(path)
    if claimed in _WEIGHTS:
        return _of_weights(source, claimed, kind)
    if kind in TEXTS and json_files.reader_for(path) is not None:
        return _of_json(source, path)
    if kind in EXECUTABLES:
        return Finding(
            Verdict.UNSAFE,
            "executable",
            f"This file is {noun(kind)}; a model repository serves none. Remove it.",
        )
    if kind not in _JUDGES:
        return _BY_KIND_ALONE.get(kind, _UNCHECKED)
    check, otherwise = _JUDGES[kind]
    try:
        return check(source)
    except FormatError as error:
        return _refused(error, otherwise)


_UNCHECKED = Finding(
    Verdict.UNKNOWN,
    "unchecked_format",
    "The store does not check what this format does when it is opened; trust it only as far as its "
    "publisher. Weights are best uploaded as safetensors.",
)
_NOT_RECOGNIZED = Finding(
    Verdict.UNKNOWN,
    "unknown_format",
    "The store does not know this format; trust it only as far as its publisher. Weights are best "
    "uploaded as safetensors.",
)
_COMPRESSED_PICKLE = Finding(
    Verdict.UNSAFE,
    "compressed_pickle",
    "This file hides a pickle in a compressed stream, where it cannot be checked; upload weights "
    "as safetensors and data as JSON.",
)


_BY_KIND_ALONE = {Kind.BINARY: _NOT_RECOGNIZED, Kind.COMPRESSED_PICKLE: _COMPRESSED_PICKLE}


def _refused(error: FormatError, verdict: Verdict) -> Finding:
    reason = f"{error.reason} ({error.where})" if error.where else error.reason
    return Finding(verdict, error.code, reason)


def _of_weights(source: MeteredSource, claimed: str, kind: Kind) -> Finding:
    """Judge a file whose name says that it holds weights: nothing else is accepted there."""
    if kind != claimed and kind not in {Kind.BINARY, Kind.EMPTY}:
        return Finding(
            Verdict.UNSAFE,
            "lfs_pointer" if kind is Kind.LFS_POINTER else "disguised",
            f"It is named .{claimed} but is {noun(kind)}; upload the real weights.",
        )
    try:
        return _WEIGHTS[claimed](source)
    except FormatError as error:
        return _refused(error, Verdict.UNSAFE)


def _of_json(source: MeteredSource, path: str) -> Finding:
    """Judge a file that loaders act on: one they may read differently than we is not clean."""
    try:
        facts = json_files.read_file(source, path)
    except FormatError as error:
        # a shard list that points elsewhere attacks whoever loads it; the rest is just no use
        is_attack = error.code == "index_path"
        return _refused(error, Verdict.UNSAFE if is_attack else Verdict.UNKNOWN)
    return clean("Strict JSON.", facts)


def _safetensors(source: MeteredSource) -> Finding:
    header = safetensors.read_header(source)
    facts = SafetensorsFacts(
        tensors=len(header.tensors),
        parameters=header.parameters,
        elements_by_dtype=header.elements_by_dtype,
        metadata={
            plain(key, 64): plain(value)
            for key, value in list(header.metadata.items())[: file_facts.MAX_ENTRIES]
        },
        header_bytes=header.header_bytes,
    )
    return clean("Weights in safetensors; the header keeps every rule.", facts)


def _gguf(source: MeteredSource) -> Finding:
    header = gguf.read_header(source)
    facts = GgufFacts(
        version=header.version,
        architecture=plain(header.architecture, 64),
        name=plain(header.text("general.name")),
        tensors=len(header.tensors),
        parameters=header.parameters,
        elements_by_type=header.elements_by_type,
        quantization=header.quantization,
        context_length=header.of_architecture("context_length"),
        layers=header.of_architecture("block_count"),
        hidden_size=header.of_architecture("embedding_length"),
        heads=header.of_architecture("attention.head_count"),
        vocabulary=header.length("tokenizer.ggml.tokens") or header.of_architecture("vocab_size"),
        tokenizer=plain(header.text("tokenizer.ggml.model"), 64),
        has_chat_template=bool(header.text("tokenizer.chat_template")),
        parts=header.count("split.count") or 1,
    )
    return clean("Weights in GGUF; the header keeps every rule.", facts)


_Check = Callable[[MeteredSource], Finding]
_WEIGHTS: dict[str, _Check] = {Kind.SAFETENSORS.value: _safetensors, Kind.GGUF.value: _gguf}


def _text(source: MeteredSource) -> Finding:
    if not read_whole_text(source, source.spend):
        return Finding(
            Verdict.UNKNOWN,
            "not_text",
            "It begins like text, but is not UTF-8 throughout; save it as UTF-8.",
        )
    return clean("Plain text.")


def _svg(source: MeteredSource) -> Finding:
    pictures.check_svg(source)
    return _text(source)


def _picture(source: MeteredSource, kind: Kind) -> Finding:
    pictures.check_picture(source, kind, source.spend)
    return clean("A picture.")


def _sentencepiece(source: MeteredSource) -> Finding:
    model = sentencepiece.read_model(source)
    return clean("A SentencePiece tokenizer.", SentencePieceFacts(model.pieces))


def _pickle(
    source: MeteredSource, check: Callable[[MeteredSource], pickles.PickleSummary]
) -> Finding:
    summary = check(source)
    return Finding(
        Verdict.UNKNOWN,
        "pickle",
        "A pickle that only rebuilds tensors. Pickles are never loaded or sold here; upload the "
        "weights as safetensors.",
        PickleFacts(tuple(plain(name) for name in summary.imports[: file_facts.MAX_ENTRIES])),
    )


def _container(source: MeteredSource, kind: Kind) -> Finding:
    archives.CHECKS[kind](source)
    return _UNCHECKED


_JUDGES: dict[Kind, tuple[_Check, Verdict]] = {
    Kind.SAFETENSORS: (_safetensors, Verdict.UNSAFE),
    Kind.GGUF: (_gguf, Verdict.UNSAFE),
    Kind.SENTENCEPIECE: (_sentencepiece, Verdict.UNKNOWN),
    Kind.PICKLE: (partial(_pickle, check=pickles.check_raw), Verdict.UNSAFE),
    Kind.TORCH_ZIP: (partial(_pickle, check=pickles.check_torch_zip), Verdict.UNSAFE),
    **dict.fromkeys(TEXTS, (_text, Verdict.UNKNOWN)),
    Kind.SVG: (_svg, Verdict.UNKNOWN),
    **{kind: (partial(_picture, kind=kind), Verdict.UNKNOWN) for kind in PICTURES},
    **{kind: (partial(_container, kind=kind), Verdict.UNSAFE) for kind in archives.CHECKS},
}
"""How each kind is checked, and the verdict when a rule of it is broken."""
