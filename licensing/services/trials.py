"""Trying a model before buying it: so many tokens for each person, without its files."""

from django.db import transaction
from django.db.models import F, Max
from django.db.models.functions import Greatest
from django.utils.translation import gettext as _

from catalog.access import PurchaseRequiredError
from catalog.models import ModelRepo
from licensing.models import Offer, TrialUse


class TrialUsedUpError(PurchaseRequiredError):
    """The demo tokens are used, or fewer are left than asked for; ``extra.left`` says how many."""

    code = "trial_used_up"


def allowance(repo: ModelRepo) -> int:
    """Return how many tokens each person may generate before they buy; 0: none."""
    offers = Offer.objects.of_repo(repo).on_sale()
    most: int | None = offers.aggregate(most=Max("trial_tokens"))["most"]
    return most or 0


def left(repo: ModelRepo, asker: str) -> int:
    """Return how many of them one asker has left."""
    used = TrialUse.objects.filter(repo=repo, asker=asker).values_list("tokens", flat=True).first()
    return max(0, allowance(repo) - (used or 0))


@transaction.atomic
def take(repo: ModelRepo, asker: str, tokens: int) -> None:
    """Use tokens, all or none.

    Raises:
        TrialUsedUpError: fewer are left; none are used.
    """
    row, _made = TrialUse.objects.get_or_create(repo=repo, asker=asker)
    row = TrialUse.objects.select_for_update().get(pk=row.pk)
    rest = max(0, allowance(repo) - row.tokens)
    if tokens > rest:
        raise TrialUsedUpError(
            repo,
            _("%(left)d demo tokens of %(model)s are left to you. Ask for fewer, or buy a license.")
            % {"left": rest, "model": repo.full_name},
            left=rest,
        )
    TrialUse.objects.filter(pk=row.pk).update(tokens=F("tokens") + tokens)


def give_back(repo_id: int, asker: str, tokens: int) -> None:
    """Return tokens that were taken and not generated."""
    if tokens > 0:
        rows = TrialUse.objects.filter(repo_id=repo_id, asker=asker)
        rows.update(tokens=Greatest(F("tokens") - tokens, 0))
