"""``/api/v1/webhooks``: the caller's webhooks, what they were told, and telling it again."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.rest import viewer
from catalog.api import parameters
from catalog.api import webhook_examples as examples
from catalog.api.webhook_serializers import (
    DeliveriesPageOut,
    DeliveryDetailOut,
    DeliveryOut,
    NewWebhookIn,
    WebhookIn,
    WebhookKeyOut,
    WebhookOut,
    WebhooksOut,
)
from catalog.services.webhooks import managing, replaying
from catalog.services.webhooks.managing import Wish


class WebhooksView(APIView):
    """The caller's webhooks."""

    @extend_schema(
        operation_id="webhooks_list",
        summary="List webhooks",
        responses=WebhooksOut,
        examples=[examples.WEBHOOKS],
    )
    def get(self, request: Request) -> Response:
        """Answer all webhooks, oldest first, without their secrets."""
        return Response(WebhooksOut({"results": managing.webhooks_of(viewer(request))}).data)

    @extend_schema(
        operation_id="webhooks_create",
        summary="Make a webhook",
        request=NewWebhookIn,
        responses={201: WebhookKeyOut},
        examples=[examples.NEW_BODY, examples.NEW_WEBHOOK],
    )
    def post(self, request: Request) -> Response:
        """Make a webhook; the key that signs its deliveries is in this answer and nowhere else."""
        form = NewWebhookIn(data=request.data)
        form.is_valid(raise_exception=True)
        made, key = managing.create(viewer(request), _wish(form.validated_data))
        shape = WebhookKeyOut(made, context={"key": key})
        return Response(shape.data, status=status.HTTP_201_CREATED)


class WebhookView(APIView):
    """One webhook."""

    @extend_schema(
        operation_id="webhooks_read",
        summary="Read a webhook",
        responses=WebhookOut,
        examples=[examples.WEBHOOK],
    )
    def get(self, request: Request, ident: str) -> Response:
        """Answer one webhook and how it fares."""
        return Response(WebhookOut(managing.webhook_for(viewer(request), ident)).data)

    @extend_schema(
        operation_id="webhooks_update",
        summary="Change a webhook, or switch it on or off",
        request=WebhookIn,
        responses=WebhookOut,
        examples=[examples.CHANGE_BODY, examples.WEBHOOK],
    )
    def patch(self, request: Request, ident: str) -> Response:
        """Change what is named."""
        who = viewer(request)
        webhook = managing.webhook_for(who, ident)
        form = WebhookIn(data=request.data)
        form.is_valid(raise_exception=True)
        wanted = form.validated_data
        if set(wanted) - {"is_enabled"}:
            managing.update(who, webhook, _wish(wanted))
        if "is_enabled" in wanted:
            managing.set_enabled(who, webhook, is_enabled=wanted["is_enabled"])
        return Response(WebhookOut(managing.webhook_for(who, ident)).data)

    @extend_schema(
        operation_id="webhooks_delete", summary="Delete a webhook", responses={204: None}
    )
    def delete(self, request: Request, ident: str) -> Response:
        """Delete the webhook with all it was told."""
        who = viewer(request)
        managing.delete(who, managing.webhook_for(who, ident))
        return Response(status=status.HTTP_204_NO_CONTENT)


class WebhookKeyView(APIView):
    """The key one webhook's deliveries are signed with."""

    @extend_schema(
        operation_id="webhooks_renew_key",
        summary="Make a new signing key",
        request=None,
        responses={201: WebhookKeyOut},
        examples=[examples.NEW_KEY],
    )
    def post(self, request: Request, ident: str) -> Response:
        """Make a new key, shown this once; the old one signs beside it for a day."""
        who = viewer(request)
        renewed, key = managing.renew_key(who, managing.webhook_for(who, ident))
        shape = WebhookKeyOut(renewed, context={"key": key})
        return Response(shape.data, status=status.HTTP_201_CREATED)


class WebhookTestView(APIView):
    """A trial."""

    @extend_schema(
        operation_id="webhooks_test",
        summary="Send a test event",
        request=None,
        responses={202: DeliveryOut},
        examples=[examples.SENT],
    )
    def post(self, request: Request, ident: str) -> Response:
        """Send an event that did not happen, once; look at the delivery to see how it went."""
        who = viewer(request)
        made = replaying.send_test(who, managing.webhook_for(who, ident))
        return Response(DeliveryOut(made).data, status=status.HTTP_202_ACCEPTED)


class DeliveriesView(APIView):
    """What one webhook was told."""

    @extend_schema(
        operation_id="webhooks_deliveries",
        summary="List deliveries, newest first",
        parameters=parameters.paging(),
        responses=DeliveriesPageOut,
        examples=[examples.DELIVERIES],
    )
    def get(self, request: Request, ident: str) -> Response:
        """Answer one page of deliveries with every attempt."""
        webhook = managing.webhook_for(viewer(request), ident)
        rows = webhook.deliveries.prefetch_related("attempts").order_by("-pk")
        shown, following = parameters.page_of(request, rows)
        page = {"results": shown, "next": following}
        return Response(DeliveriesPageOut(page).data)


class DeliveryView(APIView):
    """One delivery."""

    @extend_schema(
        operation_id="webhooks_delivery",
        summary="Read a delivery with its payload",
        responses=DeliveryDetailOut,
        examples=[examples.DELIVERY],
    )
    def get(self, request: Request, ident: str, delivery: str) -> Response:
        """Answer what is sent, and every attempt."""
        webhook = managing.webhook_for(viewer(request), ident)
        return Response(DeliveryDetailOut(replaying.delivery_of(webhook, delivery)).data)


class ReplayView(APIView):
    """One delivery, again."""

    @extend_schema(
        operation_id="webhooks_replay",
        summary="Send a delivery again",
        request=None,
        responses={202: DeliveryOut},
        examples=[examples.SENT],
    )
    def post(self, request: Request, ident: str, delivery: str) -> Response:
        """Send it again, with the same id and bytes."""
        who = viewer(request)
        webhook = managing.webhook_for(who, ident)
        again = replaying.replay(who, replaying.delivery_of(webhook, delivery))
        return Response(DeliveryOut(again).data, status=status.HTTP_202_ACCEPTED)


def _wish(values: dict[str, Any]) -> Wish:
    watched = values.get("watched")
    return Wish(
        url=values.get("url"),
        watched=watched and [{"type": item["kind"], "name": item["name"]} for item in watched],
        domains=values.get("domains"),
        secret=values.get("secret"),
    )
