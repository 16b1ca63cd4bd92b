"""Documents as answers: the one way an invoice leaves as PDF, and a license as a signed file."""

from django.conf import settings
from django.http import HttpResponse
from django.utils.translation import get_language

from licensing.documents.jws import write_file
from licensing.models import Invoice, License
from licensing.services import issuing
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


def license_file_answer(license_: License, *, days: int | None = None) -> HttpResponse:
    """Return an answer that saves a license as the file that ``gpt-store license verify`` reads.

    Args:
        license_: Passed ``access.license_for(…, to="prove")``.
        days: Life of the file; ``None``: the longest.

    Raises:
        BadLifeError, NotInForceError, KeyFolderError: see ``issuing.issue_file``.
    """
    body = write_file(issuing.issue_file(license_, days=days))
    answer = HttpResponse(body, content_type="application/octet-stream")
    answer["Content-Disposition"] = f'attachment; filename="{issuing.file_name(license_)}"'
    answer["X-Content-Type-Options"] = "nosniff"
    answer["Cache-Control"] = "private, no-store"
    return answer
