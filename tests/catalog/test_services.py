"""Publishing folders, importing, the demo catalogue, uploads that idle, scans that wait."""

import io
import json
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from accounts.models import Organization, User
from accounts.viewer import Viewer
from catalog.access import RepoMovedError, RepoNotFoundError, can, repo_for
from catalog.content import uploads
from catalog.history.trees import find_entry, read_blob
from catalog.models import BaseModelLink, FileScan, Listing, ModelCard, ModelRepo, RepoAlias, Upload
from catalog.services.folders import files_of
from catalog.services.large_files import is_binary
from catalog.services.repos import NewRepo, create_repo
from catalog.services.scanning import scan_commit
from licensing.management.commands import load_demo
from store.core.errors import TransientError
from store.core.models import Job
from tests.factories import add_files, make_repo, safetensors


def test_a_folder_is_taken_without_caches_and_links(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/b.txt").write_text("b")
    (tmp_path / ".cache").mkdir()
    (tmp_path / ".cache/x").write_text("x")
    (tmp_path / "link").symlink_to("/etc/passwd")

    assert [file.path for file in files_of(tmp_path)] == ["a/b.txt"]


def test_a_large_binary_becomes_an_lfs_object_whatever_its_name(alice: User) -> None:
    repo = make_repo(alice)
    sizes = {"rows.dat": 1_000_001, "small.dat": 1_000_000, "words.dat": 1_000_001}
    first = {"rows.dat": b"\0", "small.dat": b"\0", "words.dat": b"w"}

    commit_oid = add_files(
        alice, repo, {name: first[name] * sizes[name] for name in sizes} | {"none.bin": b""}
    )

    kept = {path: find_entry(repo, commit_oid, path).lfs for path in (*sizes, "none.bin")}
    assert {path for path, lfs in kept.items() if lfs} == {"rows.dat"}
    assert kept["rows.dat"] is not None
    assert kept["rows.dat"].size_bytes == 1_000_001
    rules = read_blob(repo, find_entry(repo, commit_oid, ".gitattributes")).decode()
    assert rules.endswith("\nrows.dat filter=lfs diff=lfs merge=lfs -text\n")


def test_what_binary_means() -> None:
    assert is_binary(b"\xff\xfe" * 100)
    assert is_binary(b"a\0b")
    assert not is_binary("ünï".encode()[:-1])
    assert not is_binary(b"")


def test_pickles_are_judged_without_loading(alice: User, tmp_path: Path) -> None:
    import os
    import pickle

    marker = tmp_path / "ran"

    class Evil:
        def __reduce__(self):
            return os.system, (f"touch {marker}",)

    repo = make_repo(alice)
    add_files(alice, repo, {"weights.bin": pickle.dumps(Evil())})

    scan = FileScan.objects.get(path="weights.bin")
    assert scan.verdict == "unsafe"
    assert Listing.objects.get(repo=repo).verdict == "unsafe"
    assert not marker.exists()


def test_what_could_not_be_judged_at_once_becomes_a_job(
    alice: User, run_jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("catalog.services.scanning.JUDGED_AT_ONCE", 1)
    repo = make_repo(alice)
    add_files(alice, repo, {"a.txt": b"a", "b.txt": b"b", "model.safetensors": safetensors()})
    waiting = FileScan.objects.filter(verdict="pending").count()
    assert Listing.objects.get(repo=repo).verdict == "pending"

    jobs = run_jobs()

    assert waiting == 2
    assert {job.state for job in jobs} == {Job.State.DONE}
    assert set(FileScan.objects.values_list("verdict", flat=True)) == {"clean"}
    listing = Listing.objects.get(repo=repo)
    assert (listing.verdict, listing.parameters) == ("clean", 4096)
    assert scan_commit(999_999, "0" * 40) == {"judged": 0}


def test_a_storage_that_fails_delays_the_verdict(
    alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    from store.storage import StorageUnavailableError

    class Broken:
        def read_at(self, *args: object) -> bytes:
            raise StorageUnavailableError("gone")

    repo = make_repo(alice)
    with monkeypatch.context() as broken:
        broken.setattr("catalog.content.reading.storage", Broken)
        oid = add_files(alice, repo, {"model.safetensors": safetensors()})
        assert FileScan.objects.get(path="model.safetensors").verdict == "pending"
        with pytest.raises(TransientError):
            scan_commit(repo.pk, oid)

    assert scan_commit(repo.pk, oid) == {"judged": 1}
    assert FileScan.objects.get(path="model.safetensors").verdict == "clean"


def test_content_on_a_side_branch_is_judged_too(
    alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    from catalog.history.refs import create_branch

    repo = make_repo(alice)
    create_branch(repo, "side")
    monkeypatch.setattr("catalog.services.scanning.JUDGED_AT_ONCE", 0)
    add_files(alice, repo, {"a.txt": b"side"}, revision="side")
    main = add_files(alice, repo, {"a.txt": b"main"})

    scan_commit(repo.pk, main)

    assert set(FileScan.objects.filter(path="a.txt").values_list("verdict", flat=True)) == {"clean"}


def test_lineage_finds_a_base_that_comes_later(alice: User) -> None:
    child = make_repo(alice, "child")
    add_files(alice, child, {"README.md": b"---\nbase_model: alice/base\n---\n"})
    assert BaseModelLink.objects.get().base is None

    base = make_repo(alice, "base")

    assert BaseModelLink.objects.get().base == base


def test_broken_cards_warn_and_do_not_stop(alice: User) -> None:
    repo = make_repo(alice)
    add_files(alice, repo, {"README.md": b"---\na: [\n---\ntext"})
    assert "Line 3" in ModelCard.objects.get().warnings[0]
    add_files(alice, repo, {"README.md": b"x" * 600_000})
    assert "larger than" in ModelCard.objects.get().warnings[0]


def test_a_card_without_words_is_not_complete(alice: User, as_alice: Viewer) -> None:
    repo = create_repo(as_alice, NewRepo("bare", license="mit"))
    told = ModelCard.objects.get(repo=repo).warnings

    add_files(alice, repo, {"README.md": b"---\nlicense: mit\n---\nIt writes.\n"})

    assert told == ["README.md has no text yet: say what the model is for and how it was made."]
    assert ModelCard.objects.get(repo=repo).warnings == []


def test_names_are_found_by_any_way(alice: User, as_bob: Viewer, as_alice: Viewer) -> None:
    repo = make_repo(alice)
    hidden = make_repo(alice, "hidden", is_private=True)
    from catalog.services.repos import move_repo

    move_repo(as_alice, repo, namespace="alice", name="new")

    with pytest.raises(RepoMovedError) as moved:
        repo_for(as_bob, "ALICE", "Tiny")
    assert moved.value.repo.full_name == "alice/new"
    with pytest.raises(RepoNotFoundError):
        repo_for(as_bob, "alice", "hidden")
    assert repo_for(as_alice, "alice", "hidden") == hidden
    assert not can(as_bob, repo, to="write")
    assert can(as_alice, repo, to="write")
    same = move_repo(as_alice, moved.value.repo, namespace="alice", name="new")
    assert same.full_name == "alice/new"


def test_a_hidden_repositorys_old_name_tells_nothing(
    alice: User, as_alice: Viewer, as_bob: Viewer
) -> None:
    from catalog.services.repos import change_settings, move_repo

    repo = make_repo(alice)
    moved = move_repo(as_alice, repo, namespace="alice", name="new")
    change_settings(as_alice, moved, is_private=True)

    with pytest.raises(RepoNotFoundError):
        repo_for(as_bob, "alice", "tiny")


def test_aliases(alice: User) -> None:
    make_repo(alice)
    call_command("addalias", "gpt2", "alice/tiny", stdout=io.StringIO())
    call_command("addalias", "GPT2", "alice/tiny", stdout=io.StringIO())

    assert RepoAlias.objects.get().repo.name == "tiny"
    for alias, target in (("alice", "alice/tiny"), ("x2", "alice/none"), ("admin", "alice/tiny")):
        with pytest.raises(CommandError):
            call_command("addalias", alias, target)


def test_a_hub_that_does_not_answer_is_told(alice: User) -> None:
    with pytest.raises(CommandError, match=r"Fetching from http://127\.0\.0\.1:9 failed"):
        call_command("import_model", "a/b", "--endpoint", "http://127.0.0.1:9", "--as", "alice")

    assert not ModelRepo.objects.exists()


@pytest.mark.parametrize("drawn", ["adae", "edae", "beeb", "0000"])
def test_demo_passwords_are_never_like_their_owners_names(
    db: None, tmp_path: Path, settings, monkeypatch: pytest.MonkeyPatch, drawn: str
) -> None:
    settings.BASE_DIR = settings.DATA_DIR = tmp_path
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo/catalogue.json").write_text('{"models": []}')
    monkeypatch.setattr(load_demo, "secrets", SimpleNamespace(token_hex=lambda _bytes: drawn))

    call_command("load_demo", stdout=io.StringIO())

    assert User.objects.filter(username__in=["ada", "ben", "root-admin"]).count() == 3


def test_the_demo_catalogue_loads_once(client: Client, db: None, tmp_path: Path, settings) -> None:
    settings.BASE_DIR = tmp_path
    settings.DATA_DIR = tmp_path
    out = io.StringIO()
    call_command("load_demo", stdout=out)
    assert "no demo catalogue" in out.getvalue()
    folder = tmp_path / "demo/models/one"
    folder.mkdir(parents=True)
    (folder / "README.md").write_text("---\nlicense: mit\n---\nHi\n")
    (folder / "model.safetensors").write_bytes(safetensors())
    item = {"owner": "regency", "name": "one", "folder": "models/one"}
    (tmp_path / "demo/catalogue.json").write_text(json.dumps({"models": [item]}))

    call_command("load_demo", stdout=io.StringIO())
    call_command("load_demo", stdout=(again := io.StringIO()))
    call_command("load_demo", "--force", stdout=io.StringIO())

    repo = ModelRepo.objects.select_related("namespace").get()
    assert repo.full_name == "regency/one"
    note = tmp_path / "demo-logins.json"
    people = json.loads(note.read_text())
    assert note.stat().st_mode & 0o777 == 0o600
    assert [each["name"] for each in people] == ["ada", "ben", "root-admin"]
    assert len({each["password"] for each in people}) == 3  # nobody can know them beforehand
    assert client.login(username="root-admin", password=people[2]["password"])
    assert Listing.objects.get(repo=repo).parameters == 4096
    assert "already" in again.getvalue()
    assert Organization.objects.get().memberships.get().user.username == "ada"


def test_idle_uploads_are_swept(alice: User, as_alice: Viewer, settings) -> None:
    settings.ENV = settings.ENV.model_copy(update={"multipart_chunk_bytes": 10})
    repo = make_repo(alice)
    for digest in ("a", "b"):
        uploads.reserve(as_alice, repo, sha256=digest * 64, size_bytes=100, allow_parts=True)
    assert uploads.sweep_uploads() == 0
    Upload.objects.filter(sha256="a" * 64).update(touched_at=timezone.now() - timedelta(days=8))

    assert uploads.sweep_uploads() == 1
    assert Upload.objects.get().sha256 == "b" * 64


def test_uploads_have_a_limit(
    alice: User, as_alice: Viewer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from store.core.errors import InvalidError, TooLargeError

    monkeypatch.setattr(uploads, "MAX_OPEN_UPLOADS", 1)
    repo = make_repo(alice)
    one = uploads.reserve(as_alice, repo, sha256="a" * 64, size_bytes=1, allow_parts=True)

    with pytest.raises(TooLargeError):
        uploads.reserve(as_alice, repo, sha256="b" * 64, size_bytes=1, allow_parts=True)
    for call in (lambda: uploads.complete(one), lambda: uploads.receive_part(one, 1, io.BytesIO())):
        with pytest.raises(InvalidError):
            call()
    with pytest.raises(uploads.WrongSizeError):
        uploads.receive(one, io.BytesIO(b"x"), announced_bytes=2)
    assert uploads.settle(repo, alice, "a" * 64) is None
    assert str(one).startswith("aaaaaaaa to")
