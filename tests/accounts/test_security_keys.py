"""Security keys: the two ceremonies, with a key made of software."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from django.test import Client
from fido2.utils import websafe_decode, websafe_encode
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.models import AuditEvent, User
from accounts.services import security_keys
from accounts.services.two_factor import has_two_factor
from tests.factories import PASSWORD, enrol, make_user
from tests.soft_key import SoftKey

Browser = Callable[[User], Client]
NEW = "/settings/security/keys"
SECOND = "/login/two-factor"


class Place:
    """A browser at the address keys are made for: https, as they demand."""

    def __init__(self, client: Client) -> None:
        self.client = client

    def options(self, path: str) -> dict[str, Any]:
        answer = self.client.post(f"{path}/options", secure=True)
        assert answer.status_code == 200, answer.content
        return answer.json()

    def post(self, path: str, **form: str) -> Any:
        headers = {"Referer": "https://testserver/", "Accept": "text/html"}
        return self.client.post(path, form, secure=True, headers=headers)

    def add(self, key: SoftKey, name: str = "blue key") -> Any:
        return self.post(NEW, name=name, credential=key.create(self.options(NEW)))


def at_second_step() -> Place:
    place = Place(Client())
    assert place.post("/login", username="alice", password=PASSWORD)["Location"] == SECOND
    return place


def is_signed_in(place: Place) -> bool:
    return "_auth_user_id" in place.client.session


@pytest.fixture
def home(alice: User, browser_of: Browser) -> Place:
    """Alice's browser, just signed in."""
    return Place(browser_of(alice))


def test_the_first_key_turns_it_on(home: Place, alice: User) -> None:
    options = home.options(NEW)["publicKey"]

    added = home.add(SoftKey())

    assert options["rp"] == {"id": "testserver", "name": "GPT Store"}
    assert options["user"]["name"] == "alice"
    assert added.status_code == 201
    assert "Your recovery codes" in added.content.decode()
    assert has_two_factor(alice)
    assert AuditEvent.objects.filter(action="two_factor.on", actor=alice).exists()
    page = home.client.get("/settings/security", secure=True).content.decode()
    assert "blue key" in page


def test_more_keys_bring_no_codes(home: Place, alice: User) -> None:
    enrol(alice)

    added = home.add(SoftKey())

    assert added["Location"] == "/settings/security"
    event = AuditEvent.objects.get(action="two_factor.add")
    assert (event.actor, event.subject) == (alice, "blue key")


def test_a_key_signs_in(home: Place, alice: User) -> None:
    key = SoftKey()
    home.add(key)
    place = at_second_step()
    page = place.client.get(SECOND, secure=True, headers={"Accept": "text/html"})
    assert "data-security-key" in page.content.decode()

    done = place.post(SECOND, credential=key.get(place.options(SECOND)))

    assert done["Location"] == "/"
    assert is_signed_in(place)
    assert Authenticator.objects.get(type="webauthn").last_used_at is not None
    assert AuditEvent.objects.filter(action="session.start", actor=alice).count() == 1


def test_a_key_confirms(home: Place, alice: User) -> None:
    key = SoftKey(is_counting=False)
    home.add(key)
    session = home.client.session
    session["confirmed_at"] = 0
    session.save()
    page = home.client.get("/login/confirm", secure=True).content.decode()
    assert "data-security-key" in page

    answer = key.get(home.options("/login/confirm"))
    done = home.post("/login/confirm", form="code", credential=answer, next="/settings/security")

    assert done["Location"] == "/settings/security"
    assert home.client.session["confirmed_at"] > 0


def test_an_answer_opens_once(home: Place) -> None:
    key = SoftKey(is_counting=False)
    home.add(key)
    place = at_second_step()
    answer = key.get(place.options(SECOND))
    assert place.post(SECOND, credential=answer).status_code == 302
    place.client.post("/logout", secure=True)
    other = at_second_step()
    other.options(SECOND)

    again = other.post(SECOND, credential=answer)

    assert again.status_code == 403
    assert "The security key was not accepted" in again.content.decode()
    assert not is_signed_in(other)


def test_a_refused_answer_uses_the_question_up(home: Place) -> None:
    key = SoftKey()
    home.add(key)
    place = at_second_step()
    options = place.options(SECOND)

    assert place.post(SECOND, credential=SoftKey().get(options)).status_code == 403
    late = place.post(SECOND, credential=key.get(options))

    assert late.status_code == 403
    assert not is_signed_in(place)


def test_a_challenge_is_answered_once_whatever_the_session_says(home: Place) -> None:
    key = SoftKey(is_counting=False)
    home.add(key)
    place = at_second_step()
    answer = key.get(place.options(SECOND))
    state = place.client.session["mfa.webauthn.state"]
    place.post(SECOND, credential=SoftKey().get({"publicKey": {"challenge": state["challenge"]}}))
    session = place.client.session
    session["mfa.webauthn.state"] = state  # as another request of this instant read it
    session.save()

    assert place.post(SECOND, credential=answer).status_code == 403
    assert not is_signed_in(place)


@pytest.mark.parametrize("origin", ["https://evil.example", "http://testserver"])
def test_an_answer_made_for_another_site_is_refused(home: Place, origin: str) -> None:
    key = SoftKey()
    home.add(key)
    place = at_second_step()

    answers = [key.get(place.options(SECOND), origin=origin)]
    assert place.post(SECOND, credential=answers[0]).status_code == 403
    key.host = "evil.example"
    assert place.post(SECOND, credential=key.get(place.options(SECOND))).status_code == 403

    assert not is_signed_in(place)


def test_a_copied_key_is_noticed(home: Place) -> None:
    key = SoftKey()
    home.add(key)
    place = at_second_step()
    key.count = 8
    assert place.post(SECOND, credential=key.get(place.options(SECOND))).status_code == 302
    other = at_second_step()
    key.count = 7

    copied = other.post(SECOND, credential=key.get(other.options(SECOND)))

    assert copied.status_code == 403
    assert not is_signed_in(other)
    assert Authenticator.objects.get(type="webauthn").data["sign_count"] == 9


@pytest.mark.django_db
def test_a_key_that_is_removed_meanwhile_opens_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    make_user("alice")
    browser = Client(headers={"Referer": "https://testserver/"})
    browser.post("/login", {"username": "alice", "password": PASSWORD}, secure=True)
    key = SoftKey()
    Place(browser).add(key)
    place = at_second_step()
    answer = key.get(place.options(SECOND))
    complete = security_keys.webauthn.complete_authentication

    def complete_and_lose(user: User, response: dict[str, Any]) -> Authenticator:
        found = complete(user, response)
        Authenticator.objects.filter(pk=found.pk).delete()
        return found

    monkeypatch.setattr(security_keys.webauthn, "complete_authentication", complete_and_lose)

    assert place.post(SECOND, credential=answer).status_code == 403
    assert not is_signed_in(place)


def test_somebody_elses_key_opens_nothing(home: Place, bob: User, browser_of: Browser) -> None:
    home.add(SoftKey())
    his = SoftKey()
    Place(browser_of(bob)).add(his)
    place = at_second_step()

    assert place.post(SECOND, credential=his.get(place.options(SECOND))).status_code == 403
    assert not is_signed_in(place)


def test_a_key_is_added_once(home: Place) -> None:
    key = SoftKey()
    home.add(key)

    again = home.add(key, name="the same")

    assert again.status_code == 409
    assert Authenticator.objects.filter(type="webauthn").count() == 1


def test_a_key_needs_a_name_and_an_answer(home: Place) -> None:
    answer = SoftKey().create(home.options(NEW))

    assert home.post(NEW, name="", credential=answer).status_code == 400
    assert home.post(NEW, name="key", credential="").status_code == 400
    assert home.post(NEW, name="key").status_code == 400
    assert not Authenticator.objects.exists()
    assert home.client.get(NEW, secure=True).status_code == 200


def test_nobody_has_more_than_ten(home: Place, alice: User) -> None:
    for number in range(security_keys.MAX_KEYS):
        home.add(SoftKey(), name=f"key {number}")

    refused = home.client.post(f"{NEW}/options", secure=True)
    assert (refused.status_code, refused.json()["code"]) == (409, "too_many_keys")
    assert Authenticator.objects.filter(type="webauthn").count() == 10


def test_keys_are_removed_one_by_one(home: Place, alice: User, bob: User) -> None:
    home.add(SoftKey(), name="one")
    home.add(SoftKey(), name="two")
    one, two = Authenticator.objects.filter(type="webauthn").order_by("pk")

    assert home.post(f"{NEW}/{one.pk}/remove").status_code == 302
    assert has_two_factor(alice)
    assert AuditEvent.objects.get(action="two_factor.remove").subject == "one"
    assert home.post(f"{NEW}/{one.pk}/remove").status_code == 404
    assert home.post(f"{NEW}/{two.pk}/remove").status_code == 302
    assert not Authenticator.objects.exists()
    assert AuditEvent.objects.filter(action="two_factor.off").count() == 1


def test_nobody_removes_the_key_of_another(home: Place, bob: User, browser_of: Browser) -> None:
    home.add(SoftKey())
    key = Authenticator.objects.get(type="webauthn")

    assert Place(browser_of(bob)).post(f"{NEW}/{key.pk}/remove").status_code == 404
    assert Authenticator.objects.filter(pk=key.pk).exists()


@given(
    answer=st.one_of(
        st.text(max_size=60),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=8),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(["id", "rawId", "type", "response", "clientDataJSON"]), inner
                )
            ),
        ).map(json.dumps),
    )
)
@settings(
    max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
def test_answers_no_key_gives_are_refused(home: Place, answer: str) -> None:
    home.options(NEW)

    response = home.post(NEW, name="key", credential=answer)

    assert response.status_code in {400, 403}
    assert not Authenticator.objects.exists()


@given(part=st.sampled_from(["clientDataJSON", "attestationObject"]), share=st.floats(0, 0.999))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_answers_cut_short_are_refused(home: Place, part: str, share: float) -> None:
    answer = json.loads(SoftKey().create(home.options(NEW)))
    whole = websafe_decode(answer["response"][part])
    answer["response"][part] = websafe_encode(whole[: int(len(whole) * share)])

    response = home.post(NEW, name="key", credential=json.dumps(answer))

    assert response.status_code == 403
    assert not Authenticator.objects.exists()


@given(
    part=st.sampled_from(["authenticatorData", "clientDataJSON", "signature"]),
    at=st.integers(0, 999),
    change=st.integers(1, 255),
)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_one_changed_byte_opens_nothing(home: Place, part: str, at: int, change: int) -> None:
    key = SoftKey()
    Authenticator.objects.all().delete()
    home.add(key)
    place = at_second_step()
    answer = json.loads(key.get(place.options(SECOND)))
    signed = bytearray(websafe_decode(answer["response"][part]))
    signed[at % len(signed)] ^= change
    answer["response"][part] = websafe_encode(bytes(signed))

    assert place.post(SECOND, credential=json.dumps(answer)).status_code == 403
    assert not is_signed_in(place)


def test_deep_nesting_is_refused(home: Place) -> None:
    home.options(NEW)

    for answer in ("[" * 50_000, '{"response":' * 5_000, "[]", "7", '{"rawId": "AA"}'):
        assert home.post(NEW, name="key", credential=answer).status_code == 403
        home.options(NEW)

    assert not Authenticator.objects.exists()
