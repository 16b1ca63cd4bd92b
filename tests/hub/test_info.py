"""One model's info: every field, at every revision."""

import pytest
from django.test import Client
from django.utils import timezone
from huggingface_hub.hf_api import ModelInfo

from accounts.models import User
from catalog.models import FileScan, ModelRepo
from hub.describe import FIELDS
from tests.factories import add_files, make_repo, safetensors
from tests.hub.wire import BASE, get_raw, post

CARD = b"""---
license: mit
base_model: [alice/base, far/away]
pipeline_tag: text-generation
model-index: []
widget: [Once upon, {text: a time}, 3]
---
# Hi
"""
CONFIG = b'{"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"]}'
RESULTS = b"""
- dataset: {id: cais/hle, task_id: default, revision: abc}
  value: 20.9
  date: 2025-01-15T10:30:00Z
  source: {url: https://example.org/run, name: Logs, org: cais, more: dropped}
  notes: no-tools
- dataset: {id: Idavidrein/gpqa, task_id: diamond}
  value: 0.4
"""


def test_a_plain_info_parses_in_the_client(client: Client, alice: User, repo: ModelRepo) -> None:
    add_files(
        alice, repo, {"README.md": CARD, "config.json": CONFIG, "m.safetensors": safetensors()}
    )

    body = client.get(BASE).json()
    info = ModelInfo(**body)

    assert (info.id, info.author, info.gated, info.disabled) == (
        "alice/tiny",
        "alice",
        False,
        False,
    )
    assert info.safetensors.total == 4096
    assert info.transformers_info.auto_model == "AutoModelForCausalLM"
    assert info.transformers_info.pipeline_tag == "text-generation"
    assert info.config == {"architectures": ["GPT2LMHeadModel"], "model_type": "gpt2"}
    assert info.card_data.license == "mit"
    assert info.widget_data == [{"text": "Once upon"}, {"text": "a time"}]
    assert info.spaces == []
    assert info.used_storage > 16_000
    assert isinstance(info.trending_score, int)
    assert {"transformers", "safetensors", "gpt2", "license:mit"} <= set(info.tags)
    assert all(set(item) == {"rfilename"} for item in body["siblings"])
    assert "securityRepoStatus" not in body


def test_blobs_have_sizes_and_ids(client: Client, alice: User, repo: ModelRepo) -> None:
    add_files(alice, repo, {"a.txt": b"hello", "w.bin": b"weights"})

    body = client.get(f"{BASE}?blobs=true").json()

    files = {item["rfilename"]: item for item in body["siblings"]}
    tree = {item["path"]: item for item in client.get(f"{BASE}/tree/main").json()}
    assert files["a.txt"] == {"rfilename": "a.txt", "size": 5, "blobId": tree["a.txt"]["oid"]}
    assert files["w.bin"]["size"] == 7
    assert files["w.bin"]["lfs"] == {
        "sha256": tree["w.bin"]["lfs"]["oid"],
        "size": 7,
        "pointerSize": tree["w.bin"]["lfs"]["pointerSize"],
    }


def test_security_speaks_of_this_revision(client: Client, alice: User, repo: ModelRepo) -> None:
    add_files(alice, repo, {"a.txt": b"hello"})
    bad = FileScan.objects.get(repo=repo, path="a.txt")
    url = f"{BASE}?securityStatus=true"

    def status() -> dict:
        return client.get(url).json()["securityRepoStatus"]

    assert status() == {"scansDone": True, "filesWithIssues": []}
    FileScan.objects.filter(pk=bad.pk).update(verdict="unsafe", scanned_at=timezone.now())
    assert status()["filesWithIssues"] == [{"path": "a.txt", "level": "unsafe"}]
    FileScan.objects.filter(pk=bad.pk).update(verdict="pending")
    assert status() == {"scansDone": False, "filesWithIssues": []}
    bad.delete()
    assert status() == {"scansDone": False, "filesWithIssues": []}


def test_every_field_can_be_expanded(client: Client, alice: User, repo: ModelRepo) -> None:
    base = make_repo(alice, "base")
    add_files(alice, repo, {"README.md": CARD, ".eval_results/a.yaml": RESULTS})
    query = "&".join(f"expand={name}" for name in FIELDS)

    body = client.get(f"{BASE}?{query}").json()
    info = ModelInfo(**body)

    assert set(body) <= {"_id", "id", "modelId", *FIELDS}
    assert info.base_models == ["alice/base", "far/away"]
    assert body["model-index"] == []
    assert body["inferenceProviderMapping"] == []
    assert info.eval_results[0].dataset_revision == "abc"
    parent = client.get(f"/api/models/{base.full_name}?expand=childrenModelCount").json()
    assert parent["childrenModelCount"] == 1
    assert set(client.get(f"{BASE}?expand=likes&blobs=true").json()) == {
        "_id",
        "id",
        "modelId",
        "likes",
    }


def test_results_are_read_from_the_repository(client: Client, alice: User, repo: ModelRepo) -> None:
    add_files(
        alice,
        repo,
        {
            ".eval_results/b.yaml": RESULTS,
            ".eval_results/bomb.yaml": b"- &a [x, x]\n- *a\n",
            ".eval_results/deep.yml": b"[" * 500,
            ".eval_results/map.yaml": b"value: 3",
            ".eval_results/notes.txt": b"- {}",
            ".eval_results/sub/c.yaml": RESULTS,
            "other.yaml": RESULTS,
        },
    )

    entries = client.get(f"{BASE}?expand=evalResults").json()["evalResults"]

    good = [entry for entry in entries if "data" in entry]
    assert [entry["filename"] for entry in good] == [".eval_results/b.yaml"] * 2
    assert good[0]["data"] == {
        "dataset": {"id": "cais/hle", "task_id": "default", "revision": "abc"},
        "value": 20.9,
        "date": "2025-01-15T10:30:00+00:00",
        "source": {"url": "https://example.org/run", "name": "Logs", "org": "cais"},
        "notes": "no-tools",
    }
    assert {entry["filename"].split("/")[1] for entry in entries if "error" in entry} == {
        "bomb.yaml",
        "deep.yml",
        "map.yaml",
    }
    parsed = ModelInfo(id="a/b", evalResults=entries).eval_results
    assert [(entry.dataset_id, entry.value) for entry in parsed] == [
        ("cais/hle", 20.9),
        ("Idavidrein/gpqa", 0.4),
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"- 3", "no mapping"),
        (b"- {value: 3}", "dataset is missing"),
        (b"- {dataset: {id: a}, value: 3}", "task_id"),
        (b"- {dataset: {id: 3, task_id: b}, value: 3}", "dataset.id"),
        (b"- {dataset: {id: a, task_id: b}}", "value"),
        (b"- {dataset: {id: a, task_id: b}, value: [1]}", "value"),
        (b"- {dataset: {id: a, task_id: b}, value: 1, source: x}", "source"),
        (b"- {dataset: {id: a, task_id: b}, value: 1, source: {name: x}}", "source.url"),
        (b"- {dataset: {id: a, task_id: b}, value: 1, source: {url: 'javascript:x'}}", "url"),
        (b"- {dataset: {id: a, task_id: b}, value: 1, notes: " + b"x" * 2000 + b"}", "notes"),
        (b"- {dataset: {id: a, task_id: b}, value: .nan}", "NaN"),
        (b"a: b: c", "Line 1"),
        (b"x" * 70_000, "bytes"),
    ],
)
def test_broken_results_say_why(
    client: Client, alice: User, repo: ModelRepo, text: bytes, words: str
) -> None:
    add_files(alice, repo, {".eval_results/a.yaml": text})

    [entry] = client.get(f"{BASE}?expand=evalResults").json()["evalResults"]

    assert words in entry["error"]
    assert "data" not in entry


def test_an_older_revision_says_what_it_said_then(
    client: Client, alice: User, repo: ModelRepo, write: dict
) -> None:
    old = add_files(alice, repo, {"README.md": CARD, "m.safetensors": safetensors()})
    post(client, f"{BASE}/branch/dev%2Fx", {"startingPoint": old}, write)
    new = add_files(alice, repo, {"README.md": b"---\nlicense: apache-2.0\n---\n"})

    before = client.get(f"{BASE}/revision/{old[:8]}").json()
    now = client.get(f"{BASE}/revision/HEAD").json()

    assert (before["sha"], before["cardData"]["license"]) == (old, "mit")
    assert "license:mit" in before["tags"]
    assert before["safetensors"]["total"] == 4096
    assert (now["sha"], now["cardData"]) == (new, {"license": "apache-2.0"})
    assert "license:apache-2.0" in now["tags"]


def test_a_broken_card_never_breaks_the_answer(
    client: Client, alice: User, repo: ModelRepo
) -> None:
    for text in (
        b"---\nmodel-index: {a: b}\n---\n",
        b"---\nmodel-index:\n- nonsense\n---\n",
        b"---\n: : :\n---\n",
        b"---\nlicense: [1, 2]\nwidget: 3\ntags: {a: 1}\n---\n",
        b"\xff\xfe",
    ):
        add_files(alice, repo, {"README.md": text})
        ModelInfo(**client.get(BASE).json())
        assert client.get(f"{BASE}?expand=cardData&expand=model-index").status_code == 200


def test_missing_things(client: Client, repo: ModelRepo, write: dict) -> None:
    revision = client.get(f"{BASE}/revision/nope")
    stranger = client.get("/api/models/alice/none")
    signed_in = client.get("/api/models/alice/none", headers=write)
    head = client.head(f"{BASE}/revision/nope")

    assert (revision.status_code, revision["X-Error-Code"]) == (404, "RevisionNotFound")
    assert "Invalid rev id: nope" in revision.json()["error"]
    assert (stranger.status_code, stranger["X-Error-Code"]) == (401, "RepoNotFound")
    assert stranger["WWW-Authenticate"].startswith("Bearer realm=")
    assert (signed_in.status_code, signed_in["X-Error-Code"]) == (404, "RepoNotFound")
    assert head["X-Error-Message"] == "Invalid rev id: nope"


def test_revisions_come_encoded(client: Client, alice: User, repo: ModelRepo, write: dict) -> None:
    post(client, f"{BASE}/branch/feature", {}, write)

    for name in ("feature", "refs%2Fheads%2Ffeature", "refs/heads/feature", "HEAD"):
        assert get_raw(client, f"{BASE}/revision/{name}").status_code == 200, name
