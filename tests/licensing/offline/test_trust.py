"""Whose keys are believed, and where they come from."""

import http.server
import json
import threading
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from licensing.documents.errors import BadAddressError, BadKeySetError, WrongStoreError
from licensing.documents.jws import read_file
from licensing.documents.keyset import KeySet, PublicKey, thumbprint
from licensing.documents.strict import canonical
from licensing.offline import places
from licensing.offline.trust import TrustedKeys, fetch_keys, store_address
from tests.licensing.documents.making import a_license
from tests.licensing.offline.conftest import KEYS, KID

STORE = "https://models.example.org"
AT = ("--now", "2023-11-20")
NEWER = Ed25519PrivateKey.from_private_bytes(bytes(32))
NEWER_RAW = NEWER.public_key().public_bytes_raw()


@pytest.mark.parametrize(
    ("written", "address"),
    [
        ("https://Models.Example.org/", STORE),
        ("https://models.example.org:443/x?y", STORE),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("http://[::1]:80", "http://[::1]"),
        ("https://models.example.org:8443", "https://models.example.org:8443"),
    ],
)
def test_an_address_has_one_spelling(written, address) -> None:
    assert store_address(written) == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        "models.example.org",
        "ftp://x",
        "https://",
        "https://a:b@c",
        "https://x:99999",
        "http://[",
    ],
)
def test_what_is_no_address_of_a_store(text) -> None:
    with pytest.raises(BadAddressError):
        store_address(text)


def test_keys_are_trusted_from_a_file_for_one_store(run, license_file, jwks) -> None:
    asked = ("license", "verify", license_file(), *AT)
    assert run(*asked)[0] == 1
    assert run("keys", "list")[1] == ""

    code, said, _ = run("keys", "add", jwks, "--store", STORE)

    assert code == 0
    assert f"  {KID}\n" in said
    assert run(*asked)[0] == 0
    assert run("keys", "list")[1] == f"{STORE}\n  {KID}\n"
    assert run("keys", "remove", STORE)[0] == 0
    assert run(*asked)[0] == 1
    assert run("keys", "remove", STORE)[0] == 2


def test_a_store_vouches_for_its_own_licenses_alone(run, license_file, jwks) -> None:
    run("keys", "add", jwks, "--store", "https://other.example.org")

    code, _, complaints = run("license", "verify", license_file(), *AT)

    assert code == 1
    assert "names another store" in complaints
    assert run("license", "verify", license_file(store="a shop"), *AT)[0] == 1


def test_another_trusted_stores_key_does_not_help(run, license_file, jwks, tmp_path) -> None:
    run("keys", "add", jwks, "--store", STORE)
    other = tmp_path / "other.json"
    other.write_bytes(canonical(KeySet([PublicKey(NEWER_RAW)]).jwks()))
    run("keys", "add", other, "--store", "https://other.example.org")

    path = license_file(key=NEWER)

    with pytest.raises(WrongStoreError):
        TrustedKeys().open(read_file(Path(path).read_bytes()))
    assert run("license", "verify", license_file(), *AT)[0] == 0


def test_a_rotation_is_taken_over_and_other_keys_are_not(run, license_file, jwks) -> None:
    run("keys", "add", jwks, "--store", STORE)
    path = Path(jwks)
    strange = canonical(KeySet([PublicKey(NEWER_RAW)]).jwks())
    path.write_bytes(strange)

    code, _, complaints = run("keys", "add", jwks, "--store", STORE)
    assert code == 2
    assert "--replace" in complaints
    assert run("license", "verify", license_file(), *AT)[0] == 0
    assert run("license", "verify", license_file(key=NEWER), *AT)[0] == 1

    rotated = KeySet(
        [PublicKey(NEWER_RAW), PublicKey(next(iter(KEYS)).raw, retired_at=1_700_000_000)]
    )
    path.write_bytes(canonical(rotated.jwks()))
    assert run("keys", "add", jwks, "--store", STORE)[0] == 0
    assert run("license", "verify", license_file(), *AT)[0] == 0
    assert run("license", "verify", license_file(key=NEWER), *AT)[0] == 0
    assert "until 2023-11-14" in run("keys", "list")[1]

    path.write_bytes(strange)
    assert run("keys", "add", jwks, "--store", STORE, "--replace")[0] == 0
    assert run("license", "verify", license_file(), *AT)[0] == 1


def test_keys_in_the_package_are_trusted(license_file, tmp_path) -> None:
    pinned = tmp_path / "pinned.json"
    pinned.write_bytes(canonical({"v": 1, "stores": [{"address": STORE} | KEYS.jwks()]}))

    opened = TrustedKeys(pinned=pinned).open(read_file(Path(license_file()).read_bytes()))

    assert opened.document == a_license()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        '{"v":2,"stores":[]}',
        '{"v":1,"stores":[5]}',
        '{"v":1,"stores":[{"address":"x","keys":[]}]}',
        '{"v":1,"stores":[{"address":"https://x","keys":[]}]}',
    ],
)
def test_a_damaged_file_of_keys_is_an_error(run, license_file, jwks, home, text) -> None:
    path = home / "config/gpt-store/keys.json"
    path.parent.mkdir(parents=True)
    path.write_text(text)

    for asked in (
        ("license", "verify", license_file(), *AT),
        ("keys", "add", jwks, "--store", STORE),
    ):
        code, _, complaints = run(*asked)
        assert code == 2
        assert "is damaged" in complaints
    assert path.read_text() == text


def test_a_file_of_keys_that_is_not_there(run, license_file) -> None:
    code, _, complaints = run("license", "verify", license_file(), "--keys", "/nowhere/jwks.json")

    assert code == 2
    assert complaints.startswith("error: The key set cannot be read")


def test_a_file_needs_to_be_told_whose_keys_it_holds(run, jwks) -> None:
    code, _, complaints = run("keys", "add", jwks)

    assert code == 2
    assert "--store" in complaints


@pytest.fixture
def site(socket_enabled=None):
    """A store's address; ``answers`` says what it sends."""
    answers: dict[str, tuple[int, dict[str, str], bytes]] = {}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, headers, body = answers.get(self.path, (404, {}, b""))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", answers
    server.shutdown()
    thread.join()
    server.server_close()


def test_keys_are_fetched_from_a_store(run, license_file, site) -> None:
    address, answers = site
    answers["/.well-known/jwks.json"] = (200, {}, canonical(KEYS.jwks()))
    answers["/keys"] = (200, {}, canonical(KEYS.jwks()))

    code, said, _ = run("keys", "add", address)

    assert code == 0
    assert address in said
    assert run("license", "verify", license_file(store=address), *AT)[0] == 0
    assert run("license", "verify", license_file(), *AT)[0] == 1
    assert run("license", "verify", license_file(), *AT, "--keys", f"{address}/keys")[0] == 0


@pytest.mark.parametrize(
    "answer",
    [
        (404, {}, b""),
        (302, {"Location": "/.well-known/jwks.json"}, b""),
        (200, {}, b"<html>"),
        (200, {}, b"x" * (300 * 1024)),
        (200, {"Content-Length": "999"}, b"short"),
    ],
)
def test_what_sends_no_key_set_is_not_trusted(run, site, home, answer) -> None:
    address, answers = site
    answers["/keys"] = answer
    answers["/.well-known/jwks.json"] = (200, {}, canonical(KEYS.jwks()))

    with pytest.raises((BadAddressError, BadKeySetError)):
        fetch_keys(f"{address}/keys")
    assert run("keys", "add", f"{address}/keys")[0] == 2
    assert not (home / "config").exists()


@pytest.mark.parametrize("address", ["http://models.example.org", "http://10.0.0.1/keys"])
def test_keys_are_not_fetched_where_anybody_could_change_them(address) -> None:
    with pytest.raises(BadAddressError, match="https"):
        fetch_keys(address)


def test_nobody_answers(site) -> None:
    with pytest.raises(BadAddressError, match="does not answer"):
        fetch_keys("http://127.0.0.1:1/keys")


def test_each_system_has_its_own_folders(monkeypatch) -> None:
    for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    found = {}
    for system in ("linux", "darwin", "win32"):
        monkeypatch.setattr(places.sys, "platform", system)
        found[system] = [places.config_folder(), places.state_folder()]
    monkeypatch.undo()

    home = Path.home()
    assert found == {
        "linux": [home / ".config/gpt-store", home / ".local/state/gpt-store"],
        "darwin": [home / "Library/Application Support/gpt-store"] * 2,
        "win32": [home / "AppData/Local/gpt-store"] * 2,
    }


def test_a_write_that_fails_leaves_the_file_as_it_was(tmp_path, monkeypatch) -> None:
    path = tmp_path / "keys.json"
    places.write_whole(path, b"before")
    monkeypatch.setattr(Path, "replace", lambda self, to: (_ for _ in ()).throw(OSError("full")))

    with pytest.raises(OSError, match="full"):
        places.write_whole(path, b"after")

    assert path.read_bytes() == b"before"
    assert [item.name for item in tmp_path.iterdir()] == ["keys.json"]
    assert path.stat().st_mode & 0o777 == 0o600


def test_saved_keys_can_be_read_by_people(run, jwks, home) -> None:
    run("keys", "add", jwks, "--store", STORE)

    told = json.loads((home / "config/gpt-store/keys.json").read_text())
    assert told == {"v": 1, "stores": [{"address": STORE} | KEYS.jwks()]}
    assert thumbprint(NEWER_RAW) not in str(told)
