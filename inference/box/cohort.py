"""Sequences that go through the model together, and the keys and values it keeps of them.

Rows of one cohort may have come at different times and have different lengths: shorter ones have
empty places on their left, which the attention mask hides. A cohort without empty places is run
without a mask, exactly as ``generate`` runs it.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import Any

import torch
from transformers import DynamicCache

from inference.box.cache import is_plain, new_cache
from inference.box.loading import LoadedModel
from inference.box.sequences import Answer, Running

_CLOSE = 4
"""Cohorts join when the longer one is at most so many times as long as the shorter one: of rows
that are much shorter than others, most of the work would go into empty places."""
_SHORT_TOKENS = 128
"""Below it, lengths do not matter: a step costs the same."""

_AHEAD_TOKENS = 64
"""Of an answer that room is made for together with its prompt."""


def takes(loaded: LoadedModel, name: str) -> bool:
    """Whether the model's forward pass has a parameter of this name."""
    return name in loaded.forward_names


class Prompt:
    """A prompt that is being read, piece by piece.

    Attributes:
        running: Whose prompt it is.
        is_apart: Whether it is read by itself only: reading it with others has failed.
    """

    def __init__(self, running: Running) -> None:
        self.running = running
        self.is_apart = False
        self._loaded = running.loaded
        self._cache = new_cache(self._loaded, tokens=len(running.prompt_ids) + _AHEAD_TOKENS)
        self._read = 0
        self._logits: torch.Tensor

    @property
    def tokens(self) -> int:
        """Length of the prompt."""
        return len(self.running.prompt_ids)

    @property
    def is_read(self) -> bool:
        """Whether nothing is left to read."""
        return self._read == self.tokens

    @property
    def is_begun(self) -> bool:
        """Whether a piece of it has been read."""
        return self._read > 0

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
        output = self._loaded.model(input_ids=piece, **kept, **last_only(self._loaded))
        self._logits = output.logits[:, -1].to(dtype=torch.float32, copy=True)
        tokens, self._read = end - self._read, end
        return tokens

    def cohort(self) -> "Cohort":
        """Return the request's sequences, each with what was read, ready to choose a token."""
        return _going_on([self.running], self._cache, self._logits, [0])


def read_together(prompts: Sequence[Prompt]) -> "Cohort":
    """Read several whole prompts in one pass; return the sequences of all of them.

    Args:
        prompts: None begun. Their model ``can_fill`` a batch.
    """
    loaded = prompts[0].running.loaded
    tokens = max(prompt.tokens for prompt in prompts)
    empty = [tokens - prompt.tokens for prompt in prompts]
    ids = [
        [0] * count + prompt.running.prompt_ids
        for prompt, count in zip(prompts, empty, strict=True)
    ]
    cache = new_cache(loaded, tokens=tokens + _AHEAD_TOKENS)
    output = loaded.model(
        input_ids=torch.tensor(ids, device=loaded.device),
        past_key_values=cache,
        use_cache=True,
        **_hidden(empty, range(tokens), loaded.device),
        **last_only(loaded),
    )
    logits = output.logits[:, -1].to(dtype=torch.float32, copy=True)
    return _going_on([prompt.running for prompt in prompts], cache, logits, empty)


def _going_on(
    read: Sequence[Running], cache: DynamicCache | None, logits: torch.Tensor, empty: list[int]
) -> "Cohort":
    """Return all sequences of requests whose prompts are read: what was read, once for each.

    Args:
        read: The requests, by row of the cache.
        cache: Keys and values of their prompts.
        logits: Scores of the next token, by row.
        empty: Empty places on the left, by row.
    """
    loaded = read[0].loaded
    rows = [answer for running in read for answer in running.open_answers]
    places = [place for place, running in enumerate(read) for _ in running.open_answers]
    if len(places) > len(read):
        index = torch.tensor(places, dtype=torch.int64, device=loaded.device)
        logits = logits[index]
        if cache is not None:
            cache.batch_select_indices(index)
    cohort = Cohort(loaded, rows, cache, logits)
    cohort.tokens = max(len(running.prompt_ids) for running in read)
    cohort.empty = [empty[place] for place in places]
    return cohort


def are_close(lengths: Collection[int]) -> bool:
    """Whether rows of these lengths, in tokens, are worth running together."""
    return max(lengths) <= max(_CLOSE * min(lengths), _SHORT_TOKENS)


def can_fill(loaded: LoadedModel) -> bool:
    """Whether the model can read rows with empty places."""
    return is_plain(new_cache(loaded)) and takes(loaded, "position_ids")


def last_only(loaded: LoadedModel) -> dict[str, int]:
    """Return what makes the model score the last token alone, where it can."""
    return {"logits_to_keep": 1} if takes(loaded, "logits_to_keep") else {}


def _hidden(empty: list[int], places: range, device: torch.device) -> dict[str, torch.Tensor]:
    """Return what hides empty places on the left, where there are any.

    Args:
        empty: How many there are, by row.
        places: Which ones are run now; those before are in the cache.
        device: Where the model computes.
    """
    if not any(empty):
        return {}
    lefts = torch.tensor(empty, device=device)[:, None]
    columns = torch.arange(places.stop, device=device)[None]
    return {
        "attention_mask": (columns >= lefts).long(),
        "position_ids": (columns[:, places.start :] - lefts).clamp(min=0),
    }


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
        is_apart: Whether it stays alone: it has failed together with others.
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
        self.is_apart = False

    def forward(self) -> None:
        """Run each row one token further: its newest."""
        if self._cache is None:
            ids = torch.cat([row.seen for row in self.rows])
            output = self._loaded.model(input_ids=ids, use_cache=False)
        else:
            fresh = torch.stack([row.ids[row.length - 1] for row in self.rows])[:, None]
            output = self._loaded.model(
                input_ids=fresh,
                past_key_values=self._cache,
                use_cache=True,
                **_hidden(self.empty, range(self.tokens, self.tokens + 1), self._loaded.device),
            )
        self.tokens += 1
        self.logits = output.logits[:, -1].to(dtype=torch.float32, copy=True)

    @property
    def is_of_one(self) -> bool:
        """Whether all rows belong to one request."""
        return len({row.running for row in self.rows}) == 1

    def drop_ended(self) -> None:
        """Let rows go that have ended, and places that are empty in all others.

        Rows from the end take the places of those that went: nothing else is moved.
        """
        if not (ended := [place for place, row in enumerate(self.rows) if row.reason is not None]):
            return
        count = len(self.rows) - len(ended)
        holes = [place for place in ended if place < count]
        last = [place for place in range(count, len(self.rows)) if self.rows[place].reason is None]
        moves = list(zip(last, holes, strict=True))
        order = list(range(count))
        for source, target in moves:
            order[target] = source
        self.rows = [self.rows[place] for place in order]
        self.empty = [self.empty[place] for place in order]
        index = torch.tensor(order, dtype=torch.int64, device=self._loaded.device)
        self.logits = self.logits[index]
        spare = min(self.empty, default=0)
        if is_plain(self._cache):
            for layer in self.layers():
                layer.keep_rows(moves, count, spare=spare)
            self.tokens -= spare
            self.empty = [places - spare for places in self.empty]
        elif self._cache is not None:
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
        part.is_apart = True
        return part

    def can_join(self, other: "Cohort") -> bool:
        """Whether both may become one, and it is worth it."""
        lengths = (self.tokens, other.tokens)
        return are_close(lengths) and self.is_joinable() and other.is_joinable()

    def is_joinable(self) -> bool:
        """Whether the model can read rows with empty places, and the cache holds nothing else."""
        if self.is_apart or not is_plain(self._cache) or not takes(self._loaded, "position_ids"):
            return False
        return all(layer.get_seq_length() == self.tokens for layer in self.layers())

    def take_in(self, other: "Cohort") -> None:
        """Take over the rows of ``other``; the layers hold both already.

        Args:
            other: Nothing of it is left.
        """
        tokens = max(self.tokens, other.tokens)
        self.empty = [count + tokens - self.tokens for count in self.empty]
        self.empty += [count + tokens - other.tokens for count in other.empty]
        self.tokens = tokens
        self.rows = [*self.rows, *other.rows]
        self.logits = torch.cat([self.logits, other.logits])

    def layers(self) -> Iterable[Any]:
        """Return the cache's layers."""
        return self._cache.layers if self._cache is not None else ()
