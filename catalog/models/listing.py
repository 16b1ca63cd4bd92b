"""What the store knows of a listing: derived from its files, rebuilt whenever they change."""

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVectorField
from django.db import models
from django.db.models import F, Q, Value
from django.db.models.functions import Cast, Coalesce, Greatest, Ln, Lower

from catalog.models.repo import ModelRepo
from store.core.money import MAX_MINOR


def _words(max_length: int = 120) -> "ArrayField[list[str], list[str]]":
    return ArrayField(models.CharField(max_length=max_length), default=list)


def _free() -> list[str]:
    return ["free"]


def _log_of(counter: str) -> Ln:
    return Ln(Cast(Greatest(F(counter), Value(0)), models.FloatField()) + Value(1.0))


class Listing(models.Model):
    """One narrow row a repository, made for search, facets and lists.

    Claims of the publisher (card) and facts we measured (files) stand in separate columns; the
    measured ones belong to ``head_oid``. The words people search for are in ``ListingText``, so
    that a counter that ticks rewrites no text index. Any change but that of a counter reaches
    the facets of every process through ``ListingChange``.
    """

    repo = models.OneToOneField(ModelRepo, models.CASCADE, primary_key=True, related_name="listing")
    full_name = models.CharField(max_length=140)
    is_private = models.BooleanField()
    head_oid = models.CharField(max_length=40, blank=True)

    # claimed by the card
    summary = models.CharField(max_length=300, blank=True)
    pipeline_tag = models.CharField(max_length=64, blank=True)
    library = models.CharField(max_length=64, blank=True)
    licenses = _words()
    commercial_use = models.CharField(max_length=12, default="unknown")
    """``yes``, ``no``, ``conditional`` or ``unknown``, from the license table."""
    languages = _words()
    tags = _words(200)
    """All hub tags, the derived ones (``license:mit``) included."""
    datasets = _words(200)
    base_models = _words(200)

    # measured from the files of head_oid
    architecture = models.CharField(max_length=120, blank=True)
    model_type = models.CharField(max_length=64, blank=True)
    parameters = models.BigIntegerField(null=True)
    dtype = models.CharField(max_length=24, blank=True)
    quantization = models.CharField(max_length=64, blank=True)
    context_length = models.BigIntegerField(null=True)
    vocabulary = models.BigIntegerField(null=True)
    formats = _words()
    weights_bytes = models.BigIntegerField(default=0)
    total_bytes = models.BigIntegerField(default=0)
    file_count = models.IntegerField(default=0)
    is_runnable = models.BooleanField(default=False)
    not_runnable_reason = models.CharField(max_length=300, blank=True)
    verdict = models.CharField(max_length=8, default="pending")
    """The worst verdict of any file of ``head_oid``."""

    # what it costs, written by ``catalog.services.prices``; amounts are in ``ListingPrice``
    price_kinds = ArrayField(models.CharField(max_length=4), default=_free)
    """``free``: it can be had for nothing; ``paid``: money is asked for it; or both."""
    prices_change_at = models.DateTimeField(null=True)
    """When its prices become others by themselves: a launch price begins or ends, or it opens."""

    # counted
    likes = models.IntegerField(default=0)
    downloads = models.IntegerField(default=0)
    """Completed downloads in the last 30 days."""
    downloads_all_time = models.BigIntegerField(default=0)
    trending = models.FloatField(default=0)
    """Written by ``catalog.search.trends``."""
    popularity = models.GeneratedField(
        expression=_log_of("downloads") + Value(2.0) * _log_of("likes"),
        output_field=models.FloatField(),
        db_persist=True,
    )
    """What breaks ties between texts that match: 0 for a new listing, about 25 for the best."""
    sort_name = models.GeneratedField(
        expression=Lower("full_name"),
        output_field=models.CharField(max_length=140),
        db_persist=True,
    )
    sort_parameters = models.GeneratedField(
        expression=Coalesce("parameters", Value(-1)),
        output_field=models.BigIntegerField(),
        db_persist=True,
    )
    """So that unknown comes last in an order that an index can give."""

    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        # one for each order of ``catalog.search.ordering``, with the repository as tie-break
        indexes = [
            models.Index(fields=["trending", "repo"], name="listing_by_trending"),
            models.Index(fields=["downloads", "repo"], name="listing_by_downloads"),
            models.Index(fields=["likes", "repo"], name="listing_by_likes"),
            models.Index(fields=["created_at", "repo"], name="listing_by_creation"),
            models.Index(fields=["updated_at", "repo"], name="listing_by_update"),
            models.Index(fields=["weights_bytes", "repo"], name="listing_by_size"),
            models.Index(fields=["popularity", "repo"], name="listing_by_popularity"),
            models.Index(fields=["sort_parameters", "repo"], name="listing_by_parameters"),
            models.Index(fields=["sort_name", "repo"], name="listing_by_name"),
            models.Index(
                fields=["prices_change_at"],
                condition=Q(prices_change_at__isnull=False),
                name="listing_price_changes",
            ),
        ]

    def __str__(self) -> str:
        return self.full_name


class ListingPrice(models.Model):
    """The lowest price that is asked for a model now, in one currency.

    A copy for search of what offers say, kept by the room that sells (ADR 0020).
    """

    listing = models.ForeignKey(
        Listing, models.CASCADE, related_name="prices", db_column="repo_id", db_index=False
    )
    currency = models.CharField(max_length=3)
    amount_minor = models.BigIntegerField()
    """Of one unit, or of one period of a subscription; 0: pay what you want."""

    class Meta:
        ordering = ["currency"]
        constraints = [
            models.UniqueConstraint(
                fields=["listing", "currency"], name="listing_price_once_per_currency"
            ),
            models.CheckConstraint(
                condition=Q(amount_minor__gte=0, amount_minor__lte=MAX_MINOR),
                name="listing_price_is_sane",
            ),
        ]
        indexes = [
            models.Index(fields=["currency", "amount_minor", "listing"], name="listing_by_price")
        ]

    def __str__(self) -> str:
        return f"{self.amount_minor} {self.currency}"


class ListingText(models.Model):
    """The words a listing is found by; written by ``catalog.search.documents`` alone."""

    repo = models.OneToOneField(ModelRepo, models.CASCADE, primary_key=True, related_name="+")
    name = models.CharField(max_length=140)
    """The full name in lower case, for parts of names."""
    names = SearchVectorField()
    """The words of the name."""
    words = SearchVectorField()
    """All words by weight: A name, B tags and facts, C summary, D card."""

    class Meta:
        # No fast update: searches would have to read the list of what is not yet filed.
        indexes = [
            GinIndex(fields=["names"], name="listing_names", fastupdate=False),
            GinIndex(fields=["words"], name="listing_words", fastupdate=False),
            GinIndex(
                fields=["name"],
                name="listing_name_parts",
                opclasses=["gin_trgm_ops"],
                fastupdate=False,
            ),
        ]

    def __str__(self) -> str:
        return self.name


class ListingChange(models.Model):
    """Which transaction last changed what search knows of a repository.

    Written by triggers (``catalog.search.furniture``), read by ``catalog.search.index``. A row
    stays when its repository is deleted: that is how others learn of it. The row 0 means "read
    everything again".
    """

    repo_id = models.BigIntegerField(primary_key=True)
    xid = models.BigIntegerField(db_index=True)
    """PostgreSQL's 64-bit transaction id."""

    def __str__(self) -> str:
        return f"{self.repo_id} in {self.xid}"


class ModelCard(models.Model):
    """The wide part: the card and the configuration files as read from ``head_oid``."""

    repo = models.OneToOneField(ModelRepo, models.CASCADE, primary_key=True, related_name="card")
    data = models.JSONField(default=dict)
    """The README's front matter."""
    model_index = models.JSONField(null=True)
    warnings = models.JSONField(default=list)
    """What is wrong with the card, in sentences for its owner."""
    body = models.TextField(blank=True)
    """The README without its front matter."""
    html = models.TextField(blank=True)
    toc = models.JSONField(default=list)
    gate_form = models.JSONField(default=dict)
    """What people who ask for access are asked: ``GateForm.to_json()``."""
    gate_html = models.TextField(blank=True)
    """What people who ask for access must read first (``extra_gated_prompt``), as safe HTML."""
    renderer_version = models.CharField(max_length=24, blank=True)
    config = models.JSONField(default=dict)
    """The part of config.json and its fellows that clients and pages show."""
    facts = models.JSONField(default=dict)
    """Every measured fact, the ones without a column of their own included."""

    def __str__(self) -> str:
        return f"card of {self.repo_id}"


class BaseModelLink(models.Model):
    """``repo`` says it was made from ``base_name``."""

    class Relation(models.TextChoices):
        """How the hub names it."""

        FINETUNE = "finetune"
        ADAPTER = "adapter"
        MERGE = "merge"
        QUANTIZED = "quantized"

    repo = models.ForeignKey(ModelRepo, models.CASCADE, related_name="base_links")
    base_name = models.CharField(max_length=200)
    """As the card writes it; often a repository of another hub."""
    base = models.ForeignKey(
        ModelRepo, models.SET_NULL, null=True, blank=True, related_name="derived_links"
    )
    """The repository of this store it means, when there is one."""
    relation = models.CharField(max_length=12, choices=Relation.choices)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["repo", "base_name"], name="base_link_once")]
        indexes = [models.Index(fields=["base_name"], name="base_link_name")]

    def __str__(self) -> str:
        return f"{self.repo_id} is a {self.relation} of {self.base_name}"
