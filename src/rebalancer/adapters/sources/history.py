"""A history file in the place of live data: in real time, or faster."""

from __future__ import annotations

import os
from bisect import bisect_left, bisect_right
from collections.abc import Collection
from datetime import datetime, timedelta
from operator import attrgetter

from ...domain.funding import RateKind
from ...domain.market import Quote
from ...domain.missing import OPPORTUNITIES, Missing
from ...domain.names import Market
from ...domain.needs import Needs
from ...domain.numbers import Number, read_number
from ...domain.request import MarketRequest
from ...domain.snapshot import MarketSnapshot
from ...domain.times import epoch_seconds, from_epoch, read_instant
from ...errors import InputError
from ...history.table import FundingHistory
from ...history.view import HistoryView
from ...ports import Clock, FundingSource
from ..clock import SystemClock
from .answer import EVERYTHING, answer

MICROSECOND = timedelta(microseconds=1)
YEAR = 365 * 86_400


class HistorySource(FundingSource):
    """What a history knew at `start` (its own by default) + the clock's time since the first use x `speed`.

    `history` is a FundingHistory, or the path of one. `speed` is any number above 0: at 3600, an hour of the history
    passes in a second. Snapshots are what a replay sees: each market's last settled rate (in a history without any, the
    last of its kind), unknown when older than two of its intervals, and never a row too early. Their `as_of` is the
    time in the history: give the same `clock` to nothing that compares it with the wall clock.

    A clock that goes back takes the history back with it. After the last row the quotes grow old, `exhausted` is true,
    and a year later the history's time stands still. Raises InputError for a start outside of the history.
    """

    def __init__(
        self,
        history: FundingHistory | str | os.PathLike[str],
        *,
        start: datetime | None = None,
        speed: Number = 1,
        clock: Clock | None = None,
    ) -> None:
        whole = history if isinstance(history, FundingHistory) else FundingHistory.read(history)
        self._history = whole.decisive()
        self._end = self._history.end
        self._start = self._history.start if start is None else epoch_seconds(read_instant(start))
        if not self._history.start <= self._start <= self._end:
            first, last = from_epoch(self._history.start), from_epoch(self._end)
            raise InputError(f"start must be within the history: from {first} to {last}")
        self._speed = read_number(speed)
        if self._speed <= 0:
            raise InputError("speed must be above 0")
        self._clock = clock or SystemClock()
        self._began: datetime | None = None
        self._markets = {series.market for series in self._history.series}
        self._supplies = _supplies(self._history)
        self._view = HistoryView(self._history)
        self._at = 0

    @property
    def name(self) -> str:
        """`history`, as in the origin of its quotes."""
        return "history"

    @property
    def supplies(self) -> Needs:
        """Rates, candidates and observations; the rest as far as any row has it."""
        return self._supplies

    @property
    def plays_back(self) -> bool:
        """Yes: its time is that of the history."""
        return True

    @property
    def exhausted(self) -> bool:
        """Whether the last row has been given."""
        return self._view.exhausted

    async def snapshot(self, request: MarketRequest) -> MarketSnapshot:
        """What the history knew by now, in its own time. The first one walks the file up to `start`."""
        at = self._now()
        observations = max(self._view.observations, request.needs.observations)
        if at < self._at or observations > self._view.observations:
            self._view = HistoryView(self._history, observations=observations)
        self._at = at
        self._view.advance(at)
        known = self._view.snapshot(at).model_copy(update={"missing": self._foreign(request)})
        return answer(request, known, name=self.name, absent=self._absent)

    async def settlements(self, markets: Collection[Market], since: datetime) -> tuple[Quote, ...]:
        """What the history has of them from `since` to its own now."""
        first, now, at = epoch_seconds(read_instant(since)), self._now(), attrgetter("at")
        found = [
            series.quote(row)
            for series in self._history.series
            if series.kind is RateKind.SETTLED and series.market in markets
            for row in series.rows[bisect_left(series.rows, first, key=at) : bisect_right(series.rows, now, key=at)]
        ]
        return tuple(sorted(found, key=attrgetter("observed_epoch")))

    def _now(self) -> int:
        """The time in the history, in epoch seconds; between 1970 and a year after its end."""
        now = self._clock.now()
        self._began = self._began or now
        numerator, denominator = self._speed.as_integer_ratio()
        passed = (now - self._began) // MICROSECOND * numerator // (denominator * 1_000_000)
        return max(0, min(self._start + passed, self._end + YEAR))

    def _foreign(self, request: MarketRequest) -> tuple[Missing, ...]:
        """The candidates on venues that the history does not have: none of them is no proof of none."""
        strange = dict.fromkeys(request.venues or ()).keys() - {market.venue for market in self._markets}
        wanted = sorted(strange) if request.symbols != () else ()
        return tuple(Missing(field=OPPORTUNITIES, why=f"the history does not have {venue}") for venue in wanted)

    def _absent(self, market: Market) -> str:
        return "the history has no row of it yet" if market in self._markets else "the history does not have it"


def _supplies(history: FundingHistory) -> Needs:
    """Everything, but of schedules and of what a row may lack only what there is."""
    rows = [row for series in history.series for row in series.rows]
    return EVERYTHING.model_copy(
        update={
            "schedule": history.settled,
            "open_interest": any(row.open_interest_usd is not None for row in rows),
            "volume": any(row.volume_24h_usd is not None for row in rows),
            "mark_price": any(row.mark_price is not None for row in rows),
        }
    )
