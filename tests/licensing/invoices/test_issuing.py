"""Numbers without gaps, and documents that stay as they were issued."""

import random
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models import ProtectedError

from accounts.models import Namespace, User
from accounts.services.people import create_organization
from licensing import invoice_triggers
from licensing.invoices.document import DocumentKind, UnbalancedInvoiceError
from licensing.models import Invoice, InvoiceSeries, SellerProfile
from licensing.services import invoicing
from licensing.services.invoicing import (
    AlteredInvoiceError,
    KeyUsedError,
    WrongCorrectionError,
    document_of,
    issue,
    pdf_response_bytes,
)
from tests.factories import make_org, make_user
from tests.licensing.invoices.documents import a_document, credited
from tests.threads import at_once

REGENCY = "regency"


@pytest.fixture
def seller(db: None) -> Namespace:
    """An organization that sells."""
    return make_org(REGENCY).namespace


def numbers() -> list[str]:
    """The text numbers of all documents, in the order they were issued."""
    return list(Invoice.objects.order_by("pk").values_list("text_number", flat=True))


def last_numbers() -> list[int]:
    """Where the series stand, in the order they were begun."""
    return list(InvoiceSeries.objects.order_by("pk").values_list("last_number", flat=True))


def test_a_document_is_numbered_and_kept(seller: Namespace) -> None:
    alice = make_user("alice")
    holder = make_org("acme").namespace

    invoice = issue(a_document(), seller=seller, buyer=alice, holder=holder, key="order:1")

    document = a_document(number="REGENCY-2026-000001")
    there = Invoice.objects.get()
    assert there == invoice
    assert str(there) == there.text_number == "REGENCY-2026-000001"
    assert (there.number, there.kind, there.seller, there.buyer, there.holder) == (
        *(1, "invoice", seller, alice),
        holder,
    )
    assert there.order_ref == document.order_ref
    assert there.document == document.to_json()
    assert there.sha256 == document.sha256()
    assert document_of(there) == document
    assert str(there.series) == "REGENCY invoice 2026: 1"


def test_the_same_key_is_the_same_document(seller: Namespace) -> None:
    first = issue(a_document(), seller=seller, buyer=None, key="order:1")

    later = a_document(issued_on=date(2027, 1, 1))
    again = issue(later, seller=seller, buyer=None, key="order:1")

    assert again == first
    assert numbers() == ["REGENCY-2026-000001"]
    assert last_numbers() == [1]


@pytest.mark.parametrize(
    "changes",
    [
        {"order_ref": "other"},
        {"is_test": True},
        {"kind": DocumentKind.STATEMENT},
        {"lines": (), "again": True},
    ],
)
def test_a_key_is_not_used_for_something_else(seller: Namespace, changes: dict[str, Any]) -> None:
    issue(a_document(), seller=seller, buyer=None, key="order:1")
    other = a_document(a_document().lines[0]) if "again" in changes else a_document(**changes)

    with pytest.raises(KeyUsedError, match="order:1"):
        issue(other, seller=seller, buyer=None, key="order:1")

    assert numbers() == ["REGENCY-2026-000001"]
    assert last_numbers() == [1]


def test_a_key_of_another_seller_is_not_used(seller: Namespace) -> None:
    issue(a_document(), seller=seller, buyer=None, key="order:1")

    with pytest.raises(KeyUsedError):
        issue(a_document(), seller=make_org("acme").namespace, buyer=None, key="order:1")

    assert numbers() == ["REGENCY-2026-000001"]


def test_years_kinds_tests_and_sellers_are_numbered_apart(seller: Namespace) -> None:
    acme = make_org("acme").namespace

    def numbered(where: Namespace = seller, **changes: Any) -> str:
        key = f"key:{Invoice.objects.count()}"
        return issue(a_document(**changes), seller=where, buyer=None, key=key).text_number

    assert numbered() == "REGENCY-2026-000001"
    assert numbered(is_test=True) == "TEST-REGENCY-2026-000001"
    assert numbered(issued_on=date(2027, 1, 1)) == "REGENCY-2027-000001"
    assert numbered(kind=DocumentKind.STATEMENT) == "REGENCY-S-2026-000001"
    assert numbered(acme) == "ACME-2026-000001"
    assert numbered() == "REGENCY-2026-000002"
    assert numbered(is_test=True) == "TEST-REGENCY-2026-000002"
    SellerProfile.objects.create(namespace=seller, invoice_prefix="RA")
    assert numbered() == "RA-2026-000001"


def test_names_that_differ_by_signs_alone_still_have_their_own_series(db: None) -> None:
    one, two = make_org("a-b").namespace, make_org("ab").namespace

    first = issue(a_document(), seller=one, buyer=None, key="1")
    second = issue(a_document(), seller=two, buyer=None, key="2")

    assert first.text_number == second.text_number == "AB-2026-000001"
    assert first.public_id != second.public_id


def test_what_does_not_add_up_takes_no_number(seller: Namespace) -> None:
    wrong = replace(a_document().totals, gross_minor=1)

    with pytest.raises(UnbalancedInvoiceError):
        issue(a_document(totals=wrong), seller=seller, buyer=None, key="order:1")

    assert not Invoice.objects.exists()
    assert not InvoiceSeries.objects.exists()


def test_a_rollback_leaves_no_gap(seller: Namespace) -> None:
    issue(a_document(), seller=seller, buyer=None, key="1")

    with pytest.raises(ZeroDivisionError), transaction.atomic():
        issue(a_document(), seller=seller, buyer=None, key="2")
        raise ZeroDivisionError

    third = issue(a_document(), seller=seller, buyer=None, key="3")
    assert third.text_number == "REGENCY-2026-000002"
    assert last_numbers() == [2]


@pytest.mark.django_db(transaction=True)
def test_thirty_at_once_with_rollbacks_are_numbered_without_gaps() -> None:
    seller = create_organization(name=REGENCY, creator=None).namespace
    chance = random.Random(7)
    fails = [chance.random() < 0.4 for _ in range(30)]

    def work(number: int) -> int | None:
        with transaction.atomic():
            document = a_document(is_test=number % 3 == 0)
            done = issue(document, seller=seller, buyer=None, key=f"{number}")
            transaction.set_rollback(fails[number])
        return None if fails[number] else done.number

    results = at_once(work, 30)

    for is_test in (True, False):
        asked = [n for n in range(30) if (n % 3 == 0) == is_test]
        kept = sorted(results[n] for n in asked if not fails[n])
        assert kept == list(range(1, len(kept) + 1))
        assert 0 < len(kept) < len(asked)
        stored = Invoice.objects.filter(series__is_test=is_test)
        assert sorted(stored.values_list("number", flat=True)) == kept
        series = InvoiceSeries.objects.get(is_test=is_test)
        assert series.last_number == len(kept)


@pytest.mark.django_db(transaction=True)
def test_one_key_at_once_is_one_document() -> None:
    seller = create_organization(name=REGENCY, creator=None).namespace

    results = at_once(lambda _n: issue(a_document(), seller=seller, buyer=None, key="1").pk, 8)

    assert len(set(results)) == 1
    assert numbers() == ["REGENCY-2026-000001"]
    assert last_numbers() == [1]


@pytest.mark.django_db(transaction=True)
def test_one_key_at_once_for_two_things_is_one_of_them() -> None:
    seller = create_organization(name=REGENCY, creator=None).namespace

    def work(number: int) -> str:
        try:
            document = a_document(is_test=number % 2 == 0)
            return issue(document, seller=seller, buyer=None, key="1").text_number
        except KeyUsedError:
            return "used"

    results = at_once(work, 8)

    assert len(numbers()) == 1
    assert set(results) == {"used", *numbers()}
    assert sum(last_numbers()) == 1


def test_a_key_taken_in_the_last_moment_is_told(
    seller: Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    issue(a_document(is_test=True), seller=seller, buyer=None, key="1")
    monkeypatch.setattr(invoicing, "_issued", lambda *_asked: None)

    with pytest.raises(KeyUsedError):
        issue(a_document(), seller=seller, buyer=None, key="1")

    assert numbers() == ["TEST-REGENCY-2026-000001"]
    assert last_numbers() == [1]


def test_another_broken_rule_is_not_taken_for_the_key(
    seller: Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(invoicing, "_text_number", lambda _series: "SAME")
    issue(a_document(), seller=seller, buyer=None, key="1")

    with pytest.raises(IntegrityError, match="invoice_text_once"):
        issue(a_document(), seller=seller, buyer=None, key="2")

    assert last_numbers() == [1]


def test_a_credit_note_names_the_invoice_it_corrects(seller: Namespace) -> None:
    invoice = issue(a_document(), seller=seller, buyer=None, key="order:1")

    note = issue(credited(a_document()), seller=seller, buyer=None, key="r:1", corrects=invoice)

    assert note.text_number == "REGENCY-C-2026-000001"
    assert note.corrects == invoice
    assert document_of(note).corrects == invoice.text_number
    assert list(invoice.corrections.all()) == [note]


@pytest.mark.parametrize("wrong", ["seller", "currency", "mode", "kind", "note"])
def test_a_credit_note_corrects_nothing_else(seller: Namespace, wrong: str) -> None:
    invoice = issue(a_document(), seller=seller, buyer=None, key="order:1")
    document, where = credited(a_document()), seller
    if wrong == "seller":
        where = make_org("acme").namespace
    elif wrong == "currency":
        document = replace(document, currency="USD")
    elif wrong == "mode":
        document = replace(document, is_test=True)
    elif wrong == "kind":
        document = a_document()
    else:
        invoice = issue(document, seller=seller, buyer=None, key="r:1", corrects=invoice)
    before = numbers()

    with pytest.raises(WrongCorrectionError, match=invoice.text_number):
        issue(document, seller=where, buyer=None, key="r:2", corrects=invoice)

    assert numbers() == before


def test_the_pdf_is_the_same_whenever_it_is_asked_for(seller: Namespace) -> None:
    pk = issue(a_document(), seller=seller, buyer=None, key="order:1").pk

    first = pdf_response_bytes(Invoice.objects.get(pk=pk))

    assert first.startswith(b"%PDF-")
    assert pdf_response_bytes(Invoice.objects.get(pk=pk)) == first
    assert pdf_response_bytes(Invoice.objects.get(pk=pk), language="zh-hans") != first


def test_a_document_that_was_altered_is_not_drawn(seller: Namespace) -> None:
    invoice = issue(a_document(), seller=seller, buyer=None, key="order:1")
    invoice.document["notes"] = ["Pay somebody else."]

    with pytest.raises(AlteredInvoiceError, match="REGENCY-2026-000001"):
        pdf_response_bytes(invoice)


@pytest.mark.parametrize(
    "changes",
    [
        "sha256 = ''",
        "document = '{}'",
        "issued_at = now()",
        "number = 7",
        "text_number = 'X'",
        "key = 'x'",
        "order_ref = 'x'",
        "buyer_id = NULL, number = 7",
    ],
)
def test_the_database_refuses_every_change(seller: Namespace, changes: str) -> None:
    invoice = issue(a_document(), seller=seller, buyer=make_user("alice"), key="order:1")

    with pytest.raises(IntegrityError, match="never changed or deleted: REGENCY-2026-000001"):
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"UPDATE licensing_invoice SET {changes}")  # noqa: S608 - ours

    there = Invoice.objects.get()
    assert (there.document, there.buyer) == (invoice.document, invoice.buyer)


def test_a_document_is_not_given_to_somebody_else(seller: Namespace) -> None:
    issue(a_document(), seller=seller, buyer=make_user("alice"), key="order:1")
    mallory = make_user("mallory")

    with pytest.raises(IntegrityError), transaction.atomic():
        Invoice.objects.update(buyer=mallory)

    assert Invoice.objects.get().buyer == User.objects.get(username="alice")


def test_the_database_refuses_to_delete(seller: Namespace) -> None:
    invoice = issue(a_document(), seller=seller, buyer=None, key="order:1")

    with pytest.raises(IntegrityError, match="never changed or deleted"), transaction.atomic():
        invoice.delete()
    with pytest.raises(ProtectedError):
        InvoiceSeries.objects.all().delete()

    assert numbers() == ["REGENCY-2026-000001"]


def test_a_document_outlives_its_buyer(seller: Namespace) -> None:
    alice = make_user("alice")
    issue(a_document(), seller=seller, buyer=alice, key="order:1")

    alice.delete()

    there = Invoice.objects.get()
    assert there.buyer is None
    assert document_of(there) == a_document(number="REGENCY-2026-000001")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE licensing_invoiceseries SET last_number = last_number + 2",
        "UPDATE licensing_invoiceseries SET last_number = 0",
        "UPDATE licensing_invoiceseries SET last_number = last_number + 1, prefix = 'X'",
        "UPDATE licensing_invoiceseries SET year = 2020",
        "DELETE FROM licensing_invoiceseries",
    ],
)
def test_a_series_only_counts_on(db: None, statement: str) -> None:
    seller = make_org(REGENCY).namespace
    InvoiceSeries.objects.create(
        namespace=seller, kind="invoice", year=2026, prefix="R", is_test=False
    )

    with pytest.raises(IntegrityError, match="only counts on by one"):
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)

    assert last_numbers() == [0]
    assert InvoiceSeries.objects.get().year == 2026


@pytest.mark.parametrize(
    "changes", [{"number": 1}, {"number": 3}, {"kind": "statement"}, {"seller": "acme"}]
)
def test_a_document_without_its_number_is_refused(
    seller: Namespace, changes: dict[str, Any]
) -> None:
    first = issue(a_document(), seller=seller, buyer=None, key="1")
    InvoiceSeries.objects.update(last_number=2)
    if "seller" in changes:
        changes = {"seller": make_org("acme").namespace}
    row = {"series": first.series, "number": 2, "kind": "invoice", "seller": seller, **changes}

    with pytest.raises(IntegrityError, match="not the next one"), transaction.atomic():
        Invoice.objects.create(text_number="X", document={}, sha256="", key="2", **row)

    assert numbers() == ["REGENCY-2026-000001"]


def test_putting_the_triggers_in_place_again_changes_nothing(seller: Namespace) -> None:
    invoice_triggers.create_triggers(using="default")

    with connection.cursor() as cursor:
        cursor.execute("SELECT tgname FROM pg_trigger WHERE tgname LIKE 'invoice_%' ORDER BY 1")
        found = [name for (name,) in cursor.fetchall()]
    assert found == ["invoice_is_next", "invoice_kept", "invoice_series_kept"]


def test_a_database_without_the_tables_is_left_alone(db: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE licensing_invoice RENAME TO gone")
        cursor.execute("DROP FUNCTION licensing_keep_series() CASCADE")

        invoice_triggers.create_triggers(using="default")

        cursor.execute("SELECT count(*) FROM pg_proc WHERE proname = 'licensing_keep_series'")
        assert cursor.fetchone() == (0,)
