"""What jobs are for: a model, and the page of what came of it, as far as a viewer may know."""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from django.db.models import Q

from accounts.viewer import Viewer
from catalog.models import ModelRepo
from inference.models import EvaluationRun, Explanation, GenerationRun
from inference.services import quotas
from store.core.jobs import JobName
from store.core.models import Job


@dataclass(frozen=True, slots=True)
class _About:
    repo_id: int
    """The model; 0: none."""
    href: str = ""
    """The page of the asker's own; empty: none."""
    under: str = ""
    """Where it is under the address of the model."""


def subjects_of(viewer: Viewer, found: Sequence[Job]) -> dict[int, tuple[str, str]]:
    """Return the name of each job's model and an address, by id; empty: not for ``viewer``."""
    abouts = {
        **{job.pk: _About(_repo_id(job)) for job in found},
        **_generations(viewer, found),
        **_explanations(viewer, found),
        **_evaluations(viewer, found),
    }
    repo_ids = {about.repo_id for about in abouts.values()}
    seen = ModelRepo.objects.visible_to(viewer).filter(pk__in=repo_ids)
    names = {repo.pk: repo.full_name for repo in seen.select_related("namespace")}
    return {pk: _subject(names.get(about.repo_id, ""), about) for pk, about in abouts.items()}


def _subject(name: str, about: _About) -> tuple[str, str]:
    return name, about.href or (f"/{name}{about.under}" if name else "")


def _repo_id(job: Job) -> int:
    return int(job.args.get("repo_id") or job.args.get("target_id") or 0)


def _generations(viewer: Viewer, found: Sequence[Job]) -> dict[int, _About]:
    mine = quotas.asker_of(viewer)
    jobs = [job.pk for job in found if job.name == JobName.GENERATE]
    rows = GenerationRun.objects.filter(job__in=jobs)
    return {
        run.job_id: _About(run.repo_id, f"/runs/{run.public_id}" if run.asker == mine else "")
        for run in rows.only("job", "public_id", "asker", "repo")
        if run.job_id is not None
    }


def _explanations(viewer: Viewer, found: Sequence[Job]) -> dict[int, _About]:
    mine = quotas.asker_of(viewer)
    jobs = {job.args["explanation_id"]: job.pk for job in found if job.name == JobName.EXPLAIN}
    rows = Explanation.objects.filter(pk__in=jobs).select_related("run", "scored_text")
    return {
        jobs[each.pk]: _About(each.repo_id, _page_of(each) if each.asker == mine else "")
        for each in rows
    }


def _page_of(explanation: Explanation) -> str:
    if explanation.run is not None:
        asked = urlencode({"kind": explanation.kind, **explanation.params})
        return f"/runs/{explanation.run.public_id}/explain?{asked}"
    if explanation.scored_text is not None:
        return f"/playground/score/{explanation.scored_text.public_id}"
    return f"/how-it-works/{explanation.public_id}"


def _evaluations(viewer: Viewer, found: Sequence[Job]) -> dict[int, _About]:
    jobs = {job.pk: job.args["run_id"] for job in found if job.name == JobName.EVALUATE}
    known = Q(is_public=True) | Q(asked_by=viewer.user)
    rows = EvaluationRun.objects.filter(pk__in=jobs.values())
    runs = {run.pk: run for run in rows.filter(known).only("public_id", "repo")}
    return {
        pk: _About(runs[run_id].repo_id, under=f"/evaluations/{runs[run_id].public_id}")
        for pk, run_id in jobs.items()
        if run_id in runs
    }
