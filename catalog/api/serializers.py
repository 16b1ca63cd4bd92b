"""Shapes of the REST API's models. In and out are apart; out is read-only."""

from typing import Any
from urllib.parse import quote

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from catalog.history.trees import Entry
from catalog.models import FileScan, Listing, ListingPrice
from store.core.money import Money


class FactsOut(serializers.Serializer[Any]):
    """What the store measured in the files of the newest revision."""

    architecture = serializers.CharField()
    parameters = serializers.IntegerField(allow_null=True, help_text="Exact, from tensor shapes.")
    dtype = serializers.CharField()
    quantization = serializers.CharField()
    context_length = serializers.IntegerField(allow_null=True, help_text="In tokens.")
    vocabulary = serializers.IntegerField(allow_null=True)
    formats = serializers.ListField(child=serializers.CharField())
    weights_bytes = serializers.IntegerField()
    total_bytes = serializers.IntegerField()


class ListingPriceOut(serializers.Serializer[Any]):
    """The lowest price in one currency."""

    currency = serializers.CharField()
    amount_minor = serializers.IntegerField(help_text="In the currency's smallest unit.")
    amount = serializers.SerializerMethodField(help_text="The same in whole units.")

    @extend_schema_field(serializers.CharField())
    def get_amount(self, price: ListingPrice) -> str:
        """Return the amount with the currency's decimals."""
        return f"{Money(price.amount_minor, price.currency).decimal:f}"


class ModelOut(serializers.Serializer[Any]):
    """One line of the list."""

    id = serializers.CharField(source="full_name")
    url = serializers.SerializerMethodField()
    summary = serializers.CharField()
    is_private = serializers.BooleanField()
    task = serializers.CharField(source="pipeline_tag")
    library = serializers.CharField()
    licenses = serializers.ListField(child=serializers.CharField())
    commercial_use = serializers.ChoiceField(choices=["yes", "no", "conditional", "unknown"])
    languages = serializers.ListField(child=serializers.CharField())
    tags = serializers.ListField(child=serializers.CharField())
    base_models = serializers.ListField(child=serializers.CharField())
    verdict = serializers.ChoiceField(choices=FileScan.Verdict.values)
    is_runnable = serializers.BooleanField()
    facts = FactsOut(source="*")
    price_kinds = serializers.ListField(
        child=serializers.ChoiceField(choices=["free", "paid"]),
        help_text="free: it can be had for nothing; paid: money is asked for it; or both. Empty: it"
        " is for sale, and cannot be bought now.",
    )
    prices = ListingPriceOut(
        many=True,
        help_text="The lowest in each currency, of one unit or one period; 0: pay what you want.",
    )
    likes = serializers.IntegerField()
    downloads = serializers.IntegerField(help_text="Completed, in the last 30 days.")
    downloads_all_time = serializers.IntegerField()
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()

    def get_url(self, listing: Listing) -> str:
        """Return the address of the listing's page."""
        return f"{self.context['origin']}/{listing.full_name}"


class FacetValueOut(serializers.Serializer[Any]):
    """One line of a facet, or one bar of a histogram."""

    value = serializers.CharField(help_text="As the query parameter takes it.")
    label = serializers.CharField()  # type: ignore[assignment]
    count = serializers.IntegerField()
    is_selected = serializers.BooleanField()


class FacetOut(serializers.Serializer[Any]):
    """The values of one field among the matches, its own condition left out."""

    name = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]
    is_histogram = serializers.BooleanField()
    values = FacetValueOut(many=True)


class ModelsPageOut(serializers.Serializer[Any]):
    """One page of a search."""

    results = ModelOut(many=True)
    next = serializers.CharField(allow_null=True, help_text="Cursor of the page that follows.")
    total = serializers.IntegerField(help_text="Matches on all pages.")
    currency = serializers.CharField(
        help_text="What prices are compared in: as asked for, else the one most models have."
    )
    facets = FacetOut(many=True, required=False, help_text="When asked for.")


class ModelDetailOut(ModelOut):
    """One model in full."""

    revision = serializers.CharField(source="head_oid", help_text="Newest commit of main.")
    not_runnable_reason = serializers.CharField()
    card = serializers.SerializerMethodField()
    card_warnings = serializers.SerializerMethodField()

    def get_card(self, listing: Listing) -> dict[str, Any]:
        """Return the card's front matter."""
        found: dict[str, Any] = self.context["card"].data
        return found

    @extend_schema_field(serializers.ListField(child=serializers.CharField()))
    def get_card_warnings(self, listing: Listing) -> list[str]:
        """Return what is wrong with the card."""
        found: list[str] = self.context["card"].warnings
        return found


class FileOut(serializers.Serializer[Any]):
    """One file of a revision."""

    path = serializers.CharField()
    size_bytes = serializers.IntegerField()
    oid = serializers.CharField(help_text="Git blob id; of an LFS file that of its pointer.")
    sha256 = serializers.SerializerMethodField(help_text="Of LFS files.")
    verdict = serializers.SerializerMethodField()
    reason = serializers.SerializerMethodField()
    download_url = serializers.SerializerMethodField()

    @extend_schema_field(serializers.CharField(allow_null=True))
    def get_sha256(self, entry: Entry) -> str | None:
        """Return the content's digest, of LFS files."""
        return entry.lfs.sha256 if entry.lfs else None

    def get_verdict(self, entry: Entry) -> str:
        """Return what the scan found."""
        scan = self._scan(entry)
        return scan.verdict if scan else FileScan.Verdict.PENDING.value

    def get_reason(self, entry: Entry) -> str:
        """Return why, when the verdict is not clean."""
        scan = self._scan(entry)
        return scan.reason if scan else ""

    def get_download_url(self, entry: Entry) -> str:
        """Return where the bytes are."""
        base, repo, oid = (self.context[key] for key in ("origin", "repo", "commit_oid"))
        return f"{base}/{repo.full_name}/resolve/{oid}/{quote(entry.path)}"

    def _scan(self, entry: Entry) -> FileScan | None:
        found: FileScan | None = self.context["scans"].get((entry.oid, entry.path))
        return found


class FilesPageOut(serializers.Serializer[Any]):
    """One page of a revision's files."""

    revision = serializers.CharField(help_text="The commit that was listed.")
    results = FileOut(many=True)
    next = serializers.CharField(allow_null=True, help_text="Cursor of the page that follows.")
    total = serializers.IntegerField(help_text="Files of the revision.")


class RevisionOut(serializers.Serializer[Any]):
    """One commit."""

    oid = serializers.CharField()
    parent_oid = serializers.CharField(help_text="Empty for the first commit.")
    title = serializers.CharField()
    message = serializers.CharField()
    author = serializers.CharField()
    authored_at = serializers.DateTimeField()


class RevisionsPageOut(serializers.Serializer[Any]):
    """One page of a history, newest first."""

    results = RevisionOut(many=True)
    next = serializers.CharField(allow_null=True, help_text="Cursor of the page that follows.")


class ByHashOut(serializers.Serializer[Any]):
    """Where a content occurs, among what the caller may read."""

    model = serializers.CharField()
    path = serializers.CharField()
    size_bytes = serializers.IntegerField()
    verdict = serializers.CharField()


class FoundOut(serializers.Serializer[Any]):
    """All places of a content."""

    results = ByHashOut(many=True)


class RoomOut(serializers.Serializer[Any]):
    """The storage of one name space."""

    namespace = serializers.CharField()
    used_bytes = serializers.IntegerField()
    quota_bytes = serializers.IntegerField(allow_null=True, help_text="null: without limit.")


class StorageOut(serializers.Serializer[Any]):
    """The storage of every name space the caller belongs to."""

    results = RoomOut(many=True)


class NewModelIn(serializers.Serializer[Any]):
    """What a new repository starts as."""

    name = serializers.CharField(max_length=96)
    namespace = serializers.CharField(max_length=42, required=False)
    is_private = serializers.BooleanField(required=False, allow_null=True, default=None)
    license = serializers.CharField(max_length=64, required=False, default="")


class ModelSettingsIn(serializers.Serializer[Any]):
    """What can be changed; absent stays as it is."""

    is_private = serializers.BooleanField(required=False)
    name = serializers.CharField(max_length=96, required=False)
    namespace = serializers.CharField(max_length=42, required=False)
