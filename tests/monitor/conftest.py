"""A small world to watch: two fake venues, rates that a test sets, a store, and monitors that come and go."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from rebalancer import (
    FundingSource,
    Intent,
    MarketRequest,
    MarketSnapshot,
    Missing,
    MonitorLimits,
    Needs,
    Position,
    PositionMonitor,
    PositionStatus,
    PositionStore,
    Rule,
    SourceUnavailableError,
    StoreMode,
    TickReport,
    presets,
)
from rebalancer.adapters import MemoryStore
from rebalancer.domain.names import Market
from rebalancer.testing import FakeExecutor, FakeVenue, ManualClock, a_position, a_quote
from rebalancer.testing.fake_venue import Habits, TruthLog
from rebalancer.testing.fake_venue.truth import effects, net, problems

HOLDS = {"lighter": "0.0001", "grvt": "0.0003"}
FLIPPED = {"lighter": "0.0003", "grvt": "0.0001"}


class Rates(FundingSource):
    """Rates that a test sets, by venue or by market; fresh at every look. `down` makes it fail."""

    name = "rates"
    supplies = Needs(opportunities=True, schedule=True, open_interest=True, volume=True, mark_price=True)

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock
        self.of: dict[str | Market, str | None] = dict(HOLDS.items())
        self.down = False
        self.asked = 0

    async def snapshot(self, request: MarketRequest) -> MarketSnapshot:
        self.asked += 1
        if self.down:
            raise SourceUnavailableError(self.name, "it is down")
        now = self._clock.now()
        rates = {market: self.of.get(market, self.of.get(market.venue)) for market in request.markets}
        quotes = tuple(
            a_quote(market.venue, rate, symbol=market.symbol, observed_at=now)
            for market, rate in rates.items()
            if rate is not None
        )
        missing = tuple(
            Missing(field="rate", venue=market.venue, symbol=market.symbol, why="the source has none")
            for market, rate in rates.items()
            if rate is None
        )
        return MarketSnapshot(as_of=now, quotes=quotes, missing=missing)


class World:
    """Two venues with one truth log, a clock, rates and a store. Everything may be replaced before `monitor()`."""

    def __init__(
        self,
        *,
        symbols: tuple[str, ...] = ("BTC",),
        habits: Habits | None = None,
        mode: StoreMode = StoreMode.LIVE,
        seed: int = 0,
    ) -> None:
        self.clock = ManualClock()
        self.log = TruthLog()
        prices = dict.fromkeys(symbols, 100_000)
        self.lighter, self.grvt = (
            FakeVenue(name, prices=prices, clock=self.clock, habits=habits, seed=seed, log=self.log)
            for name in ("lighter", "grvt")
        )
        self.venues = {"lighter": self.lighter, "grvt": self.grvt}
        self.rates = Rates(self.clock)
        self.store: PositionStore = MemoryStore(mode=mode, clock=self.clock)
        self.executor: Any = FakeExecutor(self.lighter, self.grvt)
        self.strategy: Rule = presets.conservative()

    def monitor(self, **given: Any) -> PositionMonitor:
        """A monitor on this world, as after a start of the process: it remembers nothing."""
        limits = given.pop("limits", MonitorLimits())
        usual = {
            "strategy": self.strategy,
            "source": self.rates,
            "store": self.store,
            "executor": self.executor,
            "clock": self.clock,
            "limits": limits,
        }
        return PositionMonitor(**{**usual, **given})

    def hold(self, symbol: str = "BTC", quantity: str = "0.1") -> None:
        """Have both legs of a position on the venues."""
        self.lighter.hold(symbol, quantity)
        self.grvt.hold(symbol, f"-{quantity}")

    async def adopted(self, monitor: PositionMonitor, symbol: str = "BTC", **fields: Any) -> Position:
        """A position that is held on the venues and taken over by the monitor."""
        self.hold(symbol)
        return await monitor.adopt(a_position(symbol=symbol, **fields))

    def flip(self, *symbols: str) -> None:
        """Have the divergence be negative from now on: everywhere, or for these symbols."""
        for venue, rate in FLIPPED.items():
            if symbols:
                self.rates.of.update({Market(venue, symbol): rate for symbol in symbols})
            else:
                self.rates.of[venue] = rate

    async def ticks(self, monitor: PositionMonitor, count: int, *, every: float = 5) -> list[TickReport]:
        """Several ticks, some seconds apart."""
        reports = []
        for _ in range(count):
            reports.append(await monitor.check_all_positions())
            self.clock.advance(timedelta(seconds=every))
        return reports

    async def status(self, position: Position) -> PositionStatus:
        """What the store has."""
        stored = await self.store.position(position.id)
        assert stored is not None
        return stored.status

    async def intents(self, position: Position) -> tuple[Intent, ...]:
        """All intents of a position."""
        return await self.store.intents(position.id)

    @property
    def facts(self) -> list[dict[str, Any]]:
        """All that really happened on both venues."""
        for venue in self.venues.values():
            venue.catch_up()
        return self.log.facts

    @property
    def held(self) -> dict[tuple[str, str], Any]:
        """What is really held, where it is not nothing."""
        return {market: tokens for market, tokens in net(self.facts).items() if tokens}

    @property
    def wrong(self) -> list[str]:
        """Everything that must never be."""
        return problems(self.facts)

    @property
    def sent(self) -> list[dict[str, Any]]:
        """Every order that reached a venue: accepted, rejected or turned away."""
        return [fact for fact in self.facts if fact["fact"] in ("accepted", "rejected", "refused")]

    @property
    def closes(self) -> dict[tuple[str, str], Any]:
        """What closes did, by position id and leg."""
        return effects(self.facts, "close")


@pytest.fixture
def a_world() -> Callable[..., World]:
    """Makes a world."""
    return World


@pytest.fixture
def world() -> World:
    """The usual world: BTC on lighter and grvt, everything works."""
    return World()


@pytest.fixture(scope="session")
def naive() -> ModuleType:
    """The module `naive.py`: a careless bot, and `without(defence, ...)`, the engine without its defences."""
    spec = spec_from_file_location("naive", Path(__file__).with_name("naive.py"))
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def without(naive: ModuleType) -> Callable[..., Any]:
    """A context in which some defences are not there, by their names."""
    found: Callable[..., Any] = naive.without
    return found
