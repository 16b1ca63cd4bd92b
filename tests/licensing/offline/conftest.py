"""A holder of licenses: own folders, keys of one store, files on disk."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from licensing.documents.document import write_document
from licensing.documents.jws import compact, write_file
from licensing.documents.keyset import KeySet, PublicKey, thumbprint
from licensing.documents.strict import canonical
from licensing.offline.command import main
from tests.licensing.documents.making import a_license

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
RAW = KEY.public_key().public_bytes_raw()
KID = thumbprint(RAW)
KEYS = KeySet([PublicKey(RAW)])


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch) -> Path:
    """Folders of a user who never ran the command."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path


@pytest.fixture
def jwks(tmp_path) -> str:
    """The file of the store's keys."""
    path = tmp_path / "jwks.json"
    path.write_bytes(canonical(KEYS.jwks()))
    return str(path)


@pytest.fixture
def license_file(tmp_path) -> Callable[..., str]:
    """Write a license file and return its path."""

    def write(key: Ed25519PrivateKey = KEY, **changes: Any) -> str:
        kid = thumbprint(key.public_key().public_bytes_raw())
        path = tmp_path / "poet.gpts-license"
        path.write_bytes(
            write_file(compact(write_document(a_license(**changes)), kid=kid, sign=key.sign))
        )
        return str(path)

    return write


@pytest.fixture
def weights(tmp_path) -> Path:
    """The licensed files, as ``hf download --local-dir`` leaves them."""
    folder = tmp_path / "poet"
    folder.mkdir()
    (folder / "config.json").write_bytes(b"{}")
    (folder / "model.safetensors").write_bytes(b"weights")
    (folder / ".cache/huggingface/download").mkdir(parents=True)
    (folder / ".cache/huggingface/download/model.safetensors.metadata").write_text("x")
    return folder


@pytest.fixture
def cache(tmp_path, weights) -> Path:
    """The same in the cache of ``huggingface_hub``, as an ``HF_HOME``."""
    repo = tmp_path / "hf/hub/models--alice--poet"
    snapshot = repo / "snapshots" / ("a" * 40)
    snapshot.mkdir(parents=True)
    (repo / "blobs").mkdir()
    for name in ("config.json", "model.safetensors"):
        (weights / name).rename(repo / "blobs" / f"of-{name}")
        os.symlink(f"../../blobs/of-{name}", snapshot / name)
    return tmp_path / "hf"


@pytest.fixture
def run(capsys) -> Callable[..., tuple[int, str, str]]:
    """Run the command; (exit code, what it printed, its complaints)."""

    def call(*arguments: Any) -> tuple[int, str, str]:
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as end:  # argparse's way out
            code = int(end.code or 0)
        told = capsys.readouterr()
        return code, told.out, told.err

    return call
