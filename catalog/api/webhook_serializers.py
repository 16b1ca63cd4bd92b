"""Shapes of the REST API's webhooks."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from catalog.models import RepoEvent, Webhook, WebhookAttempt, WebhookDelivery, WebhookWatch
from catalog.services.webhooks.replaying import payload_of

ERRORS = ["", "status", "refused", "connection", "timeout", "tls", "bad_answer"]


class WatchShape(serializers.Serializer[Any]):
    """Something that is watched; it need not exist."""

    type = serializers.ChoiceField(choices=WebhookWatch.Kind.values, source="kind")
    name = serializers.CharField(max_length=140)


class WebhookOut(serializers.Serializer[Any]):
    """A webhook, without its secrets."""

    id = serializers.CharField(source="public_id")
    url = serializers.CharField()
    watched = WatchShape(many=True, source="watches.all")
    domains = serializers.ListField(child=serializers.ChoiceField(choices=Webhook.Domain.values))
    has_secret = serializers.BooleanField(source="sealed_secret")
    is_enabled = serializers.SerializerMethodField()
    disabled_reason = serializers.ChoiceField(
        choices=["", *Webhook.Stop.values], source="disabled_for"
    )
    failures = serializers.IntegerField(help_text="Failed attempts since the last good one.")
    failing_since = serializers.DateTimeField(allow_null=True)
    delivered_at = serializers.DateTimeField(
        allow_null=True, help_text="When something was last delivered."
    )
    skipped = serializers.IntegerField(help_text="Events not sent, as a day had too many.")
    created_at = serializers.DateTimeField()

    def get_is_enabled(self, webhook: Webhook) -> bool:
        """Return whether anything is sent."""
        return not webhook.is_disabled


class WebhookKeyOut(WebhookOut):
    """A webhook with the key its deliveries are signed with, shown this once."""

    signing_key = serializers.SerializerMethodField()

    def get_signing_key(self, webhook: Webhook) -> str:
        """Return the key."""
        key: str = self.context["key"]
        return key


class WebhooksOut(serializers.Serializer[Any]):
    """All webhooks of the caller, oldest first."""

    results = WebhookOut(many=True)


class NewWebhookIn(serializers.Serializer[Any]):
    """What a webhook is to be."""

    url = serializers.CharField(max_length=2000)
    watched = WatchShape(many=True)
    domains = serializers.ListField(
        child=serializers.ChoiceField(choices=Webhook.Domain.values), required=False
    )
    secret = serializers.CharField(
        max_length=256,
        required=False,
        allow_blank=True,
        trim_whitespace=False,
        help_text="Sent in clear with each delivery, as X-Webhook-Secret.",
    )


class WebhookIn(serializers.Serializer[Any]):
    """What to change; what is left out stays."""

    url = serializers.CharField(max_length=2000, required=False)
    watched = WatchShape(many=True, required=False)
    domains = serializers.ListField(
        child=serializers.ChoiceField(choices=Webhook.Domain.values), required=False
    )
    secret = serializers.CharField(
        max_length=256, required=False, allow_blank=True, trim_whitespace=False
    )
    is_enabled = serializers.BooleanField(required=False)


class AttemptOut(serializers.Serializer[Any]):
    """One try. Of the answer only the status is kept."""

    at = serializers.DateTimeField()
    duration_ms = serializers.IntegerField()
    status = serializers.IntegerField(allow_null=True, help_text="null: there was no answer.")
    error = serializers.ChoiceField(choices=ERRORS, help_text="Empty: it was taken.")


class DeliveryOut(serializers.Serializer[Any]):
    """One event for one webhook."""

    id = serializers.CharField(source="public_id")
    message_id = serializers.CharField(help_text="The header webhook-id of every attempt.")
    scope = serializers.ChoiceField(choices=RepoEvent.Scope.values)
    action = serializers.ChoiceField(choices=RepoEvent.Action.values)
    model = serializers.CharField(source="full_name")
    is_test = serializers.BooleanField()
    state = serializers.ChoiceField(choices=WebhookDelivery.State.values)
    next_try_at = serializers.DateTimeField(allow_null=True)
    created_at = serializers.DateTimeField()
    ended_at = serializers.DateTimeField(allow_null=True)
    attempts = serializers.SerializerMethodField()

    @extend_schema_field(AttemptOut(many=True))
    def get_attempts(self, delivery: WebhookDelivery) -> list[dict[str, Any]]:
        """Return all tries, oldest first."""
        rows: list[WebhookAttempt] = list(delivery.attempts.all())
        return [dict(AttemptOut(row).data) for row in rows]


class DeliveryDetailOut(DeliveryOut):
    """One delivery with what is sent."""

    payload = serializers.SerializerMethodField()

    def get_payload(self, delivery: WebhookDelivery) -> str:
        """Return the JSON as it is sent; empty once forgotten or hidden from the owner."""
        return payload_of(delivery)


class DeliveriesPageOut(serializers.Serializer[Any]):
    """Deliveries, newest first."""

    results = DeliveryOut(many=True)
    next = serializers.CharField(allow_null=True, help_text="Cursor of the next page.")
