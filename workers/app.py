"""The Celery application. Messages are nudges; the ``Job`` rows are the truth."""

import os

from celery import Celery
from celery.signals import setup_logging
from django.conf import settings

from workers.schedule import ERRANDS

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "store.settings")

VISIBILITY_TIMEOUT_S = 7 * 3600
"""Longer than any job: the broker must not hand a running job to a second worker."""

app = Celery("store")
app.conf.update(
    broker_url=settings.BROKER_URL,
    broker_connection_retry_on_startup=True,
    broker_transport_options={
        "visibility_timeout": VISIBILITY_TIMEOUT_S,
        "global_keyprefix": "celery:",
        "socket_timeout": 10,
        "socket_connect_timeout": 5,
        "retry_policy": {"timeout": 3.0},
    },
    task_serializer="json",
    accept_content=["json"],
    task_ignore_result=True,
    task_acks_late=True,
    task_default_queue="default",
    task_create_missing_queues=True,
    worker_prefetch_multiplier=1,
    worker_hijack_root_logger=False,
    worker_enable_remote_control=True,
    timezone="UTC",
    beat_schedule={name: errand.entry() for name, errand in ERRANDS.items()},
    beat_schedule_filename=str(settings.DATA_DIR / "beat-schedule"),
    imports=["workers.tasks", "workers.life"],
)


@setup_logging.connect
def _keep_our_logging(**_kwargs: object) -> None:
    """Leave logging as Django's settings made it."""
