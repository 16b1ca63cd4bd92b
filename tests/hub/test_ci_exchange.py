"""CI jobs exchange who they are for a token of one model (contract 3.4; RFC 8693)."""

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.test import Client
from django.utils import timezone

from accounts.models import AccessToken, AuditEvent, TrustedPublisher, UsedIdentity, User
from accounts.services import limits, publishers
from accounts.services.limits import EXCHANGES
from accounts.services.people import set_member
from accounts.services.publishers import MAX_PUBLISHERS, PublisherKnownError, Trust
from accounts.viewer import Viewer
from catalog.models import AccessRequest, ModelRepo
from catalog.services import ci_publishing
from catalog.services.repos import move_repo
from store.core.errors import ForbiddenError, InvalidError, NotFoundError
from tests.factories import make_org, make_repo
from tests.hub import wire
from tests.issuer import Issuer
from tests.threads import ROUNDS, at_once

GRANT = "urn:ietf:params:oauth:grant-type:token-exchange"
ID_TOKEN = "urn:ietf:params:oauth:token-type:id_token"


@pytest.fixture
def trusted(issuer: Issuer, as_alice: Viewer) -> ModelRepo:
    """alice/tiny, to which jobs of octo/models may publish."""
    repo = make_repo(as_alice.identified())
    ci_publishing.trust(as_alice, repo, Trust(issuer.url, "octo/models"))
    return repo


def ask(client: Client, text: str, resource: str = "alice/tiny", **more: str) -> Any:
    body = {
        "grant_type": GRANT,
        "subject_token_type": ID_TOKEN,
        "subject_token": text,
        "resource": resource,
    }
    return client.post("/oauth/token", body | more, content_type="application/json")


def bearing(answer: Any) -> dict[str, str]:
    assert answer.status_code == 200, answer.content
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


def commit(client: Client, repo: str, headers: dict[str, str]) -> int:
    file = {"path": "a.txt", "content": "aGk=", "encoding": "base64"}
    answer = wire.commit(client, headers, ("file", file), base=f"/api/models/{repo}")
    return int(answer.status_code)


def refused(answer: Any, error: str) -> str:
    """Nothing was made, and why."""
    assert (answer.status_code, answer.json()["error"]) == (400, error)
    assert answer["X-Error-Message"] == answer.json()["error_description"]
    assert AccessToken.objects.count() == 0
    return str(answer.json()["error_description"])


def test_a_job_publishes_to_its_model_and_nowhere_else(
    client: Client, issuer: Issuer, alice: User, trusted: ModelRepo
) -> None:
    make_repo(alice, "other")
    make_repo(alice, "secret", is_private=True)

    answer = ask(client, issuer.token())

    body = answer.json()
    assert body["token_type"] == "bearer"
    assert body["issued_token_type"] == "urn:ietf:params:oauth:token-type:access_token"
    assert body["expires_in"] == 3600
    assert answer["Cache-Control"] == "no-store"
    headers = bearing(answer)
    assert commit(client, "alice/tiny", headers) == 200
    assert commit(client, "alice/other", headers) == 403
    assert client.get("/api/models/alice/secret", headers=headers).status_code == 404
    created = client.post(
        "/api/repos/create", {"name": "new"}, content_type="application/json", headers=headers
    )
    assert created.status_code == 403
    who = client.get("/api/whoami-v2", headers=headers).json()
    assert (who["name"], who["auth"]["accessToken"]["role"]) == ("alice", "fineGrained")
    event = AuditEvent.objects.get(action="publisher.exchange")
    assert (event.subject, event.detail["run"], event.detail["sha"]) == (
        "octo/models",
        "4711",
        "c" * 40,
    )


def test_its_token_ends_within_the_hour(client: Client, issuer: Issuer, trusted: ModelRepo) -> None:
    headers = bearing(ask(client, issuer.token()))

    with time_machine.travel(timezone.now() + timedelta(minutes=59)):
        assert client.get("/api/whoami-v2", headers=headers).status_code == 200
    with time_machine.travel(timezone.now() + timedelta(minutes=61)):
        assert client.get("/api/whoami-v2", headers=headers).status_code == 401


def test_an_id_token_is_good_once(client: Client, issuer: Issuer, trusted: ModelRepo) -> None:
    text = issuer.token()
    ask(client, text)
    AccessToken.objects.all().delete()

    again = ask(client, text)

    assert "good once" in refused(again, "invalid_request")


@pytest.mark.django_db(transaction=True)
def test_two_jobs_with_one_token(client: Client, issuer: Issuer, trusted: ModelRepo) -> None:
    for _round in range(ROUNDS):
        text = issuer.token()
        before = AccessToken.objects.count()

        answers = at_once(lambda _number, sent=text: ask(Client(), sent).status_code, 4)

        assert sorted(answers) == [200, 400, 400, 400]
        assert AccessToken.objects.count() == before + 1


@pytest.mark.parametrize(
    "job",
    [
        {"repository": "octo/models-evil"},
        {"repository": "evil/octo/models"},
        {"repository": "xocto/models"},
        {"repository": None},
        {"repository": ["octo/models"]},
    ],
)
def test_a_project_of_a_similar_name(
    client: Client, issuer: Issuer, trusted: ModelRepo, job: dict[str, Any]
) -> None:
    words = refused(ask(client, issuer.token(**job)), "invalid_target")

    assert "No trusted publisher of alice/tiny" in words
    assert UsedIdentity.objects.count() == 0


@pytest.mark.parametrize(
    ("trust", "job"),
    [
        ({"workflow": "publish.yml"}, {}),
        ({"branch": "main"}, {}),
        ({"environment": "production"}, {"environment": "production"}),
        ({"project": "Octo/Models"}, {}),
    ],
)
def test_conditions_that_hold(
    client: Client, issuer: Issuer, as_alice: Viewer, trust: dict[str, str], job: dict[str, str]
) -> None:
    repo = make_repo(as_alice.identified())
    values = {"issuer": issuer.url, "project": "octo/models"} | trust
    ci_publishing.trust(as_alice, repo, Trust(**values))

    assert ask(client, issuer.token(**job)).status_code == 200


@pytest.mark.parametrize(
    ("trust", "job"),
    [
        ({"workflow": "publish.yml"}, {"job_workflow_ref": "octo/models/x.yml@refs/heads/main"}),
        (
            {"workflow": "publish.yml"},
            {"job_workflow_ref": "octo/models/.github/workflows/publish.yml@refs/heads/other"},
        ),
        ({"workflow": "Publish.yml"}, {}),
        ({"branch": "main"}, {"ref": "refs/heads/mainly"}),
        ({"branch": "main"}, {"ref": "refs/pull/1/merge"}),
        ({"branch": "main"}, {"ref": "refs/tags/main", "ref_type": "tag"}),
        ({"environment": "production"}, {}),
        ({"environment": "production"}, {"environment": "production-2"}),
    ],
)
def test_conditions_that_do_not_hold(
    client: Client, issuer: Issuer, as_alice: Viewer, trust: dict[str, str], job: dict[str, str]
) -> None:
    repo = make_repo(as_alice.identified())
    ci_publishing.trust(as_alice, repo, Trust(issuer.url, "octo/models", **trust))

    refused(ask(client, issuer.token(**job)), "invalid_target")


def test_a_project_made_anew_under_an_old_name(
    client: Client, issuer: Issuer, as_alice: Viewer, trusted: ModelRepo
) -> None:
    assert ask(client, issuer.token()).status_code == 200
    AccessToken.objects.all().delete()

    words = refused(ask(client, issuer.token(repository_owner_id="666")), "invalid_target")

    assert "made anew" in words
    assert TrustedPublisher.objects.get().project_ids == "70/7"
    ci_publishing.distrust(as_alice, trusted, TrustedPublisher.objects.get().pk)
    ci_publishing.trust(as_alice, trusted, Trust(issuer.url, "octo/models"))
    assert ask(client, issuer.token(repository_owner_id="666")).status_code == 200


def test_a_job_of_gitlab(issuer: Issuer, as_alice: Viewer, client: Client, settings: Any) -> None:
    settings.ENV = settings.ENV.model_copy(update={"oidc_issuers": (f"gitlab={issuer.url}",)})
    repo = make_repo(as_alice.identified())
    ci_publishing.trust(
        as_alice, repo, Trust(issuer.url, "acme/team/models", branch="main", environment="live")
    )
    job = {
        "project_path": "acme/team/models",
        "project_id": "9",
        "namespace_id": "90",
        "ref": "main",
        "repository": None,
        "environment": "live",
    }

    good = ask(client, issuer.token(**job))
    good_count = AccessToken.objects.count()
    bad = ask(client, issuer.token(**job | {"project_path": "acme/team"}))

    assert (good.status_code, bad.status_code, good_count) == (200, 400, 1)
    assert AccessToken.objects.count() == 1


def test_hidden_and_absent_models_look_alike(
    client: Client, issuer: Issuer, alice: User, bob: User
) -> None:
    make_repo(alice, "secret", is_private=True)

    told = {
        name: refused(ask(client, issuer.token(), name), "invalid_target").replace(
            f" of {name} is like", ""
        )
        for name in ("alice/secret", "alice/nothing", "nobody/nothing", "alice", "nobody", "", "/")
    }

    assert len(set(told.values())) == 1
    long = refused(ask(client, issuer.token(), "a/" * 5000), "invalid_target")
    assert len(long) < 600


def test_who_trusted_it_must_still_be_able_to(
    client: Client, issuer: Issuer, alice: User, bob: User
) -> None:
    team = make_org("acme", alice="admin", bob="write")
    repo = make_repo(alice, "team", namespace="acme")
    ci_publishing.trust(Viewer(user=bob), repo, Trust(issuer.url, "octo/models"))
    headers = bearing(ask(client, issuer.token(), "acme/team"))
    assert commit(client, "acme/team", headers) == 200

    set_member(team, bob, None, actor=alice)

    assert commit(client, "acme/team", headers) == 403
    AccessToken.objects.all().delete()
    refused(ask(client, issuer.token(), "acme/team"), "invalid_target")


def test_an_account_that_is_closed(
    client: Client, issuer: Issuer, alice: User, trusted: ModelRepo
) -> None:
    User.objects.filter(pk=alice.pk).update(is_active=False)

    refused(ask(client, issuer.token()), "invalid_target")


def test_removing_it_ends_its_tokens_at_once(
    client: Client, issuer: Issuer, as_alice: Viewer, trusted: ModelRepo
) -> None:
    headers = bearing(ask(client, issuer.token()))

    ci_publishing.distrust(as_alice, trusted, TrustedPublisher.objects.get().pk)

    assert client.get("/api/whoami-v2", headers=headers).status_code == 401
    refused(ask(client, issuer.token()), "invalid_target")


def test_a_model_keeps_its_publishers_under_another_name(
    client: Client, issuer: Issuer, as_alice: Viewer, trusted: ModelRepo
) -> None:
    move_repo(as_alice, trusted, namespace="alice", name="renamed")

    new, old = ask(client, issuer.token(), "alice/renamed"), ask(client, issuer.token())

    assert (new.status_code, old.status_code) == (200, 200)
    assert commit(client, "alice/renamed", bearing(new)) == 200


def test_a_job_reads_what_is_open_to_a_person(
    client: Client, issuer: Issuer, alice: User, bob: User
) -> None:
    gated = make_repo(alice, "gated", files={"config.json": b"{}"})
    ModelRepo.objects.filter(pk=gated.pk).update(gate="manual")
    AccessRequest.objects.create(repo=gated, user=bob, status=AccessRequest.Status.ACCEPTED)
    make_repo(bob, "own", is_private=True)
    publishers.add(bob, Trust(issuer.url, "octo/models"))

    headers = bearing(ask(client, issuer.token(), "bob"))

    file = "/alice/gated/resolve/main/config.json"
    assert client.get(file).status_code == 401
    assert client.get(file, headers=headers).status_code == 200
    assert client.get("/api/models/bob/own", headers=headers).status_code == 404
    assert commit(client, "bob/own", headers) == 404
    refused_for_alice = ask(client, issuer.token(), "alice")
    assert refused_for_alice.json()["error"] == "invalid_target"


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"subject_token_type": "urn:ietf:params:oauth:token-type:jwt"}, "invalid_request"),
        ({"subject_token": "hf_nothing"}, "invalid_request"),
        ({"subject_token": ""}, "invalid_request"),
    ],
)
def test_requests_of_another_shape(
    client: Client, issuer: Issuer, trusted: ModelRepo, body: dict[str, str], error: str
) -> None:
    refused(ask(client, issuer.token(), **body), error)


def test_an_issuer_that_is_away(client: Client, issuer: Issuer, trusted: ModelRepo) -> None:
    issuer.is_away = True

    answer = ask(client, issuer.token())

    assert (answer.status_code, answer.json()["code"]) == (503, "issuer_away")
    assert AccessToken.objects.count() == 0


def test_strangers_cannot_make_us_check_for_ever(
    client: Client, issuer: Issuer, trusted: ModelRepo, rate_limits_on: None
) -> None:
    for _number in range(EXCHANGES.quota):
        limits.count_exchange("127.0.0.1")

    assert ask(client, issuer.token()).status_code == 429
    assert AccessToken.objects.count() == 0


@pytest.mark.parametrize(
    "trust",
    [
        {"issuer": "https://evil.example"},
        {"project": "models"},
        {"project": "octo/models/x"},
        {"project": "octo/mod els"},
        {"workflow": "../publish.yml"},
        {"workflow": ".github/workflows/publish.yml"},
        {"issuer": "https://gitlab.com", "workflow": "publish.yml"},
    ],
)
def test_what_cannot_be_trusted(issuer: Issuer, as_alice: Viewer, trust: dict[str, str]) -> None:
    repo = make_repo(as_alice.identified())
    values = {"issuer": issuer.url, "project": "octo/models"} | trust

    with pytest.raises(InvalidError):
        ci_publishing.trust(as_alice, repo, Trust(**values))

    assert TrustedPublisher.objects.count() == 0


def test_who_may_trust(issuer: Issuer, as_bob: Viewer, trusted: ModelRepo, alice: User) -> None:
    pk = TrustedPublisher.objects.get().pk

    with pytest.raises(ForbiddenError):
        ci_publishing.trust(as_bob, trusted, Trust(issuer.url, "bob/models"))
    with pytest.raises(ForbiddenError):
        ci_publishing.distrust(as_bob, trusted, pk)
    with pytest.raises(NotFoundError):
        publishers.own_publisher(as_bob.identified(), pk)
    with pytest.raises(NotFoundError):  # it is the model's, not alice's own
        publishers.own_publisher(alice, pk)

    assert [each.project for each in TrustedPublisher.objects.all()] == ["octo/models"]


def test_it_is_trusted_once_and_not_without_end(
    issuer: Issuer, as_alice: Viewer, trusted: ModelRepo
) -> None:
    with pytest.raises(PublisherKnownError):
        ci_publishing.trust(as_alice, trusted, Trust(issuer.url, "octo/models"))
    for number in range(1, MAX_PUBLISHERS):
        ci_publishing.trust(as_alice, trusted, Trust(issuer.url, f"octo/m{number}"))
    with pytest.raises(InvalidError):
        ci_publishing.trust(as_alice, trusted, Trust(issuer.url, "octo/late"))

    assert TrustedPublisher.objects.count() == MAX_PUBLISHERS


def test_what_ended_is_deleted(client: Client, issuer: Issuer, trusted: ModelRepo) -> None:
    ask(client, issuer.token())
    kept = publishers.prune()

    with time_machine.travel(timezone.now() + timedelta(days=9)):
        gone = publishers.prune()

    assert (kept, AccessToken.objects.count(), UsedIdentity.objects.count()) == (0, 0, 0)
    assert gone >= 2
    assert TrustedPublisher.objects.count() == 1
