"""``/api/v1``: me, tokens, organizations."""

from django.test import Client

from accounts.models import AccessToken, Organization, User
from tests.factories import make_org


def test_me(client: Client, alice: User, bearer) -> None:
    make_org("acme", alice="admin")

    body = client.get("/api/v1/me", headers=bearer(alice, "read")).json()

    assert body["name"] == "alice"
    assert body["organizations"] == {"acme": "admin"}


def test_errors_have_one_shape(client: Client, db: None) -> None:
    nobody = client.get("/api/v1/me")
    forged = client.get("/api/v1/me", headers={"Authorization": "Bearer hf_" + "x" * 34})
    odd = client.get("/api/v1/me", headers={"Authorization": "Digest abc"})
    broken = client.get("/api/v1/me", headers={"Authorization": "Basic %%%"})
    method = client.put("/api/v1/me", headers={})

    assert (nobody.status_code, nobody.json()["error"]["code"]) == (401, "not_signed_in")
    for answer in (forged, odd, broken):
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "bad_credentials")
    assert method.json()["error"]["code"] == "method_not_allowed"


def test_tokens_by_api(client: Client, alice: User, bearer) -> None:
    admin = bearer(alice, "admin")
    made = client.post(
        "/api/v1/tokens",
        {"name": "ci", "scopes": ["read"]},
        content_type="application/json",
        headers=admin,
    )
    listed = client.get("/api/v1/tokens", headers=admin).json()["results"]
    gone = client.delete(f"/api/v1/tokens/{made.json()['id']}", headers=admin)
    missing = client.delete("/api/v1/tokens/99999", headers=admin)

    assert made.status_code == 201
    assert made.json()["token"].startswith("hf_")
    assert {item["name"] for item in listed} == {"ci", "test"}
    assert "token" not in listed[0]
    assert (gone.status_code, missing.status_code) == (204, 404)


def test_a_lesser_token_cannot_make_a_stronger_one(client: Client, alice: User, bearer) -> None:
    headers = bearer(alice, "write")
    before = AccessToken.objects.count()

    answer = client.post(
        "/api/v1/tokens",
        {"name": "x", "scopes": ["admin"]},
        content_type="application/json",
        headers=headers,
    )

    assert answer.status_code == 403
    assert answer.json()["error"]["code"] == "missing_scope"
    assert AccessToken.objects.count() == before


def test_bad_values_name_their_fields(client: Client, alice: User, bearer) -> None:
    answer = client.post(
        "/api/v1/tokens",
        {"scopes": ["fly"]},
        content_type="application/json",
        headers=bearer(alice, "admin"),
    )

    assert answer.status_code == 400
    assert set(answer.json()["error"]["extra"]["fields"]) == {"name", "scopes"}


def test_a_session_needs_its_secret(alice: User) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(alice)

    read = strict.get("/api/v1/me")
    write = strict.post("/api/v1/organizations", {"name": "x2"}, content_type="application/json")

    assert read.status_code == 200
    assert write.status_code == 403
    assert Organization.objects.count() == 0


def test_organizations_by_api(client: Client, alice: User, bob: User, bearer) -> None:
    json = {"content_type": "application/json", "headers": bearer(alice, "admin")}
    made = client.post("/api/v1/organizations", {"name": "acme"}, **json)
    added = client.put("/api/v1/organizations/acme/members/bob", {"role": "read"}, **json)
    nobody = client.put("/api/v1/organizations/acme/members/none", {"role": "read"}, **json)
    absent = client.get("/api/v1/organizations/none")
    as_bob = {"content_type": "application/json", "headers": bearer(bob, "admin")}
    refused = client.put("/api/v1/organizations/acme/members/bob", {"role": "admin"}, **as_bob)
    others = client.delete("/api/v1/organizations/acme/members/alice", **as_bob)
    left = client.delete("/api/v1/organizations/acme/members/bob", **as_bob)

    assert made.status_code == 201
    assert [member["name"] for member in added.json()["members"]] == ["alice", "bob"]
    assert (nobody.status_code, absent.status_code) == (404, 404)
    assert (refused.status_code, others.status_code) == (403, 403)
    assert [member["name"] for member in left.json()["members"]] == ["alice"]
