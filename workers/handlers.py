"""One function for each kind of job. Rooms are imported when their job runs."""

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
    from catalog.content import uploads
    from catalog.services import attachments, staging

    swept = uploads.sweep_uploads() + staging.sweep_staged() + attachments.sweep_attachments()
    return {"removed": swept}


def spread_event(context: JobContext) -> dict[str, Any]:
    """Tell feeds, people and webhooks what happened."""
    from catalog.services import events

    return {"told": events.spread(context.claim.job.args["event_id"])}


def deliver_webhook(context: JobContext) -> dict[str, Any]:
    """Send what waits for one webhook."""
    from catalog.services.webhooks import delivering

    attempts = delivering.deliver_due(
        context.claim.job.args["webhook_id"],
        sender=context.claim.owner,
        should_stop=context.should_stop,
    )
    return {"attempts": attempts}


def delivery_ended(job_id: int) -> None:
    """Ask for the next sender where more waits, or another receiver of the same person."""
    from catalog.services.webhooks import upkeep

    upkeep.nudge_after(job_id)


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
    JobName.SPREAD_EVENT: spread_event,
    JobName.DELIVER_WEBHOOK: deliver_webhook,
    JobName.REFRESH_TRENDS: refresh_trends,
    JobName.FLUSH_DOWNLOADS: flush_downloads,
    JobName.REFRESH_DOWNLOADS: refresh_downloads,
    JobName.GENERATE: generate,
}

WHEN_ENDED: Mapping[JobName, Callable[[int], None]] = {
    JobName.GENERATE: generation_ended,
    JobName.DELIVER_WEBHOOK: delivery_ended,
}
"""Called with the job's id after each attempt, whatever came of it."""
