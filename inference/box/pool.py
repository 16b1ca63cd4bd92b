"""Keeps boxes resident between requests, within a budget of memory and number."""

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from inference.box.client import Box
from inference.box.errors import (
    BoxBusyError,
    BoxError,
    BoxLostError,
    BoxParkedError,
    BoxProtectionError,
)
from inference.box.footprint import Footprint, guessed, measured, total
from inference.box.limits import GIB, BoxLimits
from inference.box.turns import Turns

_BUDGET = Footprint(6 * GIB)
_FRESH = itertools.count(1)
"""Names the places of boxes that nobody shares."""


class Starter(Protocol):
    """How the pool makes boxes; :meth:`Box.start` outside tests."""

    def __call__(
        self, model_dir: Path, *, limits: BoxLimits | None = None, gguf_file: str | None = None
    ) -> Box: ...


@dataclass
class _Slot:
    """One key's place: being started, in use, or idle.

    Attributes:
        box: ``None`` while it is being started.
        users: Threads that hold it or wait for it.
        turns: Shared by its users, or had by one alone.
        starting: Held while ``box`` is started or thrown away.
        failed: The last box whose failure was counted.
        expected: What it takes: measured after each use; before that a guess.
        used_at: When it was let go last, on the pool's clock.
    """

    expected: Footprint
    used_at: float
    box: Box | None = None
    users: int = 0
    turns: Turns = field(default_factory=Turns)
    starting: threading.Lock = field(default_factory=threading.Lock)
    failed: Box | None = None


@dataclass
class _Record:
    crashes: int = 0
    parked_until: float = 0.0


class BoxPool:
    """Boxes by key, least recently used ones closed first. Safe for any number of threads.

    Users of one key share its box and write side by side in it, unless one asks to be alone.

    Args:
        budget: Memory all boxes may hold together. A single model may need more; it then runs
            alone and is not kept.
        max_boxes: Most processes at a time.
        limits: For each box.
        wait_s: Longest wait for a place or a turn, in seconds.
        park_after: Crashes in a row after which a key rests.
        park_s: How long it rests, in seconds.
        starter: Makes boxes.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        *,
        budget: Footprint = _BUDGET,
        max_boxes: int = 4,
        limits: BoxLimits | None = None,
        wait_s: float = 300.0,
        park_after: int = 3,
        park_s: float = 600.0,
        starter: Starter = Box.start,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._budget = budget
        self._max_boxes = max_boxes
        self._limits = limits or BoxLimits()
        self._wait_s = wait_s
        self._park_after = park_after
        self._park_s = park_s
        self._starter = starter
        self._clock = clock
        self._slots: dict[str, _Slot] = {}
        self._records: dict[str, _Record] = {}
        self._changed = threading.Condition()

    @contextmanager
    def use(
        self, key: str, model_dir: Path, *, gguf_file: str | None = None, alone: bool = False
    ) -> Iterator[Box]:
        """Hold the box of ``key`` while the block runs, starting it if needed.

        A box that crashed, hung or was ended is thrown away; a refused request keeps it.

        Args:
            key: What makes two boxes the same: commit, file, and whoever they may serve.
            model_dir: Folder of the model, for :meth:`Box.start`; used only to start.
            gguf_file: As for :meth:`Box.start`.
            alone: Let nobody else use it meanwhile; otherwise its users share it.

        Raises:
            BoxBusyError: no place or turn within ``wait_s``.
            BoxParkedError: the key crashed ``park_after`` times in a row a short while ago.
            BoxLostError: the block failed by a box that others used as well; try again ``alone``.
            ModelRefusedError, BoxError: from :meth:`Box.start`.
        """
        self._refuse_parked(key)
        deadline = self._clock() + self._wait_s
        slot = self._reserve(key, model_dir, deadline)
        try:
            left_s = deadline - self._clock()
            with slot.turns.taken(alone=alone, timeout_s=left_s) as is_held:
                if not is_held:
                    raise BoxBusyError("Others are using this model; try again in a minute.")
                with self._counting_crashes(key, slot):
                    box = self._started(slot, model_dir, gguf_file, deadline)
                try:
                    with self._counting_crashes(key, slot, box):
                        yield box
                    self._forget_crashes(key)
                finally:
                    self._measure(slot, box)
        finally:
            self._let_go(key, slot)

    @contextmanager
    def fresh(self, key: str, model_dir: Path, *, starter: Starter = Box.start) -> Iterator[Box]:
        """Start a box for the block alone and end it with the block, whatever else is resident.

        For what is measured over a box's whole life, as load time and most memory. It has a place
        of its own within the budget. The crashes of a key count together, whichever box it was.

        Args:
            key: As for :meth:`use`.
            model_dir: As for :meth:`use`.
            starter: Makes it from nothing: a spare process has done part of the loading already.

        Raises:
            BoxBusyError, BoxParkedError, ModelRefusedError, BoxError: as :meth:`use`.
        """
        self._refuse_parked(key)
        place = f"{key}#{next(_FRESH)}"
        slot = self._reserve(place, model_dir, self._clock() + self._wait_s)
        try:
            with self._counting_crashes(key, slot):
                slot.box = starter(model_dir, limits=self._limits)
            with self._counting_crashes(key, slot, slot.box):
                yield slot.box
            self._forget_crashes(key)
        finally:
            with self._changed:
                del self._slots[place]
                self._changed.notify_all()
            if slot.box is not None:
                slot.box.close()

    def close_idle(self, *, older_than_s: float = 0.0) -> int:
        """Close boxes nobody has used for ``older_than_s`` seconds; return how many."""
        now = self._clock()
        with self._changed:
            idle = [
                key
                for key, slot in self._slots.items()
                if slot.users == 0 and now - slot.used_at >= older_than_s
            ]
            boxes = [self._slots.pop(key).box for key in idle]
            self._changed.notify_all()
        for box in boxes:
            if box is not None:
                box.close()
        return len(boxes)

    def close(self) -> None:
        """Close every idle box; boxes in use are closed when they are let go."""
        with self._changed:
            self._max_boxes = 0
        self.close_idle()

    @property
    def resident(self) -> dict[str, int]:
        """Keys that are held, with their memory in bytes as last measured or guessed."""
        with self._changed:
            return {key: slot.expected.memory_bytes for key, slot in self._slots.items()}

    def _refuse_parked(self, key: str) -> None:
        with self._changed:
            record = self._records.get(key)
            left_s = record.parked_until - self._clock() if record else 0.0
        if left_s > 0:
            raise BoxParkedError(
                f"This model crashed {self._park_after} times in a row and rests for "
                f"{left_s / 60:.0f} more minutes.",
                retry_after_s=int(left_s) + 1,
            )

    @contextmanager
    def _counting_crashes(self, key: str, slot: _Slot, box: Box | None = None) -> Iterator[None]:
        """Note a failure once, however many used the box that failed."""
        try:
            yield
        except (BoxProtectionError, BoxBusyError):  # not the model's fault
            raise
        except BoxError as exc:
            with self._changed:
                is_first = box is None or slot.failed is not box
                is_shared = box is not None and (slot.users > 1 or not is_first)
                if is_first:
                    self._note_crash(key)
                slot.failed = box
            if is_shared:
                words = "The model's process ended while several used it; it is tried again alone."
                raise BoxLostError(words) from exc
            raise

    def _note_crash(self, key: str) -> None:
        record = self._records.setdefault(key, _Record())
        record.crashes += 1
        if record.crashes >= self._park_after:
            record.crashes = 0
            record.parked_until = self._clock() + self._park_s

    def _forget_crashes(self, key: str) -> None:
        with self._changed:
            self._records.pop(key, None)

    def _reserve(self, key: str, model_dir: Path, deadline: float) -> _Slot:
        """Return the key's slot, making room for a new one by closing idle boxes."""
        needed = guessed(model_dir)
        closing: list[Box] = []
        try:
            with self._changed:
                while True:
                    slot = self._slots.get(key)
                    if slot is None and self._make_room(needed, closing):
                        slot = self._slots[key] = _Slot(needed, self._clock())
                    if slot is not None:
                        slot.users += 1
                        return slot
                    left_s = deadline - self._clock()
                    if left_s <= 0 or not self._changed.wait(left_s):
                        raise BoxBusyError("All places for models are taken; try again soon.")
        finally:
            for box in closing:
                box.close()

    def _make_room(self, needed: Footprint, closing: list[Box]) -> bool:
        """Take idle slots out, oldest first, until one more fits; ``False``: it does not."""
        while True:
            together = total([needed, *(slot.expected for slot in self._slots.values())])
            has_place = len(self._slots) < self._max_boxes
            if has_place and (together.fits(self._budget) or not self._slots):
                return True
            idle = [(slot.used_at, key) for key, slot in self._slots.items() if slot.users == 0]
            if not idle:
                return False
            box = self._slots.pop(min(idle)[1]).box
            if box is not None:
                closing.append(box)

    def _started(self, slot: _Slot, model_dir: Path, gguf_file: str | None, deadline: float) -> Box:
        """Return the slot's box; the first of its users starts it, the others wait for that."""
        if not slot.starting.acquire(timeout=max(0.0, deadline - self._clock())):
            raise BoxBusyError("The model is being loaded; try again in a minute.")
        try:
            if slot.box is not None and not slot.box.is_alive:
                slot.box.close()
                slot.box = None
            if slot.box is None:
                slot.box = self._starter(model_dir, limits=self._limits, gguf_file=gguf_file)
            return slot.box
        finally:
            slot.starting.release()

    def _measure(self, slot: _Slot, box: Box) -> None:
        """Note the memory a box holds after use; throw away one that is gone."""
        memory_bytes = box.rss_bytes() if box.is_alive else 0
        with slot.starting:
            if memory_bytes:
                slot.expected = measured(memory_bytes, box.card_bytes)
            elif slot.box is box:
                box.close()
                slot.box = None

    def _let_go(self, key: str, slot: _Slot) -> None:
        """Give a slot back; close it when it is empty, or over the budget with nobody waiting."""
        leaving: list[Box] = []
        with self._changed:
            slot.users -= 1
            slot.used_at = self._clock()
            if slot.users == 0:
                used = total(other.expected for other in self._slots.values())
                is_over = not used.fits(self._budget) or len(self._slots) > self._max_boxes
                if slot.box is None or is_over:
                    self._slots.pop(key, None)
                    leaving = [slot.box] if slot.box is not None else []
            self._changed.notify_all()
        for box in leaving:
            box.close()
