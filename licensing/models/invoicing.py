"""Issued documents, the series they are numbered in, and who sellers are on paper."""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.models import Namespace
from licensing.invoices.document import DocumentKind
from store.core.ids import new_public_id

KINDS = [(kind.value, kind.value.replace("_", " ")) for kind in DocumentKind]


class InvoiceSeries(models.Model):
    """One sequence of numbers without gaps: a seller's documents of one kind in one year.

    ``last_number`` rises by one together with each document, under the lock of this row; a trigger
    lets it change in no other way. A changed prefix begins a series of its own.
    """

    namespace = models.ForeignKey(Namespace, models.PROTECT, related_name="invoice_series")
    kind = models.CharField(max_length=12, choices=KINDS)
    year = models.PositiveSmallIntegerField()
    prefix = models.CharField(max_length=24)
    is_test = models.BooleanField()
    last_number = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["namespace", "kind", "year", "prefix", "is_test"],
                name="invoice_series_once",
            )
        ]
        verbose_name_plural = "invoice series"

    def __str__(self) -> str:
        return f"{self.prefix} {self.kind} {self.year}: {self.last_number}"


class Invoice(models.Model):
    """An issued invoice, credit note or statement. Written once; triggers refuse every change.

    Only ``buyer`` may become empty, when the person leaves: the document itself has to be kept.
    """

    public_id = models.CharField(max_length=24, default=new_public_id, unique=True)
    series = models.ForeignKey(InvoiceSeries, models.PROTECT, related_name="invoices")
    number = models.PositiveIntegerField()
    """Within the series, from 1 without gaps."""
    text_number = models.CharField(max_length=64)
    """As it is printed: ``REGENCY-2026-000123``."""
    kind = models.CharField(max_length=12, choices=KINDS)
    seller = models.ForeignKey(Namespace, models.PROTECT, related_name="invoices_issued")
    """Who issues it."""
    buyer = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="invoices"
    )
    """The person who bought."""
    holder = models.ForeignKey(
        Namespace, models.PROTECT, null=True, blank=True, related_name="invoices_held"
    )
    """The person or organization it was bought for."""
    order_ref = models.CharField(max_length=24, blank=True, db_index=True)
    """Public id of the order."""
    document = models.JSONField()
    """``InvoiceDocument.to_json``; the PDF is drawn from it."""
    sha256 = models.CharField(max_length=64)
    """Of the canonical JSON."""
    key = models.CharField(max_length=128, unique=True)
    """Of whoever asked for it: the same key is the same document."""
    issued_at = models.DateTimeField(auto_now_add=True)
    corrects = models.ForeignKey(
        "self", models.PROTECT, null=True, blank=True, related_name="corrections"
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["series", "number"], name="invoice_number_once"),
            models.UniqueConstraint(fields=["seller", "text_number"], name="invoice_text_once"),
            models.CheckConstraint(condition=Q(number__gte=1), name="invoice_number_from_1"),
            models.CheckConstraint(
                condition=Q(kind=DocumentKind.CREDIT_NOTE.value, corrects__isnull=False)
                | (~Q(kind=DocumentKind.CREDIT_NOTE.value) & Q(corrects__isnull=True)),
                name="credit_note_corrects",
            ),
        ]

    def __str__(self) -> str:
        return self.text_number


class SellerProfile(models.Model):
    """What a seller's documents say about them, and where they owe tax."""

    namespace = models.OneToOneField(
        Namespace, models.PROTECT, related_name="seller_profile", primary_key=True
    )
    legal_name = models.CharField(max_length=200, blank=True)
    """Empty: documents show the name that the store shows."""
    address = models.JSONField(default=list, blank=True)
    """A list of lines, without the country."""
    country = models.CharField(max_length=2, blank=True)
    """ISO 3166, where they are established."""
    region = models.CharField(max_length=3, blank=True)
    """State or province, where tax depends on it."""
    vat_number = models.CharField(max_length=20, blank=True)
    is_registered = models.BooleanField(default=False)
    """For VAT (or GST) in their country: they have to charge it."""
    uses_oss = models.BooleanField(default=False)
    """The EU's One Stop Shop: they charge each country's own rate."""
    registrations = ArrayField(models.CharField(max_length=6), default=list, blank=True)
    """Where else they collect tax, by ISO 3166: ``AU``, ``GB``, and US states as ``US-NY``."""
    invoice_prefix = models.CharField(max_length=16, blank=True)
    """Begins their numbers. Empty: made from the name of the namespace."""
    bank_details = models.TextField(max_length=1000, blank=True)
    """Lines that say where to transfer to."""
    updated_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return self.legal_name or self.namespace.name


class ConfirmedTaxNumber(models.Model):
    """A buyer's tax number that staff found in use, so that reverse charge may rest on it."""

    number = models.CharField(max_length=20, primary_key=True)
    """As ``licensing.tax.numbers.read_vat_number`` gives it, with its country's prefix."""
    source = models.CharField(max_length=300)
    """How it was confirmed: the register that was asked, and its answer's reference."""
    confirmed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+"
    )
    confirmed_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return self.number
