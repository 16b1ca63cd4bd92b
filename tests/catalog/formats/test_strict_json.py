import pytest

from catalog.formats.errors import JsonError, SafetensorsError
from catalog.formats.sources import MIB
from catalog.formats.strict_json import CONFIG, MAX_DEPTH, TOKENIZER, JsonLimits, parse
from tests.catalog.formats.files import case_name, seconds


def code_of(data: bytes, limits: JsonLimits = CONFIG) -> str:
    with pytest.raises(JsonError) as caught:
        parse(data, limits)
    return caught.value.code


def test_reads_plain_json() -> None:
    data = b'{"a": [1, -2.5, "\xc3\xbc", true, null, {}], "b": "\\ud83d\\ude00"}'

    assert parse(data, CONFIG) == {"a": [1, -2.5, "ü", True, None, {}], "b": "😀"}


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "json_syntax"),
        (b"{", "json_syntax"),
        (b"{} {}", "json_syntax"),
        (b"{'a': 1}", "json_syntax"),
        (b'{"a": 1,}', "json_syntax"),
        (b'{"a": 01}', "json_syntax"),
        (b'"a\nb"', "json_syntax"),
        (b"\xef\xbb\xbf{}", "json_byte_order_mark"),
        ("{}".encode("utf-16"), "json_not_utf8"),
        ("{}".encode("utf-32"), "json_not_utf8"),
        (b'"\xed\xa0\x80"', "json_not_utf8"),
        (b'"\xc0\xaf"', "json_not_utf8"),
        (b'{"a": 1, "a": 2}', "json_duplicate_key"),
        (b'{"a": {"b": 1, "\\u0062": 2}}', "json_duplicate_key"),
        (b"NaN", "json_not_a_number"),
        (b'{"a": Infinity}', "json_not_a_number"),
        (b'{"a": [-Infinity]}', "json_not_a_number"),
        (b'{"a": 1e999}', "json_number"),
        (b"[" + b"9" * 5000 + b"]", "json_number"),
        (b'"\\ud800"', "json_lone_surrogate"),
        (b'{"\\udc00": 1}', "json_lone_surrogate"),
    ],
    ids=case_name,
)
def test_refuses(data: bytes, code: str) -> None:
    assert code_of(data) == code


def test_the_deepest_nesting_is_sixty_four() -> None:
    assert parse(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH, CONFIG)
    assert code_of(b"[" * 65 + b"]" * 65) == "json_too_deep"
    assert code_of(b'{"a":' * 65 + b"1" + b"}" * 65) == "json_too_deep"


def test_hostile_depth_costs_no_stack() -> None:
    limits = JsonLimits(size_bytes=MIB, containers=MIB)

    assert code_of(b"[" * 500_000, limits) == "json_too_deep"
    assert code_of(b'{"a":' * 100_000, limits) == "json_too_deep"


def test_twenty_megabytes_are_refused_at_once() -> None:
    data = b"[" + b"1," * 10_000_000 + b"1]"

    assert code_of(data) == "json_too_large"
    assert seconds(lambda: code_of(data)) < 0.05


@pytest.mark.parametrize("item", [b"[],", b"{},", b"1,"])
def test_values_are_counted_before_they_are_built(item: bytes) -> None:
    data = b"[" + item * 5_000_000 + b"1]"

    assert code_of(data, TOKENIZER) == "json_too_many_values"
    assert seconds(lambda: code_of(data, TOKENIZER)) < 0.1


def test_integers_can_be_read_by_the_caller() -> None:
    def refuse(text: str) -> int:
        raise ValueError(text)

    with pytest.raises(SafetensorsError) as caught:
        parse(b"[1]", CONFIG, parse_int=refuse, error=SafetensorsError)

    assert caught.value.code == "json_number"


def test_names_line_and_column() -> None:
    with pytest.raises(JsonError) as caught:
        parse(b'{\n  "a": x}', CONFIG)

    assert caught.value.where == "line 2, column 8"
