"""Ranges and conditions, against a model made of plain bytes and sets."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from licensing.delivery.ranges import BytesPlan, plan

ETAG = '"5994471abb01112afcc18159f6cc74b4f511b99806da59b3caf5a9c173cacfc5"'
DATE = datetime(2026, 11, 23, 15, 50, 7, tzinfo=UTC)
DATE_TEXT = "Mon, 23 Nov 2026 15:50:07 GMT"
EARLIER, LATER = "Mon, 23 Nov 2026 15:50:06 GMT", "Mon, 23 Nov 2026 15:50:08 GMT"


def answer(size_bytes: int = 10, method: str = "GET", dated: bool = False, **headers: str):
    given_headers = {name.replace("_", "-"): value for name, value in headers.items()}
    last_modified = DATE if dated else None
    return plan(method, size_bytes, ETAG, given_headers, last_modified=last_modified)


def test_the_whole_file() -> None:
    assert answer() == BytesPlan(
        status=200,
        start=0,
        length=10,
        has_body=True,
        headers={"ETag": ETAG, "Accept-Ranges": "bytes", "Content-Length": "10"},
    )


@pytest.mark.parametrize(
    ("value", "start", "length", "content_range"),
    [
        ("bytes=0-0", 0, 1, "bytes 0-0/10"),
        ("bytes=2-5", 2, 4, "bytes 2-5/10"),
        ("bytes=9-9", 9, 1, "bytes 9-9/10"),
        ("bytes=3-", 3, 7, "bytes 3-9/10"),
        ("bytes=0-", 0, 10, "bytes 0-9/10"),
        ("bytes=-1", 9, 1, "bytes 9-9/10"),
        ("bytes=-10", 0, 10, "bytes 0-9/10"),
        ("bytes=-11", 0, 10, "bytes 0-9/10"),
        ("bytes=0-100000", 0, 10, "bytes 0-9/10"),
        ("bytes=8-10", 8, 2, "bytes 8-9/10"),
        ("BYTES=2-5", 2, 4, "bytes 2-5/10"),
        ("bytes= 2-5 ", 2, 4, "bytes 2-5/10"),
        ("bytes=\t2-5", 2, 4, "bytes 2-5/10"),
        ("bytes=2 - 5", 2, 4, "bytes 2-5/10"),
        ("bytes=,2-5,, ,", 2, 4, "bytes 2-5/10"),
        ("bytes=0000000000000000000000002-5", 2, 4, "bytes 2-5/10"),
        ("bytes=" + "0" * 8000 + "-" + "0" * 5000, 0, 1, "bytes 0-0/10"),
        ("bytes=0-" + "9" * 5000, 0, 10, "bytes 0-9/10"),
        ("bytes=-" + "9" * 5000, 0, 10, "bytes 0-9/10"),
        ("bytes=2-5,50-60", 2, 4, "bytes 2-5/10"),
        ("bytes=50-60,-0,2-5", 2, 4, "bytes 2-5/10"),
    ],
)
def test_one_range(value: str, start: int, length: int, content_range: str) -> None:
    got = answer(Range=value)

    assert (got.status, got.start, got.length, got.has_body) == (206, start, length, True)
    assert got.headers == {
        "ETag": ETAG,
        "Accept-Ranges": "bytes",
        "Content-Range": content_range,
        "Content-Length": str(length),
    }


@pytest.mark.parametrize(
    "value",
    [
        *["bytes=10-", "bytes=10-10", "bytes=11-20", "bytes=-0", "bytes=10-,20-30", "bytes=99-,-0"],
        *["bytes=" + "9" * 5000 + "-", f"bytes={2**63}-{2**63 + 5}"],
    ],
)
def test_a_range_past_the_end_is_416_with_the_size(value: str) -> None:
    got = answer(Range=value)

    assert (got.status, got.start, got.length, got.has_body) == (416, 0, 0, False)
    assert got.headers["Content-Range"] == "bytes */10"
    assert got.headers["Content-Length"] == "0"
    assert got.headers["ETag"] == ETAG


@pytest.mark.parametrize(
    "value",
    [
        *["", "bytes", "bytes=", "bytes=,", "bytes= , ,", "bytes=-", "bytes=--1", "bytes=1--2"],
        *["bytes=5-2", "bytes=a-b", "bytes=0x1-2", "bytes=1.0-2", "bytes=+1-2", "bytes=1-2-3"],
        *["bytes=1 2-3", "bytes=- 5", "bytes=1-2;3-4", "bytes:1-2", "bytes 1-2/10", "items=0-1"],
        *["bytes =0-1", "seconds=0-1", "0-1", "bytes=0-1,x", "bytes=x,0-1", "bytes=0-1,5-2"],
        *["bytes=\u0661-\u0662", "bytes=\uff11-\uff12", "bytes=\u00b2-", "bytes=0-1\n", "none"],
        *["bytes=0-1,4-5", "bytes=0-0,0-0", "bytes=0-,-1", "bytes=" + "0-0," * 2000 + "1-1"],
    ],
)
def test_malformed_foreign_and_many_ranges_get_the_whole(value: str) -> None:
    assert answer(Range=value) == answer()


@pytest.mark.parametrize("value", ["bytes=0-0", "bytes=0-", "bytes=-5", "bytes=-0", "bytes=9-,0-3"])
def test_an_empty_file_tells_its_size_to_a_probe(value: str) -> None:
    got = answer(0, Range=value)

    assert (got.status, got.start, got.length, got.has_body) == (200, 0, 0, True)
    assert got.headers["Content-Range"] == "bytes */0"
    assert got.headers["Content-Length"] == "0"


def test_an_empty_file_asked_past_its_start_is_416() -> None:
    got = answer(0, Range="bytes=1-")

    assert (got.status, got.length, got.has_body) == (416, 0, False)
    assert got.headers["Content-Range"] == "bytes */0"


def test_an_empty_file_without_a_range() -> None:
    got = answer(0)

    assert (got.status, got.length, got.has_body) == (200, 0, True)
    assert "Content-Range" not in got.headers


@pytest.mark.parametrize("headers", [{}, {"Range": "bytes=2-5"}, {"Range": "bytes=99-"}])
def test_head_has_the_headers_of_get_and_no_body(headers: dict[str, str]) -> None:
    get, head = answer(**headers), answer(method="HEAD", **headers)

    assert head.headers == get.headers
    assert (head.status, head.start, head.length) == (get.status, get.start, get.length)
    assert head.has_body is False


@pytest.mark.parametrize(
    ("value", "status"),
    [
        (ETAG, 304),
        (f"W/{ETAG}", 304),
        ("*", 304),
        (" * ", 304),
        (f'"other", {ETAG}', 304),
        (f'W/"other",W/{ETAG} , "more"', 304),
        (f"junk, {ETAG}", 304),
        ('"other"', 200),
        (ETAG.strip('"'), 200),
        (ETAG.upper(), 200),
        (f"{ETAG}x", 200),
        (f"w/{ETAG}", 200),
        (f"W/W/{ETAG}", 200),
        ("*, *", 200),
        ("", 200),
        (",", 200),
    ],
)
def test_if_none_match_compares_weakly(value: str, status: int) -> None:
    got = answer(If_None_Match=value, Range="bytes=0-1" if status == 304 else "")

    assert got.status == status
    if status == 304:
        assert (got.start, got.length, got.has_body) == (0, 0, False)
        assert got.headers == {"ETag": ETAG, "Content-Length": "10"}


@pytest.mark.parametrize(
    ("value", "status"),
    [
        (ETAG, 200),
        ("*", 200),
        (f'"other" ,{ETAG}', 200),
        (f"W/{ETAG}", 412),
        ('"other"', 412),
        (ETAG.strip('"'), 412),
        ("junk", 412),
    ],
)
def test_if_match_compares_strongly(value: str, status: int) -> None:
    got = answer(If_Match=value)

    assert got.status == status
    if status == 412:
        assert (got.start, got.length, got.has_body) == (0, 0, False)
        assert got.headers == {"ETag": ETAG, "Content-Length": "0"}


def test_if_match_comes_before_if_none_match_and_both_before_ranges() -> None:
    assert answer(If_Match='"x"', If_None_Match=ETAG, Range="bytes=0-1").status == 412
    assert answer(If_Match=ETAG, If_None_Match=ETAG, Range="bytes=0-1").status == 304
    assert answer(If_Match=ETAG, If_None_Match='"x"', Range="bytes=0-1").status == 206
    assert answer(If_None_Match=ETAG, Range="bytes=99-").status == 304


@pytest.mark.parametrize(
    ("value", "dated", "status"),
    [
        (ETAG, False, 206),
        (f" {ETAG} ", False, 206),
        ("", False, 206),
        (f"W/{ETAG}", False, 200),
        ('"other"', False, 200),
        (ETAG.strip('"'), False, 200),
        (f"{ETAG}, {ETAG}", False, 200),
        ("*", False, 200),
        (DATE_TEXT, True, 206),
        ("Monday, 23-Nov-26 15:50:07 GMT", True, 206),
        ("Mon Nov 23 15:50:07 2026", True, 206),
        (EARLIER, True, 200),
        (LATER, True, 200),
        ("no date", True, 200),
        (DATE_TEXT, False, 200),
    ],
)
def test_if_range(value: str, dated: bool, status: int) -> None:
    got = answer(dated=dated, If_Range=value, Range="bytes=2-5")

    assert got.status == status
    assert (got.start, got.length) == ((2, 4) if status == 206 else (0, 10))
    assert answer(dated=dated, If_Range=value).status == 200


@pytest.mark.parametrize("value", ['"other"', DATE_TEXT, f"W/{ETAG}"])
def test_a_failed_if_range_forgives_a_range_past_the_end(value: str) -> None:
    assert answer(If_Range=value, Range="bytes=99-") == answer()


@pytest.mark.parametrize(
    ("name", "value", "status"),
    [
        ("If_Modified_Since", EARLIER, 200),
        ("If_Modified_Since", DATE_TEXT, 304),
        ("If_Modified_Since", LATER, 304),
        ("If_Modified_Since", "no date", 200),
        ("If_Unmodified_Since", EARLIER, 412),
        ("If_Unmodified_Since", DATE_TEXT, 200),
        ("If_Unmodified_Since", LATER, 200),
        ("If_Unmodified_Since", "no date", 200),
    ],
)
def test_conditions_on_dates_need_a_dated_file(name: str, value: str, status: int) -> None:
    got = answer(dated=True, **{name: value})

    assert got.status == status
    assert got.headers["Last-Modified"] == DATE_TEXT
    assert answer(**{name: value}) == answer()


def test_tags_make_dates_void() -> None:
    assert answer(dated=True, If_None_Match='"x"', If_Modified_Since=LATER).status == 200
    assert answer(dated=True, If_None_Match=ETAG, If_Modified_Since=EARLIER).status == 304
    assert answer(dated=True, If_Match=ETAG, If_Unmodified_Since=EARLIER).status == 200
    assert answer(dated=True, If_Match='"x"', If_Unmodified_Since=LATER).status == 412


def test_a_date_of_any_zone_and_precision_counts_in_whole_seconds() -> None:
    east = (DATE + timedelta(microseconds=999_999)).astimezone(timezone(timedelta(hours=9)))

    got = plan("GET", 1, ETAG, {"If-Modified-Since": DATE_TEXT}, last_modified=east)

    assert got.status == 304
    assert got.headers["Last-Modified"] == DATE_TEXT


@pytest.mark.parametrize("method", ["POST", "PUT", "get", "", "OPTIONS"])
def test_other_methods_are_a_mistake_of_the_program(method: str) -> None:
    with pytest.raises(ValueError, match="does not fetch a file"):
        plan(method, 1, ETAG, {})


@pytest.mark.parametrize("etag", ["", "abc", 'W/"abc"', '"abc', '"a"b"', '"a,b"', '"a b"', '"é"'])
def test_other_tags_are_a_mistake_of_the_program(etag: str) -> None:
    with pytest.raises(ValueError, match="strong entity tag"):
        plan("GET", 1, etag, {})


# --- against the model ------------------------------------------------------------------------

numbers = st.integers(0, 30) | st.integers(10**18, 10**21)
specs = st.tuples(numbers, numbers) | st.tuples(numbers, st.none()) | st.tuples(st.none(), numbers)
Spec = tuple[int | None, int | None]


def render(spec: Spec, zeros: int, space: str) -> str:
    first, last = ("" if n is None else "0" * zeros + str(n) for n in spec)
    return f"{space}{first}-{last}{space}"


def wanted(spec: Spec, size_bytes: int) -> list[int] | None:
    """The positions a range asks for, within the file; ``None`` if it makes no sense."""
    first, last = spec
    if first is None:
        assert last is not None
        return list(range(size_bytes))[size_bytes - min(last, size_bytes) :]
    if last is not None and last < first:
        return None
    return [n for n in range(size_bytes) if n >= first and (last is None or n <= last)]


@given(
    size_bytes=st.integers(0, 25),
    listed=st.lists(specs, min_size=1, max_size=4),
    zeros=st.integers(0, 3),
    space=st.sampled_from(["", " ", "\t", "  "]),
    gap=st.sampled_from([",", ", ", ",,", " , ,"]),
    method=st.sampled_from(["GET", "HEAD"]),
)
@example(0, [(None, 5)], 0, "", ",", "GET")
@example(5, [(10**18, 10**21)], 0, "", ",", "GET")
def test_every_list_of_ranges_like_the_model(size_bytes, listed, zeros, space, gap, method) -> None:
    value = "bytes=" + gap.join(render(spec, zeros, space) for spec in listed)
    got = plan(method, size_bytes, ETAG, {"Range": value})

    positions = [wanted(spec, size_bytes) for spec in listed]
    found = [p for p in positions if p]
    starts_at_0 = any(first in {0, None} for first, _ in listed)
    sent = list(range(got.start, got.start + got.length))
    if None in positions or len(found) > 1:
        assert got.status == 200
        assert sent == list(range(size_bytes))
        assert "Content-Range" not in got.headers
    elif found:
        assert got.status == 206
        assert sent == found[0]
        expected = f"bytes {sent[0]}-{sent[-1]}/{size_bytes}"
        assert got.headers["Content-Range"] == expected
    else:
        assert got.status == (200 if size_bytes == 0 and starts_at_0 else 416)
        assert sent == []
        assert got.headers["Content-Range"] == f"bytes */{size_bytes}"
    assert got.headers["Content-Length"] == str(len(sent))
    assert got.has_body == (method == "GET" and got.status != 416)


CONDITIONS = ["Range", "If-Range", "If-Match", "If-None-Match"]
CONDITIONS += ["If-Modified-Since", "If-Unmodified-Since"]
hostile = st.text(max_size=60) | st.text(alphabet='bytes=0123456789-, \tW/"*;\n\0', max_size=80)


@given(
    size_bytes=st.integers(0, 2**63),
    headers=st.dictionaries(
        st.sampled_from(CONDITIONS),
        hostile | hostile.map(lambda text: "bytes=" + text) | st.just(ETAG) | st.just(DATE_TEXT),
    ),
    method=st.sampled_from(["GET", "HEAD"]),
    dated=st.booleans(),
)
def test_no_header_breaks_the_rules(size_bytes, headers, method, dated) -> None:
    got = plan(method, size_bytes, ETAG, headers, last_modified=DATE if dated else None)

    assert got.status in {200, 206, 304, 412, 416}
    assert 0 <= got.start <= got.start + got.length <= size_bytes
    assert got.has_body == (method == "GET" and got.status in {200, 206})
    assert got.status != 200 or (got.start, got.length) == (0, size_bytes)
    assert got.status != 206 or got.length > 0
    assert ("Content-Range" in got.headers) >= (got.status in {206, 416})
    assert got.headers["ETag"] == ETAG
    announced = size_bytes if got.status == 304 else got.length
    assert got.headers["Content-Length"] == str(announced)
    assert all(value.isascii() and value.isprintable() for value in got.headers.values())
