"""Checking what a shard claims, against nothing but what the store itself saw in xorbs.

A term is proven by a hash over its chunks' own hashes (Xet specification, verification hash).
Nobody learns those from the store: dedup answers hide them. So who can prove a term has, or had,
the content, and may use the chunks wherever they were uploaded.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from mmap import mmap

from django.conf import settings

from catalog.content.recipes import Recipe, packed
from catalog.content.tables import chunk_count, spooled_tables
from catalog.content.xet.errors import XetFormatError, XetProofError
from catalog.content.xet.hashes import MerkleTree, is_indexable, term_hash, to_hex
from catalog.content.xet.shards import FileClaim, Shard, XorbClaim, read_shard
from catalog.content.xet.xorbs import XorbTable
from store.core.errors import InvalidError, TooLargeError

MAX_CHUNKS = 4_000_000
"""Chunks the files of one shard may have in all, or the xorbs it names: 256 GB of usual ones."""
MAX_XORBS = 10_000
"""Xorbs one shard may name; 640 GB of full ones."""
MAX_FLAGGED = 64
"""Chunks of one xorb a client may ask to be found by, beside those everybody looks for."""


class UnknownXorbError(InvalidError):
    """A shard names a xorb that was never uploaded here, or was collected since."""

    code = "unknown_xorb"


@dataclass(frozen=True, slots=True)
class ProvenFile:
    """A file whose recipe is proven; its sha256 is not."""

    hash: bytes
    sha256: str | None
    recipe: Recipe
    first_chunk: bytes
    """What clients ask for when they look for the file."""


@dataclass(frozen=True, slots=True)
class ProvenShard:
    """What of a shard may be written down."""

    files: list[ProvenFile]
    raw_ends: dict[bytes, Sequence[int]]
    """Every xorb it names, and where its chunks end in the raw content."""
    indexed: set[tuple[bytes, bytes]]
    """Chunk and xorb: what the xorbs that came with it are found by."""


def prove(data: bytes | mmap) -> ProvenShard:
    """Read a shard and check everything but the sha256 of its files.

    Raises:
        XetFormatError: it is malformed, or a number is out of range.
        UnknownXorbError: a xorb is missing here.
        XetProofError: a hash is not that of what it stands for.
        TooLargeError: a file, or all together, are more than this store takes.
    """
    shard = read_shard(data)
    names = _named_xorbs(shard)
    with spooled_tables(names) as tables:
        _check_known(names, tables)
        for claim in shard.xorbs:
            if not claim.agrees_with(tables[claim.hash]):
                raise XetProofError(
                    "The shard describes a xorb in another way than it is.", xorb=to_hex(claim.hash)
                )
        budget = _Budget()
        files = [_prove_file(claim, tables, budget) for claim in shard.files]
        raw_ends = {name: tables[name].raw_ends for name in names}
        return ProvenShard(files, raw_ends, set(_indexed(shard.xorbs, tables)))


class _Budget:
    """Counts what the files of a shard claim, before work is done for it."""

    def __init__(self) -> None:
        self.chunks = 0

    def spend(self, chunks: int) -> None:
        self.chunks += chunks
        if self.chunks > MAX_CHUNKS:
            raise TooLargeError(
                f"The files of one shard have at most {MAX_CHUNKS} chunks. Send fewer at a time.",
                max_chunks=MAX_CHUNKS,
            )


def _named_xorbs(shard: Shard) -> set[bytes]:
    names = {claim.hash for claim in shard.xorbs}
    for file in shard.files:
        names |= {term.xorb for term, _ in file.terms()}
    if len(names) > MAX_XORBS or chunk_count(names) > MAX_CHUNKS:
        raise TooLargeError(
            f"One shard names at most {MAX_XORBS} xorbs, of {MAX_CHUNKS} chunks. Send fewer files"
            " at a time."
        )
    return names


def _check_known(names: set[bytes], tables: Mapping[bytes, XorbTable]) -> None:
    for name in names:
        if name not in tables:
            raise UnknownXorbError(
                "A xorb this shard names is not in the store. If it was uploaded some weeks ago,"
                " clear the client's Xet cache and upload again.",
                xorb=to_hex(name),
            )


def _prove_file(claim: FileClaim, tables: Mapping[bytes, XorbTable], budget: _Budget) -> ProvenFile:
    terms = bytearray()
    tree = MerkleTree()
    size_bytes = 0
    most = settings.ENV.max_file_bytes
    for term, proof in claim.terms():
        table = tables[term.xorb]
        if not term.start < term.end <= len(table.chunks):
            raise XetFormatError("A term names chunks its xorb does not have.")
        if term.size_bytes != table.raw_size(term.start, term.end):
            raise XetFormatError("A term has another size than its chunks.")
        size_bytes += term.size_bytes
        if size_bytes > most:
            raise TooLargeError(f"A file has at most {most} bytes.", max_bytes=most)
        budget.spend(term.end - term.start)
        chunks = table.chunks[term.start : term.end]
        if term_hash(chunk.hash for chunk in chunks) != proof:
            raise XetProofError("A term's verification hash is wrong.", file=to_hex(claim.hash))
        for chunk in chunks:
            tree.add(chunk.hash, chunk.size_bytes)
        terms += packed(term)
    if tree.file_hash() != claim.hash:
        raise XetProofError("The chunks are not those of this file.", file=to_hex(claim.hash))
    recipe = Recipe.from_bytes(bytes(terms))
    first = recipe.terms[0]
    first_chunk = tables[first.xorb].chunks[first.start].hash
    return ProvenFile(claim.hash, claim.sha256, recipe, first_chunk)


def _indexed(
    claims: Iterable[XorbClaim], tables: Mapping[bytes, XorbTable]
) -> Iterable[tuple[bytes, bytes]]:
    for claim in claims:
        chunks = tables[claim.hash].chunks
        yield from ((chunk.hash, claim.hash) for chunk in chunks if is_indexable(chunk.hash))
        for count, place in enumerate(claim.indexed()):
            if count == MAX_FLAGGED:
                break
            yield chunks[place].hash, claim.hash
