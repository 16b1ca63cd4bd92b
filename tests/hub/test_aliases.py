"""Single-segment ids: they lead whoever may see the model to its full id, and nobody else."""

import pytest
from django.test import Client

from accounts.models import User
from accounts.viewer import Viewer
from catalog.models import Discussion, ModelRepo, RepoAlias
from catalog.services.repos import change_settings
from tests.factories import make_repo
from tests.hub.wire import JSON


@pytest.fixture
def alias(repo: ModelRepo) -> RepoAlias:
    return RepoAlias.objects.create(name="mod", repo=repo)


ROUTES = [
    ("GET", "/refs"),
    ("GET", "/auth-check"),
    ("GET", "/auth-check/write"),
    ("GET", "/discussions?p=0"),
    ("POST", "/discussions"),
    ("POST", "/discussions/1/comment"),
    ("GET", "/commits/main"),
    ("GET", "/tree/main/sub"),
    ("PUT", "/settings"),
    ("GET", "/likers"),
    ("DELETE", "/like"),
    ("GET", "/lfs-files"),
    ("POST", "/lfs-files/batch"),
    ("POST", "/super-squash/main"),
]


@pytest.mark.parametrize(("method", "tail"), ROUTES)
def test_every_route_of_an_alias_leads_on(
    client: Client, alias: RepoAlias, method: str, tail: str
) -> None:
    answer = client.generic(method, f"/api/models/mod{tail}", "{}", JSON)

    assert (answer.status_code, answer["Location"]) == (307, f"/api/models/alice/tiny{tail}")


@pytest.mark.parametrize(("method", "tail"), ROUTES)
def test_what_leads_nowhere_is_no_model(client: Client, db: None, method: str, tail: str) -> None:
    answer = client.generic(method, f"/api/models/nothing{tail}", "{}", JSON)

    assert (answer.status_code, answer["X-Error-Code"]) == (401, "RepoNotFound")
    assert not Discussion.objects.exists()


def test_a_model_called_like_a_route_is_itself(client: Client, alice: User) -> None:
    make_repo(alice, "refs")

    assert client.get("/api/models/alice/refs").json()["id"] == "alice/refs"
    assert client.get("/api/models/alice/refs/refs").status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/api/models/{}",
        "/api/models/{}/refs",
        "/api/models/{}/tree/main",
        "/{}/resolve/main/README.md",
        "/{}.git/info/refs?service=git-upload-pack",
        "/{}",
    ],
)
def test_an_alias_of_a_hidden_model_is_none(
    client: Client, alice: User, bob: User, repo: ModelRepo, alias: RepoAlias, bearer, path: str
) -> None:
    change_settings(Viewer(user=alice), repo, is_private=True)

    callers: list[dict] = [{}, bearer(bob)]
    for headers in callers:
        hidden = client.get(path.format("mod"), headers=headers)
        absent = client.get(path.format("dom"), headers=headers)

        assert hidden.status_code == absent.status_code in {401, 404}
        assert "Location" not in hidden
        said = hidden.content.decode().replace("model mod", "model dom")
        if "/models/" in path:
            assert said == absent.content.decode()
        assert "tiny" not in said
    mine = client.get(path.format("mod"), headers=bearer(alice))
    assert path == "/{}" or mine.status_code == 307


def test_a_proposal_by_an_alias_is_refused_like_one_to_nothing(
    client: Client, alice: User, bob: User, repo: ModelRepo, alias: RepoAlias, bearer
) -> None:
    change_settings(Viewer(user=alice), repo, is_private=True)
    body = '{"title": "A title", "description": "x", "pullRequest": false}'

    answers = [
        client.post(f"/api/models/{name}/discussions", body, JSON, headers=bearer(bob))
        for name in ("mod", "dom")
    ]

    assert [answer.status_code for answer in answers] == [404, 404]
    assert not Discussion.objects.exists()
