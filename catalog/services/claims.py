"""After a claimed file is verified, or found false, the verdicts that waited for it."""

from collections.abc import Callable
from typing import Any

from catalog.content.claims import verify_claim
from catalog.content.ownership import WRONG_SHA256, Standing, standing
from catalog.history.refs import DEFAULT_BRANCH, HEADS
from catalog.history.trees import Entry
from catalog.models import FileScan, ModelRepo, Ref
from store.core.jobs import JobName, enqueue

_WRONG = "Its content is not what its sha256 says. Upload the file again."


def scan_of_claim(repo: ModelRepo, entry: Entry) -> dict[str, str] | None:
    """Return what a verdict on a file says that rests on a claim; ``None``: look at its bytes.

    Until its claim is verified it waits, and the verification asks for the verdict again.
    """
    known = Standing.VERIFIED if entry.lfs is None else standing(repo, entry.lfs.sha256)
    if known is Standing.CLAIMED:
        return {"verdict": FileScan.Verdict.PENDING}
    if known is Standing.FALSE:
        return {"verdict": FileScan.Verdict.ERROR, "code": WRONG_SHA256, "reason": _WRONG}
    return None


def verify(claim_id: int, report: Callable[[float], None]) -> dict[str, Any]:
    """Verify a claim, then let the files that name it be judged; the job of that name."""
    result = verify_claim(claim_id, report)
    repo_id = result.pop("repo_id", None)
    head = Ref.objects.filter(repo=repo_id, name=HEADS + DEFAULT_BRANCH).first()
    if head is not None:
        enqueue(JobName.SCAN_COMMIT, repo_id=head.repo_id, commit_oid=head.commit_oid)
    return result
