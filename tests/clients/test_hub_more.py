"""``huggingface_hub``: lists, refs, squashing, large files, copies, against a live store."""

import secrets
from pathlib import Path

import pytest
from huggingface_hub import CommitOperationAdd, CommitOperationCopy, HfApi, hf_hub_download
from huggingface_hub.errors import (
    BadRequestError,
    EntryNotFoundError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from tests.clients.test_hub_api import new_repo
from tests.factories import safetensors
from tests.live import LiveStore


def add(api: HfApi, repo: str, files: dict[str, bytes], **options) -> str:
    operations = [CommitOperationAdd(path, data) for path, data in files.items()]
    return api.create_commit(repo, operations=operations, commit_message="add", **options).oid


def test_squashing(publisher: HfApi) -> None:
    repo = new_repo(publisher)
    add(publisher, repo, {"file.txt": b"content"})
    add(publisher, repo, {"lfs.bin": b"content"})
    publisher.create_branch(repo, branch="v0.1")
    add(publisher, repo, {"file.txt": b"foo"}, revision="v0.1")

    publisher.super_squash_history(repo)
    publisher.super_squash_history(repo, branch="v0.1", commit_message="All")

    [main] = publisher.list_repo_commits(repo)
    [branch] = publisher.list_repo_commits(repo, revision="v0.1")
    assert main.title == "Super-squash branch 'main' using huggingface_hub"
    assert branch.title == "All"
    assert set(publisher.list_repo_files(repo)) == {".gitattributes", "file.txt", "lfs.bin"}
    publisher.create_tag(repo, tag="v1")
    with pytest.raises(BadRequestError):
        publisher.super_squash_history(repo, branch="v1")
    with pytest.raises(RevisionNotFoundError):
        publisher.super_squash_history(repo, branch="nope")


def test_deleting_large_files_for_good(publisher: HfApi) -> None:
    repo = new_repo(publisher)
    add(publisher, repo, {"one.bin": b"one", "two.bin": b"two", "text.txt": b"text"})
    publisher.create_branch(repo, branch="dev")
    add(publisher, repo, {"three.bin": b"three"}, revision="dev")

    found = list(publisher.list_lfs_files(repo))
    on_main = [file for file in found if file.ref == "main"]
    publisher.permanently_delete_lfs_files(repo, on_main)

    assert {file.filename for file in found} == {"one.bin", "two.bin", "three.bin"}
    assert {file.filename for file in on_main} == {"one.bin", "two.bin"}
    assert [file.filename for file in publisher.list_lfs_files(repo)] == ["three.bin"]
    assert set(publisher.list_repo_files(repo)) == {".gitattributes", "text.txt"}
    assert set(publisher.list_repo_files(repo, revision="dev")) == {
        ".gitattributes",
        "text.txt",
        "three.bin",
    }
    with pytest.raises(EntryNotFoundError):
        hf_hub_download(repo, "one.bin", endpoint=publisher.endpoint, token=publisher.token)


def test_duplicating(store: LiveStore, publisher: HfApi, tmp_path: Path) -> None:
    repo = new_repo(publisher)
    weights = secrets.token_bytes(50_000)
    add(publisher, repo, {"w.bin": weights, "README.md": b"---\nlicense: mit\n---\n"})
    name, token = store.person()
    other = HfApi(endpoint=store.url, token=token)

    publisher.duplicate_repo(repo, to_id=repo + "-copy", private=True)
    store.settled(repo, publisher.token)
    url = other.duplicate_repo(repo, to_id=f"{name}/copy")
    again = other.duplicate_repo(repo, to_id=f"{name}/copy", exist_ok=True)

    assert url.repo_id == again.repo_id == f"{name}/copy"
    assert publisher.model_info(repo + "-copy").private
    assert sorted(other.list_repo_files(url.repo_id)) == sorted(publisher.list_repo_files(repo))
    got = hf_hub_download(url.repo_id, "w.bin", endpoint=store.url, token=token, cache_dir=tmp_path)
    assert Path(got).read_bytes() == weights
    with pytest.raises(HfHubHTTPError) as caught:
        other.duplicate_repo(repo, to_id=f"{name}/copy")
    assert caught.value.response.status_code == 409
    with pytest.raises(RepositoryNotFoundError):
        other.duplicate_repo(repo + "-copy", to_id=f"{name}/stolen")


def test_copying_inside_a_repository(publisher: HfApi) -> None:
    repo = new_repo(publisher)
    add(publisher, repo, {"w.bin": b"weights", "a.txt": b"text"})

    publisher.create_commit(
        repo,
        operations=[
            CommitOperationCopy("w.bin", "sub/copy.bin"),
            CommitOperationCopy("a.txt", "sub/copy.txt"),
        ],
        commit_message="copies",
    )

    info = {item.path: item for item in publisher.get_paths_info(repo, ["sub/copy.bin", "w.bin"])}
    assert info["sub/copy.bin"].lfs == info["w.bin"].lfs
    assert "sub/copy.txt" in publisher.list_repo_files(repo)


def test_what_ones_repositories_take(store: LiveStore, publisher: HfApi) -> None:
    repo = new_repo(publisher, private=True)
    add(publisher, repo, {"w.bin": bytes(10_000)})
    name = publisher.whoami()["name"]
    org = f"org{secrets.token_hex(3)}"
    store.manage("addorg", org, "--private-by-default", "--member", f"{name}:admin")
    team = publisher.create_repo(f"{org}/m").repo_id

    [mine] = publisher.list_user_repos()
    [theirs] = publisher.list_user_repos(namespace=org)

    assert (mine.id, mine.visibility) == (repo, "private")
    assert mine.storage > 10_000
    assert (theirs.id, theirs.visibility) == (team, "private")


def test_lists_are_filtered_sorted_and_paged(publisher: HfApi) -> None:
    owner = publisher.whoami()["name"]
    card = b"---\nlicense: mit\ntags: [%s]\npipeline_tag: text-generation\n---\n"
    repos = [new_repo(publisher) for _ in range(3)]
    for number, repo in enumerate(repos):
        add(publisher, repo, {"README.md": card % b"even" if number % 2 == 0 else card % b"odd"})

    def ids(**options) -> list[str]:
        return [model.id for model in publisher.list_models(author=owner, **options)]

    assert sorted(ids()) == sorted(repos)
    assert ids(sort="created_at") == repos[::-1]
    assert ids(sort="created_at", limit=2) == repos[:0:-1]
    assert sorted(ids(filter=["license:mit", "even"])) == sorted(repos[::2])
    assert ids(filter="odd", pipeline_tag="text-generation") == [repos[1]]
    assert ids(search=repos[0].split("/")[1][2:]) == [repos[0]]
    assert ids(gated=True) == []
    assert ids(inference="warm") == []
    assert ids(num_parameters="min:1B") == []
    [full] = publisher.list_models(author=owner, filter="odd", full=True, cardData=True)
    assert full.card_data.license == "mit"
    assert full.sha == publisher.model_info(repos[1]).sha
    assert [file.rfilename for file in full.siblings] == [".gitattributes", "README.md"]
    [some] = publisher.list_models(author=owner, filter="odd", expand=["likes", "trendingScore"])
    assert (some.likes, some.author) == (0, None)
    with pytest.raises(HfHubHTTPError, match="expected one of"):
        list(publisher.list_models(expand=["foo"]))


def test_headers_of_shards(publisher: HfApi) -> None:
    repo = new_repo(publisher)
    index = b'{"metadata": {"total_size": 32768}, "weight_map": {"weight": "model-1.safetensors"}}'
    add(
        publisher,
        repo,
        {"model.safetensors.index.json": index, "model-1.safetensors": safetensors()},
    )

    found = publisher.get_sharded_safetensors_metadata(repo)
    plain = publisher.get_safetensors_metadata(repo)

    assert found.sharded
    assert found.metadata == {"total_size": 32768}
    assert found.files_metadata["model-1.safetensors"].parameter_count == {"F32": 4096}
    assert found.weight_map == plain.weight_map


def test_other_repository_types_do_not_exist(publisher: HfApi) -> None:
    for kind in ("dataset", "space"):
        assert not publisher.repo_exists("a/b", repo_type=kind)
        assert not publisher.file_exists("a/b", "c", repo_type=kind)
    assert list(publisher.list_datasets()) == []
    assert list(publisher.list_spaces()) == []
    with pytest.raises(BadRequestError, match="models only"):
        publisher.create_repo("x", repo_type="dataset")


def test_words_and_cards(publisher: HfApi, tmp_path: Path) -> None:
    from huggingface_hub import ModelCard

    assert publisher.get_model_tags()["license"] is not None
    publisher._validate_yaml("---\nlicense: mit\n---\n")
    with pytest.raises(ValueError, match='- "license" must be one of'):
        publisher._validate_yaml("---\nlicense: nope\n---\n")
    with pytest.warns(UserWarning, match="empty or missing yaml metadata"):
        publisher._validate_yaml("# nothing")
    repo = new_repo(publisher)
    add(publisher, repo, {"README.md": b"---\nlicense: mit\n---\n# Hi"})
    got = hf_hub_download(
        repo, "README.md", endpoint=publisher.endpoint, token=publisher.token, cache_dir=tmp_path
    )
    assert ModelCard.load(got).data.license == "mit"
