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
    from inference.services import demos, store_runs

    args = context.claim.job.args
    judged = scanning.scan_commit(args["repo_id"], args["commit_oid"])
    planned = {
        "demos": demos.plan_scanned(args["repo_id"], args["commit_oid"]),
        "evaluations": store_runs.evaluate_head(args["repo_id"]),
    }
    return judged | _some(planned)


def _some(counts: dict[str, int]) -> dict[str, int]:
    """Return the counts that are not 0: most commits ask for nothing more."""
    return {name: count for name, count in counts.items() if count}


def sweep_uploads(_context: JobContext) -> dict[str, Any]:
    """Clear away uploads nobody finished."""
    from catalog.content import unpacked, uploads
    from catalog.services import attachments, staging

    unpacked.sweep_raw()
    swept = uploads.sweep_uploads() + staging.sweep_staged() + attachments.sweep_attachments()
    return {"removed": swept}


def spread_event(context: JobContext) -> dict[str, Any]:
    """Tell feeds, people and webhooks what happened; try new revisions that are clean already."""
    from catalog.services import events
    from inference.services import demos, store_runs

    event_id = context.claim.job.args["event_id"]
    told = events.spread(event_id)
    planned = {
        "demos": demos.plan_for_event(event_id),
        "evaluations": store_runs.after_event(event_id),
    }
    return {"told": told} | _some(planned)


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
    """Store a large file in chunks, in place of the whole."""
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


def duplicate_repo(context: JobContext) -> dict[str, Any]:
    """Copy the files of a large repository into its duplicate."""
    from licensing.delivery import copying

    args = context.claim.job.args
    return {
        "files": copying.finish_duplicate(
            source_id=args["source_id"], target_id=args["target_id"], user_id=args["user_id"]
        )
    }


def send_access_letter(context: JobContext) -> dict[str, Any]:
    """Write a letter about access to a gated model and send it."""
    from catalog.services import access_letters

    args = context.claim.job.args
    return {"sent": access_letters.send(args["letter"], args["ident"], args["language"])}


def mail_notice(context: JobContext) -> dict[str, Any]:
    """Mail one notice to one person."""
    from catalog.services import notice_letters

    return {"sent": notice_letters.send(context.claim.job.args["notice_id"])}


def forget_notices(_context: JobContext) -> dict[str, Any]:
    """Delete notices past their life."""
    from catalog.services import notices

    return {"deleted": notices.forget_old()}


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


def refresh_prices(context: JobContext) -> dict[str, Any]:
    """Tell search of prices that changed by themselves, or with a model."""
    from licensing.services import asking_prices

    if repo_id := context.claim.job.args.get("repo_id"):
        return {"models": asking_prices.refresh_below(repo_id)}
    return {"models": asking_prices.refresh_due()}


def flush_views(_context: JobContext) -> dict[str, Any]:
    """Write counted views of listings into the database."""
    from catalog.services import page_views

    return {"rows": page_views.flush()}


def apply_payment(context: JobContext) -> dict[str, Any]:
    """Apply a fact of the payment inbox."""
    from licensing.services import inbox

    return {"outcome": inbox.apply(context.claim.job.args["event_id"])}


def fulfil_order(context: JobContext) -> dict[str, Any]:
    """Grant what a paid order promised."""
    from licensing.services import settling

    return {"fulfilled": settling.fulfil_if_paid(context.claim.job.args["order_id"])}


def tell_sale(context: JobContext) -> dict[str, Any]:
    """Write to buyer and sellers of an order, and tell the sellers' webhooks."""
    from licensing.services import telling

    return {"sent": telling.tell_sale(context.claim.job.args["order_id"])}


def send_refund(context: JobContext) -> dict[str, Any]:
    """Have a refund sent by its gateway."""
    from licensing.services import refunds

    return {"state": refunds.send(context.claim.job.args["refund_id"])}


def renew_subscriptions(_context: JobContext) -> dict[str, Any]:
    """Collect the periods of subscriptions that are due."""
    from licensing.services import dunning

    return {"renewed": dunning.renew_due()}


def subscription_unpaid(context: JobContext) -> dict[str, Any]:
    """Tell a buyer that a period of their subscription was not paid."""
    from licensing.models import Order
    from licensing.services import order_letters

    order_letters.tell_unpaid(Order.objects.get(pk=context.claim.job.args["order_id"]))
    return {}


def tell_gateway(context: JobContext) -> dict[str, Any]:
    """Tell a gateway whether a subscription goes on."""
    from licensing.services import collecting

    return {"told": collecting.tell_gateway(context.claim.job.args["order_id"])}


def remind_transfers(_context: JobContext) -> dict[str, Any]:
    """Remind buyers of bank transfers that have not come."""
    from licensing.services import transfers

    return {"reminded": transfers.remind()}


def send_order_letter(context: JobContext) -> dict[str, Any]:
    """Write a letter about an order to its buyer, and send it."""
    from licensing.services import order_letters

    args = context.claim.job.args
    return {"sent": order_letters.send(args["letter"], args["ident"], args["language"])}


def close_orders(_context: JobContext) -> dict[str, Any]:
    """Cancel orders nobody paid in time, and forget old quotes."""
    from licensing.services import closing, quotes

    return {"cancelled": closing.close_expired(), "quotes": quotes.forget_old()}


def reconcile(context: JobContext) -> dict[str, Any]:
    """Compare orders, grants, ledger and gateways."""
    from licensing.services import reconciling

    return reconciling.reconcile(check=context.check).to_json()


def run_payouts(_context: JobContext) -> dict[str, Any]:
    """Pay sellers what was available on the day of the month the site pays out."""
    from licensing.services import payouts

    return {"payouts": len(payouts.run_scheduled())}


def pay_out(context: JobContext) -> dict[str, Any]:
    """Have a payout sent by its gateway."""
    from licensing.services import paying_out

    return {"state": paying_out.send(context.claim.job.args["payout_id"])}


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


def make_demos(context: JobContext) -> dict[str, Any]:
    """Let models write on the published prompts."""
    from inference.runners import demos

    return demos.make_demos(context)


def generation_ended(job_id: int) -> None:
    """Tell the person who asked how it ended, when the handler itself could not."""
    from inference.services.endings import settle

    settle(job_id)


def explain(context: JobContext) -> dict[str, Any]:
    """Explain what a model read or wrote."""
    from inference.runners.explaining import run_explanation

    return run_explanation(context, context.claim.job.args["explanation_id"])


def explanation_ended(job_id: int) -> None:
    """Write down that an explanation failed, when the handler itself could not."""
    from inference.services.answering import settle

    settle(job_id)


def evaluate(context: JobContext) -> dict[str, Any]:
    """Measure a model with a suite."""
    from inference.runners.evaluation import run_evaluation

    return run_evaluation(context, context.claim.job.args["run_id"])


def evaluation_ended(job_id: int) -> None:
    """End the run where the handler could not, and let the next one begin."""
    from inference.services.evaluation_queue import settle

    settle(job_id)


HANDLERS: Mapping[JobName, Handler] = {
    JobName.SEND_MAIL: send_mail,
    JobName.SCAN_COMMIT: scan_commit,
    JobName.SWEEP_UPLOADS: sweep_uploads,
    JobName.VERIFY_CLAIM: verify_claim,
    JobName.CONVERT_OBJECT: convert_object,
    JobName.KEEP_WHOLE: keep_whole,
    JobName.COLLECT_GARBAGE: collect_garbage,
    JobName.SPREAD_EVENT: spread_event,
    JobName.DUPLICATE_REPO: duplicate_repo,
    JobName.SEND_ACCESS_LETTER: send_access_letter,
    JobName.MAIL_NOTICE: mail_notice,
    JobName.FORGET_NOTICES: forget_notices,
    JobName.DELIVER_WEBHOOK: deliver_webhook,
    JobName.REFRESH_TRENDS: refresh_trends,
    JobName.FLUSH_VIEWS: flush_views,
    JobName.FLUSH_DOWNLOADS: flush_downloads,
    JobName.REFRESH_DOWNLOADS: refresh_downloads,
    JobName.REFRESH_PRICES: refresh_prices,
    JobName.APPLY_PAYMENT: apply_payment,
    JobName.FULFIL_ORDER: fulfil_order,
    JobName.TELL_SALE: tell_sale,
    JobName.SEND_REFUND: send_refund,
    JobName.RENEW_SUBSCRIPTIONS: renew_subscriptions,
    JobName.SUBSCRIPTION_UNPAID: subscription_unpaid,
    JobName.TELL_GATEWAY: tell_gateway,
    JobName.REMIND_TRANSFERS: remind_transfers,
    JobName.SEND_ORDER_LETTER: send_order_letter,
    JobName.CLOSE_ORDERS: close_orders,
    JobName.RECONCILE: reconcile,
    JobName.RUN_PAYOUTS: run_payouts,
    JobName.PAY_OUT: pay_out,
    JobName.GENERATE: generate,
    JobName.EXPLAIN: explain,
    JobName.EVALUATE: evaluate,
    JobName.MAKE_DEMOS: make_demos,
}

WHEN_ENDED: Mapping[JobName, Callable[[int], None]] = {
    JobName.GENERATE: generation_ended,
    JobName.EXPLAIN: explanation_ended,
    JobName.EVALUATE: evaluation_ended,
    JobName.DELIVER_WEBHOOK: delivery_ended,
}
"""Called with the job's id after each attempt, whatever came of it."""
