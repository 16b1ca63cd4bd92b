"""Documents as answers: the one way an issued document leaves as PDF."""

from django.conf import settings
from django.http import HttpResponse
from django.utils.translation import get_language

from licensing.models import Invoice
from licensing.services.invoicing import pdf_response_bytes


def pdf_answer(paper: Invoice, *, language: str = "") -> HttpResponse:
    """Return an answer that saves a document as PDF.

    Args:
        paper: What was issued.
        language: Of the words around it; empty: that of the request.

    Raises:
        AlteredInvoiceError: the stored document is not what was issued.
    """
    language = language or get_language() or settings.LANGUAGE_CODE
    body = pdf_response_bytes(paper, language=language)
    answer = HttpResponse(body, content_type="application/pdf")
    answer["Content-Disposition"] = f'attachment; filename="{paper.text_number}.pdf"'
    answer["X-Content-Type-Options"] = "nosniff"
    return answer
