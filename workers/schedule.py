"""What the beat asks for, and how often."""

from dataclasses import dataclass
from typing import Any

from celery.schedules import BaseSchedule, crontab, schedule


@dataclass(frozen=True, slots=True)
class Errand:
    """A task the beat sends again and again.

    Args:
        task: Its name.
        when: How often.
        expires_s: A message older than this is thrown away, so that a queue nobody listens to
            does not fill up.
    """

    task: str
    when: BaseSchedule
    expires_s: int

    def entry(self) -> dict[str, Any]:
        """Return the errand as Celery writes it."""
        return {
            "task": self.task,
            "schedule": self.when,
            "options": {"expires": self.expires_s, "queue": "default"},
        }


ERRANDS = {
    "sweep-jobs": Errand("workers.sweep", schedule(10), expires_s=10),
    "flush-downloads": Errand("workers.flush_downloads", schedule(30), expires_s=30),
    "flush-views": Errand("workers.flush_views", schedule(60), expires_s=60),
    "refresh-downloads": Errand(
        "workers.refresh_downloads", crontab(hour="0", minute="7"), expires_s=3600
    ),
    "refresh-prices": Errand("workers.refresh_prices", schedule(60), expires_s=60),
    "sweep-uploads": Errand("workers.sweep_uploads", crontab(minute="17"), expires_s=1800),
    "close-orders": Errand("workers.close_orders", crontab(minute="*/15"), expires_s=900),
    "reconcile": Errand("workers.reconcile", crontab(hour="2", minute="41"), expires_s=3600),
    "run-payouts": Errand("workers.run_payouts", crontab(hour="4", minute="11"), expires_s=3600),
    "collect-garbage": Errand(
        "workers.collect_garbage", crontab(hour="3", minute="23"), expires_s=3600
    ),
    "forget-notices": Errand(
        "workers.forget_notices", crontab(hour="3", minute="27"), expires_s=3600
    ),
    "renew-subscriptions": Errand(
        "workers.renew_subscriptions", crontab(minute="*/15"), expires_s=900
    ),
    "remind-transfers": Errand(
        "workers.remind_transfers", crontab(hour="6", minute="41"), expires_s=3600
    ),
    "refresh-trends": Errand("workers.refresh_trends", crontab(minute="*/10"), expires_s=600),
    "forget-old": Errand("workers.forget_old", crontab(minute="37"), expires_s=1800),
}
