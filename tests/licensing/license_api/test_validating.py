"""Every answer to a validation, and that none of them tells too much or changes anything."""

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from accounts.models import User
from catalog.models import Grant, Ref
from catalog.services.repos import move_repo
from licensing.documents.keys import digest_to_look_up
from licensing.models import Activation, License, Offer, SeatKind, Subscription
from licensing.services import refunds
from licensing.services.license_facts import facts_of, facts_of_many
from licensing.services.offers import NewPrice
from licensing.services.validating import (
    BadFingerprintError,
    BadLabelError,
    BadScopeError,
    Code,
    Scope,
    check_fingerprint,
    clean_label,
    message_of,
    read_scope,
    validate,
)
from store.core.errors import StoreError
from tests.factories import add_files, make_user, safetensors
from tests.licensing.license_api.holding import NO_KEY, OTHER_KEY, Held, everything, hold
from tests.licensing.selling.shop import make_model

pytestmark = pytest.mark.django_db
MOMENT = datetime(2026, 11, 26, tzinfo=UTC)


def code(held: Held, **scope: Any) -> Code:
    """The answer for a scope."""
    return validate(held.key, Scope(**scope)).code


def test_a_bought_license_is_valid_and_says_what_it_is() -> None:
    held = hold(seats=3)

    found = validate(held.key)

    assert found.code == Code.VALID
    assert found.is_valid
    assert found.facts is not None
    assert found.facts.id == held.row.public_id
    assert (found.facts.seats, found.facts.used_seats) == (3, 0)
    assert [model.name for model in found.facts.models] == ["maria/haiku-gpt"]
    assert found.facts.rights["commercial_use"] == "yes"
    assert found.facts == facts_of_many([held.row.pk])[held.row.pk]


def test_a_key_is_understood_as_people_write_it() -> None:
    held = hold()

    assert validate(f"  {held.key.lower().replace('-', ' ')} ").is_valid


@pytest.mark.parametrize(
    "text", [NO_KEY, OTHER_KEY, "", "GPTS-", "\0", "x" * 100_000, "\ud800", "ﬀ" * 30, "' OR 1=1"]
)
def test_unknown_and_malformed_keys_look_the_same(text: str) -> None:
    held = hold()
    before = everything()

    key = held.key
    with CaptureQueriesContext(connection) as asked:
        found = validate(text, Scope(fingerprint="m1", model="maria/haiku-gpt"))
    with CaptureQueriesContext(connection) as right:
        validate(key)

    assert (found.code, found.facts, found.is_valid) == (Code.NOT_FOUND, None, False)
    assert len(asked) == len(right) == 1
    assert everything() == before


def test_a_key_that_shares_all_but_its_end_is_as_unknown_as_any() -> None:
    held = hold()
    shared = held.key[:-4] + "0-00"
    queries = []

    for text in (shared, NO_KEY, OTHER_KEY, held.key[:20]):
        with CaptureQueriesContext(connection) as asked:
            assert validate(text, now=MOMENT).code == Code.NOT_FOUND
        queries.append([query["sql"].split("key_digest")[0] for query in asked])

    assert all(one == queries[0] for one in queries)
    assert len({digest_to_look_up(text)[:8] for text in (shared, held.key)}) == 2


def test_a_refund_revokes_at_once() -> None:
    held = hold()
    refunds.give_back(held.selling, held.row.line.order, None, "Sorry")

    assert code(held) == Code.REVOKED
    assert validate(held.key).facts is not None


def test_suspended_disputed_future_and_ended_licenses_say_so() -> None:
    held = hold(term_days=30)
    now = timezone.now()
    Grant.objects.update(state=Grant.State.FROZEN)
    assert code(held) == Code.FROZEN
    License.objects.update(suspended_at=now)
    assert code(held) == Code.SUSPENDED

    License.objects.update(suspended_at=None)
    Grant.objects.update(state=Grant.State.ACTIVE, starts_at=now + timedelta(minutes=9))
    assert code(held) == Code.NOT_STARTED
    Grant.objects.update(starts_at=now - timedelta(days=2), ends_at=now)
    assert code(held) == Code.EXPIRED
    assert validate(held.key, now=now - timedelta(seconds=1)).code == Code.VALID


def test_a_server_whose_clock_is_behind_opens_what_was_just_sold(
    browser_of: Callable[[User], Client],
) -> None:
    held = hold()
    place = f"/{held.shop.repo.full_name}/resolve/main/model.safetensors"
    ahead = timezone.now() + timedelta(seconds=30)
    Grant.objects.update(starts_at=ahead)

    got = browser_of(held.shop.buyer).get(place)
    assert (got.status_code, len(got.getvalue()) > 100) == (200, True)
    assert code(held) == Code.VALID
    assert browser_of(held.shop.buyer).get(f"/library/{held.row.public_id}/file").status_code == 200
    Grant.objects.update(starts_at=ahead + timedelta(minutes=9))
    assert browser_of(held.shop.buyer).get(place).status_code == 403


def test_an_unpaid_subscription_is_overdue_once_it_has_run_out() -> None:
    held = hold(kind=Offer.Kind.SUBSCRIPTION, interval="month", prices=(NewPrice("EUR", 900),))
    Subscription.objects.update(state=Subscription.State.OVERDUE)
    assert code(held) == Code.VALID

    Grant.objects.update(
        starts_at=timezone.now() - timedelta(days=40), ends_at=timezone.now() - timedelta(days=9)
    )

    assert code(held) == Code.OVERDUE
    Subscription.objects.update(state=Subscription.State.ENDED)
    assert code(held) == Code.EXPIRED


def test_the_model_is_known_by_name_by_id_and_by_its_old_name() -> None:
    held = hold()
    repo = held.shop.repo
    other = make_model(held.shop.seller, "sonnet-gpt")

    assert code(held, model="Maria/Haiku-GPT") == Code.VALID
    assert code(held, model=repo.public_id) == Code.VALID
    for wrong in (other.full_name, other.public_id, "maria", "haiku-gpt", "no/body"):
        assert code(held, model=wrong) == Code.PRODUCT_SCOPE_MISMATCH

    move_repo(held.selling, repo, namespace="maria", name="haiku-2")
    assert code(held, model="maria/haiku-gpt") == Code.VALID
    assert code(held, model="maria/haiku-2") == Code.VALID


def test_all_updates_are_covered_as_far_as_they_were_published() -> None:
    held = hold()
    repo, seller = held.shop.repo, held.shop.seller
    bought = facts_of(held.row.pk).models[0].revision
    weights = safetensors(seed=5)
    newer = add_files(seller, repo, {"model.safetensors": weights})
    before = Ref.objects.get(repo=repo, name="refs/heads/main")

    assert code(held, revision=bought) == Code.VALID
    assert code(held, revision=newer) == Code.VALID
    assert code(held, revision="0" * 40) == Code.VERSION_SCOPE_MISMATCH
    sha256 = sha_of(weights)
    assert code(held, sha256=sha256) == Code.VALID
    assert code(held, sha256="0" * 64) == Code.CHECKSUM_SCOPE_MISMATCH
    assert before.commit_oid == newer


def test_guessing_digests_and_revisions_reads_no_history() -> None:
    """Whoever has a key may send any number: each costs a look into indexes."""
    held = hold()
    repo = held.shop.repo
    Grant.objects.update(updates=Grant.Updates.MAJOR)

    with CaptureQueriesContext(connection) as guess:
        assert code(held, sha256="0" * 64) == Code.CHECKSUM_SCOPE_MISMATCH
        assert code(held, revision="0" * 40) == Code.VERSION_SCOPE_MISMATCH
    asked = [query["sql"] for query in guess if "catalog_gitobject" in query["sql"]]
    add_files(held.shop.seller, repo, {f"notes-{n}.md": b"x%d" % n for n in range(30)})

    assert len(asked) == 3
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE catalog_gitobject")
        cursor.execute("SET LOCAL enable_seqscan = off")
        for sql, index in zip(
            asked, ("git_lfs", "git_small_files", "git_object_once"), strict=True
        ):
            cursor.execute("EXPLAIN " + sql)
            assert index in str(cursor.fetchall())


def sha_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_a_license_of_one_revision_reaches_no_later_one() -> None:
    held = hold(updates=Grant.Updates.REVISION)
    repo, seller = held.shop.repo, held.shop.seller
    bought = facts_of(held.row.pk).models[0].revision
    weights = safetensors(seed=5)
    newer = add_files(seller, repo, {"model.safetensors": weights})

    assert code(held, revision=bought) == Code.VALID
    assert code(held, revision=newer) == Code.VERSION_SCOPE_MISMATCH
    assert code(held, sha256=sha_of(safetensors())) == Code.VALID
    assert code(held, sha256=sha_of(weights)) == Code.CHECKSUM_SCOPE_MISMATCH


def test_proposals_of_strangers_are_no_revisions_of_the_seller() -> None:
    from accounts.viewer import Viewer
    from catalog.services.publishing import AddFile, publish

    held = hold()
    pull = publish(
        Viewer(user=make_user("eve")),
        held.shop.repo,
        revision="main",
        operations=[AddFile("x.txt", b"x")],
        title="Add x",
        create_pr=True,
    )

    assert code(held, revision=pull.commit.oid) == Code.VERSION_SCOPE_MISMATCH


def test_entitlements_are_rights_the_terms_give() -> None:
    held = hold()
    License.objects.update(
        rights={"commercial_use": "yes", "hosted_service": "conditional", "derivatives": "no"}
        | {"credit": True}
    )

    assert code(held, entitlements=("commercial_use", "hosted_service")) == Code.VALID
    for missing in ("derivatives", "redistribution", "credit", "world_domination"):
        wanted = ("commercial_use", missing)
        assert code(held, entitlements=wanted) == Code.ENTITLEMENTS_MISSING


def test_machines_are_told_apart() -> None:
    held = hold(seats=2)
    assert code(held, fingerprint="m1") == Code.NO_MACHINE
    held.machine("m1")

    assert code(held, fingerprint="m1") == Code.VALID
    assert code(held, fingerprint="M1") == Code.FINGERPRINT_SCOPE_MISMATCH
    assert code(held) == Code.VALID

    held.machine("m2")
    License.objects.update(seats=1)
    assert code(held, fingerprint="m1") == Code.TOO_MANY_MACHINES


def test_people_are_told_apart() -> None:
    held = hold(seats=2, seat_kind=SeatKind.PEOPLE)
    ada, bob = held.shop.buyer, make_user("bob")
    assert code(held, user="ada") == Code.NO_USER
    for person in (ada, bob):
        Activation.objects.create(
            license=held.row, user=person, fingerprint=f"user:{person.public_id}"
        )

    assert code(held, user="ADA") == Code.VALID
    assert code(held, user="eve") == Code.USER_SCOPE_MISMATCH
    assert code(held, fingerprint=f"user:{ada.public_id}") == Code.VALID

    License.objects.update(seats=1)
    assert code(held, user="ada") == Code.TOO_MANY_USERS


def test_validating_for_a_machine_is_a_sign_of_life_written_rarely() -> None:
    held = hold()
    row = held.machine("m1")
    with CaptureQueriesContext(connection) as asked:
        code(held, fingerprint="m1")
    assert not any("UPDATE" in query["sql"] for query in asked)

    long_ago = timezone.now() - timedelta(hours=7)
    Activation.objects.update(seen_at=long_ago)
    code(held)
    row.refresh_from_db()
    assert row.seen_at == long_ago
    code(held, fingerprint="m1")
    row.refresh_from_db()
    assert row.seen_at > long_ago


def test_every_code_has_its_words() -> None:
    assert len({message_of(one) for one in Code}) == len(Code)


def test_a_scope_is_read() -> None:
    assert read_scope(None) == Scope()
    assert read_scope({}) == Scope()
    read = read_scope(
        {
            "fingerprint": "m 1",
            "model": "a/b",
            "revision": "A" * 40,
            "sha256": "B" * 64,
            "entitlements": ["commercial_use"],
        }
    )
    assert read == Scope("m 1", "", "a/b", "a" * 40, "b" * 64, ("commercial_use",))


@pytest.mark.parametrize(
    "value",
    [
        [],
        "x",
        {"machine": "m1"},
        {"fingerprint": "m1", "user": "ada"},
        {"model": 3},
        {"model": "x" * 201},
        {"model": "\ud800"},
        {"user": ["ada"]},
        {"revision": "main"},
        {"revision": "a" * 39},
        {"sha256": "g" * 64},
        {"entitlements": "commercial_use"},
        {"entitlements": [1]},
        {"entitlements": ["x"] * 21},
        {"entitlements": ["x" * 201]},
    ],
)
def test_a_scope_that_cannot_be_meant_is_refused(value: Any) -> None:
    with pytest.raises(BadScopeError):
        read_scope(value)


@given(
    st.dictionaries(
        st.sampled_from([*Scope.__slots__, "more"]),
        st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.text(), max_size=30),
    )
)
def test_whatever_is_sent_is_a_scope_or_a_typed_refusal(value: dict[str, Any]) -> None:
    try:
        found = read_scope(value)
    except StoreError as error:
        assert error.code in {"bad_scope", "bad_fingerprint"}  # noqa: PT017
    else:
        assert isinstance(found, Scope)


@given(st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=200))
def test_fingerprints_of_ascii_are_kept_as_they_are(text: str) -> None:
    if text and text == text.strip() and len(text) <= 128:
        assert check_fingerprint(text) == text
    else:
        with pytest.raises(BadFingerprintError):
            check_fingerprint(text)


@pytest.mark.parametrize("text", ["", "é", "a\n", "a\0b", "a\x7f", None, 3, "m1 ", " m1"])
def test_other_fingerprints_are_refused(text: Any) -> None:
    with pytest.raises(BadFingerprintError):
        check_fingerprint(text)


def test_labels_are_composed_and_plain() -> None:
    assert clean_label("  Büro ") == "Büro"
    assert clean_label("") == ""
    for bad in ("a\nb", "a\u202eb", "a\u200bb", "x" * 121, None, 3, "\ud800", "a\u2028b"):
        with pytest.raises(BadLabelError):
            clean_label(bad)


@given(st.text())
def test_a_label_that_is_taken_stays_as_it_is(text: str) -> None:
    try:
        once = clean_label(text)
    except BadLabelError:
        return
    assert clean_label(once) == once
