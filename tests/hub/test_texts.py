"""Strings of JSON that are no text: half a character is refused at every door."""

import pytest
from django.test import Client

from catalog.models import Discussion, DiscussionEvent, ModelRepo
from tests.hub.talk import opened
from tests.hub.wire import BASE, JSON, state

NDJSON = "application/x-ndjson"
FILE = r'{"key": "file", "value": {"path": "a.txt", "content": "x"}}'


def header(summary: str) -> str:
    return '{"key": "header", "value": {"summary": "%s"}}' % summary  # noqa: UP031 - braces


@pytest.mark.parametrize("half", [r"a\ud800", r"\uDFFF", r"\udc00\ud800"])
@pytest.mark.parametrize(
    ("path", "body", "content_type"),
    [
        ("/commit/main", header("%s") + "\n" + FILE, NDJSON),
        (
            "/commit/main",
            header("x") + "\n" + FILE.replace('"x"', '"%s"'),
            NDJSON,
        ),
        ("/commit/main", '{"summary": "%s", "files": [{"path": "a", "content": "x"}]}', JSON),
        ("/tag/main", '{"tag": "v1", "message": "%s"}', JSON),
        ("/super-squash/main", '{"message": "%s"}', JSON),
        ("/discussions", '{"title": "A title", "description": "%s"}', JSON),
        ("/discussions", '{"title": "Title %s", "description": "x"}', JSON),
        ("/discussions/1/comment", '{"comment": "%s"}', JSON),
        ("/discussions/1/title", '{"title": "Title %s"}', JSON),
    ],
)
def test_half_a_character_is_refused(
    client: Client, repo: ModelRepo, write: dict, path: str, body: str, content_type: str, half: str
) -> None:
    opened(client, write)
    before = (state(repo), Discussion.objects.count(), DiscussionEvent.objects.count())

    answer = client.post(
        f"{BASE}{path}", body.replace("%s", half), content_type=content_type, headers=write
    )

    assert (answer.status_code, answer.json()["code"]) == (400, "broken_body")
    assert "half a character" in answer.json()["error"]
    after = (state(repo), Discussion.objects.count(), DiscussionEvent.objects.count())
    assert after == before


def test_half_a_character_in_bytes_is_no_json(client: Client, repo: ModelRepo, write: dict) -> None:
    before = state(repo)

    tagged = client.post(
        f"{BASE}/tag/main", b'{"tag": "v1", "message": "\xed\xa0\x80"}', JSON, headers=write
    )
    lines = header("\ud800").encode("utf-8", "surrogatepass") + b"\n" + FILE.encode()
    written = client.post(f"{BASE}/commit/main", lines, NDJSON, headers=write)

    assert (tagged.status_code, written.status_code) == (400, 400)
    assert state(repo) == before


def test_whole_characters_are_text_however_they_are_written(
    client: Client, repo: ModelRepo, write: dict
) -> None:
    body = header(r"smile \ud83d\ude00") + "\n" + FILE

    answer = client.post(f"{BASE}/commit/main", body, NDJSON, headers=write)

    assert answer.status_code == 200
    assert client.get(f"{BASE}/commits/main").json()[0]["title"] == "smile 😀"
