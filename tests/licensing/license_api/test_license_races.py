"""Many at once on a real database: seats are counted exactly, whatever comes together."""

import subprocess
import sys
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from catalog.models import Grant
from licensing.models import Activation, License, Order, OrderLine
from licensing.services import activations, extending, granting, license_keys, renewing
from licensing.services.activations import Seat
from licensing.services.issuing import check_out
from licensing.services.validating import Code, validate
from store.core.errors import StaleError, StoreError
from tests.licensing.license_api.holding import Held, hold
from tests.threads import ROUNDS, at_once

pytestmark = pytest.mark.django_db(transaction=True)


def outcome(work: Any) -> str:
    """``ok``, or the code of the refusal."""
    try:
        work()
    except StoreError as error:
        return error.code
    return "ok"


def test_20_activations_race_for_3_machines() -> None:
    held = hold(seats=3)

    for run in range(ROUNDS):
        Activation.objects.all().delete()
        found = at_once(lambda n, run=run: outcome(lambda: held.machine(f"m{run}-{n}")), 20)

        assert sorted(found) == ["ok"] * 3 + ["too_many_machines"] * 17
        assert Activation.objects.live().count() == 3
    assert validate(held.key).code == Code.VALID


def test_one_machine_that_asks_20_times_at_once_has_one_seat() -> None:
    held = hold(seats=1)

    found = at_once(lambda _n: activations.activate(held.row, Seat("m1")), 20)

    assert len({row.pk for row, _is_new in found}) == 1
    assert [is_new for _row, is_new in found].count(True) == 1
    assert Activation.objects.count() == 1


def test_activations_beside_deactivations_never_exceed_the_seats() -> None:
    held = hold(seats=3)

    for _run in range(ROUNDS):
        Activation.objects.all().delete()
        for number in range(3):
            held.machine(f"old{number}")

        def turn(number: int) -> str:
            if number < 3:
                return outcome(lambda: activations.deactivate(held.row, Seat(f"old{number}")))
            return outcome(lambda: held.machine(f"new{number}"))

        found = at_once(turn, 15)

        assert found[:3] == ["ok"] * 3
        assert set(found[3:]) <= {"ok", "too_many_machines"}
        assert Activation.objects.live().count() == found[3:].count("ok") <= 3


def test_a_seat_is_handed_to_one_of_many() -> None:
    held = hold(seats=1)

    for run in range(ROUNDS):
        Activation.objects.all().delete()
        row = held.machine("m1")

        def hand(number: int, run: int = run, row: Activation = row) -> str:
            to = Seat(f"m{run}-{number}")
            return outcome(lambda: activations.transfer(held.holding, held.row, row, to))

        assert sorted(at_once(hand, 10)) == ["no_machine"] * 9 + ["ok"]
        assert Activation.objects.live().count() == 1


def test_a_seat_that_is_handed_on_and_given_back_at_once_is_one_or_the_other() -> None:
    held = hold(seats=1)
    ends = set()

    for run in range(ROUNDS):
        Activation.objects.all().delete()
        row, new = held.machine("m1"), Seat(f"m{run}-new")
        steps = (
            lambda row=row, new=new: activations.transfer(held.holding, held.row, row, new),
            lambda: activations.deactivate(held.row, Seat("m1")),
        )

        found = at_once(lambda which, steps=steps: outcome(steps[which]), 2)

        assert found in (["ok", "ok"], ["no_machine", "ok"])
        assert len(held.live()) == (found == ["ok", "ok"])
        row.refresh_from_db()
        assert row.ended_at is not None
        ends.add(found[0])
    assert ROUNDS < 50 or len(ends) == 2


def test_offline_files_beside_activations_share_the_seats() -> None:
    held = hold(seats=2)

    def take(number: int) -> str:
        if number % 2:
            return outcome(lambda: held.machine(f"m{number}"))
        return outcome(lambda: check_out(held.fresh(), held.holding, fingerprint=f"m{number}"))

    found = at_once(take, 10)

    assert sorted(found) == ["ok"] * 2 + ["too_many_machines"] * 8
    assert Activation.objects.live().count() == 2


def test_two_who_replace_the_same_key_get_one_new_key() -> None:
    held = hold()

    def rotate(_number: int) -> str:
        return outcome(lambda: license_keys.rotate_key(held.holding, held.row, rotation=0))

    assert sorted(at_once(rotate, 6)) == ["ok"] + [StaleError.code] * 5
    assert License.objects.get().key_rotation == 1


def test_suspending_beside_a_dispute_leaves_both_in_force() -> None:
    """Whatever comes first: reinstating does not thaw a dispute, winning does not thaw a seller."""
    held = hold()
    order = held.row.line.order

    for _run in range(ROUNDS):
        license_keys.suspend(held.selling, held.row, "late")

        def turn(number: int) -> Any:
            if number:
                return license_keys.reinstate(held.selling, held.row)
            return dispute(order)

        at_once(turn, 2)

        assert held.grant.state == Grant.State.FROZEN
        win(order)
        assert held.grant.state == Grant.State.ACTIVE


def dispute(order: Order) -> None:
    from django.db import transaction

    from licensing.models import Dispute

    with transaction.atomic():
        Order.objects.select_for_update().get(pk=order.pk)
        number = Dispute.objects.count()
        Dispute.objects.create(
            order=order,
            gateway="sandbox",
            external_id=f"dp_{number}",
            amount_minor=1,
            opened_at=timezone.now(),
        )
        granting.freeze(order)


def win(order: Order) -> None:
    from django.db import transaction

    from licensing.models import Dispute

    with transaction.atomic():
        Dispute.objects.update(state=Dispute.State.WON, closed_at=timezone.now())
        granting.thaw(order)


def test_terms_bought_at_once_all_count() -> None:
    held = hold(term_days=30)
    ends_at = held.grant.ends_at
    assert ends_at is not None

    def renew(number: int) -> str:
        from licensing.services import checkout, ordering

        billing = held.row.line.order.billing
        quote, priced = renewing.quote_renewal(
            held.holding, held.row, currency="EUR", billing=billing
        )
        order, _new = ordering.open_order(
            held.holding, quote.public_id, key=f"r{number}", accepted_terms=priced.terms
        )
        return outcome(lambda: checkout.start(order, method="test_success"))

    assert at_once(renew, 4) == ["ok"] * 4
    assert held.grant.ends_at == ends_at + timedelta(days=4 * 30)
    assert OrderLine.objects.filter(extended_at__isnull=False).count() == 4
    assert extending.orders_of(held.row).count() == 5


_ASK = """
import os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "store.settings"
import django; django.setup()
from django.conf import settings
from django.db import connections
connections["default"].settings_dict["NAME"] = sys.argv[1]
from licensing.services.validating import validate
for line in sys.stdin:
    print(validate(line.strip()).code.value, flush=True)
"""


def test_a_replaced_key_is_dead_at_once_in_other_processes() -> None:
    held = hold()
    old = held.key
    name = str(connection.settings_dict["NAME"])
    with subprocess.Popen(
        [sys.executable, "-c", _ASK, name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:

        def ask(held: Held, key: str) -> str:
            assert other.stdin is not None
            assert other.stdout is not None
            other.stdin.write(key + "\n")
            other.stdin.flush()
            return other.stdout.readline().strip()

        assert ask(held, old) == "VALID"
        new = license_keys.rotate_key(held.holding, held.row)
        assert ask(held, old) == "NOT_FOUND"
        assert ask(held, new) == "VALID"
        other.communicate()
