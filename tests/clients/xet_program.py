"""What one client program does, in any version of huggingface_hub from 0.30 on.

``python xet_program.py '{"endpoint": …, "token": …, "steps": [["upload", …], …]}'`` prints a JSON
list with what each step gave. Imports nothing of the store.
"""

import io
import json
import os
import sys
from pathlib import Path
from typing import Any


def preupload(api: Any, repo: str, source: str, path: str) -> str:
    """Send a file for a proposal that is not made yet; return its sha256."""
    from huggingface_hub import CommitOperationAdd

    addition = CommitOperationAdd(path, source)
    api.preupload_lfs_files(repo, additions=[addition], create_pr=True)
    return str(addition.upload_info.sha256.hex())


def copy(api: Any, source: str, path: str, repo: str, target: str) -> str:
    """Have a file of ``source`` in ``repo``, too, without sending it; return the commit."""
    from huggingface_hub import CommitOperationCopy

    copied = CommitOperationCopy(path, target, src_repo_id=source, src_repo_type="model")
    return str(api.create_commit(repo, operations=[copied], commit_message="copy").oid)


def main(asked: dict[str, Any]) -> list[Any]:
    os.environ["HF_ENDPOINT"] = asked["endpoint"]
    import huggingface_hub
    from huggingface_hub import HfApi, hf_hub_download, snapshot_download

    endpoint, token = asked["endpoint"], asked["token"]
    api = HfApi(endpoint=endpoint, token=token)

    def create(repo: str, is_private: bool = False) -> str:
        return str(api.create_repo(repo, private=is_private, exist_ok=True).repo_id)

    def upload(repo: str, source: str, path: str, **more: Any) -> Any:
        done = api.upload_file(path_or_fileobj=source, path_in_repo=path, repo_id=repo, **more)
        return getattr(done, "oid", None)

    def upload_bytes(repo: str, source: str, path: str) -> None:
        api.upload_file(path_or_fileobj=Path(source).read_bytes(), path_in_repo=path, repo_id=repo)

    def upload_open(repo: str, source: str, path: str) -> None:
        content = io.BytesIO(Path(source).read_bytes())
        api.upload_file(path_or_fileobj=content, path_in_repo=path, repo_id=repo)

    def folder(repo: str, source: str) -> None:
        api.upload_folder(repo_id=repo, folder_path=source)

    def propose(repo: str, source: str, path: str) -> str:
        done = api.upload_file(
            path_or_fileobj=source, path_in_repo=path, repo_id=repo, create_pr=True
        )
        return str(done.pr_revision)

    def download(repo: str, path: str, target: str, revision: str = "main") -> None:
        got = hf_hub_download(repo, path, endpoint=endpoint, token=token, revision=revision)
        Path(target).write_bytes(Path(got).read_bytes())

    def snapshot(repo: str, target: str) -> None:
        snapshot_download(repo, endpoint=endpoint, token=token, local_dir=target)

    def renew(repo: str, source: str) -> str:
        """Upload with a token that has ended and the address of a new one, as the client does."""
        import hf_xet

        commit = hf_xet.XetSession().new_upload_commit(
            endpoint=f"{endpoint}/xet",
            token="ended",
            token_expiry_unix_secs=1,
            token_refresh_url=f"{endpoint}/api/models/{repo}/xet-write-token/main",
            token_refresh_headers={"Authorization": f"Bearer {token}"},
        )
        handle = commit.start_upload_file(source)
        commit.wait_to_finish()
        return str(handle.result().xet_info.hash)

    steps = {
        "create": create,
        "upload": upload,
        "upload_bytes": upload_bytes,
        "upload_open": upload_open,
        "folder": folder,
        "preupload": lambda *args: preupload(api, *args),
        "propose": propose,
        "copy": lambda *args: copy(api, *args),
        "download": download,
        "snapshot": snapshot,
        "renew": renew,
        "version": lambda: huggingface_hub.__version__,
    }
    return [steps[name](*args) for name, *args in asked["steps"]]


if __name__ == "__main__":
    sys.stdout.write("\n" + json.dumps(main(json.loads(sys.argv[1]))) + "\n")
