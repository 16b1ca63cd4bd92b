"""Results publishers claim for their models: ``.eval_results/*.yaml`` of a revision.

The format is the hub's (https://huggingface.co/docs/hub/eval-results). They are claims, shown as
such; what the store measures itself is an evaluation.
"""

from typing import Any

from catalog.cards.front_matter import FrontMatterError, parse_yaml
from catalog.history.trees import Entry, list_page, read_blob
from catalog.models import ModelRepo
from store.core.errors import NotFoundError

FOLDER = ".eval_results"
MAX_FILES = 50
MAX_FILE_BYTES = 64 * 1024
MAX_RESULTS = 500
"""Of one file."""
MAX_TEXT_CHARS = 1000
_ENDINGS = (".yaml", ".yml")


class BadResultError(ValueError):
    """A file does not keep to the format; the text says where."""


def read_results(repo: ModelRepo, commit_oid: str) -> list[dict[str, Any]]:
    """Return every claimed result as hub clients read it, files in order of their names.

    A file that breaks the format gives one entry with ``error`` instead of ``data``.
    """
    try:
        entries, _total = list_page(repo, commit_oid, FOLDER, start=0, limit=1000)
    except NotFoundError:
        return []
    files = [entry for entry in entries if entry.path.endswith(_ENDINGS) and not entry.is_link]
    found: list[dict[str, Any]] = []
    for entry in files[:MAX_FILES]:
        try:
            found += [{"data": data, "filename": entry.path} for data in _read(repo, entry)]
        except (BadResultError, FrontMatterError) as exc:
            found.append({"filename": entry.path, "error": str(exc)[:MAX_TEXT_CHARS]})
    return found


def _read(repo: ModelRepo, entry: Entry) -> list[dict[str, Any]]:
    if entry.is_folder or entry.lfs is not None or entry.size_bytes > MAX_FILE_BYTES:
        raise BadResultError(f"a file of results is plain text of up to {MAX_FILE_BYTES} bytes")
    items = parse_yaml(read_blob(repo, entry).decode("utf-8", "replace").replace("\0", ""))
    if not isinstance(items, list) or len(items) > MAX_RESULTS:
        raise BadResultError(f"a file of results is a list of up to {MAX_RESULTS} entries")
    return [_result(item, f"[{number}]") for number, item in enumerate(items)]


def _result(item: Any, where: str) -> dict[str, Any]:
    if not isinstance(item, dict):
        raise BadResultError(f"{where} is no mapping")
    dataset = item.get("dataset")
    if not isinstance(dataset, dict):
        raise BadResultError(f"{where}.dataset is missing")
    value = item.get("value")
    if value is None or isinstance(value, dict | list):
        raise BadResultError(f"{where}.value is missing or no plain value")
    data: dict[str, Any] = {
        "dataset": {
            "id": _text(dataset, "id", f"{where}.dataset", required=True),
            "task_id": _text(dataset, "task_id", f"{where}.dataset", required=True),
        },
        "value": value,
    }
    if revision := _text(dataset, "revision", f"{where}.dataset"):
        data["dataset"]["revision"] = revision
    for key in ("verifyToken", "date", "notes"):
        if text := _text(item, key, where):
            data[key] = text
    if item.get("source") is not None:
        data["source"] = _source(item["source"], f"{where}.source")
    return data


def _source(source: Any, where: str) -> dict[str, str]:
    """Return where a result comes from; without an address nobody could look."""
    if not isinstance(source, dict):
        raise BadResultError(f"{where} is no mapping")
    url = _text(source, "url", where, required=True)
    if not url.startswith(("https://", "http://")):
        raise BadResultError(f"{where}.url is no web address")
    more = {key: _text(source, key, where) for key in ("name", "user", "org")}
    return {"url": url} | {key: text for key, text in more.items() if text}


def _text(item: dict[str, Any], key: str, where: str, *, required: bool = False) -> str:
    value = item.get(key)
    if value is None and not required:
        return ""
    if not isinstance(value, str) or not value.strip() or len(value) > MAX_TEXT_CHARS:
        raise BadResultError(f"{where}.{key} is missing or no text of up to {MAX_TEXT_CHARS}")
    return value
