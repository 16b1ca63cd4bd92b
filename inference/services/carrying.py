"""A result carried over to another revision whose model is the same, byte for byte.

A new README makes a new commit, not a new model: what was measured before holds for it as well,
and is shown as what it is, measured at the earlier revision.
"""

from typing import Any

from django.db import transaction

from inference.models import EvaluationRun, Score
from inference.services.weights import ModelFiles, needed_files
from store.core.errors import StoreError

_LOOKED_AT = 50
"""Earlier runs whose files are compared."""


def file_facts(files: ModelFiles) -> list[dict[str, str]]:
    """Return what names each file a model is loaded from: path, and sha256 or git id.

    That is weights, configuration, generation configuration, tokenizer and chat template; of an
    adapter its base's as well.
    """
    return [
        {"path": part.place, "sha256": part.entry.lfs.sha256}
        if part.entry.lfs is not None
        else {"path": part.place, "git_oid": part.entry.oid}
        for part in files.parts
    ]


def carry_over(run: EvaluationRun) -> bool:
    """End an open public run by the result of another revision of the same model, if there is one.

    Scores are copied, samples and notes stay with the run that was really done.

    Returns:
        Whether there was one. ``False`` changes nothing.
    """
    if not run.is_public:
        return False
    earlier = _same_files(run)
    if earlier is None:
        return False
    with transaction.atomic():
        rows = EvaluationRun.objects.filter(pk=run.pk, state__in=EvaluationRun.OPEN)
        values: dict[str, Any] = {
            "state": EvaluationRun.State.DONE,
            "carried_from": earlier,
            "record": earlier.record,
            "started_at": earlier.started_at,
            "finished_at": earlier.finished_at,
        }
        if not rows.update(**values, job=None):
            return False
        run.samples.all().delete()  # of an attempt that did not end
        run.shards.all().delete()
        run.scores.all().delete()
        Score.objects.bulk_create(_copy(score, run) for score in earlier.scores.order_by("pk"))
    run.refresh_from_db()
    return True


def _same_files(run: EvaluationRun) -> EvaluationRun | None:
    """Return the newest run of the suite that was really done on the same files."""
    done = EvaluationRun.objects.filter(
        repo_id=run.repo_id,
        suite_id=run.suite_id,
        is_public=True,
        state=EvaluationRun.State.DONE,
        carried_from=None,
    )
    candidates = list(done.exclude(pk=run.pk).order_by("-finished_at")[:_LOOKED_AT])
    if not candidates:
        return None
    try:
        wanted = _sorted(file_facts(needed_files(run.repo, run.commit_oid)))
    except StoreError:  # whoever does the run says why it cannot
        return None
    return next(
        (each for each in candidates if _sorted(each.record.get("files", [])) == wanted), None
    )


def _sorted(files: list[dict[str, str]]) -> list[list[tuple[str, str]]]:
    return sorted(sorted(each.items()) for each in files)


def _copy(score: Score, run: EvaluationRun) -> Score:
    score.pk, score.run = None, run
    score._state.adding = True  # noqa: SLF001 - Django's own recipe for a copy
    return score
