"""What one's repositories take of one's room (contract 7.6)."""

from django.test import Client

from accounts.models import Permission, User
from accounts.services.tokens import create_token
from accounts.viewer import Viewer
from catalog.services.token_reach import Wanted, read_reach
from tests.factories import add_files, make_org, make_repo, safetensors


def test_own_repositories_with_their_sizes(client: Client, alice: User, bob: User, bearer) -> None:
    weights = safetensors()
    large, small = make_repo(alice, "large", is_private=True), make_repo(alice, "small")
    add_files(alice, large, {"model.safetensors": weights})
    make_repo(bob, "other")
    for repo in (large, small):
        repo.refresh_from_db()

    rows = client.get("/api/settings/repositories", headers=bearer(alice, "read")).json()

    assert [row["id"] for row in rows] == ["alice/large", "alice/small"]
    assert [row["visibility"] for row in rows] == ["private", "public"]
    assert rows[0]["storage"] == len(weights) + large.git_bytes
    assert rows[1]["storage"] == small.git_bytes
    assert {row["type"] for row in rows} == {"model"}
    assert rows[0]["updatedAt"].endswith("Z")
    assert {row["storagePercent"] for row in rows} == {0}  # of 100 GiB


def test_pages_and_refusals(client: Client, alice: User, bob: User, bearer) -> None:
    for name in ("a", "b", "c"):
        make_repo(alice, name)
    make_org("acme", alice="read")
    make_repo(alice, "d")
    headers = bearer(alice)

    first = client.get("/api/settings/repositories?limit=3", headers=headers)
    following = first["Link"].split("<http://testserver")[1].split(">")[0]
    second = client.get(following, headers=headers)

    ids = [row["id"] for row in (*first.json(), *second.json())]
    assert sorted(ids) == ["alice/a", "alice/b", "alice/c", "alice/d"]
    assert "Link" not in second
    assert client.get("/api/settings/repositories").status_code == 401
    path = "/api/organizations/acme/settings/repositories"
    assert client.get(path, headers=headers).json() == []
    assert client.get(path).status_code == 401
    assert client.get(path, headers=bearer(bob)).status_code == 403
    nobody = client.get("/api/organizations/alice/settings/repositories", headers=headers)
    assert nobody.status_code == 404


def test_a_fine_grained_token_sees_what_it_lists(client: Client, alice: User) -> None:
    for name in ("mine", "other"):
        make_repo(alice, name, is_private=True)
    reach = read_reach(Viewer(user=alice), [Wanted("alice/mine", frozenset({Permission.READ}))])
    text = create_token(alice, name="fine", scopes=[], reach=reach)[1]

    rows = client.get(
        "/api/settings/repositories", headers={"Authorization": f"Bearer {text}"}
    ).json()

    assert [row["id"] for row in rows] == ["alice/mine"]
