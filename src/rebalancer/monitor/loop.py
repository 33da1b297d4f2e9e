"""When a pass happens: aligned to the wall clock, driven by a steady one, never two at a time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

from ..domain.names import as_line
from ..domain.tick import Alarm, AlarmKind, Failure, TickReport
from ..domain.times import EPOCH, SECOND
from ..errors import Fenced, InputError, RebalancerError, StoreError
from ..ports import Observer
from .alarms import Alarms
from .engine import Engine, Passed
from .notice import Notice, where
from .outbox import Outbox

_log = logging.getLogger("rebalancer.monitor")
BARELY = timedelta(seconds=1)
SOON = timedelta(seconds=5)
"""The shortest and the longest wait for another look at a close that is under way."""
HAND_OVER = timedelta(seconds=1)
"""For how long between two ticks the lease is given back, so that a person can act from another process."""
_WHAT = {AlarmKind.STORE: "the store", AlarmKind.DEFECT: "the monitor"}


class Loop:
    """Runs passes, one at a time, and tells alarms and observers what came of them."""

    def __init__(self, engine: Engine, observers: Sequence[Observer]) -> None:
        self._engine = engine
        self._alarms = Alarms()
        self._outbox = Outbox(observers, deadline=engine.limits.observer_deadline)
        self._turn = asyncio.Lock()
        self._runs = False
        self._leads = False
        self._again_at: datetime | None = None
        self._closing = False

    async def tick(self) -> TickReport:
        """One whole pass."""
        return await self._pass(decides=True)

    @asynccontextmanager
    async def term(self) -> AsyncIterator[None]:
        """Be the active monitor, and let no pass begin. Raises Fenced while another monitor is active."""
        async with self._turn:
            try:
                await self._lead()
                yield
            except BaseException:
                self._engine.doubt()
                raise
            finally:
                if not self._runs:
                    await self._engine.keeper.rest()

    async def _lead(self) -> None:
        if not await self._engine.begin_term():
            raise Fenced("another monitor is active: try again between two of its ticks")

    async def run(self, every: timedelta) -> None:
        """A pass at each full `every` of the wall clock, the first one at once."""
        if every < SECOND:
            raise InputError("every must be at least a second")
        if self._runs:
            raise InputError("this monitor runs already")
        self._runs = True
        try:
            _log.info("a %s monitor begins, with a tick every %g s", self._engine.mode, every / SECOND)
            while True:
                began = self._engine.clock.monotonic()
                await self._pass(decides=True)
                await self._wait(every, began)
        finally:
            self._runs = False
            if not self._turn.locked():  # else the call that goes on gives the lease back at its end
                await self._rest()

    async def _rest(self) -> None:
        """Give the lease back, but not from under a call that goes on."""
        async with self._turn:
            await self._engine.keeper.rest()

    async def aclose(self) -> None:
        """Give the lease back, and tell observers what is left."""
        await self._rest()
        await self._outbox.aclose(patience=self._engine.limits.observer_deadline)

    async def _pass(self, *, decides: bool) -> TickReport:
        """One pass, and what is told of it."""
        async with self._turn:
            clock = self._engine.clock
            as_of, began = clock.now(), clock.monotonic()
            passed, error, kind = None, None, AlarmKind.STORE
            active: bool | None = None
            self._outbox.go_on()
            try:
                self._leads = active = await self._engine.begin_term()
                if active:
                    passed = await self._engine.one_pass(decides=decides)
            except StoreError as failed:
                self._engine.doubt()
                active = active or self._engine.keeper.leads or None
                error = str(failed)
            except Exception as defect:  # whatever it is, the next tick comes
                self._engine.doubt()
                active = active or self._engine.keeper.leads or None
                error, kind = f"the tick ended early: {where(defect)}", AlarmKind.DEFECT
            except BaseException:
                self._engine.doubt()
                raise
            finally:
                if not self._runs:
                    await self._engine.keeper.rest()
            notices = [] if error is None else [Notice(kind, _WHAT[kind], as_line(error))]
            took = (clock.monotonic() - began) * SECOND
            report = self._report(as_of, passed, notices, took, active=active, decides=decides)
        self._outbox.tell(report)
        return report

    def _report(
        self,
        as_of: datetime,
        passed: Passed | None,
        failed: Sequence[Notice],
        took: timedelta,
        *,
        active: bool | None,
        decides: bool,
    ) -> TickReport:
        failures = passed.failures if passed else tuple(Failure(what=one.about, why=one.why) for one in failed)
        alarms: tuple[Alarm, ...] = ()
        if active is False:
            self._alarms.leave()
        else:
            notices = [*self._outbox.notices, *(passed.all_notices if passed else ()), *failed]
            alarms = self._alarms.raised(notices, as_of, keep=passed is None or not decides)
        self._closing = passed is not None and bool(passed.closing)
        self._again_at = None if passed is None else passed.again_at
        if passed is None:
            return TickReport(as_of=as_of, active=active, decided=decides, failures=failures, alarms=alarms, took=took)
        outcomes = passed.outcomes
        report = TickReport(
            as_of=as_of,
            active=True,
            decided=decides,
            switch=passed.switch,
            decisions=outcomes.decisions,
            skipped=tuple(outcomes.skipped),
            failures=failures,
            alarms=alarms,
            begun=tuple(position.id for position in outcomes.begun),
            ended=passed.ended,
            closing=passed.closing,
            took=took,
        )
        _log.info(
            "tick: %d decided, %d begun, %d ended, %d closing, %d skipped, %d failed, %d alarms, in %.3f s",
            *map(len, (report.decisions, report.begun, report.ended, report.closing, report.skipped)),
            *map(len, (report.failures, report.alarms)),
            took / SECOND,
            extra={"tick": {"as_of": as_of.isoformat(), "switch": report.switch, "seconds": took / SECOND}},
        )
        return report

    async def _wait(self, every: timedelta, began: float) -> None:
        """Until the next full `every`. Meanwhile the lease is kept, given back for a moment, and closes go on."""
        clock = self._engine.clock
        wait = every - (clock.now() - EPOCH) % every
        if clock.monotonic() - began + wait / SECOND < every / SECOND / 2:
            wait += every  # it woke a little early, or began between two of them
        until = clock.monotonic() + wait / SECOND
        hand_over = clock.monotonic() + wait / SECOND / 4
        renew = self._engine.limits.lease / SECOND / 3
        given_back = False
        while (left := until - clock.monotonic()) > 0:
            if not given_back and clock.monotonic() >= hand_over:
                given_back = True
                await self._give_way(min(HAND_OVER / SECOND, left / 3))
                continue
            look = self._next_look()
            pause = min(left, renew, *(() if given_back else (hand_over - clock.monotonic(),)))
            if look is not None and look <= pause:
                await clock.sleep(look)
                await self._pass(decides=False)
            else:
                await clock.sleep(max(pause, 0.001))
                await self._renew()

    def _next_look(self) -> float | None:
        """Seconds until a close that is under way is looked at again; None if none is."""
        if not (self._leads and self._closing):
            return None
        wait = SOON if self._again_at is None else self._again_at - self._engine.clock.now()
        return max(BARELY, min(wait, SOON)) / SECOND

    async def _give_way(self, seconds: float) -> None:
        """Let somebody else have the lease for a moment: the command line of a person. What was begun then goes on.

        Not under a call of this process, which needs it.
        """
        if self._leads and not self._turn.locked():
            keeper = self._engine.keeper
            term = keeper.term
            await self._rest()
            await self._engine.clock.sleep(seconds)
            await self._renew()
            if keeper.leads and keeper.term != term:
                await self._pass(decides=False)
        else:
            await self._engine.clock.sleep(seconds)

    async def _renew(self) -> None:
        """Keep the lease; a call that goes on has its own. That the store fails is found out, and said, next tick."""
        if self._leads and not self._turn.locked():
            try:
                async with self._turn:
                    await self._engine.keeper.lead()
            except RebalancerError as error:
                _log.warning("the lease was not renewed: %s", as_line(error))
