"""The ``hf`` command, as people type it, against a live store."""

import json
import os
import secrets
from pathlib import Path

import pytest

from tests.clients.programs import Hf, hf_command
from tests.live import LiveStore


@pytest.fixture
def me(store: LiveStore) -> tuple[str, str]:
    return store.person()


@pytest.fixture
def hf(store: LiveStore, me: tuple[str, str], tmp_path: Path) -> Hf:
    """Run ``hf`` with nothing set but the endpoint and the token."""
    return hf_command(
        tmp_path,
        HF_ENDPOINT=store.url,
        HF_TOKEN=me[1],
        HF_HUB_DISABLE_XET=os.environ.get("HF_HUB_DISABLE_XET", ""),
    )


def test_a_day_with_the_command(hf: Hf, me: tuple[str, str], tmp_path: Path) -> None:
    name, _token = me
    repo = f"{name}/m-{secrets.token_hex(3)}"
    folder = tmp_path / "model"
    (folder / "sub").mkdir(parents=True)
    (folder / "README.md").write_text("---\nlicense: mit\ntags: [cli]\n---\n# Made by hf\n")
    (folder / "sub/w.bin").write_bytes(secrets.token_bytes(30_000))

    assert name in hf("auth", "whoami").stdout
    assert repo in hf("repos", "create", repo, "--private").stdout
    hf("repos", "create", repo, ok=False)
    hf("repos", "create", repo, "--exist-ok")
    hf("upload", repo, "model", ".", "--commit-message", "By command")
    hf("upload", repo, "model/README.md", "docs.md", "--revision", "dev")
    hf("download", repo, "--local-dir", "copy")

    assert (tmp_path / "copy/sub/w.bin").read_bytes() == (folder / "sub/w.bin").read_bytes()
    assert not (tmp_path / "copy/docs.md").exists()
    got = hf("download", repo, "docs.md", "--revision", "dev", "--quiet").stdout.strip()
    assert Path(got.splitlines()[-1].removeprefix("path=")).read_text().endswith("# Made by hf\n")
    listed = hf("models", "list", "--author", name, "--format", "json")
    assert [model["id"] for model in json.loads(listed.stdout)] == [repo]
    info = json.loads(hf("models", "info", repo, "--format", "json").stdout)
    assert info["card_data"]["license"] == "mit"
    assert "# Made by hf" in hf("models", "card", repo).stdout
    mine = hf("repos", "list", "--format", "json").stdout
    assert [row["id"] for row in json.loads(mine)] == [repo]


def test_refs_settings_and_names(hf: Hf, me: tuple[str, str], tmp_path: Path) -> None:
    name, _token = me
    repo = f"{name}/m-{secrets.token_hex(3)}"
    (tmp_path / "README.md").write_text("---\nlicense: mit\n---\n")
    (tmp_path / "w.bin").write_bytes(secrets.token_bytes(30_000))
    hf("upload", repo, "README.md")
    hf("upload", repo, "w.bin", "sub/w.bin")

    hf("repos", "branch", "create", repo, "v1")
    hf("repos", "branch", "create", repo, "v1", ok=False)
    hf("repos", "branch", "create", repo, "v1", "--exist-ok")
    hf("repos", "tag", "create", repo, "v1.0", "-m", "First")
    assert "v1.0" in hf("repos", "tag", "list", repo).stdout
    hf("repos", "tag", "delete", repo, "v1.0", "-y")
    hf("repos", "branch", "delete", repo, "v1")
    hf("repos", "branch", "delete", repo, "main", ok=False)
    hf("repos", "settings", repo, "--gated", "auto")
    hf("repos", "delete-files", repo, "sub/w.bin")
    hf("repos", "move", repo, repo + "-new")
    hf("repos", "duplicate", repo + "-new", repo + "-copy")

    assert hf("download", repo, "README.md", "--quiet").returncode == 0  # the old id
    copied = json.loads(hf("models", "list", "--author", name, "--format", "json").stdout)
    assert {model["id"] for model in copied} == {repo + "-new", repo + "-copy"}
    hf("cache", "verify", repo)
    hf("repos", "delete", repo + "-copy", "-y")
    hf("repos", "delete", repo + "-copy", "-y", ok=False)
    hf("repos", "delete", repo + "-copy", "-y", "--missing-ok")


def test_refusals_end_with_the_stores_own_words(hf: Hf, me: tuple[str, str]) -> None:
    name, _token = me

    missing = hf("models", "info", f"{name}/none", ok=False)
    foreign = hf("repos", "create", "somebody-else/x", ok=False)
    bad_token = hf("auth", "whoami", ok=False, HF_TOKEN="hf_" + "a" * 30)
    no_card = hf("repos", "create", f"{name}/a--b", ok=False)

    assert missing.returncode == 1
    assert "not found" in (missing.stdout + missing.stderr).lower()
    assert "You may not publish under somebody-else" in foreign.stdout + foreign.stderr
    assert "token" in (bad_token.stdout + bad_token.stderr).lower()
    assert "a--b" in no_card.stdout + no_card.stderr
