"""Giving a job that ended badly another chance."""

from functools import partial

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from store.core.errors import ConflictError
from store.core.jobs import nudge
from store.core.models import Job


def retry(job_id: int) -> bool:
    """Put a job that failed or was cancelled back, with all its attempts. What it cost stays.

    Returns:
        ``False``: it is open, or was done.

    Raises:
        ConflictError: another job does the same already; nothing was changed.
    """
    ended = Job.objects.filter(pk=job_id, state__in=[Job.State.FAILED, Job.State.CANCELLED])
    now = timezone.now()
    try:
        with transaction.atomic():
            back = ended.update(
                state=Job.State.QUEUED,
                attempts=0,
                progress=0.0,
                lease_owner="",
                not_before=now,
                nudged_at=now,
                finished_at=None,
                error_code="",
                error="",
            )
    except IntegrityError as error:
        raise ConflictError(_("The same is being done already.")) from error
    if back:
        job = Job.objects.get(pk=job_id)
        transaction.on_commit(partial(nudge, job))
    return bool(back)
