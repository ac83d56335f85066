"""The server's clock and the spellings of its times.

QuickBooks shows times in Pacific time with an offset: record times to the second, envelope times to the millisecond
with trailing zeros cut. A date on a transaction is the Pacific date.
"""

from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Final
from zoneinfo import ZoneInfo

PACIFIC: Final = ZoneInfo("America/Los_Angeles")
_HALF_HOUR: Final = 1800


class Clock:
    """The time the company lives in: the machine's own, shifted or stopped when a test asks for it."""

    def __init__(self) -> None:
        self._shift = timedelta(0)
        self._stopped: datetime | None = None

    def now(self) -> datetime:
        """The present moment, aware, in UTC."""
        if self._stopped is not None:
            return self._stopped
        return datetime.now(UTC) + self._shift

    def today(self) -> date:
        """The present date in Pacific time."""
        return self.now().astimezone(PACIFIC).date()

    def shift(self, by: timedelta) -> None:
        """Move the clock forward (or back, with a negative duration)."""
        if self._stopped is not None:
            self._stopped += by
        self._shift += by

    def stop(self, at: datetime) -> None:
        """Hold the clock at one moment until `run` is called."""
        self._stopped = at.astimezone(UTC)

    def run(self) -> None:
        """Let a stopped clock go on from where it stands."""
        if self._stopped is not None:
            self._shift = self._stopped - datetime.now(UTC)
            self._stopped = None


_offsets: dict[int, tuple[timedelta, str]] = {}


def _pacific(epoch: float) -> tuple[datetime, str]:
    """Local Pacific time and the text of its offset, which is remembered per half hour."""
    slot = int(epoch // _HALF_HOUR)
    known = _offsets.get(slot)
    if known is None:
        local = datetime.fromtimestamp(slot * _HALF_HOUR, PACIFIC)
        offset = local.utcoffset() or timedelta(0)
        known = _offsets[slot] = (offset, local.isoformat()[-6:])
    return datetime.fromtimestamp(epoch, UTC).replace(tzinfo=None) + known[0], known[1]


def stamp(epoch: float) -> str:
    """A record time such as `2015-07-24T10:33:39-07:00`, from seconds since 1970."""
    local, offset = _pacific(int(epoch))
    return local.isoformat(timespec="seconds") + offset


def stamp_millis(epoch: float) -> str:
    """An envelope time such as `2015-07-24T10:33:39.11-07:00`, from seconds since 1970."""
    local, offset = _pacific(epoch)
    return local.isoformat(timespec="milliseconds").rstrip("0").rstrip(".") + offset


def parse_moment(text: str, zone: tzinfo = PACIFIC) -> float | None:
    """Seconds since 1970 of a date or date-time, which is in `zone` if it has no offset; `None` if it is neither."""
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=zone)
    return moment.timestamp()


def parse_date(text: str) -> date | None:
    """The calendar date at the start of `2024-01-31` or `2024-01-31T10:00:00-08:00`; `None` if there is none."""
    try:
        return date.fromisoformat(text.strip()[:10])
    except ValueError:
        return None
