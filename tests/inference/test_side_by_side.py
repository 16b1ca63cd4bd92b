"""Two models on the same prompt: both or neither."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from accounts.models import User
from accounts.viewer import Viewer
from catalog.models import ModelRepo
from catalog.services.folders import files_of, publish_files
from catalog.services.repos import change_settings
from inference.models import GenerationRun
from inference.services import queueing, runs, side_by_side
from inference.services.queueing import TooManyRunsError
from store.core.errors import StoreError
from store.core.jobs import JobName
from store.core.models import Job
from tests.factories import make_repo
from tests.inference import test_chat
from tests.inference.fakes import FakeBox
from workers.runner import run_job

chatty_repo = test_chat.chatty_repo

Browser = Callable[[User], Client]
HTML = {"Accept": "text/html,application/xhtml+xml"}
JSON = {"Accept": "application/json"}
ADDRESS = "/playground/compare"


@pytest.fixture
def pair(alice: User, tiny_repo: ModelRepo, tiny_folder: Path) -> list[ModelRepo]:
    """Two models."""
    other = make_repo(alice, "other")
    publish_files(Viewer(user=alice), other, files_of(tiny_folder), title="Add the model")
    return [tiny_repo, other]


def form(**values: Any) -> dict[str, Any]:
    return {
        "a": "alice/tiny",
        "b": "alice/other",
        "prompt": "Once",
        "preset": "custom",
        "max_new_tokens": 8,
        **values,
    }


def test_both_get_the_same_prompt_settings_and_seed(pair: list[ModelRepo], as_bob: Viewer) -> None:
    first, second = side_by_side.submit_both(as_bob, pair, "Once", {"max_new_tokens": 8})

    assert first.params == second.params
    assert (first.prompt, first.repo, second.repo) == ("Once", *pair)


def test_if_one_is_refused_nothing_is_asked(pair: list[ModelRepo], as_bob: Viewer) -> None:
    for _number in range(queueing.MAX_OPEN_OF_PERSON - 1):
        runs.submit(as_bob, pair[0], "", "x", {"max_new_tokens": 4})
    before = set(GenerationRun.objects.values_list("pk", flat=True))

    with pytest.raises(TooManyRunsError) as refused:
        side_by_side.submit_both(as_bob, pair, "Once", {"max_new_tokens": 8})

    assert refused.value.message.startswith("alice/other: ")
    assert set(GenerationRun.objects.values_list("pk", flat=True)) == before
    waiting = Job.objects.filter(name=JobName.GENERATE, state="queued")
    assert waiting.count() == queueing.MAX_OPEN_OF_PERSON - 1


@pytest.mark.parametrize(
    ("texts", "count"),
    [([], 0), (["abc"], 3), (["abc", "abd"], 2), (["", "x"], 0), (["ab", "abc"], 2)],
)
def test_how_far_texts_agree(texts: list[str], count: int) -> None:
    assert side_by_side.common_start(texts) == count


def test_without_scripts_two_runs_stand_on_one_page(
    pair: list[ModelRepo], bob: User, browser_of: Browser, fake_box: FakeBox, client: Client
) -> None:
    browser = browser_of(bob)
    empty = browser.get(f"{ADDRESS}?a=alice/tiny&b=alice/other", headers=HTML).content.decode()
    assert 'name="a" value="alice/tiny"' in empty
    assert 'name="b" value="alice/other"' in empty

    answer = browser.post(ADDRESS, form(), headers=HTML)

    made = list(GenerationRun.objects.order_by("pk"))
    query = "&".join(f"run={run.public_id}" for run in made)
    assert (answer.status_code, answer["Location"]) == (302, f"{ADDRESS}?{query}")
    waiting = browser.get(answer["Location"], headers=HTML).content.decode()
    assert 'http-equiv="refresh"' in waiting
    assert waiting.count(f'action="/runs/{made[0].public_id}/cancel"') == 1
    for run in made:
        run_job(run.job_id or 0)
    page = browser.get(answer["Location"], headers=HTML)
    text = page.content.decode()
    assert text.count("<code data-text") == 4  # two texts, two templates
    assert text.count("Hello, world") == 2
    assert "The two texts begin with the same 12 characters." in text
    assert 'http-equiv="refresh"' not in text
    assert "Once</textarea>" in text
    assert page["Cache-Control"] == "private, no-store"
    for run in made:
        query = f"run={run.public_id}&amp;a=alice%2Ftiny&amp;b=alice%2Fother"
        assert f'href="/playground/score?{query}"' in text
    stranger = client.get(answer["Location"], headers=HTML).content.decode()
    assert "Hello, world" not in stranger
    assert "Once</textarea>" not in stranger


def test_scripts_get_both_runs(
    pair: list[ModelRepo], bob: User, browser_of: Browser, fake_box: FakeBox
) -> None:
    answer = browser_of(bob).post(ADDRESS, form(), headers=JSON)

    assert answer.status_code == 201
    assert [run["id"] for run in answer.json()["runs"]] == list(
        GenerationRun.objects.order_by("pk").values_list("public_id", flat=True)
    )


@pytest.mark.parametrize("wrong", [{"b": ""}, {"b": "alice/none"}, {"prompt": ""}, {"a": "x"}])
def test_what_is_wrong_is_said_and_nothing_is_asked(
    pair: list[ModelRepo], client: Client, wrong: dict[str, str]
) -> None:
    answer = client.post(ADDRESS, form(**wrong), headers=HTML)

    assert answer.status_code in {400, 404}
    assert "data-problem\n" in answer.content.decode()
    assert client.post(ADDRESS, form(**wrong), headers=JSON).status_code == answer.status_code
    assert not GenerationRun.objects.exists()


def test_a_hidden_model_looks_absent(pair: list[ModelRepo], alice: User, client: Client) -> None:
    change_settings(Viewer(user=alice), pair[1], is_private=True)

    hidden = client.post(ADDRESS, form(), headers=JSON)
    absent = client.post(ADDRESS, form(b="alice/othen"), headers=JSON)

    assert hidden.status_code == absent.status_code == 404
    said = hidden.json()
    assert str(said).replace("other", "othen") == str(absent.json())
    assert "alice/other" not in client.get(ADDRESS, headers=HTML).content.decode()
    assert not GenerationRun.objects.exists()


def test_a_moved_model_is_found_by_its_old_name(
    pair: list[ModelRepo], alice: User, as_bob: Viewer, bob: User, browser_of: Browser
) -> None:
    from catalog.services.repos import move_repo

    move_repo(Viewer(user=alice), pair[1], namespace="alice", name="newer")

    assert browser_of(bob).post(ADDRESS, form(), headers=JSON).status_code == 201


def test_errors_are_of_the_store(pair: list[ModelRepo], as_bob: Viewer) -> None:
    with pytest.raises(StoreError):
        side_by_side.submit_both(as_bob, pair, "", {"max_new_tokens": 8})
    assert not GenerationRun.objects.exists()


@pytest.fixture
def talking(alice: User, chatty_repo: ModelRepo, tmp_path: Path) -> list[ModelRepo]:
    """Two models that take messages."""
    other = make_repo(alice, "talker")
    publish_files(Viewer(user=alice), other, files_of(tmp_path / "chatty"), title="Add the model")
    return [chatty_repo, other]


def message(**values: Any) -> dict[str, Any]:
    said = {"mode": "chat", "a": "alice/chatty", "b": "alice/talker", "message": "Hi\r\nthere"}
    return {"preset": "custom", "max_new_tokens": 8, "system": "Be short.", **said, **values}


def test_two_models_answer_the_same_message_without_scripts(
    talking: list[ModelRepo], bob: User, browser_of: Browser, fake_box: FakeBox
) -> None:
    browser = browser_of(bob)
    query = "a=alice%2Fchatty&b=alice%2Ftalker"
    prompt = browser.get(f"{ADDRESS}?{query}", headers=HTML).content.decode()
    assert f'href="{ADDRESS}?{query.replace("&", "&amp;")}&amp;mode=chat"' in prompt
    empty = browser.get(f"{ADDRESS}?{query}&mode=chat", headers=HTML).content.decode()
    assert 'name="message"' in empty
    assert 'name="prompt"' not in empty

    answer = browser.post(ADDRESS, message(), headers=HTML)

    made = list(GenerationRun.objects.order_by("pk"))
    assert (answer.status_code, [run.repo for run in made]) == (302, talking)
    said = [{"role": "system", "content": "Be short."}, {"role": "user", "content": "Hi\nthere"}]
    assert [run.messages for run in made] == [said, said]
    assert made[0].params == made[1].params
    for run in made:
        run_job(run.job_id or 0)
    page = browser.get(answer["Location"], headers=HTML).content.decode()
    assert page.count("Hello, world") == 2
    assert "Hi\nthere</textarea>" in page
    assert "Be short.</textarea>" in page
    assert 'name="mode" value="chat"' in page


@pytest.mark.parametrize("side", ["a", "b"])
def test_a_model_without_a_chat_template_says_what_to_do_and_nothing_is_asked(
    talking: list[ModelRepo], tiny_repo: ModelRepo, bob: User, browser_of: Browser, side: str
) -> None:
    browser = browser_of(bob)
    form = message(**{side: "alice/tiny"})

    page = browser.post(ADDRESS, form, headers=HTML)
    told = browser.post(ADDRESS, form, headers=JSON)

    words = "alice/tiny has no chat template. Send a prompt instead of messages."
    assert (page.status_code, told.status_code) == (409, 409)
    assert words in page.content.decode()
    assert "Hi\nthere</textarea>" in page.content.decode().replace("\r", "")
    assert (told.json()["code"], told.json()["error"]) == ("no_chat_template", words)
    assert not GenerationRun.objects.exists()
    assert not Job.objects.filter(name=JobName.GENERATE, state="queued").exists()


def test_a_message_that_cannot_be_read_is_refused_and_nothing_is_asked(
    talking: list[ModelRepo], bob: User, browser_of: Browser
) -> None:
    answer = browser_of(bob).post(ADDRESS, message(history="{"), headers=JSON)

    assert answer.status_code == 400
    assert not GenerationRun.objects.exists()
