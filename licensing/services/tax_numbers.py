"""Buyers' tax numbers that staff confirmed at a register, so that reverse charge may rest on them.

Only tax offices know whether a number is in use. A number of the right shape is charged tax until
somebody asked there, unless the site trusts every number.
"""

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, Q
from django.db.models.fields.json import KeyTextTransform
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.viewer import Viewer
from licensing.models import ConfirmedTaxNumber
from licensing.services import office
from licensing.tax.countries import check_country
from licensing.tax.numbers import read_vat_number
from store.core.errors import NotFoundError


class NotConfirmedError(NotFoundError):
    """This number is not among the confirmed ones."""

    code = "not_confirmed"


def is_confirmed(number: str) -> bool:
    """Whether tax may rest on a buyer's number, as ``read_vat_number`` gives it."""
    if not number:
        return False
    trusts = settings.ENV.trust_vat_numbers
    return trusts or ConfirmedTaxNumber.objects.filter(number=number).exists()


def keep_waiting() -> Q:
    """Return the condition for orders that were taxed though a business gave a number.

    Nobody has confirmed it, so the next order with it is taxed, too.
    """
    known = ConfirmedTaxNumber.objects.filter(
        number=KeyTextTransform("vat_number", OuterRef("billing"))
    )
    return Q(
        ~Q(billing__vat_number=""),
        ~Exists(known),
        billing__vat_number__isnull=False,
        billing__kind="business",
        tax_minor__gt=0,
    )


@transaction.atomic
def confirm(viewer: Viewer, number: str, country: str, source: str) -> ConfirmedTaxNumber:
    """Say that a tax office confirmed a number. A second time only ``source`` is new.

    Args:
        viewer: A member of staff.
        number: As written.
        country: Which gave it, two capitals of ISO 3166.
        source: The register, and its answer's reference.

    Raises:
        ForbiddenError, ReasonNeededError: see there.
        BadCountryError, BadTaxNumberError: no such number can exist; nothing is confirmed.
    """
    user, text = office.staff_of(viewer), office.clean_reason(source)
    place = country.strip().upper()
    check_country(place)
    known = read_vat_number(number, place)
    row, _new = ConfirmedTaxNumber.objects.update_or_create(
        number=known,
        defaults={"source": text, "confirmed_by": user, "confirmed_at": timezone.now()},
    )
    office.note(viewer, "tax_number.confirm", subject=known, reason=text)
    return row


@transaction.atomic
def withdraw(viewer: Viewer, number: str, reason: str) -> None:
    """Say that a number is not in use any more. Orders that were made keep their tax.

    Raises:
        ForbiddenError, ReasonNeededError: see there.
        NotConfirmedError: it was not confirmed.
    """
    office.staff_of(viewer)
    text = office.clean_reason(reason)
    gone, _each = ConfirmedTaxNumber.objects.filter(number=number).delete()
    if not gone:
        raise NotConfirmedError(_("%(number)s was not confirmed.") % {"number": number})
    office.note(viewer, "tax_number.withdraw", subject=number, reason=text)
