"""``huggingface_hub``'s own client, call by call, against a live store."""

import io
import secrets
from pathlib import Path

import pytest
from huggingface_hub import (
    CommitOperationAdd,
    CommitOperationDelete,
    HfApi,
    HfFileSystem,
    hf_hub_download,
    snapshot_download,
)
from huggingface_hub.errors import (
    BadRequestError,
    EntryNotFoundError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from tests.clients.models import save_tiny_gpt
from tests.live import LiveStore


def new_repo(api: HfApi, **options) -> str:
    """Create a repository with a random name; return its id."""
    repo = f"{api.whoami()['name']}/m-{secrets.token_hex(3)}"
    url = api.create_repo(repo, **options)
    assert url.repo_id == repo
    return repo


def test_create_is_idempotent_when_asked(publisher: HfApi) -> None:
    repo = new_repo(publisher)

    again = publisher.create_repo(repo, exist_ok=True)
    with pytest.raises(HfHubHTTPError) as caught:
        publisher.create_repo(repo)

    assert again.repo_id == repo
    assert caught.value.response.status_code == 409
    assert [item.title for item in publisher.list_repo_commits(repo)] == ["initial commit"]
    assert publisher.list_repo_files(repo) == [".gitattributes"]


def test_delete_and_missing(publisher: HfApi) -> None:
    repo = new_repo(publisher)

    publisher.delete_repo(repo)

    assert not publisher.repo_exists(repo)
    with pytest.raises(RepositoryNotFoundError):
        publisher.delete_repo(repo)
    publisher.delete_repo(repo, missing_ok=True)


def test_small_and_large_files_in_one_commit(publisher: HfApi, tmp_path: Path) -> None:
    repo = new_repo(publisher)
    weights = secrets.token_bytes(200_000)

    commit = publisher.create_commit(
        repo,
        operations=[
            CommitOperationAdd("notes/ünï cødé.txt", b"hello"),
            CommitOperationAdd("model.bin", weights),
            CommitOperationAdd("deep/er/empty.txt", b""),
        ],
        commit_message="Two files",
        commit_description="and a reason",
    )

    info = publisher.model_info(repo, files_metadata=True)
    files = {item.rfilename: item for item in info.siblings}
    assert info.sha == commit.oid
    assert files["model.bin"].lfs.size == 200_000
    assert files["notes/ünï cødé.txt"].lfs is None
    for path, content in {"model.bin": weights, "notes/ünï cødé.txt": b"hello"}.items():
        got = hf_hub_download(
            repo, path, endpoint=publisher.endpoint, token=publisher.token, cache_dir=tmp_path
        )
        assert Path(got).read_bytes() == content
    latest = publisher.list_repo_commits(repo)[0]
    assert (latest.title, latest.message) == ("Two files", "and a reason")
    assert latest.authors == [publisher.whoami()["name"]]


def test_a_stale_parent_is_refused(publisher: HfApi) -> None:
    repo = new_repo(publisher)
    first = publisher.model_info(repo).sha
    publisher.upload_file(path_or_fileobj=b"1", path_in_repo="a", repo_id=repo)
    before = publisher.list_repo_refs(repo)

    with pytest.raises(HfHubHTTPError) as caught:
        publisher.create_commit(
            repo,
            operations=[CommitOperationAdd("b", b"2")],
            commit_message="late",
            parent_commit=first,
        )

    assert caught.value.response.status_code == 412
    assert "The branch was updated since you opened this page" in str(caught.value)
    assert publisher.list_repo_refs(repo) == before


def test_deleting_files_and_folders(publisher: HfApi) -> None:
    repo = new_repo(publisher)
    paths = ["a", "1/b", "1/c", "2/d"]
    publisher.create_commit(
        repo,
        operations=[CommitOperationAdd(path, b"x") for path in paths],
        commit_message="add",
    )

    publisher.create_commit(
        repo,
        operations=[CommitOperationDelete("1/"), CommitOperationDelete("a")],
        commit_message="take away",
    )

    assert publisher.list_repo_files(repo) == [".gitattributes", "2/d"]
    with pytest.raises(EntryNotFoundError):
        publisher.delete_file("a", repo)


def test_upload_folder_and_snapshot(publisher: HfApi, tmp_path: Path) -> None:
    repo = new_repo(publisher)
    source = save_tiny_gpt(tmp_path / "source")
    (source / "sub").mkdir()
    (source / "sub/more.txt").write_text("more")

    publisher.upload_folder(repo_id=repo, folder_path=source)
    copy = Path(
        snapshot_download(
            repo, endpoint=publisher.endpoint, token=publisher.token, cache_dir=tmp_path / "cache"
        )
    )

    ours = {
        path.relative_to(source): path.read_bytes() for path in source.rglob("*") if path.is_file()
    }
    got = {path.relative_to(copy): path.read_bytes() for path in copy.rglob("*") if path.is_file()}
    got.pop(Path(".gitattributes"))
    assert got == ours


def test_uploading_an_open_file_goes_through_lfs(publisher: HfApi) -> None:
    repo = new_repo(publisher)
    data = secrets.token_bytes(3_000_000)

    publisher.upload_file(
        path_or_fileobj=io.BytesIO(data), path_in_repo="w.safetensors.part", repo_id=repo
    )

    [entry] = publisher.get_paths_info(repo, ["w.safetensors.part"])
    assert entry.size == 3_000_000
    assert entry.lfs is not None


def test_trees_paths_and_history(publisher: HfApi) -> None:
    repo = new_repo(publisher)
    publisher.create_commit(
        repo,
        operations=[CommitOperationAdd("a/b/c.txt", b"1"), CommitOperationAdd("top.txt", b"2")],
        commit_message="files",
    )

    tree = [item.path for item in publisher.list_repo_tree(repo, recursive=True)]
    below = [item.path for item in publisher.list_repo_tree(repo, "a/b")]
    expanded = {item.path: item for item in publisher.list_repo_tree(repo, expand=True)}
    found = publisher.get_paths_info(repo, ["a", "top.txt", "none"], expand=True)

    assert tree == [".gitattributes", "a", "a/b", "a/b/c.txt", "top.txt"]
    assert below == ["a/b/c.txt"]
    assert expanded["a"].last_commit.title == "files"
    assert [item.path for item in found] == ["a", "top.txt"]
    with pytest.raises(EntryNotFoundError):
        list(publisher.list_repo_tree(repo, "nope"))


def test_branches_and_tags(publisher: HfApi) -> None:
    repo = new_repo(publisher)
    head = publisher.upload_file(path_or_fileobj=b"1", path_in_repo="a", repo_id=repo).oid

    publisher.create_branch(repo, branch="feature/one")
    publisher.create_tag(repo, tag="v1", tag_message="First", revision=head[:7])
    publisher.upload_file(
        path_or_fileobj=b"2", path_in_repo="b", repo_id=repo, revision="feature/one"
    )

    refs = publisher.list_repo_refs(repo)
    assert {branch.name for branch in refs.branches} == {"main", "feature/one"}
    assert [(tag.name, tag.target_commit) for tag in refs.tags] == [("v1", head)]
    assert "b" in publisher.list_repo_files(repo, revision="feature/one")
    assert "b" not in publisher.list_repo_files(repo, revision="v1")
    with pytest.raises(HfHubHTTPError):
        publisher.create_branch(repo, branch="feature/one")
    publisher.create_branch(repo, branch="feature/one", exist_ok=True)
    with pytest.raises(HfHubHTTPError):
        publisher.delete_branch(repo, branch="main")
    publisher.delete_branch(repo, branch="feature/one")
    publisher.delete_tag(repo, tag="v1")
    with pytest.raises(RevisionNotFoundError):
        publisher.delete_tag(repo, tag="v1")
    with pytest.raises(RevisionNotFoundError):
        publisher.upload_file(path_or_fileobj=b"2", path_in_repo="b", repo_id=repo, revision=head)


def test_a_private_model_looks_absent(store: LiveStore, publisher: HfApi) -> None:
    repo = new_repo(publisher, private=True)
    publisher.upload_file(path_or_fileobj=b"1", path_in_repo="a.bin", repo_id=repo)
    _, token = store.person()

    owner = publisher.model_info(repo)
    listed = [item.id for item in publisher.list_models(author=repo.split("/")[0])]
    answers = []
    for anybody in (HfApi(endpoint=store.url, token=token), HfApi(endpoint=store.url, token=False)):
        for name in (repo, repo + "-absent"):
            with pytest.raises(RepositoryNotFoundError) as caught:
                anybody.model_info(name)
            answers.append(
                (caught.value.response.status_code, caught.value.server_message.replace(name, "*"))
            )
            with pytest.raises(RepositoryNotFoundError):
                hf_hub_download(name, "a.bin", endpoint=store.url, token=anybody.token)
        assert repo not in [item.id for item in anybody.list_models()]

    assert owner.private
    assert listed == [repo]
    assert answers[0] == answers[1]
    assert answers[2] == answers[3]
    assert [status for status, _ in answers] == [404, 404, 401, 401]


def test_a_read_token_cannot_write(store: LiveStore) -> None:
    name, write = store.person()
    api = HfApi(endpoint=store.url, token=write)
    repo = new_repo(api)
    reader = HfApi(
        endpoint=store.url,
        token=store.manage(
            "adduser",
            name,
            "--email",
            f"{name}@example.org",
            "--password",
            "correct horse battery 9",
            "--token",
            "read",
        ),
    )

    with pytest.raises(HfHubHTTPError) as caught:
        reader.upload_file(path_or_fileobj=b"1", path_in_repo="a", repo_id=repo)

    assert caught.value.response.status_code == 403
    assert reader.whoami()["auth"]["accessToken"]["role"] == "read"
    assert api.list_repo_files(repo) == [".gitattributes"]


def test_a_bad_token_is_no_missing_repository(store: LiveStore, publisher: HfApi) -> None:
    repo = new_repo(publisher)
    stranger = HfApi(endpoint=store.url, token="hf_" + "a" * 34)

    with pytest.raises(HfHubHTTPError, match="Invalid credentials") as caught:
        stranger.model_info(repo)

    assert not isinstance(caught.value, RepositoryNotFoundError)
    assert caught.value.response.status_code == 401


def test_rename_leads_on(publisher: HfApi, tmp_path: Path) -> None:
    repo = new_repo(publisher)
    publisher.upload_file(path_or_fileobj=b"content", path_in_repo="a.bin", repo_id=repo)
    moved = repo + "-new"

    publisher.move_repo(from_id=repo, to_id=moved)

    assert publisher.model_info(repo).id == moved
    got = hf_hub_download(
        repo, "a.bin", endpoint=publisher.endpoint, token=publisher.token, cache_dir=tmp_path
    )
    assert Path(got).read_bytes() == b"content"
    publisher.upload_file(path_or_fileobj=b"more", path_in_repo="b.bin", repo_id=repo)
    other = new_repo(publisher)
    with pytest.raises(HfHubHTTPError, match=r"A model repository called .* already exists"):
        publisher.move_repo(from_id=other, to_id=moved)
    publisher.move_repo(from_id=moved, to_id=repo)
    assert publisher.model_info(moved).id == repo


def test_settings_and_case(publisher: HfApi) -> None:
    repo = new_repo(publisher)

    publisher.update_repo_settings(repo, private=True)

    assert publisher.model_info(repo.upper()).private
    assert publisher.model_info(repo.upper()).id == repo


def test_file_system_ranges(publisher: HfApi) -> None:
    repo = new_repo(publisher)
    data = secrets.token_bytes(50_000)
    publisher.upload_file(path_or_fileobj=data, path_in_repo="x.bin", repo_id=repo)
    files = HfFileSystem(endpoint=publisher.endpoint, token=publisher.token)

    with files.open(f"{repo}/x.bin", "rb") as file:
        file.seek(40_000)
        tail = file.read()

    assert tail == data[40_000:]
    assert sorted(files.ls(repo, detail=False)) == [f"{repo}/.gitattributes", f"{repo}/x.bin"]


def test_bad_cards_and_paths_are_refused(publisher: HfApi) -> None:
    repo = new_repo(publisher)
    before = publisher.model_info(repo).sha

    with pytest.raises((BadRequestError, ValueError)):
        publisher.upload_file(
            path_or_fileobj=b"---\nlicense: not-a-license\n---\n",
            path_in_repo="README.md",
            repo_id=repo,
        )
    publisher.create_commit(
        repo,
        operations=[CommitOperationAdd("folder/..\\..\\..\\file", b"x")],
        commit_message="a legal backslash",
    )

    assert publisher.list_repo_files(repo) == [".gitattributes", "folder/..\\..\\..\\file"]
    assert publisher.model_info(repo).sha != before


def test_missing_things_have_their_own_errors(publisher: HfApi) -> None:
    repo = new_repo(publisher)

    with pytest.raises(EntryNotFoundError):
        hf_hub_download(repo, "none.txt", endpoint=publisher.endpoint, token=publisher.token)
    with pytest.raises(RevisionNotFoundError):
        publisher.model_info(repo, revision="nope")
    assert not publisher.file_exists(repo, "none.txt")
    assert not publisher.revision_exists(repo, "nope")
    assert not publisher.repo_exists(repo + "x")
