"""The store, asked with a deadline and under a lease of which this monitor knows on its own clock how long it lasts."""

from __future__ import annotations

from asyncio import CancelledError, Lock
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeVar

from .._within import LateError, within
from ..domain.batch import Batch, Lease
from ..domain.names import as_line
from ..domain.times import SECOND
from ..errors import Fenced, RebalancerError, StoreError
from ..ports import Clock, PositionStore
from .notice import where

T = TypeVar("T")


class Keeper:
    """Asks a store, no call longer than `deadline`, and writes under a lease.

    Wall time in the store only elects. That the lease lasts, this monitor knows by its own steady clock, counted from
    before it asked. Every failure is a StoreError, whatever the store raised.
    """

    def __init__(
        self, store: PositionStore, *, clock: Clock, holder: str, lease: timedelta, deadline: timedelta
    ) -> None:
        self.store = store
        self._clock = clock
        self._holder = holder
        self._span = lease
        self._deadline = deadline
        self._lease: Lease | None = None
        self._renewal = Lock()
        self._until = 0.0
        self._next_epoch = 0
        self._cut_off = False
        self.term = 0
        """A number for the time in which nobody else had the lease; what is remembered of the store is of one term."""

    @property
    def leads(self) -> bool:
        """Whether the lease was had when the store was last asked."""
        return self._lease is not None

    async def lead(self) -> bool:
        """Whether this monitor is the active one: it has the lease now, for its whole length."""
        asked, lease = self._clock.monotonic(), None
        try:
            lease = await self.ask(self._acquire)
        except CancelledError:
            self._cut_off = True
            raise
        finally:
            self._lease = lease  # not before: what is written meanwhile, is written under the one there was
        if lease is not None:
            self._until = asked + self._span / SECOND
            self.term += lease.epoch > self._next_epoch
            self._next_epoch = lease.epoch
        return lease is not None

    async def hold_for(self, span: timedelta) -> None:
        """Be sure of the lease for `span` from now, on both clocks. Raises Fenced if it can not be had."""
        async with self._renewal:  # of many that send at once, one renews it
            if not self._lasts(span) and not (await self.lead() and self._lasts(span)):
                raise Fenced("the lease is not had for long enough: nothing is sent")

    def check_for(self, span: timedelta) -> None:
        """Raise Fenced unless the lease still lasts for `span`, without renewing it: this process may have slept."""
        if not self._lasts(span):
            raise Fenced("the lease does not last any more: nothing is sent")

    def _lasts(self, span: timedelta) -> bool:
        if self._lease is None or self._clock.monotonic() + span / SECOND > self._until:
            return False
        return self._lease.held_at(self._clock.now() + span)

    async def commit(self, batch: Batch) -> None:
        """Write a batch; see `PositionStore.commit`."""
        lease = self._lease
        if lease is None:
            raise Fenced("there is no lease: nothing is written")
        try:
            await self.ask(lambda: self.store.commit(lease, batch))
        except Fenced:
            self._lease = None
            raise

    async def rest(self) -> None:
        """Give the lease back. That the store fails at it does no harm: the lease ends by itself."""
        lease, self._lease = self._lease, None
        if self._cut_off:  # it asked, and did not hear the answer
            self._cut_off = False
            lease = (await within(self._deadline, self._acquire)).value
            self.term += lease is not None and lease.epoch > self._next_epoch
        if lease is not None:
            self._next_epoch = lease.epoch + 1  # that of the next holder: this monitor again, if nobody comes between
            await within(self._deadline, lambda: self.store.release(lease))

    async def _acquire(self) -> Lease | None:
        lease = await self.store.acquire(self._holder, self._span)
        if lease is not None and not isinstance(lease, Lease):
            raise StoreError(f"the store returned a {type(lease).__name__}, not a Lease")
        return lease

    async def ask(self, call: Callable[[], Awaitable[T]]) -> T:
        """What the store answers. Raises StoreError, also if it is too late; then it may have been written or not."""
        outcome = await within(self._deadline, call)
        if outcome.error is None:
            return outcome.value  # type: ignore[return-value]  # no error: it is what the call returned
        if isinstance(outcome.error, StoreError):
            try:
                raise outcome.error
            finally:
                del (
                    outcome
                )  # an error whose traceback leads to itself keeps what was to be written until it is collected
        if isinstance(outcome.error, LateError):
            why = f"no answer within {self._deadline / SECOND:g} s"
        elif isinstance(outcome.error, RebalancerError):
            why = str(outcome.error)
        else:
            why = f"it raised {where(outcome.error)}"
        raise StoreError(as_line(f"the store failed: {why}")) from None  # what it raised may carry a secret
