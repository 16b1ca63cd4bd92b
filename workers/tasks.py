"""Celery's side of the work: one task that runs a job row, and the beat's errands.

Tasks know nothing of the work itself. A message may be lost or come twice: the row decides.
"""

import logging
import os

from store.core import counts, jobs, sweeping
from store.core.jobs import ERRAND, RUN_TASK, JobName
from workers.app import app
from workers.runner import run_next

logger = logging.getLogger(__name__)


@app.task(name=RUN_TASK)
def run(*, queue: str) -> None:
    """Run the job of ``queue`` whose turn it is. A message too many finds nothing to do."""
    run_next(queue, on_stuck=end_process)


@app.task(name="workers.sweep")
def sweep() -> None:
    """Ask again for what was lost, end what failed too often."""
    from catalog.services.webhooks import stopping, upkeep
    from inference.services import answering, demos, endings, evaluation_queue

    if nudged := sweeping.sweep():
        logger.info("%s jobs were asked for again", nudged)
    endings.settle_all()
    answering.settle_all()
    evaluation_queue.settle_all()
    demos.ask()
    upkeep.give_up_late()
    stopping.stop_failing()
    upkeep.nudge_all()


@app.task(name="workers.forget_old")
def forget_old() -> None:
    """Delete what is kept for a time only: jobs, generations, logins, deliveries that ended."""
    from accounts.services import oauth, publishers
    from catalog.services.webhooks import upkeep
    from inference.services import retention

    logger.info("%s ended jobs deleted", sweeping.prune())
    logger.info("%s written batches of counters forgotten", counts.prune())
    logger.info("%s old generations deleted", retention.forget_old())
    logger.info("%s secrets of ended logins deleted", oauth.prune())
    logger.info("%s tokens and proofs of CI jobs deleted", publishers.prune())
    logger.info("%s old webhook deliveries deleted", upkeep.prune())


@app.task(name="workers.flush_downloads")
def flush_downloads() -> None:
    """See ``JobName.FLUSH_DOWNLOADS``."""
    jobs.enqueue(JobName.FLUSH_DOWNLOADS, key=ERRAND)


@app.task(name="workers.flush_views")
def flush_views() -> None:
    """See ``JobName.FLUSH_VIEWS``."""
    jobs.enqueue(JobName.FLUSH_VIEWS, key=ERRAND)


@app.task(name="workers.refresh_prices")
def refresh_prices() -> None:
    """See ``JobName.REFRESH_PRICES``."""
    jobs.enqueue(JobName.REFRESH_PRICES, key=ERRAND)


@app.task(name="workers.refresh_downloads")
def refresh_downloads() -> None:
    """See ``JobName.REFRESH_DOWNLOADS``."""
    jobs.enqueue(JobName.REFRESH_DOWNLOADS, key=ERRAND)


@app.task(name="workers.sweep_uploads")
def sweep_uploads() -> None:
    """See ``JobName.SWEEP_UPLOADS``."""
    jobs.enqueue(JobName.SWEEP_UPLOADS, key=ERRAND)


@app.task(name="workers.close_orders")
def close_orders() -> None:
    """See ``JobName.CLOSE_ORDERS``."""
    jobs.enqueue(JobName.CLOSE_ORDERS, key=ERRAND)


@app.task(name="workers.reconcile")
def reconcile() -> None:
    """See ``JobName.RECONCILE``."""
    jobs.enqueue(JobName.RECONCILE, key=ERRAND)


@app.task(name="workers.run_payouts")
def run_payouts() -> None:
    """See ``JobName.RUN_PAYOUTS``; where staff pay out, it asks again for what waits alone."""
    jobs.enqueue(JobName.RUN_PAYOUTS, key=ERRAND)


@app.task(name="workers.collect_garbage")
def collect_garbage() -> None:
    """See ``JobName.COLLECT_GARBAGE``."""
    jobs.enqueue(JobName.COLLECT_GARBAGE, key=ERRAND)


@app.task(name="workers.forget_notices")
def forget_notices() -> None:
    """See ``JobName.FORGET_NOTICES``."""
    jobs.enqueue(JobName.FORGET_NOTICES, key=ERRAND)


@app.task(name="workers.renew_subscriptions")
def renew_subscriptions() -> None:
    """See ``JobName.RENEW_SUBSCRIPTIONS``."""
    jobs.enqueue(JobName.RENEW_SUBSCRIPTIONS, key=ERRAND)


@app.task(name="workers.remind_transfers")
def remind_transfers() -> None:
    """See ``JobName.REMIND_TRANSFERS``."""
    jobs.enqueue(JobName.REMIND_TRANSFERS, key=ERRAND)


@app.task(name="workers.refresh_trends")
def refresh_trends() -> None:
    """See ``JobName.REFRESH_TRENDS``."""
    jobs.enqueue(JobName.REFRESH_TRENDS, key=ERRAND)


def end_process() -> None:
    """End this process at once, without any cleaning up: what it held has hung.

    Its leases run out and other jobs it was doing are taken up again; whoever started it starts
    it anew.
    """
    logging.shutdown()
    os._exit(70)  # EX_SOFTWARE
