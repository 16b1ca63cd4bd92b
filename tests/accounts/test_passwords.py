"""Forgotten and changed passwords, and the letters about them."""

import re
from collections.abc import Callable

import pytest
from django.core import mail
from django.test import Client

from accounts.models import AuditEvent, User
from accounts.services import limits
from store.core.models import Job
from tests.factories import PASSWORD

HTML = {"Accept": "text/html"}
NEW_PASSWORD = "another fine password 7"
RunJobs = Callable[[], list[Job]]


def mailed_path(settings) -> str:
    """The path of the link in the last letter."""
    link = re.search(rf"{settings.PUBLIC_URL}(/password-reset/\S+)", str(mail.outbox[-1].body))
    assert link is not None
    return link[1]


def test_a_forgotten_password(client: Client, alice: User, settings, run_jobs: RunJobs) -> None:
    settings.PUBLIC_URL = "https://models.example.org"
    asked = client.post("/password-reset", {"name": "Alice"}, headers={"Host": "evil.test"})
    run_jobs()
    path = mailed_path(settings)

    moved = client.get(path)
    weak = client.post(moved["Location"], {"new": "12345678"})
    done = client.post(moved["Location"], {"new": NEW_PASSWORD})
    told = client.get("/login").content.decode()
    again = client.get(path, headers=HTML)

    assert asked["Location"] == "/password-reset/sent"
    assert mail.outbox[0].to == ["alice@example.org"]
    assert moved["Location"].endswith("/new")
    assert "no-store" in moved["Cache-Control"]
    assert weak.context["form"].errors["new"] == [
        "This password is too common. This password is entirely numeric."
    ]
    assert done["Location"] == "/login"
    assert again.status_code == 410
    assert "no longer works" in again.content.decode()
    alice.refresh_from_db()
    assert alice.check_password(NEW_PASSWORD)
    assert "Your new password is set" in told


@pytest.mark.parametrize("header", ["Host", "X-Forwarded-Host"])
def test_the_link_names_the_configured_site(
    client: Client, alice: User, run_jobs: RunJobs, settings, header: str
) -> None:
    client.post("/password-reset", {"name": "alice"}, headers={header: "evil.test"})
    run_jobs()

    assert "evil.test" not in str(mail.outbox[0].body)
    assert mailed_path(settings)


@pytest.mark.parametrize("name", ["nobody", "gone", "nobody@example.org"])
def test_unknown_people_get_the_same_answer_and_no_letter(
    client: Client, alice: User, bob: User, run_jobs: RunJobs, name: str
) -> None:
    User.objects.filter(pk=bob.pk).update(username="gone", is_active=False)
    known = client.post("/password-reset", {"name": "alice"})
    unknown = client.post("/password-reset", {"name": name})

    jobs = run_jobs()

    assert (unknown.status_code, unknown["Location"]) == (known.status_code, known["Location"])
    assert len(known.headers) == len(unknown.headers)
    assert [job.result for job in jobs] == [{"sent": 1}, {"sent": 0}]
    assert len(mail.outbox) == 1


def test_the_secret_lies_in_no_job(client: Client, alice: User, run_jobs: RunJobs) -> None:
    client.post("/password-reset", {"name": "alice"})

    run_jobs()

    assert Job.objects.get().args == {"letter": "reset", "ident": alice.pk, "language": "en"}


def test_letters_speak_the_language_of_the_page(
    client: Client, alice: User, run_jobs: RunJobs
) -> None:
    client.post("/password-reset", {"name": "alice"}, headers={"Accept-Language": "zh-hans"})

    run_jobs()

    assert Job.objects.get().args["language"] == "zh-hans"
    assert "你好" in str(mail.outbox[0].body)


@pytest.mark.parametrize(
    "path", ["/password-reset/x/y", "/password-reset/MQ/new", "/password-reset/MQ/abc-def"]
)
def test_forged_links_open_nothing(client: Client, alice: User, path: str) -> None:
    before = alice.password

    page, posted = client.get(path), client.post(path, {"new": NEW_PASSWORD})

    assert (page.status_code, posted.status_code) == (410, 410)
    alice.refresh_from_db()
    assert alice.password == before


def test_a_link_ends_after_an_hour(
    client: Client, alice: User, settings, run_jobs: RunJobs
) -> None:
    import time_machine

    client.post("/password-reset", {"name": "alice"})
    run_jobs()
    with time_machine.travel("2100-01-01"):
        response = client.get(mailed_path(settings))

    assert response.status_code == 410


def test_a_link_ends_when_the_address_changes(
    client: Client, alice: User, settings, run_jobs: RunJobs
) -> None:
    client.post("/password-reset", {"name": "alice"})
    run_jobs()
    User.objects.filter(pk=alice.pk).update(email="new@example.org")

    assert client.get(mailed_path(settings)).status_code == 410


def test_a_reset_ends_every_session_and_says_so(
    client: Client, alice: User, settings, run_jobs: RunJobs, browser_of: Callable[[User], Client]
) -> None:
    open_session = browser_of(alice)
    client.post("/password-reset", {"name": "alice"})
    run_jobs()
    client.post(client.get(mailed_path(settings))["Location"], {"new": NEW_PASSWORD})

    run_jobs()

    assert open_session.get("/settings", headers=HTML).status_code == 302
    assert mail.outbox[-1].subject == "Your password was changed"
    assert AuditEvent.objects.filter(action="user.password_reset", actor=alice).count() == 1


@pytest.mark.parametrize("name", ["alice", "nobody"])
def test_resets_of_one_person_are_limited(
    client: Client, alice: User, rate_limits_on: None, run_jobs: RunJobs, name: str
) -> None:
    for _ in range(limits.RESET_PERSON.quota):
        client.post("/password-reset", {"name": name})

    refused = client.post("/password-reset", {"name": name.upper()})

    assert refused.status_code == 429
    assert "Too many requests for a new password" in refused.content.decode()
    assert len(run_jobs()) == limits.RESET_PERSON.quota


def test_resets_of_one_address_are_limited(client: Client, db: None, rate_limits_on: None) -> None:
    for number in range(limits.RESET_ADDRESS.quota):
        client.post("/password-reset", {"name": f"user{number}"})

    assert client.post("/password-reset", {"name": "another"}).status_code == 429


def test_an_empty_name_is_asked_for_again(client: Client, db: None) -> None:
    response = client.post("/password-reset", {"name": ""})

    assert response.status_code == 400
    assert Job.objects.count() == 0


def test_a_mail_server_that_is_away_is_tried_again(
    client: Client, alice: User, settings, run_jobs: RunJobs
) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 9
    client.post("/password-reset", {"name": "alice"})
    job = Job.objects.get()

    from workers.runner import run_job

    run_job(job.pk)

    job.refresh_from_db()
    assert (job.state, job.error_code, job.attempts) == ("queued", "mail_failed", 1)


def test_a_new_password_ends_other_sessions(alice: User, run_jobs: RunJobs) -> None:
    here, elsewhere = Client(), Client()
    for client in (here, elsewhere):
        client.post("/login", {"username": "alice", "password": PASSWORD})
    form = {"form": "password", "old": PASSWORD, "new": NEW_PASSWORD}

    changed = here.post("/settings/account", form)
    run_jobs()

    assert changed["Location"] == "/settings/account"
    assert here.get("/settings").status_code == 200
    assert elsewhere.get("/settings", headers=HTML).status_code == 302
    alice.refresh_from_db()
    assert alice.check_password(NEW_PASSWORD)
    assert mail.outbox[0].to == ["alice@example.org"]
    assert "All other sessions have ended" in str(mail.outbox[0].body)


@pytest.mark.parametrize(
    ("old", "new", "field", "status"),
    [
        ("wrong", NEW_PASSWORD, "old", 403),
        (PASSWORD, "12345678", "new", 400),
        (PASSWORD, "alice@example.org", "new", 400),
        (PASSWORD, "", "new", 400),
        ("x" * 300, NEW_PASSWORD, "old", 400),
    ],
)
def test_a_refused_change_of_password_changes_nothing(
    browser_of: Callable[[User], Client],
    alice: User,
    old: str,
    new: str,
    field: str,
    status: int,
) -> None:
    response = browser_of(alice).post(
        "/settings/account", {"form": "password", "old": old, "new": new}
    )

    assert response.status_code == status
    assert list(response.context["forms"]["password"].errors) == [field]
    alice.refresh_from_db()
    assert alice.check_password(PASSWORD)
    assert Job.objects.count() == 0


def test_guessing_the_old_password_is_slowed_down(
    browser_of: Callable[[User], Client], alice: User, rate_limits_on: None
) -> None:
    client = browser_of(alice)
    form = {"form": "password", "old": "wrong", "new": NEW_PASSWORD}
    for _ in range(limits.PASSWORD_CHECK.quota):
        client.post("/settings/account", form)

    refused = client.post("/settings/account", form | {"old": PASSWORD})

    assert refused.status_code == 429
    alice.refresh_from_db()
    assert alice.check_password(PASSWORD)
