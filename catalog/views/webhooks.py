"""Pages of a person's webhooks: what they are, what they were told, telling it again."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.forms import refuse
from accounts.models import User
from accounts.views.guards import personal, viewer_of
from catalog.models import Webhook, WebhookDelivery
from catalog.services.webhooks import managing, replaying
from catalog.services.webhooks.managing import Wish
from catalog.webhook_forms import EditWebhookForm, WebhookForm
from store.core.errors import NotFoundError, StoreError

DELIVERIES_PAGE = 30
LIST = "/settings/webhooks"
VERIFY = """from standardwebhooks import Webhook

event = Webhook(SIGNING_KEY).verify(body, headers)  # raises what is not ours"""


@require_safe
@personal
def list_page(request: HttpRequest, user: User) -> HttpResponse:
    """Show all webhooks."""
    context = {"webhooks": managing.webhooks_of(viewer_of(request)), "section": "webhooks"}
    return render(request, "catalog/webhooks.html", context)


@sensitive_variables("key", "values")
@sensitive_post_parameters("secret")
@require_http_methods(["GET", "HEAD", "POST"])
@personal
def new_page(request: HttpRequest, user: User) -> HttpResponse:
    """Make a webhook; its key stands in this answer and nowhere else."""
    form = WebhookForm(request.POST or None, initial={"watched": request.GET.get("watch", "")})
    status = 200
    if form.is_valid():
        values = form.cleaned_data
        wish = Wish(values["url"], values["watched"], values["domains"], values["secret"])
        try:
            made, key = managing.create(viewer_of(request), wish)
        except StoreError as error:
            refuse(form, error)
        else:
            return _show(request, made, status=201, key=key)
    if form.errors:
        status = 400
    context = {"form": form, "webhook": None, "section": "webhooks"}
    return render(request, "catalog/webhook_form.html", context, status=status)


@sensitive_variables("values")
@sensitive_post_parameters("secret")
@require_http_methods(["GET", "HEAD", "POST"])
@personal
def edit_page(request: HttpRequest, user: User, ident: str) -> HttpResponse:
    """Change a webhook."""
    viewer = viewer_of(request)
    webhook = managing.webhook_for(viewer, ident)
    form, status = EditWebhookForm(request.POST or None, webhook=webhook), 200
    if form.is_valid():
        values = form.cleaned_data
        secret = "" if values.get("removes_secret") else values["secret"] or None
        wish = Wish(values["url"], values["watched"], values["domains"], secret)
        try:
            managing.update(viewer, webhook, wish)
        except StoreError as error:
            refuse(form, error)
        else:
            messages.success(request, _("The webhook is changed."))
            return redirect(webhook)
    if form.errors:
        status = 400
    context = {"form": form, "webhook": webhook, "section": "webhooks"}
    return render(request, "catalog/webhook_form.html", context, status=status)


@require_safe
@personal
def webhook_page(request: HttpRequest, user: User, ident: str) -> HttpResponse:
    """Show a webhook, how it fares, and what it was told."""
    return _show(request, managing.webhook_for(viewer_of(request), ident))


@sensitive_variables("key")
@require_POST
@personal
def act_page(request: HttpRequest, user: User, ident: str, act: str) -> HttpResponse:
    """Do one thing to a webhook: test, enable, disable, key, delete."""
    viewer = viewer_of(request)
    webhook = managing.webhook_for(viewer, ident)
    if act == "test":
        return redirect(_address(replaying.send_test(viewer, webhook)))
    if act == "key":
        renewed, key = managing.renew_key(viewer, webhook)
        return _show(request, renewed, status=201, key=key)
    if act == "delete":
        managing.delete(viewer, webhook)
        messages.success(request, _("The webhook is deleted."))
        return redirect(LIST)
    if act not in {"enable", "disable"}:
        raise NotFoundError(_("There is nothing here."))
    managing.set_enabled(viewer, webhook, is_enabled=act == "enable")
    words = {"enable": _("The webhook is on."), "disable": _("The webhook is off.")}
    messages.success(request, words[act])
    return redirect(webhook)


@require_safe
@personal
def delivery_page(request: HttpRequest, user: User, ident: str, delivery: str) -> HttpResponse:
    """Show what was sent, and how each attempt went."""
    webhook = managing.webhook_for(viewer_of(request), ident)
    found = replaying.delivery_of(webhook, delivery)
    context = {
        "webhook": webhook,
        "delivery": found,
        "attempts": list(found.attempts.all()),
        "payload": replaying.payload_of(found),
        "section": "webhooks",
    }
    return render(request, "catalog/webhook_delivery.html", context)


@require_POST
@personal
def replay_page(request: HttpRequest, user: User, ident: str, delivery: str) -> HttpResponse:
    """Send a delivery again."""
    viewer = viewer_of(request)
    found = replaying.delivery_of(managing.webhook_for(viewer, ident), delivery)
    return redirect(_address(replaying.replay(viewer, found)))


@sensitive_variables("key")
def _show(
    request: HttpRequest, webhook: Webhook, *, status: int = 200, key: str = ""
) -> HttpResponse:
    context: dict[str, Any] = {"webhook": webhook, "key": key, "section": "webhooks"}
    context["verify_code"] = VERIFY
    context |= _deliveries(webhook, request.GET.get("before", ""))
    return render(request, "catalog/webhook.html", context, status=status)


def _deliveries(webhook: Webhook, before: str) -> dict[str, Any]:
    """Return one page of deliveries, newest first, and the way to older ones."""
    rows = webhook.deliveries.prefetch_related("attempts").order_by("-pk")
    if before.isascii() and before.isdigit() and len(before) < 19:
        rows = rows.filter(pk__lt=int(before))
    shown = list(rows[: DELIVERIES_PAGE + 1])
    has_more = len(shown) > DELIVERIES_PAGE
    shown = shown[:DELIVERIES_PAGE]
    return {
        "deliveries": shown,
        "next_href": f"?before={shown[-1].pk}" if has_more else "",
        "newest_href": "?" if before else "",
    }


def _address(delivery: WebhookDelivery) -> str:
    return f"{delivery.webhook.get_absolute_url()}/deliveries/{delivery.public_id}"
