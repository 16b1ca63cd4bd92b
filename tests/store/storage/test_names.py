"""Digests, sizes of parts, and names that come from strangers."""

import re
import unicodedata
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.storage import (
    MAX_PART_BYTES,
    MAX_PARTS,
    Digest,
    InvalidDigestError,
    PartNumberError,
    UploadPlan,
    checked_digest,
    content_disposition,
    is_digest,
    part_size_for,
)
from store.storage.base import blob_path

HUB_CLIENT = re.compile(r'filename="(?P<filename>.*?)";')
"""As ``huggingface_hub.constants.HEADER_FILENAME_PATTERN``."""
GRAMMAR = re.compile(r"(inline|attachment); filename\*=UTF-8''([^; ]*); filename=\"([^\"\\;]*)\";")


def parsed(header: str) -> tuple[str, str, str]:
    """Return kind, exact name and plain name, as a strict reader sees them."""
    match = GRAMMAR.fullmatch(header)
    assert match, header
    return match[1], unquote(match[2], errors="strict"), match[3]


def test_an_ordinary_name_stays_as_it_is() -> None:
    header = content_disposition("model-00001-of-00002.safetensors", inline=True)

    assert header == (
        "inline; filename*=UTF-8''model-00001-of-00002.safetensors; "
        'filename="model-00001-of-00002.safetensors";'
    )
    assert content_disposition("f", inline=False).startswith("attachment; ")


@pytest.mark.parametrize(
    ("name", "exact", "plain"),
    [
        (".gitattributes", ".gitattributes", ".gitattributes"),
        ("two words.bin", "two words.bin", "two words.bin"),
        ('say "hi".bin', 'say "hi".bin', "say _hi_.bin"),
        ("a;b=c.bin", "a;b=c.bin", "a_b=c.bin"),
        ("100%25.bin", "100%25.bin", "100_25.bin"),
        ("Löwe-模型.bin", "Löwe-模型.bin", "L_we-__.bin"),
        ("a/../../etc/passwd", "a_.._.._etc_passwd", "a_.._.._etc_passwd"),
        ("C:\\x\\y.exe", "C:_x_y.exe", "C__x_y.exe"),
        ("a\r\nSet-Cookie: x=1", "a__Set-Cookie: x=1", "a__Set-Cookie_ x=1"),
        ("a\0b\x1b[31m\x7f", "a_b_[31m_", "a_b_[31m_"),
        ("cod\u202egpj.exe", "cod_gpj.exe", "cod_gpj.exe"),
        ("\u2066\u200f\u061cx\ufeff", "___x_", "___x_"),
        ("line\u2028para\u2029", "line_para_", "line_para_"),
        ("half\ud800pair", "half_pair", "half_pair"),
        ("", "download", "download"),
        (".", "download", "download"),
        ("..", "download", "download"),
        (" ", "download", "download"),
    ],
)
def test_names_of_strangers(name: str, exact: str, plain: str) -> None:
    assert parsed(content_disposition(name, inline=False)) == ("attachment", exact, plain)


@pytest.mark.parametrize(
    ("name", "exact"),
    [
        ("x" * 236 + ".bin", "x" * 236 + ".bin"),
        ("x" * 1024 + ".safetensors", "x" * 228 + ".safetensors"),
        ("x" * 1024, "x" * 240),
        ("." + "x" * 1024, "." + "x" * 239),
        ("x" * 1024 + "." + "y" * 17, "x" * 240),
        ("模" * 400 + ".bin", "模" * 78 + ".bin"),
        ("a" + "模" * 400, "a" + "模" * 79),
        ("x" * 300 + "." + "模" * 16, "x" * 191 + "." + "模" * 16),
    ],
)
def test_long_names_lose_their_middle_not_their_suffix(name: str, exact: str) -> None:
    header = content_disposition(name, inline=True)

    assert parsed(header)[1] == exact
    assert len(exact.encode()) <= 240
    assert len(header) < 1100


@given(name=st.text(max_size=400), inline=st.booleans())
def test_no_name_breaks_out_of_the_header(name: str, inline: bool) -> None:
    header = content_disposition(name, inline=inline)

    assert header.isascii()
    assert header.isprintable()
    kind, exact, plain = parsed(header)
    assert kind == ("inline" if inline else "attachment")
    assert HUB_CLIENT.search(header)["filename"] == plain  # type: ignore[index]
    assert len(plain) == len(exact)
    assert not {"/", "\\"} & set(exact)
    assert not {unicodedata.category(c)[0] for c in exact} & {"C"}
    assert exact.strip(". ")


def test_digests() -> None:
    good = "0123456789abcdef" * 4

    assert checked_digest(good) == Digest(good)
    assert is_digest(good)
    assert blob_path(Digest(good)) == f"sha256/01/23/{good}"
    for bad in (good.upper(), good[1:], good + "0", "g" * 64, "../" + good, ""):
        assert not is_digest(bad)
        with pytest.raises(InvalidDigestError) as caught:
            checked_digest(bad)
        assert (caught.value.status, caught.value.code) == (422, "invalid_digest")


@given(st.integers(0, MAX_PARTS * MAX_PART_BYTES), st.integers(1, 2 * MAX_PART_BYTES))
def test_parts_cover_the_file_within_the_limits(size_bytes: int, wanted: int) -> None:
    plan = UploadPlan("x", Digest("0" * 64), size_bytes, part_size_for(size_bytes, wanted))

    assert 1 <= plan.part_count <= MAX_PARTS
    assert 1 <= plan.part_size_bytes <= MAX_PART_BYTES
    last = plan.size_of(plan.part_count)
    assert (plan.part_count - 1) * plan.part_size_bytes + last == size_bytes
    assert 0 < last <= plan.part_size_bytes or size_bytes == 0
    assert plan.part_count == 1 or plan.size_of(1) == plan.part_size_bytes
    if size_bytes <= MAX_PARTS * wanted and wanted <= MAX_PART_BYTES:
        assert plan.part_size_bytes == wanted
    for number in (0, plan.part_count + 1):
        with pytest.raises(PartNumberError):
            plan.size_of(number)
