"""One text, read by two models: true numbers, aligned, and nobody else's to see."""

import math
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import User
from accounts.viewer import Viewer
from catalog.models import ModelRepo
from catalog.services.folders import files_of, publish_files
from catalog.services.repos import change_settings
from inference.box.pool import BoxPool
from inference.models import Explanation, GenerationRun, ScoredText
from inference.runners import generation
from inference.services import explanations, quotas, retention, scored_texts
from inference.services.explain_params import read_explanation
from inference.services.params import InvalidParamsError
from inference.services.reading_along import Passage, along, word_around
from store.core.errors import StoreError
from store.core.jobs import JobName
from store.core.models import Job
from tests.factories import make_repo
from tests.inference import tiny
from workers.runner import run_job

Browser = Callable[[User], Client]
Headers = dict[str, str]
HTML = {"Accept": "text/html,application/xhtml+xml"}
JSON: dict[str, Any] = {"content_type": "application/json"}
ADDRESS, API = "/playground/score", "/api/v1/scored-texts"
TEXT = "Once upon a time\nthe store sold 日本 models 😀."
PROMPT = "It was said:"


@pytest.fixture(scope="session")
def other_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that cuts texts in other places than the very small one."""
    return tiny.build(tmp_path_factory.mktemp("models") / "other", seed=5, vocabulary=285)


@pytest.fixture
def pair(alice: User, tiny_repo: ModelRepo, other_folder: Path) -> list[ModelRepo]:
    """Two models with different tokenizers."""
    other = make_repo(alice, "other")
    publish_files(Viewer(user=alice), other, files_of(other_folder), title="Add the model")
    Job.objects.all().delete()
    return [tiny_repo, other]


@pytest.fixture(scope="module")
def two_boxes() -> Iterator[BoxPool]:
    """Boxes for both."""
    pool = BoxPool(wait_s=60)
    yield pool
    pool.close()


@pytest.fixture
def boxes(monkeypatch: pytest.MonkeyPatch, two_boxes: BoxPool) -> BoxPool:
    """They are those the worker uses."""
    monkeypatch.setattr(generation, "box_pool", lambda: two_boxes)
    return two_boxes


@pytest.fixture
def counted(settings: Any) -> None:
    """Tokens of the day are counted."""
    settings.ENV = settings.ENV.model_copy(update={"rate_limits": "on"})


def read_all() -> None:
    for job in Job.objects.filter(name=JobName.EXPLAIN, state="queued"):
        run_job(job.pk)


def truth(folder: Path, text: str, prompt: str = "") -> list[tuple[int, int, float]]:
    """What transformers and torch say: first and last byte of each token, and its bits."""
    import torch
    from transformers import AutoTokenizer, GPT2LMHeadModel

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = GPT2LMHeadModel.from_pretrained(folder).eval()
    before = tokenizer(prompt)["input_ids"] or [tokenizer.bos_token_id]
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    with torch.inference_mode():
        logits = model(torch.tensor([before + ids])).logits[0].float()
    logprobs = torch.log_softmax(logits, dim=-1)
    found, at = [], 0
    for number, token_id in enumerate(ids, len(before)):
        size = len(
            tokenizer.convert_ids_to_tokens([token_id])[0]
        )  # a byte-level token writes one sign for each byte
        found.append((at, at + size, -float(logprobs[number - 1, token_id]) / math.log(2)))
        at += size
    assert at == len(text.encode())
    return found


def nothing_is_asked() -> bool:
    return not (
        ScoredText.objects.exists()
        or Explanation.objects.exists()
        or Job.objects.filter(name=JobName.EXPLAIN).exists()
    )


# ── the numbers ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("prompt", ["", PROMPT])
def test_every_number_is_that_of_the_models(
    pair: list[ModelRepo], as_bob: Viewer, boxes: BoxPool, tiny_folder: Path, other_folder: Path,
    prompt: str,
) -> None:  # fmt: skip
    row = scored_texts.submit(as_bob, pair, TEXT, prompt=prompt)
    read_all()

    _row, found = scored_texts.read(as_bob, row.public_id)
    assert [(each.state, each.error) for each in found] == [("done", "")] * 2
    shown = along(TEXT, [each.result or {} for each in found])

    raw = TEXT.encode()
    for number, folder in enumerate((tiny_folder, other_folder)):
        true = truth(folder, TEXT, prompt)
        total, bits = shown.totals[number], math.fsum(bits for _, _, bits in true)
        assert total.bits == pytest.approx(bits, rel=1e-4)
        assert (total.tokens, total.count_bytes) == (len(true), len(raw))
        assert total.bits_per_byte == pytest.approx(bits / len(raw), rel=1e-4)
        for passage in shown.passages:
            first = len(TEXT[: passage.begin].encode())
            last = len(TEXT[: passage.end].encode())
            mine = [bits for begin, end, bits in true if first <= begin and end <= last]
            assert passage.bits[number] == pytest.approx(math.fsum(mine), abs=1e-3)
            assert len(passage.tokens[number]) == len(mine)
    assert "".join(each.text for each in shown.passages) == TEXT
    assert len(shown.tokens[0]) != len(shown.tokens[1])
    assert any(len(each.tokens[1]) > 1 for each in shown.passages)
    most = max(abs(each.difference or 0) for each in shown.passages)
    assert abs(shown.differences[0].difference or 0) == most
    assert len(shown.differences) == 5
    assert shown.most_bits == max(max(b or 0 for b in each.bits) for each in shown.passages)


def reading(chances_from: int = 1, **bits: float) -> dict[str, Any]:
    """A result as a box gives it: tokens and how many bits each surprised."""
    tokens = [[0, "<s>"], *([1, text] for text in bits)]
    chances = [{"logprob": -n * math.log(2), "rank": 1, "top": []} for n in bits.values()]
    return {
        "tokens": tokens,
        "prompt_tokens": 1,
        "target": 1,
        "chances_from": chances_from,
        "chances": chances[chances_from - 1 :],
    }


def test_what_is_not_known_of_both_is_not_counted() -> None:
    shown = along("abcd", [reading(2, ab=9, c=2, d=4), reading(a=1, b=1, c=3, d=3)])

    assert [each.bits for each in shown.passages] == [[None, 2], [2, 3], [4, 3]]
    assert [each.difference for each in shown.passages] == [None, 1, -1]
    assert [(each.bits, each.count_bytes, each.tokens) for each in shown.totals] == [
        (6, 2, 2),
        (6, 2, 2),
    ]
    assert shown.curves == ["M50.0 50.0H75.0V0.0H100.0", "M0.0 50.0H50.0V25.0H75.0V25.0H100.0"]


@pytest.mark.parametrize(
    ("begin", "end", "word"),
    [(0, 4, ""), (4, 7, "Ishmael"), (4, 12, ""), (7, 11, "Ishmael"), (12, 13, ""), (0, 6, "")],
)
def test_a_part_of_a_word_is_shown_in_it(begin: int, end: int, word: str) -> None:
    text = "Call Ishmael\n"
    passage = Passage(begin, end, text[begin:end], [], [])

    assert word_around(text, passage) == word


def test_one_model_alone_has_no_differences() -> None:
    shown = along("ab", [reading(a=0, b=0)])

    assert shown.differences == []
    assert [each.difference for each in shown.passages] == [None, None]
    assert shown.totals[0].bits_per_byte == 0
    assert shown.curves == ["M0.0 100H50.0V100H100.0"]


# ── asking ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "prompt"),
    [("", ""), ("x" * (scored_texts.MAX_TEXT_CHARS + 1), ""), ("a\0", ""), ("a", "\0")],
)
def test_a_text_that_cannot_be_read_is_refused(
    pair: list[ModelRepo], as_bob: Viewer, text: str, prompt: str
) -> None:
    with pytest.raises(InvalidParamsError):
        scored_texts.submit(as_bob, pair, text, prompt=prompt)

    assert nothing_is_asked()


def test_one_or_two_models_read_it(pair: list[ModelRepo], as_bob: Viewer) -> None:
    for repos in ([], [*pair, pair[0]]):
        with pytest.raises(InvalidParamsError):
            scored_texts.submit(as_bob, repos, TEXT)
    assert nothing_is_asked()


@pytest.mark.usefixtures("counted")
def test_both_or_neither_and_tokens_are_given_back(
    pair: list[ModelRepo], as_bob: Viewer, alice: User
) -> None:
    asker = quotas.asker_of(as_bob)
    before = quotas.left_of(asker, now=timezone.now())
    change_settings(Viewer(user=alice), pair[1], gate="manual")
    pair[1].refresh_from_db()

    with pytest.raises(StoreError) as refused:
        scored_texts.submit(as_bob, pair, TEXT)

    assert refused.value.code == "gated_repo"
    assert "alice/other" in refused.value.message
    assert nothing_is_asked()
    assert quotas.left_of(asker, now=timezone.now()) == before


@pytest.mark.usefixtures("counted")
def test_it_costs_tokens_for_each_model_within_the_limits(
    pair: list[ModelRepo], as_bob: Viewer
) -> None:
    asker = quotas.asker_of(as_bob)
    before = quotas.left_of(asker, now=timezone.now()) or 0

    for _number in range(explanations.MAX_OPEN // 2):
        scored_texts.submit(as_bob, pair, TEXT)
    after = quotas.left_of(asker, now=timezone.now()) or 0
    with pytest.raises(explanations.TooManyExplanationsError):
        scored_texts.submit(as_bob, pair, TEXT)

    cost = explanations.MAX_OPEN * explanations.COST_TOKENS["tokens"]
    assert before - after == cost
    assert quotas.left_of(asker, now=timezone.now()) == after
    assert ScoredText.objects.count() == explanations.MAX_OPEN // 2


def test_texts_are_not_kept_for_long(pair: list[ModelRepo], as_bob: Viewer) -> None:
    mine = scored_texts.submit(as_bob, pair[:1], TEXT)
    scored_texts.submit(Viewer(), pair[:1], TEXT, visitor_key="k")
    Explanation.objects.update(finished_at=timezone.now() - timedelta(days=2))
    ScoredText.objects.update(created_at=timezone.now() - timedelta(days=2))

    retention.forget_old()

    assert list(ScoredText.objects.all()) == [mine]
    assert Explanation.objects.get().scored_text == mine
    ScoredText.objects.update(created_at=timezone.now() - timedelta(days=31))
    retention.forget_old()
    assert not ScoredText.objects.exists()
    assert not Explanation.objects.exists()


# ── pages ───────────────────────────────────────────────────────────────────────────────────────


def form(**values: str) -> dict[str, str]:
    return {"a": "alice/tiny", "b": "alice/other", "text": TEXT, "prompt": "", **values}


@pytest.mark.django_db(transaction=True)
def test_a_visitor_sees_both_without_scripts(
    pair: list[ModelRepo], client: Client, boxes: BoxPool
) -> None:
    empty = client.get(f"{ADDRESS}?a=alice/tiny", headers=HTML).content.decode()
    assert 'name="a" value="alice/tiny"' in empty
    sent = client.post(ADDRESS, form(text=TEXT.replace("\n", "\r\n")), headers=HTML)
    assert sent.status_code == 302, sent.content.decode()
    waiting = client.get(sent["Location"], headers=HTML).content.decode()
    assert '<meta http-equiv="refresh" content="2">' in waiting
    assert "Token by token" not in waiting
    read_all()

    page = client.get(sent["Location"], headers=HTML)

    text = page.content.decode()
    assert page["Cache-Control"] == "private, no-store"
    shown = along(TEXT, [each.result or {} for each in Explanation.objects.order_by("place")])
    for total in shown.totals:
        assert f'<td class="num">{total.bits_per_byte:.3f}</td>' in text
        assert f'<td class="num">{total.bits:.1f}</td>' in text
    most = shown.differences[0]
    worse = ("alice/tiny", "alice/other")[(most.difference or 0) > 0]
    said = f"<strong>{worse}</strong> was surprised more, by {abs(most.difference or 0):.1f} bits"
    assert said in text
    assert text.count('<span class="along__passage">') == len(shown.passages)
    assert text.count('<th scope="row" class="mono">') == len(shown.passages)
    assert text.count("<path class=") == 2
    rates = [total.bits_per_byte or 0 for total in shown.totals]
    better = ("alice/tiny", "alice/other")[rates[1] < rates[0]]
    assert f"<strong>{better}</strong> expected this text better" in text
    assert "http-equiv" not in text


@pytest.mark.django_db(transaction=True)
def test_one_model_alone_reads_an_answer_of_its_own(
    pair: list[ModelRepo], prompted: Callable[..., GenerationRun], bob: User, browser_of: Browser,
    boxes: BoxPool,
) -> None:  # fmt: skip
    run = prompted(PROMPT)
    GenerationRun.objects.filter(pk=run.pk).update(state="done", texts=[" a <b> time"])
    browser = browser_of(bob)

    filled = browser.get(f"{ADDRESS}?run={run.public_id}", headers=HTML).content.decode()
    assert 'name="a" value="alice/tiny"' in filled
    assert " a &lt;b&gt; time</textarea>" in filled
    assert f"{PROMPT}</textarea>" in filled
    other = Client().get(f"{ADDRESS}?run={run.public_id}", headers=HTML).content.decode()
    assert PROMPT not in other
    assert "alice/tiny" not in other.split("<datalist")[0]

    sent = browser.post(ADDRESS, form(b="", text=" a <b> time", prompt=PROMPT), headers=HTML)
    read_all()
    page = browser.get(sent["Location"], headers=HTML).content.decode()
    assert "Token by token" in page
    assert "Where they differ most" not in page
    assert "What stands before the text was read and is not counted." in page
    assert "<b>" not in page


@pytest.mark.parametrize(
    ("wrong", "status"),
    [({"a": ""}, 400), ({"text": ""}, 400), ({"b": "alice/none"}, 404), ({"a": "x"}, 404)],
)
def test_what_is_wrong_is_said_and_nothing_is_asked(
    pair: list[ModelRepo], client: Client, wrong: dict[str, str], status: int
) -> None:
    answer = client.post(ADDRESS, form(**wrong), headers=HTML)

    assert answer.status_code == status
    assert 'role="alert"' in answer.content.decode()
    assert nothing_is_asked()


def test_a_model_that_fails_is_said_beside_the_other(
    pair: list[ModelRepo], as_bob: Viewer, bob: User, browser_of: Browser
) -> None:
    row = scored_texts.submit(as_bob, pair, "ab")
    Explanation.objects.filter(place=0).update(state="failed", error="It is too long.")
    Explanation.objects.filter(place=1).update(state="done", result=reading(a=1, b=2))

    page = browser_of(bob).get(f"{ADDRESS}/{row.public_id}", headers=HTML).content.decode()

    assert "It is too long." in page
    assert '<span class="along__mark along__mark--B">B</span> alice/other' in page
    assert "expected this text better" not in page
    assert '<td class="num">1.500</td>' in page


# ── others ──────────────────────────────────────────────────────────────────────────────────────


def test_a_hidden_model_looks_absent(
    pair: list[ModelRepo], alice: User, bob: User, client: Client, bearer: Callable[..., Headers]
) -> None:
    change_settings(Viewer(user=alice), pair[1], is_private=True)

    hidden = client.post(ADDRESS, form(), headers=HTML)
    absent = client.post(ADDRESS, form(b="alice/othen"), headers=HTML)
    assert hidden.status_code == absent.status_code == 404
    assert "There is no model alice/other." in hidden.content.decode()
    assert "There is no model alice/othen." in absent.content.decode()
    assert "alice/other" not in client.get(ADDRESS, headers=HTML).content.decode()

    answers = [
        client.post(API, {"models": [name], "text": "a"}, headers=bearer(bob), **JSON)
        for name in ("alice/other", "alice/othen")
    ]
    assert [answer.status_code for answer in answers] == [404, 404]
    said = [str(answer.json()) for answer in answers]
    assert said[0].replace("other", "othen") == said[1]
    assert nothing_is_asked()


def test_strangers_never_learn_of_a_text(
    pair: list[ModelRepo], as_bob: Viewer, alice: User, bob: User, client: Client,
    browser_of: Browser, bearer: Callable[..., Headers],
) -> None:  # fmt: skip
    row = scored_texts.submit(as_bob, pair, TEXT)
    url, absent = f"{ADDRESS}/{row.public_id}", f"{ADDRESS}/{'0' * 24}"

    for browser in (browser_of(alice), client):
        for method in ("get", "post"):
            address = "" if method == "get" else "/delete"
            answers = [
                getattr(browser, method)(where + address, headers=HTML) for where in (url, absent)
            ]
            assert [answer.status_code for answer in answers] == [404, 404]
            assert TEXT[:9] not in answers[0].content.decode()
    for headers in (bearer(alice), {}):
        assert client.get(f"{API}/{row.public_id}", headers=headers).status_code == 404
        assert client.delete(f"{API}/{row.public_id}", headers=headers).status_code == 404
    walk = Explanation.objects.first()
    assert walk is not None
    assert browser_of(bob).get(f"/how-it-works/{walk.public_id}", headers=HTML).status_code == 404
    assert ScoredText.objects.filter(pk=row.pk).exists()


def test_its_owner_stops_both_readings(
    pair: list[ModelRepo], client: Client, bob: User, bearer: Callable[..., Headers]
) -> None:
    sent = client.post(ADDRESS, form(), headers=HTML)
    address = f"{sent['Location']}/cancel"
    assert f'<form method="post" action="{address}">' in client.get(sent["Location"]).text
    assert Client().post(address).status_code == 404
    assert Explanation.objects.filter(state="queued").count() == 2

    assert client.post(address)["Location"] == sent["Location"]

    page = client.get(sent["Location"], headers=HTML).text
    assert page.count("This was stopped before there was an answer.") == 2
    assert "js/awaited.js" not in page
    assert set(Job.objects.values_list("state", flat=True)) == {"cancelled"}
    of_bob = bearer(bob)
    told = {"models": ["alice/tiny"], "text": TEXT}
    made = client.post(API, told, headers=of_bob, **JSON).json()
    assert client.post(f"{API}/{made['id']}/cancel").status_code == 404
    stopped = client.post(f"{API}/{made['id']}/cancel", headers=of_bob).json()
    assert stopped["is_open"] is False
    assert [each["error_code"] for each in stopped["readings"]] == ["cancelled"]


def test_its_owner_deletes_it(
    pair: list[ModelRepo], as_bob: Viewer, bob: User, browser_of: Browser
) -> None:
    row = scored_texts.submit(as_bob, pair, TEXT)

    sent = browser_of(bob).post(f"{ADDRESS}/{row.public_id}/delete", headers=HTML)

    assert (sent.status_code, sent["Location"]) == (302, ADDRESS)
    assert not ScoredText.objects.exists()
    assert not Explanation.objects.exists()


def test_questions_about_runs_are_kept_apart(
    pair: list[ModelRepo], prompted: Callable[..., GenerationRun], as_bob: Viewer
) -> None:
    run = prompted(PROMPT)
    GenerationRun.objects.filter(pk=run.pk).update(state="done", texts=[" a"])
    run.refresh_from_db()
    scored_texts.submit(as_bob, pair[:1], " a", prompt=PROMPT)

    explanations.ask(as_bob, run, read_explanation({"kind": "tokens"}))

    assert Explanation.objects.count() == 2


# ── REST ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.django_db(transaction=True)
def test_a_program_scores_a_text(
    pair: list[ModelRepo], client: Client, bob: User, bearer: Callable[..., Headers],
    boxes: BoxPool, tiny_folder: Path,
) -> None:  # fmt: skip
    headers = bearer(bob, "read")
    body = {"models": ["alice/tiny", "alice/other"], "text": TEXT}

    asked = client.post(API, body, headers=headers, **JSON)
    assert asked.status_code == 201, asked.content
    assert asked.json()["is_open"] is True
    read_all()
    read = client.get(f"{API}/{asked.json()['id']}", headers=headers).json()

    assert (read["is_open"], read["text"]) == (False, TEXT)
    assert [each["model"] for each in read["readings"]] == body["models"]
    first = read["readings"][0]
    true = truth(tiny_folder, TEXT)
    assert [each["bits"] for each in first["tokens"]] == pytest.approx(
        [bits for _, _, bits in true], abs=1e-4
    )
    assert first["tokens"][0]["probability"] == pytest.approx(2 ** -true[0][2], rel=1e-4)
    assert first["bits_per_byte"] == pytest.approx(first["bits"] / len(TEXT.encode()))
    assert read["passages"][-1]["end"] == len(TEXT)
    assert all(len(each["bits"]) == 2 for each in read["passages"])
    gone = client.delete(f"{API}/{read['id']}", headers=headers)
    assert gone.status_code == 204
    assert not Explanation.objects.exists()


@pytest.mark.parametrize(
    "wrong",
    [{"models": []}, {"models": ["alice/tiny@main"]}, {"models": ["alice/tiny"] * 3}, {"text": ""}],
)
def test_a_program_is_told_what_is_wrong(
    pair: list[ModelRepo], client: Client, bob: User, bearer: Callable[..., Headers],
    wrong: dict[str, Any],
) -> None:  # fmt: skip
    body = {"models": ["alice/tiny"], "text": "a"} | wrong

    assert client.post(API, body, headers=bearer(bob), **JSON).status_code == 400
    assert client.post(API, body, **JSON).status_code == 401
    assert nothing_is_asked()
