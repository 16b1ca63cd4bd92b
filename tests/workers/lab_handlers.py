"""Loaded by a real worker after Django is up: replaces handlers and shortens waits.

``LAB`` in the environment is JSON: ``folder`` (where handlers leave notes), ``policy`` (changes to
the policy of every job) and ``real`` (names of jobs that keep their real handler).
"""

import json
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from store.core.errors import TransientError
from store.core.jobs import POLICIES, JobName
from store.core.models import CounterBatch
from store.core.work import JobContext
from workers import heartbeat, runner
from workers.handlers import HANDLERS

LAB = json.loads(os.environ["LAB"])
FOLDER = Path(LAB["folder"])


def note(context: JobContext, word: str) -> None:
    """Leave a line: word, job, attempt, process."""
    line = f"{word} {context.claim.job.pk} {context.attempt} {os.getpid()}\n"
    with (FOLDER / "notes").open("a") as file:
        file.write(line)


def work(context: JobContext) -> dict[str, Any]:
    """Do what ``args["what"]`` says."""
    note(context, "start")
    what = context.claim.job.args.get("what", "quick")
    if what == "wait":  # for the file "go", asking often whether to stop
        while not (FOLDER / "go").exists():
            context.check()
            time.sleep(0.02)
    elif what == "deaf":  # never asks
        while not (FOLDER / "never").exists():
            time.sleep(0.02)
    elif what == "shaky" and context.attempt < 3:
        raise TransientError("not yet")
    elif what == "effect":  # something that must happen once
        time.sleep(0.02)
        job = context.claim.job.pk
        with context.claim.writing():  # as every handler does: look first what is there already
            if not CounterBatch.objects.filter(batch__startswith=f"{job}-").exists():
                CounterBatch.objects.create(batch=f"{job}-{os.urandom(6).hex()}")
    elif what == "bug":
        raise ZeroDivisionError
    note(context, "end")
    return {"attempt": context.attempt}


heartbeat.DRAIN_S = 0.3
heartbeat.STUCK_AFTER_S = 0.5
runner.FIRST_RETRY_S = 0.2
for name in JobName:
    changed = replace(POLICIES[name], **LAB["policy"])
    cast("dict[JobName, Any]", POLICIES)[name] = changed
    if name not in LAB["real"]:
        cast("dict[JobName, Any]", HANDLERS)[name] = work
