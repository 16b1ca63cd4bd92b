"""The real git and git-lfs against a real store: what arrives, and what comes back."""

import subprocess
from pathlib import Path

import pytest
from huggingface_hub import hf_hub_download

from tests.clients.git_tools import WEIGHTS, Hub, cloned, commit, history, new_hub, run
from tests.factories import safetensors
from tests.live import PASSWORD, LiveStore


@pytest.fixture
def hub(store: LiveStore, tmp_path: Path) -> Hub:
    return new_hub(store, tmp_path)


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


@pytest.mark.parametrize("version", ["0", "2"])
def test_history_may_end_early_and_go_on_later(hub: Hub, version: str) -> None:
    made = cloned(hub, into="made")
    for number in range(5):
        commit(made, {"n.txt": b"%d\n" % number}, f"number {number}")
    run("push", "-q", "origin", "main", cwd=made)
    every = history(made)

    old = ("-c", f"protocol.version={version}")
    folder = cloned(hub, *old, "--depth", "2", url=hub.url())
    assert history(folder) == every[:2]
    run(*old, "fetch", "-q", "--depth", "4", cwd=folder)
    assert history(folder) == every[:4]
    run(*old, "fetch", "-q", "--deepen", "1", cwd=folder)
    assert history(folder) == every[:5]
    run(*old, "fetch", "-q", "--unshallow", cwd=folder)

    assert history(folder) == every
    assert run("fsck", "--strict", cwd=folder).stdout == ""
    assert not (folder / ".git/shallow").exists()


def test_history_from_a_day_on_and_without_a_tag(hub: Hub) -> None:
    made = cloned(hub, into="made")
    past = {"GIT_COMMITTER_DATE": "2001-02-03T00:00:00Z", "GIT_AUTHOR_DATE": "2001-02-03T00:00:00Z"}
    run("checkout", "-q", "--orphan", "old", cwd=made)
    run("commit", "-q", "-m", "long ago", cwd=made, env=past)
    run("tag", "past", cwd=made)
    new = commit(made, {"n.txt": b"now\n"})
    run("push", "-q", "origin", "old", "past", cwd=made)

    since = cloned(hub, "-b", "old", "--shallow-since", "2020-01-01", url=hub.url(), into="since")
    without = cloned(hub, "-b", "old", "--shallow-exclude", "past", url=hub.url(), into="without")
    late = ("--single-branch", "--no-tags", "--shallow-since", "2020-01-01")
    nothing = run("clone", "-b", "past", *late, hub.url(), "x", cwd=hub.folder, check=False)

    assert history(since) == history(without) == [new]
    assert "No commits are left" in nothing.stderr


def test_partial_clones_fetch_the_rest_when_it_is_needed(hub: Hub) -> None:
    def missing(folder: Path) -> int:
        found = run("rev-list", "--objects", "--all", "--missing=print", cwd=folder).stdout
        return sum(line.startswith("?") for line in found.splitlines())

    no_files = cloned(hub, "-n", "--filter=blob:none", url=hub.url(), into="no-files")
    no_trees = cloned(hub, "-n", "--filter=tree:0", url=hub.url(), into="no-trees")
    roots = cloned(hub, "-n", "--filter=tree:1", url=hub.url(), into="roots")
    small = cloned(hub, "-n", "--filter=blob:limit=100", url=hub.url(), into="small")
    unknown = run("clone", "--filter=object:type=tag", hub.url(), "x", cwd=hub.folder, check=False)

    assert missing(no_files) > 0
    assert missing(no_trees) == 2  # a root for each commit, and nobody knows what is in it
    assert missing(roots) > 2
    assert 0 < missing(small) < missing(no_files)
    assert "knows no filter" in unknown.stderr
    for folder in [no_files, no_trees, roots, small]:
        run("checkout", "-q", "main", cwd=folder, env={"GIT_LFS_SKIP_SMUDGE": "1"})
        assert (folder / "sub/notes.txt").read_bytes() == b"deep\n"
        assert run("fsck", cwd=folder).stdout == ""


def test_branches_tags_and_merges(hub: Hub) -> None:
    folder = cloned(hub)
    run("checkout", "-q", "-b", "side/one", cwd=folder)
    side = commit(folder, {"side.txt": b"side\n"}, "on the side")
    run("checkout", "-q", "main", cwd=folder)
    trunk = commit(folder, {"trunk.txt": b"trunk\n"}, "on the trunk")
    run("merge", "-q", "--no-ff", "-m", "both", "side/one", cwd=folder)
    merged = run("rev-parse", "HEAD", cwd=folder).stdout.strip()
    run("tag", "-a", "v1", "-m", "first", cwd=folder)
    run("tag", "light", side, cwd=folder)
    run("push", "-q", "origin", "main", "side/one", "v1", "light", cwd=folder)

    refs = hub.api.list_repo_refs(hub.repo)
    assert {ref.name: ref.target_commit for ref in refs.branches} == {
        "main": merged,
        "side/one": side,
    }
    assert {ref.name: ref.target_commit for ref in refs.tags} == {"v1": merged, "light": side}
    line = [item.commit_id for item in hub.api.list_repo_commits(hub.repo)]
    assert line[:2] == [merged, trunk]  # along first parents
    assert side not in line
    [info] = hub.api.get_paths_info(hub.repo, "side.txt", expand=True)
    assert info.last_commit.oid == merged

    fresh = cloned(hub, url=hub.url(), into="fresh")
    assert set(history(fresh)) == set(history(folder))
    assert run("describe", cwd=fresh).stdout.strip() == "v1"
    run("push", "-q", "origin", ":side/one", ":light", cwd=folder)
    run("fetch", "-q", "--prune", "--prune-tags", cwd=fresh)
    assert run("tag", cwd=fresh).stdout.split() == ["v1"]
    assert run("branch", "-r", cwd=fresh).stdout.split() == [
        "origin/HEAD",
        "->",
        "origin/main",
        "origin/main",
    ]


def test_a_push_from_a_shallow_clone(hub: Hub) -> None:
    folder = cloned(hub, "--depth", "1")

    oid = commit(folder, {"more.txt": b"more\n"})
    run("push", "-q", "origin", "main", cwd=folder)

    assert hub.head() == oid
    assert len(history(cloned(hub, into="whole"))) == 3


def test_every_way_to_prove_oneself(store: LiveStore, tmp_path: Path) -> None:
    hub = new_hub(store, tmp_path, is_private=True)
    other, token = store.person()
    _, reading = store.person(hub.name, scope="read")

    def tried(url: str) -> subprocess.CompletedProcess[str]:
        return run("ls-remote", url, "HEAD", cwd=tmp_path, check=False)

    good = [
        hub.mine,
        hub.url("anything", hub.token),
        hub.url(hub.token, "x-oauth-basic"),
        hub.url(hub.name, PASSWORD.replace(" ", "%20")),
        hub.url(hub.name, reading),
    ]
    absent = f"{hub.name}/nothing-here"
    assert [tried(url).stdout.split()[:1] for url in good] == [[hub.head()]] * 5
    for repo in [hub.repo, absent]:
        nobody = tried(hub.url(repo=repo))
        stranger = tried(hub.url(other, token, repo=repo))
        wrong = tried(hub.url(hub.name, "wrong", repo=repo))
        assert "could not read Username" in nobody.stderr  # it asks, and nobody answers here
        assert "Repository Not Found" in stranger.stderr
        assert "Authentication failed" in wrong.stderr


def test_a_renamed_repository_is_found_by_its_old_name(hub: Hub) -> None:
    folder = cloned(hub)
    hub.api.move_repo(hub.repo, f"{hub.repo}-new")

    oid = commit(folder, {"a.txt": b"a\n"})
    run("pull", "-q", cwd=folder)
    run("push", "-q", "origin", "main", cwd=folder)

    hub.repo += "-new"
    assert hub.head() == oid


@pytest.mark.parametrize("version", ["0", "2"])
def test_a_long_talk_about_what_both_have(hub: Hub, version: str) -> None:
    """The client has hundreds of commits the store never saw, so one round does not do."""
    old = ("-c", f"protocol.version={version}")
    folder, strangers = cloned(hub), hub.folder / "strangers"
    tree = run("rev-parse", "HEAD^{tree}", cwd=folder).stdout.strip()
    oid = run("rev-parse", "HEAD", cwd=folder).stdout.strip()
    made_s = int(run("log", "-1", "--format=%ct", cwd=folder).stdout)
    for number in range(150):  # git tells of the newest first: none is as old as what both have
        when = {"GIT_COMMITTER_DATE": f"{made_s + 60 + number} +0000"}
        done = run("commit-tree", tree, "-p", oid, "-m", f"{number}", cwd=folder, env=when)
        oid = done.stdout.strip()
    run("reset", "-q", "--hard", oid, cwd=folder, env={"GIT_LFS_SKIP_SMUDGE": "1"})
    hub.api.upload_file(path_or_fileobj=b"by hub\n", path_in_repo="hub.txt", repo_id=hub.repo)

    talk = run(*old, "fetch", "-q", "origin", cwd=folder, env={"GIT_TRACE_PACKET": "1"})
    assert run("rev-parse", "origin/main", cwd=folder).stdout.strip() == hub.head()
    assert talk.stderr.count("> have ") > 16
    run("init", "-q", strangers, cwd=hub.folder)
    commit(strangers, {"other.txt": b"nothing in common\n"})
    run(*old, "fetch", "-q", hub.url(), "main", cwd=strangers)
    assert run("rev-parse", "FETCH_HEAD", cwd=strangers).stdout.strip() == hub.head()
    assert run("fsck", "--strict", "--no-dangling", cwd=strangers).stdout == ""


def test_a_shallow_clone_goes_on_from_where_it_is(hub: Hub) -> None:
    folder = cloned(hub, "--depth", "1", url=hub.url())
    before = hub.head()
    hub.api.upload_file(path_or_fileobj=b"by hub\n", path_in_repo="hub.txt", repo_id=hub.repo)

    run("pull", "-q", cwd=folder)

    assert history(folder) == [hub.head(), before]
    assert run("fsck", "--strict", cwd=folder).stdout == ""
