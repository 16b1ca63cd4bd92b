"""Trees, paths, refs, commits, differences: reading the git data."""

import pickle

import pytest
from django.test import Client
from huggingface_hub.hf_api import RepoFile

from accounts.models import User
from catalog.models import FileScan, ModelRepo
from tests.catalog.formats.files import torch_file
from tests.factories import add_files, make_repo, safetensors
from tests.hub.wire import BASE, JSON, get_raw, heads, next_page, post


class Opens:
    """What no pickle of a model does."""

    def __reduce__(self):
        return open, ("/etc/passwd",)


def test_an_expanded_tree_tells_commits_and_verdicts(
    client: Client, alice: User, repo: ModelRepo
) -> None:
    first = add_files(alice, repo, {"sub/a.txt": b"a", "odd.xyz": b"\0\1\2\3" * 50})
    add_files(alice, repo, {"bad.pkl": pickle.dumps(Opens()), "w.safetensors": safetensors()})
    FileScan.objects.filter(repo=repo, path="sub/a.txt").update(verdict="pending")

    tree = client.get(f"{BASE}/tree/main?recursive=true&expand=true").json()

    lines = {line["path"]: line for line in tree}
    status = {path: line.get("securityFileStatus") for path, line in lines.items()}
    assert [line["path"] for line in tree] == [
        ".gitattributes",
        "bad.pkl",
        "odd.xyz",
        "sub",
        "sub/a.txt",
        "w.safetensors",
    ]
    assert lines["sub/a.txt"]["lastCommit"]["id"] == first
    assert lines["sub"]["lastCommit"]["title"] == "add files"
    assert status["sub"] is None
    assert status["w.safetensors"] == {"status": "safe", "avScan": None, "pickleImportScan": None}
    assert status["odd.xyz"]["status"] == "unscanned"
    assert status["sub/a.txt"]["status"] == "queued"
    assert status["bad.pkl"]["status"] == "unsafe"
    assert status["bad.pkl"]["pickleImportScan"]["status"] == "dangerous"
    assert RepoFile(**lines["bad.pkl"]).security.safe is False
    assert "lastCommit" not in client.get(f"{BASE}/tree/main?expand=false").json()[0]


def test_imports_of_a_harmless_pickle_are_named(
    client: Client, alice: User, repo: ModelRepo
) -> None:
    import torch

    add_files(alice, repo, {"pytorch_model.bin": torch_file({"w": torch.zeros(2)})})

    body = {"paths": ["pytorch_model.bin"], "expand": True}
    [line] = post(client, f"{BASE}/paths-info/main", body).json()

    scan = line["securityFileStatus"]["pickleImportScan"]
    assert scan["status"] == "innocuous"
    assert {"module": "collections", "name": "OrderedDict", "safety": "innocuous"} in (
        scan["pickleImports"]
    )


def test_later_pages_of_a_tree_stay_at_the_commit_of_the_first(
    client: Client, alice: User, repo: ModelRepo
) -> None:
    add_files(alice, repo, {f"f{number}": b"x" for number in range(5)})
    first = client.get(f"{BASE}/tree/main?limit=2")
    add_files(alice, repo, {"a0": b"x", "a1": b"x"})

    seen, url = first.json(), next_page(first)
    while url:
        answer = client.get(url)
        seen += answer.json()
        url = next_page(answer)

    assert [line["path"] for line in seen] == [".gitattributes", *(f"f{n}" for n in range(5))]


@pytest.mark.parametrize(
    ("url", "status", "code"),
    [
        (f"{BASE}/tree/main/nope", 404, "EntryNotFound"),
        (f"{BASE}/tree/main/.gitattributes", 404, "EntryNotFound"),
        (f"{BASE}/tree/nope", 404, "RevisionNotFound"),
        (f"{BASE}/tree/main?cursor=x", 400, ""),
        (f"{BASE}/tree/main?cursor=WzFd", 400, ""),
        (f"{BASE}/tree/main?cursor=Wy0xLCJhYmNkZWYiXQ", 400, ""),
        (f"{BASE}/tree/main?cursor=WzEsImFiY2RlZjAiXQ", 404, "RevisionNotFound"),
        (f"{BASE}/treesize/main/nope", 404, "EntryNotFound"),
        (f"{BASE}/commits/nope", 404, "RevisionNotFound"),
        (f"{BASE}/compare/main", 400, ""),
        (f"{BASE}/compare/main..nope", 404, "RevisionNotFound"),
        (f"{BASE}/compare/main...main", 400, ""),
        (f"{BASE}/safetensors-metadata/nope.index.json", 404, "EntryNotFound"),
        (f"{BASE}/safetensors-metadata/.gitattributes", 400, ""),
        ("/api/models/alice/none/refs", 401, "RepoNotFound"),
        ("/api/models/alice/none/scan", 401, "RepoNotFound"),
        ("/api/models/nobody/none/treesize/main/x", 401, "RepoNotFound"),
    ],
)
def test_what_is_not_there(
    client: Client, repo: ModelRepo, url: str, status: int, code: str
) -> None:
    answer = client.get(url)

    assert (answer.status_code, answer.headers.get("X-Error-Code", "")) == (status, code)
    assert isinstance(answer.json()["error"], str)
    if code == "EntryNotFound":
        assert answer["X-Repo-Commit"] == heads(repo)[0][1]


def test_folders_come_as_one_encoded_segment(client: Client, alice: User, repo: ModelRepo) -> None:
    add_files(alice, repo, {"a b/ü/c.txt": b"x"})

    tree = get_raw(client, f"{BASE}/tree/refs%2Fheads%2Fmain/a%20b%2F%C3%BC")

    assert [line["path"] for line in tree.json()] == ["a b/ü/c.txt"]


def test_paths_come_in_every_form(client: Client, alice: User, repo: ModelRepo) -> None:
    add_files(alice, repo, {"sub/a": b"x"})
    url = f"{BASE}/paths-info/main"

    def form(text: str) -> list[str]:
        answer = client.post(url, text, content_type="application/x-www-form-urlencoded")
        return [line["path"] for line in answer.json()]

    assert form("paths=sub%2F&paths=nope") == ["sub"]
    assert form("paths[]=sub/a&expand=false") == ["sub/a"]
    assert form("") == []
    assert form("&".join(f"paths=p{number}" for number in range(1500)) + "&paths=sub") == ["sub"]
    bodies: list[dict] = [
        {"paths": "sub/a", "expand": "true"},
        {"paths": ["sub/a"]},
        {"paths": []},
    ]
    answers = [client.post(url, body, content_type=JSON).json() for body in bodies]
    assert [len(answer) for answer in answers] == [1, 1, 0]
    assert "lastCommit" in answers[0][0]
    assert "lastCommit" not in answers[1][0]


def test_refs_of_every_kind(client: Client, repo: ModelRepo, write: dict) -> None:
    post(client, f"{BASE}/tag/main", {"tag": "v1", "message": "First"}, write)
    oid = heads(repo)[0][1]

    plain = client.get(f"{BASE}/refs").json()
    with_pulls = client.get(f"{BASE}/refs?include_prs=1").json()

    assert plain == {
        "branches": [{"name": "main", "ref": "refs/heads/main", "targetCommit": oid}],
        "converts": [],
        "tags": [{"name": "v1", "ref": "refs/tags/v1", "targetCommit": oid}],
    }
    assert with_pulls["pullRequests"] == []


def test_commits_page_by_page_while_more_are_made(
    client: Client, alice: User, repo: ModelRepo
) -> None:
    for number in range(4):
        add_files(alice, repo, {"a": str(number).encode()})
    first = client.get(f"{BASE}/commits/main?limit=2&expand[]=formatted")
    add_files(alice, repo, {"a": b"late"})

    seen, url = first.json(), next_page(first)
    while url:
        answer = client.get(url)
        seen += answer.json()
        url = next_page(answer)

    assert len({item["id"] for item in seen}) == len(seen) == 5
    assert first["X-Total-Count"] == "5"
    assert all(set(item["formatted"]) == {"title", "message"} for item in seen)
    assert seen[-1]["message"] == ""
    assert seen[-1]["authors"][0]["user"] == "alice"
    assert client.get(f"{BASE}/commits/main?p=9").json() == []
    assert client.get(f"{BASE}/commits/main?limit=1")["X-Total-Count"] == "6"


def test_differences(client: Client, alice: User, repo: ModelRepo, write: dict) -> None:
    old = add_files(alice, repo, {"a.txt": b"one\n", "gone.txt": b"x\n"})
    post(client, f"{BASE}/branch/old", {"startingPoint": old}, write)
    add_files(alice, repo, {"a.txt": b"two\n", "new.bin": b"\0\1"})
    client.post(
        f"{BASE}/commit/main",
        b'{"key":"header","value":{"summary":"x"}}\n'
        b'{"key":"deletedFile","value":{"path":"gone.txt"}}',
        content_type="application/x-ndjson",
        headers=write,
    )

    raw = client.get(f"{BASE}/compare/old..main?raw=1")
    body = client.get(f"{BASE}/compare/{old[:8]}..main").json()

    assert raw["Content-Type"].startswith("text/plain")
    assert "-one\n+two\n" in raw.content.decode()
    assert "--- a/gone.txt\n+++ /dev/null\n" in raw.content.decode()
    assert {file["path"]: file["status"] for file in body["files"]} == {
        "a.txt": "changed",
        "gone.txt": "deleted",
        "new.bin": "added",
    }
    assert body["base"] == old
    assert body["total"] == 3


def test_sizes_and_findings(client: Client, alice: User, repo: ModelRepo) -> None:
    weights = safetensors()
    add_files(alice, repo, {"sub/w.safetensors": weights, "sub/a.txt": b"abc"})

    assert client.get(f"{BASE}/treesize/main/sub").json() == {
        "path": "sub",
        "size": len(weights) + 3,
    }
    assert client.get(f"{BASE}/treesize/main/sub/a.txt").json()["size"] == 3
    assert client.get(f"{BASE}/treesize/main").json()["size"] > len(weights) + 3
    assert client.get(f"{BASE}/scan").json() == {"scansDone": True, "filesWithIssues": []}


INDEX = b"""{"metadata": {"total_size": 32768}, "weight_map": {
"a": "model-00001.safetensors", "b": "model-00002.safetensors"}}"""


def test_headers_of_all_shards_at_once(client: Client, alice: User, repo: ModelRepo) -> None:
    files = {f"model-0000{n}.safetensors": safetensors(seed=n) for n in (1, 2)}
    add_files(alice, repo, files | {"model.safetensors.index.json": INDEX})
    add_files(alice, repo, {f"sub/{path}": data for path, data in files.items()})
    add_files(alice, repo, {"sub/model.safetensors.index.json": INDEX})

    body = client.get(f"{BASE}/safetensors-metadata/model.safetensors.index.json").json()
    below = client.get(f"{BASE}/safetensors-metadata/sub/model.safetensors.index.json").json()
    single = client.get(f"{BASE}/safetensors-metadata/model-00001.safetensors").json()

    assert body == below
    assert body["index"] == {"metadata": {"total_size": 32768}}
    assert set(body["headers"]) == set(files)
    assert body["headers"]["model-00001.safetensors"]["weight"] == {
        "dtype": "F32",
        "shape": [64, 64],
        "data_offsets": [0, 16384],
    }
    assert single["index"] == {}


@pytest.mark.parametrize(
    ("index", "status"),
    [
        (b"{}", 422),
        (b"[]", 422),
        (b"nonsense", 422),
        (b'{"weight_map": {"a": "../x.safetensors"}}', 422),
        (b'{"weight_map": {"a": 3}}', 422),
        (b'{"weight_map": {"a": "gone.safetensors"}}', 404),
        (b'{"weight_map": {"a": "broken.safetensors"}}', 422),
        (b'{"weight_map": {' + b",".join(b'"%d":"%d"' % (n, n) for n in range(501)) + b"}}", 422),
    ],
)
def test_broken_indexes_are_refused(
    client: Client, alice: User, repo: ModelRepo, bearer, index: bytes, status: int
) -> None:
    add_files(alice, repo, {"x.index.json": index, "broken.safetensors": b"\xff" * 100})

    answer = client.get(f"{BASE}/safetensors-metadata/x.index.json", headers=bearer(alice))

    assert answer.status_code == status
    assert isinstance(answer.json()["error"], str)


def test_a_private_model_has_no_data_for_strangers(
    client: Client, alice: User, bob: User, bearer
) -> None:
    make_repo(alice, "hidden", is_private=True)
    base = "/api/models/alice/hidden"
    tails = [
        "",
        "/revision/main",
        "/tree/main",
        "/refs",
        "/commits/main",
        "/compare/main..main",
        "/treesize/main",
        "/scan",
        "/safetensors-metadata/x.index.json",
        "/auth-check",
        "/lfs-files",
    ]

    for headers, status in ((bearer(bob), 404), ({}, 401)):
        for tail in tails:
            hidden = client.get(base + tail, headers=headers)
            absent = client.get("/api/models/alice/absent" + tail, headers=headers)
            assert (hidden.status_code, hidden["X-Error-Code"]) == (status, "RepoNotFound"), tail
            assert hidden.content.replace(b"hidden", b"absent") == absent.content, tail
