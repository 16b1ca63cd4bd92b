"""Pages that explain: as plain forms, with the true numbers, to nobody else."""

import base64
import math
import re
import struct
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client, TestCase
from django.utils import timezone

from accounts.models import User
from accounts.viewer import Viewer
from catalog.models import ModelRepo
from catalog.services.repos import change_settings
from inference.models import Explanation, GenerationRun
from inference.services import answering, heatmap, quotas, showing, walks
from store.core.jobs import JobName
from store.core.models import Job
from tests.factories import make_repo
from workers.runner import run_job

Browser = Callable[[User], Client]
HTML = {"Accept": "text/html,application/xhtml+xml"}
TEXTS = [" a time there was", " upon\na\ttime"]


@pytest.fixture
def written(prompted: Callable[..., GenerationRun]) -> GenerationRun:
    """A run of bob's with two texts."""
    run = prompted("Once upon", num_sequences=2)
    GenerationRun.objects.filter(pk=run.pk).update(state="done", texts=TEXTS)
    run.refresh_from_db()
    return run


def answer_all() -> None:
    for job in Job.objects.filter(name=JobName.EXPLAIN, state="queued"):
        run_job(job.pk)


def explained(browser: Client, run: GenerationRun, **values: Any) -> str:
    """Send the form, let the model work, follow to the page."""
    url = f"/runs/{run.public_id}/explain"
    sent = browser.post(url, values, headers=HTML)
    assert sent.status_code == 302, sent.content.decode()
    answer_all()
    page = browser.get(sent["Location"], headers=HTML)
    assert page.status_code == 200
    assert page["Cache-Control"] == "private, no-store"
    return page.content.decode()


@pytest.mark.django_db(transaction=True)
def test_each_kind_has_its_page(
    written: GenerationRun, bob: User, browser_of: Browser, real_pool: Any
) -> None:
    browser = browser_of(bob)

    tokens = explained(browser, written, kind="tokens", sequence=1)
    assert tokens.count('name="target"') == len(re.findall(r'class="token[ "]', tokens)) - 1
    assert "⏎" in tokens
    assert "⇥" in tokens
    assert '<svg class="surprise"' in tokens
    assert "data-card=" in tokens
    result = Explanation.objects.get().result
    assert result is not None
    bits = [-c["logprob"] / math.log(2) for c in result["chances"]]
    answer = bits[result["prompt_tokens"] - result["chances_from"] :]
    assert f"The answer has {sum(answer) / len(answer):.2f} bits a token." in tokens

    saliency = explained(browser, written, kind="saliency", target=4)
    assert "at place 4" in saliency
    assert 'aria-current="true"' in saliency

    attention = explained(browser, written, kind="attention", layer=1, head=1, target=3)
    assert 'src="data:image/png;base64,' in attention
    assert '<option value="1" selected>' in attention

    lens = explained(browser, written, kind="lens", target=3)
    assert lens.count('<th scope="row" class="num">') == 3
    assert Explanation.objects.filter(state="done").count() == 4


@pytest.mark.django_db(transaction=True)
def test_a_page_waits_for_its_answer_and_tells_failures(
    written: GenerationRun, bob: User, browser_of: Browser, real_pool: Any
) -> None:
    browser, url = browser_of(bob), f"/runs/{written.public_id}/explain"
    before = browser.get(url, headers=HTML).content.decode()
    assert 'name="kind" value="tokens"' in before
    assert "Costs 16 of your tokens of the day." in before
    assert not Explanation.objects.exists()

    sent = browser.post(url, {"kind": "lens", "target": 900}, headers=HTML)
    waiting = browser.get(sent["Location"], headers=HTML).content.decode()
    assert "js/awaited.js" in waiting
    assert '<meta http-equiv="refresh" content="2">' in waiting
    answer_all()

    failed = browser.get(sent["Location"], headers=HTML).content.decode()
    assert "There is no token 900" in failed
    assert "js/awaited.js" not in failed


@pytest.mark.parametrize("is_begun", [False, True])
def test_a_question_is_stopped_without_scripts(
    written: GenerationRun, bob: User, alice: User, client: Client, browser_of: Browser,
    is_begun: bool, settings: Any,
) -> None:  # fmt: skip
    settings.ENV = settings.ENV.model_copy(update={"rate_limits": "on"})
    browser, url = browser_of(bob), f"/runs/{written.public_id}/explain"
    before = quotas.left_of(f"user:{bob.pk}", now=timezone.now())
    page = browser.get(browser.post(url, {"kind": "lens"}, headers=HTML)["Location"]).text
    found = Explanation.objects.get()
    address = f"{url}/{found.public_id}/cancel"
    assert f'<form method="post" action="{address}">' in page
    for other in (browser_of(alice), client):
        assert other.post(address).status_code == 404
    found.refresh_from_db()
    assert found.is_open
    if is_begun:
        answering.begin(found.pk)

    with TestCase.captureOnCommitCallbacks(execute=True):
        answer = browser.post(address)

    shown = browser.get(answer["Location"], headers=HTML).text
    assert "This was stopped before there was an answer." in shown
    assert "js/awaited.js" not in shown
    assert 'name="kind" value="lens"' in shown  # and can be asked again
    found.refresh_from_db()
    assert (found.state, found.error_code) == ("failed", "cancelled")
    assert Job.objects.get(pk=found.job_id).state == "cancelled"
    assert not answering.finish(found.pk, {"tokens": []})
    paid = 16 if is_begun else 0  # what a model has begun to read is not free
    assert quotas.left_of(f"user:{bob.pk}", now=timezone.now()) == (before or 0) - paid
    assert browser.post(address).status_code == 302  # once more: nothing is left to stop


def test_a_visitor_stops_a_walk(tiny_repo: ModelRepo, client: Client) -> None:
    sent = client.post("/how-it-works", {"prompt": "Once upon a"}, headers=HTML)
    address = f"{sent['Location']}/cancel"
    assert f'<form method="post" action="{address}">' in client.get(sent["Location"]).text
    assert Client().post(address).status_code == 404

    assert client.post(address)["Location"] == sent["Location"]

    shown = client.get(sent["Location"], headers=HTML).text
    assert "This was stopped before there was an answer." in shown
    assert "js/awaited.js" not in shown
    assert Explanation.objects.get().error_code == "cancelled"


def test_a_refused_question_is_said_on_the_page(
    written: GenerationRun, bob: User, browser_of: Browser
) -> None:
    browser, url = browser_of(bob), f"/runs/{written.public_id}/explain"

    bad = browser.post(url, {"kind": "lens", "target": "x"}, headers=HTML)
    odd = browser.get(url + "?kind=nonsense", headers=HTML)
    none = browser.post(url, {"kind": "tokens", "sequence": "5"}, headers=HTML)

    assert (bad.status_code, odd.status_code, none.status_code) == (400, 400, 409)
    assert "Some values cannot be used" in bad.content.decode()
    assert "there is no text 5" in none.content.decode()
    assert not Explanation.objects.exists()


def test_strangers_never_learn_of_it(
    written: GenerationRun, alice: User, browser_of: Browser, client: Client
) -> None:
    url = f"/runs/{written.public_id}/explain"

    for browser in (browser_of(alice), client):
        assert browser.get(url, headers=HTML).status_code == 404
        assert browser.post(url, {"kind": "tokens"}, headers=HTML).status_code == 404
    assert not Explanation.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_walk_of_a_visitor(tiny_repo: ModelRepo, client: Client, real_pool: Any) -> None:
    form = client.get("/how-it-works", headers=HTML).content.decode()
    assert "/alice/tiny" in form
    sent = client.post(
        "/how-it-works", {"prompt": "Once upon a", "layer": 1, "head": 1}, headers=HTML
    )
    assert sent.status_code == 302, sent.content.decode()
    assert "js/awaited.js" in client.get(sent["Location"], headers=HTML).content.decode()
    answer_all()

    page = client.get(sent["Location"] + "?t=0", headers=HTML).content.decode()

    found = Explanation.objects.get()
    assert found.result is not None
    best = found.result["walk"]["scores"][0]
    assert f"<span data-percent>{100 * best['chances'][0]:.2f}</span>" in page
    assert f"{best['logit']:.2f}" in page
    assert "layer 1, head 1" in page
    assert '<script id="walk-numbers" type="application/json">' in page
    assert client.get(sent["Location"] + "?t=99x", headers=HTML).status_code == 200
    assert Client().get(sent["Location"], headers=HTML).status_code == 404


def test_walks_that_cannot_be_are_refused(tiny_repo: ModelRepo, client: Client) -> None:
    for prompt in ("", "word " * 100):
        answer = client.post("/how-it-works", {"prompt": prompt}, headers=HTML)
        assert answer.status_code == 400
        assert 'role="alert"' in answer.content.decode()
    assert not Explanation.objects.exists()


def test_an_explanation_of_a_run_is_no_walk(
    written: GenerationRun, bob: User, browser_of: Browser, as_bob: Viewer
) -> None:
    browser = browser_of(bob)
    browser.post(f"/runs/{written.public_id}/explain", {"kind": "tokens"}, headers=HTML)
    found = Explanation.objects.get()

    assert browser.get(f"/how-it-works/{found.public_id}", headers=HTML).status_code == 404


def test_the_walk_takes_a_model_everybody_may_have(
    tiny_repo: ModelRepo, alice: User, client: Client, settings: Any
) -> None:
    assert walks.walk_model() == tiny_repo
    make_repo(alice, "words", files={"README.md": b"# Words\n"})
    for chosen, expected in (("alice/tiny", tiny_repo), ("alice/words", None), ("no/one", None)):
        settings.ENV = settings.ENV.model_copy(update={"walk_model": chosen})
        assert walks.walk_model() == expected
    settings.ENV = settings.ENV.model_copy(update={"walk_model": ""})

    change_settings(Viewer(user=alice), tiny_repo, gate="manual")

    assert walks.walk_model() is None
    page = client.get("/how-it-works", headers=HTML)
    assert "No public model of this store can be run yet." in page.content.decode()
    assert client.post("/how-it-works", {"prompt": "a"}, headers=HTML).status_code == 200
    assert not Explanation.objects.exists()


# ── what is shown ───────────────────────────────────────────────────────────────────────────────


def test_a_heat_map_holds_its_values() -> None:
    levels = bytes(range(9))

    png = heatmap.heatmap_png(levels, 3)

    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    assert struct.unpack(">II", png[16:24]) == (3, 3)
    at = png.index(b"IDAT")
    (size,) = struct.unpack(">I", png[at - 4 : at])
    rows = zlib.decompress(png[at + 4 : at + 4 + size])
    assert rows == b"\0\0\1\2\0\3\4\5\0\6\7\x08"
    with pytest.raises(ValueError, match="no 2 x 2"):
        heatmap.heatmap_png(levels, 2)


@pytest.mark.parametrize(
    ("text", "shown"),
    [("a", "a"), (" a", " a"), ("", "∅"), ("  ", "␣␣"), ("\n", "⏎"), ("\t\r", "⇥␍")],
)
def test_what_cannot_be_seen_is_marked(text: str, shown: str) -> None:
    assert showing.marked(text) == shown


def test_long_texts_are_shown_in_cells_with_windows_to_look_closely() -> None:
    tokens = [[1, f"t{place}"] for place in range(200)]
    cells = base64.b64encode(bytes([0, 9, 0] * 2500 + [255])[: 50 * 50]).decode()
    tile = {"first": 0, "window": 200, "cell": 4, "side": 50, "scale": 0.5, "cells": cells}
    result = {"tokens": tokens, "prompt_tokens": 3, "target": 5, "chances_from": 1}

    shown = showing.heat_map(result | {"attention": tile | {"looked": []}})

    assert shown.windows == [(0, 63), (64, 127), (128, 191), (192, 199)]
    assert len(shown.rows) == 50
    assert shown.rows[0][:2] == ("0-3 t0t1t2t3", "4-7 t4t5t6t7")
    assert shown.rows[0][2] == pytest.approx(100 * 9 / 255 / 2)
    assert len(shown.picture) < 4000


@pytest.mark.parametrize(("logprob", "shade"), [(-0.1, 1), (-1.0, 2), (-2.5, 3), (-4, 4), (-9, 5)])
def test_shades_follow_probability(logprob: float, shade: int) -> None:
    result = {
        "tokens": [[1, "a"], [2, "b"]],
        "prompt_tokens": 1,
        "target": 1,
        "chances_from": 1,
        "chances": [{"logprob": logprob, "rank": 1, "top": [[2, "b", logprob]]}],
    }

    first, second = showing.with_chances(result)

    assert (first.shade, second.shade) == (0, shade)
    assert second.percent == pytest.approx(100 * math.exp(logprob))
    assert "#1" in second.card
    assert 0 < second.bar <= 64


@pytest.mark.parametrize(
    ("zoom", "first", "window"), [("64", 64, 64), ("all", 0, None), ("", 3, 9)]
)
def test_zooming_asks_for_a_part_or_for_all(
    written: GenerationRun, bob: User, browser_of: Browser, zoom: str, first: int, window: Any
) -> None:
    form = {"kind": "attention", "layer": "1", "first": "3", "window": "9", "zoom": zoom}

    sent = browser_of(bob).post(f"/runs/{written.public_id}/explain", form, headers=HTML)

    assert sent.status_code == 302
    params = Explanation.objects.get().params
    assert (params["layer"], params["first"], params.get("window")) == (1, first, window)
