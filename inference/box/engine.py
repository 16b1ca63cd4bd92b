"""The step loop: every request of a model moves one token further in each step.

Requests join and leave at any step (continuous batching). A long prompt is read in pieces between
the steps of those that are writing, each about as long as such a step, so that it delays nobody by
more than that. Greedy answers equal ``model.generate(do_sample=False)`` token by token, and a
single seeded sequence equals a seeded ``generate``. Neighbors in a batch change the last bits of
scores, as batches do everywhere; a choice follows them only where two tokens are as good as equal.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import combinations

import torch

from inference.box.aside import FAILURES, Aside, refusal_of
from inference.box.asking import Asking
from inference.box.cohort import Cohort, Prompt, are_close, can_fill, read_together
from inference.box.joining import Joining
from inference.box.loading import LoadedModel, RefusedError, not_finite
from inference.box.protocol import ErrorEvent, Event, GenerateRequest
from inference.box.sampling import choose, scores_of
from inference.box.sequences import Running, running_of

MAX_ROWS = 64
"""Sequences at a time; further requests wait for their turn."""
WHOLE_TOKENS = 512
"""Most tokens of a prompt that are read at once while nobody writes."""
_FEWEST_TOKENS = 2
_FIRST_TOKENS = 2
"""Of the first piece beside those who write, before it is known how long one takes."""
_PIECE_STEPS = 1.25
"""How long a piece of a prompt is to take beside those who write, in steps of theirs: no two take
equally long, and none should take more than two."""
_OVER_LEAST = 1.15
"""So many times a short piece may one take where even that is longer: of a small model a pass
takes as long for twenty tokens as for two, and who reads by twos reads a long prompt for ever."""
_WEIGHT = 0.2
"""Of the newest of the times that are averaged."""
_ALONE_S = 0.05
_SHORTEST_S = 0.005


class Engine:
    """Continues any number of prompts side by side. One thread uses it.

    Args:
        loaded: The model.
        is_cancelled: Asked before every step, by request id, whether to end.
    """

    def __init__(self, loaded: LoadedModel, is_cancelled: Callable[[str], bool]) -> None:
        self._loaded = loaded
        self._is_cancelled = is_cancelled
        self._waiting: deque[Running] = deque()
        self._prompts: deque[Prompt] = deque()
        self._cohorts: list[Cohort] = []
        self._step_s = 0.0
        self._piece_tokens = float(_FIRST_TOKENS)
        self._least_s = 0.0
        self._adding_s = 0.0
        self._can_fill = can_fill(loaded)
        self._joining: Joining | None = None
        self._aside = Aside(loaded)
        self.working_on = ""
        """The request whose text is being handled, for the last words of a process."""

    @property
    def is_idle(self) -> bool:
        """Whether there is nothing to do."""
        return not (self._waiting or self._prompts or self._cohorts) and self._aside.is_idle

    def ask(self, request: Asking) -> None:
        """Take a question in; it is worked on between steps, a piece at a time."""
        self._aside.add(request)

    def add(self, request: GenerateRequest) -> None:
        """Take a request in; it begins with a coming step.

        Raises:
            RefusedError: its prompt cannot be read, or leaves no room.
        """
        self.working_on = request.id
        began = time.monotonic()
        self._waiting.append(running_of(self._loaded, request, arrived=began))
        self._adding_s += time.monotonic() - began

    def step(self) -> list[Event]:
        """Do a step: read a piece of a prompt, let every sequence write a token.

        Returns:
            What happened, in order. Each request ends with a ``DoneEvent`` or an ``ErrorEvent``.
        """
        events: list[Event] = []
        with torch.inference_mode():
            self._end_cancelled(events)
            self._admit(events)
            self._join()
            writing = list(self._cohorts)
            self._read(events)
            for cohort in writing or list(self._cohorts):  # who has just been read waits a step
                self._write(cohort, events)
        self._cohorts = [cohort for cohort in self._cohorts if cohort.rows]
        self._work_aside(events)
        return events

    def _work_aside(self, events: list[Event]) -> None:
        """Work on questions for about as long as a step takes; longer while nobody writes."""
        if self._aside.is_idle:
            return
        self.working_on = self._aside.working_on
        is_alone = not (self._waiting or self._prompts or self._cohorts)
        piece_s = _ALONE_S if is_alone else max(_SHORTEST_S, self._step_s)
        events += self._aside.step(piece_s, self._is_cancelled)

    def _all(self) -> Iterator[Running]:
        yield from self._waiting
        yield from (prompt.running for prompt in self._prompts)
        yield from dict.fromkeys(row.running for cohort in self._cohorts for row in cohort.rows)

    def _end_cancelled(self, events: list[Event]) -> None:
        ended = [running for running in self._all() if self._is_cancelled(running.id)]
        for running in ended:
            if running in self._waiting:  # its reader expects a beginning
                events.append(running.started())
            events += [answer.end("cancelled") for answer in running.open_answers]
            events.append(running.done())
        if ended:
            self._forget_ended()

    def _forget_ended(self) -> None:
        self._waiting = deque(each for each in self._waiting if each.open_answers)
        self._prompts = deque(each for each in self._prompts if each.running.open_answers)
        for cohort in self._cohorts:
            cohort.drop_ended()
        self._cohorts = [cohort for cohort in self._cohorts if cohort.rows]

    def _admit(self, events: list[Event]) -> None:
        rows = sum(len(cohort.rows) for cohort in self._cohorts)
        rows += sum(len(prompt.running.answers) for prompt in self._prompts)
        while self._waiting:
            wanted = len(self._waiting[0].answers)
            if rows and rows + wanted > MAX_ROWS:
                return
            running = self._waiting.popleft()
            rows += wanted
            events.append(running.started())
            self._prompts.append(Prompt(running))

    def _read(self, events: list[Event]) -> None:
        """Read prompts, the oldest first, for about as long as a step of those who write takes.

        To cut a long one into tokens takes its time too: there may be none left in this step.
        """
        adding_s, self._adding_s = self._adding_s, 0.0
        if self._cohorts and adding_s > self._step_s / 2:
            return
        began = time.monotonic()
        while self._prompts:
            together = self._short_prompts()
            if len(together) > 1:
                self._read_together(together, events)
            else:
                self._read_piece(self._prompts[0], events)
            is_halfway = bool(self._prompts) and self._prompts[0].is_begun
            if is_halfway or time.monotonic() - began >= self._step_s:
                return

    def _short_prompts(self) -> list[Prompt]:
        """Return the oldest prompts, as many as one piece holds when the others are filled up."""
        most = self._most_tokens
        found: list[Prompt] = []
        for prompt in self._prompts:
            lengths = [each.tokens for each in (*found, prompt)]
            is_short = max(lengths) * len(lengths) <= most and are_close(lengths)
            if prompt.is_begun or prompt.is_apart or not is_short:
                break
            found.append(prompt)
        return found if self._can_fill else []

    def _read_together(self, prompts: list[Prompt], events: list[Event]) -> None:
        """Read several short prompts in one pass. What fails together is read one by one."""
        began = time.monotonic()
        try:
            cohort = read_together(prompts)
        except FAILURES:
            for prompt in prompts:
                prompt.is_apart = True
            return
        for _ in prompts:
            self._prompts.popleft()
        self._learn(cohort.tokens * len(prompts), time.monotonic() - began)
        self._enter(cohort, events)

    def _read_piece(self, prompt: Prompt, events: list[Event]) -> None:
        began = time.monotonic()
        with self._failing(prompt.running, events):
            tokens = prompt.read(self._most_tokens)
            self._learn(tokens, time.monotonic() - began)
            if not prompt.is_read:
                return
            self._enter(prompt.cohort(), events)
        self._prompts.popleft()

    @property
    def _most_tokens(self) -> int:
        """How many tokens are read at once."""
        return int(self._piece_tokens) if self._cohorts else WHOLE_TOKENS

    def _learn(self, tokens: int, took_s: float) -> None:
        """Let the next piece take as long as it may beside those who write.

        A short piece takes as long as one a little longer: it is no reason for longer ones. One
        that was quick by luck is followed by one that is longer by half of what seems possible.
        """
        if not (self._cohorts and self._step_s):
            return
        self._learn_least(tokens, took_s)
        most_s = max(self._step_s * _PIECE_STEPS, self._least_s * _OVER_LEAST)
        if tokens * 2 >= self._piece_tokens or took_s > most_s:
            ratio = min(3.0, max(0.5, most_s / took_s))
            wanted = self._piece_tokens * (ratio if ratio < 1 else (1 + ratio) / 2)
            self._piece_tokens = max(_FEWEST_TOKENS, min(WHOLE_TOKENS, wanted))

    def _learn_least(self, tokens: int, took_s: float) -> None:
        """Note how long a short piece takes, on average: one that is quick by luck says little."""
        least_s = self._least_s or took_s
        if tokens <= _FEWEST_TOKENS or took_s < least_s:
            least_s += _WEIGHT * (took_s - least_s)
        self._least_s = least_s

    def _enter(self, cohort: Cohort, events: list[Event]) -> None:
        self._refuse_bad_scores(cohort, events)
        if cohort.rows:
            self._cohorts.append(cohort)

    def _join(self) -> None:
        """Join cohorts for about half a step, however much there is to copy."""
        began = time.monotonic()
        while joining := self._joining or self._next_joining():
            self._joining = joining if joining.is_on(self._cohorts) else None
            if self._joining and joining.advance():
                self._joining = None
                if joining.finish():
                    self._cohorts.remove(joining.both[1])
            if time.monotonic() - began >= self._step_s / 2:
                return

    def _next_joining(self) -> Joining | None:
        for first, second in combinations(self._cohorts, 2):
            if first.can_join(second):
                return Joining(first, second)
        return None

    def _write(self, cohort: Cohort, events: list[Event]) -> None:
        """Choose a token for each row, and run those that go on one further."""
        chosen = choose(cohort.rows, cohort.logits)
        scores = scores_of(cohort.rows, cohort.logits, chosen)
        for row, token_id, its_scores in zip(cohort.rows, chosen, scores, strict=True):
            running = row.running
            if row.reason is not None:  # a neighbor's failure has ended the whole request
                continue
            self.working_on = running.id
            running.first_token_s = running.first_token_s or time.monotonic() - running.arrived
            with self._failing(running, events):
                events += row.take(token_id, its_scores)
                if not running.open_answers:
                    events.append(running.done())
        cohort.drop_ended()
        if cohort.rows:
            self._run(cohort, events)

    def _run(self, cohort: Cohort, events: list[Event]) -> None:
        """Run a cohort one token further. What fails together is tried again one by one."""
        began = time.monotonic()
        try:
            cohort.forward()
        except FAILURES as exc:
            if cohort.is_of_one:
                self._fail(cohort.rows[0].running, exc, events)
                cohort.drop_ended()
            else:
                self._run_apart(cohort, events)
            return
        self._step_s = _averaged(self._step_s, time.monotonic() - began)
        self._refuse_bad_scores(cohort, events)

    def _run_apart(self, cohort: Cohort, events: list[Event]) -> None:
        parts = cohort.split()
        self._cohorts.remove(cohort)
        self._cohorts += parts
        for part in parts:
            self._run(part, events)

    def _refuse_bad_scores(self, cohort: Cohort, events: list[Event]) -> None:
        bad = cohort.logits.isnan().any(dim=-1)
        if not bad.any():
            return
        for row in [row for row, is_bad in zip(cohort.rows, bad.tolist(), strict=True) if is_bad]:
            if row.reason is None:
                self._fail(row.running, not_finite(), events)
        cohort.drop_ended()

    @contextmanager
    def _failing(self, running: Running, events: list[Event]) -> Iterator[None]:
        """Let a failure end this request and nothing else."""
        try:
            yield
        except (RefusedError, *FAILURES) as exc:
            self._fail(running, exc, events)

    def _fail(self, running: Running, exc: Exception, events: list[Event]) -> None:
        refusal = refusal_of(exc)
        events.append(ErrorEvent(id=running.id, code=refusal.code, message=refusal.message))
        for answer in running.answers:
            answer.reason = answer.reason or "cancelled"


def _averaged(before: float, newest: float) -> float:
    return newest if not before else before + _WEIGHT * (newest - before)
