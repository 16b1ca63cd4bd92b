"""Seats: taken once, counted, given back, handed on, lent to offline files."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import AuditEvent
from accounts.viewer import VISITOR, Viewer
from catalog.models import Grant
from licensing.access import LicenseNotFoundError
from licensing.models import Activation, License, SeatKind
from licensing.services import activations, license_keys
from licensing.services.activations import (
    BadSeatError,
    NoSeatError,
    NotInForceError,
    Seat,
    SeatHeldError,
    SeatPersonError,
    TooManyMachinesError,
    TooManyUsersError,
    seat_of,
)
from licensing.services.validating import BadFingerprintError, BadLabelError
from tests.factories import make_org, make_user
from tests.licensing.license_api.holding import NO_KEY, OTHER_KEY, Held, everything, hold
from tests.licensing.selling.shop import open_shop

pytestmark = pytest.mark.django_db


def test_a_machine_has_one_seat_however_often_it_asks() -> None:
    held = hold(seats=1)
    first, is_new = activations.activate(held.row, Seat("m1"), label="laptop")
    again, is_new_again = activations.activate(held.row, Seat("m1"))

    assert (is_new, is_new_again) == (True, False)
    assert again.pk == first.pk
    assert again.label == "laptop"
    assert again.seen_at > first.seen_at
    assert Activation.objects.count() == 1


def test_a_label_can_be_changed_by_activating_again() -> None:
    held = hold()
    held.machine("m1", label="old")

    held.machine("m1", label=" neu\u0308 ")

    assert held.live() == ["neü"]


def test_a_seat_too_many_is_refused_with_the_numbers() -> None:
    held = hold(seats=2)
    held.machine("m1")
    held.machine("m2")
    before = everything()

    with pytest.raises(TooManyMachinesError) as caught:
        held.machine("m3")

    assert caught.value.code == "too_many_machines"
    assert caught.value.extra == {"seats": 2, "used": 2}
    assert everything() == before


def test_any_number_means_any_number() -> None:
    held = hold(seats=0)

    for number in range(5):
        held.machine(f"m{number}")

    assert len(held.live()) == 5


def test_a_seat_that_was_given_back_is_free() -> None:
    held = hold(seats=1)
    held.machine("m1")

    ended = activations.deactivate(held.row, Seat("m1"))
    again = activations.deactivate(held.row, Seat("m1"))

    assert ended.ended_at is not None
    assert again.ended_at == ended.ended_at
    held.machine("m2")
    assert held.live() == ["m2"]


def test_who_never_had_a_seat_cannot_give_it_back_or_keep_it() -> None:
    held = hold()
    before = everything()

    for work in (activations.deactivate, activations.heartbeat):
        with pytest.raises(NoSeatError):
            work(held.row, Seat("m1"))

    assert everything() == before


def test_a_sign_of_life_is_written_down() -> None:
    held = hold()
    row = held.machine("m1")
    Activation.objects.update(seen_at=timezone.now() - timedelta(days=9))

    heard = activations.heartbeat(held.row, Seat("m1"))

    assert heard.pk == row.pk
    row.refresh_from_db()
    assert timezone.now() - row.seen_at < timedelta(minutes=1)


@pytest.mark.parametrize("state", [Grant.State.FROZEN, Grant.State.REVOKED])
def test_a_license_that_does_not_count_takes_no_seats_but_gives_them_back(state: str) -> None:
    held = hold()
    held.machine("m1")
    Grant.objects.update(state=state)
    before = everything()

    for work in (
        lambda: activations.activate(held.row, Seat("m2")),
        lambda: activations.activate(held.row, Seat("m1")),
        lambda: activations.heartbeat(held.row, Seat("m1")),
        lambda: activations.lend(held.row, Seat("m1"), timezone.now()),
    ):
        with pytest.raises(NotInForceError) as caught:
            work()
        assert caught.value.extra["reason"] == {"frozen": "FROZEN", "revoked": "REVOKED"}[state]
    assert everything() == before

    activations.deactivate(held.row, Seat("m1"))
    assert held.live() == []


def test_a_replaced_key_can_do_nothing_even_if_it_was_read_before() -> None:
    held = hold()
    held.machine("m1")
    read_before = License.objects.get()
    license_keys.rotate_key(held.holding, held.row)
    before = everything()

    for work in (activations.activate, activations.heartbeat, activations.deactivate):
        with pytest.raises(LicenseNotFoundError):
            work(read_before, Seat("m1"))

    assert everything() == before


@pytest.mark.parametrize("text", [NO_KEY, OTHER_KEY, "", "\ud800"])
def test_no_license_is_found_by_another_key(text: str) -> None:
    held = hold()
    assert activations.license_by_key(held.key) == held.row

    with pytest.raises(LicenseNotFoundError) as caught:
        activations.license_by_key(text)

    assert caught.value.extra == {}


def test_a_bad_label_changes_nothing() -> None:
    held = hold()
    before = everything()

    with pytest.raises(BadLabelError):
        held.machine("m1", label="a\u202eb")

    assert everything() == before


def test_machines_name_a_fingerprint() -> None:
    held = hold()

    assert seat_of(held.row, VISITOR, fingerprint="m1") == Seat("m1")
    for wrong in ({}, {"user": "ada"}, {"user": "ada", "fingerprint": "m1"}):
        with pytest.raises(BadSeatError):
            seat_of(held.row, VISITOR, **wrong)
    with pytest.raises(BadFingerprintError):
        seat_of(held.row, VISITOR, fingerprint="é")


def people(**offer: Any) -> Held:
    """A license with seats of people, which ada holds."""
    return hold(seat_kind=SeatKind.PEOPLE, **offer)


def test_people_are_signed_in_or_members_of_the_holder() -> None:
    held = people(seats=2)
    ada, bob = held.shop.buyer, make_user("bob")

    assert seat_of(held.row, VISITOR, user="Ada") == Seat(f"user:{ada.public_id}", ada)
    assert seat_of(held.row, Viewer(user=bob), user="bob").user == bob
    for viewer, name in ((VISITOR, "bob"), (held.holding, "bob"), (VISITOR, "nobody")):
        with pytest.raises(SeatPersonError):
            seat_of(held.row, viewer, user=name)
    for wrong in ({}, {"fingerprint": "m1"}, {"user": "ada", "fingerprint": "m1"}):
        with pytest.raises(BadSeatError):
            seat_of(held.row, held.holding, **wrong)


def test_who_left_gets_no_seat() -> None:
    held = people()
    held.shop.buyer.is_active = False
    held.shop.buyer.save()

    with pytest.raises(SeatPersonError):
        seat_of(held.row, VISITOR, user="ada")


def test_members_of_an_organization_have_its_seats() -> None:
    shop = open_shop(seat_kind=SeatKind.PEOPLE, seats=1)
    make_user("bob")
    make_org("acme", ada="admin", bob="read")
    row = License.objects.get(line__order=shop.buy(holder="acme"))

    seat = seat_of(row, VISITOR, user="bob")
    activations.activate(row, seat)

    with pytest.raises(TooManyUsersError) as caught:
        activations.activate(row, seat_of(row, VISITOR, user="ada"))
    assert caught.value.code == "too_many_users"
    assert [one.user.username for one in activations.seats_in_use(row) if one.user] == ["bob"]
    with pytest.raises(SeatPersonError):
        seat_of(row, VISITOR, user="maria")


def test_silent_machines_keep_their_seats_unless_the_site_says_otherwise() -> None:
    held = hold(seats=1)
    held.machine("m1")
    Activation.objects.update(seen_at=timezone.now() - timedelta(days=3000))

    with pytest.raises(TooManyMachinesError):
        held.machine("m2")

    assert held.live() == ["m1"]


def silent_after(settings: Any, days: int) -> None:
    settings.ENV = settings.ENV.model_copy(update={"activation_silent_days": days})


def test_the_machine_that_was_silent_longest_makes_room(settings: Any) -> None:
    silent_after(settings, 30)
    held = hold(seats=3)
    for name, days in (("m1", 40), ("m2", 50), ("m3", 29)):
        row = held.machine(name)
        Activation.objects.filter(pk=row.pk).update(seen_at=timezone.now() - timedelta(days=days))

    held.machine("m4")
    assert held.live() == ["m1", "m3", "m4"]
    held.machine("m5")
    assert held.live() == ["m3", "m4", "m5"]
    with pytest.raises(TooManyMachinesError):
        held.machine("m6")
    assert held.live() == ["m3", "m4", "m5"]


def test_a_silent_machine_with_an_offline_file_keeps_its_seat(settings: Any) -> None:
    silent_after(settings, 1)
    held = hold(seats=1)
    activations.lend(held.row, Seat("m1"), timezone.now() + timedelta(days=60))
    Activation.objects.update(seen_at=timezone.now() - timedelta(days=30))

    with pytest.raises(TooManyMachinesError):
        held.machine("m2")

    Activation.objects.update(held_until=timezone.now(), ended_at=None)
    held.machine("m2")
    assert held.live() == ["m2"]


def test_seats_beyond_the_limit_are_not_made_room_for(settings: Any) -> None:
    silent_after(settings, 1)
    held = hold(seats=2)
    held.machine("m1")
    held.machine("m2")
    Activation.objects.update(seen_at=timezone.now() - timedelta(days=30))
    License.objects.update(seats=1)

    with pytest.raises(TooManyMachinesError):
        held.machine("m3")

    assert held.live() == ["m1", "m2"]


def test_a_lent_seat_ends_with_its_file() -> None:
    held = hold(seats=1)
    now = timezone.now()
    row = activations.lend(held.row, Seat("m1"), now + timedelta(hours=2), label="van")

    assert row.held_until == row.ended_at == now + timedelta(hours=2)
    with pytest.raises(TooManyMachinesError):
        held.machine("m2")

    longer = activations.lend(held.row, Seat("m1"), now + timedelta(hours=5))
    shorter = activations.lend(held.row, Seat("m1"), now + timedelta(hours=1))
    assert longer.pk == shorter.pk == row.pk
    assert shorter.held_until == shorter.ended_at == now + timedelta(hours=5)

    Activation.objects.update(ended_at=timezone.now(), held_until=timezone.now())
    held.machine("m2")
    assert held.live() == ["m2"]


def test_activating_keeps_a_lent_seat_for_good() -> None:
    held = hold(seats=1)
    lent = activations.lend(held.row, Seat("m1"), timezone.now() + timedelta(hours=2))

    kept = held.machine("m1")

    assert (kept.pk, kept.ended_at, kept.held_until) == (lent.pk, None, lent.held_until)


def test_lending_to_a_machine_with_a_seat_leaves_it_the_seat() -> None:
    held = hold(seats=1)
    held.machine("m1")
    until = timezone.now() + timedelta(hours=2)

    lent = activations.lend(held.row, Seat("m1"), until)

    assert (lent.ended_at, lent.held_until) == (None, until)


def test_a_seat_given_back_stays_taken_while_its_file_is_out() -> None:
    held = hold(seats=1)
    held.machine("m1")
    until = timezone.now() + timedelta(hours=2)
    activations.lend(held.row, Seat("m1"), until)

    ended = activations.deactivate(held.row, Seat("m1"))

    assert ended.ended_at == until
    with pytest.raises(TooManyMachinesError):
        held.machine("m2")


def test_a_seat_is_handed_on_in_one_step() -> None:
    held = hold(seats=1)
    row = held.machine("m1")

    begun = activations.transfer(held.holding, held.row, row, Seat("m2"), label="new")

    assert begun.fingerprint == "m2"
    assert held.live() == ["new"]
    event = AuditEvent.objects.get(action="seat.transfer")
    assert (event.subject, event.detail) == (held.row.public_id, {"seat": row.public_id})


def test_a_seat_can_be_handed_to_itself_and_to_one_who_has_a_seat() -> None:
    held = hold(seats=2)
    row = held.machine("m1")
    held.machine("m2")

    activations.transfer(held.holding, held.row, row, Seat("m1"))
    assert held.live() == ["m1", "m2"]
    activations.transfer(held.holding, held.row, row, Seat("m2"))
    assert held.live() == ["m2"]


def test_a_seat_that_is_gone_or_held_is_not_handed_on() -> None:
    held = hold(seats=2)
    gone, kept = held.machine("m1"), held.machine("m2")
    activations.deactivate(held.row, Seat("m1"))
    until = timezone.now() + timedelta(hours=2)
    activations.lend(held.row, Seat("m2"), until)
    before = everything()

    with pytest.raises(NoSeatError):
        activations.transfer(held.holding, held.row, gone, Seat("m3"))
    with pytest.raises(SeatHeldError) as caught:
        activations.transfer(held.holding, held.row, kept, Seat("m3"))

    assert caught.value.extra == {"held_until": until.isoformat()}
    assert everything() == before


def test_a_seat_whose_file_has_expired_is_handed_on() -> None:
    held = hold(seats=1)
    row = held.machine("m1")
    Activation.objects.update(held_until=timezone.now())

    activations.transfer(held.holding, held.row, row, Seat("m2"))

    assert held.live() == ["m2"]


def test_handing_on_does_not_get_around_the_limit() -> None:
    held = hold(seats=3)
    row = held.machine("m0")
    held.machine("m1")
    held.machine("m2")
    License.objects.update(seats=2)
    before = everything()

    with pytest.raises(TooManyMachinesError):
        activations.transfer(held.holding, held.row, row, Seat("m9"))

    assert everything() == before


def test_holders_end_any_seat_and_people_their_own() -> None:
    held = people(seats=3)
    bob, eve = make_user("bob"), make_user("eve")
    theirs = activations.activate(held.row, seat_of(held.row, Viewer(user=bob), user="bob"))[0]

    assert activations.activation_of(held.holding, held.row, theirs.public_id) == theirs
    assert activations.activation_of(Viewer(user=bob), held.row, theirs.public_id) == theirs
    for viewer in (Viewer(user=eve), VISITOR, held.selling):
        with pytest.raises(NoSeatError):
            activations.activation_of(viewer, held.row, theirs.public_id)
    with pytest.raises(NoSeatError):
        activations.activation_of(held.holding, held.row, "0" * 24)

    activations.end(Viewer(user=bob), held.row, theirs)
    assert held.live() == []
    assert AuditEvent.objects.get(action="seat.end").actor == bob


def test_a_machine_belongs_to_nobody_who_is_not_the_holder() -> None:
    held = hold()
    row = held.machine("m1")

    with pytest.raises(NoSeatError):
        activations.activation_of(VISITOR, held.row, row.public_id)
