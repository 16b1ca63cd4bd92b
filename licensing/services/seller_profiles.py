"""Who a seller is on documents: legal name, address, tax numbers, bank."""

import re
from dataclasses import asdict, dataclass
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from accounts.models import Namespace, User
from accounts.services.audit import record
from licensing.invoices.document import MAX_ADDRESS_CHARS, MAX_ADDRESS_LINES, Party
from licensing.invoices.names import BadNameError, clean_name, name_of
from licensing.models import SellerProfile
from licensing.tax.parties import read_place, read_registrations, read_vat_number
from store.core.errors import InvalidError

MAX_BANK_LINES = 8
MAX_PREFIX_CHARS = 16
_PREFIX = re.compile(r"[A-Z][A-Z0-9]{1,15}", re.ASCII)
WITHOUT_NUMBER = frozenset({"US"})
"""Countries whose sales tax has no number that stands on invoices."""


class BadSellerProfileError(InvalidError):
    """A field cannot be so; ``extra`` names it."""

    code = "bad_seller_profile"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileChange:
    """All that documents say of a seller, as it shall be; see ``SellerProfile`` for the fields."""

    legal_name: str = ""
    address: tuple[str, ...] = ()
    country: str = ""
    region: str = ""
    vat_number: str = ""
    is_registered: bool = False
    uses_oss: bool = False
    registrations: tuple[str, ...] = ()
    invoice_prefix: str = ""


def profile_of(namespace: Namespace) -> SellerProfile:
    """Return the profile; an empty one, not saved, of a seller who never filled it in."""
    there = SellerProfile.objects.filter(namespace=namespace).first()
    return there or SellerProfile(namespace=namespace)


def name_on_documents(profile: SellerProfile) -> str:
    """Return the legal name; else the name that the store shows, if it may stand on paper."""
    if profile.legal_name:
        return profile.legal_name
    return shown_name(profile.namespace)


def shown_name(namespace: Namespace) -> str:
    """Return what the store calls a person or organization, if that may stand on paper.

    Otherwise that of the name space, which is always plain.
    """
    owner = namespace.owner
    try:
        return clean_name(owner.display_name if owner else "")
    except BadNameError:
        return namespace.name


def party_of(profile: SellerProfile) -> Party:
    """Return the seller as documents name them. What is not known stays empty."""
    return Party(
        name=name_on_documents(profile),
        address=tuple(profile.address),
        country=profile.country,
        vat_number=profile.vat_number,
    )


def prefix_of(profile: SellerProfile) -> str:
    """Return what begins the seller's numbers: letters and digits, no hyphen.

    A namespace whose name leaves nothing, or the word of test documents, gets its id.
    """
    if profile.invoice_prefix:
        return profile.invoice_prefix
    made = re.sub(r"[^A-Z0-9]", "", profile.namespace.name.upper())[:MAX_PREFIX_CHARS]
    return made if made not in {"", "TEST"} else f"N{profile.namespace_id}"


@transaction.atomic
def change(
    namespace: Namespace, new: ProfileChange, *, actor: User, address: str = ""
) -> SellerProfile:
    """Replace a seller's profile, its bank account apart. Documents that were issued stay.

    Args:
        namespace: The seller; the caller has checked that ``actor`` runs it.
        new: Every field.
        actor: Who changes it.
        address: Their IP address, for the audit trail.

    Raises:
        BadSellerProfileError: a field cannot be so.
        BadNameError, LookalikeNameError: of the legal name.
        BadCountryError, BadRegionError, BadTaxNumberError: of place and numbers.
    """
    values = _checked(new)
    Namespace.objects.select_for_update().get(pk=namespace.pk)  # two changes at once: one by one
    before = _values(profile_of(namespace))
    profile, _is_new = SellerProfile.objects.update_or_create(namespace=namespace, defaults=values)
    changed = sorted(name for name, value in values.items() if value != before[name])
    record(
        "seller.profile",
        actor=actor,
        subject=namespace.name,
        namespace=namespace,
        address=address,
        changed=changed,
    )
    return profile


@transaction.atomic
def change_bank(namespace: Namespace, text: str, *, actor: User, address: str = "") -> None:
    """Change the bank account a seller is paid to by transfer.

    Args:
        namespace: The seller; the caller has checked that ``actor`` runs it, by two factors.
        text: Lines that say where to transfer to; empty: nowhere.
        actor: Who changes it.
        address: Their IP address, for the audit trail.

    Raises:
        BadSellerProfileError: too many or too long lines, or characters that cannot be printed.
    """
    lines = _lines("bank_details", text.splitlines(), MAX_BANK_LINES)
    SellerProfile.objects.update_or_create(
        namespace=namespace, defaults={"bank_details": "\n".join(lines)}
    )
    record("seller.bank", actor=actor, subject=namespace.name, namespace=namespace, address=address)


def _values(profile: SellerProfile) -> dict[str, Any]:
    return {name: getattr(profile, name) for name in asdict(ProfileChange())}


def _checked(new: ProfileChange) -> dict[str, Any]:
    """Return the fields as they are stored."""
    values: dict[str, Any] = {
        "legal_name": clean_name(new.legal_name) if new.legal_name.strip() else "",
        "address": _lines("address", new.address, MAX_ADDRESS_LINES),
        **_place(new),
        "is_registered": new.is_registered,
        "uses_oss": new.uses_oss,
        "registrations": sorted(read_registrations(", ".join(new.registrations))),
        "invoice_prefix": _prefix(new.invoice_prefix),
    }
    is_known = values["vat_number"] or values["country"] in WITHOUT_NUMBER
    if new.is_registered and not (values["country"] and is_known):
        raise _bad("vat_number", _("Who is registered for VAT has a country and a VAT number."))
    if new.uses_oss and not new.is_registered:
        raise _bad("uses_oss", _("Only who is registered for VAT can use the One Stop Shop."))
    return values


def _lines(field: str, texts: Any, most: int) -> list[str]:
    lines = [" ".join(text.split(" ")).strip() for text in texts]
    lines = [line for line in lines if line]
    if len(lines) > most or any(len(line) > MAX_ADDRESS_CHARS for line in lines):
        raise _bad(
            field,
            _("At most %(lines)d lines of %(chars)d characters each.")
            % {"lines": most, "chars": MAX_ADDRESS_CHARS},
        )
    for char in "".join(lines):
        if not char.isprintable():
            raise _bad(field, _("%(char)s cannot be printed.") % {"char": name_of(char)})
    return lines


def _place(new: ProfileChange) -> dict[str, str]:
    """Return country, region and tax number; without a country there is none of them."""
    if not new.country.strip():
        if new.vat_number.strip():
            raise _bad("country", _("Say in which country the number was given."))
        return {"country": "", "region": "", "vat_number": ""}
    place = read_place(new.country, new.region)
    number = new.vat_number.strip()
    return {
        "country": place.country,
        "region": place.region,
        "vat_number": read_vat_number(number, place.country) if number else "",
    }


def _prefix(text: str) -> str:
    prefix = text.strip().upper()
    if prefix and (not _PREFIX.fullmatch(prefix) or prefix == "TEST"):
        raise _bad(
            "invoice_prefix",
            _(
                "A prefix has 2 to %(most)d letters and digits, begins with a letter, and is not"
                " TEST."
            )
            % {"most": MAX_PREFIX_CHARS},
        )
    return prefix


def _bad(field: str, message: str) -> BadSellerProfileError:
    return BadSellerProfileError(message, field=field)
