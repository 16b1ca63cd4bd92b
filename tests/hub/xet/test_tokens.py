"""Tokens for the Xet service: who gets one, and how long it is good for."""

import time

import pytest
import time_machine
from django.test import Client

from accounts.models import AccessToken, User
from accounts.viewer import Viewer
from catalog.history.refs import resolve
from catalog.models import ModelRepo, Ref
from catalog.services.pulls import open_pull_request
from catalog.services.repos import change_settings, delete_repo
from hub.xet_callers import LIFE_S
from tests.factories import make_org, make_repo
from tests.hub.xet.calling import Made, XetClient, made, stored

WEIGHTS = made()


@pytest.mark.parametrize("scope", ["read", "write"])
def test_a_token_comes_in_both_forms(mine: XetClient, scope: str) -> None:
    answer = mine.ask_token(scope)

    body = answer.json()
    assert answer.status_code == 200
    assert sorted(body) == ["accessToken", "casUrl", "exp"]
    assert body["casUrl"] == "http://testserver/xet" == answer["X-Xet-Cas-Url"]
    assert body["accessToken"] == answer["X-Xet-Access-Token"]
    assert str(body["exp"]) == answer["X-Xet-Token-Expiration"]
    assert time.time() + LIFE_S - 60 < body["exp"] <= time.time() + LIFE_S
    assert LIFE_S >= 300  # clients renew a minute before the end
    assert answer["Cache-Control"] == "private, no-store"


def test_a_raised_generation_is_another_address(mine: XetClient, settings) -> None:
    settings.ENV = settings.ENV.model_copy(update={"xet_generation": 7})

    answer = mine.ask_token("write")

    assert answer.json()["casUrl"] == "http://testserver/xet/7" == answer["X-Xet-Cas-Url"]


def test_every_way_to_name_a_revision(mine: XetClient, repo: ModelRepo) -> None:
    head = resolve(repo, "main").commit_oid
    for name in ("refs/heads/a/b", "refs/tags/v1.0"):
        Ref.objects.create(repo=repo, name=name, oid=head, commit_oid=head)
    propose(repo, User.objects.get())
    names = ["main", head, "refs%2Fpr%2F1", "refs/pr/1", "a%2Fb", "v1.0", "refs%2Fheads%2Fmain"]

    for name in names:
        for scope in ("read", "write"):
            assert mine.ask_token(scope, name).status_code == 200, (scope, name)


@pytest.mark.parametrize("scope", ["read", "write"])
@pytest.mark.parametrize("rev", ["nowhere", "None", "0" * 40, "refs%2Fheads%2Fx"])
def test_a_missing_revision(mine: XetClient, scope: str, rev: str) -> None:
    answer = mine.ask_token(scope, rev)

    assert (answer.status_code, answer["X-Error-Code"]) == (404, "RevisionNotFound")
    assert "X-Xet-Access-Token" not in answer


@pytest.mark.parametrize("rev", ["None", "main", "not%20there"])
def test_readers_upload_for_a_proposal(stranger: XetClient, rev: str) -> None:
    answer = stranger.ask_token("write", rev, "?create_pr=1")

    assert answer.status_code == 200


def propose(repo: ModelRepo, user: User) -> None:
    """Open a pull request of ``user``."""
    open_pull_request(Viewer(user=user), repo, title="A change", text="Please.")


def test_readers_upload_to_their_proposals(
    stranger: XetClient, visitor: XetClient, repo: ModelRepo, bob: User
) -> None:
    propose(repo, bob)

    assert visitor.ask_token("write", "refs%2Fpr%2F1").status_code == 401
    assert stranger.ask_token("write", "refs%2Fpr%2F1").status_code == 200


def test_strangers_do_not_write(stranger: XetClient, visitor: XetClient) -> None:
    refused = stranger.ask_token("write")
    unknown = [visitor.ask_token("write"), visitor.ask_token("write", "None", "?create_pr=1")]

    assert refused.status_code == 403
    assert [answer.status_code for answer in unknown] == [401, 401]
    assert visitor.ask_token("read").status_code == 200


def test_a_token_that_only_reads_gets_no_more(client: Client, repo, bearer, alice: User) -> None:
    reader = XetClient(client, bearer(alice, "read"))

    assert reader.ask_token("read").status_code == 200
    assert reader.ask_token("write").status_code == 403
    assert reader.ask_token("write", "None", "?create_pr=1").status_code == 403


def test_forged_hub_tokens(client: Client, repo: ModelRepo) -> None:
    forger = XetClient(client, {"Authorization": "Bearer hf_" + "a" * 34})

    assert [forger.ask_token(scope).status_code for scope in ("read", "write")] == [401, 401]


@pytest.mark.parametrize("query", ["", "?create_pr=1"])
@pytest.mark.parametrize("scope", ["read", "write"])
def test_a_private_model_looks_absent(
    client: Client, hidden: XetClient, bearer, bob: User, scope: str, query: str
) -> None:
    def seen(repo: str, headers: dict) -> tuple[int, str, str]:
        answer = XetClient(client, headers, repo).ask_token(scope, "main", query)
        text = answer.content.decode().replace(repo, "…")
        return answer.status_code, answer["X-Error-Code"], text.split("request_id")[0]

    headers = bearer(bob)
    assert seen("alice/secret", headers) == seen("alice/absent", headers)
    assert seen("alice/secret", {}) == seen("alice/absent", {})
    assert seen("alice/secret", headers)[:2] == (404, "RepoNotFound")
    assert seen("alice/secret", {})[:2] == (401, "RepoNotFound")
    assert hidden.ask_token(scope, "main", query).status_code == 200


def test_a_model_that_is_taken_down(mine: XetClient, repo: ModelRepo, visitor: XetClient) -> None:
    read = visitor.read
    mine.publish({"a.bin": WEIGHTS})
    ModelRepo.objects.filter(pk=repo.pk).update(disabled_reason="It was stolen.")

    for answer in (
        visitor.ask_token("read"),
        mine.ask_token("read"),
        mine.get(f"/v2/reconstructions/{WEIGHTS.file}", headers=read),
        mine.get(f"/v1/reconstructions/{WEIGHTS.file}", headers=read),
        mine.client.head(f"/xet/v1/files/{WEIGHTS.file}", headers=read),
    ):
        assert answer.status_code == 403
    denied = visitor.ask_token("read")
    assert denied["X-Error-Message"] == "Access to this resource is disabled."


def test_an_alias_leads_on(client: Client, mine: XetClient, repo: ModelRepo, staff: User) -> None:
    from catalog.models import RepoAlias

    RepoAlias.objects.create(name="tiny-gpt", repo=repo)

    answer = client.get("/api/models/tiny-gpt/xet-read-token/main")

    assert answer.status_code in {200, 307}
    if answer.status_code == 307:
        assert answer["Location"].endswith("/api/models/alice/tiny/xet-read-token/main")


def refused(caller: XetClient, headers: dict, content: Made = WEIGHTS) -> list[int]:
    """Return the statuses of every kind of call with these headers."""
    name, file = content.name, content.file
    calls = [
        caller.send_xorb(content, headers=headers),
        caller.post(f"/v1/xorb-grants/default/{name}", b'{"length":1}', headers=headers),
        caller.post(f"/v1/xorb-commits/default/{name}/grant/{'a' * 32}", headers=headers),
        caller.send_shard(content.shard(), headers=headers),
        caller.post("/v2/shards", content.shard(), headers=headers),
        caller.client.head(f"/xet/v1/xorbs/default/{name}", headers=headers),
        caller.get(f"/v1/reconstructions/{file}", headers=headers),
        caller.get(f"/v2/reconstructions/{file}", headers=headers),
        caller.get(f"/v1/reconstructions?file_id={file}", headers=headers),
        caller.client.head(f"/xet/v1/files/{file}", headers=headers),
        caller.get(f"/v1/chunks/default/{name}", headers=headers),
        caller.get(f"/v2/file-chunk-hashes/{file}", headers=headers),
    ]
    return [answer.status_code for answer in calls]


def test_no_token_or_a_wrong_one(mine: XetClient) -> None:
    good = mine.write["Authorization"].partition(" ")[2]
    before = stored()

    for text in (
        None,
        "Bearer",
        "Bearer x",
        f"Bearer {good}x",
        f"Bearer {good[1:]}",
        f"Basic {good}",
        good,
        mine.headers["Authorization"],  # the hub's own
    ):
        headers = {} if text is None else {"Authorization": text}
        assert set(refused(mine, headers)) == {401}, text

    assert stored() == before


def test_a_hub_session_is_nobody_there(mine: XetClient, alice: User) -> None:
    mine.client.force_login(alice)

    assert set(refused(mine, {})) == {401}


def test_a_token_is_honoured_until_its_end(mine: XetClient) -> None:
    headers = mine.write
    mine.upload(WEIGHTS)

    with time_machine.travel(time.time() + LIFE_S - 5, tick=False):
        in_time = refused(mine, headers)
    with time_machine.travel(time.time() + LIFE_S + 2, tick=False):
        late = refused(mine, headers)

    assert 401 not in in_time
    assert set(late) == {401}


def test_a_read_token_does_not_write(mine: XetClient) -> None:
    before = stored()

    statuses = refused(mine, mine.read)

    assert set(statuses[:6]) == {403}
    assert stored() == before


def test_a_revoked_hub_token_takes_its_xet_tokens_along(
    mine: XetClient, alice: User, stranger: XetClient
) -> None:
    headers, others = mine.write, stranger.read
    AccessToken.objects.filter(user=alice).delete()
    before = stored()

    assert set(refused(mine, headers)) == {401}
    assert mine.get(f"/v2/reconstructions/{WEIGHTS.file}", headers=others).status_code == 404
    assert stored() == before


def test_a_person_who_was_banned(mine: XetClient, alice: User) -> None:
    headers = mine.write
    User.objects.filter(pk=alice.pk).update(is_active=False)

    assert set(refused(mine, headers)) == {401}


def test_a_model_that_is_deleted(mine: XetClient, repo: ModelRepo, alice: User) -> None:
    headers = mine.write
    delete_repo(Viewer(user=alice), repo)
    before = stored()

    statuses = refused(mine, headers)

    assert set(statuses) == {401}  # the token is for nothing any more
    assert stored() == before


def test_a_model_that_became_private(
    mine: XetClient, repo: ModelRepo, alice: User, stranger: XetClient, visitor: XetClient
) -> None:
    mine.publish({"a.bin": WEIGHTS})
    path, theirs, nobodys = f"/v2/reconstructions/{WEIGHTS.file}", stranger.read, visitor.read
    assert mine.get(path, headers=theirs).status_code == 200
    change_settings(Viewer(user=alice), repo, is_private=True)

    assert mine.get(path, headers=theirs).status_code == 401
    assert mine.get(path, headers=nobodys).status_code == 401
    assert mine.get(path).status_code == 200


def test_somebody_who_left_the_organization(client: Client, bearer, bob: User, alice: User) -> None:
    acme = make_org("acme", alice="admin", bob="write")
    make_repo(alice, "m", namespace="acme", is_private=True)
    caller = XetClient(client, bearer(bob), "acme/m")
    headers = caller.write
    acme.memberships.filter(user=bob).delete()
    before = stored()

    assert set(refused(caller, headers)) == {401}
    assert stored() == before


def test_a_token_is_for_one_model(mine: XetClient, hidden: XetClient) -> None:
    hidden.publish({"a.bin": WEIGHTS})
    path = f"/v2/reconstructions/{WEIGHTS.file}"

    assert mine.get(path, headers=hidden.read).status_code == 200
    assert mine.get(path, headers=mine.read).status_code == 404


@pytest.mark.usefixtures("rate_limits_on")
def test_calls_are_counted(mine: XetClient, visitor: XetClient, settings) -> None:
    settings.ENV = settings.ENV.model_copy(
        update={"user_xet_requests": 2, "visitor_xet_requests": 1}
    )
    own, nobodys = mine.read, visitor.read
    path = f"/v2/reconstructions/{WEIGHTS.file}"

    answers = [mine.get(path, headers=own) for _ in range(3)]
    others = [mine.get(path, headers=nobodys) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [404, 404, 429]
    assert [answer.status_code for answer in others] == [404, 429]
    assert int(answers[-1]["Retry-After"]) > 0


@pytest.mark.usefixtures("rate_limits_on")
def test_visitors_are_told_apart_as_everywhere(visitor: XetClient, settings) -> None:
    """By network where addresses are plenty; not at all behind a proxy nobody told us of."""
    settings.ENV = settings.ENV.model_copy(update={"visitor_xet_requests": 1})
    token, path = visitor.read, f"/xet/v2/reconstructions/{WEIGHTS.file}"

    def ask(address: str, **headers: str) -> int:
        said = token | headers
        return visitor.client.get(path, headers=said, REMOTE_ADDR=address).status_code

    addresses = ["2001:db8:0:1::1", "2001:db8:0:1:ffff::9", "2001:db8:0:2::1"]
    assert [ask(address) for address in addresses] == [404, 429, 404]
    proxied = {"X-Forwarded-For": "198.51.100.7"}
    assert [ask("192.0.2.1", **proxied) for _ in range(3)] == [404, 404, 404]
