"""Up to four models side by side: facts, terms, prices, scores, answers to the same questions."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from django.db.models import Q
from django.utils.translation import gettext as _

from accounts.viewer import Viewer
from catalog.access import RepoMovedError, RepoNotFoundError, repo_for
from catalog.cards.licenses import license_name, rights_for
from catalog.models import Listing, ModelRepo
from inference.models import Sample
from inference.services import significance
from inference.services.readings import way_text
from inference.services.scoreboards import Line, score_card
from licensing.services.shelf import Sale, sale_of
from licensing.terms.rights import Allowed, Rights, lines
from store.core.ui import figures

MOST = 4
"""Models on one page."""
MOST_PROMPTS = 6


@dataclass(frozen=True, slots=True)
class Column:
    """One model."""

    repo: ModelRepo
    listing: Listing
    sale: Sale | None
    lines: dict[str, Line]
    """Its score card, by key of the suite."""

    @property
    def name(self) -> str:
        """Its id."""
        return self.repo.full_name


@dataclass(frozen=True, slots=True)
class Cell:
    """What one model has in one row."""

    text: str
    more: str = ""
    """A second, smaller line."""
    href: str = ""
    is_best: bool = False
    """Better than every other here beyond doubt."""


@dataclass(frozen=True, slots=True)
class Row:
    """One fact of all models."""

    label: str
    cells: list[Cell]
    note: str = ""

    @property
    def is_equal(self) -> bool:
        """All say the same: nothing to choose by."""
        return len(self.cells) > 1 and len({cell.text for cell in self.cells}) == 1


@dataclass(frozen=True, slots=True)
class Answered:
    """One question and what each model said; ``None``: it was not asked."""

    task: str
    prompt: str
    expected: str
    outputs: list[str | None]


@dataclass(frozen=True, slots=True)
class Samples:
    """Answers of one suite side by side."""

    key: str
    title: str
    answers: list[Answered]
    choices: list[tuple[str, str]]
    """(key, title) of the suites there are answers of."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """All models with all there is to compare."""

    columns: list[Column]
    missing: list[str] = field(default_factory=list)
    """Names nothing visible has."""
    left_out: list[str] = field(default_factory=list)
    """Names beyond ``MOST``."""

    @property
    def names(self) -> list[str]:
        """Of the columns."""
        return [column.name for column in self.columns]


def compare(viewer: Viewer, names: Iterable[str], *, currency: str = "") -> Comparison:
    """Gather the models of these names, in their order; repeated ones count once.

    What the viewer may not see is missing, as what does not exist is.

    Args:
        viewer: Who asks.
        names: As ``namespace/name``, from anywhere.
        currency: Preferred for the prices.
    """
    columns: dict[int, Column] = {}
    missing, left_out = [], []
    for name in dict.fromkeys(each.strip().strip("/") for each in names if each.strip()):
        if len(columns) == MOST:
            left_out.append(name)
            continue
        repo = _find(viewer, name)
        if repo is None:
            missing.append(name)
        elif repo.pk not in columns:
            columns[repo.pk] = _column(viewer, repo, currency)
    return Comparison(list(columns.values()), missing, left_out)


def _find(viewer: Viewer, full_name: str) -> ModelRepo | None:
    namespace, _slash, name = full_name.partition("/")
    try:
        return repo_for(viewer, namespace, name)
    except RepoMovedError as moved:
        return moved.repo
    except RepoNotFoundError:
        return None


def _column(viewer: Viewer, repo: ModelRepo, currency: str) -> Column:
    listing = Listing.objects.get(repo=repo)
    card = {line.suite.key: line for line in score_card(repo, listing.head_oid)}
    return Column(repo, listing, sale_of(viewer, repo, currency=currency), card)


_FACTS: Sequence[tuple[Callable[[], str], Callable[[Listing], str]]] = (
    (lambda: _("Architecture"), lambda listing: listing.architecture),
    (lambda: _("Parameters"), lambda listing: figures.count_text(listing.parameters)),
    (lambda: _("Weights"), lambda listing: figures.size_text(listing.weights_bytes or None)),
    (lambda: _("Context"), lambda listing: figures.exact_text(listing.context_length)),
    (lambda: _("Number type"), lambda listing: listing.quantization or listing.dtype),
    (lambda: _("Vocabulary"), lambda listing: figures.exact_text(listing.vocabulary)),
    (lambda: _("Formats"), lambda listing: ", ".join(listing.formats)),
    (lambda: _("Task"), lambda listing: listing.pipeline_tag),
    (lambda: _("Languages"), lambda listing: ", ".join(listing.languages)),
    (lambda: _("Made from"), lambda listing: ", ".join(listing.base_models)),
    (lambda: _("Downloads a month"), lambda listing: figures.count_text(listing.downloads)),
)


def fact_rows(columns: Sequence[Column]) -> list[Row]:
    """Return the measured facts, and what cards claim."""
    return [
        Row(label(), [Cell(say(column.listing) or figures.UNKNOWN) for column in columns])
        for label, say in _FACTS
    ]


def term_rows(columns: Sequence[Column]) -> list[Row]:
    """Return price, license and what the license allows."""
    prices = [Cell(_price(column), href=f"/{column.name}#get") for column in columns]
    licenses = [
        Cell(", ".join(map(license_name, column.listing.licenses)) or _("Not stated"))
        for column in columns
    ]
    rows = [Row(_("Price"), prices), Row(_("License"), licenses)]
    rights = [_rights(column) for column in columns]
    for place, line in enumerate(lines(Rights())):
        cells = [Cell(_right_text(each, place)) for each in rights]
        rows.append(Row(line.label, cells))
    return rows


def _price(column: Column) -> str:
    if column.sale is None:
        return _("Free")
    return column.sale.words or _("Not for sale now")


def _rights(column: Column) -> list[Rights]:
    """Return what each way to have the model allows: by its offers, else by its card."""
    if column.sale is not None and column.sale.offers:
        return [shown.rights for shown in column.sale.offers]
    found = rights_for(column.listing.licenses)
    return [
        Rights(
            commercial_use=Allowed(found.commercial_use),
            derivatives=Allowed(found.derivatives),
            redistribution=Allowed(found.redistribution),
        )
    ]


def _right_text(each: Sequence[Rights], place: int) -> str:
    words = list(dict.fromkeys(str(lines(rights)[place].word) for rights in each))
    return words[0] if len(words) == 1 else _("by license: %(all)s") % {"all": ", ".join(words)}


def score_rows(columns: Sequence[Column]) -> list[Row]:
    """Return a row for each suite that any model was measured on. One query.

    The best of a row is marked where it beats every other of the row by more than chance; figures
    of different versions of a suite are shown and not compared.
    """
    keys = {key: line for column in columns for key, line in column.lines.items()}
    ordered = sorted(keys, key=lambda key: (not keys[key].suite.is_ranked, keys[key].suite.title))
    scores = [line.score for column in columns for line in column.lines.values()]
    answers = significance.answers_of(scores) if len(columns) > 1 else {}
    return [_score_row(columns, key, answers) for key in ordered]


def _score_row(
    columns: Sequence[Column], key: str, answers: "dict[int, significance.Answers]"
) -> Row:
    found = [column.lines.get(key) for column in columns]
    measured = [line for line in found if line is not None]
    suites = {line.suite.pk for line in measured}
    scores = [line.score for line in measured]
    best = significance.best_of(scores, answers) if len(suites) == 1 else None
    cells = []
    for column, line in zip(columns, found, strict=True):
        if line is None:
            cells.append(Cell(figures.UNKNOWN, _("not measured")))
            continue
        href = f"/{column.name}/evaluations/{line.run.public_id}"
        is_best = best is not None and line.score.run_id == best.run_id
        cells.append(Cell(line.reading.text, line.reading.between, href, is_best))
    note = way_text(is_higher_better=scores[0].is_higher_better)
    if len(suites) > 1:
        note = _("different versions of the suite: not comparable")
    return Row(measured[0].suite.title, cells, note)


def answers_side_by_side(columns: Sequence[Column], key: str = "") -> Samples | None:
    """Return what the models said to the same questions; ``None``: nothing to show. Three queries.

    Args:
        columns: The models.
        key: Of the suite; empty, or one without answers: the first that has some.
    """
    public = {
        line.run.measured_id: (key_, line)
        for column in columns
        for key_, line in column.lines.items()
        if line.suite.is_public
    }
    said = Sample.objects.filter(run_id__in=public).exclude(output="").order_by()
    choices = {}
    for run_id in said.values_list("run_id", flat=True).distinct():
        key_, line = public[run_id]
        choices[key_] = line.suite.title
    if not choices:
        return None
    chosen = key if key in choices else min(choices, key=lambda each: choices[each])
    answers = _answers([column.lines.get(chosen) for column in columns])
    ordered = sorted(choices.items(), key=lambda pair: pair[1])
    return Samples(chosen, choices[chosen], answers, ordered)


def _answers(found: Sequence[Line | None]) -> list[Answered]:
    runs = [line.run.measured_id if line else None for line in found]
    first = next(line for line in found if line is not None)
    alike = {line.run.measured_id for line in found if line and line.suite.pk == first.suite.pk}
    asked = Sample.objects.filter(run_id=first.run.measured_id).order_by("index", "task")[
        :MOST_PROMPTS
    ]
    rows = {
        (row.task, row.index): Answered(row.task, row.prompt, row.expected, []) for row in asked
    }
    same = Q(pk__in=[])
    for task, index in rows:
        same |= Q(task=task, index=index)
    given = {
        (row.run_id, row.task, row.index): row.output
        for row in Sample.objects.filter(same, run_id__in=alike)
    }
    return [
        replace(row, outputs=[given.get((run or 0, *key)) for run in runs])
        for key, row in rows.items()
    ]
