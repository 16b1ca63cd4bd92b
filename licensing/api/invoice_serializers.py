"""Shapes of invoices and credit notes."""

from typing import Any

from django.conf import settings
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from licensing.invoices.document import DocumentKind
from licensing.models import Invoice
from store.core.money import Money


class InvoiceOut(serializers.Serializer[Any]):
    """An issued document. Amounts of credit notes are below zero."""

    id = serializers.CharField(source="public_id")
    kind = serializers.ChoiceField(
        choices=[DocumentKind.INVOICE.value, DocumentKind.CREDIT_NOTE.value]
    )
    number = serializers.CharField(source="text_number", help_text="As it is printed.")
    issued_on = serializers.DateField(source="document.issued_on")
    order = serializers.CharField(source="order_ref")
    seller = serializers.CharField(source="seller.name")
    corrects = serializers.SerializerMethodField(
        help_text="Number of the invoice a credit note corrects; else empty."
    )
    currency = serializers.CharField(source="document.currency")
    net_minor = serializers.IntegerField(source="document.totals.net_minor")
    tax_minor = serializers.IntegerField(source="document.totals.tax_minor")
    gross_minor = serializers.IntegerField(source="document.totals.gross_minor")
    total = serializers.SerializerMethodField(help_text="The gross sum in whole units.")
    is_test = serializers.BooleanField(source="document.is_test")
    url = serializers.SerializerMethodField(help_text="The PDF, for the same token.")

    def get_corrects(self, paper: Invoice) -> str:
        """Return the number of what is corrected."""
        return paper.corrects.text_number if paper.corrects is not None else ""

    def get_total(self, paper: Invoice) -> str:
        """Return the sum for people."""
        document = paper.document
        return f"{Money(document['totals']['gross_minor'], document['currency']).decimal:f}"

    @extend_schema_field(serializers.URLField())
    def get_url(self, paper: Invoice) -> str:
        """Return where the PDF is."""
        return f"{settings.PUBLIC_URL}/api/v1/invoices/{paper.public_id}/pdf"


class InvoicesPageOut(serializers.Serializer[Any]):
    """One page of documents, newest first."""

    results = InvoiceOut(many=True)
    next = serializers.CharField(allow_null=True)
