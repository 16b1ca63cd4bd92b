"""What a model was made from, and what was made from it."""

from dataclasses import dataclass

from accounts.viewer import Viewer
from catalog.models import BaseModelLink, ModelRepo

MOST = 20


@dataclass(frozen=True, slots=True)
class Relative:
    """One step of a lineage, as a viewer may see it."""

    name: str
    relation: str
    is_here: bool
    """The store has it, and the viewer may see it."""


@dataclass(frozen=True, slots=True)
class Lineage:
    """Parents as the card claims them, children as their cards claim."""

    bases: list[Relative]
    derived: list[Relative]


def lineage_of(viewer: Viewer, repo: ModelRepo) -> Lineage:
    """Return the direct relatives of ``repo`` that ``viewer`` may know of."""
    visible = ModelRepo.objects.visible_to(viewer)
    links = BaseModelLink.objects.filter(repo=repo).select_related("base__namespace")
    seen = set(visible.filter(derived_links__repo=repo).values_list("pk", flat=True))
    bases = [
        Relative(
            link.base.full_name if link.base and link.base_id in seen else link.base_name,
            link.relation,
            link.base_id in seen,
        )
        for link in links
    ]
    children = BaseModelLink.objects.filter(base=repo, repo__in=visible)
    children = children.select_related("repo__namespace").order_by("relation", "-repo__updated_at")
    derived = [Relative(link.repo.full_name, link.relation, True) for link in children[:MOST]]
    return Lineage(bases, derived)
