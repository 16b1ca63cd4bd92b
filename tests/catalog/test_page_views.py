"""Views of a listing: people and days, nothing about anybody, and no wait for a row."""

from datetime import date
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from redis.exceptions import ConnectionError as RedisConnectionError

from accounts.models import User
from catalog.models import ModelRepo, PageViews
from catalog.services import page_views
from store.core import counts
from store.core.counts import BATCH
from store.core.models import CounterBatch
from store.core.valkey import valkey
from tests.factories import make_repo

pytestmark = pytest.mark.django_db
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


@pytest.fixture
def repo(alice: User) -> ModelRepo:
    return make_repo(alice, "tiny")


def look(client: Client, agent: str = FIREFOX, **headers: str) -> Any:
    sent = {"accept": "text/html", "user-agent": agent} | headers
    return client.get("/alice/tiny", headers=sent)


def counted() -> dict[date, int]:
    page_views.flush()
    return dict(PageViews.objects.values_list("day", "people"))


def test_somebody_counts_once_a_day_however_often_they_look(
    client: Client, repo: ModelRepo
) -> None:
    for _ in range(3):
        assert look(client).status_code == 200
    look(client, FIREFOX + " other")

    assert counted() == {timezone.now().date(): 2}
    look(client)
    look(client, FIREFOX + " third")
    assert counted() == {timezone.now().date(): 3}


@pytest.mark.parametrize(
    "agent",
    ["", "Googlebot/2.1 (+http://www.google.com/bot.html)", "python-requests/2", "curl/8",
     "Mozilla/5.0 (compatible; bingbot/2.0)", "Mozilla/5.0 HeadlessChrome/140.0"],
)  # fmt: skip
def test_machines_are_no_people(client: Client, repo: ModelRepo, agent: str) -> None:
    assert look(client, agent).status_code == 200

    assert counted() == {}


def test_what_nobody_asked_for_is_no_view(client: Client, repo: ModelRepo) -> None:
    look(client, **{"sec-purpose": "prefetch;prerender"})
    client.head("/alice/tiny", headers={"accept": "text/html", "user-agent": FIREFOX})
    client.get("/alice/tiny/tree/main", headers={"accept": "text/html", "user-agent": FIREFOX})
    client.get("/alice/absent", headers={"accept": "text/html", "user-agent": FIREFOX})

    assert counted() == {}


def test_owners_are_no_visitors_and_others_who_are_signed_in_are(
    browser_of: Any, repo: ModelRepo, alice: User, bob: User
) -> None:
    look(browser_of(alice))
    assert counted() == {}

    look(browser_of(bob))
    look(browser_of(bob), FIREFOX + " phone")  # the same person
    assert counted() == {timezone.now().date(): 1}


def test_looking_sets_no_cookie_writes_no_row_and_keeps_no_address(
    client: Client, repo: ModelRepo
) -> None:
    look(client)
    with CaptureQueriesContext(connection) as asked:
        answer = look(client)

    assert answer.cookies.keys() <= {"csrftoken"}
    assert not [q for q in asked if q["sql"].split()[0] in {"INSERT", "UPDATE", "DELETE"}]
    (seen,) = valkey().keys("views:seen:*")
    assert 0 < valkey().ttl(seen) <= 2 * 86400
    (caller,) = valkey().smembers(seen)
    assert "127.0.0.1" not in caller
    assert len(caller) == 20


def test_the_page_does_not_need_the_counter(
    client: Client, repo: ModelRepo, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone() -> None:
        raise RedisConnectionError

    monkeypatch.setattr("catalog.services.page_views.valkey", gone)

    assert look(client).status_code == 200


def test_a_model_that_is_gone_is_passed_over(client: Client, repo: ModelRepo) -> None:
    look(client)
    repo.delete()

    assert page_views.flush() == 0
    assert not valkey().exists(page_views.VIEWS.flushing, page_views.VIEWS.waiting)


def test_a_crash_between_writing_and_forgetting_counts_nothing_twice(
    client: Client, repo: ModelRepo
) -> None:
    look(client)
    buffer = page_views.VIEWS
    valkey().rename(buffer.waiting, buffer.flushing)
    valkey().hset(buffer.flushing, BATCH, "b1")
    fields = valkey().hgetall(buffer.flushing)
    assert counted() == {timezone.now().date(): 1}

    valkey().hset(buffer.flushing, mapping=fields)

    assert counted() == {timezone.now().date(): 1}


def test_old_batches_are_forgotten_and_new_ones_kept() -> None:
    CounterBatch.objects.create(batch="new")
    CounterBatch.objects.create(batch="old")
    old = timezone.now() - counts._REMEMBERED
    CounterBatch.objects.filter(batch="old").update(written_at=old)

    assert counts.prune() == 1
    assert CounterBatch.objects.get().batch == "new"
