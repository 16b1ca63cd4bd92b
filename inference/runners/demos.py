"""The job that writes demo generations: one at a time, and only while nobody waits for a model."""

import time
from typing import Any

from inference.box.params import SamplingParams
from inference.box.protocol import DoneEvent, EndedEvent, StartedEvent, TokenEvent
from inference.engines.base import Generator
from inference.engines.choosing import engine_for
from inference.models import DemoGeneration
from inference.runners import generation, people
from inference.services import demos
from store.core.database import hand_back_connection
from store.core.errors import StoreError, TransientError
from store.core.jobs import LeaseLostError
from store.core.models import Job
from store.core.queues import Priority
from store.core.work import JobContext, JobStoppedError, JobYieldedError

LOOK_EVERY_S = 0.5
"""How soon it notices that a person asks for something, in seconds."""


def make_demos(context: JobContext) -> dict[str, Any]:
    """Write the demo generations that wait for the job's hardware class, oldest first.

    Idempotent: each is written down once, whoever comes first. Leaves within ``LOOK_EVERY_S`` when
    a person's run comes, even in mid-text, and begins that text anew later.

    Raises:
        TransientError: not now; what is done stays done.
        JobYieldedError: people need the worker.
        JobStoppedError: the worker must leave.
    """
    done = failed = 0
    while True:
        _let_people_go_first(context)
        row = demos.next_waiting(context.claim.job.args["hardware"])
        if row is None:
            return {"done": done, "failed": failed}
        try:
            facts = _Attempt(context, row).run()
        except (JobStoppedError, LeaseLostError):
            demos.put_back(row)
            raise
        except TransientError as error:
            if row.attempts < demos.MAX_ATTEMPTS:
                raise
            failed += _fail(context, row, error)
        except StoreError as error:
            failed += _fail(context, row, error)
        else:
            if facts is None:
                demos.put_back(row)
                continue
            with context.claim.writing():
                done += demos.finish(row, **facts)


def _fail(context: JobContext, row: DemoGeneration, error: StoreError) -> bool:
    context.report(line=f"{row.repo.full_name} {row.prompt_key}/{row.way}: {error.message}")
    with context.claim.writing():
        return demos.fail(row, code=error.code, message=error.message)


def people_ask(queue: str) -> bool:
    """Whether anybody's work waits in a queue, or is done; the store's own does not count."""
    jobs = Job.objects.filter(queue=queue, priority__lt=Priority.STORE)
    return jobs.filter(people.waiting() | people.running()).exists()


def _let_people_go_first(context: JobContext) -> None:
    """Leave while people want the workers of this queue: this one may be the only one."""
    context.check()
    if people_ask(context.claim.job.queue):
        raise JobYieldedError(people.YIELD_S)


class _Attempt:
    """One try at one text."""

    def __init__(self, context: JobContext, row: DemoGeneration) -> None:
        self.context = context
        self.row = row
        self.params = SamplingParams.model_validate(row.params)
        self.name = f"demo-{row.pk}-{row.attempts}"
        self.gives_way = False
        self._looked = time.monotonic()

    def run(self) -> dict[str, Any] | None:
        """Return the facts of the finished text; ``None``: it gave way to a person."""
        engine = engine_for(self.row, generation.box_pool())
        with engine.ready(self.row, alone=False, check=self.context.check) as model:
            facts = self._write(model)
        if self.context.should_stop():
            raise JobStoppedError("The worker was told to stop this job.")
        return None if self.gives_way else facts

    def _write(self, model: Generator) -> dict[str, Any]:
        pieces: list[str] = []
        facts: dict[str, Any] = {"finish_reason": "", "prompt_tokens": 0, "new_tokens": 0}
        for event in model.generate(self.row.prompt, self.params, request_id=self.name):
            if isinstance(event, StartedEvent):
                facts["prompt_tokens"] = event.prompt_tokens
            elif isinstance(event, TokenEvent):
                facts["new_tokens"] += 1
                pieces.append(event.text)
                self._look(model)
            elif isinstance(event, EndedEvent):
                is_cut = event.finish_reason == "cancelled"
                facts["finish_reason"] = generation.OUT_OF_TIME if is_cut else event.finish_reason
                pieces.append(event.text)
            elif isinstance(event, DoneEvent):
                facts["generate_s"] = event.generate_s
                facts["prompt_tokens"] = event.prompt_tokens  # servers elsewhere say it only now
                facts["new_tokens"] = event.new_tokens
        return {"generate_s": None} | facts | {"text": "".join(pieces)}

    def _look(self, model: Generator) -> None:
        """End the text early where it must give way."""
        now = time.monotonic()
        if self.gives_way or now - self._looked < LOOK_EVERY_S:
            return
        self._looked = now
        if self.context.should_stop() or people_ask(self.context.claim.job.queue):
            self.gives_way = True
            model.cancel(self.name)
        hand_back_connection()
