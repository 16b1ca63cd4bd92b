"""Signed texts: what is genuine opens, and nothing else does."""

import base64
import hashlib
import hmac
import json

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from licensing.documents.document import MAX_FILE_BYTES, write_document
from licensing.documents.errors import (
    BadKeySetError,
    BadSignatureError,
    LicenseExpiredError,
    LicenseFileError,
    LicenseNotYetValidError,
    MalformedLicenseError,
    UnknownKeyError,
    WrongPurposeError,
)
from licensing.documents.jws import (
    LEEWAY_S,
    TYPE,
    check_times,
    compact,
    open_license,
    read_file,
    write_file,
)
from licensing.documents.keyset import (
    MAX_SET_BYTES,
    KeySet,
    PublicKey,
    read_key_set,
    thumbprint,
)
from licensing.documents.strict import canonical, from_base64url, to_base64url
from tests.licensing.documents.making import DAY_S, NOW_S, a_license

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
RAW = KEY.public_key().public_bytes_raw()
KID = thumbprint(RAW)
KEYS = KeySet([PublicKey(RAW)])
PAYLOAD = write_document(a_license())
TEXT = compact(PAYLOAD, kid=KID, sign=KEY.sign)
HEADER = {"alg": "EdDSA", "kid": KID, "typ": TYPE}


def signed(header, payload=PAYLOAD, key=KEY) -> str:
    """A text with any header, signed by ``key``."""
    head = header if isinstance(header, bytes) else canonical(header)
    text = f"{to_base64url(head)}.{to_base64url(payload)}"
    return f"{text}.{to_base64url(key.sign(text.encode()))}"


def test_opens_what_it_signed() -> None:
    opened = open_license(TEXT, KEYS)

    assert (opened.document, opened.kid) == (a_license(), KID)
    assert signed(HEADER) == TEXT


def test_pyjwt_verifies_the_same_text() -> None:
    key = jwt.PyJWKSet.from_dict(json.loads(canonical(KEYS.jwks())))[KID]

    claims = jwt.decode(
        TEXT,
        key.key,
        algorithms=["EdDSA"],
        audience="gpt-store",
        issuer="https://models.example.org",
        options={"verify_exp": False, "verify_nbf": False, "verify_iat": False},
    )

    assert jwt.get_unverified_header(TEXT) == HEADER
    assert canonical(claims) == PAYLOAD


def test_opens_what_pyjwt_signed() -> None:
    """Only the header's order of members is ours: it is put in by hand."""
    head, body, _ = TEXT.split(".")
    signature = jwt.get_algorithm_by_name("EdDSA").sign(f"{head}.{body}".encode(), KEY)

    assert open_license(f"{head}.{body}.{to_base64url(signature)}", KEYS).kid == KID


def test_cryptography_alone_verifies_the_same_text() -> None:
    head, body, tail = TEXT.split(".")
    jwk = KEYS.jwks()["keys"][0]
    raw = base64.urlsafe_b64decode(jwk["x"] + "=")

    Ed25519PublicKey.from_public_bytes(raw).verify(
        base64.urlsafe_b64decode(tail + "=="), f"{head}.{body}".encode()
    )

    assert base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)) == PAYLOAD


@given(st.integers(min_value=0, max_value=8 * len(TEXT) - 1))
def test_no_flipped_bit_goes_unnoticed(place) -> None:
    data = bytearray(TEXT.encode())
    data[place // 8] ^= 1 << place % 8

    with pytest.raises(LicenseFileError):
        open_license(data.decode("latin-1"), KEYS)


@given(st.integers(min_value=0, max_value=len(TEXT) - 1))
def test_no_cut_goes_unnoticed(place) -> None:
    for text in (TEXT[:place], TEXT[place + 1 :], TEXT[:place] + TEXT[place + 1 :]):
        with pytest.raises(LicenseFileError):
            open_license(text, KEYS)


def test_every_bit_of_the_signature_counts() -> None:
    """The last character has four spare bits; spellings with other ones are refused."""
    head, body, tail = TEXT.split(".")
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    refused = 0
    for char in alphabet.replace(tail[-1], ""):
        with pytest.raises(LicenseFileError):
            open_license(f"{head}.{body}.{tail[:-1]}{char}", KEYS)
        refused += 1
    assert refused == 63


OTHER = Ed25519PrivateKey.from_private_bytes(bytes(32))
OTHER_RAW = OTHER.public_key().public_bytes_raw()
HEADERS = [
    (HEADER | {"alg": "none"}, MalformedLicenseError),
    (HEADER | {"alg": "HS256"}, MalformedLicenseError),
    (HEADER | {"alg": "Ed25519"}, MalformedLicenseError),
    (HEADER | {"alg": None}, MalformedLicenseError),
    (HEADER | {"kid": thumbprint(OTHER_RAW)}, UnknownKeyError),
    (HEADER | {"kid": "../../etc/passwd"}, UnknownKeyError),
    (HEADER | {"typ": "JWT"}, WrongPurposeError),
    (HEADER | {"typ": "gpt-store-receipt+jwt"}, WrongPurposeError),
    (HEADER | {"jwk": PublicKey(OTHER_RAW).jwk()}, MalformedLicenseError),
    (HEADER | {"jku": "https://evil.test/jwks.json"}, MalformedLicenseError),
    (HEADER | {"crit": ["b64"], "b64": False}, MalformedLicenseError),
    ({"alg": "EdDSA", "typ": TYPE}, MalformedLicenseError),
    ([], MalformedLicenseError),
    (json.dumps(HEADER).encode(), MalformedLicenseError),  # with spaces
    (canonical(HEADER)[:-1] + b',"typ":"JWT"}', MalformedLicenseError),
    (b"[" * 50_000, MalformedLicenseError),
    (b"", MalformedLicenseError),
]


@pytest.mark.parametrize(("header", "error"), HEADERS, ids=range(len(HEADERS)))
@pytest.mark.parametrize("key", [KEY, OTHER], ids=["genuine", "forger"])
def test_a_header_decides_nothing(header, error, key) -> None:
    with pytest.raises(error):
        open_license(signed(header, key=key), KEYS)


def test_no_other_algorithm_is_believed() -> None:
    head, body, _ = TEXT.split(".")
    public = KEYS.jwks()["keys"][0]["x"].encode()
    by_hmac = hmac.digest(public, f"{head}.{body}".encode(), "sha256")

    for signature in (b"", by_hmac, bytes(64), hmac.digest(RAW, body.encode(), "sha512")):
        with pytest.raises((BadSignatureError, MalformedLicenseError)):
            open_license(f"{head}.{body}.{to_base64url(signature)}", KEYS)


def test_a_forged_signature_is_refused() -> None:
    with pytest.raises(BadSignatureError):
        open_license(signed(HEADER, key=OTHER), KEYS)


def test_a_signature_for_another_purpose_fits_no_license() -> None:
    receipt = canonical(json.loads(PAYLOAD) | {"purpose": "gpt-store/receipt"})

    with pytest.raises(WrongPurposeError):
        open_license(signed(HEADER, payload=receipt), KEYS)
    token = jwt.encode({"sub": "bob"}, KEY, algorithm="EdDSA", headers={"kid": KID})
    with pytest.raises(LicenseFileError):
        open_license(token, KEYS)


@pytest.mark.parametrize(
    "text",
    ["", ".", "..", "...", TEXT + ".", TEXT + "\n", " " + TEXT, TEXT + "=", "é.é.é", "a.b.c"],
)
def test_refuses_what_is_no_signed_text(text) -> None:
    with pytest.raises(MalformedLicenseError):
        open_license(text, KEYS)


def test_refuses_a_huge_text() -> None:
    with pytest.raises(MalformedLicenseError):
        open_license("A" * (MAX_FILE_BYTES - 2) + "...", KEYS)
    with pytest.raises(MalformedLicenseError):
        open_license(TEXT + "A" * MAX_FILE_BYTES, KEYS)


def test_a_retired_key_vouches_for_nothing_later() -> None:
    assert open_license(TEXT, KeySet([PublicKey(RAW, retired_at=NOW_S)])).kid == KID
    with pytest.raises(BadSignatureError, match="retired"):
        open_license(TEXT, KeySet([PublicKey(RAW, retired_at=NOW_S - 1)]))


def test_counts_from_its_beginning_to_its_end() -> None:
    document = a_license(valid_from=NOW_S + DAY_S)

    check_times(document, now_s=NOW_S + DAY_S - LEEWAY_S)
    check_times(document, now_s=NOW_S + 30 * DAY_S - 1)
    with pytest.raises(LicenseNotYetValidError, match="has not begun"):
        check_times(document, now_s=NOW_S + DAY_S - LEEWAY_S - 1)
    with pytest.raises(LicenseNotYetValidError, match="clock"):
        check_times(document, now_s=NOW_S - LEEWAY_S - 1)
    with pytest.raises(LicenseExpiredError, match="too old") as caught:
        check_times(document, now_s=NOW_S + 30 * DAY_S)
    assert caught.value.extra == {"what": "file"}
    with pytest.raises(LicenseExpiredError, match="has ended"):
        check_times(document, now_s=NOW_S + 365 * DAY_S)
    with pytest.raises(LicenseExpiredError, match="too old"):
        check_times(a_license(license_expires_at=None), now_s=NOW_S + 9999 * DAY_S)


def test_a_file_holds_the_text_and_nothing_that_vouches_for_it() -> None:
    data = write_file(TEXT)

    assert json.loads(data) == {"format": "gpt-store-license/1", "license": TEXT}
    assert read_file(data) == TEXT
    assert read_file(json.dumps(json.loads(data), indent=2).encode()) == TEXT


@pytest.mark.parametrize(
    "data",
    [
        b"",
        TEXT.encode(),
        b"{}",
        b"[]",
        canonical({"license": TEXT}),
        canonical({"format": "gpt-store-license/2", "license": TEXT}),
        canonical({"format": "gpt-store-license/1", "license": 5}),
        canonical({"format": "gpt-store-license/1", "license": TEXT, "keys": KEYS.jwks()}),
        b'{"format":"gpt-store-license/1","license":"a","license":"b"}',
        b" " * (MAX_FILE_BYTES + 1),
    ],
    ids=range(10),
)
def test_refuses_what_is_no_license_file(data) -> None:
    with pytest.raises(MalformedLicenseError):
        read_file(data)


def test_a_key_set_can_be_read_again() -> None:
    keys = KeySet([PublicKey(RAW), PublicKey(OTHER_RAW, retired_at=7)])

    read = read_key_set(canonical(keys.jwks()))

    assert list(read) == list(keys)
    assert (len(read), KID in read, "x" in read) == (2, True, False)


def test_ids_are_thumbprints_of_rfc_7638() -> None:
    """The example of RFC 8037, appendix A.3."""
    raw = from_base64url("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo")

    assert thumbprint(raw) == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
    essence = b'{"crv":"Ed25519","kty":"OKP","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}'
    assert from_base64url(thumbprint(raw)) == hashlib.sha256(essence).digest()


def test_keys_of_other_kinds_are_passed_over() -> None:
    ours = PublicKey(RAW).jwk()
    others = [
        {"kty": "RSA", "n": "AQAB", "e": "AQAB"},
        ours | {"use": "enc"},
        ours | {"alg": "ES256"},
        ours | {"crv": "X25519"},
        5,
    ]

    assert list(read_key_set(canonical({"keys": [*others, ours]}))) == [PublicKey(RAW)]
    with pytest.raises(BadKeySetError, match="no Ed25519 key"):
        read_key_set(canonical({"keys": others}))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{}",
        b'{"keys":5}',
        b'{"keys":[]}',
        canonical({"keys": [5] * 201}),
        canonical({"keys": [PublicKey(RAW).jwk() | {"kid": thumbprint(OTHER_RAW)}]}),
        canonical({"keys": [PublicKey(RAW).jwk() | {"x": "AA"}]}),
        canonical({"keys": [PublicKey(RAW).jwk() | {"x": "="}]}),
        canonical({"keys": [PublicKey(RAW).jwk() | {"retired_at": "now"}]}),
        b" " * (MAX_SET_BYTES + 1),
    ],
    ids=range(11),
)
def test_refuses_what_is_no_key_set(data) -> None:
    with pytest.raises(BadKeySetError):
        read_key_set(data)
