import collections
import copyreg
import io
import os
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from catalog.formats import opcodes, pickles
from catalog.formats.errors import PickleError
from catalog.formats.kinds import Kind
from catalog.formats.sources import AT_ONCE, FULL, BytesSource, MeteredSource
from catalog.formats.verdicts import FileReport, Verdict
from tests.catalog.formats import hostile
from tests.catalog.formats.files import (
    case_name,
    judged,
    pickled,
    refusal,
    torch_file,
    torch_zip,
)

NAMES = (
    "pytorch_model.bin", "model.safetensors", "model.gguf", "config.json", "README.md", "a.png",
    "tokenizer.model", "LICENSE", "deep/er.pkl",
)  # fmt: skip


def judged_everywhere(data: bytes) -> list[FileReport]:
    return [judged(data, name, budget=FULL) for name in NAMES]


def loads(data: bytes) -> None:
    """Load for real, as a victim would; what it raises does not matter."""
    stream = io.BytesIO(data)
    try:
        while stream.tell() < len(data):
            pickle.load(stream)  # noqa: S301 that is the attack
    except Exception:  # noqa: BLE001, S110 the marker tells what happened
        pass


@pytest.mark.parametrize("build", hostile.PICKLES.values(), ids=hostile.PICKLES)
def test_a_malicious_pickle_is_unsafe_under_every_name_and_never_runs(
    build: hostile.Builder, tmp_path: Path
) -> None:
    marker = tmp_path / "ran"
    data = build(marker)

    found = judged_everywhere(data)

    assert {report.verdict for report in found} == {Verdict.UNSAFE}
    assert {report.kind for report in found} == {Kind.PICKLE}
    assert not marker.exists()
    loads(data)
    assert marker.exists()  # it was a live one


@pytest.mark.parametrize("build", hostile.PICKLES.values(), ids=hostile.PICKLES)
def test_inside_a_request_it_is_never_served(build: hostile.Builder, tmp_path: Path) -> None:
    data = build(tmp_path / "ran")

    assert not any(judged(data, name, budget=AT_ONCE).is_served for name in NAMES)


@pytest.mark.parametrize("build", hostile.BROKEN.values(), ids=hostile.BROKEN)
def test_a_pickle_broken_after_its_call_is_unsafe(build: hostile.Builder, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    data = build(marker)

    found = judged_everywhere(data)

    assert {report.verdict for report in found} == {Verdict.UNSAFE}
    assert not marker.exists()
    loads(data)
    assert marker.exists()


@pytest.mark.parametrize("pack", hostile.COMPRESSED.values(), ids=hostile.COMPRESSED)
@pytest.mark.parametrize("protocol", [0, 4])
def test_a_compressed_pickle_is_unsafe(
    pack: Callable[[bytes], bytes], protocol: int, tmp_path: Path
) -> None:
    marker = tmp_path / "ran"
    data = pack(hostile.PICKLES[f"protocol_{protocol}"](marker))

    found = judged_everywhere(data)

    assert {report.verdict for report in found} == {Verdict.UNSAFE}
    assert {report.code for report in found} <= {"compressed_pickle", "disguised"}
    assert not marker.exists()


@pytest.mark.parametrize("build", hostile.CONTAINERS.values(), ids=hostile.CONTAINERS)
def test_a_pickle_inside_something_else_is_unsafe(build: hostile.Builder, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    data = build(marker)

    found = judged_everywhere(data)

    assert {report.verdict for report in found} == {Verdict.UNSAFE}
    assert not marker.exists()


def test_the_polyglots_are_what_they_claim(tmp_path: Path) -> None:
    from safetensors import deserialize

    for build in (hostile.safetensors_polyglot, hostile.gif_polyglot):
        marker = tmp_path / build.__name__
        loads(build(marker))
        assert marker.exists()

    assert deserialize(hostile.safetensors_polyglot(tmp_path / "x"))[0][0] == "a"


def test_torch_would_run_the_hostile_container(tmp_path: Path) -> None:
    marker = tmp_path / "ran"

    with pytest.raises(EOFError):
        torch.load(io.BytesIO(torch_zip(hostile.text_pickle(marker)[:-1])), weights_only=False)

    assert marker.exists()


def test_extension_codes_are_unsafe(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    command = f"touch {marker}".encode()
    codes = {240: b"\x82\xf0", 60_000: b"\x83\x60\xea", 2_000_000: b"\x84\x80\x84\x1e\x00"}
    for code, opcode in codes.items():
        data = b"\x80\x02" + opcode + b"X" + struct.pack("<I", len(command)) + command + b"\x85R."
        copyreg.add_extension("os", "system", code)
        try:
            report = judged(data, "x.bin")
            assert (report.verdict, report.code) == (Verdict.UNSAFE, "pickle_import")
            assert "computed name" in report.reason
            assert not marker.exists()
            loads(data)
            assert marker.exists()
        finally:
            copyreg.remove_extension("os", "system", code)
            marker.unlink(missing_ok=True)


def test_a_stack_of_a_million_marks_hides_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opcodes, "MAX_STACK", 10_000)  # a tenth of a tenth, to save time
    marker = tmp_path / "ran"
    data = b"(" * 10_001 + hostile.text_pickle(marker)

    assert judged(data, "notes.txt").verdict is Verdict.PENDING
    report = judged(data, "notes.txt", budget=FULL)
    assert (report.verdict, report.code) == (Verdict.ERROR, "too_large_to_check")
    assert not marker.exists()


# What passes


class Net(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = torch.nn.Embedding(5, 4)
        self.head = torch.nn.Linear(4, 5, bias=False)
        self.head.weight = self.embed.weight
        self.register_buffer("mask", torch.ones(3, dtype=torch.bool))


def training_state() -> Any:
    net = torch.nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(net.parameters())
    net(torch.ones(3)).sum().backward()
    optimizer.step()
    return {"optimizer": optimizer.state_dict(), "step": np.float64(3), "rng": np.arange(4)}


GOOD: dict[str, Callable[[], Any]] = {
    "state_dict": lambda: Net().state_dict(),
    "half": lambda: Net().half().state_dict(),
    "bfloat16": lambda: Net().bfloat16().state_dict(),
    "parameters": lambda: dict(Net().named_parameters()),
    "optimizer": training_state,
    "float8": lambda: {"w": torch.zeros(4).to(torch.float8_e4m3fn)},
    "uint16": lambda: {"w": torch.zeros(4, dtype=torch.uint16)},
    "complex": lambda: {"w": torch.zeros(4, dtype=torch.complex64)},
    "dtypes": lambda: {"dtype": torch.bfloat16, "size": torch.Size([1]), "on": torch.device("cpu")},
    "empty": dict,
    "many": lambda: {f"layer.{i}": torch.zeros(1) for i in range(300)},
}


@pytest.mark.parametrize("value", GOOD.values(), ids=GOOD)
def test_a_real_state_dict_is_unknown(value: Callable[[], Any]) -> None:
    report = judged(torch_file(value()), "pytorch_model.bin", budget=FULL)

    assert (report.verdict, report.code, report.kind) == (
        Verdict.UNKNOWN, "pickle", Kind.TORCH_ZIP,
    )  # fmt: skip
    assert report.matches_name is True
    assert "safetensors" in report.reason


@pytest.mark.parametrize("value", [GOOD["state_dict"], GOOD["parameters"]])
def test_a_state_dict_of_the_old_format_is_unknown(value: Callable[[], Any]) -> None:
    data = torch_file(value(), _use_new_zipfile_serialization=False)

    report = judged(data, "pytorch_model.bin")

    assert (report.verdict, report.kind) == (Verdict.UNKNOWN, Kind.PICKLE)


@pytest.mark.parametrize("protocol", range(2, 6))
def test_a_plain_pickle_of_numbers_is_unknown(protocol: int) -> None:
    value = {"a": [1, 2.5, None, True], "b": (b"x", "y"), "c": {1, 2}, "d": "z" * 1000}
    value["e"] = collections.OrderedDict(f=1)

    report = judged(pickled(value, protocol), "x.pkl")

    # bytes in protocol 2 are _codecs.encode(text, 'latin1')
    assert report.verdict is Verdict.UNKNOWN


@pytest.mark.parametrize("protocol", range(2, 6))
def test_numpy_arrays_in_a_pickle_are_unknown(protocol: int) -> None:
    data = pickled({"a": np.arange(3), "b": np.float32(2)}, protocol)

    report = judged(data, "x.pkl")

    assert report.verdict is Verdict.UNKNOWN
    assert report.facts is not None


def test_shows_what_it_imports() -> None:
    report = judged(torch_file({"w": torch.zeros(1)}), "pytorch_model.bin")

    assert getattr(report.facts, "imports", None) == (
        "collections.OrderedDict", "torch.FloatStorage", "torch._utils._rebuild_tensor_v2",
    )  # fmt: skip


# What does not


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (torch_file(Net()), "pickle_import"),
        (torch_file(torch.eye(2).to_sparse()), "pickle_import"),
        (pickled(Path("/")), "pickle_import"),
        (b"\x80\x02cos\nsystem\n.", "pickle_import"),
        (b"\x80\x02\x82\x01.", "pickle_import"),
        (b"\x80\x04N\x8c\x01a\x93.", "pickle_import"),
        (b"\x80\x04\x8c\x0bcollections\x8c\x16OrderedDict.fromkeys.x\x93.", "pickle_import"),
        (b"ccollections\n" + b"x" * 600 + b"\n.", "pickle_import"),
        (b"\x80\x02(icollections\nOrderedDict\n.", "pickle_opcode"),
        (b"\x80\x02(ccollections\nOrderedDict\no.", "pickle_opcode"),
        (b"\x80\x02Pname\n.", "pickle_opcode"),
        (b"\x80\x05\x97.", "pickle_opcode"),
        (b"\x80\x05C\x01a\x98.", "pickle_opcode"),
        (b"\x80\x02ccollections\nOrderedDict\n)R)R.", "pickle_call"),
        (b"\x80\x02ctorch\nFloatStorage\n)R.", "pickle_call"),
        (b"\x80\x02ctorch\nFloatStorage\n)\x81.", "pickle_call"),
        (b"\x80\x02N)R.", "pickle_call"),
        (b"\x80\x02c_codecs\nencode\nX\x01\0\0\0aX\x05\0\0\0rot13\x86R.", "pickle_call"),
        (b"\x80\x02c_codecs\nencode\nX\x01\0\0\0a\x85R.", "pickle_call"),
        (b"\x80\x02c_codecs\nencode\n(X\x01\0\0\0aX\x06\0\0\0latin1NtR.", "pickle_call"),
        (b"\x80\x04c_codecs\nencode\n)}\x92.", "pickle_call"),
        (b"\x80\x02ccollections\nOrderedDict\n}b.", "pickle_changes_import"),
        (b"\x80\x02ccollections\nOrderedDict\n(NNu.", "pickle_changes_import"),
        (b"\x80\x02ccollections\nOrderedDict\nNNs.", "pickle_changes_import"),
        (b"\x80\x02ccollections\nOrderedDict\nNa.", "pickle_changes_import"),
        (b"\x80\x02N", "pickle_broken"),
        (b"\x80\x02.", "pickle_broken"),
        (b"\x80\x02(.", "pickle_broken"),
        (b"\x80\x02h\x01.", "pickle_broken"),
        (b"\x80\x02t.", "pickle_broken"),
        (b"\x80\x02(o.", "pickle_opcode"),
        (b"\x80\x020.", "pickle_broken"),
        (b"\x80\x022.", "pickle_broken"),
        (b"\x80\x02Nq\x00pxx\n.", "pickle_broken"),
        (b"\x80\x02T\xff\xff\xff\xff.", "pickle_broken"),
        (b"\x80\x02\x8b\xff\xff\xff\xff.", "pickle_broken"),
        (b"\x80\x04\x8d" + b"\xff" * 8 + b".", "pickle_broken"),
        (b"\x80\x02N.trailing", "pickle_broken"),
        (b"\x80\x02N.\0", "pickle_broken"),
    ],
    ids=case_name,
)
def test_refuses(data: bytes, code: str) -> None:
    assert refusal(data) == code


def test_refuses_old_format_without_its_five_pickles() -> None:
    data = torch_file({"w": torch.zeros(2)}, _use_new_zipfile_serialization=False)

    assert refusal(data[:20]) == "pickle_broken"


def test_refuses_a_very_long_pickle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pickles, "MAX_PICKLE_BYTES", 100)

    assert refusal(pickled(b"x" * 100)) == "pickle_too_long"


@pytest.mark.parametrize(
    "change",
    [
        {"issues_count": 1},
        {"scan_err": True},
        {"globals": []},
        {"globals": [pickles.picklescan.Global("os", "system", "dangerous")]},
    ],
    ids=["dangerous", "error", "fewer", "others"],
)
def test_a_second_opinion_that_differs_is_refused(
    change: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = pickled(collections.OrderedDict(a=1), 2)
    real = pickles.picklescan.scan_pickle_bytes

    def scan(*args: Any, **options: Any) -> Any:
        result = real(*args, **options)
        for name, value in change.items():
            setattr(result, name, value)
        return result

    assert judged(data, "x.pkl").verdict is Verdict.UNKNOWN
    monkeypatch.setattr(pickles.picklescan, "scan_pickle_bytes", scan)

    assert refusal(data) == "pickle_second_opinion"


def test_error_names_the_import_and_its_place() -> None:
    with pytest.raises(PickleError) as caught:
        pickles.check_raw(MeteredSource(BytesSource(pickled(os.system, 2)), FULL))

    assert "'posix.system'" in caught.value.reason
    assert caught.value.where == "byte 2"
