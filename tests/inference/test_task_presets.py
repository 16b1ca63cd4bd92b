"""Tasks to begin with: data that fits the form, notes that are true."""

import pytest
from django.test import Client

from catalog.models import Listing, ModelRepo
from inference.forms import PlaygroundForm
from inference.models import GenerationRun
from inference.services.params import read_params
from inference.services.task_presets import TaskPreset, task_presets

HTML = {"Accept": "text/html,application/xhtml+xml"}


def test_every_task_of_the_field_is_there() -> None:
    assert list(task_presets()) == [
        "text",
        "translation",
        "summary",
        "question",
        "dialogue",
        "code",
        "sentiment",
    ]


@pytest.mark.parametrize("task", task_presets().values(), ids=task_presets())
def test_a_task_can_be_asked_as_it_is(task: TaskPreset) -> None:
    values = {k: v for k, v in task.initial.items() if k != "prompt"}
    form = PlaygroundForm(PlaygroundForm.initial_of(task.prompt, task.initial))

    assert form.is_valid(), form.errors
    params = form.params()
    assert form.cleaned_data["prompt"] == task.prompt
    expected = read_params(values | {"seed": params.seed})
    assert params == expected
    assert task.label


@pytest.mark.parametrize(
    ("key", "listing", "is_made_for"),
    [
        ("text", {}, True),
        ("translation", {}, False),
        ("translation", {"languages": ["en", "fr"]}, True),
        ("translation", {"pipeline_tag": "translation"}, True),
        ("summary", {"pipeline_tag": "summarization"}, True),
        ("code", {"tags": ["Code"]}, True),
        ("code", {"tags": ["story"]}, False),
        ("dialogue", {"tags": ["conversational"]}, True),
    ],
)
def test_a_note_says_what_a_model_was_not_made_for(
    key: str, listing: dict[str, object], is_made_for: bool
) -> None:
    task = task_presets()[key]
    row = Listing(**listing)

    assert task.is_made_for(row) is is_made_for
    assert ("does not say" in task.note(row)) is not is_made_for
    assert bool(task.note(row)) is (key != "text")


def test_a_task_fills_the_form_without_scripts(tiny_repo: ModelRepo, client: Client) -> None:
    page = client.get("/alice/tiny/playground?task=sentiment", headers=HTML).content.decode()

    assert "I have never waited so long for so little.\nSentiment:</textarea>" in page
    assert "does not say that it was made to judge texts" in page
    assert 'name="max_new_tokens" value="4"' in page
    assert ">\n\\n</textarea>" in page or "\\n</textarea>" in page
    assert 'aria-current="true"' in page
    assert client.get("/alice/tiny/playground?task=nonsense").status_code == 200


def test_a_stop_may_be_the_end_of_a_line(tiny_repo: ModelRepo, client: Client) -> None:
    client.post("/alice/tiny/playground", {"prompt": "x", "preset": "custom", "stop": "\\n\r\nA:"})

    assert GenerationRun.objects.get().params["stop"] == ["\n", "A:"]
