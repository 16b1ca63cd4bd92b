import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from licensing.documents.document import (
    MAX_DOCUMENT_BYTES,
    MAX_FILES,
    CoveredFile,
    Machine,
    expiry_of_file,
    read_document,
    write_document,
)
from licensing.documents.errors import MalformedLicenseError, WrongPurposeError
from licensing.documents.strict import MAX_DEPTH, canonical, read_json
from tests.licensing.documents.making import DAY_S, MODEL, NOW_S, a_license, covered

names = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=300)


def payload(**changes: Any) -> dict[str, Any]:
    """The license as JSON would have it, with members changed."""
    return json.loads(write_document(a_license())) | changes


def within(name: str, **changes: Any) -> dict[str, Any]:
    """The same with members of one of its objects changed."""
    return payload(**{name: payload()[name] | changes})


def with_model(**changes: Any) -> dict[str, Any]:
    return payload(models=[payload()["models"][0] | changes])


def with_file(**changes: Any) -> dict[str, Any]:
    return with_model(files=[payload()["models"][0]["files"][0] | changes])


@given(
    name=names,
    rights=st.dictionaries(
        st.from_regex("[a-z][a-z0-9_]{0,9}", fullmatch=True),
        st.booleans() | st.integers(min_value=0, max_value=2**53 - 1) | names,
        max_size=5,
    ),
    paths=st.sets(
        st.lists(names.filter(lambda part: not set(part) & set("/\\.")), min_size=1, max_size=3)
        .map("/".join)
        .filter(lambda path: len(path.encode()) <= 1000),
        min_size=1,
        max_size=5,
    ),
    machine=st.none() | names.map(lambda text: Machine(text, "")),
    ends_s=st.none() | st.integers(min_value=NOW_S + 30 * DAY_S, max_value=2**53 - 1),
)
def test_reads_what_it_writes(name, rights, paths, machine, ends_s) -> None:
    files = tuple(covered(path, path.encode()) for path in sorted(paths))
    license_ = a_license()
    document = replace(
        license_,
        licensee=replace(license_.licensee, name=name),
        rights=rights,
        models=(replace(MODEL, files=files),),
        machine=machine,
        license_expires_at=ends_s,
    )

    data = write_document(document)

    assert read_document(data) == document
    assert canonical(json.loads(data)) == data


def test_files_are_written_in_order_of_their_paths() -> None:
    shuffled = a_license(models=(replace(MODEL, files=MODEL.files[::-1]),))

    assert write_document(shuffled) == write_document(a_license())


MALFORMED = [
    payload(extra=1),
    {name: value for name, value in payload().items() if name != "machine"},
    payload(v=True),
    payload(iss=""),
    payload(iss=5),
    payload(iss="a\nb"),
    payload(jti="x" * 65),
    payload(iat=-1),
    payload(iat=True),
    payload(exp=2**53),
    payload(exp=NOW_S),
    payload(exp=NOW_S + 401 * DAY_S),
    payload(exp=None),
    payload(nbf=NOW_S + 30 * DAY_S),
    payload(license_expires_at=NOW_S + 29 * DAY_S),
    payload(license_expires_at="never"),
    payload(licensee=[]),
    within("licensee", kind="robot"),
    within("seats", count=0),
    within("seats", kind="chairs"),
    within("terms", sha256="B" * 64),
    within("terms", sha256="b" * 63),
    within("terms", url=None),
    payload(rights=[]),
    payload(rights={"Commercial": True}),
    payload(rights={"commercial": None}),
    payload(rights={"commercial": [True]}),
    payload(rights={"seats": -1}),
    payload(rights={f"r{number}": True for number in range(101)}),
    payload(updates="some"),
    payload(test=0),
    payload(machine={"fingerprint": "", "name": ""}),
    payload(models=[]),
    payload(models={}),
    payload(models=[payload()["models"][0]] * 2),
    payload(models=[payload()["models"][0]] * 101),
    with_model(revision="a" * 39),
    with_model(revision="g" * 40),
    with_model(files=[]),
    with_model(files=payload()["models"][0]["files"][::-1]),
    with_model(files=payload()["models"][0]["files"][:1] * 2),
    with_file(size_bytes=-1),
    with_file(size_bytes="7"),
    with_file(sha256="é" * 64),
    *(
        with_file(path=path)
        for path in (
            "",
            "/etc/passwd",
            "\\x",
            "a//b",
            "a/../b",
            "..",
            "./a",
            "a/",
            "a\0",
            "é" * 501,
        )
    ),
]


@pytest.mark.parametrize("value", MALFORMED, ids=range(len(MALFORMED)))
def test_refuses_what_no_license_says(value) -> None:
    with pytest.raises(MalformedLicenseError):
        read_document(canonical(value))


@pytest.mark.parametrize(
    "value",
    [
        payload(purpose="gpt-store/receipt"),
        payload(aud="somebody"),
        payload(v=2),
        {},
        [],
        None,
        "gpt-store/license",
    ],
)
def test_refuses_what_is_no_license(value) -> None:
    with pytest.raises(WrongPurposeError):
        read_document(canonical(value))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"{",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"v":1.0}',
        b'{"v":NaN}',
        b'{"v":1e9}',
        b'{"v":' + b"9" * 5000 + b"}",
        b'{"v":1,"v":1}',
        b'{ "v":1}',
        b'{"v":"\\u0041"}',
        b'{"v":"\\ud800"}',
        b'"' + b'\\"' * 100_000,
        b" " * (MAX_DOCUMENT_BYTES + 1),
    ],
    ids=range(15),
)
def test_refuses_bytes_that_stores_do_not_write(data) -> None:
    with pytest.raises(MalformedLicenseError):
        read_document(data)


def test_lists_and_objects_are_nested_so_deep_and_no_deeper() -> None:
    text = b'"' + b"[" * 50 + b'\\""'  # brackets in texts do not count

    assert read_json(b"[" * (MAX_DEPTH - 1) + b"[" + text + b"]" * MAX_DEPTH)
    with pytest.raises(MalformedLicenseError, match="nested"):
        read_json(b"[" * (MAX_DEPTH + 1) + text + b"]" * (MAX_DEPTH + 1))


def test_whatever_is_refused_is_not_written_either() -> None:
    many = tuple(CoveredFile(f"{number:06}", "c" * 64, 1) for number in range(MAX_FILES + 1))

    for document in (
        a_license(offer=""),
        a_license(offer="\ud800"),
        a_license(file_expires_at=NOW_S - 1),
        a_license(models=(replace(MODEL, files=many[:-1]), replace(MODEL, id="2", files=many))),
        a_license(models=(replace(MODEL, files=many),)),
        a_license(models=(replace(MODEL, files=many[1:]), replace(MODEL, id="2"))),
    ):
        with pytest.raises(MalformedLicenseError):
            write_document(document)


def test_as_many_files_as_allowed_can_be_written() -> None:
    many = tuple(CoveredFile(f"{number:06}", "c" * 64, 1) for number in range(MAX_FILES))

    document = a_license(models=(replace(MODEL, files=many),))

    assert read_document(write_document(document)) == document


def test_a_file_lives_for_a_month_and_never_longer_than_its_license() -> None:
    assert expiry_of_file(NOW_S, None) == NOW_S + 31 * DAY_S
    assert expiry_of_file(NOW_S, NOW_S + DAY_S) == NOW_S + DAY_S
    assert expiry_of_file(NOW_S, NOW_S + 99 * DAY_S) == NOW_S + 31 * DAY_S
