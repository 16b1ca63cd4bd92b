"""Shapes of the REST API's leaderboards."""

from typing import Any

from rest_framework import serializers


class BoardLineOut(serializers.Serializer[Any]):
    """A leaderboard in the list of them."""

    key = serializers.CharField(source="suite.key")
    version = serializers.IntegerField(source="suite.version")
    title = serializers.CharField(source="suite.title")
    summary = serializers.CharField(source="suite.summary")
    models = serializers.IntegerField(help_text="Public models on it.")


class BoardsOut(serializers.Serializer[Any]):
    """Every leaderboard."""

    results = BoardLineOut(many=True)


class BoardRowOut(serializers.Serializer[Any]):
    """A model on a leaderboard. Numbers are as measured, nothing rounded."""

    rank = serializers.IntegerField(
        help_text="1 and how many models are better beyond doubt; several may share one."
    )
    model = serializers.CharField(source="full_name")
    score = serializers.FloatField(source="value")
    low = serializers.FloatField(
        allow_null=True, help_text="Lower end of the 95 % interval; null: the figure has none."
    )
    high = serializers.FloatField(allow_null=True)
    not_distinguishable_from = serializers.CharField(
        source="tied_with",
        help_text="The first model above whose interval overlaps with this one's; empty: none.",
    )
    samples = serializers.IntegerField()
    parameters = serializers.IntegerField(allow_null=True)
    weights_bytes = serializers.IntegerField()
    licenses = serializers.ListField(child=serializers.CharField())
    tokens_per_second = serializers.FloatField(
        source="speed", allow_null=True, help_text="As the store measured it."
    )
    price_minor = serializers.IntegerField(
        allow_null=True,
        help_text="The lowest price in the currency's smallest unit; 0: free, or pay what you"
        " want; null: sold in other currencies only.",
    )
    evaluation = serializers.CharField(source="run_id")
    revision = serializers.CharField(source="commit_oid")
    is_newest_revision = serializers.BooleanField(source="is_head")
    measured_at = serializers.DateTimeField(source="finished_at")


class BoardOut(serializers.Serializer[Any]):
    """One page of a leaderboard, best first."""

    suite = serializers.CharField(source="board.suite.key")
    version = serializers.IntegerField(source="board.suite.version")
    metric = serializers.CharField(source="board.metric")
    unit = serializers.CharField(source="board.unit")
    is_higher_better = serializers.BooleanField(source="board.is_higher_better")
    currency = serializers.CharField(source="board.currency", help_text="Of the prices.")
    results = BoardRowOut(many=True)
    next = serializers.CharField(allow_null=True, help_text="Cursor of the page that follows.")
    total = serializers.IntegerField(help_text="Models that match, on all pages.")
