"""``fsck``: every kind of damage is found and traced to the files it hurts."""

import hashlib
import io
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command

from accounts.models import User
from accounts.viewer import Viewer
from catalog.content import checking
from catalog.content.checking import check_storage, hurt_files
from catalog.content.ownership import grant
from catalog.content.stores import storage
from catalog.models import (
    GitObject,
    LfsObject,
    ModelRepo,
    RepoLfsObject,
    StorageWalk,
    XetFile,
    Xorb,
)
from catalog.services.discussions import open_discussion
from store.storage import Digest
from store.storage.base import blob_path
from tests.catalog.content.test_collecting import commit
from tests.catalog.content.xet import making
from tests.catalog.content.xet.bringing import bring
from tests.factories import add_files, make_repo, safetensors


@pytest.fixture
def repo(alice: User) -> ModelRepo:
    """One file in chunks, one as a whole object."""
    repo = make_repo(alice)
    commit(alice, repo, bring(repo, alice, making.noise(300_000)), "chunks.bin")
    add_files(alice, repo, {"whole.safetensors": safetensors()})
    return repo


def spoil(digest: str, at: int = 20) -> None:
    """Flip a bit of what is stored."""
    path = Path(settings.BLOB_DIR) / blob_path(Digest(digest))
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def counts() -> dict[str, int]:
    """Return what a walk over the fixture's repository counts."""
    return {"objects": 2, "xorbs": 1, "recipes": 1, "git": GitObject.objects.count()}


def test_good_bytes_are_no_finding(repo: ModelRepo) -> None:
    walk = check_storage()

    assert walk.findings == []
    assert walk.counts == counts()
    assert walk.finished_at is not None


def test_a_spoilt_object_names_its_file(repo: ModelRepo) -> None:
    sha256 = LfsObject.objects.get(is_whole=True).sha256
    spoil(sha256)

    walk = check_storage()

    assert [(each["kind"], each["name"]) for each in walk.findings] == [("object", sha256)]
    assert list(hurt_files(walk.findings)) == ["alice/tiny: whole.safetensors"]


def test_a_spoilt_xorb_names_the_files_made_of_it(alice: User, repo: ModelRepo) -> None:
    other = make_repo(alice, "other")
    commit(alice, other, bring(other, alice, making.noise(300_000)), "same.bin")
    spoil(Xorb.objects.get().blob)

    walk = check_storage()

    assert {each["kind"] for each in walk.findings} == {"xorb", "recipe"}
    assert set(hurt_files(walk.findings)) == {"alice/tiny: chunks.bin", "alice/other: same.bin"}


def test_lost_bytes_are_found(repo: ModelRepo) -> None:
    for blob in list(storage().blobs()):
        storage().delete(blob.digest)

    walk = check_storage()

    assert {each["kind"] for each in walk.findings} == {"object", "xorb", "recipe"}


def test_a_table_or_recipe_that_disagrees_is_found(repo: ModelRepo) -> None:
    xorb, file = Xorb.objects.get(), XetFile.objects.get()
    terms = bytes(file.terms)
    Xorb.objects.update(table=bytes(xorb.table)[:-40])
    first = check_storage()
    Xorb.objects.update(table=xorb.table)
    XetFile.objects.update(terms=terms[:36] + (1).to_bytes(4, "little") + terms[40:])
    second = check_storage()

    assert "xorb" in {each["kind"] for each in first.findings}
    assert [each["reason"] for each in second.findings] == ["its chunks make another file"]


def test_a_wrong_sha256_of_a_recipe_is_found(alice: User, repo: ModelRepo) -> None:
    file = XetFile.objects.get()
    grant(repo, "ab" * 32, file.size_bytes, by=alice, xet_file=file)

    reasons = [each["reason"] for each in check_storage().findings if each["kind"] == "recipe"]

    wanted = hashlib.sha256(making.noise(300_000)).hexdigest()
    assert reasons == [f"its content has the sha256 {wanted}, not {'ab' * 32}"]


def test_a_wrong_sha256_beside_a_whole_object_is_found(alice: User, repo: ModelRepo) -> None:
    """Plain readers get the object, which is good; clients of Xet get what the recipe makes."""
    row, file = LfsObject.objects.get(is_whole=True), XetFile.objects.get()
    LfsObject.objects.filter(pk=row.pk).update(xet_file=file)

    walk = check_storage()

    [finding] = walk.findings
    wanted = hashlib.sha256(making.noise(300_000)).hexdigest()
    assert finding["reason"] == f"its content has the sha256 {wanted}, not {row.sha256}"
    assert "alice/tiny: whole.safetensors" in set(hurt_files(walk.findings))


@pytest.mark.parametrize(
    ("kind", "path"), [("blob", "config.json"), ("tree", "(tree {})"), ("commit", "(commit {})")]
)
def test_a_spoilt_git_object_is_found(alice: User, repo: ModelRepo, kind: str, path: str) -> None:
    add_files(alice, repo, {"config.json": b"{}"})
    rows = GitObject.objects.filter(kind=GitObject.Kind[kind.upper()], lfs_sha256="")
    found = rows.get(data=b"{}") if kind == "blob" else rows.earliest("pk")
    GitObject.objects.filter(pk=found.pk).update(data=bytes(found.data)[:-1] + b"!")

    walk = check_storage()

    [finding] = walk.findings
    assert (finding["kind"], finding["name"]) == ("git", f"{repo.pk}/{found.oid}")
    assert "bytes have the id" in finding["reason"]
    assert list(hurt_files(walk.findings)) == [f"alice/tiny: {path.format(found.oid)}"]


def test_a_pointer_whose_row_names_another_file_is_found(repo: ModelRepo) -> None:
    GitObject.objects.filter(lfs_sha256=LfsObject.objects.get(is_whole=True).pk).update(
        lfs_sha256="ab" * 32
    )

    walk = check_storage()

    assert [each["kind"] for each in walk.findings] == ["git"]
    assert list(hurt_files(walk.findings)) == ["alice/tiny: whole.safetensors"]


def test_a_spoilt_xorb_names_what_is_a_claim_yet(alice: User, settings) -> None:
    settings.ENV = settings.ENV.model_copy(update={"xet_verify_at_once_bytes": 0})
    repo = make_repo(alice, "claimed")
    commit(alice, repo, bring(repo, alice, making.noise(300_000)), "big.bin")
    bring(repo, alice, making.noise(300_000, 2))
    for xorb in Xorb.objects.all():
        spoil(xorb.blob)

    walk = check_storage()

    assert not RepoLfsObject.objects.filter(repo=repo).exists()
    assert set(hurt_files(walk.findings)) == {
        "alice/claimed: big.bin",
        "alice/claimed: (uploaded, not committed)",
    }


def test_a_spoilt_attachment_is_named(client, alice: User, bearer) -> None:
    repo = make_repo(alice)
    paths = []
    for tail in (b"1", b"2"):
        data = b"GIF89a" + b"\0" * 20 + tail + b";"
        answer = client.post("/uploads", data, content_type="image/gif", headers=bearer(alice))
        paths.append(urlsplit(answer.content.decode()).path)
    thread = open_discussion(Viewer(user=alice), repo, title="look", text=f"![]({paths[0]})")
    for row in LfsObject.objects.all():
        spoil(row.sha256)

    walk = check_storage()

    assert thread.number == 1
    assert set(hurt_files(walk.findings)) == {
        f"alice/tiny: {paths[0]}",
        f"(shown nowhere): {paths[1]}",
    }


def test_a_walk_goes_on_where_it_was_stopped(
    alice: User, repo: ModelRepo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checking, "_BATCH", 1)

    class StopHereError(Exception):
        pass

    def stop(walk: StorageWalk) -> None:
        raise StopHereError

    with pytest.raises(StopHereError):
        check_storage(tick=stop)
    before = StorageWalk.objects.get()
    walk = check_storage()
    anew = check_storage(restart=True)

    assert (before.stage, before.counts) == ("objects", {"objects": 1})
    assert walk.counts == anew.counts == counts()


def test_a_walk_that_is_stopped_among_git_objects_goes_on_there(
    repo: ModelRepo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checking, "_GIT_BATCH", 2)

    class StopHereError(Exception):
        pass

    def stop(walk: StorageWalk) -> None:
        if walk.stage == "git":
            raise StopHereError

    with pytest.raises(StopHereError):
        check_storage(tick=stop)
    before = StorageWalk.objects.get()
    walk = check_storage()

    assert (before.stage, before.counts["git"]) == ("git", 2)
    assert walk.counts == counts()


def test_the_command_ends_with_an_error(repo: ModelRepo, capsys: pytest.CaptureFixture) -> None:
    call_command("fsck", "-v", "2")
    good = capsys.readouterr().out
    spoil(LfsObject.objects.get(is_whole=True).sha256)

    with pytest.raises(CommandError, match="1 things"):
        call_command("fsck")

    assert f"2 objects, 1 xorbs, 1 recipes and {counts()['git']} git objects read." in good
    assert "hurt: alice/tiny: whole.safetensors" in capsys.readouterr().out


def test_what_goes_while_it_is_read_is_no_finding(
    repo: ModelRepo, monkeypatch: pytest.MonkeyPatch
) -> None:
    sha256 = LfsObject.objects.get(is_whole=True).sha256

    class Vanishing:
        def open(self, *_args: object, **_more: object) -> io.BytesIO:
            RepoLfsObject.objects.filter(lfs_object=sha256).delete()
            LfsObject.objects.filter(pk=sha256).delete()
            return io.BytesIO(b"")

    monkeypatch.setattr(checking, "storage", Vanishing)

    assert checking._object(sha256) is None
