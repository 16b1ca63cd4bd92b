"""Publishing from CI with ``hf`` and no stored token, against a live store."""

import http.cookiejar
import os
import re
import secrets
import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
from huggingface_hub import HfApi

from tests.issuer import Issuer
from tests.live import PASSWORD, LiveStore

Hf = Callable[..., subprocess.CompletedProcess[str]]


class Person:
    """Somebody at a browser without scripts."""

    def __init__(self, store: LiveStore, name: str) -> None:
        jar = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        self.url, self.opener = store.url, urllib.request.build_opener(jar)
        self.send("/login", username=name, password=PASSWORD)

    def send(self, path: str, **form: str) -> str:
        """Fill in the form of a page; return the page that comes then."""
        address = f"{self.url}{path}"
        with self.opener.open(address, timeout=30) as page:
            token = re.search(r'csrfmiddlewaretoken" value="(\w+)"', page.read().decode())
        assert token
        data = urllib.parse.urlencode(form | {"csrfmiddlewaretoken": token[1]}).encode()
        request = urllib.request.Request(address, data, {"Referer": address})
        with self.opener.open(request, timeout=30) as answer:
            return str(answer.read().decode())


@pytest.fixture
def repo(store: LiveStore, running_issuer: Issuer) -> tuple[str, HfApi]:
    """A model whose publisher trusts the jobs of octo/models."""
    running_issuer.reset()
    name, token = store.person()
    api = HfApi(store.url, token)
    repo = f"{name}/m-{secrets.token_hex(3)}"
    api.create_repo(repo)
    page = Person(store, name).send(
        f"/{repo}/settings/publishers",
        issuer=running_issuer.url,
        project="octo/models",
        workflow="publish.yml",
        branch="main",
    )
    assert "octo/models" in page
    return repo, api


@pytest.fixture
def job(store: LiveStore, repo: tuple[str, HfApi], tmp_path: Path) -> Hf:
    """Run ``hf`` as a CI job does: no token anywhere."""
    env = {
        name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))
    }
    env |= {
        "HF_ENDPOINT": store.url,
        "HF_OIDC_RESOURCE": repo[0],
        "HF_HOME": str(tmp_path / "hf"),
        "NO_COLOR": "1",
    }

    def run(*args: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(Path(sys.executable).parent / "hf"), *args],
            env=env | more,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run


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

    done = job("upload", name, "weights.bin", **at_github)
    again = job("upload", name, "weights.bin", "copy.bin", **at_github)

    assert (done.returncode, again.returncode) == (0, 0), done.stderr + again.stderr
    assert {"weights.bin", "copy.bin"} <= set(api.list_repo_files(name))


def test_a_job_of_another_service_brings_its_token(
    store: LiveStore, running_issuer: Issuer, repo: tuple[str, HfApi], job: Hf, tmp_path: Path
) -> None:
    name, api = repo
    (tmp_path / "notes.txt").write_text("by CI")
    once = running_issuer.token(aud=store.url)

    done = job("upload", name, "notes.txt", HF_OIDC_ID_TOKEN=once)
    again = job("upload", name, "notes.txt", "more.txt", HF_OIDC_ID_TOKEN=once)

    assert done.returncode == 0, done.stderr
    assert again.returncode != 0
    assert "exchanged already" in again.stdout + again.stderr
    assert "more.txt" not in api.list_repo_files(name)


def test_a_job_nobody_trusts_reads_why(
    store: LiveStore, running_issuer: Issuer, repo: tuple[str, HfApi], job: Hf, tmp_path: Path
) -> None:
    name, api = repo
    (tmp_path / "evil.txt").write_text("by CI")
    other = running_issuer.token(aud=store.url, repository="octo/models-evil")

    done = job("upload", name, "evil.txt", HF_OIDC_ID_TOKEN=other)

    assert done.returncode != 0
    assert "No trusted publisher" in done.stdout + done.stderr
    assert "octo/models-evil" in done.stdout + done.stderr
    assert "evil.txt" not in api.list_repo_files(name)
