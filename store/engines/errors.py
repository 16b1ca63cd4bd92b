"""Why an engine could not be had; each message says what to do next."""

from store.core.errors import StoreError


class EngineError(StoreError):
    """Base of everything that can go wrong with the embedded engines."""

    code = "engine"
    status = 503


class EngineStartError(EngineError):
    """An engine's program failed or did not get ready; carries the end of its log."""

    code = "engine_start"


class EngineFolderError(EngineError):
    """A folder the engines need belongs to somebody else or cannot be written."""

    code = "engine_folder"


class EngineAccessError(EngineError):
    """Started by root, and the engines' own system user cannot be made or reach the files."""

    code = "engine_access"


class EngineBusyError(EngineError):
    """Another command kept the engines locked for too long."""

    code = "engine_busy"
