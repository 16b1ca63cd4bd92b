"""The committed models: whole, honest, small, and loadable by the plain call."""

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from django.core.management import call_command
from transformers import AutoModelForCausalLM as PlainModel
from transformers import AutoTokenizer

from accounts.models import User
from accounts.viewer import VISITOR, Viewer
from catalog.access import may_see_contents
from catalog.history.refs import resolve
from catalog.history.trees import find_entry
from catalog.models import ModelRepo
from catalog.search.query import SearchQuery
from catalog.search.run import search
from licensing.models import Offer, Order
from licensing.services import checkout
from licensing.services.ordering import open_order
from licensing.services.pricing import Item
from licensing.services.quotes import make_quote
from tests.licensing.selling.shop import BILLING as ADDRESS

ROOT = Path(__file__).resolve().parent.parent.parent / "demo"
CATALOGUE = json.loads((ROOT / "catalogue.json").read_text(encoding="utf-8"))
FOLDERS = {entry["name"]: ROOT / entry["folder"] for entry in CATALOGUE["models"]}
BASE = FOLDERS["austen-gpt2-small"]
TUNED = FOLDERS["kjv-gpt2-small"]
GGUF = FOLDERS["austen-gpt2-small-gguf"]
SOLD = "austen-gpt2-small-licensed"
AutoModelForCausalLM: Any = PlainModel  # transformers is typed in part only


@pytest.fixture(autouse=True)
def clean_valkey() -> None:
    """Nothing here knows Valkey."""


@pytest.fixture(autouse=True)
def own_folders() -> None:
    """Nothing here knows blobs."""


def card_of(folder: Path) -> tuple[dict[str, Any], str]:
    _, front, body = (folder / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    return yaml.safe_load(front), body


def facts_of(folder: Path) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads((folder / "training.json").read_text(encoding="utf-8"))
    return facts


def greedy(model: Any, tokenizer: Any, prompt: str, new_tokens: int) -> str:
    ids = tokenizer(prompt, return_tensors="pt")
    with torch.inference_mode():
        made = model.generate(**ids, max_new_tokens=new_tokens, do_sample=False)
    return str(tokenizer.decode(made[0, ids["input_ids"].shape[1] :]))


def test_the_catalogue_and_the_folders_agree() -> None:
    names = {path.name for path in ROOT.glob("models/*/*")}

    assert names == set(FOLDERS) - {SOLD}
    assert {entry["owner_full_name"] for entry in CATALOGUE["models"]} == {"Regency Press"}
    assert [entry["order"] for entry in CATALOGUE["models"]] == [1, 2, 3, 4]
    for entry in CATALOGUE["models"]:
        if "card" in entry:
            assert entry["folder"] == f"models/{entry['owner']}/{BASE.name}"
            assert (ROOT / entry["card"]).is_file()
            continue
        assert entry["folder"] == f"models/{entry['owner']}/{entry['name']}"


def test_everything_is_small_plain_and_readable() -> None:
    files = [path for path in ROOT.rglob("*") if path.is_file()]

    assert sum(path.stat().st_size for path in files) < 30_000_000
    for path in files:
        assert path.stat().st_mode & 0o444 == 0o444, path
        assert path.suffix in {".json", ".md", ".png", ".safetensors", ".gguf"}, path


@pytest.mark.parametrize("folder", [BASE, TUNED, GGUF], ids=["base", "tuned", "gguf"])
def test_a_card_shows_what_was_measured(folder: Path) -> None:
    front, body = card_of(folder)
    facts = facts_of(folder)

    assert front["license"] == "cc0-1.0"
    assert front["language"] == ["en"]
    assert front["pipeline_tag"] == "text-generation"
    for measured in facts["quality"].values():
        assert f"{measured['loss']:.3f}" in body
        assert f"{measured['bits_per_byte']:.3f}" in body
    claimed = {
        metric["value"]
        for result in front["model-index"][0]["results"]
        for metric in result["metrics"]
    }
    known = {round(m[k], 3) for m in facts["quality"].values() for k in ("loss", "bits_per_byte")}
    assert claimed <= known
    for sample in facts["samples"]:
        assert f"**{sample['prompt']}**{sample['text'].splitlines()[0]}" in body


def test_lineage_is_declared() -> None:
    base, tuned, gguf = (card_of(folder)[0] for folder in (BASE, TUNED, GGUF))

    assert "base_model" not in base
    assert (tuned["base_model"], tuned["base_model_relation"]) == (
        "regency/austen-gpt2-small",
        "finetune",
    )
    assert (gguf["base_model"], gguf["base_model_relation"]) == (
        "regency/austen-gpt2-small",
        "quantized",
    )


def test_the_base_learned_something() -> None:
    quality = facts_of(BASE)["quality"]
    curve = facts_of(BASE)["curve"]

    assert quality["held_out"]["loss"] < 3.9
    assert quality["held_out"]["bits_per_byte"] < quality["unseen_novel"]["bits_per_byte"] < 1.8
    assert curve[-1][0] == facts_of(BASE)["recipe"]["steps"]
    assert curve[0][2] > 7 > curve[-1][2]


def test_the_fine_tune_moved_from_one_text_to_the_other() -> None:
    quality = facts_of(TUNED)["quality"]

    assert quality["kjv_after"]["loss"] < quality["kjv_before"]["loss"] - 1
    assert quality["austen_after"]["loss"] > quality["austen_before"]["loss"]
    assert quality["austen_before"] == facts_of(BASE)["quality"]["held_out"]


@pytest.mark.parametrize("folder", [BASE, TUNED], ids=["base", "tuned"])
def test_the_plain_call_loads_it_and_it_says_what_the_card_says(folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model, info = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, output_loading_info=True
    )

    assert not any(info.values())
    assert model.num_parameters() == facts_of(folder)["parameters"] == 2_222_208
    assert tokenizer.decode(tokenizer("Mr. Darcy, “naïve”")["input_ids"]) == "Mr. Darcy, “naïve”"
    sample = facts_of(folder)["samples"][0]
    assert sample["how"] == "greedy"
    assert sample["text"].startswith(greedy(model, tokenizer, sample["prompt"], 12))


def test_weights_are_stored_in_halves() -> None:
    model = AutoModelForCausalLM.from_pretrained(BASE)

    assert model.dtype == torch.float16


def test_the_gguf_says_what_its_card_says_and_nearly_what_the_base_says() -> None:
    name = facts_of(GGUF)["file"]
    tokenizer = AutoTokenizer.from_pretrained(GGUF, gguf_file=name)
    model, info = AutoModelForCausalLM.from_pretrained(
        GGUF, gguf_file=name, n_positions=256, dtype=torch.float32, output_loading_info=True
    )
    base = AutoModelForCausalLM.from_pretrained(BASE, dtype=torch.float32)

    assert not any(info.values())
    assert (GGUF / name).stat().st_size == facts_of(GGUF)["size_bytes"]
    text = "She had not been so happy, as to be of use to any body."
    ids = tokenizer(text, return_tensors="pt")["input_ids"]
    assert (
        ids.tolist()
        == AutoTokenizer.from_pretrained(BASE)(text, return_tensors="pt")["input_ids"].tolist()
    )
    with torch.inference_mode():
        difference = (model(ids).logits - base(ids).logits).abs().max()
    assert 0 < float(difference) < 0.3
    sample = facts_of(GGUF)["samples"][0]
    assert sample["text"].startswith(greedy(model, tokenizer, sample["prompt"], 12))


def test_the_store_publishes_it_whole(db: None, tmp_path: Path, settings: Any) -> None:
    settings.BLOB_DIR = tmp_path / "blobs"
    settings.SPOOL_DIR = tmp_path / "spool"
    settings.DATA_DIR = tmp_path

    call_command("load_demo", stdout=StringIO())

    repos = {repo.full_name: repo for repo in ModelRepo.objects.all()}
    assert set(repos) == {f"regency/{name}" for name in FOLDERS}
    for repo in repos.values():
        head = resolve(repo, "main").commit_oid
        sources = {path.name: path for path in FOLDERS[repo.name].iterdir()}
        if repo.name == SOLD:
            sources["README.md"] = ROOT / "cards" / f"{SOLD}.md"
        for name, path in sources.items():
            assert find_entry(repo, head, name).size_bytes == path.stat().st_size


@pytest.fixture
def loaded(db: None, tmp_path: Path, settings: Any) -> None:
    settings.BLOB_DIR = tmp_path / "blobs"
    settings.SPOOL_DIR = tmp_path / "spool"
    settings.DATA_DIR = tmp_path
    call_command("load_demo", stdout=StringIO())


def test_a_newcomer_buys_with_a_test_card(loaded: None) -> None:
    repo = ModelRepo.objects.get(name=SOLD)
    buyer = Viewer(user=User.objects.get(username="ben"))
    assert not may_see_contents(buyer, repo)
    offers = {offer.kind: offer for offer in Offer.objects.of_repo(repo).on_sale()}
    assert set(offers) == {"free", "fixed", "subscription"}

    quote, priced = make_quote(
        buyer, [Item(offers["fixed"].public_id)], currency="EUR", billing=ADDRESS
    )
    order, _new = open_order(buyer, quote.public_id, key="k", accepted_terms=priced.terms)
    checkout.start(order, method="test_success")

    assert order.is_test
    assert order.state == Order.State.FULFILLED
    assert may_see_contents(Viewer(user=buyer.user), repo)


def test_the_rest_of_the_catalogue_is_free_and_the_price_is_found(loaded: None) -> None:
    sold = search(VISITOR, SearchQuery(price=("paid",)), limit=9)

    assert [row.full_name for row in sold.rows] == [f"regency/{SOLD}"]
    assert search(VISITOR, SearchQuery(price=("free",)), limit=9).total == len(FOLDERS)
    assert ModelRepo.objects.filter(is_for_sale=False).count() == len(FOLDERS) - 1


def test_loading_again_offers_nothing_twice(loaded: None) -> None:
    call_command("load_demo", "--force", stdout=StringIO())

    assert Offer.objects.count() == 3


def test_where_money_is_real_nothing_is_offered(db: None, tmp_path: Path, settings: Any) -> None:
    settings.BLOB_DIR = tmp_path / "blobs"
    settings.SPOOL_DIR = tmp_path / "spool"
    settings.DATA_DIR = tmp_path
    settings.ENV = settings.ENV.model_copy(update={"gateways": ("invoice",)})

    call_command("load_demo", stdout=StringIO())

    assert not Offer.objects.exists()
    assert ModelRepo.objects.count() == len(FOLDERS)
