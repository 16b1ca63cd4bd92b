"""What a new revision means for the listing: verdicts, facts, card, search."""

from catalog.history.commits import Written
from catalog.history.refs import DEFAULT_BRANCH, HEADS, PULLS
from catalog.models import FileScan, ModelRepo
from catalog.services.listings import rebuild_listing
from catalog.services.scanning import adopt_paths, judge_paths
from store.core.jobs import JobName, enqueue

MAIN = HEADS + DEFAULT_BRANCH


def index_revision(repo: ModelRepo, written: Written, *, ref_name: str = MAIN) -> None:
    """Judge what the commit changed and, on the default branch, rebuild the listing.

    Runs inside the commit's transaction, with bounded work. Files that need a longer look stay
    ``pending`` and are not handed out until the job has judged them.
    """
    changed = [change.path for change in written.changes if change.new is not None]
    is_proposed = ref_name.startswith(PULLS)
    judge_paths(repo, written.commit.oid, changed, is_proposed=is_proposed)
    if not is_proposed and FileScan.objects.filter(repo=repo, is_proposed=True).exists():
        adopt_paths(repo, written.commit.oid, changed)
    if ref_name == MAIN:
        rebuild_listing(repo, written.commit)
    if FileScan.objects.filter(repo=repo, verdict=FileScan.Verdict.PENDING).exists():
        enqueue(
            JobName.SCAN_COMMIT,
            key=f"{repo.pk}:{written.commit.oid}",
            repo_id=repo.pk,
            commit_oid=written.commit.oid,
        )
