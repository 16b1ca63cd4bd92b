"""The kinds of background jobs, and how each kind is run."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from store.core.queues import Priority, Queue


class JobName(StrEnum):
    """Every kind of background work. ``workers.handlers`` has one function for each."""

    SEND_MAIL = "accounts.send_mail"
    SCAN_COMMIT = "catalog.scan_commit"
    SWEEP_UPLOADS = "catalog.sweep_uploads"
    VERIFY_CLAIM = "catalog.verify_claim"
    CONVERT_OBJECT = "catalog.convert_object"
    KEEP_WHOLE = "catalog.keep_whole"
    COLLECT_GARBAGE = "catalog.collect_garbage"
    SPREAD_EVENT = "catalog.spread_event"
    DUPLICATE_REPO = "licensing.duplicate_repo"
    SEND_ACCESS_LETTER = "catalog.send_access_letter"
    MAIL_NOTICE = "catalog.mail_notice"
    FORGET_NOTICES = "catalog.forget_notices"
    DELIVER_WEBHOOK = "catalog.deliver_webhook"
    REFRESH_TRENDS = "catalog.refresh_trends"
    FLUSH_VIEWS = "catalog.flush_views"
    FLUSH_DOWNLOADS = "licensing.flush_downloads"
    REFRESH_DOWNLOADS = "licensing.refresh_downloads"
    REFRESH_PRICES = "licensing.refresh_prices"
    APPLY_PAYMENT = "licensing.apply_payment"
    FULFIL_ORDER = "licensing.fulfil_order"
    TELL_SALE = "licensing.tell_sale"
    SEND_REFUND = "licensing.send_refund"
    RENEW_SUBSCRIPTIONS = "licensing.renew_subscriptions"
    SUBSCRIPTION_UNPAID = "licensing.subscription_unpaid"
    TELL_GATEWAY = "licensing.tell_gateway"
    REMIND_TRANSFERS = "licensing.remind_transfers"
    SEND_ORDER_LETTER = "licensing.send_order_letter"
    CLOSE_ORDERS = "licensing.close_orders"
    RECONCILE = "licensing.reconcile"
    RUN_PAYOUTS = "licensing.run_payouts"
    PAY_OUT = "licensing.pay_out"
    GENERATE = "inference.generate"
    EXPLAIN = "inference.explain"
    EVALUATE = "inference.evaluate"
    MAKE_DEMOS = "inference.make_demos"


@dataclass(frozen=True, slots=True)
class Policy:
    """How one kind of job is run."""

    queue: Queue
    max_attempts: int = 4
    lease_s: int = 60
    """A worker renews the lease well before this; a dead worker's job is free again after it."""
    time_limit_s: int = 600
    """Wall time after which the worker gives the job up as failed."""
    priority: Priority = Priority.PERSON
    """Of jobs whose asker says nothing else."""


POLICIES: Mapping[JobName, Policy] = {
    JobName.SEND_MAIL: Policy(Queue.DEFAULT, max_attempts=8, time_limit_s=60),
    JobName.SCAN_COMMIT: Policy(Queue.SCAN),
    JobName.SWEEP_UPLOADS: Policy(Queue.DEFAULT, priority=Priority.STORE),
    JobName.VERIFY_CLAIM: Policy(Queue.SCAN, time_limit_s=3600),
    JobName.CONVERT_OBJECT: Policy(Queue.SCAN, time_limit_s=7200, priority=Priority.STORE),
    JobName.KEEP_WHOLE: Policy(Queue.SCAN, time_limit_s=3600, priority=Priority.STORE),
    JobName.COLLECT_GARBAGE: Policy(Queue.DEFAULT, time_limit_s=6 * 3600, priority=Priority.STORE),
    JobName.SPREAD_EVENT: Policy(Queue.DEFAULT),
    JobName.DUPLICATE_REPO: Policy(Queue.DEFAULT),
    JobName.SEND_ACCESS_LETTER: Policy(Queue.DEFAULT, max_attempts=8, time_limit_s=60),
    JobName.MAIL_NOTICE: Policy(Queue.DEFAULT, max_attempts=8, time_limit_s=60),
    JobName.FORGET_NOTICES: Policy(Queue.DEFAULT, priority=Priority.STORE),
    JobName.DELIVER_WEBHOOK: Policy(Queue.SENDERS, lease_s=20, time_limit_s=120),
    JobName.REFRESH_TRENDS: Policy(Queue.DEFAULT, priority=Priority.STORE),
    JobName.FLUSH_VIEWS: Policy(Queue.DEFAULT, priority=Priority.STORE),
    JobName.FLUSH_DOWNLOADS: Policy(Queue.DEFAULT, priority=Priority.STORE),
    JobName.REFRESH_DOWNLOADS: Policy(Queue.DEFAULT, priority=Priority.STORE),
    JobName.REFRESH_PRICES: Policy(Queue.DEFAULT, priority=Priority.STORE),
    JobName.APPLY_PAYMENT: Policy(Queue.DEFAULT, max_attempts=12),
    JobName.FULFIL_ORDER: Policy(Queue.DEFAULT, max_attempts=12),
    JobName.TELL_SALE: Policy(Queue.DEFAULT, max_attempts=8),
    JobName.SEND_REFUND: Policy(Queue.DEFAULT, max_attempts=12),
    JobName.RENEW_SUBSCRIPTIONS: Policy(Queue.DEFAULT, priority=Priority.STORE),
    JobName.SUBSCRIPTION_UNPAID: Policy(Queue.DEFAULT),
    JobName.TELL_GATEWAY: Policy(Queue.DEFAULT, max_attempts=12),
    JobName.REMIND_TRANSFERS: Policy(Queue.DEFAULT, priority=Priority.STORE),
    JobName.SEND_ORDER_LETTER: Policy(Queue.DEFAULT, max_attempts=8, time_limit_s=60),
    JobName.CLOSE_ORDERS: Policy(Queue.DEFAULT, priority=Priority.STORE),
    JobName.RECONCILE: Policy(Queue.DEFAULT, time_limit_s=3600, priority=Priority.STORE),
    JobName.RUN_PAYOUTS: Policy(Queue.DEFAULT, time_limit_s=3600, priority=Priority.STORE),
    JobName.PAY_OUT: Policy(Queue.DEFAULT, max_attempts=12),
    JobName.GENERATE: Policy(Queue.INFERENCE, max_attempts=3, lease_s=30, time_limit_s=3600),
    JobName.EXPLAIN: Policy(Queue.INFERENCE, max_attempts=3, lease_s=30),
    JobName.MAKE_DEMOS: Policy(
        Queue.INFERENCE, max_attempts=8, time_limit_s=6 * 3600, priority=Priority.STORE
    ),
    JobName.EVALUATE: Policy(
        Queue.INFERENCE,
        max_attempts=5,
        lease_s=30,
        time_limit_s=6 * 3600,
        priority=Priority.STORE,
    ),
}
