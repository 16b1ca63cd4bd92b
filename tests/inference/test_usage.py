"""Records of usage: written once, never changed, summed for whoever may see them."""

import csv
import io
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.test import Client
from django.utils import timezone

from accounts.models import User
from accounts.viewer import VISITOR, Viewer
from catalog.models import ModelRepo
from inference.models import GenerationRun, UsageRecord
from inference.services import quotas, runs, usage
from inference.services.endings import Outcome, end
from inference.services.payers import NotYourOrganizationError, payer_of
from inference.services.quotas import QuotaExceededError
from inference.services.usage import BadSpanError
from licensing.models import License
from licensing.services.offers import make_offer
from store.core.errors import UnauthenticatedError
from store.core.models import Job
from tests.factories import make_org
from tests.licensing.selling.shop import FIXED, Shop

Ask = Callable[..., GenerationRun]
DONE = Outcome(
    state=GenerationRun.State.DONE, texts=["x"], prompt_tokens=4, new_tokens=3, memory_bytes=99
)


def used(viewer: Viewer, repo: ModelRepo, **more: Any) -> UsageRecord:
    run = runs.submit(viewer, repo, "", "Once", {"max_new_tokens": 8}, **more)
    GenerationRun.objects.filter(pk=run.pk).update(
        state="running", started_at=timezone.now() - timedelta(seconds=2)
    )
    assert end(run.pk, DONE)
    return UsageRecord.objects.get(run=run.public_id)


def test_a_run_is_recorded_once_with_everything_a_bill_needs(
    tiny_repo: ModelRepo, bob: User, as_bob: Viewer
) -> None:
    record = used(as_bob, tiny_repo)
    run = GenerationRun.objects.get()

    assert end(run.pk, DONE) is False

    assert UsageRecord.objects.count() == 1
    assert (record.user_id, record.payer) == (bob.pk, f"user:{bob.pk}")
    assert (record.organization_id, record.license_id) == (None, None)
    assert (record.model, record.commit_oid) == ("alice/tiny", run.commit_oid)
    assert (record.prompt_tokens, record.new_tokens, record.trial_tokens) == (4, 3, 0)
    assert (record.memory_bytes, record.state) == (99, "done")
    assert 2 <= record.seconds < 60
    assert record.finished_at == run.finished_at


def test_nothing_is_recorded_of_an_end_that_is_rolled_back(prompted: Ask) -> None:
    run = prompted()

    with pytest.raises(ZeroDivisionError), transaction.atomic():
        end(run.pk, DONE)
        1 / 0  # noqa: B018

    assert not UsageRecord.objects.exists()


def test_the_database_keeps_records_as_they_are(tiny_repo: ModelRepo, as_bob: Viewer) -> None:
    record = used(as_bob, tiny_repo)

    for spoil in (
        lambda: UsageRecord.objects.update(new_tokens=0),
        lambda: UsageRecord.objects.all().delete(),
    ):
        with pytest.raises(IntegrityError, match="never changed"), transaction.atomic():
            spoil()

    assert UsageRecord.objects.get().new_tokens == record.new_tokens


def test_a_record_outlives_its_person_and_model(
    tiny_repo: ModelRepo, bob: User, as_bob: Viewer
) -> None:
    used(as_bob, tiny_repo)

    GenerationRun.objects.all().delete()
    bob.delete()

    assert UsageRecord.objects.get().model == "alice/tiny"


# ── payers ──────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def licensed(
    tiny_repo: ModelRepo, alice: User, bob: User, run_jobs: Callable[[], list[Job]]
) -> Callable[[str], License]:
    """Sell the model under certain terms, and have bob buy it."""

    def sell_and_buy(terms: str) -> License:
        offer = make_offer(Viewer(user=alice), [tiny_repo], replace(FIXED, terms_id=terms))
        tiny_repo.refresh_from_db()
        Shop(alice, bob, tiny_repo, offer).buy()
        run_jobs()
        return License.objects.get()

    return sell_and_buy


def test_a_license_for_a_hosted_service_pays_and_has_its_own_end(
    tiny_repo: ModelRepo,
    bob: User,
    as_bob: Viewer,
    settings: Any,
    licensed: Callable[[str], License],
) -> None:
    found = licensed("store-hosted")
    changed = {"rate_limits": "on", "user_tokens_per_day": 5, "license_tokens_per_day": 12}
    settings.ENV = settings.ENV.model_copy(update=changed)

    record = used(as_bob, tiny_repo)

    assert (record.license_id, record.payer) == (found.pk, f"license:{found.pk}")
    with pytest.raises(QuotaExceededError, match="The license has") as caught:
        runs.submit(as_bob, tiny_repo, "", "Once", {"max_new_tokens": 13})
    assert caught.value.extra["quota"] == 12
    assert quotas.left_of(f"user:{bob.pk}", now=timezone.now()) == 5


def test_other_licenses_leave_it_to_the_person(
    tiny_repo: ModelRepo, bob: User, as_bob: Viewer, licensed: Callable[[str], License]
) -> None:
    found = licensed("store-commercial")

    assert found.rights["hosted_service"] != "yes"
    assert payer_of(as_bob, tiny_repo).key == f"user:{bob.pk}"


def test_a_suspended_license_pays_nothing(
    tiny_repo: ModelRepo, as_bob: Viewer, licensed: Callable[[str], License]
) -> None:
    found = licensed("store-hosted")
    assert payer_of(as_bob, tiny_repo).license == found

    License.objects.update(suspended_at=timezone.now())

    assert payer_of(as_bob, tiny_repo).license is None


def test_an_organization_is_named_by_its_members_only(
    tiny_repo: ModelRepo, as_bob: Viewer, as_alice: Viewer
) -> None:
    team = make_org("team", bob="read")

    assert payer_of(as_bob, tiny_repo, "TEAM").key == f"organization:{team.pk}"
    for viewer, name in ((as_alice, "team"), (as_bob, "nobody"), (VISITOR, "team")):
        with pytest.raises(NotYourOrganizationError):
            payer_of(viewer, tiny_repo, name)
        with pytest.raises(NotYourOrganizationError):
            runs.submit(viewer, tiny_repo, "", "Once", {}, organization=name)
    assert not Job.objects.exists()


def test_an_organizations_quota_is_shared(
    tiny_repo: ModelRepo, as_bob: Viewer, as_alice: Viewer, settings: Any
) -> None:
    make_org("team", bob="read", alice="admin")
    changed = {"rate_limits": "on", "organization_tokens_per_day": 10}
    settings.ENV = settings.ENV.model_copy(update=changed)
    used(as_bob, tiny_repo, organization="team")

    with pytest.raises(QuotaExceededError, match="Your organization has 2 of 10"):
        runs.submit(as_alice, tiny_repo, "", "x", {"max_new_tokens": 8}, organization="team")


# ── sums ────────────────────────────────────────────────────────────────────────────────────────


def test_sums_by_day_and_model(tiny_repo: ModelRepo, as_bob: Viewer, as_alice: Viewer) -> None:
    for _ in range(2):
        used(as_bob, tiny_repo)
    used(as_alice, tiny_repo)
    today = timezone.now().astimezone(UTC).date()

    (found,) = usage.sums(usage.records_of(as_bob), usage.span_of(None, None))

    assert (found.day, found.model, found.requests) == (today, "alice/tiny", 2)
    assert (found.prompt_tokens, found.new_tokens, found.most_memory_bytes) == (8, 6, 99)
    yesterday = usage.span_of(None, today - timedelta(days=1))
    assert usage.sums(usage.records_of(as_bob), yesterday) == []


def test_days_are_utc_and_bounded() -> None:
    first = date(2026, 1, 1)
    assert usage.span_of(first, date(2026, 1, 1)).last == first
    for bad in ((date(2026, 1, 2), first), (first, date(2027, 6, 1))):
        with pytest.raises(BadSpanError):
            usage.span_of(*bad)


def test_the_api_answers_ones_own(
    client: Client, tiny_repo: ModelRepo, bob: User, as_bob: Viewer, alice: User, bearer: Any
) -> None:
    used(as_bob, tiny_repo)

    mine = client.get("/api/v1/usage", headers=bearer(bob)).json()
    hers = client.get("/api/v1/usage", headers=bearer(alice)).json()

    (row,) = mine["results"]
    assert (row["model"], row["requests"], row["new_tokens"]) == ("alice/tiny", 1, 3)
    assert hers["results"] == []
    assert client.get("/api/v1/usage").status_code == 401
    bad = client.get("/api/v1/usage?first=2026-05-02&last=2026-05-01", headers=bearer(bob))
    assert (bad.status_code, bad.json()["error"]["code"]) == (400, "bad_span")


def test_a_table_for_spreadsheets(
    client: Client, tiny_repo: ModelRepo, bob: User, as_bob: Viewer, bearer: Any
) -> None:
    used(as_bob, tiny_repo)

    answer = client.get("/api/v1/usage.csv", headers=bearer(bob))

    text = b"".join(answer.streaming_content).decode("utf-8-sig")  # type: ignore[attr-defined]
    head, row = list(csv.reader(io.StringIO(text)))
    assert head == usage.HEAD
    assert row[1:6] == ["alice/tiny", "generation", "1", "4", "3"]
    assert answer["Content-Type"].startswith("text/csv")


def test_only_admins_see_what_a_team_used(
    client: Client, tiny_repo: ModelRepo, bob: User, as_bob: Viewer, alice: User, bearer: Any
) -> None:
    make_org("team", bob="read", alice="admin")
    used(as_bob, tiny_repo, organization="team")
    address = "/api/v1/usage?organization=team"

    seen = client.get(address, headers=bearer(alice)).json()
    hidden = client.get(address, headers=bearer(bob))

    assert seen["results"][0]["requests"] == 1
    assert (hidden.status_code, hidden.json()["error"]["code"]) == (404, "organization_not_found")
    with pytest.raises(UnauthenticatedError):
        usage.records_of(VISITOR)


def test_the_page(
    tiny_repo: ModelRepo, bob: User, as_bob: Viewer, browser_of: Callable[[User], Client]
) -> None:
    make_org("team", bob="admin")
    browser = browser_of(bob)
    empty = browser.get("/settings/usage").content.decode()
    used(as_bob, tiny_repo)

    page = browser.get("/settings/usage").content.decode()

    assert "Nothing used yet" in empty
    assert "Requests: 1. New tokens: 3." in page
    assert 'href="/alice/tiny"' in page
    assert 'href="/settings/usage?organization=team"' in page
    assert "Nothing used yet" in browser.get("/settings/usage?organization=team").content.decode()
    assert browser.get("/settings/usage?organization=nobody").status_code == 404
    assert Client().get("/settings/usage").status_code == 401
