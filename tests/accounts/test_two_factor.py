"""Two-factor authentication: authenticator apps, recovery codes, and the log-in they guard."""

import base64
import re
import time
from collections.abc import Callable
from typing import Any

import pytest
import time_machine
from allauth.mfa.models import Authenticator
from django.contrib.sessions.models import Session
from django.core import mail
from django.core.management import CommandError, call_command
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from accounts.models import AuditEvent, User
from accounts.services import two_factor
from accounts.services.passwords import change_password
from accounts.services.signing_in import TokenNeededError, sign_in_once
from accounts.services.two_factor import (
    AuthenticatorExistsError,
    WrongCodeError,
    add_authenticator,
    disable,
    enrolment_of,
    has_two_factor,
    renew_recovery_codes,
    standing_of,
    verify,
)
from store.core.errors import InvalidError, NotFoundError, RateLimitedError
from tests.factories import PASSWORD, code_of, enrol, make_user
from tests.threads import at_once

Browser = Callable[[User], Client]
HTML = {"Accept": "text/html"}
NOON = 1_790_000_010
"""In the middle of a step of 30 seconds."""


def rows(user: User) -> list[tuple[str, Any]]:
    """All that is kept of somebody's factors."""
    return list(Authenticator.objects.filter(user=user).order_by("pk").values_list("type", "data"))


def log_in(client: Client, name: str = "alice", password: str = PASSWORD, **more: str) -> Any:
    return client.post("/login", {"username": name, "password": password} | more)


def is_signed_in(client: Client) -> bool:
    return "_auth_user_id" in client.session


@pytest.mark.parametrize(
    ("moment", "code"),
    [
        (59, "287082"),
        (1111111109, "081804"),
        (1111111111, "050471"),
        (1234567890, "005924"),
        (2000000000, "279037"),
        (20000000000, "353130"),
    ],
)
def test_codes_are_those_of_the_standard(moment: int, code: str) -> None:
    # RFC 6238, appendix B: the last six of its eight digits
    secret = base64.b32encode(b"12345678901234567890").decode()

    with time_machine.travel(moment, tick=False):
        assert code_of(secret) == code
        assert two_factor._step_of(secret, code) == moment // 30


def test_it_goes_on_with_the_first_code(alice: User, bob: User) -> None:
    enrolment = enrolment_of(alice)
    assert not has_two_factor(alice)

    codes = add_authenticator(alice, sealed=enrolment.sealed, code=code_of(enrolment.secret))

    assert has_two_factor(alice)
    assert not has_two_factor(bob)
    standing = standing_of(alice)
    assert (standing.is_on, standing.codes_left, standing.keys) == (True, 10, [])
    assert len(set(codes)) == 10
    assert all(re.fullmatch(r"\d{4}-\d{4}-\d{4}", code) for code in codes)
    event = AuditEvent.objects.get(action="two_factor.on")
    assert (event.actor, event.namespace) == (alice, alice.namespace)


def test_the_secret_can_be_scanned_and_typed(alice: User) -> None:
    enrolment = enrolment_of(alice)
    again = enrolment_of(alice, enrolment.sealed)

    kind, _, picture = enrolment.picture.partition(",")
    assert kind == "data:image/svg+xml;base64"
    assert b"<svg" in base64.b64decode(picture)
    assert len(base64.b32decode(enrolment.secret)) == 20
    assert (again.secret, again.picture) == (enrolment.secret, enrolment.picture)
    assert not Authenticator.objects.exists()


def test_a_wrong_first_code_changes_nothing(alice: User) -> None:
    enrolment = enrolment_of(alice)

    with pytest.raises(WrongCodeError, match="clock"):
        add_authenticator(alice, sealed=enrolment.sealed, code=code_of(enrolment.secret, 5))

    assert rows(alice) == []
    assert not AuditEvent.objects.filter(action__startswith="two_factor").exists()


def test_a_secret_set_up_for_somebody_else_is_refused(alice: User, bob: User) -> None:
    enrolment = enrolment_of(bob)

    for sealed in (enrolment.sealed, "nonsense", ""):
        with pytest.raises(InvalidError, match="out of date"):
            add_authenticator(alice, sealed=sealed, code=code_of(enrolment.secret))

    assert rows(alice) == []


def test_there_is_one_app_at_a_time(alice: User) -> None:
    enrol(alice)
    before = rows(alice)
    other = enrolment_of(alice)

    with pytest.raises(AuthenticatorExistsError):
        add_authenticator(alice, sealed=other.sealed, code=code_of(other.secret))

    assert rows(alice) == before


def test_no_secret_stands_in_the_database_in_clear(alice: User) -> None:
    secret, codes = enrol(alice)

    kept = str(rows(alice))

    assert secret not in kept
    assert base64.b32decode(secret).hex() not in kept
    assert not any(code in kept or code.replace("-", "") in kept for code in codes)


@pytest.mark.parametrize("steps", [-1, 0, 1])
def test_a_step_to_either_side_is_accepted(alice: User, steps: int) -> None:
    with time_machine.travel(NOON - 300, tick=False):
        secret, _ = enrol(alice)

    with time_machine.travel(NOON, tick=False):
        verify(alice, code_of(secret, steps))

    assert Authenticator.objects.get(type="totp").last_used_at is not None


@pytest.mark.parametrize("steps", [-3, -2, 2, 3])
def test_two_steps_to_either_side_are_not(alice: User, steps: int) -> None:
    with time_machine.travel(NOON - 300, tick=False):
        secret, _ = enrol(alice)
    before = rows(alice)

    with time_machine.travel(NOON, tick=False):
        with pytest.raises(WrongCodeError):
            verify(alice, code_of(secret, steps))

    assert rows(alice) == before


def test_a_code_opens_once_as_long_as_it_could_be_accepted(alice: User) -> None:
    with time_machine.travel(NOON - 300, tick=False):
        secret, _ = enrol(alice)
    with time_machine.travel(NOON, tick=False):
        code = code_of(secret)
        verify(alice, code)
    before = rows(alice)

    # the cache in which django-allauth remembers codes forgets them after 30 s
    for later_s in (0, 15, 31, 45):
        with time_machine.travel(NOON + later_s, tick=False):
            with pytest.raises(WrongCodeError, match="used before"):
                verify(alice, code)

    assert rows(alice) == before


def test_a_code_older_than_the_last_used_one_is_refused(alice: User) -> None:
    with time_machine.travel(NOON - 300, tick=False):
        secret, _ = enrol(alice)

    with time_machine.travel(NOON, tick=False):
        verify(alice, code_of(secret, 1))
        for steps in (1, 0, -1):
            with pytest.raises(WrongCodeError):
                verify(alice, code_of(secret, steps))

    with time_machine.travel(NOON + 60, tick=False):
        verify(alice, code_of(secret))


def test_the_code_that_turned_it_on_is_used(alice: User) -> None:
    with time_machine.travel(NOON, tick=False):
        secret, _ = enrol(alice)
        with pytest.raises(WrongCodeError):
            verify(alice, code_of(secret))


@pytest.mark.parametrize("typed", ["{} {}", " {}-{} ", "{}{}\n"])
def test_spaces_and_dashes_do_not_matter(alice: User, typed: str) -> None:
    secret, _ = enrol(alice)
    code = code_of(secret, 1)

    verify(alice, typed.format(code[:3], code[3:]))


@given(typed=st.text(max_size=40))
def test_only_six_digits_can_be_a_code(typed: str) -> None:
    secret = base64.b32encode(b"12345678901234567890").decode()
    with time_machine.travel(NOON, tick=False):
        right = {code_of(secret, steps) for steps in (-1, 0, 1)}

        assert (two_factor._step_of(secret, typed) is not None) == (typed in right)


@given(steps=st.integers(-1000, 1000), secret=st.binary(min_size=20, max_size=20))
def test_codes_of_other_times_are_dropped(steps: int, secret: bytes) -> None:
    text = base64.b32encode(secret).decode()
    with time_machine.travel(NOON, tick=False):
        near = {code_of(text, near): NOON // 30 + near for near in (-1, 0, 1)}
        code = code_of(text, steps)

        found = two_factor._step_of(text, code)

    assert (found is None) == (code not in near)
    assert found is None or abs(found - NOON // 30) <= 1


def test_a_recovery_code_opens_once(alice: User) -> None:
    _, codes = enrol(alice)

    verify(alice, codes[3])
    with pytest.raises(WrongCodeError):
        verify(alice, codes[3])

    assert standing_of(alice).codes_left == 9
    verify(alice, codes[4].replace("-", ""))
    assert AuditEvent.objects.filter(action="two_factor.recovery", actor=alice).count() == 2


def test_somebody_elses_codes_open_nothing(alice: User, bob: User) -> None:
    enrol(alice)
    secret, codes = enrol(bob)
    before = rows(alice)

    for code in (code_of(secret, 1), codes[0], "", "0" * 6, "0" * 12, "\u0661" * 6):
        with pytest.raises(WrongCodeError):
            verify(alice, code)

    assert rows(alice) == before
    assert standing_of(bob).codes_left == 10


def test_nobody_without_it_has_a_code(alice: User) -> None:
    with pytest.raises(WrongCodeError):
        verify(alice, "123456")
    with pytest.raises(WrongCodeError):
        verify(alice, "1" * 12)
    with pytest.raises(NotFoundError):
        renew_recovery_codes(alice)
    with pytest.raises(NotFoundError):
        disable(alice, actor=alice)
    with pytest.raises(NotFoundError):
        two_factor.remove_authenticator(alice)

    assert not Authenticator.objects.exists()
    assert not AuditEvent.objects.filter(action__startswith="two_factor").exists()


def test_new_recovery_codes_end_the_old_ones(alice: User) -> None:
    _, old = enrol(alice)

    new = renew_recovery_codes(alice)

    assert not set(old) & set(new)
    with pytest.raises(WrongCodeError):
        verify(alice, old[0])
    verify(alice, new[0])


def test_without_the_last_factor_recovery_codes_go_too(alice: User) -> None:
    _, codes = enrol(alice)

    two_factor.remove_authenticator(alice)

    assert not has_two_factor(alice)
    assert rows(alice) == []
    with pytest.raises(WrongCodeError):
        verify(alice, codes[0])
    assert AuditEvent.objects.filter(action="two_factor.off", actor=alice).exists()


def test_letters_tell_its_owner(alice: User, run_jobs: Callable[[], Any]) -> None:
    enrol(alice)
    disable(alice, actor=alice)

    run_jobs()

    assert [(letter.to, letter.subject) for letter in mail.outbox] == [
        (["alice@example.org"], "Two-factor authentication is on"),
        (["alice@example.org"], "Two-factor authentication is off"),
    ]
    assert "was turned on for your account alice" in mail.outbox[0].body
    assert "was turned off for your account alice" in mail.outbox[1].body
    assert "/password-reset" in mail.outbox[1].body


def test_the_keeper_of_the_site_lets_somebody_in_again(
    alice: User, run_jobs: Callable[[], Any], capsys: pytest.CaptureFixture[str]
) -> None:
    enrol(alice)

    call_command("droptwofactor", "Alice@example.org")

    assert not has_two_factor(alice)
    assert "alice signs in with the password alone" in capsys.readouterr().out
    event = AuditEvent.objects.get(action="two_factor.off")
    assert (event.actor, event.namespace) == (None, alice.namespace)
    run_jobs()
    assert mail.outbox[-1].to == ["alice@example.org"]
    for name, words in (("alice", "off already"), ("nobody", "nobody called")):
        with pytest.raises(CommandError, match=words):
            call_command("droptwofactor", name)
    assert AuditEvent.objects.filter(action="two_factor.off").count() == 1


def test_the_password_alone_signs_nobody_in(client: Client, alice: User) -> None:
    secret, _ = enrol(alice)
    client.get("/login")

    first = log_in(client, next="/publish?step=2")

    assert (first.status_code, first["Location"]) == (302, "/login/two-factor")
    assert not is_signed_in(client)
    assert "device" not in first.cookies
    assert client.get("/settings", headers=HTML)["Location"] == "/login?next=%2Fsettings"
    assert not AuditEvent.objects.filter(action="session.start").exists()
    page = client.get("/login/two-factor", headers=HTML).content.decode()
    assert "one-time-code" in page
    assert "data-security-key" not in page

    key = client.session.session_key
    second = client.post("/login/two-factor", {"code": code_of(secret, 1)})

    assert (second.status_code, second["Location"]) == (302, "/publish?step=2")
    assert client.session["_auth_user_id"] == str(alice.pk)
    assert client.session.session_key != key
    assert "second_step" not in client.session
    assert second.cookies["device"]["path"] == "/login"
    assert AuditEvent.objects.filter(action="session.start", actor=alice).count() == 1
    assert client.get("/login/two-factor")["Location"] == "/"


def test_the_session_of_the_first_step_gets_a_key_of_its_own(client: Client, alice: User) -> None:
    enrol(alice)
    session = client.session
    session["planted"] = "yes"
    session.save()
    planted = session.session_key

    log_in(client)

    assert client.session.session_key != planted
    assert not Session.objects.filter(session_key=planted).exists()


def test_a_recovery_code_signs_in(client: Client, alice: User) -> None:
    _, codes = enrol(alice)
    log_in(client)

    response = client.post("/login/two-factor", {"code": codes[0]})

    assert response["Location"] == "/"
    assert is_signed_in(client)


def test_a_wrong_code_signs_nobody_in(client: Client, alice: User) -> None:
    secret, _ = enrol(alice)
    log_in(client)

    wrong = client.post("/login/two-factor", {"code": code_of(secret, 3)}, headers=HTML)
    empty = client.post("/login/two-factor", {"code": ""}, headers=HTML)

    assert (wrong.status_code, empty.status_code) == (403, 400)
    assert "The code is wrong or was used before" in wrong.content.decode()
    assert not is_signed_in(client)
    assert client.post("/login/two-factor", {"code": code_of(secret, 1)}).status_code == 302


def test_a_code_without_a_password_is_worth_nothing(client: Client, alice: User) -> None:
    secret, _ = enrol(alice)

    response = client.post("/login/two-factor", {"code": code_of(secret, 1)})
    options = client.post("/login/two-factor/options")

    assert (response.status_code, response["Location"]) == (302, "/login")
    assert options.status_code == 401
    assert not is_signed_in(client)
    verify(alice, code_of(secret, 1))


def test_a_wrong_password_does_not_tell_of_it(client: Client, alice: User) -> None:
    enrol(alice)

    response = log_in(client, password="wrong horse battery 9")

    assert response.status_code == 401
    assert "second_step" not in client.session


def test_the_second_step_waits_ten_minutes(client: Client, alice: User) -> None:
    with time_machine.travel(NOON, tick=False) as clock:
        secret, _ = enrol(alice)
        log_in(client)
        clock.shift(601)

        late = client.post("/login/two-factor", {"code": code_of(secret)})

        assert late["Location"] == "/login"
        assert not is_signed_in(client)
        log_in(client)
        clock.shift(599)
        assert client.post("/login/two-factor", {"code": code_of(secret)})["Location"] == "/"


def test_another_password_ends_the_second_step(client: Client, alice: User) -> None:
    secret, _ = enrol(alice)
    log_in(client)

    change_password(alice, old=PASSWORD, new="another horse battery 9")

    assert client.post("/login/two-factor", {"code": code_of(secret, 1)})["Location"] == "/login"
    assert not is_signed_in(client)


def test_a_locked_account_ends_the_second_step(client: Client, alice: User) -> None:
    secret, _ = enrol(alice)
    log_in(client)
    User.objects.filter(pk=alice.pk).update(is_active=False)

    assert client.post("/login/two-factor", {"code": code_of(secret, 1)})["Location"] == "/login"
    assert not is_signed_in(client)


def test_turned_off_meanwhile_it_starts_anew(client: Client, alice: User) -> None:
    enrol(alice)
    log_in(client)

    disable(alice, actor=alice)

    assert client.get("/login/two-factor")["Location"] == "/login"
    assert log_in(client)["Location"] == "/"
    assert is_signed_in(client)


def test_guesses_are_limited_per_person(
    client: Client, alice: User, bob: User, rate_limits_on: None
) -> None:
    secret, codes = enrol(alice)
    log_in(client)
    for number in range(5):
        assert client.post("/login/two-factor", {"code": f"{number:012}"}).status_code == 403
    before = rows(alice)

    stopped = client.post("/login/two-factor", {"code": code_of(secret, 1)}, headers=HTML)

    assert stopped.status_code == 429
    assert int(stopped["Retry-After"]) > 0
    assert "Too many wrong codes" in stopped.content.decode()
    assert not is_signed_in(client)
    assert rows(alice) == before
    with pytest.raises(RateLimitedError):
        verify(alice, codes[0], address="203.0.113.9")
    verify(alice, codes[0], device="a browser that has signed in before")
    other, _ = enrol(bob)
    verify(bob, code_of(other, 1))


def test_a_day_of_guesses_is_limited(alice: User, rate_limits_on: None) -> None:
    with time_machine.travel(NOON - NOON % 86400, tick=False) as clock:
        secret, _ = enrol(alice)
        for number in range(50):
            clock.shift(301)
            with pytest.raises(WrongCodeError):
                verify(alice, f"{number:012}")
        clock.shift(301)

        with pytest.raises(RateLimitedError):
            verify(alice, code_of(secret))

        clock.shift(86400)
        verify(alice, code_of(secret))


def test_right_codes_are_not_counted(alice: User, rate_limits_on: None) -> None:
    with time_machine.travel(NOON - NOON % 86400, tick=False) as clock:
        secret, _ = enrol(alice)
        for _number in range(60):
            clock.shift(30)
            verify(alice, code_of(secret))


@pytest.mark.django_db(transaction=True)
def test_of_two_log_ins_with_one_code_one_wins() -> None:
    alice = make_user("alice")
    secret, codes = enrol(alice)
    clients = [Client() for _ in range(4)]
    for client in clients:
        log_in(client)

    for code in (code_of(secret, 1), codes[0]):

        def enter(number: int, code: str = code) -> int:
            return clients[number].post("/login/two-factor", {"code": code}).status_code

        statuses = at_once(enter, 4)

        assert sorted(statuses) == [302, 403, 403, 403]
        winner = clients[statuses.index(302)]
        assert [is_signed_in(client) for client in clients] == [
            client is winner for client in clients
        ]
        winner.post("/logout")
        log_in(winner)
    assert standing_of(alice).codes_left == 9


@pytest.mark.django_db(transaction=True)
def test_of_two_set_ups_at_once_one_wins() -> None:
    alice = make_user("alice")
    made = [enrolment_of(alice) for _ in range(3)]

    def turn_on(number: int) -> bool:
        try:
            enrolment = made[number]
            add_authenticator(alice, sealed=enrolment.sealed, code=code_of(enrolment.secret))
        except AuthenticatorExistsError:
            return False
        return True

    assert sorted(at_once(turn_on, 3)) == [False, False, True]
    assert Authenticator.objects.filter(type="totp").count() == 1
    assert AuditEvent.objects.filter(action="two_factor.on").count() == 1


def test_another_secret_key_leaves_a_way_out(client: Client, alice: User, settings: Any) -> None:
    secret, codes = enrol(alice)
    settings.SECRET_KEY = "another one"
    log_in(client)

    assert client.get("/login/two-factor").status_code == 200
    for code in (code_of(secret, 1), codes[0]):
        refused = client.post("/login/two-factor", {"code": code}, headers=HTML)
        assert refused.status_code == 500
        assert "A stored secret cannot be read any more" in refused.content.decode()
        assert not is_signed_in(client)
    assert standing_of(alice).codes_left == 10
    call_command("droptwofactor", "alice")
    assert log_in(client)["Location"] == "/"


def basic(name: str, password: str) -> dict[str, str]:
    words = base64.b64encode(f"{name}:{password}".encode()).decode()
    return {"Authorization": f"Basic {words}"}


def test_git_with_a_password_is_refused(
    client: Client, alice: User, token_for: Callable[..., str]
) -> None:
    place = "/alice/tiny.git/info/refs?service=git-upload-pack"
    assert sign_in_once(name="alice", password=PASSWORD) == alice  # and remembered
    enrol(alice)

    with pytest.raises(TokenNeededError, match="access token"):
        sign_in_once(name="alice", password=PASSWORD)
    refused = client.get(place, headers=basic("alice", PASSWORD))
    wrong = client.get(place, headers=basic("alice", "wrong horse battery 9"))
    by_token = client.get(place, headers=basic("alice", token_for(alice)))

    assert refused.status_code == 401
    assert refused.json()["code"] == "token_needed"
    assert "Use an access token as the password" in refused["X-Error-Message"]
    assert wrong.json()["code"] == "wrong_login"
    assert by_token.status_code == 404  # signed in; there is no such model


def test_the_page_shows_what_is_set_up(browser_of: Browser, alice: User) -> None:
    browser = browser_of(alice)

    before = browser.get("/settings/security").content.decode()
    enrol(alice)
    after = browser.get("/settings/security").content.decode()

    assert "Your password alone signs you in" in before
    assert "Turn off two-factor" not in before
    assert "Remove the app" in after
    assert "10 codes left." in after
    assert 'aria-current="page">Security</a>' in after


def test_from_the_page_to_the_first_codes(browser_of: Browser, alice: User) -> None:
    browser = browser_of(alice)
    page = browser.get("/settings/security/authenticator").content.decode()
    sealed = re.search(r'name="sealed" value="([^"]+)"', page).group(1)
    secret = re.search(r"<code>([A-Z2-7]{32})</code>", page).group(1)

    wrong = browser.post(
        "/settings/security/authenticator", {"sealed": sealed, "code": code_of(secret, 5)}
    )
    assert wrong.status_code == 403
    assert secret in wrong.content.decode()
    assert browser.post("/settings/security/authenticator", {"sealed": sealed}).status_code == 400
    lost = browser.post("/settings/security/authenticator", {"code": code_of(secret)})
    assert lost.status_code == 400
    assert secret not in lost.content.decode()
    assert rows(alice) == []
    done = browser.post(
        "/settings/security/authenticator", {"sealed": sealed, "code": code_of(secret)}
    )

    assert done.status_code == 201
    codes = re.findall(r"\d{4}-\d{4}-\d{4}", done.content.decode())
    assert len(codes) == 10
    assert done["Cache-Control"].startswith("max-age=0")
    assert browser.session["second_factor"] is True
    assert codes[0] not in browser.get("/settings/security").content.decode()
    assert browser.get("/settings/security/authenticator")["Location"] == "/settings/security"
    verify(alice, codes[0])


def test_a_form_somebody_changed_is_refused(browser_of: Browser, alice: User) -> None:
    response = browser_of(alice).post(
        "/settings/security/authenticator", {"sealed": "forged", "code": "123456"}
    )

    assert response.status_code == 400
    assert "This form is out of date" in response.content.decode()
    assert rows(alice) == []


def test_codes_are_made_anew_and_factors_removed_on_the_page(
    browser_of: Browser, alice: User
) -> None:
    enrol(alice)
    browser = browser_of(alice)

    codes = browser.post("/settings/security/recovery-codes")
    removed = browser.post("/settings/security/authenticator/remove")
    enrol(alice)
    off = browser.post("/settings/security/off")

    assert codes.status_code == 201
    assert len(re.findall(r"\d{4}-\d{4}-\d{4}", codes.content.decode())) == 10
    assert (removed["Location"], off["Location"]) == ("/settings/security",) * 2
    assert rows(alice) == []


@pytest.mark.parametrize(
    "place", ["authenticator/remove", "recovery-codes", "off", "authenticator", "keys"]
)
def test_nothing_changes_without_a_recent_login(
    browser_of: Browser, alice: User, place: str
) -> None:
    enrol(alice)
    before = rows(alice)
    browser = browser_of(alice)
    with time_machine.travel(time.time() + 1000, tick=False):
        response = browser.post(f"/settings/security/{place}", headers=HTML)

    assert response.status_code == 302
    assert response["Location"].startswith("/login/confirm?next=%2Fsettings%2Fsecurity")
    assert rows(alice) == before
    assert not AuditEvent.objects.filter(action="two_factor.off").exists()


def test_a_token_changes_nothing(client: Client, alice: User, bearer: Any) -> None:
    enrol(alice)
    before = rows(alice)

    for place in ("off", "recovery-codes", "authenticator/remove"):
        response = client.post(f"/settings/security/{place}", headers=bearer(alice, "admin"))
        assert (response.status_code, response.json()["code"]) == (403, "browser_only")

    assert rows(alice) == before


def test_deleting_the_account_deletes_its_factors(alice: User) -> None:
    enrol(alice)

    alice.delete()

    assert not Authenticator.objects.exists()
