"""Discussions and pull requests with ``huggingface_hub``'s own client, against a live store."""

import secrets
import struct
import zlib
from pathlib import Path

import httpx2
import pytest
from huggingface_hub import CommitOperationAdd, HfApi
from huggingface_hub.community import (
    DiscussionComment,
    DiscussionCommit,
    DiscussionStatusChange,
    DiscussionTitleChange,
)
from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError

from tests.live import LiveStore


@pytest.fixture
def stranger(store: LiveStore) -> HfApi:
    """Somebody with no rights on anything of the publisher's."""
    _, token = store.person()
    return HfApi(endpoint=store.url, token=token)


@pytest.fixture
def repo(publisher: HfApi) -> str:
    """A public model of the publisher's."""
    made = f"{publisher.whoami()['name']}/m-{secrets.token_hex(3)}"
    publisher.create_repo(made)
    return made


@pytest.fixture(autouse=True)
def by_lfs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Large files go the LFS way."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)


def name_of(api: HfApi) -> str:
    return str(api.whoami()["name"])


def png() -> bytes:
    """A picture of one pixel."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
    return (
        b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"\0\0")) + chunk(b"IEND", b"")
    )


def test_talking(publisher: HfApi, stranger: HfApi, repo: str) -> None:
    opened = stranger.create_discussion(repo, "  How fast? ", description="Tell **me**.")
    said = publisher.comment_discussion(repo, 1, "Very.")
    edited = publisher.edit_discussion_comment(repo, 1, said.id, "Very fast.")
    named = stranger.rename_discussion(repo, 1, "How fast is it?")
    closed = publisher.change_discussion_status(repo, 1, "closed", comment="Done.")
    reopened = stranger.change_discussion_status(repo, 1, "open")
    with pytest.warns(UserWarning, match="irreversible"):
        hidden = publisher.hide_discussion_comment(repo, 1, said.id)

    assert (opened.num, opened.title, opened.status) == (1, "How fast?", "open")
    assert (opened.author, opened.is_pull_request) == (name_of(stranger), False)
    assert (opened.conflicting_files, opened.target_branch, opened.diff) == (None, None, None)
    assert isinstance(opened.events[0], DiscussionComment)
    assert "<strong>me</strong>" in opened.events[0].rendered
    assert (said.content, said.edited, said.number_of_edits) == ("Very.", False, 0)
    assert (edited.id, edited.content, edited.edited) == (said.id, "Very fast.", True)
    assert [version["raw"] for version in edited.edit_history] == ["Very."]
    assert edited.last_edited_by == name_of(publisher)
    assert edited.last_edited_at >= said.created_at
    assert isinstance(named, DiscussionTitleChange)
    assert (named.old_title, named.new_title) == ("How fast?", "How fast is it?")
    assert isinstance(closed, DiscussionStatusChange)
    assert (closed.new_status, reopened.new_status) == ("closed", "open")
    assert hidden.hidden
    assert "fast" not in hidden.content
    kinds = [event.type for event in publisher.get_discussion_details(repo, 1).events]
    assert kinds == [
        "comment",
        "comment",
        "title-change",
        "comment",
        "status-change",
        "status-change",
    ]


def test_lists_over_several_pages(publisher: HfApi, stranger: HfApi, repo: str) -> None:
    for number in range(53):
        publisher.create_discussion(repo, f"Number {number}")
    stranger.create_pull_request(repo, "A draft")

    def found(**filters) -> list[int]:
        return [item.num for item in publisher.get_repo_discussions(repo, **filters)]

    assert found() == list(range(54, 0, -1))
    assert found(author=name_of(stranger)) == [54]
    assert found(discussion_type="pull_request") == [54]
    assert len(found(discussion_type="discussion", discussion_status="open")) == 53
    assert found(discussion_status="closed") == []


def test_a_draft_becomes_a_merged_pull_request(
    publisher: HfApi, stranger: HfApi, repo: str
) -> None:
    draft = stranger.create_pull_request(repo, "Add notes", description="See inside")
    assert draft.git_reference is not None
    history = stranger.list_repo_commits(repo, revision=draft.git_reference)
    sent = stranger.upload_file(
        path_or_fileobj=b"notes\n",
        path_in_repo="notes.txt",
        repo_id=repo,
        revision=draft.git_reference,
        commit_message="Write notes",
    )
    stranger.change_discussion_status(repo, draft.num, "open")
    ready = publisher.get_discussion_details(repo, draft.num)
    publisher.merge_pull_request(repo, draft.num, comment="Thanks")

    merged = publisher.get_discussion_details(repo, draft.num)
    assert (draft.status, draft.target_branch) == ("draft", "refs/heads/main")
    assert [commit.title for commit in history] == ["initial commit"]
    assert (ready.conflicting_files, ready.merge_commit_oid) == ([], None)
    assert "+notes" in str(ready.diff)
    assert isinstance(ready.events[1], DiscussionCommit)
    assert (ready.events[1].summary, ready.events[1].oid) == ("Write notes", sent.oid)
    assert (merged.status, merged.merge_commit_oid) == ("merged", publisher.model_info(repo).sha)
    assert publisher.list_repo_commits(repo)[0].title == "Add notes (#1)"
    assert "notes.txt" in publisher.list_repo_files(repo)
    refs = publisher.list_repo_refs(repo, include_pull_requests=True)
    assert [ref.ref for ref in refs.pull_requests] == ["refs/pr/1"]
    with pytest.raises(HfHubHTTPError):
        publisher.merge_pull_request(repo, draft.num)


def test_create_commit_with_create_pr(
    publisher: HfApi, stranger: HfApi, repo: str, tmp_path: Path
) -> None:
    publisher.create_branch(repo, branch="dev")
    before = publisher.list_repo_refs(repo)
    weights = secrets.token_bytes(50_000)

    info = stranger.create_commit(
        repo,
        operations=[
            CommitOperationAdd("a.txt", b"a"),
            CommitOperationAdd("model.bin", weights),
        ],
        commit_message="Two files",
        commit_description="and a reason",
        revision="dev",
        create_pr=True,
    )

    assert (info.pr_num, info.pr_revision) == (1, "refs/pr/1")
    assert info.pr_url == f"{publisher.endpoint}/{repo}/discussions/1"
    assert publisher.list_repo_refs(repo) == before
    found = stranger.get_discussion_details(repo, 1)
    assert (found.title, found.status, found.target_branch) == (
        "Two files",
        "open",
        "refs/heads/dev",
    )
    assert isinstance(found.events[0], DiscussionComment)
    assert found.events[0].content == "and a reason"
    got = stranger.hf_hub_download(repo, "model.bin", revision="refs/pr/1", cache_dir=tmp_path)
    assert Path(got).read_bytes() == weights
    with pytest.raises(RevisionNotFoundError):
        stranger.create_commit(
            repo,
            operations=[CommitOperationAdd("b.txt", b"b")],
            commit_message="x",
            revision=info.oid,
            create_pr=True,
        )
    publisher.merge_pull_request(repo, 1)
    assert "model.bin" in publisher.list_repo_files(repo, revision="dev")
    assert "model.bin" not in publisher.list_repo_files(repo)


def test_upload_folder_with_create_pr(
    publisher: HfApi, stranger: HfApi, repo: str, tmp_path: Path
) -> None:
    for path in ("one.txt", "deep/two.txt"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(path)

    stranger.upload_folder(
        repo_id=repo, folder_path=tmp_path, commit_message="My folder", create_pr=True
    )

    [found] = list(publisher.get_repo_discussions(repo))
    assert (found.title, found.is_pull_request) == ("My folder", True)
    assert set(stranger.list_repo_files(repo, revision=f"refs/pr/{found.num}")) >= {
        "one.txt",
        "deep/two.txt",
    }
    assert publisher.list_repo_files(repo) == [".gitattributes"]


def test_conflicts_are_named(publisher: HfApi, stranger: HfApi, repo: str) -> None:
    proposal = [CommitOperationAdd("a.txt", b"theirs"), CommitOperationAdd("b.txt", b"b")]
    stranger.create_commit(repo, operations=proposal, commit_message="Mine", create_pr=True)
    publisher.upload_file(path_or_fileobj=b"ours", path_in_repo="a.txt", repo_id=repo)
    before = publisher.list_repo_refs(repo, include_pull_requests=True)

    with pytest.raises(HfHubHTTPError) as caught:
        publisher.merge_pull_request(repo, 1)

    assert caught.value.response.status_code == 409
    found = publisher.get_discussion_details(repo, 1)
    assert (found.status, found.conflicting_files) == ("open", ["a.txt"])
    assert publisher.list_repo_refs(repo, include_pull_requests=True) == before


def test_strangers_only_propose(publisher: HfApi, stranger: HfApi, repo: str) -> None:
    private = f"{name_of(publisher)}/secret-{secrets.token_hex(3)}"
    publisher.create_repo(private, private=True)
    publisher.create_discussion(private, "Our plan")
    publisher.create_pull_request(repo, "Of the owner")

    for refused in (
        lambda: stranger.upload_file(path_or_fileobj=b"x", path_in_repo="x", repo_id=repo),
        lambda: stranger.upload_file(
            path_or_fileobj=b"x", path_in_repo="x", repo_id=repo, revision="refs/pr/1"
        ),
        lambda: stranger.merge_pull_request(repo, 1),
        lambda: stranger.rename_discussion(repo, 1, "Mine now"),
    ):
        with pytest.raises(HfHubHTTPError) as caught:
            refused()
        assert caught.value.response.status_code == 403
    for hidden in (
        lambda: list(stranger.get_repo_discussions(private)),
        lambda: stranger.get_discussion_details(private, 1),
        lambda: stranger.create_discussion(private, "Hello?"),
    ):
        with pytest.raises(RepositoryNotFoundError):
            hidden()
    assert publisher.get_discussion_details(repo, 1).title == "Of the owner"
    assert len(list(publisher.get_repo_discussions(private))) == 1


def test_attachments(publisher: HfApi, stranger: HfApi, repo: str, tmp_path: Path) -> None:
    picture = tmp_path / "dot.png"
    picture.write_bytes(png())

    url = stranger.upload_attachment(picture)
    opened = stranger.create_discussion(repo, "Look", description=f"![a dot]({url})")

    assert url.startswith(f"{publisher.endpoint}/uploads/")
    answer = httpx2.get(url)
    assert (answer.content, answer.headers["content-type"]) == (png(), "image/png")
    path = url.removeprefix(publisher.endpoint)
    assert isinstance(opened.events[0], DiscussionComment)
    assert f'<img src="{path}" alt="a dot"' in opened.events[0].rendered
    fake = tmp_path / "page.png"
    fake.write_bytes(b"<html><script>alert(1)</script>")
    with pytest.raises(HfHubHTTPError) as caught:
        stranger.upload_attachment(fake)
    assert caught.value.response.status_code == 415


def test_proposals_outlive_a_rewritten_history(
    publisher: HfApi, stranger: HfApi, repo: str
) -> None:
    """Squashed beneath one, and large files deleted from it beneath another."""
    for path, content in (("a.txt", b"a\n"), ("w.safetensors", b"weights")):
        publisher.upload_file(repo_id=repo, path_in_repo=path, path_or_fileobj=content)
    for path in ("one.txt", "two.txt"):
        add = CommitOperationAdd(path, b"more\n")
        stranger.create_commit(repo, [add], commit_message=f"Add {path}", create_pr=True)

    publisher.super_squash_history(repo)
    first = publisher.get_discussion_details(repo, 1)
    publisher.merge_pull_request(repo, 1)
    squashed = [commit.title for commit in publisher.list_repo_commits(repo)]
    files = list(publisher.list_lfs_files(repo))
    publisher.permanently_delete_lfs_files(repo, files)
    second = publisher.get_discussion_details(repo, 2)
    publisher.merge_pull_request(repo, 2)

    for found in (first, second):
        assert found.conflicting_files == []
        assert found.diff is not None
        assert found.diff.count("diff --git") == 1
    assert len(squashed) == 2
    assert len(files) == 1
    assert set(publisher.list_repo_files(repo)) == {".gitattributes", "a.txt", "one.txt", "two.txt"}
