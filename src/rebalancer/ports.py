"""What a host supplies: abstract classes that adapters, ready-made or the host's own, make real."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from datetime import datetime, timedelta
    from uuid import UUID

    from .domain.batch import Batch, Lease, LedgerEntry, StoredDecision, StoredTick, StoreMode
    from .domain.intents import Intent
    from .domain.legs import LegState
    from .domain.lifecycle import Switch
    from .domain.market import Quote
    from .domain.names import Market
    from .domain.needs import Needs
    from .domain.orders import Capabilities, Report
    from .domain.position import Position
    from .domain.request import MarketRequest
    from .domain.smoothed import SmoothedRate
    from .domain.snapshot import MarketSnapshot
    from .domain.tick import TickReport


class Clock(ABC):
    """What time it is, and how to wait. One interface for live and for tests."""

    @abstractmethod
    def now(self) -> datetime:
        """The wall clock, in UTC."""

    @abstractmethod
    def monotonic(self) -> float:
        """Seconds that never go back, since an instant of no meaning. For durations."""

    @abstractmethod
    async def sleep(self, seconds: float) -> None:
        """Wait that long."""


class FundingSource(ABC):
    """Where funding rates come from. It is asked once a tick, for all positions at once.

    Use it as an asynchronous context manager, or call `aclose()` when done.
    """

    @property
    @abstractmethod
    def name(self) -> str:
        """What the source is called in errors and as the `origin` of its quotes."""

    @property
    @abstractmethod
    def supplies(self) -> Needs:
        """What it can supply. A strategy that needs more is refused when it starts."""

    @abstractmethod
    async def snapshot(self, request: MarketRequest) -> MarketSnapshot:
        """What is known now of the markets that `request` names, with at most one quote a market.

        `as_of` is the source's now, not the time of what it kept. Everything that could not be had is in `missing`,
        with the reason; unknown is never zero. Where a venue, or a row of one, could not be read though its candidates
        were wanted, `opportunities` are missing too: a list that may lack some is no proof of none. Raises SourceError
        if nothing could be had at all, and nothing else.
        """

    async def settlements(self, markets: Collection[Market], since: datetime) -> tuple[Quote, ...]:  # noqa: ARG002
        """What `markets` settled at `since` or later, up to the source's now, in order of time: settled quotes alone.

        What it does not have is not there: nothing at all, unless a source says otherwise. Of a market it has all of
        that time, as it stamps its quotes, or it leaves the market out. Whoever smooths rates asks for what it did not
        see itself, in the order in which it wants the markets. Raises SourceError if it could have some and had none,
        and nothing else.
        """
        return ()

    @property
    def plays_back(self) -> bool:
        """Whether its time is another than now, as of a history that is played back. Else who asks sets `as_of`."""
        return False

    async def aclose(self) -> None:  # noqa: B027  # most sources hold nothing
        """Give back what it holds. May be called twice."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


class Executor(ABC):
    """What moves one leg. The engine owns everything else: sagas, retries, unwinding, recovery.

    Only evidence is reported: a client's answer to placing an order is a hint, for which `send` reports `unknown`. A
    method that fails may raise; that is unknown too. Its caller may be cancelled at any time, and an order that is on
    its way then still counts. `rebalancer.testing.checks_for_executor` says whether it does all this. Use it as an
    asynchronous context manager, or call `aclose()`.
    """

    @property
    def mode(self) -> StoreMode:
        """What its orders are: live, unless it says otherwise. Their positions are kept in a store of that mode."""
        from .domain.batch import StoreMode

        return StoreMode.LIVE

    @property
    def supplies(self) -> Needs:
        """What it can supply to rules: nothing, unless it reads legs."""
        from .domain.needs import Needs

        return Needs(rates=False)

    @abstractmethod
    def capabilities(self, venue: str) -> Capabilities:
        """What `venue` really does, for a client of this executor; nothing for a venue that it does not have."""

    @abstractmethod
    async def read_legs(self, markets: Collection[Market]) -> Mapping[Market, LegState]:
        """What is held on each of `markets`, and of no others; one batch for each venue.

        What could not be read is Unknown, and so is a market that the venue does not have: never zero.
        """

    @abstractmethod
    async def send(self, intent: Intent) -> Report:
        """Send the order of an intent, with its key as the client order id, and `reduce_only` where it says so.

        The quantity is the intent's: it is not rounded up, and not tried again. A venue that refuses the id because it
        knows it has not rejected the order.
        """

    @abstractmethod
    async def find(self, intent: Intent) -> Report:
        """What became of the order of an intent, whoever sent it."""

    @abstractmethod
    async def cancel(self, intent: Intent) -> Report:
        """Cancel what is left of the order of an intent, and report what became of it: `live` until that is known."""

    async def aclose(self) -> None:  # noqa: B027  # most executors hold nothing
        """Give back what it holds. May be called twice."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


class Observer(ABC):
    """Who is told of every tick: it notifies a person, keeps figures, or draws them.

    It is told off the decision path. One that is slow, raises or hangs loses reports, and nothing waits for it.
    """

    @abstractmethod
    async def observe(self, report: TickReport) -> None:
        """Take note of a tick."""


class PositionStore(ABC):
    """Where positions, intents and decisions are kept, so that a crash loses none.

    One holder of the lease writes at a time, by `commit`, which writes a whole batch or nothing. Reads and the switch
    need no lease. It is made for one `mode`. Use it as an asynchronous context manager, or call `aclose()`.
    """

    @property
    @abstractmethod
    def mode(self) -> StoreMode:
        """What its positions are."""

    @abstractmethod
    async def acquire(self, holder: str, ttl: timedelta) -> Lease | None:
        """The lease until `ttl` from now; None while another holder's runs. Its own holder keeps its epoch.

        `holder` names one process, and another after a restart. `ttl` is a second or longer. Only the end of the lease
        is wall time: who was elected writes until somebody else is.
        """

    @abstractmethod
    async def release(self, lease: Lease) -> None:
        """Give the lease back, so that the next holder need not wait. One that has passed on is left alone."""

    @abstractmethod
    async def commit(self, lease: Lease, batch: Batch) -> None:
        """Write a batch in one transaction, durably.

        Raises Fenced if the lease's epoch has passed, Stopped if the switch forbids one of the intents, and Conflict
        for a change that the state tables of `domain/lifecycle` refuse, a version or revision that is not the next
        one, a market that another living position owns, or a decision or ledger entry that differs from what is there.
        Nothing is written then. Any other failure is a StoreError, or a cancellation: then it may have been written or
        not, as a whole, and reading again tells.
        """

    @abstractmethod
    async def live(self) -> tuple[Position, ...]:
        """The positions that are not closed, in order of their opening."""

    @abstractmethod
    async def position(self, position_id: UUID) -> Position | None:
        """A position, closed ones too."""

    @abstractmethod
    async def intents(self, position_id: UUID | None = None) -> tuple[Intent, ...]:
        """All intents of a position; without one, those of all positions that are planned or sent. In order of time."""

    @abstractmethod
    async def decision(self, decision_id: UUID) -> StoredDecision | None:
        """A decision by its id."""

    @abstractmethod
    async def decisions(self, since: datetime) -> tuple[StoredDecision, ...]:
        """The decisions made at `since` or later, in order of time."""

    async def exits(self, since: datetime) -> tuple[StoredDecision, ...]:
        """Those of them that wanted to leave; a store that can tell without reading all should.

        A monitor begins with them, and of thousands of positions that hold there is a decision an hour each.
        """
        from .domain.verdict import Action

        return tuple(one for one in await self.decisions(since) if one.record.action is not Action.HOLD)

    @abstractmethod
    async def ledger(self, position_id: UUID) -> tuple[LedgerEntry, ...]:
        """A position's fees and funding, in order of time."""

    @abstractmethod
    async def observations(
        self, markets: Collection[Market], since: datetime, *, most: int | None = None
    ) -> tuple[Quote, ...]:
        """The observations of `markets` seen at `since` or later (of each at `most` the latest), in order of time."""

    @abstractmethod
    async def smoothed(self) -> tuple[SmoothedRate, ...]:
        """The smoothed rates: of each market and signal the latest that was written."""

    @abstractmethod
    async def ticks(self, since: datetime) -> tuple[StoredTick, ...]:
        """The ticks at `since` or later, in order of time."""

    @abstractmethod
    async def switch(self) -> Switch:
        """What a monitor may do."""

    @abstractmethod
    async def set_switch(self, switch: Switch) -> None:
        """Say what a monitor may do from now on. Needs no lease, and counts for every later commit."""

    @abstractmethod
    async def aclose(self) -> None:
        """Give back what it holds. May be called twice."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()
