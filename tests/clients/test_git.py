"""The real git and git-lfs against a real store."""

import os
import secrets
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from huggingface_hub import HfApi, hf_hub_download

from tests.factories import safetensors
from tests.live import LiveStore

WEIGHTS = safetensors()
Git = Callable[..., subprocess.CompletedProcess[str]]


@dataclass
class Hub:
    """Somebody's repository on the store, and git as they have it."""

    store: LiveStore
    name: str
    token: str
    repo: str
    folder: Path

    @property
    def api(self) -> HfApi:
        return HfApi(endpoint=self.store.url, token=self.token)

    def url(self, user: str = "", password: str = "", *, repo: str = "", suffix: str = "") -> str:
        who = f"{user}:{password}@" if user else ""
        return self.store.url.replace("://", f"://{who}") + f"/{repo or self.repo}{suffix}"

    @property
    def mine(self) -> str:
        return self.url(self.name, self.token)

    def head(self, branch: str = "main") -> str:
        refs = self.store.ask(f"/api/models/{self.repo}/refs", self.token)
        return {ref["name"]: ref["targetCommit"] for ref in refs["branches"]}.get(branch, "")


def run(
    *args: str | Path, cwd: Path, check: bool = True, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run git with no settings but ours; it never asks a person."""
    done = subprocess.run(
        ["git", *map(str, args)],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(cwd),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_AUTHOR_NAME": "Ann Example",
            "GIT_AUTHOR_EMAIL": "ann@example.net",
            "GIT_COMMITTER_NAME": "Ann Example",
            "GIT_COMMITTER_EMAIL": "ann@example.net",
            "LC_ALL": "C",
        }
        | (env or {}),
    )
    if check:
        assert done.returncode == 0, f"git {args}\n{done.stdout}\n{done.stderr}"
    return done


@pytest.fixture
def hub(store: LiveStore, tmp_path: Path) -> Hub:
    """A public model with a text, a folder and a large file, uploaded by the hub's own client."""
    name, token = store.person()
    made = Hub(store, name, token, f"{name}/m-{secrets.token_hex(3)}", tmp_path)
    source = tmp_path / "source"
    (source / "sub").mkdir(parents=True)
    (source / "README.md").write_text("---\nlicense: mit\n---\n# M\n")
    (source / "sub/notes.txt").write_text("deep\n")
    (source / "model.safetensors").write_bytes(WEIGHTS)
    made.api.create_repo(made.repo)
    made.api.upload_folder(repo_id=made.repo, folder_path=source)
    store.settled(made.repo, token)
    return made


def cloned(hub: Hub, *args: str, url: str = "", into: str = "clone", lfs: bool = False) -> Path:
    folder = hub.folder / into
    run("clone", "-q", *args, url or hub.mine, folder, cwd=hub.folder, env=skip(lfs))
    if lfs:
        run("lfs", "install", "--local", cwd=folder)
        run("lfs", "pull", cwd=folder)
    return folder


def skip(lfs: bool) -> dict[str, str]:
    return {} if lfs else {"GIT_LFS_SKIP_SMUDGE": "1"}


def commit(folder: Path, files: dict[str, bytes | None], message: str = "change") -> str:
    for path, data in files.items():
        if data is None:
            (folder / path).unlink()
            continue
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    run("add", "-A", cwd=folder)
    run("commit", "-q", "-m", message, cwd=folder)
    return run("rev-parse", "HEAD", cwd=folder).stdout.strip()


@pytest.mark.parametrize("version", ["0", "1", "2"])
@pytest.mark.parametrize("suffix", ["", ".git"])
def test_a_clone_is_what_the_hub_has(hub: Hub, version: str, suffix: str) -> None:
    folder = cloned(hub, "-c", f"protocol.version={version}", url=hub.url(suffix=suffix), lfs=True)

    assert run("rev-parse", "HEAD", cwd=folder).stdout.strip() == hub.head()
    assert run("fsck", "--strict", "--full", cwd=folder).stdout == ""
    assert run("status", "--porcelain", cwd=folder).stdout == ""
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS
    for path in ["README.md", "sub/notes.txt", ".gitattributes"]:
        theirs = hf_hub_download(
            hub.repo, path, endpoint=hub.store.url, cache_dir=hub.folder / "cache", token=False
        )
        assert (folder / path).read_bytes() == Path(theirs).read_bytes()


def test_push_and_pull_both_ways(hub: Hub) -> None:
    folder = cloned(hub, lfs=True)
    weights = safetensors(seed=1)

    oid = commit(folder, {"model.safetensors": weights, "new.txt": b"by git\n"}, "by git")
    run("push", "-q", "origin", "main", cwd=folder)

    assert hub.head() == oid
    hub.store.settled(hub.repo, hub.token)
    for path, data in {"model.safetensors": weights, "new.txt": b"by git\n"}.items():
        got = hf_hub_download(
            hub.repo, path, endpoint=hub.store.url, cache_dir=hub.folder / "cache", token=False
        )
        assert Path(got).read_bytes() == data
    [newest, *_] = hub.api.list_repo_commits(hub.repo)
    assert (newest.commit_id, newest.title, newest.authors) == (oid, "by git", ["Ann Example"])

    hub.api.upload_file(path_or_fileobj=b"by hub\n", path_in_repo="hub.txt", repo_id=hub.repo)
    run("pull", "-q", cwd=folder)

    assert (folder / "hub.txt").read_bytes() == b"by hub\n"
    assert run("rev-parse", "HEAD", cwd=folder).stdout.strip() == hub.head()
    assert run("fsck", "--strict", cwd=folder).stdout == ""
