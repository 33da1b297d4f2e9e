"""Alarms: since when each lasts, and how loud it is by now."""

from __future__ import annotations

import logging
from collections.abc import Collection
from datetime import datetime, timedelta

from ..domain.names import as_line
from ..domain.tick import Alarm, AlarmKind, AlarmLevel
from .notice import Notice

_log = logging.getLogger("rebalancer.monitor")
ESCALATES = ((timedelta(minutes=30), AlarmLevel.CRITICAL), (timedelta(minutes=5), AlarmLevel.ERROR))
"""How long an alarm lasts before it is of the next level."""
_LOUDNESS = {
    AlarmLevel.WARNING: logging.WARNING,
    AlarmLevel.ERROR: logging.ERROR,
    AlarmLevel.CRITICAL: logging.CRITICAL,
}
AGAIN = timedelta(hours=1)
"""How often an alarm that lasts is logged again."""


class Alarms:
    """What is alarming at present. An alarm is logged when it begins, when it gets louder, and once an hour."""

    def __init__(self) -> None:
        self._lasting: dict[tuple[AlarmKind, str], Alarm] = {}
        self._logged: dict[tuple[AlarmKind, str], datetime] = {}

    def raised(self, notices: Collection[Notice], now: datetime, *, keep: bool = False) -> tuple[Alarm, ...]:
        """The alarms of a pass. Those that are not raised again are over, unless it looked at a part only (`keep`)."""
        lasting = dict(self._lasting) if keep else {}
        for notice in notices:
            key = notice.kind, notice.about
            before = self._lasting.get(key)
            since = now if before is None else min(before.since, now)
            said = {"about": as_line(notice.about), "why": as_line(notice.why)}
            alarm = Alarm(**{**notice._asdict(), **said}, since=since, level=_level(now - since))
            lasting[key] = alarm
            if before is None or before.level is not alarm.level or now - self._logged[key] >= AGAIN:
                self._logged[key] = now
                _log.log(_LOUDNESS[alarm.level], "%s", alarm, extra={"alarm": alarm.model_dump(mode="json")})
        for key in self._lasting.keys() - lasting.keys():
            _log.info("over: %s", self._lasting[key])
            del self._logged[key]
        self._lasting = lasting
        return tuple(lasting.values())

    def leave(self) -> None:
        """Another monitor watches from now on: what was alarming says nothing of what will be."""
        self._lasting.clear()
        self._logged.clear()


def _level(lasted: timedelta) -> AlarmLevel:
    return next((level for after, level in ESCALATES if lasted >= after), AlarmLevel.WARNING)
