"""Tokens of the day."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from accounts.models import User
from accounts.viewer import VISITOR, Viewer
from inference.services.quotas import (
    QuotaExceededError,
    asker_of,
    give_back,
    left_of,
    quota_of,
    reserve,
)
from store.core.valkey import valkey

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


@pytest.fixture
def limits(settings: Any) -> Callable[..., None]:
    """Switch limits on with small quotas."""

    def switch_on(*, visitor: int = 100, user: int = 1000) -> None:
        changed = {
            "rate_limits": "on",
            "visitor_tokens_per_day": visitor,
            "user_tokens_per_day": user,
        }
        settings.ENV = settings.ENV.model_copy(update=changed)

    return switch_on


def test_tokens_are_taken_all_or_none(limits: Callable[..., None]) -> None:
    limits(visitor=100)

    assert reserve("visitor:x", 70, now=NOON) == 70
    with pytest.raises(QuotaExceededError) as caught:
        reserve("visitor:x", 31, now=NOON)

    assert caught.value.extra["left"] == 30
    assert caught.value.extra["quota"] == 100
    assert caught.value.retry_after_s == 12 * 3600
    assert (caught.value.code, caught.value.status) == ("quota_exceeded", 429)
    assert left_of("visitor:x", now=NOON) == 30
    assert reserve("visitor:x", 30, now=NOON) == 30


def test_what_was_not_used_comes_back(limits: Callable[..., None]) -> None:
    limits(visitor=100)
    reserve("visitor:x", 80, now=NOON)

    give_back("visitor:x", 50, day=NOON)
    give_back("visitor:x", 0, day=NOON)

    assert left_of("visitor:x", now=NOON) == 70


def test_a_new_day_starts_afresh(limits: Callable[..., None]) -> None:
    limits(visitor=100)
    reserve("visitor:x", 100, now=NOON)
    tomorrow = NOON + timedelta(days=1)

    assert reserve("visitor:x", 100, now=tomorrow) == 100
    give_back("visitor:x", 40, day=NOON)

    assert left_of("visitor:x", now=NOON) == 40
    assert left_of("visitor:x", now=tomorrow) == 0


def test_giving_back_to_a_day_that_is_forgotten_creates_no_credit(
    limits: Callable[..., None],
) -> None:
    limits(visitor=100)

    give_back("visitor:x", 40, day=NOON)

    assert valkey().keys("tokens:*") == []
    assert left_of("visitor:x", now=NOON) == 100


def test_counters_expire(limits: Callable[..., None]) -> None:
    limits()
    reserve("visitor:x", 1, now=NOON)

    (slot,) = valkey().keys("tokens:*")

    assert slot == "tokens:visitor:x:20260504"
    assert 0 < valkey().ttl(slot) <= 2 * 86400


def test_people_and_visitors_have_quotas_of_their_own(limits: Callable[..., None]) -> None:
    limits(visitor=100, user=1000)

    assert (quota_of("visitor:x"), quota_of("user:7")) == (100, 1000)


def test_without_limits_nothing_is_counted() -> None:
    assert reserve("visitor:x", 10**9, now=NOON) == 0
    assert left_of("visitor:x", now=NOON) is None
    assert valkey().keys("tokens:*") == []


def test_askers(alice: User) -> None:
    def visitor(address: str) -> str:
        return asker_of(Viewer(address=address))

    assert asker_of(Viewer(user=alice, address="192.0.2.1")) == f"user:{alice.pk}"
    assert visitor("192.0.2.1") != visitor("192.0.2.2")
    assert visitor("2001:db8::1") == visitor("2001:db8::ffff:1")
    assert visitor("2001:db8::1") != visitor("2001:db8:0:1::1")
    assert "192.0.2.1" not in visitor("192.0.2.1")
    assert asker_of(VISITOR) == visitor("")
    assert len(visitor("unix:")) == len("visitor:") + 32
