"""Which engine runs a model: the one place that decides."""

from inference.box.pool import BoxPool
from inference.engines.base import Engine, Work
from inference.engines.boxed import BoxEngine
from inference.engines.remote import RemoteEngine
from inference.services.serving import server_of


def engine_for(work: Work, pool: BoxPool) -> Engine:
    """Return what runs the model of ``work``: the server the operator named, or the box.

    Args:
        work: What is to be done.
        pool: This process's models in memory.
    """
    remote = server_of(work.repo, work.commit_oid)
    return BoxEngine(pool) if remote is None else RemoteEngine(remote)
