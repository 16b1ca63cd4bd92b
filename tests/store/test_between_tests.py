"""What the tests' own furniture promises: a test with real transactions leaves nothing behind."""

import pytest
from django.apps import apps
from django.contrib.auth.models import Permission
from django.contrib.contenttypes.models import ContentType
from django.core.management import call_command

from catalog.models import ListingChange
from licensing.models import LedgerEntry, Order
from tests.licensing.selling.shop import open_shop

KEPT = {ContentType, Permission}
"""What migrations leave."""


@pytest.mark.django_db(transaction=True)
def test_a_flush_deletes_every_row_even_what_triggers_keep() -> None:
    shop = open_shop()
    shop.buy()
    assert LedgerEntry.objects.exists()
    before = {model: model._default_manager.count() for model in KEPT}
    assert all(before.values())

    call_command("flush", verbosity=0, interactive=False)

    left = {model for model in apps.get_models() if model._default_manager.exists()}
    assert left == KEPT | {ListingChange}
    assert ListingChange.objects.get().repo_id == 0  # all processes' sets are read anew
    assert {model: model._default_manager.count() for model in KEPT} == before
    assert open_shop().buy().state == Order.State.FULFILLED


@pytest.mark.django_db
def test_nothing_is_left_of_it() -> None:
    assert not Order.objects.exists()
