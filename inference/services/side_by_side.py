"""One prompt or message, two models, the same settings and seed."""

from collections.abc import Mapping, Sequence
from typing import Any

from accounts.viewer import Viewer
from catalog.models import ModelRepo
from inference.box.conversation import Asked
from inference.models import GenerationRun
from inference.services import runs
from inference.services.params import AskedParams, read_params
from store.core.errors import StoreError


def submit_both(
    viewer: Viewer,
    repos: Sequence[ModelRepo],
    asked: Asked,
    params: AskedParams | Mapping[str, Any],
    *,
    visitor_key: str = "",
    organization: str = "",
) -> list[GenerationRun]:
    """Queue the same generation for each model, or for none of them.

    Args:
        viewer: Who asks.
        repos: Through ``catalog.access``; in the order they are shown.
        asked: A prompt, or messages where every model has a chat template.
        params: See ``runs.submit``; the seed, drawn once where none is given, counts for all.
        visitor_key: See ``runs.submit``.
        organization: See ``runs.submit``.

    Raises:
        StoreError: as ``runs.submit``, with the name of the model it is about; nothing is queued.
    """
    sampling = params if isinstance(params, AskedParams) else read_params(params)
    made: list[GenerationRun] = []
    for repo in repos:
        try:
            run = runs.submit(
                viewer,
                repo,
                "",
                asked,
                sampling,
                visitor_key=visitor_key,
                organization=organization,
            )
            made.append(run)
        except StoreError as error:
            for each in made:
                runs.cancel(viewer, each, visitor_key)
                each.delete()
            if len(repos) > 1 and repo.full_name not in error.message:
                error.message = f"{repo.full_name}: {error.message}"
            raise
    return made


def common_start(texts: Sequence[str]) -> int:
    """Return how many characters all ``texts`` begin with alike."""
    if not texts:
        return 0
    shortest = min(map(len, texts))
    first = texts[0]
    for index in range(shortest):
        if any(text[index] != first[index] for text in texts):
            return index
    return shortest
