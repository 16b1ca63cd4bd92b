"""What can go wrong with a box, as the store's own errors."""

from store.core.errors import StoreError, TransientError, UnprocessableError


class BoxError(StoreError):
    """Base of every failure of a box."""

    code = "box_error"
    status = 502

    def __init__(self, message: str, *, detail: str = "", **extra: object) -> None:
        super().__init__(message, **extra)
        self.detail = detail
        """The child's own last words; for the log only, a stranger's model may have written it."""


class BoxProtectionError(BoxError):
    """This machine offers no way to cut a model off the network, and nobody allowed that."""

    code = "box_unprotected"
    status = 503


class BoxCrashedError(BoxError):
    """The process ended by itself: a crash, an abort, a limit of the kernel."""

    code = "box_crashed"


class BoxTimeoutError(BoxError):
    """The process did not answer in time and was ended."""

    code = "box_timeout"
    status = 504


class BoxMemoryError(BoxError):
    """The process held more memory than allowed and was ended."""

    code = "box_out_of_memory"


class BoxBrokeProtocolError(BoxError):
    """The process said something it may not say and was ended."""

    code = "box_broke_protocol"


class BoxBusyError(TransientError):
    """Every place for a model is taken; try again soon."""

    code = "box_busy"


class BoxLostError(TransientError):
    """The process ended while several used it; whose fault it was shows when each is alone."""

    code = "box_lost"


class BoxParkedError(BoxError):
    """This model has crashed too often of late and rests."""

    code = "box_parked"
    status = 503


class ModelRefusedError(UnprocessableError):
    """The model or the request cannot be run, and the box says why.

    Args:
        message: A sentence for a person.
        reason: Stable code: ``prompt_too_long``, ``empty_prompt``, ``no_weights``,
            ``bad_config``, ``bad_tensors``, ``bad_adapter``, ``bad_tokenizer``, ``unsupported``,
            ``not_finite``, ``out_of_memory``, ``cannot_load``, ``cannot_generate``,
            ``no_chat_template``, ``bad_template``, ``unknown_token``,
            ``too_many_probabilities``, ``empty_continuation``,
            ``cancelled`` (a question, by :meth:`~inference.box.client.Box.cancel`).
    """

    code = "model_refused"

    def __init__(self, message: str, *, reason: str) -> None:
        super().__init__(message, reason=reason)
        self.reason = reason
