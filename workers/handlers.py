"""One function for each kind of job. Rooms are imported when their job runs."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from store.core.jobs import JobName
from store.core.work import JobContext

Handler = Callable[[JobContext], dict[str, Any] | None]


def send_mail(context: JobContext) -> dict[str, Any]:
    """Write a letter and send it."""
    from accounts.services import mailing

    args = context.claim.job.args
    return {"sent": mailing.send(args["letter"], args["ident"], args["language"])}


def scan_commit(context: JobContext) -> dict[str, Any]:
    """Judge the files of a commit that could not be judged while it was made."""
    from catalog.services import scanning

    args = context.claim.job.args
    return scanning.scan_commit(args["repo_id"], args["commit_oid"])


def sweep_uploads(_context: JobContext) -> dict[str, Any]:
    """Clear away uploads nobody finished."""
    from catalog.content import unpacked, uploads
    from catalog.services import staging

    unpacked.sweep_raw()
    return {"removed": uploads.sweep_uploads() + staging.sweep_staged()}


def verify_claim(context: JobContext) -> dict[str, Any]:
    """Work out the sha256 of a large file that came by Xet."""
    from catalog.services import claims

    return claims.verify(context.claim.job.args["claim_id"], _progress(context))


def _progress(context: JobContext) -> Callable[[float], None]:
    """Return what long work tells its progress, 0 to 1: at most once a second, and stops there."""
    told_s = 0.0

    def report(part: float) -> None:
        nonlocal told_s
        context.check()
        if time.monotonic() - told_s > 1:
            told_s = time.monotonic()
            context.report(progress=part)

    return report


def convert_object(context: JobContext) -> dict[str, Any]:
    """Store a large file in chunks, if that saves room."""
    from catalog.content import converting

    return converting.convert(context.claim.job.args["sha256"], _progress(context))


def keep_whole(context: JobContext) -> dict[str, Any]:
    """Write a file that many people fetch out of its chunks."""
    from catalog.content import hot

    return hot.keep_whole(context.claim.job.args["sha256"])


def collect_garbage(context: JobContext) -> dict[str, Any]:
    """Delete what nobody needs any more."""
    from catalog.content import collecting

    return collecting.collect(context.check).to_json()


def refresh_trends(_context: JobContext) -> dict[str, Any]:
    """Work out anew what is trending."""
    from catalog.search import trends

    return {"changed": trends.refresh_trends()}


def flush_downloads(_context: JobContext) -> dict[str, Any]:
    """Move the download counters from Valkey into the database."""
    from licensing.delivery import counting

    return {"rows": counting.flush()}


def refresh_downloads(_context: JobContext) -> dict[str, Any]:
    """Let yesterday's downloads leave the thirty-day figures."""
    from licensing.delivery import counting

    counting.refresh_counters()
    return {}


def generate(context: JobContext) -> dict[str, Any]:
    """Let a model write."""
    from inference.runners.generation import run_generation

    return run_generation(context, context.claim.job.args["run_id"])


def generation_ended(job_id: int) -> None:
    """Tell the person who asked how it ended, when the handler itself could not."""
    from inference.services.endings import settle

    settle(job_id)


HANDLERS: Mapping[JobName, Handler] = {
    JobName.SEND_MAIL: send_mail,
    JobName.SCAN_COMMIT: scan_commit,
    JobName.SWEEP_UPLOADS: sweep_uploads,
    JobName.VERIFY_CLAIM: verify_claim,
    JobName.CONVERT_OBJECT: convert_object,
    JobName.KEEP_WHOLE: keep_whole,
    JobName.COLLECT_GARBAGE: collect_garbage,
    JobName.REFRESH_TRENDS: refresh_trends,
    JobName.FLUSH_DOWNLOADS: flush_downloads,
    JobName.REFRESH_DOWNLOADS: refresh_downloads,
    JobName.GENERATE: generate,
}

WHEN_ENDED: Mapping[JobName, Callable[[int], None]] = {JobName.GENERATE: generation_ended}
"""Called with the job's id after each attempt, whatever came of it."""
