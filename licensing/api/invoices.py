"""``/api/v1/invoices``: documents for bookkeeping, of those who bought and those who sold."""

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.models import Scope
from accounts.rest import check_recent, viewer
from catalog.api.parameters import page_of, paging
from licensing.access_orders import invoice_seen_by, papers_of
from licensing.api import examples
from licensing.api.invoice_serializers import InvoicesPageOut
from licensing.paper_answers import pdf_answer


class InvoicesView(APIView):
    """Invoices and credit notes."""

    @extend_schema(
        operation_id="invoices_list",
        summary="List invoices and credit notes",
        parameters=[
            OpenApiParameter(
                "sold", bool, description="Those you issued instead of those you got."
            ),
            *paging(),
        ],
        responses=InvoicesPageOut,
        examples=[examples.INVOICES],
    )
    def get(self, request: Request) -> Response:
        """Answer documents of yours and of name spaces you administer, newest first."""
        who = viewer(request)
        who.require(Scope.READ)
        sold = request.query_params.get("sold") in {"1", "true"}
        if sold:
            check_recent(request)
        rows, following = page_of(request, papers_of(who, sold=sold))
        return Response(InvoicesPageOut({"results": rows, "next": following}).data)


class InvoicePdfView(APIView):
    """One document."""

    @extend_schema(
        operation_id="invoices_pdf",
        summary="Download an invoice or a credit note",
        responses={(200, "application/pdf"): OpenApiTypes.BINARY},
    )
    def get(self, request: Request, invoice_id: str) -> HttpResponse:
        """Send the document as PDF, in the language you ask for."""
        who = viewer(request)
        who.require(Scope.READ)
        answer = pdf_answer(invoice_seen_by(who, invoice_id))
        answer["Cache-Control"] = "private, no-store"
        return answer
