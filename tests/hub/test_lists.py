"""Listing models: filters, orders, fields, pages."""

import re
from datetime import timedelta
from typing import get_args

import pytest
from django.test import Client
from django.utils import timezone
from huggingface_hub.hf_api import ExpandModelProperty_T

from accounts.models import User
from catalog.models import Listing, ModelRepo
from tests.factories import add_files, make_repo, safetensors
from tests.hub.wire import next_page

URL = "/api/models"


@pytest.fixture
def shelf(alice: User, bob: User) -> dict[str, ModelRepo]:
    """Three public models and a private one, all different."""
    card = "---\nlicense: {}\npipeline_tag: {}\ntags: [{}]\n---\n# Card\n"
    repos = {
        "small": make_repo(
            alice,
            "small-gpt",
            files={"README.md": card.format("mit", "text-generation", "tiny, gguf").encode()},
        ),
        "large": make_repo(
            bob,
            "Large-GPT",
            files={"README.md": card.format("apache-2.0", "fill-mask", "safetensors").encode()},
        ),
        "plain": make_repo(alice, "plain"),
        "secret": make_repo(alice, "secret", is_private=True),
    }
    numbers = {"small": (5, 1, 10**6), "large": (50, 9, 7 * 10**9), "plain": (1, 4, None)}
    for name, (downloads, likes, parameters) in numbers.items():
        Listing.objects.filter(repo=repos[name]).update(
            downloads=downloads, likes=likes, parameters=parameters, trending=downloads / 3
        )
    ModelRepo.objects.filter(pk=repos["large"].pk).update(gate="manual")
    Listing.objects.filter(repo=repos["small"]).update(formats=["gguf"])
    Listing.objects.filter(repo=repos["large"]).update(formats=["safetensors"])
    return repos


def ids(client: Client, query: str, headers: dict | None = None) -> list[str]:
    answer = client.get(f"{URL}?{query}", headers=headers)
    assert answer.status_code == 200, answer.content
    return [item["id"].split("/")[1] for item in answer.json()]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("search=GPT", ["Large-GPT", "small-gpt"]),
        ("search=e/s", ["small-gpt"]),
        ("author=ALICE", ["plain", "small-gpt"]),
        ("author=ali", []),
        ("filter=license:mit", ["small-gpt"]),
        ("filter=license:mit&filter=tiny", ["small-gpt"]),
        ("filter=license:mit,tiny", ["small-gpt"]),
        ("filter[]=license:mit&filter[]=nope", []),
        ("filter=text-generation", ["small-gpt"]),
        ("pipeline_tag=fill-mask", ["Large-GPT"]),
        ("apps=ollama", ["small-gpt"]),
        ("apps[]=vllm", ["Large-GPT"]),
        ("apps=ollama,vllm", ["Large-GPT", "small-gpt"]),
        ("apps=ollama&apps=unheard-of", ["small-gpt"]),
        ("apps=unheard-of", []),
        ("gated=true", ["Large-GPT"]),
        ("gated=false", ["plain", "small-gpt"]),
        ("inference=warm", []),
        ("inference_provider=all", []),
        ("inference_provider[]=groq,novita", []),
        ("num_parameters=min:6B,max:128B", ["Large-GPT"]),
        ("num_parameters=max:1M", ["small-gpt"]),
        ("num_parameters=min:1", ["Large-GPT", "small-gpt"]),
        ("sort=downloads", ["Large-GPT", "small-gpt", "plain"]),
        ("sort=likes&direction=-1", ["Large-GPT", "plain", "small-gpt"]),
        ("sort=likes&direction=1", ["Large-GPT", "plain", "small-gpt"]),
        ("sort=trendingScore", ["Large-GPT", "small-gpt", "plain"]),
        ("sort=trending_score", ["Large-GPT", "small-gpt", "plain"]),
        ("sort=createdAt", ["plain", "Large-GPT", "small-gpt"]),
        ("sort=num_parameters", ["Large-GPT", "small-gpt", "plain"]),
        ("sort=likes30d&limit=1", ["Large-GPT"]),
    ],
)
def test_filters_and_orders(client: Client, shelf: dict, query: str, expected: list[str]) -> None:
    found = ids(client, query)

    assert (found if "sort" in query else sorted(found)) == expected


@pytest.mark.parametrize(
    "query",
    [
        "sort=colour",
        "gated=perhaps",
        "inference=cold",
        "num_parameters=6B",
        "num_parameters=min:x",
        "num_parameters=min:7B,max:6B",
        "limit=0",
        "limit=x",
        "limit=-1",
        "cursor=%22",
        "cursor=AAAA",
        "expand=nonsense",
        "pipeline_tag=" + "x" * 300,
    ],
)
def test_what_means_nothing_is_refused(client: Client, shelf: dict, query: str) -> None:
    answer = client.get(f"{URL}?{query}")

    assert answer.status_code == 400
    assert isinstance(answer.json()["error"], str)
    assert answer["Access-Control-Allow-Origin"] == "*"


def test_private_models_are_for_those_who_may_read_them(
    client: Client, shelf: dict, alice: User, bob: User, bearer
) -> None:
    assert "secret" in ids(client, "search=secret", bearer(alice, "read"))
    assert ids(client, "search=secret", bearer(bob)) == []
    assert ids(client, "search=secret") == []


def test_the_forms_of_an_item(client: Client, alice: User, shelf: dict) -> None:
    config = b'{"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"]}'
    add_files(alice, shelf["small"], {"config.json": config})

    def first(query: str) -> dict:
        return client.get(f"{URL}?search=small&{query}").json()[0]

    plain = {
        "_id",
        "id",
        "modelId",
        "likes",
        "trendingScore",
        "private",
        "downloads",
        "tags",
        "createdAt",
        "pipeline_tag",
    }
    more = {"author", "gated", "disabled", "lastModified", "sha", "siblings"}

    assert set(first("")) == plain
    assert set(first("full=true")) == plain | more
    assert set(first("full=True&config=true&cardData=1")) == plain | more | {"config", "cardData"}
    assert first("config=true")["config"]["model_type"] == "gpt2"
    assert first("full=")["siblings"] == [
        {"rfilename": path} for path in (".gitattributes", "README.md", "config.json")
    ]
    assert set(first("expand=likes&expand[]=sha,gated")) == {
        "_id",
        "id",
        "modelId",
        "likes",
        "sha",
        "gated",
    }
    assert first("expand[]=cardData")["cardData"]["license"] == "mit"
    assert first("")["trendingScore"] == 2
    assert {"license:mit", "tiny", "gpt2", "text-generation"} <= set(first("")["tags"])


def test_javascript_asks_for_few_fields_of_many_models(
    client: Client, shelf: dict, django_assert_max_num_queries
) -> None:
    fields = ["pipeline_tag", "private", "gated", "downloads", "likes", "lastModified"]
    query = "&".join(f"expand={field}" for field in fields)

    with django_assert_max_num_queries(8):
        items = client.get(f"{URL}?limit=500&{query}").json()

    assert len(items) == 3
    assert all(set(item) >= {"_id", "id", "private", "downloads", "gated"} for item in items)


def test_the_error_names_every_field(client: Client, shelf: dict) -> None:
    answer = client.get(f"{URL}?expand=likes&expand=foo")
    text = answer.json()["error"]

    named = set(re.findall(r'"([^"]+)"', text.split("expected one of ")[1]))
    assert named == set(get_args(ExpandModelProperty_T))
    assert text.endswith("\n  -> at expand[1]")
    assert "X-Error-Message" not in answer  # cut there, it would be shown twice
    assert client.get(f"{URL}?expand=xetEnabled&expand=gitalyUid").status_code == 200


def test_pages_are_stable_while_models_come_and_go(
    client: Client, alice: User, shelf: dict
) -> None:
    first = client.get(f"{URL}?limit=1&sort=createdAt&full=true&expand[]=sha")
    make_repo(alice, "newer")
    shelf["plain"].delete()

    seen, url = first.json(), next_page(first)
    assert first["Link"].startswith(f"<http://testserver{URL}?")
    while url:
        answer = client.get(url)
        seen += answer.json()
        url = next_page(answer)

    assert [item["id"] for item in seen] == ["alice/plain", "bob/Large-GPT", "alice/small-gpt"]
    assert all("sha" in item for item in seen)


def test_costly_pages_are_shorter(client: Client, alice: User, shelf: dict, monkeypatch) -> None:
    monkeypatch.setattr("hub.views.models.COSTLY_PAGE", 2)

    whole = client.get(f"{URL}?full=true")
    cheap = client.get(URL)

    assert (len(whole.json()), len(cheap.json())) == (2, 3)
    assert len(client.get(next_page(whole)).json()) == 1
    assert next_page(cheap) == ""


def test_a_listed_config_is_only_for_those_who_ask(client: Client, alice: User) -> None:
    make_repo(alice, "m", files={"model.safetensors": b""})
    repo = make_repo(alice, "w")
    add_files(
        alice, repo, {"config.json": b'{"model_type": "gpt2"}', "m.safetensors": safetensors()}
    )

    assert all("config" not in item for item in client.get(f"{URL}?full=true").json())


def test_other_types_do_not_exist_here(client: Client, alice: User, bearer) -> None:
    for kind in ("datasets", "spaces", "kernels", "buckets"):
        assert client.get(f"/api/{kind}").json() == []
        missing = client.get(f"/api/{kind}/alice/x/revision/main")
        mine = client.delete(f"/api/{kind}/alice/x", headers=bearer(alice))
        file = client.get(f"/{kind}/alice/x/resolve/main/a")
        assert (missing.status_code, missing["X-Error-Code"]) == (401, "RepoNotFound")
        assert (mine.status_code, mine["X-Error-Code"]) == (404, "RepoNotFound")
        assert (file.status_code, file["X-Error-Code"]) == (401, "RepoNotFound")


def test_unknown_addresses_answer_programs_in_json(client: Client, db: None) -> None:
    answer = client.get("/api/models/alice/tiny/nonsense", headers={"Accept": "text/html"})

    assert (answer.status_code, answer["Content-Type"]) == (404, "application/json")
    assert "X-Error-Code" not in answer
    assert answer["Access-Control-Allow-Origin"] == "*"


def test_what_is_left_out_on_purpose(client: Client, alice: User, bearer) -> None:
    make_repo(alice)
    headers = bearer(alice)
    made = client.post(
        "/api/collections", {"title": "Mine"}, content_type="application/json", headers=headers
    )
    model, collection = "/api/models/alice/tiny", f"/api/collections/{made.json()['slug']}"

    for path in (
        f"{model}/notebook",
        f"{model}/jwt",
        f"{model}/resource-group",
        f"{model}/discussions/1/comment/a/reaction",
        f"{model}/discussions/1/mark-as-read",
        f"{collection}/items/batch",
        f"{collection}/resource-group",
    ):
        for method in ("GET", "POST", "PATCH", "DELETE"):
            answer = client.generic(method, path, b"{}", "application/json", headers=headers)
            assert (answer.status_code, answer["Content-Type"]) == (404, "application/json"), path
            assert path in answer.json()["error"]
            assert "X-Error-Code" not in answer
    assert client.get(collection, headers=headers).json()["title"] == "Mine"


@pytest.mark.parametrize(
    ("sort", "field"),
    [
        ("createdAt", "createdAt"),
        ("lastModified", "lastModified"),
        ("last_modified", "lastModified"),
        ("downloads", "downloads"),
        ("likes", "likes"),
        ("likes30d", "likes"),
        ("trendingScore", "trendingScore"),
        ("num_parameters", "safetensors"),
        ("id", "id"),
    ],
)
def test_a_list_tells_what_it_is_sorted_by(
    client: Client, alice: User, sort: str, field: str
) -> None:
    repo = make_repo(alice)
    add_files(alice, repo, {"model.safetensors": safetensors()})

    items = client.get(f"{URL}?sort={sort}").json()

    assert all(field in item for item in items)
    assert ("lastModified" in items[0]) == (field == "lastModified")


def test_what_is_sold_is_gated(client: Client, shelf: dict[str, ModelRepo]) -> None:
    def gates(query: str) -> dict[str, object]:
        answer = client.get(f"{URL}?expand=gated&{query}")
        return {item["id"].split("/")[1]: item["gated"] for item in answer.json()}

    assert gates("gated=true") == {"Large-GPT": "manual"}
    small = ModelRepo.objects.filter(pk=shelf["small"].pk)
    small.update(is_for_sale=True)

    assert gates("gated=false") == {"plain": False}
    assert gates("gated=true") == {"Large-GPT": "manual", "small-gpt": "manual"}
    small.update(opens_at=timezone.now() - timedelta(days=1))
    assert gates("gated=false") == {"plain": False, "small-gpt": False}
    small.update(is_for_sale=False, opens_at=None)
    assert gates("gated=true") == {"Large-GPT": "manual"}
