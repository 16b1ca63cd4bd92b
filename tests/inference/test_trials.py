"""Trying a sold model with demo tokens."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from accounts.models import User
from accounts.viewer import VISITOR, Viewer
from catalog.access import PurchaseRequiredError
from catalog.models import Grant, GrantedRepo, ModelRepo
from inference.models import Explanation, GenerationRun
from inference.services import answering, datasets, endings, explanations, runs, scored_texts
from inference.services.endings import Outcome
from inference.services.explain_params import read_explanation
from licensing.models import Offer, OfferedRepo, Terms, TrialUse
from licensing.services import offers, trials
from licensing.services.covering import head_of
from licensing.services.trials import TrialUsedUpError
from licensing.terms.rights import Rights
from store.core.models import Job
from tests.factories import add_files, make_repo

Ask = Callable[..., GenerationRun]


def sell(repo: ModelRepo, tokens: int) -> Offer:
    terms = Terms.objects.create(sha256="a" * 64, source="own", title="Mine", text="x")
    offer = Offer.objects.create(
        namespace=repo.namespace,
        title="Commercial",
        kind=Offer.Kind.FIXED,
        terms=terms,
        rights=Rights().to_json(),
        trial_tokens=tokens,
    )
    OfferedRepo.objects.create(offer=offer, repo=repo)
    offers.refresh_sale([repo])
    return offer


def ask(viewer: Viewer, repo: ModelRepo, tokens: int) -> GenerationRun:
    return runs.submit(viewer, repo, "", "Once", {"max_new_tokens": tokens})


def end(run: GenerationRun, tokens: int) -> None:
    done = Outcome(
        state=GenerationRun.State.DONE,
        texts=["x"],
        finish_reasons=["stop"],
        prompt_tokens=2,
        new_tokens=tokens,
    )
    assert endings.end(run.pk, done)


def test_strangers_have_so_many_tokens_each(tiny_repo: ModelRepo, bob: User) -> None:
    sell(tiny_repo, 20)
    viewer = Viewer(user=bob)

    end(ask(viewer, tiny_repo, 12), 5)

    assert trials.left(tiny_repo, f"user:{bob.pk}") == 15
    with pytest.raises(TrialUsedUpError) as refused:
        ask(viewer, tiny_repo, 16)
    assert refused.value.extra["left"] == 15
    assert GenerationRun.objects.count() == Job.objects.count() == 1
    end(ask(viewer, tiny_repo, 15), 15)
    with pytest.raises(PurchaseRequiredError) as ended:
        ask(viewer, tiny_repo, 1)
    assert ended.value.code == "purchase_required"
    assert TrialUse.objects.get().tokens == 20


def test_an_update_that_a_license_does_not_reach_is_only_tried(
    tiny_repo: ModelRepo, alice: User, bob: User
) -> None:
    sell(tiny_repo, 5)
    grant = Grant.objects.create(holder=bob.namespace, updates=Grant.Updates.REVISION)
    bought = head_of(tiny_repo)
    GrantedRepo.objects.create(grant=grant, repo=tiny_repo, commit_oid=bought)
    add_files(alice, tiny_repo, {"notes.md": b"new"})
    viewer = Viewer(user=bob)

    assert runs.submit(viewer, tiny_repo, bought, "x", {"max_new_tokens": 9}).trial_tokens == 0
    assert runs.submit(viewer, tiny_repo, "", "x", {"max_new_tokens": 5}).trial_tokens == 5
    with pytest.raises(PurchaseRequiredError) as refused:
        runs.submit(viewer, tiny_repo, "", "x", {"max_new_tokens": 1})

    assert refused.value.code == "update_not_included"
    assert GenerationRun.objects.count() == 2


def test_visitors_count_by_their_network(tiny_repo: ModelRepo) -> None:
    sell(tiny_repo, 20)

    ask(Viewer(address="198.51.100.7"), tiny_repo, 20)

    with pytest.raises(PurchaseRequiredError):
        ask(Viewer(address="198.51.100.7"), tiny_repo, 1)
    ask(Viewer(address="198.51.100.8"), tiny_repo, 1)


def test_the_owner_needs_none(tiny_repo: ModelRepo, alice: User) -> None:
    sell(tiny_repo, 0)

    run = ask(Viewer(user=alice), tiny_repo, 8)

    assert run.trial_tokens == 0
    assert not TrialUse.objects.exists()
    with pytest.raises(PurchaseRequiredError):
        ask(VISITOR, tiny_repo, 8)


def test_a_stopped_run_gives_its_tokens_back_once(tiny_repo: ModelRepo, bob: User) -> None:
    sell(tiny_repo, 20)
    run = ask(Viewer(user=bob), tiny_repo, 20)

    runs.cancel(Viewer(user=bob), run)

    assert trials.left(tiny_repo, f"user:{bob.pk}") == 20
    assert not runs.cancel(Viewer(user=bob), run)
    assert trials.left(tiny_repo, f"user:{bob.pk}") == 20


def test_explaining_uses_demo_tokens_and_a_failure_gives_them_back(
    tiny_repo: ModelRepo, bob: User
) -> None:
    sell(tiny_repo, 40)
    viewer = Viewer(user=bob)
    run = ask(viewer, tiny_repo, 10)
    end(run, 10)
    run.refresh_from_db()

    found = explanations.ask(viewer, run, read_explanation({"kind": "tokens"}))

    assert trials.left(tiny_repo, f"user:{bob.pk}") == 30 - explanations.COST_TOKENS["tokens"]
    with pytest.raises(TrialUsedUpError):
        explanations.ask(viewer, run, read_explanation({"kind": "saliency"}))
    assert Explanation.objects.count() == 1
    Job.objects.filter(pk=found.job_id).update(state="failed", error_code="x", error="X.")
    assert found.job_id is not None
    answering.settle(found.job_id)
    assert trials.left(tiny_repo, f"user:{bob.pk}") == 30


def test_explaining_takes_a_demo_token_for_each_token_it_tells(
    tiny_repo: ModelRepo, bob: User
) -> None:
    sell(tiny_repo, 500)
    viewer, asker = Viewer(user=bob), f"user:{bob.pk}"
    run, unread = ask(viewer, tiny_repo, 10), ask(viewer, tiny_repo, 10)
    end(run, 10)
    GenerationRun.objects.filter(pk=run.pk).update(prompt_tokens=200)
    end(unread, 1)
    GenerationRun.objects.filter(pk=unread.pk).update(prompt_tokens=0)  # stopped early
    run.refresh_from_db()
    unread.refresh_from_db()
    tokens = read_explanation({"kind": "tokens", "top": 10})

    found = explanations.ask(viewer, run, tokens)

    assert (found.trial_tokens, trials.left(tiny_repo, asker)) == (210, 489 - 210)
    explanations.ask(viewer, unread, tokens)
    assert trials.left(tiny_repo, asker) == 489 - 210 - 257
    with pytest.raises(TrialUsedUpError):
        explanations.ask(viewer, run, read_explanation({"kind": "tokens", "top": 9}))
    assert Explanation.objects.count() == 2


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/completions", {"model": "alice/tiny", "prompt": "Once", "logit_bias": {"5": 100}}),
        (
            "/v1/chat/completions",
            {
                "model": "alice/tiny",
                "messages": [{"role": "user", "content": "Hi"}],
                "logit_bias": {"5": -1},
            },
        ),
    ],
)
def test_a_bias_does_not_read_the_probability_of_any_token(
    client: Client, bearer: Any, tiny_repo: ModelRepo, bob: User, path: str, body: Any
) -> None:
    sell(tiny_repo, 20)

    answer = client.post(path, body, content_type="application/json", headers=bearer(bob, "read"))

    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "logit_bias")
    assert "logit_bias is for those who hold a license" in answer.json()["error"]["message"]
    assert not GenerationRun.objects.exists()
    assert trials.left(tiny_repo, f"user:{bob.pk}") == 20


def test_reading_a_text_takes_a_demo_token_for_each_of_its_tokens(
    tiny_repo: ModelRepo, bob: User
) -> None:
    sell(tiny_repo, 150)
    viewer, asker = Viewer(user=bob), f"user:{bob.pk}"

    row = scored_texts.submit(viewer, [tiny_repo], "word " * 80)
    with pytest.raises(TrialUsedUpError):
        scored_texts.submit(viewer, [tiny_repo], "word " * 80)

    assert trials.left(tiny_repo, asker) == 50
    job = Explanation.objects.get(scored_text=row).job
    assert job is not None
    assert (job.asker, Job.objects.count()) == (asker, 1)
    assert job.memory_bytes > 0
    Job.objects.update(state="failed", error_code="x", error="X.")
    answering.settle(job.pk)
    assert trials.left(tiny_repo, asker) == 150


# ── what a press of a button takes, said before it ──────────────────────────────────────────────


def words(page: Any) -> str:
    """The page's text on one line."""
    assert page.status_code == 200, page.content
    return " ".join(page.content.decode().split())


def test_the_playground_says_what_a_press_takes(
    tiny_repo: ModelRepo, alice: User, bob: User, browser_of: Callable[[User], Client]
) -> None:
    sell(tiny_repo, 500)
    address = "/alice/tiny/playground"

    page = words(browser_of(bob).get(address))
    hers = words(browser_of(alice).get(address))
    run = ask(Viewer(user=bob), tiny_repo, 7)
    GenerationRun.objects.update(params=run.params | {"num_beams": 4, "num_sequences": 2})
    again = words(browser_of(bob).get(f"{address}?run={run.public_id}"))

    assert "500 demo tokens are left to you" in page
    assert "Each press of the button sets aside Length" in page
    assert "With the values this page began with that is 128." in page
    assert "demo token" not in hers
    assert "493 demo tokens are left to you" in again
    assert "With the values this page began with that is 28." in again


def test_the_page_of_explanations_says_what_a_question_takes(
    tiny_repo: ModelRepo, bob: User, browser_of: Callable[[User], Client]
) -> None:
    sell(tiny_repo, 500)
    run = ask(Viewer(user=bob), tiny_repo, 10)
    end(run, 10)
    GenerationRun.objects.update(prompt_tokens=200)
    address = f"/runs/{run.public_id}/explain"
    browser = browser_of(bob)

    page = words(browser.get(f"{address}?kind=tokens"))
    lens = words(browser.get(f"{address}?kind=lens"))
    browser.post(address, {"kind": "tokens"})

    assert "this takes up to 210 of the 490 demo tokens left to you" in page
    assert "this takes up to 16 of the 490 demo tokens left to you" in lens
    assert trials.left(tiny_repo, f"user:{bob.pk}") == 490 - 210
    offers_gone = Offer.objects.update(trial_tokens=0)
    assert offers_gone == 1
    assert "demo tokens left to you" not in words(browser.get(f"{address}?kind=lens"))


def test_the_comparison_says_what_a_press_takes_of_each(
    tiny_repo: ModelRepo, alice: User, bob: User, browser_of: Callable[[User], Client]
) -> None:
    sell(tiny_repo, 500)
    make_repo(alice, "free")
    pair = "a=alice/tiny&b=alice/free"
    address = f"/playground/compare?{pair}"

    page = words(browser_of(bob).get(address))
    chat = words(browser_of(bob).get(f"{address}&mode=chat"))
    hers = words(browser_of(alice).get(address))
    empty = words(browser_of(bob).get("/playground/compare"))
    wrong = words(browser_of(bob).get("/playground/compare?a=alice/nothing&b=x"))

    said = "You may try alice/tiny before you buy it: 500 demo tokens are left to you."
    assert said in page
    assert said in chat
    assert "a press of the button sets 128 of them aside" in page
    assert page.count("demo token") == 1
    assert not any("demo token" in each for each in (hers, empty, wrong))


def test_the_page_of_scored_texts_says_what_reading_takes(
    tiny_repo: ModelRepo, alice: User, bob: User, browser_of: Callable[[User], Client]
) -> None:
    sell(tiny_repo, 500)
    browser = browser_of(bob)

    page = words(browser.get("/playground/score?a=alice/tiny"))
    hers = words(browser_of(alice).get("/playground/score?a=alice/tiny"))
    sent = browser.post("/playground/score", {"a": "alice/tiny", "b": "", "text": "x" * 400})
    Explanation.objects.update(state=Explanation.State.FAILED)
    after = words(browser.get(sent["Location"]))

    assert "500 demo tokens are left to you" in page
    assert (
        "one of them for each token of the text and of what stands before it, 16 at least" in page
    )
    assert "demo token" not in hers
    assert "400 demo tokens are left to you" in after


def test_the_page_of_evaluations_says_what_ones_own_questions_take(
    tiny_repo: ModelRepo, alice: User, bob: User, browser_of: Callable[[User], Client]
) -> None:
    sell(tiny_repo, 500)
    line = b'{"prompt": "Once", "choices": ["a", "b", "c"], "answer": 0}\n'
    datasets.add_dataset(Viewer(user=bob), "mine", line * 2)

    page = words(browser_of(bob).get("/alice/tiny/evaluations"))
    hers = words(browser_of(alice).get("/alice/tiny/evaluations"))

    assert "before you buy it: 500 demo tokens are left to you" in page
    assert "a line the model answers in its own words 64." in page
    assert "“mine” takes 6." in page
    assert "demo token" not in hers
