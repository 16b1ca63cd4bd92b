"""Cards checked before a commit, and the words filters take."""

import pytest
from django.test import Client

from accounts.models import User
from catalog.cards.licenses import LICENSES
from tests.factories import make_repo
from tests.hub.wire import JSON, post

URL = "/api/validate-yaml"
CONTRACT = """apache-2.0 mit openrail bigscience-openrail-m creativeml-openrail-m
bigscience-bloom-rail-1.0 bigcode-openrail-m afl-3.0 artistic-2.0 bsl-1.0 bsd bsd-2-clause
bsd-3-clause bsd-3-clause-clear c-uda cc cc0-1.0 cc-by-2.0 cc-by-2.5 cc-by-3.0 cc-by-4.0
cc-by-sa-3.0 cc-by-sa-4.0 cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nd-4.0 cc-by-nc-nd-3.0
cc-by-nc-nd-4.0 cc-by-nc-sa-2.0 cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 cdla-sharing-1.0
cdla-permissive-1.0 cdla-permissive-2.0 wtfpl ecl-2.0 epl-1.0 epl-2.0 etalab-2.0 eupl-1.1 eupl-1.2
agpl-3.0 gfdl gpl gpl-2.0 gpl-3.0 lgpl lgpl-2.1 lgpl-3.0 isc h-research intel-research lppl-1.3c
ms-pl apple-ascl apple-amlr mpl-2.0 odc-by odbl openmdw-1.0 openrail++ osl-3.0 postgresql ofl-1.1
ncsa unlicense zlib pddl lgpl-lr deepfloyd-if-license fair-noncommercial-research-license llama2
llama3 llama3.1 llama3.2 llama3.3 llama4 grok2-community gemma unknown other""".split()  # noqa: SIM905


def check(client: Client, content: object, accept: str = "*/*", **more):
    body = {"content": content, "repoType": "model"} | more
    return client.post(URL, body, content_type=JSON, headers={"Accept": accept})


def test_every_license_of_the_contract_is_known(client: Client) -> None:
    assert set(LICENSES) == set(CONTRACT)
    card = "---\nlicense: [" + ", ".join(CONTRACT) + "]\n---\n"
    assert check(client, card).json() == {"errors": [], "warnings": []}


@pytest.mark.parametrize(
    ("card", "start"),
    [
        ("---\nlicense: nope\n---\n", '"license" must be one of ['),
        ("---\nlicense: [mit, nope]\n---\n", '"license" must be one of ['),
        ("---\nlicense: 3\n---\n", '"license" must be one of ['),
        ("---\nmodel-index: {a: b}\n---\n", '"model-index" must be an array'),
        ("---\nmodel-index: text\n---\n", '"model-index" must be an array'),
        ("---\na: b: c\n---\n", "Invalid YAML"),
        ("---\n- a\n---\n", "Invalid YAML"),
        ("---\na: &x 1\nb: *x\n---\n", "Invalid YAML"),
    ],
)
def test_errors_in_both_forms(client: Client, card: str, start: str) -> None:
    answer, text = check(client, card), check(client, card, "text/plain")

    assert answer.status_code == text.status_code == 400
    assert isinstance(answer.json()["warnings"], list)
    assert answer.json()["errors"][0]["message"].startswith(start)
    assert text.content.decode().startswith(f"- Error: {start}")
    assert text["Content-Type"].startswith("text/plain")


@pytest.mark.parametrize("card", ["", "# Only text", "---\n---\n# Empty"])
def test_a_card_without_metadata_is_a_warning(client: Client, card: str) -> None:
    answer = check(client, card)

    assert answer.status_code == 200
    assert answer.json()["errors"] == []
    assert answer.json()["warnings"] == [{"message": "empty or missing yaml metadata in repo card"}]


def test_nobody_must_sign_in_and_errors_are_json(client: Client, db: None) -> None:
    broken = client.post(URL, "{", content_type=JSON, headers={"Accept": "text/html"})
    other = check(client, "---\nlicense: mit\n---\n", repoType="dataset")

    assert (broken.status_code, broken["Content-Type"]) == (400, "application/json")
    assert other.status_code == 200
    assert check(client, None).status_code == 200


def test_words_in_use(client: Client, alice: User) -> None:
    card = (
        "---\nlicense: mit\nlanguage: en\nlibrary_name: transformers\ndatasets: [a/b]\n"
        "tags: [poetry]\nbase_model: x/y\n---\n"
    )
    make_repo(alice, "m", files={"README.md": card.encode()})
    make_repo(alice, "hidden", files={"README.md": b"---\ntags: [secret]\n---\n"}, is_private=True)

    kinds = client.get("/api/models-tags-by-type").json()

    def ids(kind: str) -> list[str]:
        return [word["id"] for word in kinds[kind]]

    assert set(kinds) == {
        "pipeline_tag",
        "library",
        "language",
        "license",
        "dataset",
        "region",
        "other",
    }
    assert ids("library") == ["transformers"]
    assert ids("language") == ["en"]
    assert kinds["license"] == [{"id": "license:mit", "label": "MIT", "type": "license"}]
    assert ids("dataset") == ["dataset:a/b"]
    assert ids("other") == ["poetry"]
    assert "text-generation" in ids("pipeline_tag")
    for word in (
        word for kind in ("library", "license", "dataset", "other") for word in kinds[kind]
    ):
        found = client.get("/api/models", {"filter": word["id"]}).json()
        assert [item["id"] for item in found] == ["alice/m"]
    assert set(client.get("/api/models-tags-by-type?type=license").json()) == {"license"}
    assert client.get("/api/models-tags-by-type?type=colour").status_code == 400


def test_tasks(client: Client, db: None) -> None:
    assert client.get("/api/tasks").json()["text-generation"]["label"]


def test_telemetry_and_harnesses(client: Client, db: None) -> None:
    assert client.head("/api/telemetry/a/b").status_code == 200
    assert client.head("/api/telemetry").status_code == 404
    assert client.get("/api/agent-harnesses").json() == {"standardEnvVars": [], "harnesses": {}}
    assert post(client, "/api/agent-harnesses").status_code == 405
