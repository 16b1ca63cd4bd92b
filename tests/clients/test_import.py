"""``import_model`` from one running store to another, which keeps its files elsewhere."""

import secrets
from pathlib import Path

import pytest
from huggingface_hub import HfApi, snapshot_download

from tests import live
from tests.clients.models import save_tiny_gpt


@pytest.fixture(scope="module")
def reader(s3_store: live.LiveStore) -> tuple[str, str]:
    """Who imports, at the other store."""
    return s3_store.person()


@pytest.fixture(scope="module")
def source(store: live.LiveStore, tmp_path_factory: pytest.TempPathFactory) -> tuple[HfApi, str]:
    """A private model of this store, with large and small files."""
    name, token = store.person()
    repo = f"{name}/gpt-{secrets.token_hex(3)}"
    api = HfApi(endpoint=store.url, token=token)
    api.create_repo(repo, private=True)
    folder = save_tiny_gpt(tmp_path_factory.mktemp("gpt"))
    (folder / "notes").mkdir()
    (folder / "notes/run 1.txt").write_text("loss 3.7\n")
    api.upload_folder(repo_id=repo, folder_path=folder)
    return api, repo


def tree(api: HfApi, repo: str) -> dict[str, tuple[str, int]]:
    """Git id and size of every file."""
    return {
        item.path: (item.blob_id, item.size)
        for item in api.list_repo_tree(repo, recursive=True)
        if hasattr(item, "blob_id")
    }


def test_import(
    s3_store: live.LiveStore, reader: tuple[str, str], source: tuple[HfApi, str], tmp_path: Path
) -> None:
    api, repo = source
    me, token = reader
    theirs = HfApi(endpoint=s3_store.url, token=token)
    target = f"{me}/copy"
    args = (repo, "--endpoint", api.endpoint, "--token", api.token, "--as", me, "--to", target)

    said = s3_store.manage("import_model", *args, "--private")

    assert said.startswith(f"{target} is at ")
    assert tree(theirs, target) == tree(api, repo)
    assert theirs.model_info(target).private is True
    folder = snapshot_download(
        target, endpoint=s3_store.url, token=token, cache_dir=tmp_path / "cache"
    )
    assert (Path(folder) / "notes/run 1.txt").read_text() == "loss 3.7\n"
    assert repo in theirs.list_repo_commits(target)[0].title

    before = theirs.list_repo_commits(target)
    assert s3_store.manage("import_model", *args) == said  # nothing new: no commit
    assert theirs.list_repo_commits(target) == before

    api.delete_file("notes/run 1.txt", repo_id=repo)
    s3_store.manage("import_model", *args)
    assert tree(theirs, target) == tree(api, repo)


def test_what_cannot_be_fetched_leaves_nothing(
    s3_store: live.LiveStore, reader: tuple[str, str], source: tuple[HfApi, str]
) -> None:
    api, repo = source
    me, token = reader
    theirs = HfApi(endpoint=s3_store.url, token=token)
    with_token = ("--token", api.token)
    for args, told in [
        (("no/such", *with_token), "no model no/such"),
        ((repo,), f"no model {repo}"),  # private, and no token
        ((repo, *with_token, "--revision", "nope"), "nope"),
        ((repo, *with_token, "--to", "somebody/else"), "somebody"),
    ]:
        before = {model.id for model in theirs.list_models()}
        done = s3_store.command("import_model", "--endpoint", api.endpoint, "--as", me, *args)
        assert done.returncode == 1, args
        assert told in done.stderr
        assert "Traceback" not in done.stderr
        assert {model.id for model in theirs.list_models()} == before
        assert not theirs.repo_exists(f"{me}/{repo.partition('/')[2]}")
    assert list((s3_store.data_dir / "spool").glob("import-*")) == []
