"""Signed links: whom they let do what, and for how long."""

import hashlib
import hmac
from dataclasses import replace
from typing import Literal
from urllib.parse import parse_qs, urlsplit

import pytest

from store.storage import (
    BlobStore,
    S3Config,
    storage_from,
)
from tests.s3_server import SECRET
from tests.store.storage.lab import MIB, digest_of, noise, put, send

PART = 5 * MIB
DATA = noise(2 * PART + 7)
METHODS: tuple[Literal["GET"], Literal["HEAD"]] = ("GET", "HEAD")


def link(
    store: BlobStore,
    data: bytes,
    *,
    method: Literal["GET", "HEAD"] = "GET",
    filename: str = "a.bin",
    expires_s: int = 60,
) -> str:
    url = store.download_url(
        digest_of(data),
        filename=filename,
        content_type="text/plain",
        expires_s=expires_s,
        method=method,
    )
    assert url is not None
    return url


def test_a_download_link_gives_the_bytes_with_name_and_type(s3: BlobStore) -> None:
    put(s3, b"hello")

    status, headers, body = send("GET", link(s3, b"hello", filename='weights "1".bin'))

    assert (status, body) == (200, b"hello")
    assert headers["content-type"] == "text/plain"
    assert headers["content-disposition"] == (
        "attachment; filename*=UTF-8''weights%20%221%22.bin; filename=\"weights _1_.bin\";"
    )


def test_a_head_link_is_signed_for_head(s3: BlobStore) -> None:
    put(s3, b"hello")

    status, headers, body = send("HEAD", link(s3, b"hello", method="HEAD"))

    assert (status, headers["content-length"], body) == (200, "5", b"")
    signatures = {
        parse_qs(urlsplit(link(s3, b"hello", method=method)).query)["X-Amz-Signature"][0]
        for method in METHODS
    }
    assert len(signatures) == 2


def test_a_download_link_says_how_long_it_lives(s3: BlobStore) -> None:
    query = parse_qs(urlsplit(link(s3, b"hello", expires_s=77)).query)

    assert query["X-Amz-Expires"] == ["77"]
    assert query["X-Amz-SignedHeaders"] == ["host"]
    assert query["X-Amz-Algorithm"] == ["AWS4-HMAC-SHA256"]


def test_the_link_of_an_absent_blob_leads_nowhere(s3: BlobStore) -> None:
    status, _, body = send("GET", link(s3, b"never sent"))

    assert status in {403, 404}  # which one depends on the right to list the bucket
    assert b"<Error>" in body


def test_links_carry_the_public_address(s3_config: S3Config) -> None:
    store = storage_from(replace(s3_config, public_endpoint="https://s3.example.org:9000"))
    plan = store.start(digest_of(b"x"), 1, part_size_bytes=1)

    for url in (link(store, b"hello"), store.part_url(plan, 1, expires_s=60)):
        assert url
        assert url.startswith("https://s3.example.org:9000/blobs/")


def test_amazon_itself_is_addressed_by_bucket_and_region() -> None:
    store = storage_from(S3Config("models", region="eu-central-1", access_key="A", secret_key="B"))

    url = urlsplit(link(store, b"hello"))

    assert url.netloc == "models.s3.eu-central-1.amazonaws.com"
    assert url.path.startswith("/sha256/2c/f2/2cf24dba5fb0a30e")


@pytest.mark.parametrize(
    "wrong",
    [{"bucket": ""}, {"access_key": ""}, {"secret_key": ""}],
)
def test_half_a_configuration_is_said_at_once(s3_config: S3Config, wrong: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="S3 needs a bucket, and both keys or neither"):
        replace(s3_config, **wrong)


def test_the_secret_is_not_printed(s3_config: S3Config) -> None:
    assert s3_config.secret_key not in repr(s3_config)


@pytest.mark.parametrize("size_bytes", [0, 9, 2 * PART + 7])
def test_upload_links_need_no_header_and_are_bound_to_the_size(s3, size_bytes: int) -> None:
    plan = s3.start(digest_of(b""), size_bytes, part_size_bytes=PART)

    for number in range(1, plan.part_count + 1):
        query = parse_qs(urlsplit(s3.part_url(plan, number, expires_s=900)).query)
        # every HTTP client sends these two by itself
        assert query["X-Amz-SignedHeaders"] == ["content-length;host"]
        assert query["X-Amz-Expires"] == ["900"]
        assert not {name for name in query if "checksum" in name.lower()}


def signature_fits(method: str, url: str, content_length: int) -> bool:
    """Check a link as S3 does, from its documentation of signature version 4."""
    address = urlsplit(url)
    query = [pair for pair in address.query.split("&") if not pair.startswith("X-Amz-Signature=")]
    given = {name: values[0] for name, values in parse_qs(address.query).items()}
    sent = {"host": address.netloc, "content-length": str(content_length)}
    names = given["X-Amz-SignedHeaders"].split(";")
    lines = [method, address.path, "&".join(sorted(query))]
    lines += [f"{name}:{sent[name]}" for name in names]
    lines += ["", ";".join(names), "UNSIGNED-PAYLOAD"]
    scope = given["X-Amz-Credential"].partition("/")[2]
    request = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    text = "\n".join(["AWS4-HMAC-SHA256", given["X-Amz-Date"], scope, request])
    key = b"AWS4" + SECRET.encode()
    for step in [*scope.split("/"), text]:
        key = hmac.digest(key, step.encode(), "sha256")
    return key.hex() == given["X-Amz-Signature"]


def test_a_signature_fits_one_method_object_part_and_size(s3: BlobStore) -> None:
    digest = digest_of(DATA)
    plan = s3.start(digest, len(DATA), part_size_bytes=PART)
    piece = s3.start(digest, 5, part_size_bytes=PART)
    part = s3.part_url(plan, 3, expires_s=60) or ""
    whole = s3.part_url(piece, 1, expires_s=60) or ""
    get = link(s3, DATA)

    assert signature_fits("PUT", part, 7)
    assert signature_fits("PUT", whole, 5)
    assert signature_fits("GET", get, 0)
    for method, url, size_bytes in [
        ("PUT", part, 8),
        ("PUT", part, 6),
        ("PUT", part.replace("partNumber=3", "partNumber=2"), 7),
        ("PUT", part.replace("X-Amz-Expires=60", "X-Amz-Expires=61"), 7),
        ("DELETE", part, 7),
        ("PUT", whole, 6),
        ("GET", whole, 5),
        ("HEAD", get, 0),
        ("GET", get.replace(digest, digest_of(b"another")), 0),
        ("GET", get.replace("a.bin", "b.bin"), 0),
        ("GET", get.replace("text%2Fplain", "text%2Fhtml"), 0),
    ]:
        assert url in {part, whole, get} or url.count("X-Amz-Signature") == 1
        assert not signature_fits(method, url, size_bytes), (method, url)


def test_links_of_parts_differ_in_size_signature_and_number(s3: BlobStore) -> None:
    plan = s3.start(digest_of(DATA), len(DATA), part_size_bytes=PART)

    urls = [s3.part_url(plan, n, expires_s=60) or "" for n in (1, 2, 3)]

    assert len(set(urls)) == 3
    assert [parse_qs(urlsplit(url).query)["partNumber"] for url in urls] == [["1"], ["2"], ["3"]]


def test_a_batch_of_small_files_needs_no_round_trip() -> None:
    address = "http://127.0.0.1:9"
    store = storage_from(S3Config("b", endpoint=address, access_key="A", secret_key="B"))

    plans = [store.start(digest_of(bytes([n])), 1, part_size_bytes=PART) for n in range(100)]

    assert len({store.part_url(plan, 1, expires_s=60) for plan in plans}) == 100
