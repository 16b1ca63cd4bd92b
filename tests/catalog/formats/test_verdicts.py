import json
import struct

import pytest

from catalog.formats import safetensors
from catalog.formats.errors import MAX_REASON_CHARS
from catalog.formats.file_facts import GgufFacts, SafetensorsFacts
from catalog.formats.kinds import EXECUTABLES, Kind
from catalog.formats.sources import AT_ONCE, FULL, MIB, Budget, BytesSource
from catalog.formats.verdicts import FileReport, Verdict, judge, not_judged
from tests.catalog.formats.files import (
    CONFIG,
    Hollow,
    Watched,
    as_json,
    case_name,
    gg_array,
    gg_file,
    gg_model,
    gg_string,
    judged,
    st_entry,
    st_file,
    st_raw,
    torch_file,
)
from tests.catalog.formats.test_sniff import SAMPLES


def test_safetensors_are_clean() -> None:
    data = st_file({"h.0.w": ("BF16", [4, 2]), "b": ("F32", [3])}, {"format": "pt\0"})

    report = judged(data, "model.safetensors")

    assert report == FileReport(
        verdict=Verdict.CLEAN,
        kind=Kind.SAFETENSORS,
        code="clean",
        reason="Weights in safetensors; the header keeps every rule.",
        size_bytes=len(data),
        matches_name=True,
        full_read=True,
        facts=SafetensorsFacts(2, 11, {"BF16": 8, "F32": 3}, {"format": "pt"}, len(data) - 36),
    )


def test_gguf_is_clean() -> None:
    report = judged(gg_model(), "model-F32.gguf")

    assert (report.verdict, report.kind, report.matches_name) == (Verdict.CLEAN, Kind.GGUF, True)
    assert report.facts == GgufFacts(
        version=3, architecture="llama", name="Small", tensors=1, parameters=32,
        elements_by_type={"F32": 32}, quantization="", context_length=128, layers=2,
        hidden_size=8, heads=2, vocabulary=4, tokenizer="gpt2", has_chat_template=False, parts=1,
    )  # fmt: skip


def test_fifty_gigabytes_are_judged_at_once_by_their_header() -> None:
    size = 50 * 10**9
    raw = json.dumps({"w": st_entry("F16", [size // 2], 0, size)}).encode()
    source = Hollow(st_raw(raw), 8 + len(raw) + size)

    report = judge(source, "model.safetensors")

    assert (report.verdict, report.full_read) == (Verdict.CLEAN, False)
    assert getattr(report.facts, "parameters", 0) == size // 2


@pytest.mark.parametrize("ending", ["safetensors", "gguf", "SafeTensors", "GGUF"])
@pytest.mark.parametrize(("data", "kind"), SAMPLES, ids=[k.value for _, k in SAMPLES])
def test_a_file_named_as_weights_is_weights_or_unsafe(data: bytes, kind: Kind, ending: str) -> None:
    report = judged(data, f"model.{ending}")

    expected = Verdict.CLEAN if kind == ending.lower() else Verdict.UNSAFE
    assert report.verdict is expected
    assert report.kind is kind


@pytest.mark.parametrize(
    ("data", "path", "code"),
    [
        (b"text", "model.safetensors", "disguised"),
        (b'{"a": 1}', "model.gguf", "disguised"),
        (gg_model(), "model.safetensors", "disguised"),
        (torch_file({}), "model.safetensors", "disguised"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
            "model.safetensors",
            "lfs_pointer",
        ),
        (b"", "model.safetensors", "safetensors_too_short"),
        (st_file({"a": ("U8", [100])})[:-1], "model.safetensors", "safetensors_wrong_size"),
        (struct.pack("<Q", 500) + b"{\0", "model.safetensors", "safetensors_header_beyond_end"),
        (gg_model()[:-33], "model.gguf", "gguf_beyond_end"),
        (gg_file([], version=1), "model.gguf", "gguf_version"),
    ],
    ids=case_name,
)
def test_malformed_weights_say_why(data: bytes, path: str, code: str) -> None:
    report = judged(data, path)

    assert (report.verdict, report.code) == (Verdict.UNSAFE, code)
    assert report.reason.endswith((".", ")"))
    assert report.facts is None


@pytest.mark.parametrize(
    ("data", "path"),
    [
        (st_file({"a": ("U8", [2])}), "pytorch_model.bin"),
        (st_file({"a": ("U8", [2])}), "notes.txt"),
        (gg_model(), "model.onnx"),
        (b"plain text", "weights.bin"),
        (b"plain text", "tokenizer.model"),
        (b"plain text", "picture.png"),
    ],
)
def test_harmless_under_a_wrong_name_is_unknown(data: bytes, path: str) -> None:
    report = judged(data, path)

    assert (report.verdict, report.code, report.matches_name) == (
        Verdict.UNKNOWN, "name_disagrees", False,
    )  # fmt: skip


@pytest.mark.parametrize(
    "path", ["LICENSE", "README.md", "a/b.py", "x.jinja", "merges.txt", ".gitattributes", "x.y"]
)
def test_plain_text_is_clean(path: str) -> None:
    report = judged(b"import os\n\xc3\xbc\n", path)

    assert (report.verdict, report.kind, report.full_read) == (Verdict.CLEAN, Kind.TEXT, True)
    assert not report.is_active


@pytest.mark.parametrize("data", [b"<html><script>x</script>", b"<?xml version='1.0'?><a/>"])
def test_pages_are_clean_text_that_is_never_shown_as_a_page(data: bytes) -> None:
    report = judged(data, "page.html")

    assert (report.verdict, report.is_active) == (Verdict.CLEAN, True)


def test_text_that_ends_in_bytes_is_unknown() -> None:
    report = judged(b"a" * 3 * MIB + b"\xff\xfe", "log.txt")

    assert (report.verdict, report.code) == (Verdict.UNKNOWN, "not_text")
    assert judged(b"a" * 70_000 + b"\0" + b"a" * 10, "log.txt").code == "not_text"


def test_a_character_on_the_border_of_two_pieces_is_text() -> None:
    assert judged(b"a" * (MIB - 1) + "ü".encode() + b"b", "log.txt").verdict is Verdict.CLEAN


@pytest.mark.parametrize(("data", "kind"), [s for s in SAMPLES if s[1] in EXECUTABLES])
def test_programs_are_unsafe_whatever_their_name(data: bytes, kind: Kind) -> None:
    for path in ("model.bin", "README.md", "config.json", "lib.so", "x"):
        report = judged(data, path)
        assert (report.verdict, report.code, report.kind) == (Verdict.UNSAFE, "executable", kind)


def test_unknown_bytes_are_unknown() -> None:
    report = judged(bytes(range(256)), "lfs.bin")

    assert (report.verdict, report.code) == (Verdict.UNKNOWN, "unknown_format")
    assert report.is_served


def test_only_formats_we_read_are_clean() -> None:
    clean = {kind for data, kind in SAMPLES if judged(data, "x").verdict is Verdict.CLEAN}

    assert clean == {
        Kind.EMPTY, Kind.SAFETENSORS, Kind.GGUF, Kind.JSON, Kind.TEXT, Kind.HTML, Kind.SVG,
        Kind.XML, Kind.LFS_POINTER, Kind.PNG, Kind.JPEG, Kind.GIF, Kind.WEBP, Kind.SENTENCEPIECE,
    }  # fmt: skip


# Two levels


def test_a_large_text_waits_for_the_job() -> None:
    data = b"line\n" * (5 * MIB)

    report = judged(data, "corpus.txt")

    assert (report.verdict, report.kind, report.code) == (
        Verdict.PENDING, Kind.TEXT, "not_judged_yet",
    )  # fmt: skip
    assert not report.is_served
    assert judged(data, "corpus.txt", budget=FULL).verdict is Verdict.CLEAN


def test_a_large_torch_file_waits_for_the_job() -> None:
    import torch

    data = torch_file({f"w{i}": torch.zeros(30_000) for i in range(80)})
    source = Watched(data)

    assert judge(source, "pytorch_model.bin").verdict is Verdict.PENDING
    assert source.read_bytes <= AT_ONCE.read_bytes
    assert judged(data, "pytorch_model.bin", budget=FULL).verdict is Verdict.UNKNOWN


def test_what_is_too_large_even_for_the_job_is_an_error() -> None:
    tiny = Budget(read_bytes=MIB, reads=10, steps=100, is_final=True)

    report = judge(BytesSource(b"a" * 2 * MIB), "a.txt", budget=tiny)

    assert (report.verdict, report.code) == (Verdict.ERROR, "too_large_to_check")
    assert not report.is_served


def test_a_file_nobody_looked_at_is_pending() -> None:
    report = not_judged(7)

    assert (report.verdict, report.size_bytes, report.is_served) == (Verdict.PENDING, 7, False)


# Failures


def test_a_bug_of_ours_is_an_error_and_lets_nothing_through(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def crash(source: object) -> None:
        raise KeyError("bug")

    monkeypatch.setattr(safetensors, "read_header", crash)

    report = judge(BytesSource(st_file({})), "model.safetensors")

    assert (report.verdict, report.code, report.is_served) == (Verdict.ERROR, "check_failed", False)
    assert "KeyError" in caplog.text


def test_a_storage_that_fails_is_no_verdict() -> None:
    class Gone(BytesSource):
        def read_at(self, offset: int, length: int) -> bytes:
            raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        judge(Gone(b"abc"), "a.txt")


def test_a_reason_fits_its_column() -> None:
    name = "x" * 600
    header = {name[:500]: {"dtype": "?" * 400, "shape": [], "data_offsets": [0, 0]}}

    report = judged(st_raw(as_json(header)), "model.safetensors")

    assert report.code == "safetensors_dtype"
    assert len(report.reason) <= MAX_REASON_CHARS


@pytest.mark.parametrize(("data", "kind"), SAMPLES, ids=[k.value for _, k in SAMPLES])
def test_a_report_survives_the_database(data: bytes, kind: Kind) -> None:
    for path in ("model.safetensors", "model.gguf", "config.json", "x"):
        report = judged(data, path)

        stored = json.dumps(report.to_json())

        assert "\\u0000" not in stored
        assert FileReport.from_json(json.loads(stored)) == report
        assert len(report.kind) <= 32
        assert len(report.code) <= 64
        assert report.kind is kind


@pytest.mark.parametrize("path", ["model.safetensors", "config.json", "model.gguf"])
def test_facts_survive_the_database(path: str) -> None:
    contents = {
        "model.safetensors": st_file({"w": ("F16", [3])}, {"format": "pt"}),
        "config.json": as_json(CONFIG),
        "model.gguf": gg_model(),
    }
    report = judged(contents[path], path)

    assert report.facts is not None
    assert FileReport.from_json(json.loads(json.dumps(report.to_json()))) == report


def test_facts_of_a_large_vocabulary_stay_small() -> None:
    tokens = b"".join(gg_string(f"token{i}") for i in range(100_000))
    data = gg_file([gg_array("tokenizer.ggml.tokens", 8, 100_000, tokens)])

    report = judged(data, "vocab.gguf")

    assert getattr(report.facts, "vocabulary", 0) == 100_000
    assert len(json.dumps(report.to_json())) < 1000
