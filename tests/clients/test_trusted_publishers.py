"""Publishing from CI with ``hf`` and no stored token, against a live store."""

import secrets
from pathlib import Path

import pytest
from huggingface_hub import HfApi

from tests.clients.pages import Person
from tests.clients.programs import Hf, hf_command
from tests.issuer import Issuer
from tests.live import LiveStore


@pytest.fixture
def repo(store: LiveStore, running_issuer: Issuer) -> tuple[str, HfApi]:
    """A model whose publisher trusts the jobs of octo/models."""
    running_issuer.reset()
    name, token = store.person()
    api = HfApi(store.url, token)
    repo = f"{name}/m-{secrets.token_hex(3)}"
    api.create_repo(repo)
    person = Person(store.url)
    person.sign_in(name)
    trust = {"project": "octo/models", "workflow": "publish.yml", "branch": "main"}
    page = person.send(f"/{repo}/settings/publishers", trust | {"issuer": running_issuer.url})
    assert "octo/models" in page
    return repo, api


@pytest.fixture
def job(store: LiveStore, repo: tuple[str, HfApi], tmp_path: Path) -> Hf:
    """Run ``hf`` as a CI job does: no token anywhere."""
    return hf_command(tmp_path, HF_ENDPOINT=store.url, HF_OIDC_RESOURCE=repo[0])


def test_a_job_of_github_uploads_by_itself(
    running_issuer: Issuer, repo: tuple[str, HfApi], job: Hf, tmp_path: Path
) -> None:
    name, api = repo
    (tmp_path / "weights.bin").write_bytes(secrets.token_bytes(300_000))
    at_github = {
        "GITHUB_ACTIONS": "true",
        "ACTIONS_ID_TOKEN_REQUEST_URL": f"{running_issuer.url}/job?api-version=2",
        "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "of the runner",
    }

    job("upload", name, "weights.bin", **at_github)
    job("upload", name, "weights.bin", "copy.bin", **at_github)

    assert {"weights.bin", "copy.bin"} <= set(api.list_repo_files(name))


def test_a_job_of_another_service_brings_its_token(
    store: LiveStore, running_issuer: Issuer, repo: tuple[str, HfApi], job: Hf, tmp_path: Path
) -> None:
    name, api = repo
    (tmp_path / "notes.txt").write_text("by CI")
    once = running_issuer.token(aud=store.url)

    job("upload", name, "notes.txt", HF_OIDC_ID_TOKEN=once)
    again = job("upload", name, "notes.txt", "more.txt", ok=False, HF_OIDC_ID_TOKEN=once)

    assert "exchanged already" in again.stdout + again.stderr
    assert "more.txt" not in api.list_repo_files(name)


def test_a_job_nobody_trusts_reads_why(
    store: LiveStore, running_issuer: Issuer, repo: tuple[str, HfApi], job: Hf, tmp_path: Path
) -> None:
    name, api = repo
    (tmp_path / "evil.txt").write_text("by CI")
    other = running_issuer.token(aud=store.url, repository="octo/models-evil")

    done = job("upload", name, "evil.txt", ok=False, HF_OIDC_ID_TOKEN=other)

    assert "No trusted publisher" in done.stdout + done.stderr
    assert "octo/models-evil" in done.stdout + done.stderr
    assert "evil.txt" not in api.list_repo_files(name)
