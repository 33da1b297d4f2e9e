"""A stateful model: positions, two venues, a person, somebody else and crashes; and what must hold at each step.

The monitor may die at any call of its store or executor: then every later call of that process fails, so that nothing
it still does is seen by anybody, and another one starts with nothing but the store.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from rebalancer import (
    Action,
    AlarmKind,
    Batch,
    Capabilities,
    IntentState,
    MonitorLimits,
    Position,
    PositionMonitor,
    PositionStatus,
    RebalancerError,
    StoreMode,
    Switch,
)
from rebalancer.domain.names import Market
from rebalancer.testing import FakeExecutor, a_position
from rebalancer.testing.fake_venue import Answer, Fate, Habits, Ids
from rebalancer.testing.fake_venue.truth import incoherent, problems, wrong_closes

if TYPE_CHECKING:
    from .conftest import World

MakeWorld = Callable[..., "World"]
SYMBOLS = ("BTC", "ETH", "SOL")
VENUES = ("lighter", "grvt")
LAG = timedelta(seconds=2)
SETTLE = timedelta(seconds=20)
"""Longer than any planned order lives, and any planned read lags, together."""
QUANTITY = Decimal("0.1")
MOVES = {
    (None, "open"),
    ("open", "pending_close"),
    ("open", "closed"),
    ("pending_close", "half_closed"),
    ("pending_close", "closed"),
    ("half_closed", "closed"),
}
"""Where a position may go, without opens and switches: written down once more, so that no table judges itself."""
FATES = {
    "place": (
        Fate(reject="no liquidity"),
        Fate(share="0.4"),
        Fate(answer=Answer.TIMEOUT),
        Fate(answer=Answer.TIMEOUT, done=False),
        Fate(answer=Answer.RESET, after=timedelta(seconds=6)),
        Fate(answer=Answer.HINT, after=timedelta(seconds=8), share="0.5"),
        Fate(answer=Answer.UNAVAILABLE, arrives=timedelta(seconds=4)),
        Fate(rests=True, share="0.5"),
    ),
    "find": (
        Fate(answer=Answer.UNAVAILABLE),
        Fate(answer=Answer.HTML),
        Fate(lag=timedelta(seconds=8)),
        Fate(answer=Answer.NULL),
    ),
    "read": (
        Fate(answer=Answer.UNAVAILABLE),
        Fate(answer=Answer.EMPTY),
        Fate(answer=Answer.NULL),
        Fate(lag=timedelta(seconds=9)),
    ),
    "cancel": (Fate(answer=Answer.TIMEOUT, done=False), Fate(loses=True)),
}
ANOTHER_VENUE = "time went back"
"""Not wrong here: two venues write one log, and each catches up with its own delayed fills when it is looked at."""
PLANS = [(call, fate) for call, fates in FATES.items() for fate in fates]


class Crash(BaseException):
    """The process is gone."""


class Life:
    """One process: it ends at one of its calls, before or after the call does its work."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._left: int | None = None
        self._after = False
        self.dead = False

    def ends_at(self, call: int, *, after: bool) -> None:
        """Die at the call of this number from now."""
        self._left, self._after = call, after

    async def through(self, call: Callable[[], Awaitable[Any]]) -> Any:
        """One call of the store or the executor."""
        if self.dead:
            raise Crash
        if self._left is not None:
            self._left -= 1
            if self._left <= 0:
                self.dead = True
                if self._after:
                    await call()
                raise Crash
        return await call()


class Mortal:
    """A store or an executor, as long as the process lives that uses it."""

    def __init__(self, target: Any, life: Life, seen: Callable[[str, tuple[Any, ...]], None]) -> None:
        self._target = target
        self._life = life
        self._seen = seen

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._target, name)
        if not asyncio.iscoroutinefunction(value):
            return value

        async def call(*args: Any) -> Any:
            async def done() -> Any:
                self._seen(name, args)
                return await value(*args)

            return await self._life.through(done)

        return call


class Model(RuleBasedStateMachine):
    """The world, a monitor in it, and what is known of it from outside."""

    dry = False

    def __init__(self, a_world: MakeWorld) -> None:
        super().__init__()
        self._make = a_world
        self._loop = asyncio.new_event_loop()
        self.foreign: dict[tuple[str, str], Decimal] = {}
        self.held_by: dict[str, UUID] = {}
        self.moves: dict[UUID, list[tuple[str, int]]] = {}
        self.faults: list[str] = []
        self.killed = False

    def run(self, call: Awaitable[Any]) -> Any:
        """What it gives, with time for all that it starts."""
        return self._loop.run_until_complete(call)

    @initialize(reduce_only_alone=st.booleans(), closes=st.sampled_from((1, 10)))
    def begin(self, reduce_only_alone: bool, closes: int) -> None:  # noqa: FBT001
        """Venues of one of two kinds: with ids that are refused for ever, or with none that count."""
        habits = Habits(read_lag=LAG, ids=Ids.OPEN if reduce_only_alone else Ids.FOREVER)
        self.twice_allowed = reduce_only_alone
        mode = StoreMode.DRY if self.dry else StoreMode.LIVE
        self.world = self._make(symbols=SYMBOLS, habits=habits, mode=mode)
        can = Capabilities(
            reduce_only=True,
            dedupes_ids=not reduce_only_alone,
            finds_ids=True,
            sends_once=True,
            reads_legs=True,
            read_lag=timedelta(seconds=10),
            settle=SETTLE,
        )
        self.executor = FakeExecutor(*self.world.venues.values(), capabilities=dict.fromkeys(VENUES, can))
        self.limits = MonitorLimits(closes_per_minute=closes)
        self.start()
        for symbol in SYMBOLS[:2]:
            self.adopt(symbol, known=True)

    def start(self) -> None:
        """A new process."""
        self.life = Life(self)
        self.monitor: PositionMonitor = self.world.monitor(
            store=Mortal(self.world.store, self.life, self.at_store),
            executor=Mortal(self.executor, self.life, self.at_venue),
            limits=self.limits,
        )
        self.approvals: list[str] = []
        self.unknown: set[UUID | None] = set()

    def at_store(self, name: str, args: tuple[Any, ...]) -> None:
        """Note what is to be written."""
        if name != "commit":
            return
        batch: Batch = args[1]
        for intent in batch.intents:
            if intent.state is IntentState.SENT and self.killed and intent.revision == 1:
                self.faults.append(f"sent while killed: {intent}")

    def at_venue(self, name: str, args: tuple[Any, ...]) -> None:
        """Note what is sent."""
        if name == "send":
            if self.killed:
                self.faults.append(f"an order while killed: {args[0]}")
            if self.dry:
                self.faults.append(f"an order in a dry run: {args[0]}")
            stored = self.run_later(args[0].position_id)
            if stored is None or stored.status not in (PositionStatus.PENDING_CLOSE, PositionStatus.HALF_CLOSED):
                self.faults.append(f"an order for a position that is not closing: {args[0]}")

    def run_later(self, position_id: UUID) -> Position | None:
        """What the store has of a position, looked up without waiting."""
        tables: Any = self.world.store
        found: Position | None = tables._tables.positions.get(position_id)
        return found

    @property
    def positions(self) -> dict[UUID, Position]:
        """All positions that the store has."""
        tables: Any = self.world.store
        return dict(tables._tables.positions)

    def live(self, symbol: str) -> Position | None:
        """The living position of a symbol."""
        found = (one for one in self.positions.values() if one.symbol == symbol)
        return next((one for one in found if one.status is not PositionStatus.CLOSED), None)

    @property
    def any_live(self) -> list[Position]:
        """The living positions."""
        return [one for one in self.positions.values() if one.status is not PositionStatus.CLOSED]

    def guarded(self, call: Awaitable[Any]) -> Any:
        """A call of the monitor, which may refuse it; a process that died in it is followed by another."""
        try:
            with suppress(RebalancerError):
                return self.run(call)
        finally:
            if self.life.dead:
                self.start()
        return None

    # What happens

    @precondition(lambda self: len(self.any_live) < len(SYMBOLS))
    @rule(symbol=st.sampled_from(SYMBOLS), known=st.booleans())
    def adopt(self, symbol: str, known: bool) -> None:  # noqa: FBT001
        """The host opens a position and hands it over."""
        if self.live(symbol) is not None:
            return
        for venue in self.world.venues.values():
            venue.close(symbol)
            self.foreign[venue.name, symbol] = Decimal(0)
        self.world.hold(symbol, str(QUANTITY))
        self.world.clock.advance(LAG + timedelta(seconds=1))  # a read that lags more shows nothing yet
        quantities: dict[str, Any] = {"long_quantity": QUANTITY, "short_quantity": QUANTITY} if known else {}
        position = a_position(symbol=symbol, opened_at=self.world.clock.now(), **quantities)
        self.guarded(self.monitor.adopt(position))
        if self.live(symbol) is None:
            for venue in self.world.venues.values():
                venue.close(symbol)

    @precondition(lambda self: self.any_live)
    @rule(symbol=st.sampled_from(SYMBOLS))
    def adopt_another(self, symbol: str) -> None:
        """Another position on markets that are taken is refused."""
        if self.live(symbol) is None:
            return
        other = a_position(symbol=symbol, opened_at=self.world.clock.now() - timedelta(days=1))
        before = len(self.positions)
        self.guarded(self.monitor.adopt(other))
        assert len(self.positions) == before, "a market was claimed twice"

    @rule(seconds=st.sampled_from((0, 1, 5, 30, 61)))
    def tick(self, seconds: int) -> None:
        """Time passes, and the monitor looks."""
        self.world.clock.advance(timedelta(seconds=seconds))
        report = self.guarded(self.monitor.check_all_positions())
        if report is not None:
            self.approvals = [alarm.approve for alarm in report.alarms if alarm.approve is not None]
            self.unknown = {alarm.position_id for alarm in report.alarms if alarm.kind is AlarmKind.ORDER_UNKNOWN}

    @rule(symbol=st.sampled_from(SYMBOLS), count=st.integers(1, 4))
    def leave(self, symbol: str, count: int) -> None:
        """A symbol turns, and the monitor looks some times."""
        self.rate(symbol, flipped=True)
        for _ in range(count):
            self.tick(5)

    @rule(call=st.integers(1, 40), after=st.booleans())
    def crash(self, call: int, after: bool) -> None:  # noqa: FBT001
        """The process ends in the middle of a tick."""
        self.life.ends_at(call, after=after)
        self.guarded(self.monitor.check_all_positions())
        if not self.life.dead:
            self.start()

    @rule(minutes=st.sampled_from((1, 5, 16, 61)))
    def wait(self, minutes: int) -> None:
        """Time passes."""
        self.world.clock.advance(timedelta(minutes=minutes))

    @rule(symbol=st.sampled_from(SYMBOLS), flipped=st.booleans())
    def rate(self, symbol: str, flipped: bool) -> None:  # noqa: FBT001
        """The divergence of a symbol turns."""
        rates = ("0.0003", "0.0001") if flipped else ("0.0001", "0.0003")
        self.world.rates.of.update({Market(venue, symbol): rate for venue, rate in zip(VENUES, rates, strict=True)})

    @rule(down=st.booleans())
    def source(self, down: bool) -> None:  # noqa: FBT001
        """The source fails, or works again."""
        self.world.rates.down = down

    @rule(symbol=st.sampled_from(SYMBOLS))
    def hand_close(self, symbol: str) -> None:
        """A person closes it."""
        position = self.live(symbol)
        if position is not None:
            self.guarded(self.monitor.close(position.id))

    @rule(symbol=st.sampled_from(SYMBOLS), venue=st.sampled_from((*VENUES, None)))
    def gone(self, symbol: str, venue: str | None) -> None:
        """Somebody else closes a leg, or both; or they are liquidated."""
        for name in VENUES if venue is None else (venue,):
            self.world.venues[name].liquidate(symbol)
            self.foreign[name, symbol] = Decimal(0)

    @rule(symbol=st.sampled_from(SYMBOLS), venue=st.sampled_from(VENUES), grows=st.booleans())
    def traded(self, symbol: str, venue: str, grows: bool) -> None:  # noqa: FBT001
        """Somebody else trades a part on the account."""
        held = self.world.held.get((venue, symbol), Decimal(0))
        if held:
            by = held * Decimal("0.3")
            self.world.venues[venue].change(symbol, by if grows else -by)
            if grows:
                self.foreign[venue, symbol] = self.foreign.get((venue, symbol), Decimal(0)) + abs(by)

    @rule(venue=st.sampled_from(VENUES), plan=st.sampled_from(PLANS), times=st.integers(1, 3))
    def fate(self, venue: str, plan: tuple[str, Fate], times: int) -> None:
        """The next calls of a venue go another way."""
        self.world.venues[venue].plan(*plan, times=times)

    @rule()
    def look_behind(self) -> None:
        """The monitor looks, and both venues show what was held some time ago."""
        for venue in self.world.venues.values():
            venue.plan("read", Fate(lag=timedelta(seconds=9)))
        self.tick(0)

    @rule(venue=st.sampled_from(VENUES))
    def well(self, venue: str) -> None:
        """A venue works again."""
        self.world.venues[venue].unplan()

    @rule(switch=st.sampled_from((Switch.RUN, Switch.RUN, Switch.KILL, Switch.PAUSE, Switch.FLATTEN)))
    def switch(self, switch: Switch) -> None:
        """A person sets the switch, from another process."""
        self.run(self.world.store.set_switch(switch))
        self.killed = switch is Switch.KILL

    @precondition(lambda self: self.approvals)
    @rule(place=st.integers(0, 5))
    def approve(self, place: int) -> None:
        """A person lets something go."""
        self.guarded(self.monitor.approve(self.approvals[place % len(self.approvals)]))

    @rule(symbol=st.sampled_from(SYMBOLS))
    def merge(self, symbol: str) -> None:
        """The host opens more of the same."""
        position = self.live(symbol)
        if position is None or position.status is not PositionStatus.OPEN:
            return
        more: dict[str, Any] = {"long_quantity": QUANTITY, "short_quantity": QUANTITY}
        version = position.version
        self.guarded(self.monitor.merge(position.id, a_position(symbol=symbol, size_usd=5_000, **more)))
        if self.positions[position.id].version != version:
            self.world.lighter.change(symbol, QUANTITY)
            self.world.grvt.change(symbol, -QUANTITY)

    # What must hold

    @invariant()
    def nothing_is_wrong_on_the_venues(self) -> None:
        if hasattr(self, "world"):
            facts = self.world.facts
            wrong = [*incoherent(facts), *wrong_closes(facts)] if self.twice_allowed else problems(facts)
            assert [one for one in wrong if not one.endswith(ANOTHER_VENUE)] == []
            assert self.faults == []

    @invariant()
    def positions_go_along_the_tables(self) -> None:
        if not hasattr(self, "world"):
            return
        for key, position in self.positions.items():
            seen = self.moves.setdefault(key, [])
            last = seen[-1][0] if seen else None
            if last != position.status:
                assert _reaches(last, position.status), f"from {last} to {position.status}"
                seen.append((position.status, position.version))

    @invariant()
    def no_market_is_owned_twice(self) -> None:
        if hasattr(self, "world"):
            living = [one for one in self.positions.values() if one.status is not PositionStatus.CLOSED]
            markets = [market for one in living for market in (one.pair.long, one.pair.short)]
            assert len(markets) == len(set(markets))

    @invariant()
    def what_is_closed_is_flat(self) -> None:
        if not hasattr(self, "world") or self.dry:
            return
        for symbol in SYMBOLS:
            closed = [one for one in self.positions.values() if one.symbol == symbol]
            if closed and self.live(symbol) is None:
                for venue in VENUES:
                    left = abs(self.world.held.get((venue, symbol), Decimal(0)))
                    assert left <= self.foreign.get((venue, symbol), 0), f"{symbol} is left on {venue}: {left}"

    @invariant()
    def every_exit_has_its_decision(self) -> None:
        if not hasattr(self, "world"):
            return
        tables: Any = self.world.store
        kept = {
            (one.record.position_id, one.record.position_version)
            for one in tables._tables.decisions.values()
            if one.record.action is Action.CLOSE
        }
        for own in tables._tables.orders.values():
            for intent in own.values():
                if intent.attempt == 1:
                    assert (intent.position_id, intent.version) in kept, "an exit without a decision"

    def teardown(self) -> None:
        """With everything healthy, what began to close comes to its end."""
        try:
            if hasattr(self, "world"):
                self.at_the_end()
        finally:
            self._loop.close()

    def at_the_end(self) -> None:
        """Have everything work, and let time pass."""
        for venue in self.world.venues.values():
            venue.unplan()
        self.switch(Switch.RUN)
        closing = [
            key
            for key, one in self.positions.items()
            if one.status in (PositionStatus.PENDING_CLOSE, PositionStatus.HALF_CLOSED)
        ]
        for _ in range(40):
            if all(self.positions[key].status is PositionStatus.CLOSED for key in closing):
                break
            self.tick(20)
        stuck = [self.positions[key] for key in closing if self.positions[key].status is not PositionStatus.CLOSED]
        assert [str(one) for one in stuck if not self.waits_for_a_person(one)] == []
        self.nothing_is_wrong_on_the_venues()
        self.what_is_closed_is_flat()
        self.every_exit_has_its_decision()

    def waits_for_a_person(self, position: Position) -> bool:
        """Whether an order that may be filled twice could close what is somebody else's, and the monitor says so."""
        foreign = any(self.foreign.get((venue, position.symbol)) for venue in VENUES)
        return self.twice_allowed and foreign and position.id in self.unknown


class DryModel(Model):
    """The same in a dry run: nothing is ever sent."""

    dry = True


def _reaches(before: str | None, after: str) -> bool:
    """Whether there is a way, of one step or several."""
    return (before, after) in MOVES or any(_reaches(there, after) for here, there in MOVES if here == before)


SMALL = settings(
    max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck), database=None
)
LARGE = settings(SMALL, max_examples=4_000, stateful_step_count=60, print_blob=True)


@pytest.mark.parametrize("kind", [Model, DryModel], ids=["live", "dry"])
def test_a_monitor_that_may_die_at_any_call_keeps_its_word(a_world: MakeWorld, kind: type[Model]) -> None:
    run_state_machine_as_test(partial(kind, a_world), settings=SMALL)  # type: ignore[arg-type]  # whatever makes one


@pytest.mark.campaign
@pytest.mark.parametrize("kind", [Model, DryModel], ids=["live", "dry"])
def test_it_does_so_in_many_more_lives(a_world: MakeWorld, kind: type[Model]) -> None:
    run_state_machine_as_test(partial(kind, a_world), settings=LARGE)  # type: ignore[arg-type]  # as above
