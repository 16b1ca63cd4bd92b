"""Files that really run a command when they are loaded: each builder gets the marker it creates."""

import bz2
import gzip
import io
import json
import lzma
import pickle
import struct
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tests.catalog.formats.files import (
    Runs,
    pickled,
    st_raw,
    torch_zip,
    touching,
    zipped,
)

Builder = Callable[[Path], bytes]


def _text(value: str) -> bytes:
    raw = value.encode()
    return b"\x8c" + bytes([len(raw)]) + raw


def _command(marker: Path) -> str:
    return f"touch {marker}"


def _dotted(module: str, name: str) -> Builder:
    def build(marker: Path) -> bytes:
        call = _text(module) + _text(name) + b"\x93" + _text(_command(marker)) + b"\x85R."
        return b"\x80\x04" + call

    return build


def _plain(protocol: int) -> Builder:
    return lambda marker: pickled({"weights": [1, touching(marker)]}, protocol)


def text_pickle(marker: Path) -> bytes:
    return b"cos\nsystem\n(S'" + _command(marker).encode() + b"'\ntR."


def _builtins(marker: Path) -> bytes:
    get = _text("numpy") + _text("__builtins__.get") + b"\x93" + _text("eval") + b"\x85R"
    code = f"__import__('os').system({_command(marker)!r})"
    return b"\x80\x04" + get + b"\x8c" + bytes([len(code)]) + code.encode() + b"\x85R."


def _memoized(marker: Path) -> bytes:
    names = _text("os") + b"q\x05" + b"0" + _text("system") + b"q\x06" + b"0"
    return b"\x80\x04" + names + b"h\x05h\x06\x93" + _text(_command(marker)) + b"\x85R."


def _state(marker: Path) -> bytes:
    """Change a function that is allowed, then call it."""
    change = b"ctorch._utils\n_rebuild_parameter\nN}" + _text("__kwdefaults__") + b"}s\x86b"
    return b"\x80\x04" + change + text_pickle(marker)


PICKLES: dict[str, Builder] = {
    **{f"protocol_{number}": _plain(number) for number in range(6)},
    "handwritten": text_pickle,
    "hexadecimal_number_first": lambda m: b"I0x1\n0" + text_pickle(m),
    "octal_number_first": lambda m: b"I0o17\n0" + text_pickle(m),
    "after_seventy_kilobytes": lambda m: b"S'" + b"x" * 70_000 + b"'\n0" + text_pickle(m),
    "after_many_short_lines": lambda m: b"I1\n0" * 3_000 + text_pickle(m),
    "dotted_logging": _dotted("logging", "os.system"),
    "dotted_shutil": _dotted("shutil", "os.system"),
    "dotted_torch": _dotted("torch.serialization", "os.system"),
    "builtins_of_numpy": _builtins,
    "memoized_names": _memoized,
    "inst": lambda m: b"(S'" + _command(m).encode() + b"'\nios\nsystem\n.",
    "obj": lambda m: b"(cos\nsystem\nS'" + _command(m).encode() + b"'\no.",
    "nested": lambda m: pickled(Runs(pickle.loads, text_pickle(m))),
    "eval": lambda m: pickled(Runs(eval, f"__import__('os').system({_command(m)!r})")),
    "second_pickle": lambda m: pickled([1]) + text_pickle(m),
    "state_of_an_allowed_function": _state,
}
"""Raw pickles; ``pickle.loads`` runs each (``second_pickle``: the second ``pickle.load``)."""

BROKEN: dict[str, Builder] = {
    "no_stop": lambda m: text_pickle(m)[:-1],
    "garbage_after_the_call": lambda m: text_pickle(m)[:-1] + b"\xff\xff\xff",
    "framed_then_garbage": lambda m: _plain(4)(m)[:-1] + b"\xff",
}
"""They run, then fail."""

COMPRESSED: dict[str, Callable[[bytes], bytes]] = {
    "zlib": zlib.compress,
    "zlib_fast": lambda data: zlib.compress(data, 1),
    "gzip": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "lzma": lambda data: lzma.compress(data, format=lzma.FORMAT_ALONE),
}
"""As joblib writes them."""


def legacy_torch(marker: Path) -> bytes:
    """Torch's format before 1.6 with the command in the fourth of its five pickles."""
    head = [pickled(v, 2) for v in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})]
    return b"".join(head) + text_pickle(marker) + pickled([], 2)


def tarred(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def object_array(marker: Path) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.array([touching(marker)], dtype=object), allow_pickle=True)
    return buffer.getvalue()


def safetensors_polyglot(marker: Path) -> bytes:
    r"""Valid safetensors, and a pickle: ``V`` takes the length up to the first line break."""
    payload = b"0" + text_pickle(marker)
    entry = {"dtype": "U8", "shape": [len(payload)], "data_offsets": [0, len(payload)]}
    header = json.dumps({"a": entry})[:-2].encode() + b"\n}}"
    missing = ord("V") - len(header)
    assert missing >= 0
    # "}}" pushes two dicts, the payload drops one and goes on
    return st_raw(header.replace(b"{", b"{" + b" " * missing, 1), payload)


def gif_polyglot(marker: Path) -> bytes:
    """A GIF header that is a float to an unpickler; the height brings the first opcode."""
    return b"GIF89a" + struct.pack("<H", 10) + b"\x0a" + b"0" + text_pickle(marker) + b";"


CONTAINERS: dict[str, Builder] = {
    "torch_zip": lambda m: torch_zip(text_pickle(m)),
    "torch_zip_capitals": lambda m: zipped({"archive/DATA.PKL": text_pickle(m)}),
    "torchscript_constants": lambda m: zipped({"archive/constants.pkl": text_pickle(m)}),
    "torch_legacy": legacy_torch,
    "plain_zip": lambda m: zipped({"a/b.txt": b"x", "model.bin": text_pickle(m)}),
    "deflated_zip": lambda m: zipped({"model.pkl": _plain(4)(m)}, method=8),
    "tar": lambda m: tarred({"readme": b"x", "pickle": text_pickle(m)}),
    "numpy_objects": object_array,
    "npz_of_objects": lambda m: zipped({"a.npy": object_array(m)}),
    "npz_of_objects_deflated": lambda m: zipped({"a.npy": object_array(m)}, method=8),
    "safetensors_polyglot": safetensors_polyglot,
    "gif_polyglot": gif_polyglot,
}
"""Pickles inside something else."""
