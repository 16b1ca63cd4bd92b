"""What listings are narrowed down by. One entry here is a filter, a facet and a URL parameter."""

from dataclasses import dataclass

from django.utils.translation import gettext_noop as _


@dataclass(frozen=True, slots=True)
class Field:
    """A property with a few values, of which a listing has one, several or none.

    Args:
        name: In URLs, in the API and as attribute of ``SearchQuery``.
        label: For people, in English; translated where it is shown.
        sql: Its value in a query over ``l`` (listing), ``r`` (repository), ``n`` (namespace).
        is_list: ``sql`` is an array.
        needs_all: Several chosen values must all apply; otherwise one is enough.
        top: How many values a facet shows beside the chosen ones; 0: it is a filter only.
        choices: The only values there are, with their labels; empty: whatever listings have.
    """

    name: str
    label: str
    sql: str
    is_list: bool = False
    needs_all: bool = False
    top: int = 10
    choices: tuple[tuple[str, str], ...] = ()


FIELDS = (
    Field("task", _("Task"), "l.pipeline_tag"),
    Field(
        "price",
        _("Price"),
        "l.price_kinds",
        is_list=True,
        choices=(("free", _("Free")), ("paid", _("For sale"))),
    ),
    Field("language", _("Language"), "l.languages", is_list=True),
    Field("license", _("License"), "l.licenses", is_list=True),
    Field(
        "commercial",
        _("Commercial use"),
        "l.commercial_use",
        choices=(
            ("yes", _("Allowed")),
            ("conditional", _("Allowed under conditions")),
            ("no", _("Not allowed")),
            ("unknown", _("Not stated")),
        ),
    ),
    Field("base_model", _("Made from"), "l.base_models", is_list=True),
    Field("architecture", _("Architecture"), "l.architecture"),
    Field("format", _("Format"), "l.formats", is_list=True),
    Field("library", _("Library"), "l.library"),
    Field("publisher", _("Publisher"), "n.name"),
    Field("tag", _("Tag"), "l.tags", is_list=True, needs_all=True),
    Field(
        "runnable",
        _("Playground"),
        "CASE WHEN l.is_runnable THEN 'yes' ELSE 'no' END",
        choices=(("yes", _("Can be tried here")), ("no", _("Download only"))),
    ),
    Field(
        "gated",
        _("Access"),
        # what is sold lets strangers in after a purchase, whatever its gate
        "CASE WHEN r.is_for_sale AND (r.opens_at IS NULL OR r.opens_at > now())"
        " THEN 'sold' ELSE r.gate END",
        top=0,
        choices=(
            ("none", _("Open")),
            ("auto", _("After agreeing to the terms")),
            ("manual", _("On request")),
            ("sold", _("After a purchase")),
        ),
    ),
)

FIELD = {field.name: field for field in FIELDS}


@dataclass(frozen=True, slots=True)
class Measure:
    """A number a listing may have, narrowed down by a range and shown as a histogram.

    Args:
        name: Prefix of the URL parameters ``NAME_min`` and ``NAME_max``.
        label: For people.
        column: Of the listing; below 1 means "not known".
        edges: Where the histogram's bars meet, ascending. There is a bar below the first edge
            and one from the last on.
    """

    name: str
    label: str
    column: str
    edges: tuple[int, ...]


_M, _G = 10**6, 10**9

MEASURES = (
    Measure(
        "parameters",
        _("Parameters"),
        "sort_parameters",
        (*(n * _M for n in (1, 3, 10, 30, 100, 300)), *(n * _G for n in (1, 3, 10, 30, 100))),
    ),
    Measure(
        "size",
        _("Size of the weights"),
        "weights_bytes",
        (*(n * _M for n in (1, 10, 30, 100, 300)), *(n * _G for n in (1, 3, 10, 30, 100, 300))),
    ),
)

MEASURE = {measure.name: measure for measure in MEASURES}
