"""Which engine runs a model: the one place that decides."""

from inference.box.pool import BoxPool
from inference.engines.base import Engine
from inference.engines.boxed import BoxEngine
from inference.engines.config import remote_for
from inference.engines.remote import RemoteEngine
from inference.models import GenerationRun


def engine_for(run: GenerationRun, pool: BoxPool) -> Engine:
    """Return what runs the model of ``run``: the server the operator named, or the box.

    Args:
        run: What is to be done.
        pool: This process's models in memory.
    """
    remote = remote_for(run.repo.full_name)
    return BoxEngine(pool) if remote is None else RemoteEngine(remote)
