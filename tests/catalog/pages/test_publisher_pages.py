"""Pages of trusted publishers."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from accounts.models import TrustedPublisher, User
from tests.factories import make_org, make_repo
from tests.issuer import Issuer

Browser = Callable[[User], Client]
HTML = {"Accept": "text/html"}
PAGE = "/alice/tiny/settings/publishers"
OWN = "/settings/publishers"


def form(trusted: Issuer, **more: str) -> dict[str, str]:
    empty = {"workflow": "", "environment": "", "branch": ""}
    return {"issuer": trusted.url, "project": "octo/models", **empty, **more}


def text(answer: Any) -> str:
    return str(answer.content.decode())


def test_trusting_a_project_and_no_more(browser_of: Browser, alice: User, issuer: Issuer) -> None:
    make_repo(alice)
    browser = browser_of(alice)

    empty = text(browser.get(PAGE, headers=HTML))
    added = browser.post(PAGE, form(issuer, branch="main"), headers=HTML)
    shown = text(browser.get(PAGE, headers=HTML))
    pk = TrustedPublisher.objects.get().pk
    removed = browser.post(f"{PAGE}/{pk}/remove", headers=HTML)

    assert "No publisher is trusted" in empty
    assert "HF_OIDC_RESOURCE: alice/tiny" in empty
    assert "HF_ENDPOINT: http://testserver" in empty
    assert (added.status_code, added["Location"]) == (302, PAGE)
    assert "octo/models" in shown
    assert "GitHub Actions (127.0.0.1)" in shown
    assert "never" in shown
    assert (removed.status_code, removed["Location"]) == (302, PAGE)
    assert TrustedPublisher.objects.count() == 0
    assert PAGE in text(browser.get("/alice/tiny/settings", headers=HTML))


def test_a_team_sees_whom_a_member_trusts(
    browser_of: Browser, alice: User, bob: User, issuer: Issuer
) -> None:
    make_org("acme", alice="admin", bob="write")
    make_repo(alice, namespace="acme")
    page = "/acme/tiny/settings/publishers"
    browser_of(bob).post(page, form(issuer), headers=HTML)

    seen = text(browser_of(alice).get(page, headers=HTML))
    pk = TrustedPublisher.objects.get(user=bob).pk
    removed = browser_of(alice).post(f"{page}/{pk}/remove", headers=HTML)

    assert "octo/models" in seen
    assert ">bob<" in seen
    assert removed.status_code == 302
    assert TrustedPublisher.objects.count() == 0


def test_jobs_that_read(browser_of: Browser, alice: User, issuer: Issuer) -> None:
    browser = browser_of(alice)

    added = browser.post(OWN, form(issuer), headers=HTML)
    shown = text(browser.get(OWN, headers=HTML))
    found = TrustedPublisher.objects.get()
    removed = browser.post(f"{OWN}/{found.pk}/remove", headers=HTML)

    assert added.status_code == 302
    assert (found.user, found.repo_id) == (alice, "")
    assert "HF_OIDC_RESOURCE: alice" in shown
    assert removed.status_code == 302
    assert TrustedPublisher.objects.count() == 0
    assert OWN in text(browser.get("/settings/programs", headers=HTML))


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"project": ""}, "required"),
        ({"project": "models"}, "owner/name"),
        ({"issuer": "https://evil.example"}, "valid choice"),
        ({"workflow": ".github/workflows/publish.yml"}, "publish.yml"),
        ({"branch": "ma\u202ein"}, "visible characters"),
        ({"branch": "b" * 256}, "255"),
    ],
)
def test_what_is_typed_wrong(
    browser_of: Browser, alice: User, issuer: Issuer, more: dict[str, str], words: str
) -> None:
    make_repo(alice)

    answer = browser_of(alice).post(PAGE, form(issuer, **more), headers=HTML)

    assert answer.status_code == 400
    assert words in text(answer)
    assert TrustedPublisher.objects.count() == 0


def test_the_same_twice(browser_of: Browser, alice: User, issuer: Issuer) -> None:
    browser = browser_of(alice)
    browser.post(OWN, form(issuer), headers=HTML)

    again = browser.post(OWN, form(issuer), headers=HTML)

    assert again.status_code == 400
    assert "already" in text(again)
    assert TrustedPublisher.objects.count() == 1


def test_others_find_nothing(
    browser_of: Browser, client: Client, alice: User, bob: User, issuer: Issuer, bearer: Any
) -> None:
    make_repo(alice)
    make_repo(alice, "secret", is_private=True)
    browser_of(alice).post(PAGE, form(issuer), headers=HTML)
    pk = TrustedPublisher.objects.get().pk

    assert browser_of(bob).get(PAGE, headers=HTML).status_code == 403
    assert browser_of(bob).post(PAGE, form(issuer), headers=HTML).status_code == 403
    assert browser_of(bob).post(f"{PAGE}/{pk}/remove", headers=HTML).status_code == 403
    assert browser_of(bob).post(f"{OWN}/{pk}/remove", headers=HTML).status_code == 404
    hidden = "/alice/secret/settings/publishers"
    assert browser_of(bob).get(hidden, headers=HTML).status_code == 404
    assert client.get(PAGE, headers=HTML).status_code == 302
    assert client.post(PAGE, form(issuer), headers=bearer(alice, "admin")).status_code == 403
    assert TrustedPublisher.objects.count() == 1


def test_a_site_that_trusts_no_service(
    browser_of: Browser, alice: User, issuer: Issuer, settings: Any
) -> None:
    settings.ENV = settings.ENV.model_copy(update={"oidc_issuers": ("none",)})
    browser = browser_of(alice)

    shown = text(browser.get(OWN, headers=HTML))
    answer = browser.post(OWN, form(issuer), headers=HTML)

    assert "trusts no CI service" in shown
    assert '<form method="post" action="/settings/publishers"' not in shown
    assert answer.status_code == 400
    assert TrustedPublisher.objects.count() == 0
