"""Compares a folder of model files with what a license covers.

Understood are plain folders (``--local-dir``, git clones), and the cache of ``huggingface_hub``:
the snapshot, the model's folder above it, the cache, or the folder the cache lies in. A snapshot's
files are links to ``blobs`` beside it, or to the ``blobs`` all models of the cache share; links to
any other place outside count as a difference, for what they lead to can change without this folder
changing.

Loaders fetch what they need: one format of the weights, no card. Licensed files that are not in the
folder are told apart from differences, unless weights are missing that belong to those there.
"""

import hashlib
import json
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from licensing.documents.document import CoveredFile, CoveredModel
from licensing.documents.errors import InvalidError

PIECE_BYTES = 4 * 1024**2
_SAYS_WHAT_TO_LOAD = (".index.json", "adapter_config.json")
_WEIGHTS = (
    *(".safetensors", ".gguf", ".ggml", ".bin", ".pt", ".pth", ".ckpt", ".onnx", ".onnx_data"),
    *(".h5", ".hdf5", ".keras", ".msgpack", ".npy", ".npz", ".pkl", ".pickle", ".joblib"),
    *(".tflite", ".pb", ".ot", ".nemo", ".llamafile", ".mlmodel", ".engine"),
)
_SHARD = re.compile(r"(?P<before>.*-)\d{5}(?P<after>-of-\d{5}\b.*)")
"""Parts of one set of weights: ``model-00001-of-00003.safetensors``."""
Progress = Callable[[CoveredFile, int], None]
"""Told of a file and how many bytes of it were read."""


class NoSuchFolderError(InvalidError):
    """There is no such folder, or the license does not say which model should be in it."""

    code = "no_such_folder"


@dataclass(frozen=True, slots=True)
class Difference:
    """Something in a folder that is not as licensed.

    Args:
        kind: ``missing`` (weights that belong to those that are here, or all of them), ``changed``,
            ``extra``, ``outside`` (a link that leads out) or ``unreadable``.
        path: Relative to the folder, with slashes.
        detail: What else is known, for people.
    """

    kind: str
    path: str
    detail: str = ""


@dataclass(slots=True)
class FolderReport:
    """How a folder compares with a licensed model.

    Args:
        model: The model.
        folder: Where its files should be.
        differences: What is wrong.
        absent: Paths of licensed files that are not here, missing or merely not fetched.
        same_files: How many files are as licensed.
        same_bytes: Their size.
    """

    model: CoveredModel
    folder: Path
    differences: list[Difference] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)
    same_files: int = 0
    same_bytes: int = 0


def locate(
    models: tuple[CoveredModel, ...], folder: Path, *, name: str = ""
) -> list[tuple[CoveredModel, Path]]:
    """Return which licensed models should be in ``folder``, and where in it.

    Args:
        models: What the license covers.
        folder: What the user gave.
        name: The model to look for, as ``ns/name``; empty: any.

    Raises:
        NoSuchFolderError: no folder; no such model; or several that could be meant.
    """
    if not folder.is_dir():
        raise NoSuchFolderError(f"There is no folder {folder}.")
    asked = [model for model in models if name in {"", model.name}]
    if not asked:
        raise NoSuchFolderError(f"The license does not cover {name}.")
    cached = [(model, place) for model in asked if (place := _in_cache(model, folder))]
    if cached:
        return cached
    if len({model.id for model in asked}) > 1:
        raise NoSuchFolderError("The license covers several models. Say which: --model NS/NAME")
    return [(model, folder) for model in asked]


def closest(
    places: Iterable[tuple[CoveredModel, Path]], *, progress: Progress | None = None
) -> list[FolderReport]:
    """Compare each model's folder with the revisions of it that are licensed.

    Args:
        places: What ``locate`` found: a model may be there at several revisions.
        progress: Told of each file that is hashed.

    Returns:
        One report for each model: of the revision the folder is, or comes nearest to.
    """
    models: dict[str, list[tuple[CoveredModel, Path]]] = {}
    for model, place in places:
        models.setdefault(model.id, []).append((model, place))
    return [_nearest(revisions, progress) for revisions in models.values()]


def _nearest(revisions: list[tuple[CoveredModel, Path]], progress: Progress | None) -> FolderReport:
    reports = []
    for model, place in revisions:
        reports.append(compare(model, place, progress=progress))
        if not reports[-1].differences:
            break
    return min(reports, key=lambda report: len(report.differences))


def compare(model: CoveredModel, folder: Path, *, progress: Progress | None = None) -> FolderReport:
    """Hash the licensed files in ``folder`` and look for weights beside them."""
    report = FolderReport(model, folder)
    allowed = _roots(folder.resolve())
    for file in model.files:
        difference = _judge(file, folder, allowed, progress)
        if difference and difference.kind == "missing":
            report.absent.append(file.path)
        elif difference:
            report.differences.append(difference)
        else:
            report.same_files += 1
            report.same_bytes += file.size_bytes
    report.differences += [Difference("missing", path) for path in _missing(report)]
    if folder.is_dir():  # a cache may lack the snapshot altogether
        report.differences += _beside(model, folder, set(report.absent))
    return report


def _roots(folder: Path) -> list[Path]:
    """Return where the files of a folder may lie: in it; of a snapshot, among the cache's blobs.

    ``huggingface_hub`` keeps the blobs of a model in its own folder; since 2.4, those that Xet
    names are shared by all models of the cache.
    """
    roots, own = [folder], folder.parent.parent
    if folder.parent.name == "snapshots":
        roots.append(own / "blobs")
        if own.name.startswith("models--"):
            roots.append(own.parent / "blobs")
    return roots


def _missing(report: FolderReport) -> list[str]:
    """Return which absent files no loader leaves out.

    All weights where none are here (all files, if none are weights), and the rest of a set of which
    some are here.
    """
    absent, paths = set(report.absent), [file.path for file in report.model.files]
    weights = [path for path in paths if path.lower().endswith(_WEIGHTS)] or paths
    if absent.issuperset(weights):
        return weights
    lost: set[str] = set()
    for shards in _sets(report, weights):
        if not absent.issuperset(shards):
            lost |= shards & absent
    return sorted(lost)


def _sets(report: FolderReport, weights: list[str]) -> Iterator[set[str]]:
    """Yield the paths that are loaded together: by their numbers, by each index that is here."""
    numbered: dict[str, set[str]] = {}
    for path in weights:
        if found := _SHARD.fullmatch(path):
            numbered.setdefault("".join(found.groups()), set()).add(path)
    yield from numbered.values()
    bad = {item.path for item in report.differences} | set(report.absent)
    for file in report.model.files:
        if file.path.endswith(".index.json") and file.path not in bad:  # its digest is right
            yield _named_in(report.folder / file.path, file.path) & set(weights)


def _named_in(index: Path, path: str) -> set[str]:
    """Return the paths of the weights an index names; none if it is no index of weights."""
    try:
        named = set(json.loads(index.read_bytes())["weight_map"].values())
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return set()
    above = path.rpartition("/")[0]
    return {f"{above}/{name}" if above else name for name in named if isinstance(name, str)}


def _in_cache(model: CoveredModel, folder: Path) -> Path | None:
    """Return the model's snapshot in a cache that ``folder`` is, or is a part of."""
    own = "models--" + model.name.replace("/", "--")
    for above in (folder, folder / own, folder / "hub" / own):
        if (above / "snapshots").is_dir() and (above != folder or (folder / "blobs").is_dir()):
            exact = above / "snapshots" / model.revision
            kept = list((above / "snapshots").iterdir())
            return kept[0] if len(kept) == 1 else exact  # the files decide, not the commit
    return None


def _judge(
    file: CoveredFile, folder: Path, allowed: list[Path], progress: Progress | None
) -> Difference | None:
    path = folder / file.path
    try:
        real = path.resolve(strict=True)
        found = real.stat()
    except (OSError, RuntimeError):  # before Python 3.13 a circle of links is a RuntimeError
        return Difference("missing", file.path)
    if not any(real.is_relative_to(root) for root in allowed):
        return Difference("outside", file.path, f"leads to {real}")
    if not stat.S_ISREG(found.st_mode):
        return Difference("changed", file.path, "is no file")
    if found.st_size != file.size_bytes:
        return Difference(
            "changed", file.path, f"has {found.st_size} bytes instead of {file.size_bytes}"
        )
    try:
        digest = _sha256(real, partial(progress, file) if progress else None)
    except OSError as error:
        return Difference("unreadable", file.path, error.strerror or "")
    return None if digest == file.sha256 else Difference("changed", file.path, "other content")


def _beside(model: CoveredModel, folder: Path, absent: set[str]) -> list[Difference]:
    """Return weights that are not licensed, and folders that could hide some."""
    found: list[Difference] = []
    licensed = {file.path for file in model.files}
    wanted = {
        (file.size_bytes, file.sha256): file.path for file in model.files if file.path in absent
    }

    def unreadable(error: OSError) -> None:
        name = Path(error.filename).relative_to(folder).as_posix()
        found.append(Difference("unreadable", name, error.strerror or ""))

    for path in _walk(folder, unreadable):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink() and path.is_dir():
            found.append(Difference("outside", name, "is a link to a folder"))
        elif name not in licensed and name.lower().endswith((*_WEIGHTS, *_SAYS_WHAT_TO_LOAD)):
            found.append(Difference("extra", name, _other_name(path, wanted)))
    return found


def _other_name(path: Path, wanted: dict[tuple[int, str], str]) -> str:
    """Say which absent file this is under another name, if it is one."""
    try:
        size_bytes = path.stat().st_size
        if not path.is_file() or all(size_bytes != size for size, _ in wanted):
            return ""
        licensed = wanted.get((size_bytes, _sha256(path)))
    except OSError:
        return ""
    return f"is {licensed} under another name" if licensed else ""


def _walk(folder: Path, unreadable: Callable[[OSError], None]) -> Iterator[Path]:
    """Yield every file and link below a folder, in order, hidden ones included."""
    for above, folders, files in os.walk(folder, onerror=unreadable):
        folders.sort()
        linked = [name for name in folders if (Path(above) / name).is_symlink()]
        yield from (Path(above) / name for name in sorted([*files, *linked]))


def _sha256(path: Path, progress: Callable[[int], None] | None = None) -> str:
    hashed, done = hashlib.sha256(), 0
    with path.open("rb") as file:
        while piece := file.read(PIECE_BYTES):
            hashed.update(piece)
            done += len(piece)
            if progress:
                progress(done)
    return hashed.hexdigest()
