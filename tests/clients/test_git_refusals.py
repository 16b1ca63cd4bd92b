"""Pushes the store refuses: git shows why, and nothing has changed."""

import secrets
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from huggingface_hub.errors import HfHubHTTPError

from tests.clients.git_tools import Hub, cloned, commit, history, new_hub, refused, run
from tests.live import LiveStore

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize {}\n"


@pytest.fixture
def hub(store: LiveStore, tmp_path: Path) -> Hub:
    return new_hub(store, tmp_path)


def refs(hub: Hub) -> list[str]:
    return run("ls-remote", hub.mine, cwd=hub.folder).stdout.splitlines()


def test_a_large_file_without_lfs_is_named_with_advice(hub: Hub) -> None:
    folder, before = cloned(hub), refs(hub)
    commit(folder, {"sub/large.txt": secrets.token_bytes(10_000_001)})

    said = refused(folder, "main")

    assert "sub/large.txt is too large for git itself (10000001 bytes)" in said
    assert 'git lfs migrate import --include="sub/large.txt"' in said
    assert "! [remote rejected] main -> main" in said
    assert refs(hub) == before
    large = secrets.token_bytes(10_000_000)
    oid = commit(folder, {"sub/large.txt": large}, "smaller")
    run("reset", "-q", "--soft", "HEAD~2", cwd=folder)
    oid = commit(folder, {}, "just small enough")
    run("push", "-q", "origin", "main", cwd=folder)
    assert hub.head() == oid


def test_a_pointer_to_bytes_that_were_never_sent_here(hub: Hub, store: LiveStore) -> None:
    victim = new_hub(store, hub.folder / "victim")
    info = victim.api.get_paths_info(victim.repo, "model.safetensors")[0]
    folder, before = cloned(hub), refs(hub)
    for sha256, size in [("0" * 64, 10), (info.lfs.sha256, info.lfs.size + 1)]:
        run("reset", "-q", "--hard", "origin/main", cwd=folder)
        commit(folder, {"stolen.dat": POINTER.format(sha256, size).encode()})

        said = refused(folder, "main")

        assert "The content of stolen.dat was not uploaded to this repository" in said
        assert refs(hub) == before


def test_submodules_are_refused_with_the_reason(hub: Hub) -> None:
    folder, before = cloned(hub), refs(hub)
    oid = run("rev-parse", "HEAD", cwd=folder).stdout.strip()
    run("update-index", "--add", "--cacheinfo", f"160000,{oid},other", cwd=folder)
    run("commit", "-q", "-m", "submodule", cwd=folder)

    said = refused(folder, "main")

    assert "'other' is a submodule, and models have none" in said
    assert refs(hub) == before


def test_refs_that_are_not_pushed_by_git(hub: Hub) -> None:
    folder, before = cloned(hub), refs(hub)
    commit(folder, {"a.txt": b"a\n"})

    reasons = {
        "main:refs/pr/1": "pull requests are changed on their page",
        "main:refs/convert/parquet": "conversions are made by the store",
        "main:refs/notes/x": "only branches (refs/heads/) and tags (refs/tags/)",
        ":main": "the default branch cannot be deleted",
        "main^{tree}:refs/tags/tree": "it does not lead to a commit",
    }
    for spec, reason in reasons.items():
        assert reason in refused(folder, spec), spec

    assert refs(hub) == before


def test_all_of_a_push_or_nothing(hub: Hub) -> None:
    folder, before = cloned(hub), refs(hub)
    commit(folder, {"a.txt": b"a\n"})

    said = refused(folder, "main", "main:refs/heads/fine", "main:refs/pr/7")

    assert "main -> refs/pr/7 (pull requests are changed" in said
    assert "main -> fine (refused together with the rest of this push)" in said
    assert refs(hub) == before


def test_who_may_push_what(hub: Hub, store: LiveStore) -> None:
    _, reading = store.person(hub.name, scope="read")
    stranger, other = store.person()
    folder, before = cloned(hub), refs(hub)
    commit(folder, {"a.txt": b"a\n"})

    def tried(url: str) -> str:
        done = run("push", url, "main", cwd=folder, check=False)
        assert done.returncode != 0
        return done.stderr

    assert "could not read Username" in tried(hub.url())
    assert "may not change" in tried(hub.url(stranger, other))
    assert "lacks the scope 'write'" in tried(hub.url(hub.name, reading))
    assert "Repository Not Found" in tried(hub.url(hub.name, hub.token, repo=f"{hub.name}/no"))
    assert refs(hub) == before


def test_only_owners_force(store: LiveStore, tmp_path: Path) -> None:
    owner, owning = store.person()
    writer, writing = store.person()
    team = f"team-{secrets.token_hex(3)}"
    store.manage("addorg", team, "--member", f"{owner}:admin", "--member", f"{writer}:write")
    hub = Hub(store, owner, owning, f"{team}/m", tmp_path)
    hub.api.create_repo(hub.repo)
    folder = cloned(hub, url=hub.url(writer, writing))
    first = commit(folder, {"a.txt": b"a\n"})
    run("push", "-q", "origin", "main", "main:refs/tags/t", cwd=folder)  # forward, anybody may

    run("reset", "-q", "--hard", "HEAD~1", cwd=folder)
    second = commit(folder, {"b.txt": b"b\n"})
    said = refused(folder, "--force", "main")
    assert "only owners may force-push" in said
    assert "only owners may force-push" in refused(folder, "--force", "main:refs/tags/t")
    assert hub.head() == first

    run("push", "-q", "--force", hub.mine, "main", "main:refs/tags/t", cwd=folder)
    assert hub.head() == second
    assert hub.api.list_repo_files(hub.repo) == [".gitattributes", "b.txt"]
    assert hub.api.list_repo_files(hub.repo, revision=first) == [".gitattributes", "a.txt"]


def test_one_of_many_pushes_wins(hub: Hub) -> None:
    folders = [cloned(hub, into=f"clone{number}") for number in range(4)]
    oids = [commit(folder, {f"{n}.txt": b"x\n"}, f"{n}") for n, folder in enumerate(folders)]

    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda f: run("push", "origin", "main", cwd=f, check=False), folders))

    won = [oid for oid, push in zip(oids, done, strict=True) if push.returncode == 0]
    lost = [push.stderr for push in done if push.returncode != 0]
    assert won == [hub.head()]
    assert all("fetch first" in said for said in lost)
    assert "1.txt" in hub.api.list_repo_files(hub.repo) or won != [oids[1]]


def test_a_push_against_hub_commits(hub: Hub) -> None:
    folder = cloned(hub)

    def by_hub(number: int) -> str:
        return hub.api.upload_file(
            path_or_fileobj=b"%d" % number, path_in_repo=f"hub{number}.txt", repo_id=hub.repo
        ).oid

    def by_git(number: int) -> str:
        run("fetch", "-q", cwd=folder)
        run("reset", "-q", "--hard", "origin/main", cwd=folder)
        oid = commit(folder, {f"git{number}.txt": b"x\n"})
        done = run("push", "origin", "main", cwd=folder, check=False)
        assert done.returncode == 0 or "fetch first" in done.stderr, done.stderr
        return oid if done.returncode == 0 else ""

    with ThreadPoolExecutor(2) as pool:
        hubs = pool.submit(lambda: [by_hub(number) for number in range(6)])
        gits = pool.submit(lambda: [by_git(number) for number in range(6)])
        acknowledged = {*hubs.result(), *gits.result()} - {""}

    run("fetch", "-q", cwd=folder)
    line = history(folder, "origin/main")
    assert acknowledged <= set(line)  # nothing that was acknowledged is lost
    assert len(line) == len(acknowledged) + 2


def test_a_locked_file_is_its_owners(store: LiveStore, tmp_path: Path) -> None:
    owner, owning = store.person()
    writer, writing = store.person()
    team = f"team-{secrets.token_hex(3)}"
    store.manage("addorg", team, "--member", f"{owner}:admin", "--member", f"{writer}:write")
    hub = Hub(store, owner, owning, f"{team}/m", tmp_path)
    hub.api.create_repo(hub.repo)
    mine = cloned(hub, url=hub.url(owner, owning), into="mine")
    other = cloned(hub, url=hub.url(writer, writing), into="other")
    for folder in (mine, other):
        run("lfs", "install", "--local", cwd=folder)
    commit(other, {"w.bin": b"\0" * 100})
    run("push", "-q", "origin", "main", cwd=other)
    run("pull", "-q", cwd=mine)

    run("lfs", "lock", "w.bin", cwd=other)
    again = run("lfs", "lock", "w.bin", cwd=mine, check=False)
    assert f"w.bin is locked by {writer}" in again.stdout + again.stderr
    assert writer in run("lfs", "locks", cwd=mine).stdout
    verified = run("lfs", "locks", "--verify", cwd=other).stdout
    assert verified.startswith("O w.bin")

    head = commit(mine, {"w.bin": b"\1" * 100})
    assert f"w.bin is locked by {writer}" in refused(mine, "main")
    with pytest.raises(HfHubHTTPError, match=f"w.bin is locked by {writer}"):
        hub.api.delete_file("w.bin", hub.repo)

    not_forced = run("lfs", "unlock", "w.bin", cwd=mine, check=False)
    assert not_forced.returncode != 0
    assert "--force" in not_forced.stdout + not_forced.stderr
    run("lfs", "unlock", "--force", "w.bin", cwd=mine)
    assert run("lfs", "locks", cwd=mine).stdout == ""
    run("push", "-q", "origin", "main", cwd=mine)
    assert hub.head() == head

    run("lfs", "lock", "w.bin", cwd=mine)
    forced = run("lfs", "unlock", "--force", "w.bin", cwd=other, check=False)
    assert "Only an owner" in forced.stdout + forced.stderr
