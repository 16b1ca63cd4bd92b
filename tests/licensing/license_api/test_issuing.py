"""License files: what they say, how long they live, and that they verify without the store."""

import json
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.utils import timezone

from accounts.models import Namespace
from accounts.viewer import VISITOR
from catalog.history.objects import EMPTY_TREE
from catalog.history.trees import list_entries, read_blob
from catalog.models import Commit, Grant, ModelRepo
from licensing.configured import signer
from licensing.documents.document import MAX_SEATS, LicenseDocument
from licensing.documents.errors import LicenseExpiredError, LicenseFileError
from licensing.documents.jws import check_times, open_license, write_file
from licensing.models import Activation, License, Order, SeatKind
from licensing.services import issuing, license_keys
from licensing.services.activations import (
    BadSeatError,
    NotInForceError,
    SeatPersonError,
    TooManyMachinesError,
    seat_of,
)
from licensing.services.issuing import BadLifeError, check_out, issue_file, updates_of
from licensing.services.paperwork import licensee_name
from licensing.services.validating import BadFingerprintError, BadLabelError
from tests.factories import add_files, make_org, safetensors
from tests.licensing.license_api.holding import Held, everything, hold
from tests.licensing.selling.shop import open_shop
from tests.offline_command import verify

pytestmark = pytest.mark.django_db
DAY_S = 86_400


def opened(text: str) -> LicenseDocument:
    """What a text says, after its signature was verified."""
    return open_license(text, signer().key_set()).document


def test_a_file_says_what_was_bought() -> None:
    held = hold(seats=3, term_days=365)
    text = issue_file(held.row)

    told = opened(text)

    assert told.license_id == held.row.public_id
    assert (told.licensee.name, told.licensee.kind) == ("Ada Byron", "person")
    assert (told.seats.count, told.seats.kind) == (3, "machines")
    assert told.terms.sha256 == held.row.terms_id
    assert told.license_expires_at == int(held.grant.ends_at.timestamp())
    assert told.file_expires_at == told.issued_at + 31 * DAY_S
    assert told.is_test
    assert told.machine is None
    (model,) = told.models
    assert (model.id, model.name) == (held.shop.repo.public_id, "maria/haiku-gpt")
    files = {file.path: file.sha256 for file in model.files}
    assert files == dict(held.row.files.values_list("path", "sha256"))
    check_times(told, now_s=told.issued_at)


def test_any_number_of_seats_is_a_large_number() -> None:
    assert opened(issue_file(hold(seats=0).row)).seats.count == MAX_SEATS


def test_an_organization_is_named_as_one() -> None:
    shop = open_shop()
    acme = make_org("acme", ada="admin")
    row = License.objects.get(line__order=shop.buy(holder="acme"))
    assert opened(issue_file(row)).licensee.kind == "organization"
    assert opened(issue_file(row)).licensee.id == acme.public_id

    acme.full_name = "Ac\u202eme\x07"  # what must not stand on paper gives way to the plain name
    acme.save()
    free = Order(holder=acme.namespace, billing={})
    assert licensee_name(free) == "acme"

    Namespace.objects.filter(organization=acme).update(organization=None)
    row = License.objects.get()
    assert opened(issue_file(row)).licensee.id == str(row.holder_id)


def test_an_update_that_is_covered_is_named_beside_what_was_bought(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    held = hold()
    weights = safetensors(seed=5)
    newer = add_files(held.shop.seller, held.shop.repo, {"model.safetensors": weights})

    first, second = opened(issue_file(held.row)).models

    assert first.id == second.id
    assert second.revision == newer
    (before,) = [file for file in first.files if file.path == "model.safetensors"]
    (after,) = [file for file in second.files if file.path == "model.safetensors"]
    assert before.sha256 != after.sha256
    assert len(second.files) == 4
    monkeypatch.setattr(issuing, "MAX_FILES", 7)  # an update nobody could read a license of
    assert opened(issue_file(held.row)).models == (first,)
    monkeypatch.undo()
    Commit.objects.filter(oid=newer).update(tree_oid=EMPTY_TREE)  # or that took every file away
    assert opened(issue_file(held.row)).models == (first,)


def test_an_update_that_is_not_covered_is_not_named() -> None:
    held = hold(updates=Grant.Updates.REVISION)
    add_files(held.shop.seller, held.shop.repo, {"model.safetensors": safetensors(seed=5)})

    (model,) = opened(issue_file(held.row)).models

    assert model.line == "main"


def tag(held: Held, name: str) -> None:
    from catalog.history.refs import create_tag

    create_tag(held.shop.repo, name, revision="main", message="", tagger="maria")


def test_a_major_line_reaches_until_the_next_one() -> None:
    held = hold(updates=Grant.Updates.MAJOR)
    seller, repo = held.shop.seller, held.shop.repo
    fix = add_files(seller, repo, {"model.safetensors": safetensors(seed=5)})
    add_files(seller, repo, {"model.safetensors": safetensors(seed=6)})
    tag(held, "v1.0")
    tag(held, "newest")
    add_files(seller, repo, {"notes.md": b"later"})

    first, second = opened(issue_file(held.row)).models
    listed = updates_of(held.row)

    assert (first.line, second.line) == ("v0", "v0")
    assert second.revision == fix
    assert [one.is_covered for one in listed] == [False, False, True]
    assert listed[-1].commit == fix
    assert {one.title for one in listed} == {"add files"}


def test_updates_are_those_after_the_bought_commit() -> None:
    held = hold()
    assert updates_of(held.row) == []

    newer = add_files(held.shop.seller, held.shop.repo, {"notes.md": b"later"})

    (update,) = updates_of(held.row)
    assert (update.model, update.commit, update.is_covered) == ("maria/haiku-gpt", newer, True)


@pytest.mark.parametrize(
    ("term_days", "days", "lives_s"), [(None, 3, 3 * DAY_S), (2, None, 2 * DAY_S), (2, 31, None)]
)
def test_a_file_never_outlives_its_license(
    term_days: int | None, days: int | None, lives_s: int | None
) -> None:
    held = hold(term_days=term_days)

    told = opened(issue_file(held.row, days=days))

    wanted = lives_s or 2 * DAY_S
    assert abs(told.file_expires_at - told.issued_at - wanted) <= 60
    assert told.license_expires_at is None or told.file_expires_at <= told.license_expires_at


@pytest.mark.parametrize("days", [0, -1, 32, 10**9])
def test_a_life_out_of_range_is_refused(days: int) -> None:
    with pytest.raises(BadLifeError):
        issue_file(hold().row, days=days)


def test_no_file_is_written_for_what_does_not_count() -> None:
    held = hold()
    license_keys.suspend(held.selling, held.row, "late")
    before = everything()

    for work in (
        lambda: issue_file(held.row),
        lambda: check_out(held.row, held.holding, fingerprint="m1"),
    ):
        with pytest.raises(NotInForceError) as caught:
            work()
        assert caught.value.extra == {"reason": "SUSPENDED"}
    assert everything() == before


def test_no_file_is_written_in_the_last_second_of_a_license() -> None:
    hold(term_days=1)
    ends_at = timezone.now().replace(microsecond=900_000) + timedelta(seconds=5)
    Grant.objects.update(ends_at=ends_at)
    row = License.objects.get()

    with time_machine.travel(ends_at - timedelta(milliseconds=300), tick=False):
        with pytest.raises(NotInForceError):
            issue_file(row)


def test_a_changed_or_foreign_file_is_refused(settings: Any, tmp_path: Path) -> None:
    text = issue_file(hold().row)
    head, body, tail = text.split(".")
    keys = signer().key_set()
    for changed in (f"{head}.{body[:-8]}AAAAAAAA.{tail}", f"{head}.{body}.{'A' * 86}", body):
        with pytest.raises(LicenseFileError):
            open_license(changed, keys)

    settings.LICENSE_KEY_DIR = tmp_path / "other-keys"
    with pytest.raises(LicenseFileError):
        opened(text)


def test_an_offline_file_is_for_one_machine_and_holds_a_seat() -> None:
    held = hold(seats=1)

    found = check_out(held.row, VISITOR, fingerprint="m1", hours=48, label="van")

    told = opened(found.text)
    assert told.machine is not None
    assert (told.machine.fingerprint, told.machine.name) == ("m1", "van")
    assert told.file_expires_at - told.issued_at == 48 * 3600
    assert found.expires_at.timestamp() == told.file_expires_at
    assert found.activation.held_until == found.activation.ended_at == found.expires_at
    with pytest.raises(TooManyMachinesError):
        check_out(held.row, VISITOR, fingerprint="m2")
    with pytest.raises(LicenseExpiredError):
        check_times(told, now_s=told.file_expires_at)


def test_a_seat_that_was_lent_is_free_when_the_file_expires() -> None:
    held = hold(seats=1)
    found = check_out(held.row, VISITOR, fingerprint="m1", hours=1)

    with time_machine.travel(found.expires_at + timedelta(seconds=1)):
        check_out(held.row, VISITOR, fingerprint="m2", hours=1)
        assert held.live() == ["m2"]


def test_an_offline_file_ends_with_its_license() -> None:
    held = hold(term_days=1)

    found = check_out(held.row, VISITOR, fingerprint="m1", hours=2160)

    assert found.expires_at == held.grant.ends_at.replace(microsecond=0)


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"hours": 0}, BadLifeError),
        ({"hours": 2161}, BadLifeError),
        ({"fingerprint": ""}, BadFingerprintError),
        ({"fingerprint": "é"}, BadFingerprintError),
        ({"label": "a\u202eb"}, BadLabelError),
        ({"user": "ada"}, BadSeatError),
    ],
)
def test_what_cannot_be_checked_out_holds_nothing(wrong: dict, error: type[Exception]) -> None:
    held = hold()

    with pytest.raises(error):
        check_out(held.row, VISITOR, **({"fingerprint": "m1"} | wrong))

    assert Activation.objects.count() == 0


def test_what_cannot_be_signed_holds_nothing(settings: Any) -> None:
    held = hold()
    settings.ENV = settings.ENV.model_copy(
        update={"license_key": type(settings.ENV.license_key)("x")}
    )

    with pytest.raises(Exception, match="seed"):
        check_out(held.row, VISITOR, fingerprint="m1")

    assert Activation.objects.count() == 0


def test_a_person_takes_an_offline_file_to_a_machine() -> None:
    held = hold(seat_kind=SeatKind.PEOPLE)

    found = check_out(held.row, VISITOR, fingerprint="m1", user="ada")

    told = opened(found.text)
    assert told.machine is not None
    assert told.machine.fingerprint == told.machine.name == "m1"
    assert found.activation.user == held.shop.buyer
    assert found.activation.fingerprint == seat_of(held.row, VISITOR, user="ada").fingerprint
    with pytest.raises(SeatPersonError):
        check_out(held.row, VISITOR, fingerprint="m1", user="maria")
    with pytest.raises(BadSeatError):
        check_out(held.row, VISITOR, fingerprint="m1")


def download(repo: ModelRepo, commit_oid: str, folder: Path) -> None:
    """Put the files of a commit into a folder."""
    from catalog.content.stores import storage

    for entry in list_entries(repo, commit_oid, recursive=True):
        if entry.is_folder:
            continue
        target = folder / entry.path
        target.parent.mkdir(parents=True, exist_ok=True)
        if entry.lfs is None:
            target.write_bytes(read_blob(repo, entry))
        else:
            with storage().open(entry.lfs.sha256) as source:
                target.write_bytes(source.read())


def test_the_offline_command_verifies_file_and_folder(tmp_path: Path) -> None:
    held = hold()
    newer = add_files(held.shop.seller, held.shop.repo, {"model.safetensors": safetensors(seed=5)})
    found = check_out(held.fresh(), VISITOR, fingerprint="m1", hours=2)
    (tmp_path / "keys.json").write_text(json.dumps(signer().jwks()))
    (tmp_path / "a.gpts-license").write_bytes(write_file(found.text))
    bought = opened(found.text).models[0].revision
    for name, commit_oid in (("bought", bought), ("newer", newer)):
        download(held.shop.repo, commit_oid, tmp_path / name)

    def check(folder: str, machine: str = "m1") -> subprocess.CompletedProcess[str]:
        file, keys = tmp_path / "a.gpts-license", tmp_path / "keys.json"
        return verify(file, keys, tmp_path / folder, machine=machine)

    for folder in ("bought", "newer"):
        done = check(folder)
        assert (done.returncode, "are those it covers" in done.stdout) == (0, True), done.stderr
    assert check("newer", machine="m2").returncode == 1
    (tmp_path / "newer/config.json").write_bytes(b"{}")
    assert check("newer").returncode == 3
