"""Limits on requests: four buckets, told in headers that clients can wait by."""

import logging
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from redis.exceptions import ConnectionError as ValkeyGoneError

from accounts import throttling
from accounts.models import User
from accounts.throttling import API, LICENSES, PAGES, RESOLVERS, bucket_of
from catalog.models import ModelRepo
from store.core import ratelimit

LIST = "/api/models"


@pytest.fixture
def limited(settings: Any) -> Callable[..., None]:
    """Switch the limits on with small quotas: ``limited(visitor_api_requests=2)``."""

    def limit(**quotas: int) -> None:
        wanted = {"rate_limits": "on", "rate_window_s": 3600, **quotas}
        settings.ENV = settings.ENV.model_copy(update=wanted)

    return limit


@pytest.mark.parametrize(
    ("path", "bucket"),
    [
        ("/api/models", API),
        ("/api/v1/models", API),
        ("/api/v1/licenses", API),
        ("/api/v1/licenses/0123456789abcdef01234567", API),
        ("/api/v1/licenses/validate", LICENSES),
        ("/api/v1/licenses/activate", LICENSES),
        ("/api/v1/licenses/heartbeat", LICENSES),
        ("/api/v1/licenses/deactivate", LICENSES),
        ("/api/v1/licenses/checkout", LICENSES),
        ("/api/models/a/b/commit/main", API),
        ("/a/b/info/lfs/objects/batch", API),
        ("/a/b/info/lfs/objects/" + "0" * 64, RESOLVERS),
        ("/a/b/resolve/main/config.json", RESOLVERS),
        ("/b/resolve/main/config.json", RESOLVERS),
        ("/a/b/raw/main/config.json", RESOLVERS),
        ("/a/b/archive/main.zip", RESOLVERS),
        ("/a/b.git/info/refs", RESOLVERS),
        ("/a/b/git-upload-pack", RESOLVERS),
        ("/a/b/git-receive-pack", RESOLVERS),
        ("/", PAGES),
        ("/a/b", PAGES),
        ("/a/b/tree/main", PAGES),
        ("/login", PAGES),
        ("/healthz", None),
        ("/readyz", None),
        ("/static/css/store.css", None),
        ("/api/lfs/part/abc", None),
    ],
)
def test_each_path_has_its_bucket(path: str, bucket: str | None) -> None:
    """One table decides what is counted where."""
    assert bucket_of(path) == bucket


@pytest.mark.django_db
def test_answers_tell_what_is_left(client: Client, limited: Callable[..., None]) -> None:
    """The fields are the IETF draft's, in the form hub clients parse."""
    limited(visitor_api_requests=5)
    first, second = client.get(LIST), client.get(LIST)
    assert re.fullmatch(r'"api";r=4;t=\d+', first["RateLimit"])
    assert re.fullmatch(r'"api";r=3;t=\d+', second["RateLimit"])
    assert first["RateLimit-Policy"] == '"fixed window";"api";q=5;w=3600'
    assert "RateLimit" in first["Access-Control-Expose-Headers"]


@pytest.mark.django_db
def test_client_reads_our_headers(client: Client, limited: Callable[..., None]) -> None:
    """``huggingface_hub`` itself understands them: it waits by them after a 429."""
    from huggingface_hub.utils import parse_ratelimit_headers

    limited(visitor_api_requests=1)
    client.get(LIST)
    refused = client.get(LIST)
    assert refused.status_code == 429
    info = parse_ratelimit_headers(dict(refused.items()))
    assert info is not None
    assert (info.resource_type, info.remaining, info.limit) == ("api", 0, 1)
    assert 0 < info.reset_in_seconds <= 3600
    assert info.window_seconds == 3600
    assert refused["Retry-After"] == str(info.reset_in_seconds)


@pytest.mark.django_db
def test_buckets_do_not_take_from_each_other(client: Client, limited: Callable[..., None]) -> None:
    """Someone who used up the API can still read pages; the probes never count."""
    limited(visitor_api_requests=1)
    client.get(LIST)
    assert client.get(LIST).status_code == 429
    assert client.get("/").status_code == 200
    assert client.get("/healthz").status_code == 200


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("path", "accept", "reads"),
    [
        ("/api/v1/models", "application/json", lambda a: a.json()["error"]["code"]),
        (LIST, "*/*", lambda a: a.json()["code"]),
        ("/a/b/resolve/main/x", "*/*", lambda a: a.json()["code"]),
    ],
)
def test_programs_get_a_typed_refusal(
    client: Client,
    limited: Callable[..., None],
    path: str,
    accept: str,
    reads: Callable[[Any], str],
) -> None:
    """Each door speaks its own shape, with the code and how long to wait."""
    limited(visitor_api_requests=1, visitor_resolvers_requests=1)
    client.get(path, headers={"Accept": accept})
    refused = client.get(path, headers={"Accept": accept})
    assert refused.status_code == 429
    assert reads(refused) == "rate_limited"
    assert "Try again in" in refused["X-Error-Message"]
    assert refused["Access-Control-Allow-Origin"] == "*"


@pytest.mark.django_db
def test_people_get_a_page(client: Client, limited: Callable[..., None]) -> None:
    """A browser shows words, not JSON, and no other site's page may read it."""
    limited(visitor_pages_requests=1)
    client.get("/", headers={"Accept": "text/html"})
    refused = client.get("/", headers={"Accept": "text/html"})
    assert refused.status_code == 429
    assert "Try again in" in refused.content.decode()
    assert "Access-Control-Allow-Origin" not in refused


def test_refused_write_changes_nothing(
    client: Client,
    alice: User,
    bearer: Callable[..., dict[str, str]],
    limited: Callable[..., None],
) -> None:
    """It is refused before anything is done."""
    headers = bearer(alice)
    limited(user_api_requests=1)
    made = [
        client.post(
            "/api/repos/create", {"name": name}, content_type="application/json", headers=headers
        ).status_code
        for name in ("one", "two")
    ]
    assert made == [200, 429]
    assert list(ModelRepo.objects.values_list("name", flat=True)) == ["one"]


def test_accounts_have_their_own_count(
    client: Client,
    alice: User,
    bob: User,
    bearer: Callable[..., dict[str, str]],
    browser_of: Callable[[User], Client],
    limited: Callable[..., None],
) -> None:
    """People behind one address do not use up each other's; one person's doors add up."""
    of_alice, of_bob = bearer(alice), bearer(bob)
    limited(visitor_api_requests=1, user_api_requests=2)
    assert client.get(LIST).status_code == 200
    assert client.get(LIST).status_code == 429
    assert client.get(LIST, headers=of_alice).status_code == 200
    assert browser_of(alice).get(LIST).status_code == 200
    assert client.get(LIST, headers=of_alice).status_code == 429
    assert client.get(LIST, headers=of_bob).status_code == 200


@pytest.mark.django_db
def test_forged_session_is_a_visitor(client: Client, limited: Callable[..., None]) -> None:
    """A made-up cookie does not open a fresh count."""
    limited(visitor_api_requests=1)
    answers = []
    for number in range(2):
        client.cookies["sessionid"] = f"{number:032d}"
        answers.append(client.get(LIST).status_code)
    assert answers == [200, 429]


@pytest.mark.django_db
def test_ipv6_counts_by_network(client: Client, limited: Callable[..., None]) -> None:
    """One customer has 2^64 addresses; another network is somebody else."""
    limited(visitor_api_requests=1)
    answers = [
        client.get(LIST, REMOTE_ADDR=address).status_code
        for address in ("2001:db8:0:1::1", "2001:db8:0:1:ffff::9", "2001:db8:0:2::1")
    ]
    assert answers == [200, 429, 200]


@pytest.mark.django_db
def test_visitors_of_an_unknown_proxy_share_more_room(
    client: Client, limited: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever the header says it switches nothing off; the log says what to set, once."""
    limited(visitor_api_requests=1)
    throttling._warn_of_proxy.cache_clear()
    answers = [
        client.get(LIST, headers={"X-Forwarded-For": f"198.51.100.{number}"})
        for number in range(12)
    ]
    assert [answer.status_code for answer in answers] == [200] * 10 + [429] * 2
    assert answers[0]["RateLimit-Policy"].endswith(";q=10;w=3600")
    assert client.get(LIST).status_code == 200  # who came without a proxy has an own count
    said = [
        record.message for record in caplog.records if "STORE_TRUSTED_PROXIES" in record.message
    ]
    assert len(said) == 1


@pytest.mark.django_db
def test_known_proxy_passes_the_address_on(client: Client, limited: Callable[..., None]) -> None:
    """With ``STORE_TRUSTED_PROXIES`` each visitor has an own count."""
    limited(visitor_api_requests=1, trusted_proxies=1)
    answers = [
        client.get(LIST, headers={"X-Forwarded-For": chain}).status_code
        for chain in ("198.51.100.7", "forged, 198.51.100.7", "198.51.100.8")
    ]
    assert answers == [200, 429, 200]


@pytest.mark.django_db
def test_quota_zero_is_no_limit(client: Client, limited: Callable[..., None]) -> None:
    """An operator can switch one bucket off; its answers then say nothing of limits."""
    limited(visitor_api_requests=0)
    answers = [client.get(LIST) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200] * 4
    assert "RateLimit" not in answers[-1]


@pytest.mark.django_db
def test_preflight_is_not_counted(client: Client, limited: Callable[..., None]) -> None:
    """A browser's question whether it may ask is not a request of its own."""
    limited(visitor_api_requests=1)
    answers = [client.options(LIST).status_code for _ in range(3)]
    assert answers == [204] * 3


@pytest.mark.django_db
def test_guessing_tokens_ends(
    client: Client, limited: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wrong tokens are counted wherever they are tried."""
    monkeypatch.setattr(throttling, "REFUSED_MOST", 3)
    limited()
    answers = [
        client.get(LIST, headers={"Authorization": f"Bearer hf_{number:037d}"})
        for number in range(5)
    ]
    assert [answer.status_code for answer in answers] == [401, 401, 401, 429, 429]
    assert "Retry-After" in answers[-1]


@pytest.mark.django_db
def test_lost_valkey_keeps_nobody_out(
    client: Client,
    limited: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The store goes on without counting, and says so once."""

    def gone(*_: object, **__: object) -> None:
        raise ValkeyGoneError

    limited(visitor_api_requests=1)
    monkeypatch.setattr(ratelimit, "valkey", gone)
    monkeypatch.setattr(ratelimit, "_warned_at", -1e9)
    with caplog.at_level(logging.WARNING, logger="store.core.ratelimit"):
        answers = [client.get(LIST).status_code for _ in range(3)]
    assert answers == [200, 200, 200]
    assert [record.message for record in caplog.records] == [
        "requests are not limited: Valkey does not answer"
    ]


@pytest.mark.django_db
def test_refusal_costs_no_query(client: Client, limited: Callable[..., None]) -> None:
    """A flood does not reach the database."""
    limited(visitor_api_requests=1)
    client.get(LIST)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        assert client.get(LIST).status_code == 429
    assert len(queries) == 0
