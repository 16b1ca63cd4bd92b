"""What a fetch is to bring: which commits somebody lacks, how deep their history may go."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from catalog.history.errors import RevisionNotFoundError
from catalog.history.graph import Graph, Oid, commit_times
from catalog.history.objects import kinds_of, read_many
from catalog.history.packing import Filter, Wish
from catalog.history.refs import HEADS, TAGS
from catalog.history.strict import read_tag
from catalog.models import GitObject, ModelRepo, Ref
from store.core.errors import InvalidError, NotFoundError

Kind = GitObject.Kind
INFINITE_DEPTH = 2**31 - 1
"""What git sends for "all of it"."""
_MAX_TAG_CHAIN = 8


class UnknownObjectError(NotFoundError):
    """Something was asked for that the repository does not have."""

    code = "unknown_object"


@dataclass(slots=True)
class Request:
    """What somebody asks for. Ids are 20 bytes."""

    wants: list[Oid] = field(default_factory=list)
    haves: list[Oid] = field(default_factory=list)
    shallow: set[Oid] = field(default_factory=set)
    """Commits they have without what is before them."""
    depth: int = 0
    """How many commits deep history may go; 0: as deep as it is."""
    is_relative: bool = False
    """``depth`` counts from where their history ends."""
    since: int = 0
    """No commits from before this second since 1970."""
    without: list[str] = field(default_factory=list)
    """No commits that these refs have."""
    leave_out: Filter = field(default_factory=Filter)
    with_tags: bool = False
    """Also the annotated tags of commits that are sent."""

    @property
    def is_deepening(self) -> bool:
        """Where history ends is to be decided anew."""
        return bool(self.depth or self.since or self.without)


@dataclass(frozen=True, slots=True)
class Selection:
    """What is to be sent."""

    wish: Wish
    shallow: Collection[Oid]
    """Commits whose parents they will not have, and did not know of."""
    unshallow: Collection[Oid]
    """Commits whose parents come now."""


def select(repo: ModelRepo, graph: Graph, request: Request) -> Selection:
    """Work out what a request is to be answered with.

    Raises:
        UnknownObjectError: something wanted is not here.
        InvalidError: nothing is left of history.
    """
    heads, others = _sorted_out(repo, graph, request.wants)
    known_shallow = {oid for oid in request.shallow if oid in graph}
    have = graph.ancestors(request.haves, stop=known_shallow)
    shallow: set[Oid] = set()
    unshallow: set[Oid] = set()
    if request.is_deepening:
        inside = _inside(repo, graph, request, heads, known_shallow)
        edge = graph.edge(inside)
        shallow, unshallow = edge - known_shallow, (known_shallow & inside) - edge
    else:
        inside = graph.ancestors(heads, stop=known_shallow)
    send = inside - have
    if request.with_tags:
        others = list(dict.fromkeys(others + _tags_of(repo, send)))
    close = {parent for oid in send for parent in graph.parents[oid] if parent in have}
    close |= known_shallow & have
    return Selection(Wish(send, close, others), shallow, unshallow)


def is_enough(graph: Graph, request: Request, common: Collection[Oid]) -> bool:
    """Whether every wanted commit has one they have before it: no more need be asked."""
    wanted = [oid for oid in request.wants if oid in graph]
    if not common:
        return False
    inside = graph.ancestors(wanted, stop=request.shallow)
    reaching = graph.descendants(common, inside=inside)
    return all(oid in reaching for oid in wanted)


def _inside(
    repo: ModelRepo, graph: Graph, request: Request, heads: list[Oid], known_shallow: set[Oid]
) -> set[Oid]:
    """Return the commits they are to have in the end."""
    if request.since or request.without:
        inside = _recent(repo, graph, request, heads)
        if heads and not inside:
            raise InvalidError("No commits are left: the history is older than that.")
        return inside
    if request.is_relative:
        now = graph.ancestors(heads, stop=known_shallow)
        return now | set(graph.within_depth(known_shallow & now, request.depth + 1))
    if request.depth >= INFINITE_DEPTH:
        return graph.ancestors(heads)
    return set(graph.within_depth(heads, request.depth))


def _recent(repo: ModelRepo, graph: Graph, request: Request, heads: list[Oid]) -> set[Oid]:
    hidden = graph.ancestors(_commit_of(repo, name) for name in request.without)
    every = graph.ancestors(heads) - hidden
    times = commit_times(repo.pk, every) if request.since else {}
    return graph.chosen(
        heads, lambda oid: oid in every and times.get(oid, request.since) >= request.since
    )


def _commit_of(repo: ModelRepo, name: str) -> Oid:
    candidates = [name, HEADS + name, TAGS + name]
    ref = Ref.objects.filter(repo=repo, name__in=candidates).order_by("name").first()
    if ref is None:
        raise RevisionNotFoundError(f"Invalid rev id: {name[:200]}", revision=name[:200])
    return bytes.fromhex(ref.commit_oid)


def _sorted_out(repo: ModelRepo, graph: Graph, wants: Iterable[Oid]) -> tuple[list[Oid], list[Oid]]:
    """Return (commits, other objects) of what is wanted; tags bring their commits along."""
    heads = [oid for oid in wants if oid in graph]
    rest = [oid for oid in wants if oid not in graph]
    others = []
    for _step in range(_MAX_TAG_CHAIN):
        kinds = kinds_of(repo.pk, rest)
        if lost := next((oid for oid in rest if oid not in kinds), None):
            raise UnknownObjectError(f"not our ref {lost.hex()}", oid=lost.hex())
        others += rest
        tags = [oid for oid in rest if kinds[oid] == Kind.TAG]
        targets = [read_tag(oid, data).target for oid, _kind, data in read_many(repo.pk, tags)]
        heads += [oid for oid in targets if oid in graph]
        rest = [oid for oid in targets if oid not in graph]
        if not rest:
            break
    return heads, others


def _tags_of(repo: ModelRepo, commits: Collection[Oid]) -> list[Oid]:
    """Return the annotated tags that lead to ``commits``, tags of tags in between included."""
    refs = Ref.objects.filter(repo=repo, name__startswith=TAGS).values_list("oid", "commit_oid")
    tags = [
        bytes.fromhex(oid)
        for oid, commit_oid in refs
        if oid != commit_oid and bytes.fromhex(commit_oid) in commits
    ]
    found: dict[Oid, None] = {}
    for _step in range(_MAX_TAG_CHAIN):
        tags = [oid for oid in tags if oid not in found]
        targets = []
        for oid, kind, data in read_many(repo.pk, tags):
            if kind == Kind.TAG:
                found[oid] = None
                targets.append(read_tag(oid, data).target)
        tags = targets
    return list(found)
