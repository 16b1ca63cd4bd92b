"""Webhooks in the administration: staff look, and switch off; secrets stay sealed."""

from collections.abc import Callable

from django.test import Client

from accounts.models import AuditEvent, User
from catalog.models import Webhook
from catalog.services.webhooks import signing
from tests.catalog.webhooks.conftest import hook


def test_staff_switch_off_and_see_no_secrets(
    alice: User, staff: User, browser_of: Callable[[User], Client]
) -> None:
    webhook = hook(alice, "https://hooks.example.org/in", secret="the-word")
    [key] = signing.secrets_of(webhook).keys
    browser = browser_of(staff)
    page = f"/admin/catalog/webhook/{webhook.pk}/change/"

    shown = browser.get(page).content.decode()
    browser.post(page, {"disabled_for": "owner"})

    assert "https://hooks.example.org/in" in shown
    assert key not in shown
    assert webhook.sealed_key not in shown
    assert Webhook.objects.get().disabled_for == "owner"
    assert Webhook.objects.get().url == "https://hooks.example.org/in"
    assert AuditEvent.objects.filter(actor=staff, action__startswith="admin.").exists()
    assert browser.get("/admin/catalog/webhook/add/").status_code == 403
    assert browser.get("/admin/catalog/webhook/").status_code == 200
