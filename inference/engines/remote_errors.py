"""What can go wrong with a server elsewhere."""

from inference.box.errors import BoxError
from store.core.errors import TransientError


class RemoteAwayError(TransientError):
    """The server does not answer, is full, or broke off; another attempt may help."""

    code = "engine_away"


class RemoteRefusedError(BoxError):
    """The server does not take the store's requests: a wrong key, or no such model there."""

    code = "engine_refused"


class RemoteBrokeProtocolError(BoxError):
    """What came is no answer of an OpenAI-compatible server."""

    code = "engine_broke_protocol"
