"""From a question to its answer."""

from pathlib import Path
from typing import Any

import pytest

from inference.services import streams
from store.core.models import Job
from tests.inference import tiny
from workers.runner import run_job


@pytest.mark.django_db(transaction=True)
def test_greedy_text_is_what_transformers_writes(
    prompted: Any, real_pool: Any, tiny_folder: Path
) -> None:
    run = prompted("Once upon a time", max_new_tokens=24, temperature=0)

    run_job(run.job_id)

    run.refresh_from_db()
    assert run.state == "done", (run.error, Job.objects.get().error)
    assert run.texts == [tiny.greedy(tiny_folder, "Once upon a time", 24)]
    assert streams.transcript(run.public_id).texts == run.texts
    assert run.new_tokens <= 24
