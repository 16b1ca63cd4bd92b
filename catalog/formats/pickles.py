"""The pickle gate: an exact allow-list, never a load.

Block-lists fail: of 60 files that really ran code, the exit code of picklescan let 12 pass. An
allow-list of the few functions that rebuild plain tensors let none (SECURITY.md §3). What passes
is still only ``unknown``: served with a notice, never loaded, never sold.

picklescan 1.0.5 gives the second opinion: what it calls dangerous is refused, and if its reading
of the imports differs from ours in any way, the file is refused as well.
"""

import io
import logging
import re
from dataclasses import dataclass

from picklescan import scanner as picklescan

from catalog.formats import zips
from catalog.formats.errors import PickleError, shown
from catalog.formats.opcodes import UNRESOLVED, GlobalRef, Trace, trace
from catalog.formats.sources import MIB, MeteredSource

# it warns of every finding, with the stranger's names in the line; the verdict says it all
logging.getLogger("picklescan").setLevel(logging.CRITICAL + 1)

MAX_PICKLE_BYTES = 64 * MIB
"""Longest opcode stream that gets its second opinion; 100,000 tensors take some 10 MB."""

_STORAGES = (
    "FloatStorage", "DoubleStorage", "HalfStorage", "BFloat16Storage", "ByteStorage",
    "CharStorage", "ShortStorage", "IntStorage", "LongStorage", "BoolStorage",
    "ComplexFloatStorage", "ComplexDoubleStorage",
)  # fmt: skip
_DTYPES = (
    "float64", "float32", "float16", "bfloat16", "complex64", "complex128", "bool", "uint8", "int8",
    "int16", "int32", "int64", "uint16", "uint32", "uint64", "float8_e4m3fn", "float8_e5m2",
    "float8_e4m3fnuz", "float8_e5m2fnuz", "float8_e8m0fnu",
)  # fmt: skip

CALLABLE = frozenset(
    GlobalRef(module, name)
    for module, name in (
        ("collections", "OrderedDict"),
        ("torch._utils", "_rebuild_tensor_v2"),
        ("torch._utils", "_rebuild_tensor_v3"),  # uint16 and the 8-bit floats
        ("torch._utils", "_rebuild_parameter"),
        ("torch", "Size"),
        ("torch", "device"),
        ("builtins", "set"),
        ("__builtin__", "set"),
        ("numpy.core.multiarray", "_reconstruct"),
        ("numpy._core.multiarray", "_reconstruct"),
        ("numpy.core.multiarray", "scalar"),
        ("numpy._core.multiarray", "scalar"),
        ("numpy.core.numeric", "_frombuffer"),
        ("numpy._core.numeric", "_frombuffer"),
        ("numpy", "dtype"),
        ("_codecs", "encode"),  # with 'latin1' only, see opcodes.LATIN1_ONLY
    )
)
"""What a plain state_dict or a training state calls: each only puts given values together."""
ALLOWED = CALLABLE | frozenset(
    GlobalRef(module, name)
    for module, names in (
        ("torch", (*_STORAGES, *_DTYPES)),
        ("torch.storage", ("UntypedStorage",)),
        ("numpy", ("ndarray",)),
    )
    for name in names
)
"""What it may name at all."""
FORBIDDEN_OPCODES = frozenset(
    {"INST", "OBJ", "EXT1", "EXT2", "EXT4", "PERSID", "NEXT_BUFFER", "READONLY_BUFFER"}
)
"""No writer of tensors uses them; each is a known way around scanners."""

_LEGACY_MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
"""First pickle of torch files before 1.6: the number 0x1950a86a20f9469cfc6c."""
_LEGACY_STREAMS = 5
"""Magic, protocol, system, object, storage keys; raw numbers follow (torch.serialization)."""
_TORCH_MEMBER = re.compile(
    r"data\.pkl|version|byteorder|\.format_version|\.storage_alignment"
    r"|\.data/serialization_id|data/[0-9]{1,20}"
)


@dataclass(frozen=True, slots=True)
class PickleSummary:
    """A pickle that passed: what it names."""

    imports: tuple[str, ...]
    """Sorted dotted names."""
    streams: int
    """Pickles in the file, one after the other."""


def check_torch_zip(source: MeteredSource) -> PickleSummary:
    """Check a zip container of ``torch.save``, member by member.

    Raises:
        PickleError: A member does not belong, or the pickle does more than rebuild tensors.
        ZipError: The container is not as torch writes it.
    """
    found = zips.members(source)
    folder = found[0].name.partition("/")[0] + "/" if found else "/"
    for member in found:
        rest = member.name.removeprefix(folder)
        if rest == member.name or not _TORCH_MEMBER.fullmatch(rest):
            raise PickleError(
                "torch_odd_member",
                f"The torch file holds {shown(member.name)}, which no plain state_dict has (code, "
                "perhaps); save the weights as safetensors.",
            )
    starts = zips.check_sealed(source, found, source.spend)
    by_name = {member.name: member for member in found}
    data = by_name.get(folder + "data.pkl")
    if data is None:
        raise PickleError(
            "torch_no_pickle", "The torch file has no data.pkl; save the weights as safetensors."
        )
    start = starts[data.name]
    zips.check_crc(source, data, start)
    imports, end = _check_stream(source, start, start + data.size_bytes)
    if end != start + data.size_bytes:
        raise _trailing(end - start)
    return _summary(imports, 1)


def check_raw(source: MeteredSource) -> PickleSummary:
    """Check a file of one or more pickles: plain, or torch's format before 1.6.

    Raises:
        PickleError: A pickle does more than rebuild tensors, or other bytes follow.
    """
    is_legacy = source.read_at(0, len(_LEGACY_MAGIC)) == _LEGACY_MAGIC
    imports: set[GlobalRef] = set()
    end = streams = 0
    while end < source.size_bytes and not (is_legacy and streams == _LEGACY_STREAMS):
        named, end = _check_stream(source, end, source.size_bytes)
        imports |= named
        streams += 1
    return _summary(imports, streams)


def _summary(imports: set[GlobalRef], streams: int) -> PickleSummary:
    return PickleSummary(tuple(sorted(map(str, imports))), streams)


def _check_stream(source: MeteredSource, start: int, end: int) -> tuple[set[GlobalRef], int]:
    """Check one pickle; return what it imports and the offset behind it."""
    found = trace(source, start, end, spend=source.spend)
    check_trace(found)
    if found.end is None:
        raise PickleError(
            "pickle_broken",
            "The pickle breaks off or is damaged, so it cannot be checked; save the weights as "
            "safetensors.",
            where=found.error,
        )
    _second_opinion(source, start, found)
    return set(found.imports), found.end


def check_trace(found: Trace) -> None:
    """Refuse a trace that does anything not on the allow-list, finished or not.

    Raises:
        PickleError: ``where`` names the first thing that is not allowed.
    """
    strange = [reference for reference in found.imports if reference not in ALLOWED]
    if strange:
        # a publisher's own class is as unsafe as os.system: loading runs its module
        name = "a computed name" if strange[0] == UNRESOLVED else shown(strange[0], 100)
        raise PickleError(
            "pickle_import",
            f"Loading this pickle would import {name}, which can run code; save the weights as "
            "safetensors.",
            where=f"byte {found.imports[strange[0]]}",
        )
    odd = sorted(found.opcodes & FORBIDDEN_OPCODES)
    if odd:
        raise PickleError(
            "pickle_opcode",
            "The pickle uses operations that no plain state_dict needs; save the weights as "
            "safetensors.",
            where=", ".join(odd),
        )
    if not found.called <= CALLABLE or found.odd_arguments:
        raise PickleError(
            "pickle_call",
            "The pickle calls something other than the functions that rebuild tensors; save the "
            "weights as safetensors.",
        )
    if found.changed:
        raise PickleError(
            "pickle_changes_import",
            f"The pickle changes {shown(min(found.changed))} itself; save the weights as "
            "safetensors.",
        )


def _second_opinion(source: MeteredSource, start: int, found: Trace) -> None:
    length = (found.end or start) - start
    if length > MAX_PICKLE_BYTES:
        raise PickleError(
            "pickle_too_long",
            f"The pickle has more than {MAX_PICKLE_BYTES:,} bytes of instructions; save the "
            "weights as safetensors.",
        )
    result = picklescan.scan_pickle_bytes(
        io.BytesIO(source.read_at(start, length)), "upload", multiple_pickles=False
    )
    theirs = {GlobalRef(item.module, item.name) for item in result.globals}
    if result.scan_err or result.issues_count or theirs != set(found.imports):
        raise PickleError(
            "pickle_second_opinion",
            "A second scanner reads this pickle differently or calls it dangerous; save the "
            "weights as safetensors.",
        )


def _trailing(at: int) -> PickleError:
    return PickleError(
        "pickle_trailing_bytes",
        "Bytes follow the end of the pickle; save the weights as safetensors.",
        where=f"byte {at}",
    )
