"""``manage.py make_demos``: demo generations of models that have none of the present set yet."""

from typing import Any

from django.core.management.base import BaseCommand

from catalog.models import Listing
from inference.services import demos


class Command(BaseCommand):
    """Asks for them; workers write them while nobody waits for a model."""

    help = "Ask for the demo generations every newest revision lacks, after the set has changed."

    def handle(self, *args: Any, **options: Any) -> None:
        rows = Listing.objects.exclude(head_oid="").order_by("pk")
        planned = [demos.plan_head(pk) for pk in rows.values_list("pk", flat=True).iterator()]
        self.stdout.write(
            f"{sum(planned)} texts of {sum(map(bool, planned))} models are asked for."
        )
