"""Headers of safetensors files, all shards of a model at once."""

from collections.abc import Iterator, Mapping
from typing import Any

from catalog.formats import strict_json
from catalog.formats.errors import SafetensorsError
from catalog.formats.safetensors import SafetensorsHeader, read_header
from catalog.formats.sources import MIB
from catalog.history.trees import Entry
from catalog.models import ModelRepo
from catalog.services.sources import source_of

MAX_SHARDS = 500
MAX_HEADER_BYTES = 64 * MIB
"""Of all shards of one answer together."""


def read_index(repo: ModelRepo, entry: Entry) -> tuple[dict[str, Any], list[str]]:
    """Return what an index file says beside its map of tensors, and the shards it names, sorted.

    Raises:
        SafetensorsError: it is no index, or names too many files or files in folders.
    """
    source = source_of(repo, entry)
    raw = source.read_at(0, strict_json.INDEX.size_bytes + 1)
    index = strict_json.parse(raw, strict_json.INDEX, error=SafetensorsError)
    weight_map = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(weight_map, dict):
        raise SafetensorsError("index_no_map", "It has no 'weight_map' of tensors to files.")
    shards = set(weight_map.values())
    if not all(isinstance(shard, str) and shard and "/" not in shard for shard in shards):
        raise SafetensorsError("index_bad_shard", "It names files that do not lie beside it.")
    if len(shards) > MAX_SHARDS:
        raise SafetensorsError("index_too_many", f"It names more than {MAX_SHARDS} files.")
    metadata = index.get("metadata")
    return ({"metadata": metadata} if isinstance(metadata, dict) else {}), sorted(shards)


def shard_paths(index_path: str, shards: list[str]) -> Iterator[tuple[str, str]]:
    """Yield (name, path) of each shard beside the index at ``index_path``."""
    folder = index_path.rpartition("/")[0]
    for shard in shards:
        yield shard, f"{folder}/{shard}" if folder else shard


def read_headers(repo: ModelRepo, entries: Mapping[str, Entry]) -> dict[str, dict[str, Any]]:
    """Return each file's header in the form the file itself has.

    Raises:
        SafetensorsError: a file is malformed, or the headers are too large together.
    """
    headers, total = {}, 0
    for name, entry in entries.items():
        header = read_header(source_of(repo, entry))
        total += header.header_bytes
        if total > MAX_HEADER_BYTES:
            raise SafetensorsError(
                "headers_too_large", f"The headers have more than {MAX_HEADER_BYTES:,} bytes."
            )
        headers[name] = _as_json(header)
    return headers


def _as_json(header: SafetensorsHeader) -> dict[str, Any]:
    body: dict[str, Any] = {"__metadata__": header.metadata} if header.metadata else {}
    for tensor in header.tensors:
        body[tensor.name] = {
            "dtype": tensor.dtype,
            "shape": list(tensor.shape),
            "data_offsets": [tensor.start, tensor.end],
        }
    return body
