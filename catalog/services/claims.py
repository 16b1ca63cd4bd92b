"""After a claimed file is verified, or found false, the verdicts that waited for it."""

from collections.abc import Callable
from typing import Any

from catalog.content.claims import verify_claim
from catalog.history.refs import DEFAULT_BRANCH, HEADS
from catalog.models import Ref
from store.core.jobs import JobName, enqueue


def verify(claim_id: int, report: Callable[[float], None]) -> dict[str, Any]:
    """Verify a claim, then let the files that name it be judged; the job of that name."""
    result = verify_claim(claim_id, report)
    repo_id = result.pop("repo_id", None)
    head = Ref.objects.filter(repo=repo_id, name=HEADS + DEFAULT_BRANCH).first()
    if head is not None:
        enqueue(JobName.SCAN_COMMIT, repo_id=head.repo_id, commit_oid=head.commit_oid)
    return result
