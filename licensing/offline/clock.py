"""Notices a clock that was set back, which would make an old license file look fresh.

The newest time ever seen (by the clock, or in a verified license) is kept in the user's state
folder. Whoever can delete that file can undo the check; it guards against mistakes and against
what is done in passing, and says so.
"""

from pathlib import Path

from licensing.documents.errors import ClockSetBackError, MalformedLicenseError
from licensing.documents.strict import Fields, canonical, read_json
from licensing.offline.places import state_folder, write_whole

MAX_BACK_S = 86_400
"""How far the clock may be behind the newest time, in seconds: time zones and mends of a clock
stay below it."""
_HOW = "Set the clock right; or, if it was ahead once by mistake: gpt-store clock reset"


class NewestTime:
    """The newest time seen on this machine by this user."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or state_folder() / "clock.json"

    def read_s(self) -> int | None:
        """Return it in seconds since 1970; ``None``: nothing was seen yet.

        Raises:
            ClockSetBackError: the file is damaged, so that nobody knows.
        """
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return None
        try:
            fields = Fields(read_json(data, what="The time"), "clock", {"newest_s"})
            return fields.integer("newest_s")
        except MalformedLicenseError as error:
            raise ClockSetBackError(
                f"{self.path} is damaged. Run: gpt-store clock reset"
            ) from error

    def check(self, now_s: int) -> None:
        """Return if the clock may be right.

        Raises:
            ClockSetBackError: it is more than a day behind the newest time.
        """
        newest_s = self.read_s()
        if newest_s is not None and now_s < newest_s - MAX_BACK_S:
            raise ClockSetBackError(f"The clock is behind a time that was seen before. {_HOW}")

    def remember(self, moment_s: int) -> None:
        """Keep ``moment_s`` if it is newer."""
        newest_s = self.read_s()
        if newest_s is None or moment_s > newest_s:
            write_whole(self.path, canonical({"newest_s": moment_s}))

    def forget(self) -> None:
        """Start afresh."""
        self.path.unlink(missing_ok=True)
