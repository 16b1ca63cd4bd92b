"""License files: written from what was bought and what updates brought, signed by the store."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import Organization
from accounts.viewer import Viewer
from catalog.history.refs import DEFAULT_BRANCH
from catalog.models import Grant, GrantedRepo
from catalog.reach import coverage_of
from licensing.configured import signer
from licensing.documents.document import (
    FILE_LIFE_S,
    MAX_FILES,
    MAX_SEATS,
    CoveredFile,
    CoveredModel,
    LicenseDocument,
    Licensee,
    Machine,
    Seats,
    Terms,
    expiry_of_file,
)
from licensing.documents.jws import SUFFIX
from licensing.models import Activation, License, LicensedFile, SeatKind
from licensing.services import activations
from licensing.services.covering import (
    covered_files,
    later_commits,
    newest_covered,
)
from licensing.services.validating import Code, check_fingerprint, message_of
from store.core.errors import InvalidError

MAX_DAYS = FILE_LIFE_S // 86_400
"""Longest life of a plain license file, in days."""
MIN_HOURS, MAX_HOURS = 1, 90 * 24
"""Life of a file that is checked out for a machine, in hours."""
USUAL_HOURS = 24
_NEVER_S = 2**53 - 1


class BadLifeError(InvalidError):
    """A file cannot live so long, or so short."""

    code = "bad_life"


@dataclass(frozen=True, slots=True)
class CheckedOut:
    """An offline file and the seat it holds.

    Args:
        text: The signed license (JWS compact serialization).
        activation: The seat.
        expires_at: When the file stops proving anything, and the seat is free to go.
    """

    text: str
    activation: Activation
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Update:
    """A commit that came after the bought one.

    Args:
        model: ``ns/name``.
        commit: Its id, 40 hex digits.
        title: First line of its message.
        at: When it was made.
        is_covered: Whether the license reaches it.
    """

    model: str
    commit: str
    title: str
    at: datetime
    is_covered: bool


def file_name(license_: License) -> str:
    """Return how the file of a license is called."""
    return f"{license_.public_id}{SUFFIX}"


def issue_file(license_: License, *, days: int | None = None) -> str:
    """Return the signed text of a license, for those who hold it.

    ``license_`` passed ``access.license_for(…, to="prove")``.

    Args:
        license_: In force.
        days: Life of the file, 1 to ``MAX_DAYS``; ``None``: the longest. It ends with the license
            in any case.

    Raises:
        BadLifeError: another number of days.
        NotInForceError: the license does not count now.
        KeyFolderError: the store cannot sign.
    """
    if days is not None and not 1 <= days <= MAX_DAYS:
        raise BadLifeError(_("A license file lives 1 to %(most)d days.") % {"most": MAX_DAYS})
    activations.check_in_force(license_)
    now = timezone.now()
    until = now + timedelta(days=days) if days is not None else None
    return signer().sign(document_of(license_, now=now, until=until))


def check_out(
    license_: License,
    viewer: Viewer,
    *,
    fingerprint: str,
    user: str = "",
    hours: int = USUAL_HOURS,
    label: str = "",
) -> CheckedOut:
    """Return an offline file for one machine, which holds a seat until it expires.

    A machine that has a seat already keeps it afterwards; one that gets its seat for the file
    loses it with the file. Checking out again before prolongs the hold.

    Args:
        license_: In force.
        viewer: Who asks.
        fingerprint: The machine the file is for.
        user: With seats of people: who takes the seat.
        hours: Life of the file, ``MIN_HOURS`` to ``MAX_HOURS``; it ends with the license in any
            case.
        label: What the machine is called.

    Raises:
        BadLifeError: another number of hours.
        BadFingerprintError, BadLabelError, BadSeatError, SeatPersonError, LicenseNotFoundError,
        NotInForceError, TooManyMachinesError, TooManyUsersError, KeyFolderError: see there.
        Nothing is held.
    """
    if not MIN_HOURS <= hours <= MAX_HOURS:
        raise BadLifeError(
            _("An offline file lives %(least)d to %(most)d hours.")
            % {"least": MIN_HOURS, "most": MAX_HOURS}
        )
    machine = check_fingerprint(fingerprint)
    is_machine = license_.seat_kind == SeatKind.MACHINES
    seat = activations.seat_of(
        license_, viewer, fingerprint=machine if is_machine else "", user=user
    )
    with transaction.atomic():
        locked = activations.lock_in_force(license_)
        now = timezone.now()
        until = now + timedelta(hours=hours)
        called = activations.clean_label(label) or machine
        document = document_of(locked, now=now, until=until, machine=Machine(machine, called))
        expires_at = datetime.fromtimestamp(document.file_expires_at, UTC)
        row = activations.lend(locked, seat, expires_at, label=label)
        return CheckedOut(signer().sign(document), row, expires_at)


def document_of(
    license_: License,
    *,
    now: datetime,
    until: datetime | None = None,
    machine: Machine | None = None,
) -> LicenseDocument:
    """Return what a license says now.

    Raises:
        NotInForceError: it ends within the second.
    """
    grant, owner = license_.grant, license_.holder.owner
    issued_s = int(now.timestamp())
    ends_s = None if grant.ends_at is None else int(grant.ends_at.timestamp())
    usual_s = expiry_of_file(issued_s, ends_s)
    expires_s = usual_s if until is None else min(int(until.timestamp()), ends_s or _NEVER_S)
    if expires_s <= issued_s:
        raise activations.NotInForceError(message_of(Code.EXPIRED), reason=Code.EXPIRED.value)
    return LicenseDocument(
        store=settings.PUBLIC_URL,
        license_id=license_.public_id,
        issued_at=issued_s,
        valid_from=int(grant.starts_at.timestamp()),
        file_expires_at=expires_s,
        license_expires_at=ends_s,
        licensee=Licensee(
            name=license_.licensee,
            kind="organization" if isinstance(owner, Organization) else "person",
            id=owner.public_id if owner is not None else str(license_.holder_id),
        ),
        seats=Seats(license_.seats or MAX_SEATS, license_.seat_kind),
        rights=license_.rights,
        terms=Terms(
            license_.terms_id,
            license_.terms.title,
            f"{settings.PUBLIC_URL}/terms/{license_.terms_id}",
        ),
        offer=license_.title,
        updates=grant.updates,
        is_test=license_.is_test,
        models=tuple(_models(license_)),
        machine=machine,
    )


def granted_rows(license_: License) -> list[GrantedRepo]:
    """Return the models of a license with the commits that were bought."""
    rows = GrantedRepo.objects.filter(grant=license_.grant_id)
    return list(rows.select_related("grant", "repo__namespace").order_by("id"))


def _models(license_: License) -> Iterator[CoveredModel]:
    """Yield each model as it was bought and, if updates reach further and have room, as it is now.

    An update without any file has nothing to be verified.
    """
    bought = LicensedFile.objects.filter(license=license_)
    room = MAX_FILES - bought.count()
    for row in granted_rows(license_):
        covered = coverage_of(row)
        files = bought.filter(repo=row.repo_id).values_list("path", "sha256", "size_bytes")
        line = f"v{covered.line}" if row.grant.updates == Grant.Updates.MAJOR else DEFAULT_BRANCH
        yield _model(row, row.commit_oid, line, list(files))
        newest = newest_covered(covered, row.repo, row)
        updated = covered_files(row.repo, newest) if newest != row.commit_oid else []
        if 1 <= len(updated) <= room:
            room -= len(updated)
            yield _model(row, newest, line, updated)


def _model(
    row: GrantedRepo, commit_oid: str, line: str, files: list[tuple[str, str, int]]
) -> CoveredModel:
    return CoveredModel(
        id=row.repo.public_id,
        name=row.repo.full_name,
        revision=commit_oid,
        line=line,
        files=tuple(sorted(CoveredFile(*file) for file in files)),
    )


def updates_of(license_: License) -> list[Update]:
    """Return what happened to the models since they were bought, newest first for each."""
    found = []
    for row in granted_rows(license_):
        covered = coverage_of(row)
        found += [
            Update(
                model=row.repo.full_name,
                commit=commit.oid,
                title=commit.title,
                at=commit.authored_at,
                is_covered=covered.has(commit.oid),
            )
            for commit in later_commits(covered, row.repo)
        ]
    return found
