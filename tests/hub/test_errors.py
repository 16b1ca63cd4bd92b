"""What every answer shares: shapes of errors, request ids, CORS, limits."""

import pytest
from django.http import HttpResponse
from django.test import Client

from accounts.models import User
from catalog.models import Discussion, ModelRepo
from hub.urls import urlpatterns
from tests.factories import make_repo
from tests.hub.wire import BASE, commit, post


def origin_of(answer) -> str:
    return answer.headers.get("Access-Control-Allow-Origin", "")


@pytest.mark.parametrize(
    ("method", "url", "status"),
    [
        ("get", f"{BASE}/revision/nope", 404),
        ("get", "/api/models/alice/none", 401),
        ("get", "/api/whoami-v2", 401),
        ("post", "/api/repos/create", 401),
        ("post", f"{BASE}/commit/main", 401),
        ("post", f"{BASE}/refs", 405),
        ("get", "/api/models?sort=x", 400),
        ("get", "/alice/tiny/resolve/main/none", 404),
        ("get", "/api/nothing", 404),
    ],
)
def test_errors_are_json_with_text_and_id(
    client: Client, repo: ModelRepo, method: str, url: str, status: int
) -> None:
    answer = getattr(client, method)(url, headers={"Accept": "text/html", "X-Request-Id": "id-1"})

    assert answer.status_code == status
    assert answer["Content-Type"] == "application/json"
    assert isinstance(answer.json()["error"], str)
    assert answer["X-Error-Message"] == answer.json()["error"]
    assert answer["X-Request-Id"] == "id-1"
    assert answer["Cache-Control"] == "no-store"
    assert origin_of(answer) == "*"
    assert ("WWW-Authenticate" in answer) == (status == 401)


def test_a_bad_token_never_looks_like_a_missing_model(client: Client, repo: ModelRepo) -> None:
    for url in (BASE, "/api/models/alice/none", "/alice/tiny/resolve/main/.gitattributes"):
        answer = client.get(url, headers={"Authorization": "Bearer hf_nonsense"})
        assert answer.status_code == 401
        assert "X-Error-Code" not in answer
        assert answer["X-Error-Message"] == "Invalid credentials in Authorization header"
        assert answer.json()["error"].startswith("Invalid username or password")
        assert origin_of(answer) == "*"


def test_request_ids(client: Client, repo: ModelRepo) -> None:
    def asked(**headers: str) -> str:
        return client.get(BASE, headers=headers)["X-Request-Id"]

    assert asked(**{"X-Amzn-Trace-Id": "trace-1"}) == "trace-1"
    assert asked(**{"X-Request-Id": "mine", "X-Amzn-Trace-Id": "trace-1"}) == "mine"
    assert len(asked()) == 32
    assert asked(**{"X-Request-Id": "a\tb<script>"}) == "abscript"


def test_texts_no_header_can_carry_stand_in_the_body(
    client: Client, repo: ModelRepo, write: dict
) -> None:
    get = client.get("/alice/tiny/resolve/main/文本.txt")
    head = client.head("/alice/tiny/resolve/main/文本.txt")

    assert "文本.txt" in get.json()["error"]
    assert "X-Error-Message" not in get
    assert head["X-Error-Message"] == "Entry not found: ??.txt"
    assert head["X-Error-Code"] == "EntryNotFound"


def test_every_route_answers_a_preflight(client: Client, db: None) -> None:
    samples = {
        "ns": "alice",
        "name": "tiny",
        "rev": "main",
        "path": "a.txt",
        "ref": "dev",
        "sha": "0" * 64,
        "oid": "0" * 64,
        "spec": "a..b",
        "org": "acme",
        "topic": "x",
        "upload": "u1",
        "number": "1",
        "alias": "gpt2",
    }
    asked = {
        "Origin": "https://elsewhere.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization, content-type,x-of-my-own",
    }
    for pattern in urlpatterns:
        route = str(pattern.pattern)
        if route.startswith("^") or pattern.callback.__module__ == "hub.views.git":
            continue  # git is no program in somebody's page
        for name, value in samples.items():
            for kind in ("seg", "rev", "file", "path", "int"):
                route = route.replace(f"<{kind}:{name}>", value)
        answer = client.options(f"/{route}", headers=asked)
        assert answer.status_code == 204, route
        assert origin_of(answer) == "*"
        assert "authorization" in answer["Access-Control-Allow-Headers"]
        assert "OPTIONS" in answer["Access-Control-Allow-Methods"]
    odd = client.options(BASE, headers={"Access-Control-Request-Headers": "x\r: <y>"})
    assert odd["Access-Control-Allow-Headers"] == "Authorization, Content-Type, Range, X-Request-Id"


def test_browsers_may_read_what_clients_read(client: Client, repo: ModelRepo) -> None:
    exposed = client.get(BASE)["Access-Control-Expose-Headers"].split(", ")

    assert set(exposed) >= {
        "X-Repo-Commit",
        "X-Request-Id",
        "X-Error-Code",
        "X-Error-Message",
        "X-Total-Count",
        "ETag",
        "Link",
        "Accept-Ranges",
        "Content-Range",
        "X-Linked-Size",
        "X-Linked-ETag",
        "X-Xet-Hash",
    }


def test_head_works_wherever_get_does(client: Client, repo: ModelRepo) -> None:
    for url in (BASE, f"{BASE}/refs", f"{BASE}/tree/main", f"{BASE}/commits/main", "/api/models"):
        answer = client.head(url)
        assert (answer.status_code, answer.content) == (200, b""), url
    assert client.head(f"{BASE}/commits/main")["X-Total-Count"] == "1"


@pytest.mark.usefixtures("rate_limits_on")
def test_limits_say_when_to_come_back(client: Client, repo: ModelRepo, settings) -> None:
    settings.ENV = settings.ENV.model_copy(update={"visitor_api_requests": 2})

    answers = [client.get(BASE) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[0]["RateLimit"].startswith('"api";r=1;t=')
    assert answers[2]["RateLimit"].startswith('"api";r=0;t=')
    assert '"fixed window";"api";q=2;w=' in answers[2]["RateLimit-Policy"]
    assert int(answers[2]["Retry-After"]) > 0
    assert origin_of(answers[2]) == "*"


@pytest.mark.usefixtures("rate_limits_on")
def test_each_limit_goes_by_its_name(
    client: Client, repo: ModelRepo, write: dict, settings
) -> None:
    settings.ENV = settings.ENV.model_copy(
        update={"user_commits_per_hour": 1, "user_discussions_per_day": 1, "user_xet_requests": 1}
    )
    token = client.get(f"{BASE}/xet-read-token/main", headers=write).json()["accessToken"]
    xet = {"Authorization": f"Bearer {token}"}
    talk = {"title": "A title", "description": "x"}

    def twice(ask) -> HttpResponse:
        ask()
        return ask()

    answers = {
        "commits": twice(lambda: commit(client, write, ("file", {"path": "a", "content": "x"}))),
        "discussions": twice(lambda: post(client, f"{BASE}/discussions", talk, write)),
        "xet": twice(lambda: client.get(f"/xet/v1/reconstructions/{'0' * 64}", headers=xet)),
    }

    for name, answer in answers.items():
        assert answer.status_code == 429
        assert answer["RateLimit"] == f'"{name}";r=0;t={answer["Retry-After"]}'
        assert answer["RateLimit-Policy"].startswith(f'"fixed window";"{name}";q=1;w=')
    assert Discussion.objects.count() == 1


def test_a_model_taken_down_says_so(
    client: Client, alice: User, repo: ModelRepo, write: dict
) -> None:
    ModelRepo.objects.filter(pk=repo.pk).update(disabled_reason="stolen weights")

    file = client.get("/alice/tiny/resolve/main/.gitattributes", headers=write)
    checked = client.get(f"{BASE}/auth-check", headers=write)

    for answer in (file, checked):
        assert answer.status_code == 403
        assert answer["X-Error-Message"] == "Access to this resource is disabled."
        assert "X-Error-Code" not in answer
    assert client.get(BASE).json()["disabled"] is True


def test_a_browsers_session_reads_and_never_writes(client: Client, alice: User) -> None:
    make_repo(alice, "hidden", is_private=True)
    client.force_login(alice)

    assert client.get("/api/models/alice/hidden").status_code == 200
    assert post(client, "/api/models/alice/hidden/branch/dev", {}).status_code == 401
