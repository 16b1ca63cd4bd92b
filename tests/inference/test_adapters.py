"""Adapters in the store: run together with their base, whatever else is said in their files."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from accounts.models import User
from accounts.viewer import Viewer
from catalog.models import Listing, ModelRepo, RepoAlias
from catalog.services.folders import files_of, publish_files
from catalog.services.publishing import AddFile, publish
from catalog.services.repos import move_repo
from inference.box.pool import BoxPool
from inference.models import GenerationRun
from inference.runners import generation
from inference.runners.folders import model_folder
from inference.services import runs
from inference.services.weights import NotRunnableError, needed_files
from tests.factories import make_repo
from tests.inference.conftest import forget_news
from tests.inference.test_folders import head_of
from tests.inference.test_generation import job_of
from workers.runner import run_job

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="session")
def adapter_folder(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LoRA adapter for the very small model, with a tokenizer of its own."""
    import peft
    import torch
    from transformers import AutoModelForCausalLM

    torch.manual_seed(4)
    base = AutoModelForCausalLM.from_pretrained(tiny_folder, dtype=torch.float32)
    lora = peft.LoraConfig(r=2, lora_alpha=64, target_modules=["c_attn"], fan_in_fan_out=True)
    model: Any = peft.get_peft_model(base, lora)
    for name, value in model.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(value, 0, 0.5)
    folder = tmp_path_factory.mktemp("models") / "adapter"
    model.save_pretrained(folder)
    (folder / "README.md").unlink()
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(tiny_folder / name, folder / name)
    return folder


def adapt(owner: User, folder: Path, base: str, name: str = "lora", **options: Any) -> ModelRepo:
    """Publish the adapter as one of ``base``."""
    repo = make_repo(owner, name, **options)
    publish_files(Viewer(user=owner), repo, files_of(folder), title="Add the adapter")
    say_base(owner, repo, base)
    return repo


def say_base(owner: User, repo: ModelRepo, base: str) -> None:
    """Write the base's name into the newest commit, and nothing else anew."""
    config = {"peft_type": "LORA", "r": 2, "lora_alpha": 64, "target_modules": ["c_attn"]}
    config |= {"fan_in_fan_out": True, "base_model_name_or_path": base}
    operation = AddFile("adapter_config.json", json.dumps(config).encode())
    publish(Viewer(user=owner), repo, revision="main", operations=[operation], title="Name it")
    forget_news()


def refusal(repo: ModelRepo) -> NotRunnableError:
    with pytest.raises(NotRunnableError) as caught:
        needed_files(repo, head_of(repo))
    return caught.value


@pytest.mark.django_db(transaction=True)
def test_an_adapter_writes_with_its_base(
    tiny_repo: ModelRepo,
    adapter_folder: Path,
    bob: User,
    as_alice: Viewer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    repo = adapt(bob, adapter_folder, tiny_repo.full_name)
    asked = {"max_new_tokens": 12, "temperature": 0}
    made = {
        one: runs.submit(as_alice, one, "", "Once upon a time", asked) for one in (tiny_repo, repo)
    }
    pool = BoxPool(wait_s=60)
    monkeypatch.setattr(generation, "box_pool", lambda: pool)
    try:
        for run in made.values():
            run_job(job_of(run))
            run.refresh_from_db()
    finally:
        pool.close()

    assert [run.state for run in made.values()] == ["done", "done"], made[repo].error
    assert made[repo].texts != made[tiny_repo].texts


def test_its_folder_has_the_base_beside_it_and_its_own_tokenizer(
    tiny_repo: ModelRepo, adapter_folder: Path, bob: User, as_alice: Viewer
) -> None:
    repo = adapt(bob, adapter_folder, tiny_repo.full_name)
    files = needed_files(repo, head_of(repo))
    owners = {part.place: part.repo.full_name for part in files.parts}

    assert files.base == (tiny_repo.full_name, head_of(tiny_repo))
    assert owners["model.safetensors"] == owners["config.json"] == tiny_repo.full_name
    assert owners["tokenizer.json"] == repo.full_name
    assert owners["adapter/adapter_model.safetensors"] == repo.full_name
    with model_folder(repo, head_of(repo), lambda: None) as folder:
        assert folder.name == files.key
        found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
        assert found == set(owners)
        assert (folder / "adapter").stat().st_mode & 0o777 == 0o755

    operation = AddFile("generation_config.json", b"{}")
    publish(as_alice, tiny_repo, revision="main", operations=[operation], title="Change the base")
    assert needed_files(repo, head_of(repo)).key != files.key


def test_a_renamed_base_is_found_and_an_alias_too(
    tiny_repo: ModelRepo, adapter_folder: Path, bob: User, as_alice: Viewer
) -> None:
    repo = adapt(bob, adapter_folder, tiny_repo.full_name)
    move_repo(as_alice, tiny_repo, namespace="alice", name="renamed")
    base = needed_files(repo, head_of(repo)).base
    assert base is not None
    assert base[0] == "alice/renamed"

    RepoAlias.objects.create(name="tiny", repo=tiny_repo)
    say_base(bob, repo, "tiny")
    assert needed_files(repo, head_of(repo)).base == base


def test_a_base_that_is_not_open_to_everybody_is_as_good_as_absent(
    tiny_repo: ModelRepo, adapter_folder: Path, alice: User, as_alice: Viewer
) -> None:
    repo = adapt(alice, adapter_folder, "nobody/nothing")
    absent = refusal(repo)
    assert absent.extra == {"reason": "adapter_base", "base": "nobody/nothing"}

    say_base(alice, repo, tiny_repo.full_name)
    for hidden in ({"is_private": True}, {"gate": "manual"}, {"disabled_reason": "spam"}):
        ModelRepo.objects.filter(pk=tiny_repo.pk).update(**hidden)
        told = refusal(repo)
        ModelRepo.objects.filter(pk=tiny_repo.pk).update(
            is_private=False, gate="none", disabled_reason=""
        )
        assert told.message == absent.message.replace("nobody/nothing", tiny_repo.full_name)
        with pytest.raises(NotRunnableError):
            ModelRepo.objects.filter(pk=tiny_repo.pk).update(is_private=True)
            runs.submit(as_alice, repo, "", "Once", {})
        ModelRepo.objects.filter(pk=tiny_repo.pk).update(is_private=False)
    assert not GenerationRun.objects.exists()
    assert needed_files(repo, head_of(repo)).base is not None


def test_a_private_adapter_may_stand_on_a_private_base_of_its_owner_only(
    tiny_repo: ModelRepo, adapter_folder: Path, alice: User, bob: User
) -> None:
    ModelRepo.objects.filter(pk=tiny_repo.pk).update(is_private=True)
    own = adapt(alice, adapter_folder, tiny_repo.full_name, is_private=True)
    strange = adapt(bob, adapter_folder, tiny_repo.full_name, is_private=True)

    assert needed_files(own, head_of(own)).base is not None
    assert refusal(strange).extra["reason"] == "adapter_base"


def test_an_adapter_of_an_adapter_is_refused(
    tiny_repo: ModelRepo, adapter_folder: Path, alice: User, bob: User
) -> None:
    first = adapt(alice, adapter_folder, tiny_repo.full_name)
    second = adapt(bob, adapter_folder, first.full_name)

    assert "an adapter itself" in refusal(second).message


def test_its_listing_says_that_it_can_be_tried(
    tiny_repo: ModelRepo, adapter_folder: Path, alice: User
) -> None:
    repo = adapt(alice, adapter_folder, tiny_repo.full_name)

    assert Listing.objects.get(repo=repo).is_runnable
