"""Why the store could not be run; each message says what to do next."""

from store.core.errors import StoreError


class SuperviseError(StoreError):
    """Base of everything that keeps ``make run`` from running."""

    code = "supervise"
    status = 503


class AlreadyRunningError(SuperviseError):
    """Another supervisor runs the store of this data folder."""

    code = "already_running"


class PortTakenError(SuperviseError):
    """Something else listens where the web server should."""

    code = "port_taken"


class PrepareError(SuperviseError):
    """The database could not be brought up to date."""

    code = "prepare"


class UnusablePathError(SuperviseError):
    """A path cannot be written into the supervisor's configuration."""

    code = "unusable_path"
