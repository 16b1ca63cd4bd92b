"""Large files sent again: lost answers, two jobs with one file, late parts (contract 8.3)."""

import hashlib
from typing import Any

import pytest
from django.test import Client

from accounts.models import Namespace, User
from catalog.content import uploads
from catalog.models import LfsObject, ModelRepo, RepoLfsObject, Upload
from tests.factories import safetensors
from tests.hub.wire import commit, post, put, upload
from tests.threads import ROUNDS, at_once

BATCH = "/alice/tiny.git/info/lfs/objects/batch"
PART_BYTES = 6000


def path_of(href: str) -> str:
    return href.split("testserver", 1)[1]


def owned(repo: ModelRepo) -> list[tuple[str, int | None, int]]:
    """What may not change by sending something again."""
    rows = RepoLfsObject.objects.filter(repo=repo).order_by("lfs_object_id")
    return list(rows.values_list("lfs_object_id", "created_by_id", "charged_to_id"))


@pytest.fixture
def in_parts(settings) -> None:
    settings.ENV = settings.ENV.model_copy(update={"multipart_chunk_bytes": PART_BYTES})


class Parts:
    """An upload in parts, as a client holds it."""

    def __init__(self, client: Client, headers: dict, data: bytes) -> None:
        sent = upload(client, headers, data)["actions"]["upload"]
        links = sorted((key, href) for key, href in sent["header"].items() if key != "chunk_size")
        self.pieces = [data[at : at + PART_BYTES] for at in range(0, len(data), PART_BYTES)]
        self.links = [href for _key, href in links]
        self.done = path_of(sent["href"])
        self.tags: list[str] = []

    def send(self, client: Client) -> None:
        pairs = zip(self.links, self.pieces, strict=True)
        self.tags = [put(client, href, piece)["ETag"] for href, piece in pairs]

    def complete(self, client: Client):
        parts = [{"partNumber": at, "etag": tag} for at, tag in enumerate(self.tags, 1)]
        return post(client, self.done, {"oid": "x", "parts": parts})


def test_a_lost_answer_costs_nothing(client: Client, repo: ModelRepo, write: dict) -> None:
    data = safetensors()
    item = upload(client, write, data)
    href = item["actions"]["upload"]["href"]
    verify = path_of(item["actions"]["verify"]["href"])
    first = put(client, href, data)
    before = owned(repo)

    again = put(client, href, data)
    others = [
        put(client, href, bad).status_code
        for bad in (data[:-1], data + b"x", data[:-1] + b"x", b"")
    ]
    confirmed = [
        post(client, verify, {"oid": item["oid"], "size": len(data)}, write) for _ in range(2)
    ]
    line = ("lfsFile", {"path": "w.bin", "algo": "sha256", "oid": item["oid"], "size": len(data)})
    committed = commit(client, write, line)

    assert (first.status_code, again.status_code) == (200, 200)
    assert others == [422, 422, 422, 422]
    assert [answer.status_code for answer in confirmed] == [200, 200]
    assert committed.status_code == 200
    assert owned(repo) == before
    assert Upload.objects.count() == 0


def test_two_jobs_of_one_person_with_one_file(client: Client, repo: ModelRepo, write: dict) -> None:
    data = safetensors()
    one, two = (upload(client, write, data)["actions"]["upload"]["href"] for _ in range(2))

    answers = [put(client, href, data).status_code for href in (one, two)]

    assert answers == [200, 200]
    assert LfsObject.objects.count() == RepoLfsObject.objects.count() == 1


def test_two_people_with_one_file(
    client: Client, repo: ModelRepo, write: dict, bob: User, bearer
) -> None:
    data = safetensors()
    mine = upload(client, write, data)["actions"]["upload"]["href"]
    theirs = upload(client, bearer(bob), data)["actions"]["upload"]["href"]

    answers = [put(client, href, data).status_code for href in (theirs, mine, mine)]

    assert answers == [200, 200, 200]
    assert RepoLfsObject.objects.get().lfs_object.size_bytes == len(data)
    assert Upload.objects.count() == 0


def test_links_of_uploads_that_never_succeeded(
    client: Client, alice: User, repo: ModelRepo, write: dict, bob: User, bearer
) -> None:
    data = safetensors()
    theirs = upload(client, bearer(bob), data)["actions"]["upload"]["href"]
    mine = upload(client, write, data)["actions"]["upload"]["href"]
    put(client, mine, data)
    uploads.abandon(Upload.objects.get(user=bob))
    before = owned(repo)

    stranger = put(client, theirs, data)
    RepoLfsObject.objects.all().delete()
    deleted = put(client, mine, data)

    assert before[0][1] == alice.pk
    assert (stranger.status_code, stranger.json()["error"][:11]) == (403, "This upload")
    assert deleted.status_code == 403
    assert owned(repo) == []


def test_a_link_ends_with_its_person_and_repository(
    client: Client, alice: User, repo: ModelRepo, write: dict
) -> None:
    data = safetensors()
    href = upload(client, write, data)["actions"]["upload"]["href"]
    put(client, href, data)

    User.objects.filter(pk=alice.pk).update(is_active=False)
    gone = put(client, href, data)
    User.objects.filter(pk=alice.pk).update(is_active=True)
    repo.delete()
    nowhere = put(client, href, data)

    assert (gone.status_code, nowhere.status_code) == (403, 403)


def test_parts_and_their_end_come_again(
    client: Client, repo: ModelRepo, write: dict, in_parts: None
) -> None:
    parts = Parts(client, write, safetensors())
    parts.send(client)
    tags = parts.tags
    parts.send(client)  # each a second time
    first = parts.complete(client)
    before = owned(repo)

    second = parts.complete(client)
    late = put(client, parts.links[0], parts.pieces[0])
    last = put(client, parts.links[-1], parts.pieces[-1])
    wrong = [put(client, parts.links[0], bad) for bad in (b"short", parts.pieces[0] + b"x")]
    other = put(client, parts.links[0], parts.pieces[-1])

    assert parts.tags == tags
    assert (first.status_code, second.status_code) == (200, 200)
    assert [late["ETag"], last["ETag"]] == [tags[0], tags[-1]]
    assert [answer.status_code for answer in (*wrong, other)] == [422, 422, 422]
    assert owned(repo) == before


def test_a_part_that_comes_while_another_job_ends_the_upload(
    client: Client, repo: ModelRepo, write: dict, in_parts: None, monkeypatch
) -> None:
    parts = Parts(client, write, safetensors())
    parts.send(client)
    row = Upload.objects.get()
    uploads.storage().complete(uploads.plan_of(row))  # and then the process died

    late = put(client, parts.links[0], parts.pieces[0])

    assert late.status_code == 200
    assert late["ETag"].strip('"')
    assert [digest for digest, *_ in owned(repo)] == [row.sha256]
    assert parts.complete(client).status_code == 200
    assert Upload.objects.count() == 0


def test_a_part_of_an_upload_that_was_given_up(
    client: Client, repo: ModelRepo, write: dict, in_parts: None
) -> None:
    parts = Parts(client, write, safetensors())
    parts.send(client)
    uploads.storage().abort(uploads.plan_of(Upload.objects.get()))

    late, done = put(client, parts.links[0], parts.pieces[0]), parts.complete(client)

    assert (late.status_code, done.status_code) == (404, 404)
    assert owned(repo) == []


@pytest.mark.django_db(transaction=True)
def test_everything_twice_at_once(client: Client, repo: ModelRepo, write: dict, settings) -> None:
    plain = settings.ENV
    for seed in range(ROUNDS):
        settings.ENV, data = plain, safetensors(seed=seed)
        href = upload(client, write, data)["actions"]["upload"]["href"]
        whole = at_once(lambda _n, h=href, d=data: put(Client(), h, d).status_code, 4)

        settings.ENV = plain.model_copy(update={"multipart_chunk_bytes": PART_BYTES})
        other = safetensors(seed=100 + seed)
        parts = Parts(client, write, other)
        at_once(lambda _n, p=parts: p.send(Client()), 3)
        ends = at_once(lambda _n, p=parts: p.complete(Client()).status_code, 4)

        assert whole == [200] * 4
        assert ends == [200] * 4
        for content in (data, other):
            row = RepoLfsObject.objects.get(lfs_object_id=hashlib.sha256(content).hexdigest())
            assert row.repo_id == repo.pk
    assert Upload.objects.count() == 0


def ask(client: Client, headers: dict, *sizes: int, **more: Any):
    """Send a batch of objects that are nowhere."""
    objects = [{"oid": f"{size:064x}", "size": size} for size in sizes]
    return post(client, BATCH, {"operation": "upload", "objects": objects} | more, headers)


@pytest.mark.parametrize("transfers", [["basic"], ["basic", "xet"]])
def test_a_token_that_only_reads(
    client: Client, alice: User, repo: ModelRepo, bearer, transfers: list[str]
) -> None:
    answer = ask(client, bearer(alice, "read"), 5, transfers=transfers)

    assert answer.status_code == 403
    assert "X-Error-Code" not in answer
    assert Upload.objects.count() == 0


@pytest.mark.parametrize("operation", ["upload", "download"])
def test_other_hashes(client: Client, repo: ModelRepo, write: dict, operation: str) -> None:
    odd = [
        ask(client, write, 5, operation=operation, hash_algo=name)
        for name in ("sha512", "md5", 5, ["sha256"])
    ]
    assert [answer.status_code for answer in odd] == [409] * 4
    assert "sha256" in odd[0].json()["message"]
    assert Upload.objects.count() == 0

    good = [ask(client, write, 5, hash_algo=name) for name in ("sha256", "sha_256", None)]
    assert [answer.status_code for answer in good] == [200] * 3


@pytest.mark.parametrize("transfers", [["basic"], ["xet"]])
def test_both_ways_look_at_size_and_room(
    client: Client, repo: ModelRepo, write: dict, settings, transfers: list[str]
) -> None:
    data = safetensors()
    item = upload(client, write, data)
    put(client, item["actions"]["upload"]["href"], data)
    settings.ENV = settings.ENV.model_copy(update={"max_file_bytes": 10**9})
    Namespace.objects.filter(name="alice").update(storage_quota_bytes=10**6)
    there = {"oid": item["oid"], "size": len(data) + 1}

    wrong = ask(client, write, objects=[there], transfers=transfers).json()["objects"][0]
    large, full, one, two = ask(
        client, write, 10**9 + 1, 10**6, 600_000, 599_999, transfers=transfers
    ).json()["objects"]

    assert wrong["error"]["code"] == 422
    assert large["error"]["code"] == 413
    assert full["error"]["code"] == 403
    assert "upload" in one["actions"]
    assert two["error"]["code"] == 403
    assert not any("actions" in refused for refused in (wrong, large, full, two))
