"""``manage.py evaluate``: the store measures in its own name."""

from typing import Any

import pytest
from django.core.management import CommandError, call_command

from accounts.models import User
from catalog.models import ModelRepo
from inference.models import EvaluationRun, Score
from inference.services import suites
from tests.factories import make_repo


def test_it_asks_for_suites_in_the_stores_name(tiny_repo: ModelRepo, capsys: Any) -> None:
    call_command("evaluate", "alice/tiny", "--suite", "quick", "--suite", "bias")
    call_command("evaluate", "alice/tiny", "--suite", "quick")  # there already

    runs = EvaluationRun.objects.order_by("pk")
    assert [(run.suite.key, run.asked_by, run.is_public) for run in runs] == [
        ("quick", None, True),
        ("bias", None, True),
    ]
    assert runs[0].public_id in capsys.readouterr().out
    call_command("evaluate", "alice/tiny")
    assert EvaluationRun.objects.count() == len(suites.sync())


def test_it_waits_and_tells_the_scores(tiny_repo: ModelRepo, capsys: Any) -> None:
    call_command("evaluate", "alice/tiny", "--suite", "quick")
    run = EvaluationRun.objects.get()
    Score.objects.create(
        run=run, task="english", metric="bits_per_byte", value=2.5, low=2.25, high=2.75
    )
    EvaluationRun.objects.update(state="done")

    call_command("evaluate", "alice/tiny", "--suite", "quick", "--wait")

    assert "english bits_per_byte: 2.5 " in capsys.readouterr().out
    assert EvaluationRun.objects.count() == 1


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["alice/absent"],
        ["alice/tiny", "--suite", "absent"],
        ["alice/tiny", "--suite", "lm-eval/arc_easy"],
        ["alice/tiny", "--revision", "nowhere"],
        ["alice/empty"],
    ],
)
def test_it_refuses_and_asks_for_nothing(
    tiny_repo: ModelRepo, alice: User, words: list[str]
) -> None:
    make_repo(alice, "empty")

    with pytest.raises(CommandError):
        call_command("evaluate", *words)

    assert not EvaluationRun.objects.exists()


def test_the_demo_is_measured_where_the_store_measures_at_all(
    tiny_repo: ModelRepo, settings: Any
) -> None:
    call_command("evaluate", "--demo")
    settings.ENV = settings.ENV.model_copy(update={"evaluate_on_publish": ("quick",)})
    call_command("evaluate", "--demo", "--suite", "quick")  # no demo model is here

    assert not EvaluationRun.objects.exists()
