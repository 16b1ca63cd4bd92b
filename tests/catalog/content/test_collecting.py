"""Garbage collection: what goes, when, and what never does."""

import hashlib
import io
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.db import transaction
from django.utils import timezone

from accounts.models import User
from accounts.viewer import Viewer
from catalog.content import collecting
from catalog.content.blobs import LostBytesError, keep
from catalog.content.collecting import CONDEMNED_FOR, GRACE, collect
from catalog.content.dedup import find_chunks
from catalog.content.ownership import grant, owned_size
from catalog.content.proving import UnknownXorbError
from catalog.content.quotas import usage_of
from catalog.content.reading import content_of
from catalog.content.stores import storage
from catalog.content.xet.hashes import chunk_hash, to_hex
from catalog.content.xet.xorbs import XorbReader
from catalog.content.xorbs import is_here
from catalog.models import LfsObject, ModelRepo, RepoLfsObject, XetClaim, XetFile, Xorb
from catalog.services.publishing import AddLfs, publish
from store.storage import Digest
from tests.catalog.content.xet import making
from tests.catalog.content.xet.bringing import bring, register, send
from tests.factories import make_repo

OLD = GRACE + timedelta(hours=1)


def age() -> None:
    """Let everything look as if it was last touched, or condemned, long ago."""
    then = timezone.now() - OLD
    for model in (LfsObject, XetFile, Xorb):
        model.objects.update(touched_at=then)
    RepoLfsObject.objects.update(created_at=then)
    condemned = timezone.now() - CONDEMNED_FOR - timedelta(minutes=1)
    Xorb.objects.exclude(condemned_at=None).update(condemned_at=condemned)


def commit(alice: User, repo: ModelRepo, sha256: str, path: str) -> None:
    operations = [AddLfs(path, sha256)]
    publish(Viewer(user=alice), repo, revision="main", operations=operations, title="add")


@pytest.fixture
def repo(alice: User) -> ModelRepo:
    return make_repo(alice)


def test_what_is_committed_stays_however_old(alice: User, repo: ModelRepo) -> None:
    content = making.noise(300_000)
    sha256 = bring(repo, alice, content)
    commit(alice, repo, sha256, "a.bin")
    age()

    collect()
    age()
    done = collect()

    assert (done.objects, done.recipes, done.xorbs, done.orphans) == (0, 0, 0, 0)
    assert b"".join(content_of(repo, sha256).blocks()) == content


def test_what_was_never_committed_goes_in_two_passes(alice: User, repo: ModelRepo) -> None:
    sha256 = bring(repo, alice, making.noise(300_000))
    [blob] = [each.digest for each in storage().blobs()]

    young = collect()
    age()
    first = collect()
    early = collect()
    still_there = storage().exists(blob)
    age()
    second = collect()

    assert young.to_json() == dict.fromkeys(young.to_json(), 0)
    assert (first.released, first.objects, first.recipes) == (1, 1, 1)
    assert (first.condemned, first.xorbs, early.xorbs, still_there) == (1, 0, 0, True)
    assert (second.xorbs, second.freed_bytes > 300_000) == (1, True)
    assert owned_size(repo, sha256) is None
    assert not storage().exists(blob)
    assert not Xorb.objects.exists()


@pytest.mark.parametrize("way", ["false", "abandoned"])
def test_claims_that_are_false_or_abandoned_go(
    alice: User, repo: ModelRepo, settings, way: str
) -> None:
    settings.ENV = settings.ENV.model_copy(update={"xet_verify_at_once_bytes": 0})
    sha256 = bring(repo, alice, making.noise(300_000))
    if way == "false":
        commit(alice, repo, sha256, "a.bin")
        XetClaim.objects.update(is_false=True)
    used = usage_of(alice.namespace).used_bytes

    young = collect()
    XetClaim.objects.update(created_at=timezone.now() - OLD)
    touched = collect()  # somebody has sent it again since
    age()
    first = collect()
    age()
    second = collect()

    assert (young.released, touched.released) == (0, 0)
    assert (first.released, first.recipes, first.condemned) == (1, 1, 1)
    assert second.xorbs == 1
    assert not XetClaim.objects.exists()
    assert list(storage().blobs()) == []
    assert usage_of(alice.namespace).used_bytes < used or way == "false"


def test_a_committed_claim_stays(alice: User, repo: ModelRepo, settings) -> None:
    settings.ENV = settings.ENV.model_copy(update={"xet_verify_at_once_bytes": 0})
    commit(alice, repo, bring(repo, alice, making.noise(300_000)), "a.bin")
    XetClaim.objects.update(created_at=timezone.now() - OLD)
    age()

    done = collect()

    assert (done.released, done.recipes, done.condemned) == (0, 0, 0)
    assert XetClaim.objects.count() == 1


def test_a_shard_takes_a_condemned_xorb_back(alice: User, repo: ModelRepo) -> None:
    content = making.noise(300_000)
    bring(repo, alice, content)
    age()
    assert collect().condemned == 1

    chunks = making.chunked(content)
    name = making.table_of(making.xorb(chunks)).hash
    register(repo, alice, making.file_block(chunks, [(name, 0, len(chunks))], content))
    done = collect()

    assert Xorb.objects.get().condemned_at is None
    assert (done.condemned, done.xorbs) == (0, 0)


@pytest.mark.parametrize("way", ["grant", "dedup"])
def test_who_is_told_of_a_xorb_finds_it(alice: User, repo: ModelRepo, way: str) -> None:
    content = making.noise(300_000)
    commit(alice, repo, bring(repo, alice, content), "a.bin")
    name = to_hex(bytes(Xorb.objects.get().hash))
    age()

    if way == "grant":
        assert is_here(name)
    else:
        first = making.chunked(content)[0]
        assert find_chunks(Viewer(user=alice), to_hex(chunk_hash(first))) is not None

    assert Xorb.objects.get().touched_at > timezone.now() - timedelta(minutes=1)


def test_a_shard_that_names_a_collected_xorb_writes_nothing(alice: User, repo: ModelRepo) -> None:
    content = making.noise(300_000)
    bring(repo, alice, content)
    for _ in range(2):
        age()
        collect()
    chunks = making.chunked(content)
    name = making.table_of(making.xorb(chunks)).hash

    with pytest.raises(UnknownXorbError):
        register(repo, alice, making.file_block(chunks, [(name, 0, len(chunks))], content))

    assert (XetFile.objects.count(), LfsObject.objects.count()) == (0, 0)
    assert bring(repo, alice, content) == hashlib.sha256(content).hexdigest()  # heals it


def test_objects_without_owners_go_with_their_bytes(alice: User, repo: ModelRepo) -> None:
    data = b"x" * 1000
    digest = Digest(hashlib.sha256(data).hexdigest())
    storage().put(io.BytesIO(data), digest, len(data))
    grant(repo, digest, len(data), by=alice)
    repo.delete()
    age()

    done = collect()

    assert (done.objects, done.freed_bytes) == (1, 1000)
    assert not storage().exists(digest)


def test_left_overs_of_crashes_go_after_two_days(
    alice: User, repo: ModelRepo, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost, _ = storage().put_unnamed(XorbReader(io.BytesIO(making.xorb([b"lost"])), None))
    send(repo, alice, making.chunked(making.noise(100_000)))

    young = collect()
    monkeypatch.setattr(collecting, "ORPHAN_AFTER", timedelta(seconds=-5))
    old = collect()

    assert (young.orphans, old.orphans) == (0, 1)
    assert not storage().exists(lost)
    assert len(list(storage().blobs())) == 1


def test_bytes_that_went_meanwhile_get_no_row(alice: User, repo: ModelRepo) -> None:
    with pytest.raises(LostBytesError), transaction.atomic():
        keep("ab" * 32)

    with pytest.raises(LostBytesError):
        grant(repo, "ab" * 32, 5, by=alice)
    assert not LfsObject.objects.exists()


def test_the_command_says_what_it_did(
    alice: User, repo: ModelRepo, capsys: pytest.CaptureFixture
) -> None:
    bring(repo, alice, making.noise(300_000))
    age()

    call_command("gc")

    assert "1 files released" in capsys.readouterr().out
