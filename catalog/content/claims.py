"""Verifying what was too large to verify while the client waited; the job of that name."""

import hashlib
from collections.abc import Callable
from typing import Any

from django.db import transaction

from catalog.content.ownership import grant
from catalog.content.reading import cooked
from catalog.content.recipes import Recipe
from catalog.models import XetClaim

_LOOK_UP_EVERY_BYTES = 64 * 1024**2


def verify_claim(claim_id: int, report: Callable[[float], None]) -> dict[str, Any]:
    """Read a claimed file and make it an object of its repository, or mark the claim false.

    Safe to repeat. ``report`` hears the progress, 0 to 1, and may raise to stop.
    """
    claim = XetClaim.objects.select_related("file", "repo__namespace", "user", "charged_to")
    found = claim.filter(pk=claim_id, is_false=False).first()
    if found is None:  # verified, or its repository went
        return {"verified": 0}
    recipe = Recipe.from_bytes(bytes(found.file.terms))
    digest, done, told = hashlib.sha256(), 0, 0
    for piece in cooked(recipe, 0, recipe.size_bytes):
        digest.update(piece)
        done += len(piece)
        if done - told >= _LOOK_UP_EVERY_BYTES:
            told = done
            report(done / recipe.size_bytes)
    is_true = _settle(found, digest.hexdigest())
    return {"verified": 1, "is_true": is_true, "repo_id": found.repo_id}


@transaction.atomic
def _settle(claim: XetClaim, sha256: str) -> bool:
    # Who pays may have changed while the content was read: by a merge, or a move.
    held = XetClaim.objects.select_for_update().filter(pk=claim.pk).first()
    if sha256 != claim.sha256:
        XetClaim.objects.filter(pk=claim.pk).update(is_false=True)
        return False
    if held is not None:
        grant(
            claim.repo,
            sha256,
            claim.file.size_bytes,
            by=claim.user,
            charged_to=held.charged_to,
            xet_file=claim.file,
        )  # which ends the claim, and what others claimed
    return True
