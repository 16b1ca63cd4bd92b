"""Seats of licenses: taken by machines or people, given back, handed on.

Every change runs with the license's row locked, so that seats are counted exactly and nothing is
activated on a license that is being suspended, revoked or given a new key.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import Membership, User
from accounts.services.audit import record
from accounts.viewer import Viewer
from licensing.access import may, no_such_license
from licensing.documents.keys import digest_to_look_up
from licensing.models import Activation, License, SeatKind
from licensing.services.extending import lock
from licensing.services.license_facts import facts_of
from licensing.services.validating import (
    Code,
    check_fingerprint,
    clean_label,
    message_of,
    standing_of,
)
from store.core.errors import ConflictError, ForbiddenError, NotFoundError, UnprocessableError


class TooManyMachinesError(ConflictError):
    """All seats are taken; ``extra`` has ``seats`` and ``used``. End another activation first."""

    code = "too_many_machines"


class TooManyUsersError(TooManyMachinesError):
    """All seats are taken by other people."""

    code = "too_many_users"


class NotInForceError(ForbiddenError):
    """The license does not count now; ``extra.reason`` is the code of a validation."""

    code = "license_not_in_force"


class NoSeatError(NotFoundError):
    """This machine or person has no seat."""

    code = "no_machine"


class BadSeatError(UnprocessableError):
    """The license counts machines and a person was named, or the other way round."""

    code = "bad_seat"


class SeatPersonError(ForbiddenError):
    """The person is neither signed in nor a member of the license's holder."""

    code = "person_not_allowed"


class SeatHeldError(ConflictError):
    """An offline file of the seat is out; ``extra.held_until`` says when the seat is free."""

    code = "seat_held"


@dataclass(frozen=True, slots=True)
class Seat:
    """Who takes a seat.

    Args:
        fingerprint: Of the machine; of a person ``user:`` and their public id.
        user: The person, if it is one.
    """

    fingerprint: str
    user: User | None = None


def license_by_key(key: str) -> License:
    """Return the license of a key.

    Raises:
        LicenseNotFoundError: the key is unknown, was replaced, or is none at all.
    """
    rows = License.objects.select_related("grant", "holder", "seller", "terms", "line__order")
    found = rows.filter(key_digest=digest_to_look_up(key)).first()
    if found is None:
        raise no_such_license()
    return found


def seat_of(license_: License, viewer: Viewer, *, fingerprint: str = "", user: str = "") -> Seat:
    """Return who is to take a seat of a license.

    Args:
        license_: Counts machines or people.
        viewer: Who asks. A person's seat is for somebody who is signed in, or a member of the
            holder, who then need not be.
        fingerprint: What the machine calls itself.
        user: The person, by name.

    Raises:
        BadSeatError: the other kind of seat.
        BadFingerprintError: see there.
        SeatPersonError: nobody of this name may have a seat; the answer does not tell why.
    """
    if license_.seat_kind != SeatKind.PEOPLE:
        if user or not fingerprint:
            raise BadSeatError(_("This license counts machines. Send a 'fingerprint'."))
        return Seat(check_fingerprint(fingerprint))
    if fingerprint or not user:
        raise BadSeatError(_("This license counts people. Send a 'user'."))
    person = User.objects.filter(username__iexact=user, is_active=True).first()
    if person is None or not (person == viewer.user or _is_member(person, license_)):
        raise SeatPersonError(
            _("%(name)s must sign in, or be a member of the license's holder.") % {"name": user}
        )
    return Seat(f"user:{person.public_id}", person)


def _is_member(person: User, license_: License) -> bool:
    if license_.holder.user_id == person.pk:
        return True
    team = license_.holder.organization_id
    return Membership.objects.filter(user=person, organization=team).exists() if team else False


def seats_in_use(license_: License) -> QuerySet[Activation]:
    """Return the live activations of a license, oldest first."""
    rows = Activation.objects.live().filter(license=license_)
    return rows.select_related("user").order_by("id")


@transaction.atomic
def activate(license_: License, seat: Seat, *, label: str = "") -> tuple[Activation, bool]:
    """Give a seat to a machine or a person. Safe to repeat: one has one seat.

    Returns:
        The activation, and whether it is new.

    Raises:
        LicenseNotFoundError: its key was replaced meanwhile.
        NotInForceError: suspended, ended, revoked, disputed, or not begun.
        TooManyMachinesError, TooManyUsersError: no seat is free. Nothing changed.
        BadLabelError: see there.
    """
    label = clean_label(label)
    locked = lock_in_force(license_)
    return _begin(locked, seat, label, timezone.now(), lent_until=None)


def lock_in_force(license_: License) -> License:
    """Lock a license that counts, inside the caller's transaction.

    Raises:
        LicenseNotFoundError: its key was replaced since it was read.
        NotInForceError: it does not count now.
    """
    locked = lock(license_.pk)
    if locked.key_digest != license_.key_digest:
        raise no_such_license()
    check_in_force(locked)
    return locked


def check_in_force(license_: License) -> None:
    """Refuse a license that does not count now.

    Raises:
        NotInForceError: with the reason.
    """
    code = standing_of(facts_of(license_.pk))
    if code != Code.VALID:
        raise NotInForceError(message_of(code), reason=code.value)


@transaction.atomic
def lend(license_: License, seat: Seat, until: datetime, *, label: str = "") -> Activation:
    """Hold a seat for an offline file until it expires: a seat that is there, or a new one.

    Raises:
        As ``activate``.
    """
    label = clean_label(label)
    locked = lock_in_force(license_)
    row, _is_new = _begin(locked, seat, label, timezone.now(), lent_until=until)
    return row


def _begin(
    locked: License, seat: Seat, label: str, now: datetime, *, lent_until: datetime | None
) -> tuple[Activation, bool]:
    """Begin or go on with a seat of a locked license.

    A seat that was taken for an offline file ends with it; activating keeps it for good.
    """
    row = _live(locked, now).filter(fingerprint=seat.fingerprint).first()
    is_new = row is None
    if row is None:
        _make_room(locked, now)
        row = Activation(license=locked, fingerprint=seat.fingerprint, user=seat.user)
        row.created_at, row.ended_at = now, lent_until
    elif lent_until is None:
        row.ended_at = None
    row.seen_at, row.label = now, label or row.label
    if lent_until is not None:
        row.held_until = max(lent_until, row.held_until or lent_until)
        row.ended_at = None if row.ended_at is None else max(row.ended_at, row.held_until)
    row.save()
    return row, is_new


def _live(locked: License, now: datetime) -> QuerySet[Activation]:
    return Activation.objects.live(now).filter(license=locked)


def _make_room(locked: License, now: datetime) -> None:
    """Make sure that a seat is free; the machine that was silent longest may lose its own.

    Raises:
        TooManyMachinesError, TooManyUsersError: none is.
    """
    used = _live(locked, now).count()
    if locked.seats == 0 or used < locked.seats:
        return
    silent_days = settings.ENV.activation_silent_days
    if silent_days and used == locked.seats:
        silent = _live(locked, now).filter(
            Q(held_until=None) | Q(held_until__lte=now),
            seen_at__lt=now - timedelta(days=silent_days),
        )
        row = silent.order_by("seen_at", "id").first()
        if row is not None:
            row.ended_at = now
            row.save(update_fields=["ended_at"])
            return
    people = locked.seat_kind == SeatKind.PEOPLE
    error = TooManyUsersError if people else TooManyMachinesError
    raise error(
        _("All %(seats)d seats are taken. End another activation, or buy more.")
        % {"seats": locked.seats},
        seats=locked.seats,
        used=used,
    )


@transaction.atomic
def heartbeat(license_: License, seat: Seat) -> Activation:
    """Note that a machine or a person still uses its seat.

    Raises:
        LicenseNotFoundError, NotInForceError: see ``activate``.
        NoSeatError: it has none; activate it.
    """
    locked = lock_in_force(license_)
    now = timezone.now()
    row = _live(locked, now).filter(fingerprint=seat.fingerprint).first()
    if row is None:
        raise _no_seat()
    row.seen_at = now
    row.save(update_fields=["seen_at"])
    return row


def _no_seat() -> NoSeatError:
    return NoSeatError(_("There is no such activation. Activate the machine or person first."))


@transaction.atomic
def deactivate(license_: License, seat: Seat) -> Activation:
    """Give a seat back. Safe to repeat. Works on licenses that are not in force, too.

    While an offline file of the seat is out it stays taken until the file expires.

    Returns:
        The activation; ``ended_at`` says when the seat is free.

    Raises:
        LicenseNotFoundError: the key was replaced meanwhile.
        NoSeatError: it never had one.
    """
    locked = lock(license_.pk)
    if locked.key_digest != license_.key_digest:
        raise no_such_license()
    rows = Activation.objects.filter(license=locked, fingerprint=seat.fingerprint)
    row = rows.order_by("-id").first()
    if row is None:
        raise _no_seat()
    return _end(row)


def _end(row: Activation) -> Activation:
    now = timezone.now()
    if row.ended_at is None:
        row.ended_at = max(now, row.held_until or now)
        row.save(update_fields=["ended_at"])
    return row


def activation_of(viewer: Viewer, license_: License, public_id: str) -> Activation:
    """Return an activation of a license the viewer may change: any, or that of their own seat.

    Raises:
        NoSeatError: there is none of this id, or not for them.
    """
    rows = Activation.objects.select_related("user").filter(license=license_)
    row = rows.filter(public_id=public_id).first()
    is_theirs = row is not None and row.user_id is not None and row.user == viewer.user
    if row is None or not (is_theirs or may(viewer, license_, to="manage")):
        raise _no_seat()
    return row


@transaction.atomic
def end(viewer: Viewer, license_: License, activation: Activation) -> Activation:
    """End an activation for a person who may; see ``activation_of`` and ``deactivate``."""
    locked = lock(license_.pk)
    row = _end(Activation.objects.get(pk=activation.pk))
    _note("seat.end", viewer, locked, row)
    return row


@transaction.atomic
def transfer(
    viewer: Viewer, license_: License, activation: Activation, seat: Seat, *, label: str = ""
) -> Activation:
    """Hand a seat on: one activation ends and another begins, or nothing changes.

    Raises:
        NotInForceError, TooManyMachinesError, TooManyUsersError, BadLabelError: see ``activate``.
        NoSeatError: the seat was given back already.
        SeatHeldError: an offline file of it is out.
    """
    label = clean_label(label)
    locked = lock_in_force(license_)
    now = timezone.now()
    row = _live(locked, now).filter(pk=activation.pk).first()
    if row is None:
        raise _no_seat()
    if row.held_until is not None and row.held_until > now:
        raise SeatHeldError(
            _("An offline file of this seat is out. It can be handed on when the file expires."),
            held_until=row.held_until.isoformat(),
        )
    if row.fingerprint != seat.fingerprint:
        row.ended_at = now
        row.save(update_fields=["ended_at"])
    begun, _is_new = _begin(locked, seat, label, now, lent_until=None)
    _note("seat.transfer", viewer, locked, row)
    return begun


def _note(action: str, viewer: Viewer, locked: License, row: Activation) -> None:
    record(
        action,
        actor=viewer.user,
        subject=locked.public_id,
        namespace=locked.holder,
        address=viewer.address,
        seat=row.public_id,
    )
