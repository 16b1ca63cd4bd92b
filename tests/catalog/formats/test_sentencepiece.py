from pathlib import Path

import pytest
import sentencepiece as official
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.formats import sentencepiece
from catalog.formats.errors import SentencePieceError
from catalog.formats.kinds import Kind
from catalog.formats.sentencepiece import read_model
from catalog.formats.sources import BytesSource
from catalog.formats.verdicts import Verdict
from tests.catalog.formats.files import Hollow, judged, seconds


def field(number: int, wire: int, content: bytes) -> bytes:
    length = bytes([len(content)]) if wire == 2 else b""
    return bytes([number << 3 | wire]) + length + content


def piece(text: bytes = b"a", score: bytes = b"\0\0\0\0", kind: bytes = b"\1") -> bytes:
    return field(1, 2, field(1, 2, text) + field(2, 5, score) + field(3, 0, kind))


UNK = piece(b"<unk>", kind=b"\2")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Train a real model."""
    folder: Path = tmp_path_factory.mktemp("spm")
    (folder / "text").write_text("\n".join(f"a line of words, number {i}" for i in range(300)))
    official.SentencePieceTrainer.train(
        input=str(folder / "text"),
        model_prefix=str(folder / "m"),
        vocab_size=40,
        model_type="unigram",
        minloglevel=9,
    )
    return (folder / "m.model").read_bytes()


def test_a_trained_model_is_clean(trained: bytes) -> None:
    report = judged(trained, "tokenizer.model")

    assert (report.verdict, report.kind) == (Verdict.CLEAN, Kind.SENTENCEPIECE)
    processor = official.SentencePieceProcessor(model_proto=trained)
    assert getattr(report.facts, "vocabulary", 0) == processor.vocab_size() == 40


def test_reads_usual_and_unusual_pieces() -> None:
    swapped = field(1, 2, field(2, 5, b"\0" * 4) + field(1, 2, b"b"))
    long = b"x" * 130
    data = UNK + piece() + field(1, 2, field(1, 2, b"c")) + swapped + field(1, 2, b"")
    data += b"\x0a\x85\x01\x0a\x82\x01" + long + field(2, 2, b"spec")

    assert read_model(BytesSource(data)).pieces == 6


@pytest.mark.parametrize(
    "data",
    [
        UNK[:-1],
        UNK + b"\x0a",
        UNK + b"\x0a\x05",
        UNK + b"\xff" * 12,
        UNK + field(1, 0, b"\1"),
        UNK + field(6, 2, b"x"),
        UNK + field(2, 0, b"\1"),
        UNK + b"\x0b",
        UNK + b"\x09" + b"\0" * 8,
        UNK + piece(b"\xff\xfe"),
        UNK + field(1, 2, field(2, 5, b"\0" * 4) + field(1, 2, b"\xff")),
        UNK + field(1, 2, field(1, 0, b"\1")),
        UNK + field(1, 2, field(4, 2, b"x")),
        UNK + field(1, 2, b"\x0a\x30a"),
    ],
)
def test_refuses_a_damaged_model(data: bytes) -> None:
    with pytest.raises(SentencePieceError) as caught:
        read_model(BytesSource(data))

    assert caught.value.code == "sentencepiece_damaged"


def test_extensions_are_allowed() -> None:
    extension = b"\xc2\x0c\x01x"  # field 200, one byte

    assert read_model(BytesSource(UNK + extension)).pieces == 1
    assert read_model(BytesSource(field(1, 2, field(1, 2, b"a") + extension))).pieces == 1


def test_refuses_a_model_without_pieces() -> None:
    with pytest.raises(SentencePieceError) as caught:
        read_model(BytesSource(field(2, 2, b"x")))

    assert caught.value.code == "sentencepiece_pieces"


def test_refuses_a_huge_model_unread() -> None:
    with pytest.raises(SentencePieceError) as caught:
        read_model(Hollow(UNK, sentencepiece.MAX_BYTES + 1))

    assert caught.value.code == "sentencepiece_too_large"


def test_a_damaged_model_is_unknown() -> None:
    report = judged(UNK + b"\xff", "tokenizer.model")

    assert (report.verdict, report.code) == (Verdict.UNKNOWN, "sentencepiece_damaged")


def test_thirty_two_thousand_pieces_take_little_time() -> None:
    data = UNK + b"".join(piece(f"token{i}".encode()) for i in range(32_000))

    assert read_model(BytesSource(data)).pieces == 32_001
    assert seconds(lambda: read_model(BytesSource(data))) < 0.1


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_are_refused_or_read(data: bytes) -> None:
    try:
        found = read_model(BytesSource(UNK + data))
    except SentencePieceError:
        return  # any other exception is a failure
    assert found.pieces >= 1
