"""What generations used: one record for each that has ended, and sums of them."""

from django.utils import timezone

from inference.models import GenerationRun, UsageRecord


def record(run: GenerationRun, *, trial_tokens: int) -> UsageRecord:
    """Write what an ended run used; inside the transaction that ends it, so exactly once.

    Args:
        run: As it ended.
        trial_tokens: How many of its new tokens were demo tokens.
    """
    began, ended = run.started_at, run.finished_at or timezone.now()
    return UsageRecord.objects.create(
        run=run.public_id,
        user_id=run.user_id,
        payer=run.payer or run.asker,
        organization_id=run.organization_id,
        license_id=run.license_id,
        repo_id=run.repo_id,
        model=run.repo.full_name,
        commit_oid=run.commit_oid,
        state=run.state,
        prompt_tokens=run.prompt_tokens,
        new_tokens=run.new_tokens,
        trial_tokens=trial_tokens,
        seconds=max(0.0, (ended - began).total_seconds()) if began else 0.0,
        memory_bytes=run.memory_bytes,
        finished_at=ended,
    )
