"""Private keys: made once, kept to their owner, rotated, retired."""

import base64
import io
import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import time_machine
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from django.core.management import CommandError, call_command
from pydantic import SecretStr

from licensing.configured import license_key_again, new_license_key, signer
from licensing.documents.errors import (
    KeyFolderError,
    MalformedLicenseError,
    UnknownKeyError,
)
from licensing.documents.folder import AHEAD_S, KeyFolder
from licensing.documents.jws import open_license
from licensing.documents.keys import digest_of_key
from licensing.documents.keyset import thumbprint
from licensing.documents.signing import GivenKeys, Signer, signer_for
from licensing.views_keys import MAX_AGE_S
from store.core.sealing import SealBrokenError
from tests.licensing.documents.making import a_license

SEED = bytes(range(32))


def later(by_s: int) -> time_machine.travel:
    """So many seconds from now."""
    return time_machine.travel(datetime.now(UTC) + timedelta(seconds=by_s))


def pem(key, encryption=None) -> str:
    return key.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption()
    ).decode()


@pytest.fixture
def folder(tmp_path) -> KeyFolder:
    return KeyFolder(tmp_path / "deep" / "keys")


def contents(folder: KeyFolder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.folder.iterdir()}


def test_the_first_key_is_made_once_and_for_its_owner_alone(folder) -> None:
    old = os.umask(0)
    try:
        made = folder.kept()
    finally:
        os.umask(old)

    assert folder.kept() == made
    assert len(made) == 1
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.folder.iterdir()}
    assert modes == {f"{made[0].kid}.pem": 0o600, "keys.json": 0o600, "lock": 0o600}
    assert stat.S_IMODE(folder.folder.stat().st_mode) == 0o700


def test_no_id_looks_like_an_option_of_a_command(folder, monkeypatch) -> None:
    drawn = [Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32) for number in range(256)]
    ids = [thumbprint(key.public_key().public_bytes_raw()) for key in drawn]
    first = next(place for place, kid in enumerate(ids) if kid.startswith("-"))
    queue = iter(drawn[first:])
    monkeypatch.setattr(Ed25519PrivateKey, "generate", lambda: next(queue))

    kid = folder.kept()[0].kid

    assert kid == next(kid for kid in ids[first:] if not kid.startswith("-"))


def test_of_many_first_starts_one_makes_the_key(folder) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: KeyFolder(folder.folder).kept(), range(16)))

    assert len({keys[0].kid for keys in made}) == 1
    assert len(list(folder.folder.glob("*.pem"))) == 1


def test_two_processes_agree_on_the_first_key(folder) -> None:
    code = (
        "import sys, pathlib; from licensing.documents.folder import KeyFolder\n"
        "print(KeyFolder(pathlib.Path(sys.argv[1])).kept()[0].kid)"
    )
    started = [
        subprocess.Popen([sys.executable, "-c", code, folder.folder], stdout=subprocess.PIPE)
        for _ in range(3)
    ]

    told = {process.communicate()[0] for process in started}

    assert told == {f"{folder.kept()[0].kid}\n".encode()}


def test_files_are_whole_before_they_have_their_names(folder, monkeypatch) -> None:
    steps = []
    fsync, rename = os.fsync, Path.rename

    def noted_fsync(handle):
        steps.append("sync")
        fsync(handle)

    def noted_rename(self, to):
        steps.append(to.name)
        return rename(self, to)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(Path, "rename", noted_rename)

    kid = folder.kept()[0].kid

    assert steps == ["sync", f"{kid}.pem", "sync", "sync", "keys.json", "sync"]


def test_earlier_keys_go_on_verifying(folder) -> None:
    store = Signer(folder)
    before = store.sign(a_license())
    earlier = folder.kept()[0]

    newer = folder.rotate()

    with later(AHEAD_S):
        after = store.sign(a_license())
        assert open_license(before, store.key_set()).kid == earlier.kid
        assert open_license(after, store.key_set()).kid == newer.kid
        assert [key["kid"] for key in store.jwks()["keys"]] == [newer.kid, earlier.kid]


def test_a_new_key_is_known_before_it_signs(folder) -> None:
    """Whoever keeps a key set for as long as it may be kept verifies every fresh license."""
    store = Signer(folder)
    first = folder.kept()[0]
    known = [(0, store.key_set())]
    newer = folder.rotate()

    assert AHEAD_S > MAX_AGE_S
    for after_s in range(0, 2 * AHEAD_S, MAX_AGE_S // 2):
        with later(after_s):
            signed, known = store.sign(a_license()), [*known, (after_s, store.key_set())]
            kept = [keys for since_s, keys in known if after_s - since_s <= MAX_AGE_S]
            told = {open_license(signed, keys).kid for keys in kept}
            assert told == {first.kid if after_s < AHEAD_S - 1 else newer.kid}


def test_a_stolen_key_goes_at_once_where_a_new_one_waits(folder) -> None:
    store = Signer(folder)
    oldest = folder.kept()[0]
    folder.rotate()
    with later(AHEAD_S):
        stolen = folder.kept()[0]
        newest = folder.rotate()
        assert folder.kept()[0] == stolen

        folder.remove(stolen.kid)

        assert open_license(store.sign(a_license()), store.key_set()).kid == newest.kid
        assert {key.kid for key in folder.kept()} == {newest.kid, oldest.kid}


def test_a_retired_key_is_gone_and_what_it_signed_verifies(folder) -> None:
    store = Signer(folder)
    before = store.sign(a_license())
    earlier = folder.kept()[0]
    folder.rotate()

    retired = folder.retire(earlier.kid)

    assert folder.retire(earlier.kid) == retired
    assert not list(folder.folder.glob(f"{earlier.kid}*"))
    assert open_license(before, store.key_set()).kid == earlier.kid
    assert [key.get("retired_at") for key in store.jwks()["keys"]] == [None, retired.retired_at]
    with pytest.raises(KeyFolderError):
        folder.private_key(earlier.kid)


def test_a_removed_key_verifies_nothing(folder) -> None:
    store = Signer(folder)
    before = store.sign(a_license())
    earlier = folder.kept()[0]
    folder.rotate()
    folder.remove(earlier.kid)

    with pytest.raises(UnknownKeyError):
        open_license(before, store.key_set())
    assert len(list(folder.folder.glob("*.pem"))) == 1


@pytest.mark.parametrize("change", ["retire", "remove"])
def test_the_key_that_signs_stays(folder, change) -> None:
    kid = folder.kept()[0].kid
    before = contents(folder)

    with pytest.raises(KeyFolderError, match="signs now"):
        getattr(folder, change)(kid)
    with pytest.raises(KeyFolderError, match="no key with this id"):
        getattr(folder, change)("../keys")

    assert contents(folder) == before


def test_a_document_that_breaks_a_rule_is_not_signed(folder) -> None:
    with pytest.raises(MalformedLicenseError):
        Signer(folder).sign(a_license(offer=""))

    assert not folder.folder.exists()


def test_keys_that_others_may_read_are_not_used(folder) -> None:
    path = folder.folder / f"{folder.kept()[0].kid}.pem"
    path.chmod(0o640)

    with pytest.raises(KeyFolderError, match="chmod 600"):
        Signer(folder).sign(a_license())


def test_a_key_under_a_false_name_is_not_used(folder) -> None:
    path = folder.folder / f"{folder.kept()[0].kid}.pem"
    path.write_text(pem(Ed25519PrivateKey.generate()))

    with pytest.raises(KeyFolderError, match="another key"):
        Signer(folder).sign(a_license())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nothing",
        pem(generate_private_key(SECP256R1())),
        pem(Ed25519PrivateKey.generate(), BestAvailableEncryption(b"word")),
    ],
    ids=["empty", "words", "other kind", "with password"],
)
def test_what_is_no_key_is_not_used(folder, text) -> None:
    path = folder.folder / f"{folder.kept()[0].kid}.pem"
    path.write_text(text)

    with pytest.raises(KeyFolderError):
        Signer(folder).sign(a_license())


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"v":2,"keys":[]}',
        '{"v":1,"keys":[]}',
        '{"v":1,"keys":[{"x":"AA","created_at":1,"retired_at":null,"signs_at":1}]}',
    ],
)
def test_a_damaged_list_is_an_error_and_makes_no_new_key(folder, text) -> None:
    folder.kept()
    (folder.folder / "keys.json").write_text(text)
    before = contents(folder)

    for change in (folder.kept, folder.rotate):
        with pytest.raises(KeyFolderError, match="damaged"):
            change()

    assert contents(folder) == before


def test_a_folder_that_cannot_be_made_is_told(tmp_path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(KeyFolderError, match="cannot be used"):
        KeyFolder(tmp_path / "file" / "keys").kept()


def test_keys_come_from_a_setting_as_pem_or_seed() -> None:
    seed = base64.b64encode(SEED).decode()
    older = Ed25519PrivateKey.generate()
    texts = [
        f"{seed} {pem(older)}",
        f"{seed},\n{pem(older)}\n",
        f"{base64.urlsafe_b64encode(SEED).decode()}\n{pem(older)}",
    ]

    signers = [signer_for(given_keys=text, folder=None) for text in texts]

    sets = [[key.raw for key in store.key_set()] for store in signers]
    raw = Ed25519PrivateKey.from_private_bytes(SEED).public_key().public_bytes_raw()
    assert sets == [[raw, older.public_key().public_bytes_raw()]] * 3
    assert open_license(signers[0].sign(a_license()), signers[1].key_set()).document == a_license()


@pytest.mark.parametrize("text", [" ", "AAAA", "not base64 at all!", "é"])
def test_what_is_no_key_in_the_setting_is_told_without_it(text) -> None:
    with pytest.raises(KeyFolderError, match="STORE_LICENSE_KEY") as caught:
        GivenKeys(text)
    assert text == " " or text not in str(caught.value)


def licensed_keys(*args: str) -> list[str]:
    out = io.StringIO()
    call_command("license_keys", *args, stdout=out)
    return out.getvalue().splitlines()


def test_the_command_lists_rotates_retires_and_removes() -> None:
    first = signer().jwks()["keys"][0]["kid"]
    assert licensed_keys() == licensed_keys("list")
    assert licensed_keys()[0].startswith(f"{first}  signs, made 20")

    told = licensed_keys("rotate")[0]
    second = told.split()[0]
    assert f"{second} is published and signs from 20" in told
    assert [line.split(" 20")[0] for line in licensed_keys()] == [
        f"{first}  signs, made",
        f"{second}  signs from",
    ]
    with later(AHEAD_S):
        retire_the_first(first, second)


def retire_the_first(first: str, second: str) -> None:
    assert [line.split(",")[0] for line in licensed_keys()] == [
        f"{second}  signs",
        f"{first}  verifies",
    ]
    assert licensed_keys("retire", first) == [
        f"{first} is retired. What it signed goes on verifying."
    ]
    assert licensed_keys()[1].startswith(f"{first}  retired 20")
    assert licensed_keys("retire", first, "--remove") == [
        f"{first} is gone. What it signed does not verify any more."
    ]
    assert [key["kid"] for key in signer().jwks()["keys"]] == [second]
    with pytest.raises(CommandError, match="signs now"):
        licensed_keys("retire", second)
    assert [key["kid"] for key in signer().jwks()["keys"]] == [second]


def test_the_command_leaves_keys_of_a_setting_alone(settings) -> None:
    given = SecretStr(base64.b64encode(SEED).decode())
    settings.ENV = settings.ENV.model_copy(update={"license_key": given})

    kid = signer().jwks()["keys"][0]["kid"]

    assert licensed_keys("list") == [f"{kid}  signs"]
    for change in (["rotate"], ["retire", kid]):
        with pytest.raises(CommandError, match="STORE_LICENSE_KEY"):
            licensed_keys(*change)
    assert not settings.LICENSE_KEY_DIR.exists()


def test_the_key_set_is_public_and_cacheable(client) -> None:
    answer = client.get("/.well-known/jwks.json")

    assert answer.status_code == 200
    assert answer["Content-Type"] == "application/jwk-set+json"
    assert answer["Cache-Control"] == "public, max-age=3600"
    assert answer["Access-Control-Allow-Origin"] == "*"
    (key,) = answer.json()["keys"]
    assert key == signer().jwks()["keys"][0]
    assert key.keys() == {"kty", "crv", "use", "alg", "kid", "x"}
    again = client.get("/.well-known/jwks.json", headers={"If-None-Match": answer["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again["Access-Control-Allow-Origin"] == "*"
    assert client.post("/.well-known/jwks.json").status_code == 405


def test_strangers_do_not_read_where_the_keys_are(client, settings, caplog) -> None:
    settings.LICENSE_KEY_DIR.parent.mkdir(exist_ok=True)
    settings.LICENSE_KEY_DIR.write_text("a file in its place")

    answer = client.get("/.well-known/jwks.json")

    assert answer.status_code == 500
    assert answer.json()["code"] == "license_key_folder"
    assert str(settings.LICENSE_KEY_DIR) not in answer.text
    assert answer["Cache-Control"] == "no-store"
    assert str(settings.LICENSE_KEY_DIR) in caplog.text


def test_a_new_key_shows_at_once(client) -> None:
    before = client.get("/.well-known/jwks.json")

    licensed_keys("rotate")

    after = client.get("/.well-known/jwks.json", headers={"If-None-Match": before["ETag"]})
    assert after.status_code == 200
    assert after.json()["keys"][:1] == before.json()["keys"]
    assert len(after.json()["keys"]) == 2


def test_a_license_key_is_shown_again_after_the_secret_was_changed(settings) -> None:
    key = new_license_key("7f", rotation=1)
    digest = digest_of_key(key)

    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another secret of the site"

    assert new_license_key("7f", rotation=1) != key
    assert license_key_again("7f", rotation=1, digest=digest) == key
    settings.SECRET_KEY_FALLBACKS = []
    with pytest.raises(SealBrokenError, match="Make a new one"):
        license_key_again("7f", rotation=1, digest=digest)
