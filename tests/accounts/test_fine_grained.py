"""Fine-grained tokens: made, changed, given another secret, and never more than they list."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from accounts.models import AccessToken, AuditEvent, Namespace, Permission, TokenGrant, User
from accounts.services.people import set_member
from accounts.services.tokens import NewReach, change_reach, create_token, rotate_token
from accounts.viewer import Viewer
from catalog.models import ModelRepo
from catalog.services.repos import delete_repo, move_repo
from catalog.services.token_reach import BadPlaceError, Wanted, places_of, read_reach
from store.core.errors import InvalidError, NotFoundError
from tests.factories import make_org, make_repo

Browser = Callable[[User], Client]
HTML = {"Accept": "text/html"}
READ, WRITE = Permission.READ, Permission.WRITE


def secret_of(page: str) -> str:
    found = re.search(r"hf_[A-Za-z0-9]{34}", page)
    assert found is not None
    return found[0]


def headers(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"}


def listing(user: User, *names: str, **more: Any) -> tuple[AccessToken, dict[str, str]]:
    """A token of ``user`` that reads the places of these names."""
    wanted = [Wanted(name, frozenset({READ})) for name in names]
    reach = read_reach(Viewer(user=user), wanted, **more)
    token, text = create_token(user, name="fine", scopes=[], reach=reach)
    return token, headers(text)


@pytest.fixture
def repo(alice: User) -> ModelRepo:
    return make_repo(alice, "secret", files={"a.txt": b"a"}, is_private=True)


def form_of(page: str) -> dict[str, list[str]]:
    """What a browser would send of the places on the page."""
    sent: dict[str, list[str]] = {}
    for tag in re.findall(r"<input[^>]*>", page):
        name = re.search(r'name="((?:place|may)\d+)"', tag)
        value = re.search(r'value="([^"]*)"', tag)
        is_box = 'type="checkbox"' in tag
        if name and value and (not is_box or re.search(r"\schecked", tag)):
            sent.setdefault(name[1], []).append(value[1])
    return sent


def test_made_on_the_page_and_used(
    browser_of: Browser, client: Client, alice: User, repo: ModelRepo
) -> None:
    make_repo(alice, "other", is_private=True)
    browser = browser_of(alice)
    blank = browser.get("/settings/tokens/new", headers=HTML).content.decode()
    sent = {"name": "ci", "life_days": "30", "place0": "alice", "place1": "alice/secret"}

    made = browser.post("/settings/tokens/new", sent | {"may1": [READ, WRITE]}, headers=HTML)
    text = secret_of(made.content.decode())
    listed = browser.get("/settings/tokens", headers=HTML).content.decode()

    assert form_of(blank)["place0"] == ["alice"]
    assert made.status_code == 201
    assert "no-store" in made["Cache-Control"]
    assert "fine-grained" in listed
    assert client.get("/api/models/alice/secret", headers=headers(text)).status_code == 200
    assert client.get("/api/models/alice/other", headers=headers(text)).status_code == 404
    who = client.get("/api/whoami-v2", headers=headers(text)).json()["auth"]["accessToken"]
    assert who["role"] == "fineGrained"
    assert who["fineGrained"] == {
        "canReadGatedRepos": False,
        "global": [],
        "scoped": [
            {
                "entity": {"_id": repo.public_id, "type": "model", "name": "alice/secret"},
                "permissions": ["repo.content.read", "repo.write"],
            }
        ],
    }


def test_whoami_names_every_kind_of_place(client: Client, alice: User) -> None:
    org = make_org("acme", alice="admin")
    everywhere = frozenset({Permission.DISCUSS})
    _token, bearer = listing(alice, "acme", "alice", everywhere=everywhere, has_gated=True)

    told = client.get("/api/whoami-v2", headers=bearer).json()["auth"]["accessToken"]["fineGrained"]

    assert told["canReadGatedRepos"] is True
    assert told["global"] == ["discussion.write"]
    assert [item["entity"] for item in told["scoped"]] == [
        {"_id": org.public_id, "type": "org", "name": "acme"},
        {"_id": alice.public_id, "type": "user", "name": "alice"},
    ]


def test_changed_on_the_page_at_once(
    browser_of: Browser, client: Client, alice: User, repo: ModelRepo
) -> None:
    make_repo(alice, "other", is_private=True)
    token, bearer = listing(alice, "alice/secret")
    browser, path = browser_of(alice), f"/settings/tokens/{token.pk}"

    shown = browser.get(path, headers=HTML).content.decode()
    sent = form_of(shown)
    row = next(key for key, value in sent.items() if value == ["alice/secret"])
    number = row.removeprefix("place")
    del sent[f"may{number}"]
    blank = next(key for key, value in sent.items() if value == [""])
    sent |= {blank: ["alice/other"], f"may{blank.removeprefix('place')}": [READ]}
    done = browser.post(path, sent | {"name": ["renamed"]}, headers=HTML)

    assert "life_days" not in shown
    assert (done.status_code, done["Location"]) == (302, "/settings/tokens")
    assert client.get("/api/models/alice/secret", headers=bearer).status_code == 404
    assert client.get("/api/models/alice/other", headers=bearer).status_code == 200
    token.refresh_from_db()
    assert token.name == "renamed"
    assert AuditEvent.objects.filter(action="token.change").count() == 1


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        ({}, "Choose at least one thing"),
        ({"place0": "alice"}, "Choose at least one thing"),
        ({"place0": "bob", "may0": [READ]}, "You do not belong to bob."),
        ({"place0": "nobody", "may0": [READ]}, "You do not belong to nobody."),
        ({"place1": "bob/hidden", "may1": [READ]}, "There is no model bob/hidden"),
        ({"place1": "alice/none", "may1": [READ]}, "There is no model alice/none"),
        ({"place1": "a/b/c", "may1": [READ]}, "There is no model a/b/c"),
        ({"place0": "alice", "may0": ["root"]}, "Choose at least one thing"),
        ({"name": "", "place0": "alice", "may0": [READ]}, "This field is required."),
    ],
)
def test_a_refused_token_is_not_made(
    browser_of: Browser, alice: User, bob: User, sent: dict[str, Any], told: str
) -> None:
    make_repo(bob, "hidden", is_private=True)
    whole = {"name": "ci", "life_days": "30"} | sent

    answer = browser_of(alice).post("/settings/tokens/new", whole, headers=HTML)

    assert answer.status_code == 400
    assert told in answer.content.decode()
    assert (AccessToken.objects.count(), TokenGrant.objects.count()) == (0, 0)


def test_a_refused_change_changes_nothing(
    browser_of: Browser, alice: User, bob: User, repo: ModelRepo
) -> None:
    token, _bearer = listing(alice, "alice/secret")
    before = list(TokenGrant.objects.values())
    path = f"/settings/tokens/{token.pk}"

    none = browser_of(alice).post(path, {"name": "x"}, headers=HTML)
    wrong = browser_of(alice).post(
        path, {"name": "x", "place0": "bob", "may0": [READ]}, headers=HTML
    )
    foreign = browser_of(bob).post(
        path, {"name": "x", "place0": "bob", "may0": [READ]}, headers=HTML
    )

    assert (none.status_code, wrong.status_code, foreign.status_code) == (400, 400, 404)
    assert list(TokenGrant.objects.values()) == before
    token.refresh_from_db()
    assert token.name == "fine"


def test_a_token_by_scope_has_no_such_page(
    browser_of: Browser, alice: User, token_for: Callable[..., str]
) -> None:
    token_for(alice)
    token = AccessToken.objects.get()

    assert browser_of(alice).get(f"/settings/tokens/{token.pk}", headers=HTML).status_code == 404
    with pytest.raises(NotFoundError):
        change_reach(alice, token.pk, name="x", reach=NewReach(has_gated=True))


def test_a_token_cannot_change_itself(client: Client, alice: User, repo: ModelRepo) -> None:
    token, bearer = listing(alice, "alice")
    for path in ("/settings/tokens/new", f"/settings/tokens/{token.pk}"):
        answer = client.post(
            path, {"name": "x", "place0": "alice", "may0": [WRITE]}, headers=bearer
        )
        assert answer.status_code == 403
    assert client.post(f"/settings/tokens/{token.pk}/rotate", headers=bearer).status_code == 403
    assert TokenGrant.objects.get().permissions == [READ]


def test_another_secret_ends_the_old_one(
    browser_of: Browser, client: Client, alice: User, repo: ModelRepo
) -> None:
    token, old = listing(alice, "alice/secret")

    answer = browser_of(alice).post(f"/settings/tokens/{token.pk}/rotate", headers=HTML)
    new = headers(secret_of(answer.content.decode()))

    assert answer.status_code == 201
    assert client.get("/api/whoami-v2", headers=old).status_code == 401
    assert client.get("/api/models/alice/secret", headers=new).status_code == 200
    assert AuditEvent.objects.filter(action="token.rotate").count() == 1


def test_only_a_living_token_of_ones_own_gets_another_secret(
    browser_of: Browser, alice: User, bob: User, token_for: Callable[..., str]
) -> None:
    token_for(alice)
    token = AccessToken.objects.get()
    digest = token.digest

    foreign = browser_of(bob).post(f"/settings/tokens/{token.pk}/rotate", headers=HTML)
    browser_of(alice).post(f"/settings/tokens/{token.pk}/revoke", headers=HTML)
    dead = browser_of(alice).post(f"/settings/tokens/{token.pk}/rotate", headers=HTML)

    assert (foreign.status_code, dead.status_code) == (404, 404)
    token.refresh_from_db()
    assert token.digest == digest
    with pytest.raises(NotFoundError):
        rotate_token(alice, 10**9)


def test_a_model_keeps_its_place_through_a_new_name_and_loses_it_with_its_end(
    client: Client, alice: User, as_alice: Viewer, repo: ModelRepo
) -> None:
    token, bearer = listing(alice, "alice/secret")

    moved = move_repo(as_alice, repo, namespace="alice", name="renamed")

    assert client.get("/api/models/alice/renamed", headers=bearer).status_code == 200
    assert [place.name for place in places_of(token)] == ["alice/renamed"]
    delete_repo(as_alice, moved)
    make_repo(alice, "renamed", is_private=True)
    assert client.get("/api/models/alice/renamed", headers=bearer).status_code == 404
    assert places_of(token) == []


def test_a_place_ends_with_the_persons_part_in_it(client: Client, alice: User, bob: User) -> None:
    acme = make_org("acme", alice="admin", bob="write")
    repo = make_repo(bob, "team", files={"a.txt": b"a"}, is_private=True, namespace="acme")
    whole, by_name = listing(bob, "acme"), listing(bob, "acme/team")
    before = [
        client.get("/api/models/acme/team", headers=bearer).status_code
        for _token, bearer in (whole, by_name)
    ]

    set_member(acme, bob, None, actor=alice)

    for token, bearer in (whole, by_name):
        assert client.get("/api/models/acme/team", headers=bearer).status_code == 404
        assert places_of(token) == []
    assert before == [200, 200]
    ModelRepo.objects.filter(pk=repo.pk).update(is_private=False)
    assert client.get("/api/models/acme/team/auth-check/write", headers=whole[1]).status_code == 403


def test_lists_and_suggestions_show_what_is_listed_only(
    client: Client, alice: User, repo: ModelRepo
) -> None:
    make_org("acme", alice="admin")
    make_repo(alice, "other-secret", is_private=True)
    make_repo(alice, "team-secret", is_private=True, namespace="acme")
    make_repo(alice, "open-secret")
    _token, bearer = listing(alice, "alice/secret")
    _whole, of_acme = listing(alice, "acme")

    def ids(path: str, token: dict[str, str]) -> set[str]:
        return {item["id"] for item in client.get(path, headers=token).json()}

    assert ids("/api/models?search=secret", bearer) == {"alice/secret", "alice/open-secret"}
    assert ids("/api/models?search=secret", of_acme) == {"acme/team-secret", "alice/open-secret"}
    typed = client.get("/search/suggest?q=secret", headers=bearer).content.decode()
    assert "alice/secret" in typed
    assert "other-secret" not in typed


def test_a_digest_is_found_only_where_the_token_reaches(client: Client, alice: User) -> None:
    import hashlib

    from tests.factories import add_files, safetensors

    weights = safetensors()
    for name in ("mine", "other"):
        made = make_repo(alice, name, is_private=True)
        add_files(alice, made, {"model.safetensors": weights})
    _token, bearer = listing(alice, "alice/mine")
    digest = hashlib.sha256(weights).hexdigest()

    found = client.get(f"/api/v1/models/by-hash/{digest}", headers=bearer).json()

    assert [item["model"] for item in found["results"]] == ["alice/mine"]


def test_a_run_is_read_only_where_the_token_reaches(alice: User, repo: ModelRepo) -> None:
    from inference.models import GenerationRun
    from inference.services import runs

    run = GenerationRun.objects.create(
        repo=repo, commit_oid="0" * 40, user=alice, asker="x", prompt="private words", params={}
    )
    other = make_repo(alice, "other", is_private=True)
    inside, outside = (
        Viewer(user=alice, token=listing(alice, f"alice/{name}")[0])
        for name in ("secret", other.name)
    )

    assert runs.read(inside, run.public_id) == run
    with pytest.raises(runs.RunNotFoundError):
        runs.read(outside, run.public_id)


@pytest.mark.parametrize(
    "reach",
    [
        NewReach(),
        NewReach(everywhere=frozenset({WRITE})),
        NewReach(repos={f"{number:024x}": frozenset({READ}) for number in range(101)}),
    ],
)
def test_the_service_has_its_own_bounds(alice: User, reach: NewReach) -> None:
    with pytest.raises(InvalidError):
        create_token(alice, name="x", scopes=[], reach=reach)
    assert (AccessToken.objects.count(), TokenGrant.objects.count()) == (0, 0)


def test_places_are_read_by_name_and_old_names_lead_on(
    alice: User, as_alice: Viewer, repo: ModelRepo
) -> None:
    move_repo(as_alice, repo, namespace="alice", name="renamed")
    wanted = [
        Wanted("ALICE/secret", frozenset({READ})),
        Wanted("alice/renamed", frozenset({WRITE})),
        Wanted("Alice", frozenset({READ})),
        Wanted("alice", frozenset({WRITE})),
        Wanted("alice/nothing", frozenset()),
    ]

    reach = read_reach(as_alice, wanted)

    pk = Namespace.objects.get(name="alice").pk
    assert reach.repos == {repo.public_id: frozenset({READ, WRITE})}
    assert reach.namespaces == {pk: frozenset({READ, WRITE})}
    with pytest.raises(BadPlaceError):
        read_reach(as_alice, [Wanted("alice/nothing", frozenset({READ}))])
