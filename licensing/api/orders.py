"""``/api/v1/quotes`` and ``/api/v1/orders``: buying from a script."""

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.rest import check_recent, viewer
from accounts.viewer import Viewer
from catalog.api.parameters import page_of, paging
from licensing.access_orders import invoices_of, order_changed_by, order_seen_by, orders_of
from licensing.api import examples
from licensing.api.order_serializers import (
    AcceptIn,
    AnswerIn,
    OrderIn,
    OrderOut,
    OrdersPageOut,
    PayIn,
    QuoteIn,
    QuoteOut,
    RefundIn,
    RefundOut,
)
from licensing.gateways.base import Checkout
from licensing.models import Order, OrderLine, Refund
from licensing.services import billing, calling_off, checkout, ordering, quotes, refunds
from licensing.services.pricing import Item
from store.core.errors import NotFoundError

_KEY = OpenApiParameter(
    "Idempotency-Key",
    str,
    OpenApiParameter.HEADER,
    required=True,
    description="1 to 128 characters, new for each purchase; a repeated request with the same key"
    " answers the same order.",
)


class QuotesView(APIView):
    """Quotes."""

    @extend_schema(
        operation_id="quotes_create",
        summary="Ask what something costs",
        request=QuoteIn,
        responses={201: QuoteOut},
        examples=[examples.QUOTE_BODY, examples.QUOTE],
    )
    def post(self, request: Request) -> Response:
        """Price offers with tax and coupon; good for half an hour."""
        who = viewer(request)
        quotes.buying_namespace(who)
        form = QuoteIn(data=request.data)
        form.is_valid(raise_exception=True)
        values = dict(form.validated_data)
        items = [Item(**item) for item in values.pop("items")]
        given = values.pop("billing")
        address = billing.read(given) if given is not None else billing.last_of(who)
        quote, _priced = quotes.make_quote(who, items, billing=address, **values)
        return Response(QuoteOut(quote).data, status=status.HTTP_201_CREATED)


class QuoteView(APIView):
    """One quote."""

    @extend_schema(
        operation_id="quotes_read",
        summary="Read a quote",
        responses=QuoteOut,
        examples=[examples.QUOTE],
    )
    def get(self, request: Request, quote_id: str) -> Response:
        """Answer what was quoted."""
        user, _namespace = quotes.buying_namespace(viewer(request))
        return Response(QuoteOut(quotes.quote_of(user, quote_id)).data)


class OrdersView(APIView):
    """Orders."""

    @extend_schema(
        operation_id="orders_list",
        summary="List your orders",
        parameters=paging(),
        responses=OrdersPageOut,
        examples=[examples.ORDERS],
    )
    def get(self, request: Request) -> Response:
        """Answer your orders and those for your teams, newest first."""
        rows = _with_parts(orders_of(viewer(request)))
        found, following = page_of(request, rows)
        context = {"papers": list(invoices_of(*found))}
        return Response(OrdersPageOut({"results": found, "next": following}, context=context).data)

    @extend_schema(
        operation_id="orders_create",
        summary="Buy what was quoted",
        parameters=[_KEY],
        request=OrderIn,
        responses={201: OrderOut, 200: OrderOut},
        examples=[examples.ORDER_BODY, examples.ORDER],
    )
    def post(self, request: Request) -> Response:
        """Order, and pay at once where `payment_method` says how.

        A declined payment leaves the order open: pay it again by `orders/{id}/pay`.
        """
        who = viewer(request)
        quotes.buying_namespace(who)
        form = OrderIn(data=request.data)
        form.is_valid(raise_exception=True)
        values = form.validated_data
        order, is_new = ordering.open_order(
            who,
            values["quote"],
            key=request.headers.get("Idempotency-Key", ""),
            accepted_terms=values["accepted_terms"],
            gateway=values["gateway"],
            method=values["payment_method"],
        )
        answer = _paid(who, order, values["payment_method"])
        answer.status_code = status.HTTP_201_CREATED if is_new else status.HTTP_200_OK
        return answer


class OrderView(APIView):
    """One order."""

    @extend_schema(
        operation_id="orders_read",
        summary="Read an order",
        responses=OrderOut,
        examples=[examples.ORDER],
    )
    def get(self, request: Request, order_id: str) -> Response:
        """Answer an order of yours, or of a team of yours."""
        return _shown(order_seen_by(viewer(request), order_id))


class PayView(APIView):
    """Paying an open order."""

    @extend_schema(
        operation_id="orders_pay",
        summary="Pay an open order",
        request=PayIn,
        responses=OrderOut,
        examples=[examples.PAY_BODY, examples.ORDER],
    )
    def post(self, request: Request, order_id: str) -> Response:
        """Pay with a method, or get the page to pay on."""
        who = viewer(request)
        quotes.buying_namespace(who)
        order = order_changed_by(who, order_id)
        form = PayIn(data=request.data)
        form.is_valid(raise_exception=True)
        return _paid(who, order, form.validated_data["payment_method"])


class CancelOrderView(APIView):
    """Cancelling an open order."""

    @extend_schema(
        operation_id="orders_cancel",
        summary="Cancel an open order",
        request=None,
        responses=OrderOut,
        examples=[examples.CANCELLED],
    )
    def post(self, request: Request, order_id: str) -> Response:
        """Cancel it; what was paid in part goes back."""
        who = viewer(request)
        quotes.buying_namespace(who)
        return _shown(calling_off.cancel(order_changed_by(who, order_id)))


class RefundsView(APIView):
    """Asking for money back."""

    @extend_schema(
        operation_id="refunds_create",
        summary="Ask for a refund",
        request=RefundIn,
        responses={201: RefundOut},
        examples=[examples.REFUND_BODY, examples.REFUND],
    )
    def post(self, request: Request, order_id: str) -> Response:
        """Ask the seller for the price of a line, or of the whole order."""
        who = viewer(request)
        quotes.buying_namespace(who)
        order = order_changed_by(who, order_id)
        form = RefundIn(data=request.data)
        form.is_valid(raise_exception=True)
        line = _line(order, form.validated_data["line"])
        asked = refunds.ask(who, order, line, form.validated_data["reason"])
        return Response(RefundOut(asked).data, status=status.HTTP_201_CREATED)


class AcceptRefundView(APIView):
    """Granting a refund."""

    @extend_schema(
        operation_id="refunds_accept",
        summary="Grant a refund",
        request=AcceptIn,
        responses=RefundOut,
        examples=[examples.ACCEPT_BODY, examples.REFUND_DONE],
    )
    def post(self, request: Request, refund_id: str) -> Response:
        """End access and send the money back."""
        who, refund = _asked(request, refund_id)
        form = AcceptIn(data=request.data)
        form.is_valid(raise_exception=True)
        done = refunds.accept(who, refund, why=form.validated_data["reason"])
        return Response(RefundOut(done).data)


class DeclineRefundView(APIView):
    """Declining a refund."""

    @extend_schema(
        operation_id="refunds_decline",
        summary="Decline a refund",
        request=AnswerIn,
        responses=RefundOut,
        examples=[examples.DECLINE_BODY, examples.REFUND],
    )
    def post(self, request: Request, refund_id: str) -> Response:
        """Say why not."""
        who, refund = _asked(request, refund_id)
        form = AnswerIn(data=request.data)
        form.is_valid(raise_exception=True)
        declined = refunds.decline(who, refund, form.validated_data["answer"])
        return Response(RefundOut(declined).data)


def _asked(request: Request, refund_id: str) -> tuple[Viewer, Refund]:
    """Return who answers and which refund; a session proves what the pages ask it to."""
    who = viewer(request)
    refund = refunds.refund_for(who, refund_id)
    check_recent(request)
    return who, refund


def _with_parts(rows: QuerySet[Order]) -> QuerySet[Order]:
    return rows.select_related("holder").prefetch_related("lines__license", "refunds")


def _paid(who: Viewer, order: Order, method: str) -> Response:
    """Begin to pay an order that is open; one that is paid is shown as it is."""
    if order.state != Order.State.OPEN:
        return _shown(order)
    if who.token is not None:
        ordering.count_payment(who.token, order)
    return _shown(order, checkout.start(order, payer=who.user, method=method))


def _shown(order: Order, how: Checkout | None = None) -> Response:
    row = _with_parts(Order.objects.all()).get(pk=order.pk)
    context = {"checkout": how, "papers": list(invoices_of(row))}
    return Response(OrderOut(row, context=context).data)


def _line(order: Order, line_id: str) -> OrderLine | None:
    if not line_id:
        return None
    found = order.lines.filter(public_id=line_id).first()
    if found is None:
        raise NotFoundError("The order has no such line.")
    return found
