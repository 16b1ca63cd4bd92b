"""Pages of gated models: the box, the publisher's list, one's own list, the setting."""

import csv
import io
from collections.abc import Callable

import pytest
from django.test import Client

from accounts.models import User
from accounts.viewer import Viewer
from catalog.models import AccessRequest, ModelRepo
from catalog.services import access_requests
from tests.factories import make_repo, make_user

Browser = Callable[[User], Client]
HTML = {"Accept": "text/html"}
CARD = b"""---
extra_gated_heading: Who are you?
extra_gated_prompt: "Agree **first** <script>alert(1)</script>."
extra_gated_button_content: I agree
extra_gated_fields:
  Zeta company: text
  Country: country
  Born: date_picker
  Use: {type: select, options: [Research, {label: Else, value: other}]}
  "I <b>agree</b>": checkbox
---
# Tiny
"""
ANSWERS = {"q0": "Acme", "q1": "France", "q2": "1815-12-10", "q3": "other", "q4": "on"}


@pytest.fixture
def repo(alice: User) -> ModelRepo:
    repo = make_repo(alice, files={"README.md": CARD, "a.txt": b"contents"})
    ModelRepo.objects.filter(pk=repo.pk).update(gate="manual")
    repo.refresh_from_db()
    return repo


def page(client: Client, path: str, status: int = 200) -> str:
    answer = client.get(path, headers=HTML)
    assert answer.status_code == status
    return answer.content.decode()


def test_the_box_asks_what_the_card_says_in_its_order(browser_of: Browser, repo, bob: User) -> None:
    shown = page(browser_of(bob), "/alice/tiny")

    assert "Who are you?" in shown
    assert "Agree <strong>first</strong>" in shown
    assert "<script>alert" not in shown
    questions = ["Zeta company", "Country", "Born", "Use", "I &lt;b&gt;agree&lt;/b&gt;"]
    places = [shown.index(f"{question}") for question in questions]
    assert places == sorted(places)
    assert 'type="date"' in shown
    assert "alice sees your user name, full name and e-mail address, and these answers" in shown
    assert "I agree" in shown
    assert "Download all" not in shown
    assert "You can try this model" in shown or "cannot be tried" in shown


def test_a_visitor_is_led_to_sign_in_and_back(client: Client, repo) -> None:
    shown = page(client, "/alice/tiny")
    asked = client.get("/alice/tiny/ask-access", headers=HTML)
    posted = client.post("/alice/tiny/ask-access", ANSWERS, headers=HTML)

    assert "/login?next=/alice/tiny/ask-access" in shown
    assert asked["Location"] == posted["Location"] == "/login?next=%2Falice%2Ftiny%2Fask-access"
    assert AccessRequest.objects.count() == 0


def test_asking_on_the_page(browser_of: Browser, repo, bob: User) -> None:
    browser = browser_of(bob)

    done = browser.post("/alice/tiny/ask-access", ANSWERS, headers=HTML)
    shown = page(browser, "/alice/tiny")

    assert (done.status_code, done["Location"]) == (303, "/alice/tiny")
    assert AccessRequest.objects.get().answers[0] == ["Zeta company", "Acme"]
    assert "Your request waits" in shown
    assert "Take the request back" in shown


def test_wrong_answers_come_back_with_what_was_typed(browser_of: Browser, repo, bob: User) -> None:
    wrong = ANSWERS | {"q0": "Acme & sons", "q1": "Atlantis", "q4": ""}

    answer = browser_of(bob).post("/alice/tiny/ask-access", wrong, headers=HTML)
    shown = answer.content.decode()

    assert answer.status_code == 400
    assert "Acme &amp; sons" in shown
    assert "Choose a country." in shown
    assert "Tick this box to go on." in shown
    assert AccessRequest.objects.count() == 0


def test_a_rejected_person_reads_why_and_cannot_ask(
    browser_of: Browser, repo, bob: User, as_alice: Viewer, as_bob: Viewer
) -> None:
    access_requests.ask(as_bob, repo, _by_question())
    access_requests.answer(as_alice, repo, status="rejected", user="bob", reason="Too <young>")
    browser = browser_of(bob)

    shown = page(browser, "/alice/tiny")
    again = browser.post("/alice/tiny/ask-access", ANSWERS, headers=HTML)

    assert "Too &lt;young&gt;" in shown
    assert "Only they can open it again" in shown
    assert again.status_code == 403
    assert AccessRequest.objects.get().status == "rejected"


def test_an_automatic_gate_lets_in_at_once(browser_of: Browser, repo, bob: User) -> None:
    ModelRepo.objects.update(gate="auto")
    browser = browser_of(bob)

    browser.post("/alice/tiny/ask-access", ANSWERS, headers=HTML)
    shown = page(browser, "/alice/tiny")

    assert "You have access" in shown
    assert "Download all" in shown
    assert 'id="gate"' not in shown
    assert "contents" in page(browser, "/alice/tiny/blob/main/a.txt")
    assert "You have access" in page(browser, "/alice/tiny/ask-access")


def test_taking_back(browser_of: Browser, repo, bob: User, as_bob: Viewer) -> None:
    access_requests.ask(as_bob, repo, _by_question())
    browser = browser_of(bob)

    done = browser.post("/alice/tiny/ask-access/withdraw", headers=HTML)
    again = browser.post("/alice/tiny/ask-access/withdraw", {"next": "mine"}, headers=HTML)

    assert (done.status_code, done["Location"]) == (303, "/alice/tiny")
    assert again.status_code == 404
    assert AccessRequest.objects.get().status == "withdrawn"


def test_own_requests(browser_of: Browser, repo, bob: User, as_alice: Viewer, as_bob: Viewer):
    browser = browser_of(bob)
    empty = page(browser, "/settings/access-requests")
    access_requests.ask(as_bob, repo, _by_question())

    shown = page(browser, "/settings/access-requests")
    back = browser.post("/alice/tiny/ask-access/withdraw", {"next": "mine"}, headers=HTML)

    assert "No requests yet" in empty
    assert "alice/tiny" in shown
    assert "Waiting" in shown
    assert back["Location"] == "/settings/access-requests"


@pytest.mark.parametrize("status", ["accepted", "rejected"])
def test_own_requests_tell_how_it_went(
    browser_of: Browser, repo, bob: User, as_alice: Viewer, as_bob: Viewer, status: str
) -> None:
    access_requests.ask(as_bob, repo, _by_question())
    reason = "because" if status == "rejected" else ""
    access_requests.answer(as_alice, repo, status=status, user="bob", reason=reason)

    shown = page(browser_of(bob), "/settings/access-requests")

    assert {"accepted": "Give access up", "rejected": "because"}[status] in shown
    assert ("Take back" in shown.split("<tbody>")[1]) is False


def test_the_publisher_reads_and_answers(
    browser_of: Browser, repo, alice: User, as_bob: Viewer
) -> None:
    asked = access_requests.ask(as_bob, repo, _by_question())
    browser = browser_of(alice)
    form = {"request": asked.public_id, "seen": "pending", "status": "accepted"}

    shown = page(browser, "/alice/tiny/access-requests")
    done = browser.post("/alice/tiny/access-requests?status=pending", form, headers=HTML)
    late = browser.post("/alice/tiny/access-requests", form | {"status": "rejected"}, headers=HTML)
    accepted = page(browser, "/alice/tiny/access-requests?status=accepted")

    assert "bob@example.org" in shown
    assert "Zeta company" in shown
    assert "I &lt;b&gt;agree&lt;/b&gt;" in shown
    assert done.status_code == 302
    assert late.status_code == 409
    assert "Somebody answered this request meanwhile" in late.content.decode()
    assert "Take access away" in accepted
    asked.refresh_from_db()
    assert asked.status == "accepted"


def test_the_publisher_answers_many(browser_of: Browser, repo, alice: User) -> None:
    ids = [
        access_requests.ask(Viewer(user=make_user(name)), repo, _by_question()).public_id
        for name in ("dora", "erin")
    ]
    browser = browser_of(alice)
    form = {"request": [*ids, "gone"], "seen": "pending", "status": "rejected"}

    shown = page(browser, "/alice/tiny/access-requests")
    browser.post("/alice/tiny/access-requests", form, headers=HTML)
    told = page(browser, "/alice/tiny/access-requests?status=rejected")
    none = browser.post("/alice/tiny/access-requests", {"status": "accepted"}, headers=HTML)

    assert shown.count('form="many"') == 2
    assert "2 requests are answered." in told
    assert "There is no such request" in told
    assert "Open again" in told
    assert none.status_code == 400
    assert set(AccessRequest.objects.values_list("status", flat=True)) == {"rejected"}


def test_letting_in_by_name(browser_of: Browser, repo, alice: User, bob: User) -> None:
    browser = browser_of(alice)

    let_in = browser.post(
        "/alice/tiny/access-requests", {"form": "grant", "user": "bob"}, headers=HTML
    )
    shown = page(browser, "/alice/tiny/access-requests?status=accepted")
    nobody = browser.post(
        "/alice/tiny/access-requests", {"form": "grant", "user": "zoe"}, headers=HTML
    )
    empty = browser.post("/alice/tiny/access-requests", {"form": "grant"}, headers=HTML)

    assert let_in.status_code == 302
    assert "added by hand" in shown
    assert "bob@example.org" not in shown
    assert (nobody.status_code, empty.status_code) == (404, 400)
    assert "There is nobody called zoe" in nobody.content.decode()
    assert AccessRequest.objects.count() == 1


def test_the_table_is_safe_for_spreadsheets(
    browser_of: Browser, repo, alice: User, as_bob: Viewer
) -> None:
    access_requests.ask(as_bob, repo, _by_question() | {"Zeta company": '=1+1,"x"'})

    answer = browser_of(alice).get("/alice/tiny/access-requests.csv?status=pending")
    text = answer.getvalue().decode("utf-8-sig")
    head, row = csv.reader(io.StringIO(text))

    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    assert "attachment" in answer["Content-Disposition"]
    assert head[:3] == ["user", "full_name", "email"]
    assert dict(zip(head, row, strict=True))["Zeta company"] == '\'=1+1,"x"'


@pytest.mark.parametrize("path", ["access-requests", "access-requests.csv"])
def test_nobody_else_reads_the_requests(
    client: Client, browser_of: Browser, repo, bob: User, path: str
) -> None:
    assert client.get(f"/alice/tiny/{path}", headers=HTML).status_code == 401
    assert browser_of(bob).get(f"/alice/tiny/{path}", headers=HTML).status_code == 403


def test_empty_lists_say_what_comes(browser_of: Browser, repo, alice: User) -> None:
    browser = browser_of(alice)

    for status, text in {
        "pending": "Nobody waits",
        "accepted": "Nobody has access yet",
        "rejected": "Nobody is rejected",
        "nonsense": "Nobody waits",
    }.items():
        assert text in page(browser, f"/alice/tiny/access-requests?status={status}")
    assert "Nobody waits" in page(browser, "/alice/tiny/access-requests?cursor=old")


def test_many_requests_come_in_pages(browser_of: Browser, repo, alice: User, monkeypatch) -> None:
    monkeypatch.setattr("catalog.views.access.PAGE", 1)
    for name in ("dora", "erin"):
        access_requests.ask(Viewer(user=make_user(name)), repo, _by_question())
    browser = browser_of(alice)

    first = page(browser, "/alice/tiny/access-requests")
    href = first.split('href="?status=pending&amp;cursor=')[1].split('"')[0]
    second = page(browser, f"/alice/tiny/access-requests?status=pending&cursor={href}")

    assert "erin@example.org" in first
    assert "dora@example.org" not in first
    assert "dora@example.org" in second


def test_the_list_takes_the_same_queries_however_long(
    browser_of: Browser, repo, alice: User, django_assert_max_num_queries
) -> None:
    for number in range(8):
        access_requests.ask(Viewer(user=make_user(f"person{number}")), repo, _by_question())
    browser = browser_of(alice)

    with django_assert_max_num_queries(15):
        page(browser, "/alice/tiny/access-requests")


def test_the_setting(browser_of: Browser, repo, alice: User, bob: User) -> None:
    browser = browser_of(alice)

    shown = page(browser, "/alice/tiny/settings")
    done = browser.post("/alice/tiny/settings", {"form": "gate", "gate": "auto"}, headers=HTML)
    wrong = browser.post("/alice/tiny/settings", {"form": "gate", "gate": "ajar"}, headers=HTML)
    other = browser_of(bob).post(
        "/alice/tiny/settings", {"form": "gate", "gate": "none"}, headers=HTML
    )

    assert "extra_gated_fields" in shown
    assert "/alice/tiny/access-requests" in shown
    assert (done.status_code, wrong.status_code, other.status_code) == (302, 400, 403)
    repo.refresh_from_db()
    assert repo.gate == "auto"


def test_a_model_without_a_gate_says_so(browser_of: Browser, alice: User, bob: User) -> None:
    make_repo(alice)

    assert "There is no gate" in page(browser_of(bob), "/alice/tiny/ask-access")
    assert "/access-requests" not in page(browser_of(alice), "/alice/tiny")
    assert browser_of(alice).get("/alice/tiny/access-requests").status_code == 400


def test_a_disabled_model_is_not_called_gated(client: Client, alice: User) -> None:
    repo = make_repo(alice, files={"a.txt": b"contents"})
    ModelRepo.objects.filter(pk=repo.pk).update(disabled_reason="Stolen weights.")

    shown = page(client, "/alice/tiny/blob/main/a.txt")

    assert "Stolen weights." in shown
    assert "contents" not in shown.split("</header>")[-1]
    assert "Ask for access" not in page(client, "/alice/tiny")


def test_a_broken_question_warns_its_owner(browser_of: Browser, alice: User) -> None:
    make_repo(alice, files={"README.md": b"---\nextra_gated_fields: [1]\n---\n# T\n"})

    shown = page(browser_of(alice), "/alice/tiny")

    assert "must be a list of &#x27;question: type&#x27; lines" in shown


def test_an_old_id_leads_on(browser_of: Browser, repo, bob: User, as_alice: Viewer) -> None:
    from catalog.services.repos import move_repo

    move_repo(as_alice, repo, namespace="alice", name="renamed")

    answer = browser_of(bob).get("/alice/tiny/ask-access", headers=HTML)

    assert (answer.status_code, answer["Location"]) == (307, "/alice/renamed/ask-access")


def _by_question() -> dict[str, str]:
    return {
        "Zeta company": "Acme",
        "Country": "FR",
        "Born": "1815-12-10",
        "Use": "Research",
        "I <b>agree</b>": "on",
    }
