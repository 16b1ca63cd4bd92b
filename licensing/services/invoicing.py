"""Issuing documents: the next number of a series, and the document for ever."""

from dataclasses import replace

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from accounts.models import Namespace, User
from licensing.invoices.document import DocumentKind, InvoiceDocument, from_json
from licensing.models import Invoice, InvoiceSeries
from licensing.services.seller_profiles import prefix_of, profile_of
from store.core.errors import ConflictError, StoreError, UnprocessableError

DOCUMENT_LANGUAGE = "en"
"""Of documents where nobody asks for another."""
_MARKS = {
    DocumentKind.INVOICE: "",
    DocumentKind.CREDIT_NOTE: "C-",
    DocumentKind.STATEMENT: "S-",
}


class KeyUsedError(ConflictError):
    """The key has issued another document; ask with a new one."""

    code = "invoice_key_used"


class WrongCorrectionError(UnprocessableError):
    """A credit note corrects an invoice of the same seller, in the same currency and mode."""

    code = "wrong_correction"


class AlteredInvoiceError(StoreError):
    """A stored document is not what was issued. Nothing in the store does that: look into it."""

    code = "altered_invoice"
    status = 500


@transaction.atomic
def issue(
    document: InvoiceDocument,
    *,
    seller: Namespace,
    buyer: User | None,
    key: str,
    holder: Namespace | None = None,
    corrects: Invoice | None = None,
) -> Invoice:
    """Number a document and keep it. Safe to repeat: the same key is the same document.

    The row of the series stays locked until the caller's transaction ends: a number that is not
    kept is given to the next document, and two never get the same. So issue last, and shortly
    before the end.

    Args:
        document: Without a number, and without what it corrects. Its kind, its year and whether
            it is a test choose the series.
        seller: Who issues it.
        buyer: The person, if one bought.
        key: Of the occasion, as ``order:<public id>``, at most 128 characters.
        holder: For whom it was bought, if it is not the person.
        corrects: The invoice that a credit note corrects.

    Raises:
        UnbalancedInvoiceError, IncompleteInvoiceError, BadInvoiceTextError, BadCurrencyError: the
            document is not fit to be issued.
        WrongCorrectionError: ``corrects`` is no invoice this one can correct.
        KeyUsedError: the key has issued something else.
    """
    _check_correction(document, seller, corrects)
    document = replace(document, number="", corrects=corrects.text_number if corrects else "")
    document.check()
    if there := _issued(key, document, seller):
        return there
    series = _locked_series(document, seller)
    if there := _issued(key, document, seller):  # while we waited for the lock
        return there
    return _keep(
        document,
        series,
        Invoice(seller=seller, buyer=buyer, holder=holder, key=key, corrects=corrects),
    )


def pdf_response_bytes(invoice: Invoice, *, language: str = DOCUMENT_LANGUAGE) -> bytes:
    """Return the PDF of an issued document: the same bytes whenever it is asked for.

    Args:
        invoice: What was issued.
        language: Of the words around it, one of Django's.

    Raises:
        AlteredInvoiceError: the stored document is not what was issued.
    """
    from licensing.invoices.pdf import render_pdf  # what draws pages takes a second to import

    return render_pdf(document_of(invoice), language=language)


def document_of(invoice: Invoice) -> InvoiceDocument:
    """Return the document as it was issued.

    Raises:
        AlteredInvoiceError: its hash is another.
    """
    document = from_json(invoice.document)
    if document.sha256() != invoice.sha256:
        raise AlteredInvoiceError(
            _("The stored document %(number)s is not what was issued. Compare it with a backup.")
            % {"number": invoice.text_number}
        )
    return document


def _locked_series(document: InvoiceDocument, seller: Namespace) -> InvoiceSeries:
    chosen, _is_new = InvoiceSeries.objects.get_or_create(
        namespace=seller,
        kind=document.kind.value,
        year=document.issued_on.year,
        prefix=prefix_of(profile_of(seller)),
        is_test=document.is_test,
    )
    return InvoiceSeries.objects.select_for_update().get(pk=chosen.pk)


def _keep(document: InvoiceDocument, series: InvoiceSeries, invoice: Invoice) -> Invoice:
    """Give the document the next number of its locked series, and store it."""
    series.last_number += 1
    series.save(update_fields=["last_number"])
    document = replace(document, number=_text_number(series))
    invoice.series, invoice.number = series, series.last_number
    invoice.text_number, invoice.kind = document.number, document.kind.value
    invoice.order_ref = document.order_ref
    invoice.document, invoice.sha256 = document.to_json(), document.sha256()
    try:
        with transaction.atomic():
            invoice.save(force_insert=True)
    except IntegrityError as exc:  # the key, at the same moment, in another series
        if Invoice.objects.filter(key=invoice.key).exists():
            raise _key_used(invoice.key) from exc
        raise
    return invoice


def _text_number(series: InvoiceSeries) -> str:
    """A prefix has no hyphen, so no seller's real number reads like a test or a credit note."""
    test = "TEST-" if series.is_test else ""
    mark = _MARKS[DocumentKind(series.kind)]
    return f"{test}{series.prefix}-{mark}{series.year}-{series.last_number:06d}"


def _issued(key: str, document: InvoiceDocument, seller: Namespace) -> Invoice | None:
    """Return what the key has issued. A repetition may come on a later day."""
    there = Invoice.objects.select_related("series").filter(key=key).first()
    if there is None:
        return None
    asked = (seller.pk, document.kind.value, document.order_ref, document.is_test)
    if asked != (there.seller_id, there.kind, there.order_ref, there.series.is_test):
        raise _key_used(key)
    if from_json(there.document).totals != document.totals:
        raise _key_used(key)
    return there


def _key_used(key: str) -> KeyUsedError:
    return KeyUsedError(
        _("The key '%(key)s' has issued another document. Use a new key.") % {"key": key}, key=key
    )


def _check_correction(
    document: InvoiceDocument, seller: Namespace, corrects: Invoice | None
) -> None:
    if corrects is None:
        return
    there = from_json(corrects.document)
    fits = (
        document.kind is DocumentKind.CREDIT_NOTE
        and corrects.seller_id == seller.pk
        and (there.kind, there.currency, there.is_test)
        == (DocumentKind.INVOICE, document.currency, document.is_test)
    )
    if not fits:
        raise WrongCorrectionError(
            _(
                "A credit note corrects an invoice of the same seller and currency, and a test"
                " one a test. %(number)s is none."
            )
            % {"number": corrects.text_number},
            number=corrects.text_number,
        )
