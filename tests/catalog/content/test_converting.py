"""Whole objects become recipes; hot recipes become whole objects."""

import hashlib
import io
import random
from datetime import timedelta

import pytest
from django.conf import settings
from django.test import Client

from accounts.models import User
from catalog.content.collecting import collect
from catalog.content.converting import convert
from catalog.content.hot import HOT_AFTER, joined, keep_whole
from catalog.content.ownership import grant
from catalog.content.reading import content_of
from catalog.content.stores import storage
from catalog.models import LfsObject, ModelRepo, Xorb
from store.core.models import Job
from store.storage import Digest
from tests.catalog.content.test_collecting import commit
from tests.catalog.content.xet import making
from tests.catalog.content.xet.bringing import bring
from tests.factories import make_repo


@pytest.fixture
def repo(alice: User) -> ModelRepo:
    return make_repo(alice)


def put(alice: User, repo: ModelRepo, data: bytes) -> str:
    """Store a whole object for the repository."""
    digest = Digest(hashlib.sha256(data).hexdigest())
    storage().put(io.BytesIO(data), digest, len(data))
    grant(repo, digest, len(data), by=alice)
    return digest


def nothing(_part: float) -> None:
    pass


def test_shared_chunks_are_stored_once_over_both_paths(alice: User, repo: ModelRepo) -> None:
    first = making.noise(3_000_000)
    bring(repo, alice, first)
    second = first[:2_500_000] + making.noise(500_000, seed=1)
    sha256 = put(alice, repo, second)
    assert Job.objects.filter(name="catalog.convert_object", args={"sha256": sha256}).exists()

    done = convert(sha256, nothing)

    assert done["converted"] == 1
    assert done["stored_bytes"] < 800_000
    row = LfsObject.objects.get(pk=sha256)
    assert (row.is_whole, row.xet_file.size_bytes) == (False, 3_000_000)
    assert b"".join(content_of(repo, sha256).blocks()) == second
    for _ in range(20):
        at = random.randrange(3_000_000)
        assert content_of(repo, sha256).read_at(at, 70_000) == second[at : at + 70_000]


def test_it_makes_what_a_client_makes(alice: User, repo: ModelRepo) -> None:
    data = making.lcg(3_000_000) * 2
    converted = put(alice, repo, data)
    assert convert(converted, nothing)["converted"] == 1
    file = LfsObject.objects.get(pk=converted).xet_file

    bring(make_repo(alice, "again"), alice, data)

    assert LfsObject.objects.get(pk=converted).xet_file == file


@pytest.mark.parametrize("size_bytes", [1, 2_000_000])
def test_what_saves_nothing_has_a_recipe_too_and_the_whole_goes(
    alice: User, repo: ModelRepo, size_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = making.noise(size_bytes)
    sha256 = put(alice, repo, data)

    done = convert(sha256, nothing)
    monkeypatch.setattr("catalog.content.collecting.ORPHAN_AFTER", timedelta(seconds=-5))
    collect()

    assert done["converted"] == 1
    assert done["stored_bytes"] <= size_bytes * 1.001 + 8
    xorb = Xorb.objects.get()
    assert [blob.digest for blob in storage().blobs()] == [xorb.blob]
    assert b"".join(content_of(repo, sha256).blocks()) == data
    assert convert(sha256, nothing) == {"converted": 0}
    assert convert("ab" * 32, nothing) == {"converted": 0}


def test_a_site_may_ask_for_a_saving(
    alice: User, repo: ModelRepo, monkeypatch: pytest.MonkeyPatch
) -> None:
    sha256, double = (put(alice, repo, data) for data in (making.noise(500_000), b"ab" * 500_000))
    asking = settings.ENV.model_copy(update={"xet_convert_saving": 0.2})
    monkeypatch.setattr(settings, "ENV", asking)

    done, saved = convert(sha256, nothing), convert(double, nothing)

    assert (done["converted"], saved["converted"]) == (0, 1)
    assert LfsObject.objects.get(pk=sha256).is_whole
    assert LfsObject.objects.get(pk=sha256).xet_file is None
    assert Xorb.objects.count() == 1  # that of the other


def test_what_is_offered_by_plain_http_alone_stays_whole(
    alice: User, repo: ModelRepo, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(alice, repo, b"")
    offered = settings.ENV.model_copy(update={"xet_min_bytes": 1001})
    monkeypatch.setattr(settings, "ENV", offered)

    put(alice, repo, making.noise(1000))
    sha256 = put(alice, repo, making.noise(1001))

    jobs = Job.objects.filter(name="catalog.convert_object")
    assert [job.args["sha256"] for job in jobs] == [sha256]


def test_an_object_without_owner_stays_as_it_is(alice: User, repo: ModelRepo) -> None:
    sha256 = put(alice, repo, b"ab" * 1_000_000)
    repo.delete()

    assert convert(sha256, nothing)["converted"] == 0

    assert not Xorb.objects.exists()
    assert [blob.digest for blob in storage().blobs()] == [sha256]


def test_a_file_many_fetch_is_kept_whole(alice: User, repo: ModelRepo, client: Client) -> None:
    content = making.noise(1_500_000)
    sha256 = bring(repo, alice, content)
    commit(alice, repo, sha256, "a.onnx.data")
    for _ in range(HOT_AFTER):
        answer = client.get("/alice/tiny/resolve/main/a.onnx.data")
        assert b"".join(answer) == content

    job = Job.objects.get(name="catalog.keep_whole")
    done = keep_whole(job.args["sha256"])
    whole = client.get("/alice/tiny/resolve/main/a.onnx.data")

    assert done == {"kept": 1}
    assert LfsObject.objects.get(pk=sha256).cached_at is not None
    assert b"".join(whole) == content
    assert storage().local_path(Digest(sha256)) is not None
    assert keep_whole(sha256) == {"kept": 0}


def test_the_oldest_copy_makes_room(
    alice: User, repo: ModelRepo, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = settings.ENV.model_copy(update={"xet_cache_bytes": 3_000_000})
    monkeypatch.setattr(settings, "ENV", small)
    one, two = (bring(repo, alice, making.noise(2_000_000, seed=seed)) for seed in (1, 2))

    keep_whole(one)
    keep_whole(two)
    joined("ab" * 32, 4_000_000)

    assert not LfsObject.objects.get(pk=one).is_whole
    assert LfsObject.objects.get(pk=two).is_whole
    assert not Job.objects.filter(name="catalog.keep_whole").exists()
