"""The job that lets a model write: files, box, stream, row."""

import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.utils import timezone

from inference.box.beam_messages import BeamStepEvent
from inference.box.client import Box
from inference.box.conversation import TokenPrompt
from inference.box.errors import ModelRefusedError
from inference.box.footprint import Footprint
from inference.box.limits import BoxLimits
from inference.box.params import SamplingParams
from inference.box.pool import BoxPool
from inference.box.protocol import DoneEvent, EndedEvent, StartedEvent, TokenEvent
from inference.box.spares import WarmStarter
from inference.engines.base import Generator
from inference.engines.choosing import engine_for
from inference.models import GenerationRun
from inference.runners.cards import card
from inference.runners.writer import StreamWriter
from inference.services import endings
from inference.services.endings import Outcome
from inference.services.runs import prompted_of
from inference.services.told import Told, told, told_back
from store.core.database import hand_back_connection
from store.core.work import JobContext, JobStoppedError

OUT_OF_TIME = "time_limit"
"""Finish reason of a text that was cut off because the run took too long."""
_CARD_SHARE = 0.9
"""Of a card's memory for resident models; the rest is for what they compute in."""
_CANCELLED = "cancelled"
"""What the box calls whatever was not let go on."""


def run_generation(context: JobContext, run_id: int) -> dict[str, Any]:
    """Do one generation. Idempotent: a run that has ended is left alone.

    Raises:
        NotRunnableError, ModelRefusedError, BoxError: it cannot be done, and why.
        TransientError: not now.
        JobStoppedError: somebody stopped it, or the worker must leave.
    """
    run = GenerationRun.objects.select_related("repo__namespace").filter(pk=run_id).first()
    if run is None or run.has_ended:
        return {"state": run.state if run else "deleted"}
    _begin(context, run)
    attempt = _Attempt(context, run)
    try:
        outcome = attempt.run()
    except ModelRefusedError as error:  # the reason says more than the job's code
        with context.claim.writing():
            endings.end(run.pk, attempt.refused(error))
        raise
    with context.claim.writing():
        endings.end(run.pk, outcome)
        context.report(tokens=outcome.new_tokens)
    return {"new_tokens": outcome.new_tokens, "finish_reasons": outcome.finish_reasons}


@lru_cache(maxsize=1)
def box_pool() -> BoxPool:
    """Return this process's models in memory."""
    env = settings.ENV
    limits = BoxLimits(
        memory_bytes=env.box_memory_bytes,
        generate_s=env.generation_timeout_s,
        allow_unprotected=env.allow_unprotected_box,
    )
    found = card()
    return BoxPool(
        budget=Footprint(
            env.model_memory_bytes, int(found.memory_bytes * _CARD_SHARE) if found else 0
        ),
        limits=limits,
        wait_s=env.generation_timeout_s,
        starter=WarmStarter(limits) if env.spare_box else Box.start,
    )


def _begin(context: JobContext, run: GenerationRun) -> None:
    """Mark the run as running, unless it was stopped this moment."""
    with context.claim.writing():
        is_open = GenerationRun.objects.filter(pk=run.pk, state__in=GenerationRun.OPEN).update(
            state=GenerationRun.State.RUNNING, started_at=timezone.now()
        )
    if not is_open:
        raise JobStoppedError("The run was stopped before it began.")


class _Attempt:
    """One try at one run; collects what the box says."""

    def __init__(self, context: JobContext, run: GenerationRun) -> None:
        self.context = context
        self.run_row = run
        self.params = SamplingParams.model_validate(run.params)
        self.texts = [""] * self.params.num_sequences
        self.finish_reasons = [""] * self.params.num_sequences
        self.tokens: list[list[Told]] = [[] for _ in self.texts]
        self.new_tokens = 0
        self.prompt_tokens = 0
        self.load_s = 0.0
        self.echo_s = 0.0
        self.done: DoneEvent | None = None
        self._started = time.monotonic()

    def run(self) -> Outcome:
        """Make the model ready, generate."""
        run = self.run_row
        writer = StreamWriter(run.public_id, self.context.attempt, must_end=self._must_end)
        with writer:
            if self.context.attempt > 1:
                writer.put("restart")
            check = self._checker(writer)
            alone = self.context.attempt > 1  # the first may have failed by a neighbor's fault
            engine = engine_for(run, box_pool())
            with engine.ready(run, alone=alone, check=check) as model:
                self.load_s = time.monotonic() - self._started
                self._echo(model, writer)
                if not self.params.score_only:
                    self._generate(model, writer)
            if writer.is_stop_asked or self.context.should_stop():
                raise JobStoppedError("The run was stopped.")
        return self._outcome()

    def refused(self, error: ModelRefusedError) -> Outcome:
        """Return the outcome of a run the model, or its tokenizer or template, does not do."""
        code, words = error.reason, error.message
        if code == _CANCELLED and self._is_out_of_time():  # while it read the prompt
            code = OUT_OF_TIME
            words = f"This took longer than {settings.ENV.generation_timeout_s} seconds."
        return Outcome(
            state=GenerationRun.State.FAILED,
            texts=self.texts if any(self.texts) else [],
            prompt_tokens=self.prompt_tokens,
            new_tokens=self.new_tokens,
            error_code=code,
            error=words,
        )

    def _checker(self, writer: StreamWriter) -> Callable[[], None]:
        def check() -> None:
            self.context.check()
            if writer.is_stop_asked:
                raise JobStoppedError("The run was stopped.")

        return check

    def _must_end(self) -> bool:
        return self.context.should_stop() or self._is_out_of_time()

    def _is_out_of_time(self) -> bool:
        return time.monotonic() - self._started > settings.ENV.generation_timeout_s

    def _echo(self, model: Generator, writer: StreamWriter) -> None:
        """Write down what the prompt says token by token, where that was asked for or is not known.

        It stands in the row before the answer begins.
        """
        asked, top = prompted_of(self.run_row), self.params.prompt_logprobs
        if not isinstance(asked, TokenPrompt) and (top is None or not isinstance(asked, str)):
            return
        name = f"{self.run_row.public_id}-{self.context.attempt}-echo"
        writer.when_it_must_end(lambda: model.cancel(name))
        began = time.monotonic()
        tokens = [told_back(token) for token in model.echo(asked, top=top, request_id=name)]
        self.echo_s, self.prompt_tokens = time.monotonic() - began, len(tokens)
        kept: dict[str, Any] = {"prompt_told": [] if top is None else tokens}
        if isinstance(asked, TokenPrompt):
            kept["prompt"] = "".join(token["text"] for token in tokens)
        with self.context.claim.writing():
            GenerationRun.objects.filter(pk=self.run_row.pk).update(**kept)
        hand_back_connection()

    def _generate(self, model: Generator, writer: StreamWriter) -> None:
        name = f"{self.run_row.public_id}-{self.context.attempt}"
        writer.when_it_must_end(lambda: model.cancel(name))
        for event in model.generate(prompted_of(self.run_row), self.params, request_id=name):
            if isinstance(event, StartedEvent):
                self.prompt_tokens = event.prompt_tokens
                writer.put("start", prompt_tokens=event.prompt_tokens, load_s=self.load_s)
            elif isinstance(event, BeamStepEvent):  # no text yet, but it costs tokens
                self.new_tokens = event.new_tokens
                writer.add(0, "", new_tokens=self.new_tokens)
            elif isinstance(event, TokenEvent):
                self.new_tokens += self.params.num_beams == 1
                self._append(writer, event.sequence, event.text, told(event))
            elif isinstance(event, EndedEvent):
                self.finish_reasons[event.sequence] = event.finish_reason
                self._append(writer, event.sequence, event.text)
            else:
                self.done = event
                self.prompt_tokens, self.new_tokens = event.prompt_tokens, event.new_tokens

    def _append(
        self, writer: StreamWriter, sequence: int, text: str, token: Told | None = None
    ) -> None:
        self.texts[sequence] += text
        if token is not None:
            self.tokens[sequence].append(token)
        writer.add(sequence, text, new_tokens=self.new_tokens, token=token)

    def _outcome(self) -> Outcome:
        if self.params.score_only:  # it has all the length it was given
            self.finish_reasons = ["length"]
        reasons = [
            OUT_OF_TIME if reason == _CANCELLED else reason for reason in self.finish_reasons
        ]
        return Outcome(
            state=GenerationRun.State.DONE,
            texts=self.texts,
            finish_reasons=reasons,
            tokens=self.tokens if self.params.logprobs is not None else [],
            prompt_tokens=self.prompt_tokens,
            new_tokens=self.new_tokens,
            load_s=round(self.load_s, 3),
            first_token_s=self.done.first_token_s if self.done else None,
            generate_s=self.done.generate_s if self.done else self.echo_s or None,
            memory_bytes=self.done.rss_bytes if self.done else 0,
        )
