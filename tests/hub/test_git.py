"""Git's protocol line by line, where no released git goes: bounds, refusals, old clients."""

import base64
import gzip
import hashlib
import io
import struct

import pytest
from django.test import Client

from accounts.models import User
from accounts.services.passwords import change_password
from catalog.history.packing import BadFilterError, Filter, read_filter
from catalog.models import Commit, FileLock, FileScan, GitObject, ModelRepo, Ref, RepoAlias
from catalog.services.repos import move_repo
from hub.git.pktline import BadLineError, Mark, line, read_line
from hub.views import git as git_views
from tests.catalog.history.packs import git
from tests.catalog.test_receiving import state
from tests.factories import PASSWORD, add_files, make_repo

NOTHING = "0" * 40
UPLOAD, RECEIVE = "git-upload-pack", "git-receive-pack"
FLUSH = b"0000"
V2 = {"Git-Protocol": "version=2"}


def basic(name: str, password: str) -> dict[str, str]:
    text = base64.b64encode(f"{name}:{password}".encode()).decode()
    return {"Authorization": f"Basic {text}"}


def said(*lines: str | bytes) -> bytes:
    return b"".join(each if isinstance(each, bytes) else line(each) for each in lines)


def post(client: Client, service: str, body: bytes, repo: str = "alice/tiny", **headers: str):
    return client.generic(
        "POST",
        f"/{repo}/{service}",
        body,
        content_type=f"application/x-{service}-request",
        headers={name.replace("_", "-"): value for name, value in headers.items()},
    )


def content(response) -> bytes:
    return b"".join(response) if response.streaming else response.content


def unbanded(data: bytes) -> tuple[bytes, dict[int, bytes]]:
    """Split an answer into (lines before the pack, bytes by side band)."""
    source, plain = io.BytesIO(data), b""
    bands: dict[int, bytes] = {}
    while (head := source.read(4)) not in {b"", FLUSH}:
        if int(head, 16) < 4:
            continue
        text = source.read(int(head, 16) - 4)
        if text[:1] in {b"\1", b"\2", b"\3"}:
            bands[text[0]] = bands.get(text[0], b"") + text[1:]
        else:
            plain += text
    return plain, bands


def fetch_v2(client: Client, *arguments: str, **headers: str):
    body = said("command=fetch", b"0001", *arguments, FLUSH)
    return post(client, UPLOAD, body, **V2, **headers)


@pytest.fixture
def repo(alice: User) -> ModelRepo:
    made = make_repo(alice)
    add_files(alice, made, {"notes.txt": b"hello\n"})
    return made


def head(repo: ModelRepo) -> str:
    return Ref.objects.get(repo=repo, name="refs/heads/main").oid


def test_what_is_advertised(client: Client, repo: ModelRepo) -> None:
    old = client.get("/alice/tiny.git/info/refs?service=git-upload-pack")
    new = client.get("/ALICE/Tiny/info/refs?service=git-upload-pack", headers=V2)
    one = client.get(
        "/alice/tiny/info/refs?service=git-upload-pack", headers={"Git-Protocol": "version=1"}
    )

    assert old["Content-Type"] == "application/x-git-upload-pack-advertisement"
    assert old["Cache-Control"] == "no-cache, max-age=0, must-revalidate"
    assert f"{head(repo)} HEAD\0".encode() in old.content
    assert b"symref=HEAD:refs/heads/main" in old.content
    assert b"fetch=shallow filter" in new.content
    assert b"refs/heads" not in new.content
    assert b"version 1" in one.content


def test_what_is_no_git_is_told_so(client: Client, repo: ModelRepo, bearer, alice: User) -> None:
    dumb = client.get("/alice/tiny/info/refs")
    other = client.get("/alice/tiny/info/refs?service=git-upload-archive")
    wrong = client.get("/alice/tiny/git-upload-pack")
    browser = client.get("/alice/tiny.git")

    assert (dumb.status_code, other.status_code) == (400, 400)
    assert b"smart protocol only" in dumb.content
    assert (wrong.status_code, wrong["Allow"]) == (405, "POST")
    assert (browser.status_code, browser["Location"]) == (302, "/alice/tiny")
    writing = bearer(alice)
    for body in [b"zzzz", b"0002", b"0003", b"0009ab", b"00", said("command=fetch"),
                 said("command=dance", FLUSH), said("command=fetch", b"0001", "sing", FLUSH),
                 said("command=fetch", b"0001", "want xyz", FLUSH),
                 said("command=fetch", b"0001", "deepen x", FLUSH),
                 said("command=fetch", b"0001", "filter sparse:oid=x", FLUSH),
                 said("command=fetch", b"0001", "deepen-not nowhere", "done", FLUSH),
                 said("command=fetch", b"0001", f"want {'1' * 40}", "done", FLUSH)]:  # fmt: skip
        answer = post(client, UPLOAD, body, **V2)
        assert answer.status_code == 200
        assert answer.content[4:8] == b"ERR ", body
    assert post(client, UPLOAD, said("sing", FLUSH)).content[4:8] == b"ERR "
    for body in [b"zzzz", said("hello"), said(f"{NOTHING} {NOTHING} refs/heads/x", FLUSH)]:
        assert post(client, RECEIVE, body, **writing).status_code == 400


def test_absent_and_hidden_ask_alike(client: Client, alice: User, bob: User, token_for) -> None:
    make_repo(alice, "secret", is_private=True)
    found = []
    for name in ["alice/secret", "alice/absent", "nobody/x"]:
        for service in [UPLOAD, RECEIVE]:
            path = f"/{name}.git/info/refs?service={service}"
            nobody = client.get(path)
            stranger = client.get(path, headers=basic("bob", token_for(bob)))
            found.append(
                (
                    nobody.status_code,
                    nobody["WWW-Authenticate"],
                    nobody.content.replace(name.encode(), b""),
                    stranger.status_code,
                    stranger.content.replace(name.encode(), b""),
                )
            )

    assert {row[0] for row in found} == {401}
    assert {row[1] for row in found} == {'Basic realm="GPT Store", charset="UTF-8"'}
    assert found[0] == found[2] == found[4]
    assert found[1] == found[3] == found[5]
    assert {row[3] for row in found} == {404}


def test_a_cookie_does_not_count(repo: ModelRepo, browser_of, alice: User) -> None:
    ModelRepo.objects.filter(pk=repo.pk).update(is_private=True)

    assert browser_of(alice).get("/alice/tiny/info/refs?service=git-upload-pack").status_code == 401


def test_an_account_password_works_for_git_alone(
    client: Client, repo: ModelRepo, alice: User, rate_limits_on: None
) -> None:
    ModelRepo.objects.filter(pk=repo.pk).update(is_private=True)
    path = "/alice/tiny/info/refs?service=git-receive-pack"
    right, wrong = basic("alice", PASSWORD), basic("alice", "wrong")

    assert client.get(path, headers=right).status_code == 200
    assert client.get("/api/whoami-v2", headers=right).status_code == 401
    lfs = client.get("/alice/tiny.git/info/lfs/locks", headers=basic("ALICE@example.org", PASSWORD))
    assert lfs.status_code == 200
    for _try in range(10):
        refused = client.get(path, headers=wrong)
        assert refused.status_code == 401
        assert refused["WWW-Authenticate"].startswith("Basic ")
    assert client.get(path, headers=wrong).status_code == 429
    assert client.get(path, headers=basic("nobody", "x")).status_code == 429
    assert client.get(path, headers=right).status_code == 200  # remembered; nobody can lock her out

    change_password(alice, old=PASSWORD, new="another horse battery 9")
    assert client.get(path, headers=right).status_code == 429


def test_a_broken_header_is_refused(client: Client, repo: ModelRepo) -> None:
    path = "/alice/tiny/info/refs?service=git-upload-pack"
    for header in [
        "Basic %%%",
        "Basic",
        "Digest x",
        "Basic " + base64.b64encode(b"\xff:x").decode(),
    ]:
        answer = client.get(path, headers={"Authorization": header})
        assert (answer.status_code, answer["WWW-Authenticate"][:5]) == (401, "Basic")


def test_packed_bodies_are_unpacked_within_bounds(
    client: Client, repo: ModelRepo, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = said("command=fetch", b"0001", f"want {head(repo)}", "done", FLUSH)
    packed = gzip.compress(body)
    gz = {"Content_Encoding": "gzip"}

    assert content(post(client, UPLOAD, packed, **V2, **gz)) == content(
        post(client, UPLOAD, body, **V2)
    )
    assert post(client, UPLOAD, packed[:-4], **V2, **gz).status_code == 400
    assert post(client, UPLOAD, packed + b"more", **V2, **gz).status_code == 400
    assert post(client, UPLOAD, b"junk", **V2, **gz).status_code == 400
    assert post(client, UPLOAD, body, **V2, Content_Encoding="br").status_code == 400
    bomb = gzip.compress(b"\0" * (git_views.MAX_FETCH_BYTES + 1))
    assert len(bomb) < 20_000
    assert post(client, UPLOAD, bomb, **V2, **gz).status_code == 413
    monkeypatch.setattr(git_views, "MAX_FETCH_BYTES", 50)
    assert post(client, UPLOAD, body, **V2).status_code == 413


def test_an_old_client_without_extensions_gets_its_pack(client: Client, repo: ModelRepo) -> None:
    wanted = head(repo)

    asked = content(post(client, UPLOAD, said(f"want {wanted}", FLUSH, f"have {'2' * 40}", FLUSH)))
    known = content(post(client, UPLOAD, said(f"want {wanted}", FLUSH, f"have {wanted}", FLUSH)))
    done = content(post(client, UPLOAD, said(f"want {wanted}", FLUSH, "done")))
    nothing = content(post(client, UPLOAD, FLUSH))

    assert asked == line("NAK")
    assert known == line(f"ACK {wanted}")
    assert done.startswith(line("NAK") + b"PACK")
    assert struct.unpack(">L", done[16:20]) == (6,)  # two commits, two trees, two files
    assert nothing == b""


def test_acknowledgements_of_both_generations(client: Client, repo: ModelRepo) -> None:
    wanted, old = head(repo), content_parent(repo)
    words = "multi_ack_detailed side-band-64k no-done no-progress include-tag"

    v0 = content(post(client, UPLOAD, said(f"want {wanted} {words}", FLUSH, f"have {old}", FLUSH)))
    plain, bands = unbanded(v0)
    assert plain.decode().splitlines() == [
        f"ACK {old} common",
        f"ACK {old} ready",
        "NAK",
        f"ACK {old}",
    ]
    assert bands[1][:4] == b"PACK"
    assert 2 not in bands  # it wanted no remarks
    assert content(
        post(client, UPLOAD, said(f"want {wanted} {words}", FLUSH, f"have {'2' * 40}", FLUSH))
    ) == line("NAK")

    unknown = content(fetch_v2(client, f"want {wanted}", f"have {'2' * 40}"))
    assert unknown == said("acknowledgments", "NAK", FLUSH)
    plain, bands = unbanded(content(fetch_v2(client, f"want {wanted}", f"have {old}", "thin-pack")))
    assert plain.decode().splitlines() == ["acknowledgments", f"ACK {old}", "ready", "packfile"]
    assert b"Sending 3 objects." in bands[2]
    assert struct.unpack(">L", bands[1][8:12]) == (3,)  # what the old commit lacks


def content_parent(repo: ModelRepo) -> str:
    return Commit.objects.get(repo=repo, oid=head(repo)).parent_oid


def test_refs_can_be_asked_for_by_their_beginning(client: Client, repo: ModelRepo) -> None:
    Ref.objects.create(repo=repo, name="refs/pr/1", oid=head(repo), commit_oid=head(repo))

    def listed(*arguments: str) -> list[str]:
        body = said("command=ls-refs", b"0001", *arguments, FLUSH)
        plain, _ = unbanded(post(client, UPLOAD, body, **V2).content)
        return [entry.partition(" ")[2] for entry in plain.decode().splitlines()]

    every = ["HEAD symref-target:refs/heads/main", "refs/heads/main", "refs/pr/1"]
    assert listed("symrefs", "peel") == every
    assert listed("ref-prefix refs/pr/") == ["refs/pr/1"]
    assert listed("ref-prefix HEAD") == ["HEAD"]
    assert listed("symrefs", *(f"ref-prefix {n}" for n in range(1001))) == every


def blocked(repo: ModelRepo, path: str, verdict: str) -> None:
    FileScan.objects.filter(repo=repo, path=path).update(verdict=verdict, reason="It bites.")


def test_verdicts_bind_what_travels_in_packs(
    client: Client, repo: ModelRepo, alice: User, bob: User, token_for
) -> None:
    wanted, old = head(repo), content_parent(repo)
    blob = GitObject.objects.get(repo=repo, data=b"hello\n").oid
    stranger, owner = basic("bob", token_for(bob)), basic("alice", token_for(alice))

    def tried(*more: str, want: str = wanted, **headers: str) -> bytes:
        return content(fetch_v2(client, f"want {want}", "done", *more, **headers))

    blocked(repo, "notes.txt", "unsafe")
    assert b"ERR notes.txt is not served, because it bites." in tried(**stranger)
    assert b"ERR notes.txt is not served" in tried(want=blob, **stranger)
    assert b"packfile" in tried(**owner)
    assert b"packfile" in tried(want=old, **stranger)  # it was not there yet
    assert b"packfile" in tried("filter blob:none", **stranger)
    asked = fetch_v2(client, f"want {wanted}", "done")
    assert (asked.status_code, asked["WWW-Authenticate"][:5]) == (401, "Basic")  # an owner?

    blocked(repo, "notes.txt", "pending")
    assert b"ERR notes.txt is being checked." in tried(**stranger)
    FileScan.objects.filter(repo=repo, path="notes.txt").delete()
    assert b"is being checked." in tried(**stranger)
    assert b"packfile" in tried(want=blob, **stranger)  # what a link points to is never judged

    blocked(repo, ".gitattributes", "clean")
    ModelRepo.objects.filter(pk=repo.pk).update(disabled_reason="Against the rules.")
    taken = client.get("/alice/tiny/info/refs?service=git-upload-pack", headers=owner)
    assert (taken.status_code, b"disabled" in taken.content) == (403, True)


def test_pointers_travel_whatever_their_verdict(
    client: Client, alice: User, bob: User, token_for
) -> None:
    repo = make_repo(alice)
    add_files(alice, repo, {"weights.bin": b"\0" * 100})
    blocked(repo, "weights.bin", "unsafe")
    headers = basic("bob", token_for(bob))

    assert b"packfile" in content(fetch_v2(client, f"want {head(repo)}", "done", **headers))
    sha256 = GitObject.objects.exclude(lfs_sha256="").get(repo=repo).lfs_sha256
    bytes_of = client.get(f"/alice/tiny.git/info/lfs/objects/{sha256}", headers=headers)
    assert bytes_of.status_code == 403


def push_body(*commands: str, pack: bytes = b"", words: str = "report-status side-band-64k"):
    first, *rest = commands
    return said(f"{first}\0 {words}", *rest, FLUSH) + pack


def test_reports_of_a_push(client: Client, repo: ModelRepo, alice: User, bearer) -> None:
    old, before, writing = head(repo), state(repo), bearer(alice)
    update = f"{old} {'1' * 40} refs/heads/main"

    plain, bands = unbanded(
        content(post(client, RECEIVE, push_body(update, pack=b"PACKjunk"), **writing))
    )
    assert b"unpack The pack ends too early." in bands[1]
    assert b"ng refs/heads/main unpacker error" in bands[1]
    assert b"The pack ends too early." in bands[2]
    assert plain == b""
    empty = b"PACK\0\0\0\2\0\0\0\0"
    empty += hashlib.sha1(empty).digest()
    short = content(
        post(client, RECEIVE, push_body(update, pack=empty, words="report-status"), **writing)
    )
    assert short.startswith(line("unpack ok"))
    assert b"ng refs/heads/main " in short
    silent = post(client, RECEIVE, push_body(update, pack=empty, words="quiet"), **writing)
    assert content(silent) == b""
    probe = post(client, RECEIVE, FLUSH, **writing)
    assert (probe.status_code, probe.content) == (200, b"")
    assert state(repo) == before

    twice = push_body(update, update.replace("main", "main"), pack=empty)
    assert post(client, RECEIVE, twice, **writing).status_code == 400
    many = push_body(*(f"{NOTHING} {old} refs/heads/{n}" for n in range(1001)))
    assert post(client, RECEIVE, many, **writing).status_code == 413
    assert state(repo) == before

    made = f"{NOTHING} {old} refs/heads/new"
    shallow = said(f"shallow {old}") + push_body(made, pack=empty, words="report-status")
    assert content(post(client, RECEIVE, shallow, **writing)) == said(
        "unpack ok", "ok refs/heads/new", FLUSH
    )
    gone = push_body(f"{old} {NOTHING} refs/heads/new", words="report-status")
    assert b"ok refs/heads/new" in content(post(client, RECEIVE, gone, **writing))
    assert state(repo)[0] == before[0]


def test_commits_per_hour_count_pushes(
    client: Client, repo: ModelRepo, alice: User, bearer, settings, rate_limits_on: None
) -> None:
    settings.ENV = settings.ENV.model_copy(update={"user_commits_per_hour": 1})
    body = push_body(f"{head(repo)} {NOTHING} refs/heads/none")

    assert post(client, RECEIVE, body, **bearer(alice)).status_code == 200
    limited = post(client, RECEIVE, body, **bearer(alice))

    assert (limited.status_code, b"Too many commits" in limited.content) == (429, True)
    assert int(limited["Retry-After"]) > 0


def test_other_names_of_a_repository(
    client: Client, repo: ModelRepo, alice: User, as_alice
) -> None:
    RepoAlias.objects.create(name="short", repo=repo)
    query = "info/refs?service=git-upload-pack"

    alias = client.get(f"/short.git/{query}")
    nothing = client.get(f"/nothing/{query}")
    move_repo(as_alice, repo, namespace="alice", name="moved")
    old = client.get(f"/alice/tiny.git/{query}")

    assert (alias.status_code, alias["Location"]) == (307, f"/alice/tiny.git/{query}")
    assert nothing.status_code == 401
    assert (old.status_code, old["Location"]) == (307, f"/alice/moved.git/{query}")


def test_locks_call_by_call(
    client: Client, repo: ModelRepo, alice: User, bob: User, bearer
) -> None:
    url, writing = "/alice/tiny.git/info/lfs/locks", bearer(alice)

    def lock(path: object, headers: dict = writing):
        return client.post(url, {"path": path}, content_type="application/json", headers=headers)

    made = lock("a.bin")
    again = lock("a.bin")
    assert (made.status_code, again.status_code) == (201, 409)
    assert again.json()["lock"] == made.json()["lock"]
    assert made["Content-Type"] == "application/vnd.git-lfs+json"
    assert made.json()["lock"]["owner"] == {"name": "alice"}
    for path in ["b.bin", "c.bin"]:
        lock(path)
    assert [lock(5).status_code, lock("../x").status_code] == [400, 422]
    assert lock("x", bearer(bob)).json()["message"].startswith("You may not change")
    assert lock("x", {}).status_code == 401
    assert FileLock.objects.count() == 3

    first = client.get(f"{url}?limit=2").json()
    second = client.get(f"{url}?limit=2&cursor={first['next_cursor']}").json()
    paths = [item["path"] for item in first["locks"] + second["locks"]]
    assert (paths, "next_cursor" in second) == (["a.bin", "b.bin", "c.bin"], False)
    assert [item["path"] for item in client.get(f"{url}?path=b.bin").json()["locks"]] == ["b.bin"]
    number = made.json()["lock"]["id"]
    assert len(client.get(f"{url}?id={number}&limit=x").json()["locks"]) == 1
    assert client.get(f"{url}?cursor=IngiXQ").status_code == 400
    assert client.get(f"{url}?cursor=WyJ4Il0").status_code == 400

    def told(path: str, body: dict, headers: dict = writing):
        return client.post(url + path, body, content_type="application/json", headers=headers)

    verified = told("/verify", {"limit": 2})
    assert [len(verified.json()[key]) for key in ("ours", "theirs")] == [2, 0]
    assert told("/verify", {}, bearer(bob)).status_code == 403
    assert told("/nothing/unlock", {}).status_code == 404
    assert told(f"/{number}/unlock", {}, bearer(bob)).status_code == 403
    assert told(f"/{number}/unlock", {}).json()["lock"]["path"] == "a.bin"
    assert FileLock.objects.count() == 2


def test_filters_of_partial_clones() -> None:
    assert read_filter("blob:limit=2K") == Filter(blob_limit=2048)
    assert read_filter("combine:tree:3+blob%3Alimit=1m+tree:2+blob:limit=5") == Filter(5, 2)
    for bad in [
        "",
        "blob",
        "blob:limit=-1",
        "tree:x",
        "combine:",
        "sparse:oid=a",
        "tree:" + "9" * 20,
    ]:
        with pytest.raises(BadFilterError):
            read_filter(bad)


def test_lines_are_read_within_bounds() -> None:
    def read(data: bytes):
        return read_line(io.BytesIO(data))

    assert [read(b"0000"), read(b"0001"), read(b"0002"), read(b"")] == [
        Mark.FLUSH,
        Mark.DELIM,
        Mark.END,
        Mark.END,
    ]
    assert [read(b"0004"), read(b"0006a\n"), read(b"0006ab")] == [b"", b"a", b"ab"]
    for bad in [b"0003", b"+005", b"0x05a", b"0005", b"00"]:
        with pytest.raises(BadLineError):
            read(bad)


def test_a_pack_is_what_git_reads(client: Client, repo: ModelRepo, tmp_path) -> None:
    _, bands = unbanded(content(fetch_v2(client, f"want {head(repo)}", "done")))
    git(tmp_path, "init", "-q", "--bare", ".")

    git(tmp_path, "index-pack", "--strict", "--stdin", data=bands[1])

    assert git(tmp_path, "cat-file", "-p", f"{head(repo)}:notes.txt") == b"hello\n"


def test_a_repository_deleted_while_it_is_sent(client: Client, repo: ModelRepo) -> None:
    answer = fetch_v2(client, f"want {head(repo)}", "done")
    GitObject.objects.filter(repo=repo, kind=3).delete()

    _, bands = unbanded(content(answer))

    assert b"deleted meanwhile" in bands[3]
