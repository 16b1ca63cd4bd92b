"""Git as people have it, with nobody's settings, and a repository of the store to use it on."""

import os
import secrets
import subprocess
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import HfApi

from tests.factories import safetensors
from tests.live import LiveStore

WEIGHTS = safetensors()


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


def new_hub(store: LiveStore, folder: Path, *, is_private: bool = False) -> Hub:
    """A model with a text, a folder and a large file, uploaded by the hub's own client."""
    name, token = store.person()
    made = Hub(store, name, token, f"{name}/m-{secrets.token_hex(3)}", folder)
    source = folder / "source"
    (source / "sub").mkdir(parents=True)
    (source / "README.md").write_text("---\nlicense: mit\n---\n# M\n")
    (source / "sub/notes.txt").write_text("deep\n")
    (source / "model.safetensors").write_bytes(WEIGHTS)
    made.api.create_repo(made.repo, private=is_private)
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


def history(folder: Path, *revisions: str) -> list[str]:
    return run("rev-list", *(revisions or ("HEAD",)), cwd=folder).stdout.split()


def refused(folder: Path, *args: str) -> str:
    """Push, expect a refusal, and return what git printed."""
    done = run("push", "origin", *args, cwd=folder, check=False)
    assert done.returncode != 0, done.stderr
    return " ".join(done.stderr.split())
