"""Sequences that go through the model together, and the keys and values it keeps of them.

Rows of one cohort may have come at different times and have different lengths: shorter ones have
empty places on their left, which the attention mask hides. A cohort without empty places is run
without a mask, exactly as ``generate`` runs it.
"""

import inspect
from collections.abc import Iterable
from typing import Any

import torch
from torch.nn.functional import pad
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from inference.box.loading import LoadedModel
from inference.box.sequences import Answer, Running

_CLOSE = 4
"""Cohorts join when the longer one is at most so many times as long as the shorter one: of rows
that are much shorter than others, most of the work would go into empty places."""
_SHORT_TOKENS = 128
"""Below it, lengths do not matter: a step costs the same."""


def new_cache(loaded: LoadedModel) -> DynamicCache | None:
    """Return an empty cache, ``None`` for models that keep no keys and values (state spaces)."""
    if loaded.model._is_stateful:  # noqa: SLF001 - there is no public name for it
        return None
    return DynamicCache(config=loaded.model.config)


def is_plain(cache: DynamicCache | None) -> bool:
    """Whether all layers simply grow: such caches can be read in pieces, cut, padded and joined.

    Windows that slide, and what hybrids keep, cannot.
    """
    return cache is not None and all(type(layer) is DynamicLayer for layer in cache.layers)


def takes(loaded: LoadedModel, name: str) -> bool:
    """Whether the model's forward pass has a parameter of this name."""
    return name in inspect.signature(loaded.model.forward).parameters


class Prompt:
    """A prompt that is being read, piece by piece."""

    def __init__(self, running: Running) -> None:
        self.running = running
        self._loaded = running.loaded
        self._cache = new_cache(self._loaded)
        self._read = 0
        self._last = {"logits_to_keep": 1} if takes(self._loaded, "logits_to_keep") else {}
        self._logits: torch.Tensor

    @property
    def is_read(self) -> bool:
        """Whether nothing is left to read."""
        return self._read == len(self.running.prompt_ids)

    def read(self, most_tokens: int) -> int:
        """Run a piece of the prompt through the model; return its tokens.

        Args:
            most_tokens: Of the piece. Caches that are not plain take the whole prompt at once.
        """
        ids = self.running.prompt_ids
        end = min(len(ids), self._read + most_tokens) if is_plain(self._cache) else len(ids)
        piece = torch.tensor([ids[self._read : end]], device=self._loaded.device)
        kept: dict[str, Any] = {"use_cache": False}
        if self._cache is not None:
            kept = {"past_key_values": self._cache, "use_cache": True}
        output = self._loaded.model(input_ids=piece, **kept, **self._last)
        self._logits = output.logits[:, -1].to(dtype=torch.float32, copy=True)
        tokens, self._read = end - self._read, end
        return tokens

    def cohort(self) -> "Cohort":
        """Return the request's sequences, each with what was read, ready to choose a token."""
        rows = self.running.open_answers
        if self._cache is not None and len(rows) > 1:
            self._cache.batch_repeat_interleave(len(rows))
        return Cohort(self._loaded, rows, self._cache, self._logits.repeat(len(rows), 1))


class Cohort:
    """Rows with one cache.

    Args:
        loaded: The model.
        rows: Sequences, in the order of the cache's rows.
        cache: Keys and values, ``None`` for models that keep none.
        logits: Scores of the next token, float32, shape ``(len(rows), vocabulary)``.

    Attributes:
        tokens: Places in the cache, empty ones included.
        empty: Empty places on the left of each row.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        rows: list[Answer],
        cache: DynamicCache | None,
        logits: torch.Tensor,
    ) -> None:
        self._loaded = loaded
        self.rows = rows
        self._cache = cache
        self.logits = logits
        self.tokens = rows[0].length
        self.empty = [0] * len(rows)

    def forward(self) -> None:
        """Run each row one token further: its newest."""
        if self._cache is None:
            ids = torch.cat([row.seen for row in self.rows])
            output = self._loaded.model(input_ids=ids, use_cache=False)
        else:
            fresh = torch.stack([row.ids[row.length - 1] for row in self.rows])[:, None]
            output = self._loaded.model(
                input_ids=fresh, past_key_values=self._cache, use_cache=True, **self._places()
            )
        self.tokens += 1
        self.logits = output.logits[:, -1].to(dtype=torch.float32, copy=True)

    def _places(self) -> dict[str, torch.Tensor]:
        """Return what hides empty places, where there are any."""
        if not any(self.empty):
            return {}
        empty = torch.tensor(self.empty, device=self._loaded.device)[:, None]
        columns = torch.arange(self.tokens + 1, device=self._loaded.device)[None]
        return {
            "attention_mask": (columns >= empty).long(),
            "position_ids": self.tokens - empty,
        }

    @property
    def is_of_one(self) -> bool:
        """Whether all rows belong to one request."""
        return len({row.running for row in self.rows}) == 1

    def drop_ended(self) -> None:
        """Let rows go that have ended, and places that are empty in all others."""
        kept = [place for place, row in enumerate(self.rows) if row.reason is None]
        if len(kept) == len(self.rows):
            return
        self._select(kept)
        if self._cache is not None and kept and (spare := min(self.empty)):
            for layer in self.layers():
                layer.keys = layer.keys[..., spare:, :].contiguous()
                layer.values = layer.values[..., spare:, :].contiguous()
            self.tokens -= spare
            self.empty = [count - spare for count in self.empty]

    def _select(self, places: list[int]) -> None:
        index = torch.tensor(places, dtype=torch.int64, device=self._loaded.device)
        self.rows = [self.rows[place] for place in places]
        self.empty = [self.empty[place] for place in places]
        self.logits = self.logits[index]
        if self._cache is not None:
            self._cache.batch_select_indices(index)

    def split(self) -> "list[Cohort]":
        """Return a cohort for each request, after a step that failed; nothing of this one is left.

        What the step has left in some layers is cut off.
        """
        for layer in self.layers():
            layer.crop(min(0, self.tokens - layer.get_seq_length()))
        found = []
        for running in dict.fromkeys(row.running for row in self.rows):
            places = [place for place, row in enumerate(self.rows) if row.running is running]
            found.append(self._part(places))
        return found

    def _part(self, places: list[int]) -> "Cohort":
        index = torch.tensor(places, dtype=torch.int64, device=self._loaded.device)
        cache = None
        if self._cache is not None:
            cache = new_cache(self._loaded)
            for number, layer in enumerate(self.layers()):
                cache.update(layer.keys[index], layer.values[index], number)  # type: ignore[union-attr]
        part = Cohort(self._loaded, [self.rows[at] for at in places], cache, self.logits[index])
        part.tokens, part.empty = self.tokens, [self.empty[place] for place in places]
        return part

    def can_join(self, other: "Cohort") -> bool:
        """Whether ``join`` may take ``other`` in, and is worth it."""
        short, long = sorted((self.tokens, other.tokens))
        return (
            long <= max(_CLOSE * short, _SHORT_TOKENS)
            and self.is_joinable()
            and other.is_joinable()
        )

    def is_joinable(self) -> bool:
        """Whether the model can read rows with empty places, and the cache holds nothing else."""
        if not is_plain(self._cache) or not takes(self._loaded, "position_ids"):
            return False
        return all(layer.get_seq_length() == self.tokens for layer in self.layers())

    def join(self, other: "Cohort") -> None:
        """Take the rows of ``other`` in; nothing of it is left."""
        tokens = max(self.tokens, other.tokens)
        more, others = tokens - self.tokens, tokens - other.tokens
        for mine, theirs in zip(self.layers(), other.layers(), strict=True):
            mine.keys = torch.cat([_shifted(mine.keys, more), _shifted(theirs.keys, others)])
            mine.values = torch.cat([_shifted(mine.values, more), _shifted(theirs.values, others)])
        self.empty = [count + more for count in self.empty]
        self.empty += [count + others for count in other.empty]
        self.tokens = tokens
        self.rows = [*self.rows, *other.rows]
        self.logits = torch.cat([self.logits, other.logits])

    def layers(self) -> Iterable[Any]:
        """Return the cache's layers."""
        return self._cache.layers if self._cache is not None else ()


def _shifted(states: torch.Tensor, places: int) -> torch.Tensor:
    """Return keys or values ``(rows, heads, tokens, width)`` with empty places on the left."""
    return pad(states, (0, 0, places, 0)) if places else states
