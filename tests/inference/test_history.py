"""Own runs: found again, shared by a link, deleted; by nobody else."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from accounts.models import User
from accounts.viewer import VISITOR, Viewer
from catalog.models import ModelRepo
from catalog.services.repos import change_settings
from inference.models import GenerationRun, ShareLink
from inference.services import history, runs, sharing, streams
from inference.services.runs import RunNotFoundError
from inference.services.sharing import RunOpenError
from tests.factories import proved_viewer
from tests.inference.fakes import FakeBox
from workers.runner import run_job

Ask = Callable[..., GenerationRun]
Browser = Callable[[User], Client]
HTML = {"Accept": "text/html,application/xhtml+xml"}


def write(run: GenerationRun) -> GenerationRun:
    run_job(run.job_id or 0)
    run.refresh_from_db()
    assert run.has_ended
    return run


@pytest.fixture
def done(prompted: Ask, fake_box: FakeBox) -> GenerationRun:
    """A run of bob's that has ended."""
    return write(prompted("Once upon a lighthouse"))


# ── the list ────────────────────────────────────────────────────────────────────────────────────


def test_own_runs_are_found_by_words_and_models(
    prompted: Ask, as_bob: Viewer, as_alice: Viewer, tiny_repo: ModelRepo
) -> None:
    first, second = prompted("The old LIGHTHOUSE"), prompted("A ship")
    runs.submit(as_alice, tiny_repo, "", "Another lighthouse", {"max_new_tokens": 4})

    assert list(history.own_runs(as_bob)) == [second, first]
    assert list(history.own_runs(as_bob, text="lighthouse old")) == [first]
    assert list(history.own_runs(as_bob, text="alice ship")) == [second]
    assert list(history.own_runs(as_bob, text="nothing")) == []
    assert list(history.own_runs(VISITOR, "")) == []


def test_a_visitor_has_the_runs_of_the_session(tiny_repo: ModelRepo) -> None:
    mine = runs.submit(VISITOR, tiny_repo, "", "x", {"max_new_tokens": 4}, visitor_key="k1")
    runs.submit(Viewer(address="1.2.3.4"), tiny_repo, "", "y", {}, visitor_key="k2")

    assert list(history.own_runs(VISITOR, "k1")) == [mine]
    assert list(history.own_runs(VISITOR, "k3")) == []


def test_the_page_lists_searches_and_says_how_long(
    done: GenerationRun, bob: User, browser_of: Browser, client: Client
) -> None:
    browser = browser_of(bob)

    page = browser.get("/runs", headers=HTML)

    text = page.content.decode()
    assert page["Cache-Control"] == "private, no-store"
    assert "Once upon a lighthouse" in text
    assert "30 days after its end" in text
    assert "Once upon" in browser.get("/runs?q=lighthouse").content.decode()
    assert "Nothing fits" in browser.get("/runs?q=ship").content.decode()
    assert browser.get("/runs?page=9&q=%25").status_code == 200
    stranger = client.get("/runs", headers=HTML).content.decode()
    assert "lighthouse" not in stranger
    assert "1 day after its end" in stranger


def test_a_long_list_has_pages(
    done: GenerationRun, bob: User, browser_of: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    from inference.views import history as pages

    monkeypatch.setattr(pages, "PAGE", 1)
    done.pk, done.public_id, done.prompt = None, "b" * 24, "A second"
    done.save(force_insert=True)
    browser = browser_of(bob)

    first = browser.get("/runs").content.decode()
    second = browser.get("/runs?page=2").content.decode()

    assert ("A second" in first, "lighthouse" in first) == (True, False)
    assert ("A second" in second, "lighthouse" in second) == (False, True)
    assert 'rel="next"' in first
    assert 'rel="prev"' in second


# ── deleting ────────────────────────────────────────────────────────────────────────────────────


def test_a_deleted_run_is_gone_with_its_text_and_link(
    done: GenerationRun, bob: User, as_bob: Viewer, browser_of: Browser, client: Client
) -> None:
    token = sharing.share(as_bob, done).token
    assert streams.read(done.public_id)

    answer = browser_of(bob).post(f"/runs/{done.public_id}/delete")

    assert (answer.status_code, answer["Location"]) == (302, "/runs")
    assert not GenerationRun.objects.exists()
    assert streams.read(done.public_id) == []
    assert client.get(f"/shared/{token}").status_code == 404


def test_an_open_run_is_stopped_before_it_is_deleted(
    prompted: Ask, as_bob: Viewer, fake_box: FakeBox
) -> None:
    run = prompted()
    job = run.job
    assert job is not None

    history.delete(as_bob, run)

    job.refresh_from_db()
    assert job.state == "cancelled"
    run_job(job.pk)
    assert fake_box.asked == []
    assert not GenerationRun.objects.exists()


def test_all_of_mine_and_nothing_else_is_deleted(
    prompted: Ask, bob: User, as_alice: Viewer, tiny_repo: ModelRepo, browser_of: Browser
) -> None:
    prompted("one"), prompted("two")
    hers = runs.submit(as_alice, tiny_repo, "", "Another", {"max_new_tokens": 4})

    page = browser_of(bob).post("/runs/delete-all", follow=True)

    assert "2 runs are deleted." in page.content.decode()
    assert GenerationRun.objects.get() == hers


def test_strangers_delete_and_share_nothing(
    done: GenerationRun, alice: User, staff: User, browser_of: Browser, client: Client
) -> None:
    for browser in (client, browser_of(alice), browser_of(staff)):
        for act in ("delete", "share", "unshare", "cancel"):
            assert browser.post(f"/runs/{done.public_id}/{act}").status_code == 404
        assert browser.post("/runs/delete-all").status_code == 302
        assert browser.get(f"/runs/{done.public_id}", headers=HTML).status_code == 404

    assert GenerationRun.objects.get() == done
    assert not ShareLink.objects.exists()
    for viewer in (VISITOR, Viewer(user=alice), proved_viewer(staff)):
        for refused in (history.delete, sharing.share, sharing.unshare):
            with pytest.raises(RunNotFoundError):
                refused(viewer, done)
    assert GenerationRun.objects.get() == done


# ── links ───────────────────────────────────────────────────────────────────────────────────────


def test_a_link_shows_the_run_until_it_is_taken_back(
    done: GenerationRun, bob: User, browser_of: Browser, client: Client
) -> None:
    browser = browser_of(bob)
    page = f"/runs/{done.public_id}"
    assert "Make a link" in browser.get(page, headers=HTML).content.decode()

    browser.post(f"{page}/share")
    browser.post(f"{page}/share")

    link = f"/shared/{ShareLink.objects.get().token}"
    assert link in browser.get(page, headers=HTML).content.decode()
    shown = client.get(link, headers=HTML)
    text = shown.content.decode()
    assert "Once upon a lighthouse" in text
    assert "Hello, world" in text
    assert done.commit_oid in text
    assert f"<td>{done.params['seed']}</td>" in text
    assert 'name="robots" content="noindex' in text
    assert shown["X-Robots-Tag"] == "noindex, nofollow"
    assert shown["Cache-Control"] == "private, no-store"
    assert "bob" not in text.partition("<main")[2].partition("</main>")[0]
    browser.post(f"{page}/unshare")
    assert client.get(link, headers=HTML).status_code == 404
    browser.post(f"{page}/share")
    assert f"/shared/{ShareLink.objects.get().token}" != link


def test_tokens_cannot_be_guessed(done: GenerationRun, as_bob: Viewer, client: Client) -> None:
    token = sharing.share(as_bob, done).token

    assert len(token) >= 32
    for other in (token[:-1], token.swapcase(), done.public_id, "x" * 300):
        assert client.get(f"/shared/{other}", headers=HTML).status_code == 404


def test_an_open_run_cannot_be_shared(
    prompted: Ask, bob: User, as_bob: Viewer, browser_of: Browser
) -> None:
    run = prompted()

    with pytest.raises(RunOpenError):
        sharing.share(as_bob, run)
    assert browser_of(bob).post(f"/runs/{run.public_id}/share", headers=HTML).status_code == 409
    assert not ShareLink.objects.exists()


def test_a_link_follows_the_model(
    done: GenerationRun,
    alice: User,
    as_bob: Viewer,
    client: Client,
    browser_of: Browser,
    tiny_repo: ModelRepo,
) -> None:
    link = f"/shared/{sharing.share(as_bob, done).token}"
    change_settings(Viewer(user=alice), tiny_repo, is_private=True)
    assert client.get(link, headers=HTML).status_code == 404
    assert browser_of(alice).get(link, headers=HTML).status_code == 200
    change_settings(Viewer(user=alice), tiny_repo, is_private=False)
    assert client.get(link, headers=HTML).status_code == 200
    ModelRepo.objects.update(disabled_reason="Stolen.")
    assert client.get(link, headers=HTML).status_code == 404


def test_a_shared_run_of_a_sold_model_shows_the_text_and_opens_nothing(
    prompted: Ask, as_alice: Viewer, tiny_repo: ModelRepo, client: Client, fake_box: FakeBox
) -> None:
    from tests.inference.test_trials import sell

    sell(tiny_repo, 0)
    run = write(prompted("Once", viewer=as_alice))
    link = f"/shared/{sharing.share(as_alice, run).token}"

    text = client.get(link, headers=HTML).content.decode()

    assert "Hello, world" in text
    answer: Any = client.post(
        "/alice/tiny/playground", {"prompt": "x"}, headers={"Accept": "application/json"}
    )
    assert answer.status_code in {402, 403}
    assert GenerationRun.objects.count() == 1


def test_a_visitor_shares_their_own(
    tiny_repo: ModelRepo, client: Client, fake_box: FakeBox
) -> None:
    client.post("/alice/tiny/playground", {"prompt": "Once", "max_new_tokens": 4})
    run = write(GenerationRun.objects.get())

    client.post(f"/runs/{run.public_id}/share")

    assert Client().get(f"/shared/{ShareLink.objects.get().token}").status_code == 200
    assert Client().get(f"/runs/{run.public_id}").status_code == 404


# ── from an old run to a new one ────────────────────────────────────────────────────────────────


def test_again_with_the_same_seed(
    done: GenerationRun, bob: User, browser_of: Browser, fake_box: FakeBox
) -> None:
    browser = browser_of(bob)
    page = browser.get(f"/runs/{done.public_id}", headers=HTML).content.decode()
    seed = done.params["seed"]
    assert f'<input type="hidden" name="seed" value="{seed}"' in page

    filled = browser.get(f"/alice/tiny/playground?run={done.public_id}", headers=HTML)

    text = filled.content.decode()
    assert "Once upon a lighthouse</textarea>" in text
    assert f'name="seed" value="{seed}"' in text


def test_somebody_elses_run_fills_no_form(done: GenerationRun, client: Client) -> None:
    page = client.get(f"/alice/tiny/playground?run={done.public_id}", headers=HTML)

    assert page.status_code == 200
    assert "lighthouse" not in page.content.decode()


def test_a_fine_grained_token_lists_and_deletes_nothing(
    done: GenerationRun, bob: User, client: Client
) -> None:
    from accounts.models import Permission
    from accounts.services.tokens import create_token
    from catalog.services.token_reach import Wanted, read_reach

    wanted = [Wanted("bob", frozenset({Permission.READ}))]
    reach = read_reach(Viewer(user=bob), wanted, has_gated=False)
    text = create_token(bob, name="t", scopes=[], reach=reach)[1]
    headers = {"Authorization": f"Bearer {text}"} | HTML

    page = client.get("/runs", headers=headers)
    client.post("/runs/delete-all", headers=headers)

    assert "lighthouse" not in page.content.decode()
    assert GenerationRun.objects.get() == done
