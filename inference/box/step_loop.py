"""The step loop as a box runs it: for prompts of text and of tokens."""

import time

from inference.box.engine import Engine
from inference.box.protocol import GenerateRequest
from inference.box.token_prompts import any_running_of


class AnyPromptEngine(Engine):
    """The step loop, for prompts of either kind."""

    def add(self, request: GenerateRequest) -> None:
        """See ``Engine.add``."""
        if request.prompt_ids is None:
            super().add(request)
            return
        self.working_on = request.id
        self._waiting.append(any_running_of(self._loaded, request, arrived=time.monotonic()))
