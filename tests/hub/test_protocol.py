"""The wire contract, call by call, without a client in between."""

import base64
import hashlib
import json

import pytest
from django.test import Client

from accounts.models import User
from catalog.models import Commit, LfsObject, ModelRepo, Ref, RepoAlias, RepoLfsObject, Upload
from tests.factories import add_files, make_org, make_repo, safetensors

JSON = "application/json"
LFS = "application/vnd.git-lfs+json"


def ndjson(*lines: tuple[str, dict]) -> bytes:
    return b"\n".join(json.dumps({"key": key, "value": value}).encode() for key, value in lines)


def commit(client: Client, headers: dict, *lines: tuple[str, dict], rev: str = "main", **header):
    head = {"summary": "change", "description": ""} | header
    return client.post(
        f"/api/models/alice/tiny/commit/{rev}",
        ndjson(("header", head), *lines),
        content_type="application/x-ndjson",
        headers=headers,
    )


def heads(repo: ModelRepo) -> list[tuple[str, str]]:
    return list(Ref.objects.filter(repo=repo).order_by("name").values_list("name", "oid"))


def upload(client: Client, headers: dict, data: bytes, repo: str = "alice/tiny") -> dict:
    """Send ``data`` the LFS way; return the batch answer's object."""
    oid = hashlib.sha256(data).hexdigest()
    answer = client.post(
        f"/{repo}.git/info/lfs/objects/batch",
        {
            "operation": "upload",
            "transfers": ["basic", "multipart"],
            "objects": [{"oid": oid, "size": len(data)}],
        },
        content_type=JSON,
        headers=headers,
    )
    [item] = answer.json()["objects"]
    return item


def put(client: Client, href: str, data: bytes):
    path = href.split("testserver", 1)[1]
    return client.generic("PUT", path, data, content_type="application/octet-stream")


@pytest.fixture
def repo(alice: User) -> ModelRepo:
    return make_repo(alice)


@pytest.fixture
def write(alice: User, bearer) -> dict:
    return bearer(alice, "write")


def test_whoami(client: Client, alice: User, write: dict) -> None:
    make_org("acme", alice="write")

    body = client.get("/api/whoami-v2", headers=write).json()

    assert (body["name"], body["type"], body["orgs"][0]["roleInOrg"]) == ("alice", "user", "write")
    assert body["auth"]["accessToken"]["role"] == "write"
    assert client.get("/api/whoami-v2").status_code == 401


def test_small_questions(client: Client, repo: ModelRepo, write: dict, bearer, bob: User) -> None:
    assert client.get("/api/agent-harnesses").json() == {"standardEnvVars": [], "harnesses": {}}
    assert client.head("/api/telemetry/a/b").status_code == 200
    assert client.get("/api/models/alice/tiny/auth-check").status_code == 200
    assert client.get("/api/models/alice/tiny/auth-check/write", headers=write).status_code == 200
    stranger = client.get("/api/models/alice/tiny/auth-check/write", headers=bearer(bob))
    assert stranger.status_code == 403


def test_request_ids_and_cors(client: Client, repo: ModelRepo) -> None:
    traced = client.get("/api/models/alice/tiny", headers={"X-Amzn-Trace-Id": "abc-1"})
    named = client.get("/api/models/alice/tiny", headers={"X-Request-Id": "mine"})
    options = client.options("/api/models/alice/tiny")
    wrong = client.post("/api/models/alice/tiny/refs")

    assert (traced["X-Request-Id"], named["X-Request-Id"]) == ("abc-1", "mine")
    assert options.status_code == 204
    assert options["Access-Control-Allow-Origin"] == "*"
    assert (wrong.status_code, wrong["Allow"]) == (405, "GET, HEAD")


def test_create_forms(client: Client, alice: User, write: dict) -> None:
    def create(**body):
        return client.post("/api/repos/create", body, content_type=JSON, headers=write)

    plain = create(name="m1")
    files = [{"path": "a.txt", "content": base64.b64encode(b"hi").decode(), "encoding": "base64"}]
    create(name="m2", visibility="private", license="mit", files=files)
    slashed = create(name="alice/m3", private=True)
    again = create(name="M1")

    assert plain.json()["url"] == "http://testserver/alice/m1"
    assert len(plain.json()["id"]) == 24
    info = client.get("/api/models/alice/m2", headers=write).json()
    assert info["private"] is True
    assert info["cardData"] == {"license": "mit"}
    assert {item["rfilename"] for item in info["siblings"]} == {
        ".gitattributes",
        "README.md",
        "a.txt",
    }
    assert slashed.json()["name"] == "alice/m3"
    assert (again.status_code, again.json()["url"]) == (409, "http://testserver/alice/m1")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ({"name": "x", "type": "dataset"}, 400),
        ({"name": "x", "visibility": "hidden"}, 400),
        ({"name": "x", "private": "yes"}, 400),
        ({"name": "a--b"}, 400),
        ({"name": "x", "organization": "nobody"}, 403),
        ({"name": "x", "files": [3]}, 400),
        ({"name": "x", "files": [{"path": "a", "content": "%%", "encoding": "base64"}]}, 400),
        ({"name": "x", "files": [{"path": "a", "content": "x", "encoding": "rot13"}]}, 400),
        ({"name": "x", "files": [{"path": "a"}]}, 400),
        ({"name": "x", "files": [{"path": "../a", "content": "x"}]}, 422),
        ({"name": "x\u0000"}, 400),
    ],
)
def test_refused_creations_leave_nothing(
    client: Client, write: dict, body: dict, status: int
) -> None:
    answer = client.post("/api/repos/create", body, content_type=JSON, headers=write)

    assert answer.status_code == status
    assert isinstance(answer.json()["error"], str)
    assert ModelRepo.objects.count() == 0


def test_an_organizations_wish_decides_privacy(client: Client, alice: User, write: dict) -> None:
    acme = make_org("acme", alice="write")
    acme.is_private_by_default = True
    acme.save()

    client.post(
        "/api/repos/create", {"name": "m", "organization": "acme"}, content_type=JSON, headers=write
    )

    assert ModelRepo.objects.get().is_private


def test_a_cookie_never_writes(client: Client, alice: User, repo: ModelRepo) -> None:
    client.force_login(alice)

    answer = client.post("/api/repos/create", {"name": "m"}, content_type=JSON)

    assert answer.status_code == 401
    assert ModelRepo.objects.count() == 1


def test_delete_and_move(client: Client, alice: User, repo: ModelRepo, write: dict) -> None:
    moved = client.post(
        "/api/repos/move",
        {"fromRepo": "alice/tiny", "toRepo": "alice/big"},
        content_type=JSON,
        headers=write,
    )
    old = client.get("/api/models/Alice/Tiny/revision/main?x=1")
    old_file = client.get("/alice/tiny/resolve/main/.gitattributes")
    gone = client.delete("/api/repos/delete", {"name": "tiny"}, content_type=JSON, headers=write)
    missing = client.delete("/api/repos/delete", {"name": "tiny"}, content_type=JSON, headers=write)

    assert moved.status_code == 200
    assert (old.status_code, old["Location"]) == (307, "/api/models/alice/big/revision/main?x=1")
    assert old_file["Location"] == "/alice/big/resolve/main/.gitattributes"
    assert gone.status_code == 200
    assert (missing.status_code, missing["X-Error-Code"]) == (404, "RepoNotFound")
    assert ModelRepo.objects.count() == 0


def test_settings(client: Client, repo: ModelRepo, write: dict) -> None:
    url = "/api/models/alice/tiny/settings"
    changed = client.put(url, {"gated": "auto", "private": True}, content_type=JSON, headers=write)
    opened = client.put(url, {"gated": False}, content_type=JSON, headers=write)
    wrong = client.put(url, {"gated": "maybe"}, content_type=JSON, headers=write)

    shared = {"private": True, "visibility": "private", "discussionsDisabled": False}
    assert changed.json() == shared | {"gated": "auto"}
    assert opened.json() == shared | {"gated": False}
    assert wrong.status_code == 400


def test_a_commit_of_every_kind(client: Client, repo: ModelRepo, write: dict) -> None:
    weights = safetensors()
    item = upload(client, write, weights)
    sent = put(client, item["actions"]["upload"]["href"], weights)
    verified = client.post(
        item["actions"]["verify"]["href"].split("testserver", 1)[1],
        {"oid": item["oid"], "size": item["size"]},
        content_type=JSON,
        headers=write,
    )

    answer = commit(
        client,
        write,
        ("file", {"path": "a.txt", "content": "plain"}),
        (
            "file",
            {
                "path": "b/c.bin",
                "content": base64.b64encode(b"\0\1").decode(),
                "encoding": "base64",
            },
        ),
        (
            "lfsFile",
            {"path": "odd name.dat", "algo": "sha256", "oid": item["oid"], "size": len(weights)},
        ),
        summary="Title\n\nmore",
        description="why",
    )

    body = answer.json()
    assert (sent.status_code, verified.status_code, answer.status_code) == (200, 200, 200)
    assert body["commitUrl"] == f"http://testserver/alice/tiny/commit/{body['commitOid']}"
    row = Commit.objects.get(oid=body["commitOid"])
    assert (row.title, row.message, row.author) == ("Title", "more\n\nwhy", "alice")
    attributes = client.get("/alice/tiny/raw/main/.gitattributes").content.decode()
    assert attributes.endswith("odd[[:space:]]name.dat filter=lfs diff=lfs merge=lfs -text\n")
    pointer = client.get("/alice/tiny/raw/main/odd name.dat").content.decode()
    assert pointer == (
        f"version https://git-lfs.github.com/spec/v1\noid sha256:{item['oid']}\n"
        f"size {len(weights)}\n"
    )
    copied = commit(
        client,
        write,
        ("lfsFile", {"path": "copy.safetensors", "oid": item["oid"], "oldPath": "odd name.dat"}),
        ("deletedEntry", {"path": "b/"}),
    )
    assert copied.status_code == 200
    tree = client.get("/api/models/alice/tiny/tree/main?recursive=true").json()
    assert [entry["path"] for entry in tree] == [".gitattributes", "a.txt", "copy.safetensors"]
    assert tree[2]["lfs"] == {"oid": item["oid"], "size": len(weights), "pointerSize": 130}
    assert upload(client, write, weights).get("actions") is None


@pytest.mark.parametrize(
    ("lines", "status", "words"),
    [
        ([], 400, "Add a line with the key"),
        ([("file", {"path": "/abs", "content": "x"})], 422, "leads out"),
        ([("file", {"path": "a/../b", "content": "x"})], 422, "'..'"),
        ([("file", {"path": ".git/config", "content": "x"})], 422, ".git"),
        ([("file", {"content": "x"})], 400, "path"),
        ([("file", {"path": "a", "content": "x", "oldPath": 3})], 400, "oldPath"),
        ([("file", {"path": "a", "content": "x", "oldPath": "gone"})], 404, "doesn't exist"),
        ([("deletedFile", {"path": "gone"})], 404, "A file with this name doesn't exist"),
        ([("nonsense", {"path": "x"})], 400, "Unknown key"),
        ([("lfsFile", {"path": "w", "oid": "a" * 64})], 422, "was not uploaded"),
        ([("lfsFile", {"path": "w", "oid": "A" * 64})], 400, "lower-case"),
        ([("lfsFile", {"path": "w", "oid": "../" + "a" * 61})], 400, "sha256"),
        ([("lfsFile", {"path": "w", "oid": "a" * 64, "algo": "md5"})], 400, "algo"),
        ([("lfsFile", {"path": "w", "oid": "a" * 64, "size": -1})], 400, "size"),
        (
            [
                (
                    "file",
                    {
                        "path": "w",
                        "content": "version https://git-lfs.github.com/spec/v1\n"
                        f"oid sha256:{'b' * 64}\nsize 3\n",
                    },
                )
            ],
            422,
            "was not uploaded",
        ),
    ],
)
def test_refused_commits_change_nothing(
    client: Client, repo: ModelRepo, write: dict, lines: list, status: int, words: str
) -> None:
    before = heads(repo)

    good = [("file", {"path": "ok", "content": "x"})] if lines else []
    answer = commit(client, write, *good, *lines)

    assert answer.status_code == status
    assert words in answer.json()["error"]
    assert heads(repo) == before


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json\n",
        b'{"key": "file", "value": {}}',
        b'{"key": "header", "value": {}}',
        b'{"key": "header", "value": 3}',
        b"[]",
        b'{"key": 3, "value": {}}',
        b'{"key":"header","value":{"summary":"x","parentCommit":"zz"}}',
    ],
)
def test_broken_bodies_are_named(client: Client, repo: ModelRepo, write: dict, body: bytes) -> None:
    before = heads(repo)

    answer = client.post(
        "/api/models/alice/tiny/commit/main",
        body,
        content_type="application/x-ndjson",
        headers=write,
    )

    assert answer.status_code == 400
    assert heads(repo) == before


def test_limits_on_commits(client: Client, repo: ModelRepo, write: dict, settings) -> None:
    settings.ENV = settings.ENV.model_copy(
        update={"max_regular_file_bytes": 10, "max_commit_bytes": 600, "max_file_bytes": 100}
    )
    before = heads(repo)

    large = commit(client, write, ("file", {"path": "a", "content": "x" * 11}))
    long = commit(client, write, ("file", {"path": "a", "content": "x" * 700}))
    huge = upload(client, write, b"x" * 101)

    assert (large.status_code, long.status_code) == (413, 413)
    assert huge["error"]["code"] == 413
    assert heads(repo) == before


def test_who_may_commit_where(
    client: Client, alice: User, repo: ModelRepo, write: dict, bob: User, bearer
) -> None:
    add = ("file", {"path": "a", "content": "x"})
    before = heads(repo)

    stranger = commit(client, bearer(bob), add)
    reader = commit(client, bearer(alice, "read"), add)
    nobody = commit(client, {}, add)
    tag = commit(client, write, add, rev="v1")
    oid = commit(client, write, add, rev=before[0][1])
    stale = commit(client, write, add, parentCommit="abcdef0")

    statuses = [answer.status_code for answer in (stranger, reader, nobody, tag, oid, stale)]
    assert statuses == [403, 403, 401, 404, 404, 412]
    assert heads(repo) == before


def test_nobody_gets_bytes_by_their_hash(
    client: Client, alice: User, bob: User, write: dict, bearer
) -> None:
    secret = safetensors(seed=7)
    private = make_repo(alice, "private", is_private=True)
    add_files(alice, private, {"model.safetensors": secret})
    make_repo(bob, "tiny")
    as_bob, digest = bearer(bob), hashlib.sha256(secret).hexdigest()

    item = upload(client, as_bob, secret, "bob/tiny")
    wrong = put(client, item["actions"]["upload"]["href"], b"x" * len(secret))
    linked = client.post(
        "/api/models/bob/tiny/commit/main",
        ndjson(("header", {"summary": "x"}), ("lfsFile", {"path": "w", "oid": digest})),
        content_type="application/x-ndjson",
        headers=as_bob,
    )
    verified = client.post(
        "/bob/tiny.git/info/lfs/objects/verify",
        {"oid": digest, "size": len(secret)},
        content_type=JSON,
        headers=as_bob,
    )
    fetched = client.post(
        "/bob/tiny.git/info/lfs/objects/batch",
        {"operation": "download", "objects": [{"oid": digest, "size": len(secret)}]},
        content_type=JSON,
        headers=as_bob,
    )

    assert "upload" in item["actions"]
    assert (wrong.status_code, linked.status_code, verified.status_code) == (422, 422, 404)
    assert fetched.json()["objects"][0]["error"]["code"] == 404
    assert RepoLfsObject.objects.filter(repo__namespace__name="bob").count() == 0
    again = client.get("/alice/private/resolve/main/model.safetensors", headers=write)
    assert b"".join(again) == secret


def test_wrong_uploads_keep_nothing(client: Client, repo: ModelRepo, write: dict) -> None:
    data = safetensors()
    href = upload(client, write, data)["actions"]["upload"]["href"]

    answers = [
        put(client, href, bad).status_code
        for bad in (data[:-1], data + b"x", data[:-1] + b"x", b"")
    ]

    assert answers == [422, 422, 422, 422]
    assert LfsObject.objects.count() == RepoLfsObject.objects.count() == 0
    assert put(client, href, data).status_code == 200
    assert put(client, href, data).status_code == 200


def test_upload_links_are_bound_to_one_upload(client: Client, repo: ModelRepo, write: dict) -> None:
    one, two = safetensors(seed=1), safetensors(seed=2)
    first = upload(client, write, one)["actions"]["upload"]["href"]
    second = upload(client, write, two)["actions"]["upload"]["href"]
    forged = second.split("?")[0] + "?" + first.split("?")[1]

    answers = [
        put(client, href, two).status_code for href in (forged, first + "x", second.split("?")[0])
    ]

    assert answers == [403, 403, 403]
    assert LfsObject.objects.count() == 0


def test_multipart_uploads(client: Client, repo: ModelRepo, write: dict, settings) -> None:
    settings.ENV = settings.ENV.model_copy(update={"multipart_chunk_bytes": 6000})
    data = safetensors()
    actions = upload(client, write, data)["actions"]
    header = actions["upload"]["header"]
    parts = sorted(key for key in header if key != "chunk_size")
    tags = []
    for at, key in enumerate(parts):
        piece = data[at * 6000 : (at + 1) * 6000]
        tags.append(put(client, header[key], piece)["ETag"])
    done = actions["upload"]["href"].split("testserver", 1)[1]

    def complete(listed: object):
        return client.post(done, {"oid": "x", "parts": listed}, content_type=JSON)

    numbered = [{"partNumber": at + 1, "etag": tag} for at, tag in enumerate(tags)]
    missing, odd, none = complete(numbered[:-1]), complete([{"partNumber": "1"}]), complete("x")
    wrong = put(client, header[parts[0]], b"short")
    kept = LfsObject.objects.count()
    finished = complete(numbered)

    assert header["chunk_size"] == "6000"
    assert len(parts) == -(-len(data) // 6000)
    assert [a.status_code for a in (missing, odd, none, wrong)] == [422, 400, 400, 422]
    assert kept == 0
    assert finished.status_code == 200
    assert LfsObject.objects.get().size_bytes == len(data)
    assert Upload.objects.count() == 0


def test_batches_are_checked(client: Client, repo: ModelRepo, write: dict) -> None:
    url = "/alice/tiny.git/info/lfs/objects/batch"

    def ask(**body):
        return client.post(url, body, content_type=JSON, headers=write).status_code

    oid = "a" * 64
    assert ask(operation="fly", objects=[]) == 400
    assert ask(operation="upload", objects="x") == 400
    assert ask(operation="upload", objects=[{"oid": "A" * 64, "size": 1}]) == 400
    assert ask(operation="upload", objects=[{"oid": oid, "size": True}]) == 400
    assert ask(operation="upload", objects=[{"oid": oid, "size": 1}] * 1001) == 400
    assert (
        client.post(url, {"operation": "upload", "objects": []}, content_type=JSON).status_code
        == 401
    )
    body = {"operation": "upload", "objects": [{"oid": oid, "size": 5}]}
    client.post(url, body, content_type=JSON, headers=write)
    body["objects"][0]["size"] = 6  # somebody hashed better: the first reservation is void
    client.post(url, body, content_type=JSON, headers=write)
    assert Upload.objects.get().size_bytes == 6


def test_downloading_by_lfs(client: Client, alice: User, repo: ModelRepo, bearer) -> None:
    data = safetensors()
    add_files(alice, repo, {"model.safetensors": data})
    oid = hashlib.sha256(data).hexdigest()

    answer = client.post(
        "/alice/tiny.git/info/lfs/objects/batch",
        {"operation": "download", "objects": [{"oid": oid, "size": len(data)}]},
        content_type=LFS,
    )

    href = answer.json()["objects"][0]["actions"]["download"]["href"]
    assert b"".join(client.get(href.split("testserver", 1)[1])) == data


def test_preupload(client: Client, alice: User, repo: ModelRepo, write: dict) -> None:
    add_files(alice, repo, {"same.txt": b"same", "w.bin": b"weights"})

    def ask(files: list, **more):
        answer = client.post(
            "/api/models/alice/tiny/preupload/main",
            {"files": files} | more,
            content_type=JSON,
            headers=write,
        )
        return {item["path"]: item for item in answer.json()["files"]}

    binary = base64.b64encode(bytes(range(256)) * 2).decode()
    found = ask(
        [
            {"path": "same.txt", "size": 4, "sample": ""},
            {"path": "w.bin", "size": 7, "sample": ""},
            {"path": "text.txt", "size": 9_000_000, "sample": base64.b64encode(b"text").decode()},
            {"path": "large.txt", "size": 10_000_000, "sample": ""},
            {"path": "pic.png", "size": 2_000_000, "sample": binary},
            {"path": "icon.png", "size": 2_000, "sample": binary},
            {"path": "empty.bin", "size": 0, "sample": ""},
        ]
    )
    rules = ask(
        [{"path": "icon.png", "size": 10, "sample": ""}, {"path": "skip/x.log", "size": 1}],
        gitAttributes="*.png filter=lfs",
        gitIgnore="*.log\n",
    )

    assert {path: item["uploadMode"] for path, item in found.items()} == {
        "same.txt": "regular",
        "w.bin": "lfs",
        "text.txt": "regular",
        "large.txt": "lfs",
        "pic.png": "lfs",
        "icon.png": "regular",
        "empty.bin": "regular",
    }
    assert found["same.txt"]["oid"] == hashlib.sha1(b"blob 4\0same").hexdigest()
    assert found["w.bin"]["oid"] == hashlib.sha256(b"weights").hexdigest()
    assert "oid" not in found["text.txt"]
    assert rules["icon.png"]["uploadMode"] == "lfs"
    assert rules["skip/x.log"]["shouldIgnore"] is True


@pytest.mark.parametrize(
    ("files", "status"),
    [
        ([3], 400),
        ([{"path": 3}], 400),
        ([{"path": "a", "size": -1}], 400),
        ([{"path": "a", "sample": "%"}], 400),
        ([{"path": "../a"}], 422),
        ([{"path": "a"}] * 1001, 400),
        (3, 400),
    ],
)
def test_preupload_refuses_nonsense(
    client: Client, repo: ModelRepo, write: dict, files: object, status: int
) -> None:
    url = "/api/models/alice/tiny/preupload/main"

    assert (
        client.post(url, {"files": files}, content_type=JSON, headers=write).status_code == status
    )
    oid = heads(repo)[0][1]
    assert (
        client.post(
            url.replace("main", oid), {"files": []}, content_type=JSON, headers=write
        ).status_code
        == 404
    )


def test_validate_yaml(client: Client, db: None) -> None:
    def ask(content: str, accept: str = JSON):
        return client.post(
            "/api/validate-yaml",
            {"content": content, "repoType": "model"},
            content_type=JSON,
            headers={"Accept": accept},
        )

    good, bad = ask("---\nlicense: mit\n---\n"), ask("---\nlicense: nope\n---\n")
    text = ask("---\nlicense: nope\n---\n", "text/plain")

    assert (good.status_code, good.json()) == (200, {"errors": [], "warnings": []})
    assert bad.json()["errors"][0]["message"].startswith('"license" must be one of')
    assert text.content.startswith(b'- Error: "license" must be one of')


def test_branches_and_tags(client: Client, repo: ModelRepo, write: dict) -> None:
    base = "/api/models/alice/tiny"

    def post(path: str, **body):
        return client.post(f"{base}/{path}", body, content_type=JSON, headers=write)

    assert post("branch/dev").status_code == 200
    assert post("branch/dev").status_code == 409
    assert post("branch/dev", overwrite=True).status_code == 200
    assert post("branch/empty", emptyBranch=True).status_code == 200
    assert post("branch/bad..name").status_code == 400
    assert post("tag/main", tag="v1", message="First").status_code == 200
    assert post("tag/main", tag="v1").status_code == 409
    assert post("tag/main", tag=3).status_code == 400
    assert client.get(f"{base}/tree/empty").json() == []
    found = client.get(f"{base}/refs?include_prs=1").json()
    assert [ref["name"] for ref in found["branches"]] == ["dev", "empty", "main"]
    assert [ref["name"] for ref in found["tags"]] == ["v1"]
    assert found["pullRequests"] == []
    assert client.delete(f"{base}/branch/dev", headers=write).status_code == 200
    assert client.delete(f"{base}/branch/main", headers=write).status_code == 403
    assert client.delete(f"{base}/tag/v1", headers=write).status_code == 200
    assert client.delete(f"{base}/tag/v1", headers=write).status_code == 404


def test_pages_of_trees_and_commits(client: Client, alice: User, repo: ModelRepo) -> None:
    add_files(alice, repo, {f"f{number}": b"x" for number in range(5)})
    base = "/api/models/alice/tiny"

    first = client.get(f"{base}/tree/main?limit=4")
    rest = client.get(first["Link"].split("testserver")[1].split(">")[0])
    history = client.get(f"{base}/commits/main?limit=1&expand[]=formatted")
    older = client.get(history["Link"].split("testserver")[1].split(">")[0])

    assert [item["path"] for item in first.json() + rest.json()] == [
        ".gitattributes",
        *(f"f{number}" for number in range(5)),
    ]
    assert "Link" not in rest
    assert history["X-Total-Count"] == "2"
    assert history.json()[0]["formatted"]["title"] == "<p>add files</p>\n"
    assert older.json()[0]["title"] == "initial commit"
    assert client.get(f"{base}/tree/main?cursor=zzz").status_code == 400
    assert client.get(f"{base}/commits/main?limit=x").status_code == 400


def test_paths_info_both_ways(client: Client, alice: User, repo: ModelRepo) -> None:
    add_files(alice, repo, {"sub/a": b"x"})
    url = "/api/models/alice/tiny/paths-info/main"

    form = client.post(
        url,
        "paths=sub&paths=sub%2Fa&paths=no&expand=true",
        content_type="application/x-www-form-urlencoded",
    )
    body = client.post(url, {"paths": "sub/a"}, content_type=JSON)

    assert [item["path"] for item in form.json()] == ["sub", "sub/a"]
    assert form.json()[0]["lastCommit"]["title"] == "add files"
    assert [item["path"] for item in body.json()] == ["sub/a"]
    assert client.post(url, {"paths": 3}, content_type=JSON).status_code == 400
    assert client.post(url, {"paths": ["x"] * 2001}, content_type=JSON).status_code == 413


def test_info_in_every_form(client: Client, alice: User, repo: ModelRepo) -> None:
    readme = b"---\nlicense: mit\nmodel-index: []\nwidget: [x]\nbase_model: a/b\n---\n# Hi\n"
    add_files(alice, repo, {"README.md": readme, "model.safetensors": safetensors()})
    base = "/api/models/alice/tiny"

    blobs = client.get(f"{base}?blobs=true&securityStatus=true").json()
    fields = [
        "author",
        "baseModels",
        "cardData",
        "childrenModelCount",
        "config",
        "createdAt",
        "disabled",
        "downloads",
        "downloadsAllTime",
        "gated",
        "gguf",
        "lastModified",
        "library_name",
        "likes",
        "model-index",
        "pipeline_tag",
        "private",
        "safetensors",
        "sha",
        "siblings",
        "spaces",
        "tags",
        "transformersInfo",
        "trendingScore",
        "usedStorage",
        "widgetData",
        "evalResults",
        "xetEnabled",
    ]
    query = "&".join(f"expand={name}" for name in fields)
    expanded = client.get(f"{base}/revision/main?{query}").json()
    wrong = client.get(f"{base}?expand=nonsense")

    assert blobs["securityRepoStatus"] == {"scansDone": True, "filesWithIssues": []}
    assert {item["rfilename"]: item["size"] for item in blobs["siblings"]}["README.md"] == len(
        readme
    )
    assert expanded["safetensors"] == {"parameters": {"F32": 4096}, "total": 4096}
    assert expanded["baseModels"] == ["a/b"]
    assert expanded["model-index"] == []
    assert "siblings" in expanded
    assert wrong.status_code == 400
    assert 'expected one of "author"|"baseModels"' in wrong.json()["error"]
    assert wrong.json()["error"].endswith("-> at expand[0]")


def test_lists(client: Client, alice: User, repo: ModelRepo, bob: User, bearer) -> None:
    add_files(alice, repo, {"README.md": b"---\nlicense: mit\ntags: [x]\n---\nhello"})
    make_repo(alice, "hidden", is_private=True)

    def names(query: str, headers: dict | None = None) -> list[str]:
        return [item["id"] for item in client.get(f"/api/models?{query}", headers=headers).json()]

    assert names("author=alice") == ["alice/tiny"]
    assert set(names("author=alice", bearer(alice))) == {"alice/tiny", "alice/hidden"}
    assert names("author=alice", bearer(bob)) == ["alice/tiny"]
    assert names("filter=license:mit&filter=x") == ["alice/tiny"]
    assert names("filter=nope") == []
    assert names("search=INY") == ["alice/tiny"]
    [full] = client.get("/api/models?full=true&cardData=true&config=true&search=tiny").json()
    assert full["cardData"]["license"] == "mit"
    assert full["sha"] == heads(repo)[0][1]
    [some] = client.get("/api/models?expand=likes&expand=sha&search=tiny").json()
    assert set(some) == {"_id", "id", "modelId", "likes", "sha"}
    assert client.get("/api/models?sort=colour").status_code == 400
    page = client.get("/api/models?limit=1", headers=bearer(alice))
    assert 'rel="next"' in page["Link"]


def test_the_word_of_a_pull_request_and_encoded_names(client: Client, repo: ModelRepo) -> None:
    oid = heads(repo)[0][1]
    Ref.objects.create(repo=repo, name="refs/pr/1", oid=oid, commit_oid=oid)

    for url in (
        "/api/models/alice/tiny/revision/refs%2Fpr%2F1",
        "/api/models/alice/tiny/tree/refs%2Fpr%2F1",
        "/alice/tiny/resolve/refs%2Fpr%2F1/.gitattributes",
        "/alice/tiny/resolve/refs/pr/1/.gitattributes",
    ):
        from store.wsgi import decode_path

        answer = client.get("/", PATH_INFO=decode_path(url), RAW_URI=url)
        assert answer.status_code == 200, url


def test_single_segment_ids(client: Client, repo: ModelRepo) -> None:
    RepoAlias.objects.create(name="gpt2", repo=repo)

    info = client.get("/api/models/gpt2")
    page = client.get("/gpt2", headers={"Accept": "text/html"})
    file = client.get("/gpt2/resolve/main/.gitattributes")

    assert (info.status_code, info["Location"]) == (307, "/api/models/alice/tiny")
    assert (page.status_code, page["Location"]) == (307, "/alice/tiny")
    assert file["Location"] == "/alice/tiny/resolve/main/.gitattributes"
    assert client.get("/api/models/nothing").status_code == 401


def test_nul_has_no_place(client: Client, db: None) -> None:
    assert client.get("/api/models?search=%00").status_code == 400
    assert client.get("/a\0b").status_code == 400
