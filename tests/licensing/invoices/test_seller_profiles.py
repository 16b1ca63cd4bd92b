"""Who a seller is on documents."""

from typing import Any

import pytest

from accounts.models import AuditEvent, Namespace
from accounts.services.people import create_organization
from licensing.invoices.document import Party
from licensing.invoices.names import BadNameError, LookalikeNameError
from licensing.models import SellerProfile
from licensing.services.seller_profiles import (
    BadSellerProfileError,
    ProfileChange,
    change,
    change_bank,
    name_on_documents,
    party_of,
    prefix_of,
    profile_of,
)
from store.core.errors import StoreError
from tests.factories import make_org, make_user

FULL = ProfileChange(
    legal_name=" Regency  Affine GmbH ",
    address=("Lindenstraße 7", "", " 10969 Berlin "),
    country="de",
    vat_number="de 136.695-976",
    is_registered=True,
    uses_oss=True,
    registrations=("us-ny", "US-CA", "US-NY", "gb"),
    invoice_prefix="ra",
)


@pytest.fixture
def seller(db: None) -> Namespace:
    """An organization that sells."""
    return make_org("regency").namespace


def test_an_empty_profile_says_what_the_store_shows(db: None) -> None:
    alice = make_user("alice")
    alice.full_name = "Alice Liddell"
    alice.save()
    acme = create_organization(name="acme", creator=None, full_name="ACME, Inc.").namespace

    profile = profile_of(Namespace.objects.get(user=alice))

    assert party_of(profile) == Party(name="Alice Liddell")
    assert str(profile) == "alice"
    assert prefix_of(profile) == "ALICE"
    assert party_of(profile_of(acme)).name == "ACME, Inc."
    assert not SellerProfile.objects.exists()


def test_a_shown_name_that_hides_something_gives_way_to_the_id(seller: Namespace) -> None:
    seller.organization.full_name = "P\u0430ypal"

    assert name_on_documents(profile_of(seller)) == "regency"


def test_a_namespace_nobody_holds_any_more_has_its_name(db: None) -> None:
    gone = Namespace.objects.create(name="gone")

    assert name_on_documents(profile_of(gone)) == "gone"


def test_a_profile_is_kept_in_one_spelling_and_told(seller: Namespace) -> None:
    alice = make_user("alice")

    profile = change(seller, FULL, actor=alice, address="203.0.113.9")

    there = profile_of(seller)
    assert there == profile
    assert party_of(there) == Party(
        name="Regency Affine GmbH",
        address=("Lindenstraße 7", "10969 Berlin"),
        country="DE",
        vat_number="DE136695976",
    )
    assert there.registrations == ["GB", "US-CA", "US-NY"]
    assert prefix_of(there) == "RA"
    assert (there.is_registered, there.uses_oss, str(there)) == (True, True, "Regency Affine GmbH")
    event = AuditEvent.objects.get(action="seller.profile")
    assert (event.actor, event.namespace, event.subject) == (alice, seller, "regency")
    assert event.address == "203.0.113.0"
    assert event.detail["changed"] == sorted({*ProfileChange.__dataclass_fields__} - {"region"})


def test_a_second_change_tells_only_what_is_new(seller: Namespace) -> None:
    alice = make_user("alice")
    change(seller, FULL, actor=alice)

    change(seller, ProfileChange(legal_name="Regency Affine GmbH"), actor=alice)

    there = SellerProfile.objects.get()
    assert (there.legal_name, there.address, there.country) == ("Regency Affine GmbH", [], "")
    event = AuditEvent.objects.filter(action="seller.profile").first()
    assert event.detail["changed"] == sorted(
        {*ProfileChange.__dataclass_fields__} - {"legal_name", "region"}
    )


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"vat_number": "DE136695976"}, "country"),
        ({"is_registered": True, "vat_number": "DE136695976"}, "country"),
        ({"is_registered": True}, "vat_number"),
        ({"is_registered": True, "country": "DE"}, "vat_number"),
        ({"uses_oss": True}, "uses_oss"),
        ({"invoice_prefix": "R"}, "invoice_prefix"),
        ({"invoice_prefix": "1R"}, "invoice_prefix"),
        ({"invoice_prefix": "A-B"}, "invoice_prefix"),
        ({"invoice_prefix": "X" * 17}, "invoice_prefix"),
        ({"invoice_prefix": "test"}, "invoice_prefix"),
        ({"address": ("x",) * 9}, "address"),
        ({"address": ("x" * 101,)}, "address"),
        ({"address": ("a\u202eb",)}, "address"),
        ({"address": ("a\x00b",)}, "address"),
    ],
)
def test_a_field_that_cannot_be_so_is_named(
    seller: Namespace, changes: dict[str, Any], field: str
) -> None:
    with pytest.raises(BadSellerProfileError) as caught:
        change(seller, ProfileChange(**changes), actor=make_user("alice"))

    assert caught.value.extra == {"field": field}
    assert not SellerProfile.objects.exists()
    assert not AuditEvent.objects.filter(action="seller.profile").exists()


@pytest.mark.parametrize(
    ("name", "error"),
    [("Acme\u200b", BadNameError), ("P\u0430ypal", LookalikeNameError)],
)
def test_a_legal_name_hides_nothing(
    seller: Namespace, name: str, error: type[BadNameError]
) -> None:
    with pytest.raises(error):
        change(seller, ProfileChange(legal_name=name), actor=make_user("alice"))

    assert not SellerProfile.objects.exists()


@pytest.mark.parametrize(
    ("name", "prefix"),
    [
        ("regency", "REGENCY"),
        ("test-lab_2", "TESTLAB2"),
        ("a" * 42, "A" * 16),
    ],
)
def test_a_prefix_is_made_of_the_name(db: None, name: str, prefix: str) -> None:
    assert prefix_of(profile_of(Namespace.objects.create(name=name))) == prefix


@pytest.mark.parametrize("name", ["__", "te-st"])
def test_a_name_that_leaves_no_prefix_gives_its_id(db: None, name: str) -> None:
    namespace = Namespace.objects.create(name=name)

    assert prefix_of(profile_of(namespace)) == f"N{namespace.pk}"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"country": "Germany"}, "bad_country"),
        ({"country": "EU"}, "bad_country"),
        ({"country": "ZZ"}, "bad_country"),
        ({"country": "49"}, "bad_country"),
        ({"country": "US"}, "bad_region"),
        ({"country": "US", "region": "XY"}, "bad_region"),
        ({"country": "DE", "vat_number": "DE1"}, "bad_tax_number"),
        ({"country": "DE", "vat_number": "DE" + "1" * 19}, "bad_tax_number"),
        ({"country": "DE", "vat_number": "D\u0415136695976"}, "bad_tax_number"),
        ({"country": "DE", "vat_number": "FR40303265045"}, "bad_tax_number"),
        ({"registrations": ("US-XY",)}, "bad_region"),
        ({"registrations": ("XY",)}, "bad_country"),
    ],
)
def test_places_and_numbers_are_those_of_the_tax_rules(
    seller: Namespace, changes: dict[str, Any], code: str
) -> None:
    with pytest.raises(StoreError) as caught:
        change(seller, ProfileChange(**changes), actor=make_user("alice"))

    assert caught.value.code == code
    assert not SellerProfile.objects.exists()


def test_a_seller_in_the_states_needs_no_number(seller: Namespace) -> None:
    new = ProfileChange(country="us", region="us-ny", is_registered=True)

    there = change(seller, new, actor=make_user("alice"))

    assert (there.country, there.region, there.is_registered) == ("US", "NY", True)


def test_the_bank_account_is_changed_by_itself(seller: Namespace) -> None:
    alice = make_user("alice")
    change(seller, FULL, actor=alice)

    change_bank(seller, "IBAN DE02 1203\r\n\nBIC BYLADEM1", actor=alice, address="203.0.113.9")
    change(seller, FULL, actor=alice)  # what documents say is another matter

    there = profile_of(seller)
    assert (there.bank_details, there.country) == ("IBAN DE02 1203\nBIC BYLADEM1", "DE")
    event = AuditEvent.objects.get(action="seller.bank")
    assert (event.actor, event.namespace, event.address) == (alice, seller, "203.0.113.0")


@pytest.mark.parametrize("text", ["x\n" * 9, "IBAN\tDE", "x" * 101, "IBAN\u202eDE"])
def test_a_bank_account_nobody_can_read_is_refused(seller: Namespace, text: str) -> None:
    alice = make_user("alice")
    change_bank(seller, "IBAN DE02", actor=alice)

    with pytest.raises(BadSellerProfileError) as caught:
        change_bank(seller, text, actor=alice)

    assert caught.value.extra == {"field": "bank_details"}
    assert profile_of(seller).bank_details == "IBAN DE02"
    assert AuditEvent.objects.filter(action="seller.bank").count() == 1
