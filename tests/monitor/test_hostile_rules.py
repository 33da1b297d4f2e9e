"""Code from elsewhere that raises, exits, hangs or answers nonsense: what does not depend on it goes on."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from rebalancer import (
    Action,
    AlarmKind,
    DivergenceFlip,
    InputError,
    MonitorLimits,
    Needs,
    Observer,
    Outcome,
    Position,
    PositionStatus,
    Report,
    Rule,
    RuleContext,
    TickReport,
    UnsuppliedNeedError,
    Urgency,
    Verdict,
    presets,
    rule,
)
from rebalancer.monitor.bench import Bench
from rebalancer.testing import a_position, a_snapshot

if TYPE_CHECKING:
    from .conftest import World

SHORT = timedelta(milliseconds=60)
RELEASE = threading.Event()
"""Lets every rule that hangs in these tests return, so that no thread is left over."""


def hasty(**limits: Any) -> MonitorLimits:
    """Limits with deadlines that a test can wait for. (Those of a user are whole seconds.)"""
    usual = {name: getattr(MonitorLimits(), name) for name in MonitorLimits.model_fields}
    deadlines = dict.fromkeys(("fetch_deadline", "call_deadline", "store_deadline", "rule_deadline"), SHORT)
    return MonitorLimits.model_construct(**{**usual, **deadlines, **limits})


@pytest.fixture(autouse=True)
def no_thread_is_left(caplog: pytest.LogCaptureFixture) -> Any:
    """Threads that hang in a rule end with the test."""
    caplog.set_level(logging.DEBUG)
    RELEASE.clear()
    yield
    RELEASE.set()
    for thread in threading.enumerate():
        if thread.name == "rebalancer rules":
            thread.join(5)
            assert not thread.is_alive()


@rule
def raises(ctx: RuleContext) -> Verdict:
    raise RuntimeError("password=hunter2")


@rule
def leaves(ctx: RuleContext) -> Verdict:
    raise SystemExit(3)


@rule
def sleeps(ctx: RuleContext) -> Verdict:
    RELEASE.wait(60)
    return Verdict.close("it slept well")


@rule
def spins(ctx: RuleContext) -> Verdict:
    while not RELEASE.is_set():
        time.monotonic()
    return Verdict.close("it is dizzy")


@rule
def answers_nonsense(ctx: RuleContext) -> Verdict:
    return "CLOSE"  # type: ignore[return-value]


@rule
def answers_nothing(ctx: RuleContext) -> Verdict:
    return None  # type: ignore[return-value]


@rule
def changes_the_position(ctx: RuleContext) -> Verdict:
    ctx.position.size_usd = 0
    return Verdict.quiet("nothing")


@rule
def changes_it_behind_its_back(ctx: RuleContext) -> Verdict:
    object.__setattr__(ctx, "_position", None)
    return Verdict.quiet("nothing")


@rule
def reads_what_it_did_not_declare(ctx: RuleContext) -> Verdict:
    return Verdict.close_if(ctx.short.open_interest_usd < 0, "never")


BROKEN = [raises, leaves, answers_nonsense, answers_nothing, changes_the_position, reads_what_it_did_not_declare]
BLOCKING = [sleeps, spins]


def plain(decision: Any) -> tuple[Any, ...]:
    """What the built-in rules said, and what was decided."""
    said = [verdict for verdict in decision.verdicts if not verdict.rule[0].islower()]
    return decision.action, decision.reason, decision.urgency, tuple(said)


@pytest.mark.parametrize("broken", [*BROKEN, changes_it_behind_its_back], ids=lambda one: one.name)
@pytest.mark.parametrize("flips", [False, True])
async def test_the_others_decide_as_without_it(world: World, broken: Rule, flips: bool) -> None:  # noqa: FBT001
    monitor = world.monitor(strategy=broken | presets.conservative())
    await world.adopted(monitor)
    if flips:
        world.flip()
    snapshot = await world.rates.snapshot(_request())
    expected = presets.conservative().decide(a_position(), snapshot)

    (report,) = await world.ticks(monitor, 1)

    assert plain(report.decisions[0]) == plain(expected)
    assert len(report.begun) == flips


def _request() -> Any:
    from rebalancer.monitor import request_for

    return request_for([a_position()], Needs())


@pytest.mark.parametrize("broken", BROKEN, ids=lambda one: one.name)
async def test_a_rule_that_fails_marks_the_position_and_raises_an_alarm(world: World, broken: Rule) -> None:
    monitor = world.monitor(strategy=presets.conservative() | broken)
    position = await world.adopted(monitor)

    (report,) = await world.ticks(monitor, 1)

    stored = await world.store.position(position.id)
    assert stored is not None
    assert stored.attention is not None
    assert f"the rule {broken.name} failed" in stored.attention
    assert "hunter2" not in stored.attention
    assert [(alarm.kind, alarm.position_id) for alarm in report.alarms] == [(AlarmKind.DEGRADED, position.id)]
    assert not report.decisions[0].complete


async def test_a_rule_that_works_again_takes_the_mark_away(world: World) -> None:
    broken = True

    @rule
    def at_first(ctx: RuleContext) -> Verdict:
        if broken:
            raise OSError
        return Verdict.quiet("it is well")

    monitor = world.monitor(strategy=presets.conservative() | at_first)
    position = await world.adopted(monitor)
    await world.ticks(monitor, 1)
    broken = False

    (report,) = await world.ticks(monitor, 1)

    stored = await world.store.position(position.id)
    assert stored is not None
    assert stored.attention is None
    assert report.alarms == ()


@pytest.mark.parametrize("blocking", BLOCKING, ids=lambda one: one.name)
async def test_a_rule_that_blocks_is_benched_with_an_alarm_and_the_next_tick_is_fast(
    world: World, blocking: Rule
) -> None:
    monitor = world.monitor(strategy=blocking | presets.conservative(), limits=hasty())
    position = await world.adopted(monitor)
    world.flip()

    (report,) = await world.ticks(monitor, 1)
    began = time.monotonic()
    (after,) = await world.ticks(monitor, 1)

    assert time.monotonic() - began < 0.5
    assert report.begun == (position.id,)
    assert await world.status(position) is PositionStatus.CLOSED
    assert {(alarm.kind, alarm.about) for alarm in report.alarms} >= {(AlarmKind.BENCHED, f"rule {blocking.name}")}
    assert after.alarms == ()  # there is nothing left to decide


@pytest.mark.parametrize("blocking", BLOCKING, ids=lambda one: one.name)
async def test_a_benched_rule_has_failed_for_every_position(blocking: Rule) -> None:
    bench = Bench(blocking | presets.conservative(), deadline=SHORT)
    positions = [a_position(symbol=symbol) for symbol in ("BTC", "ETH")]

    for _ in range(2):
        decisions = await bench.decide(positions, a_snapshot(), traced={position.id for position in positions})

    for decision in decisions:
        assert decision.verdicts[0].outcome is Outcome.FAILED
        assert [verdict.outcome for verdict in decision.verdicts[1:]] != [Outcome.FAILED] * 5
    assert [name for name, _ in bench.benched] == [blocking.name]


async def test_two_rules_that_block_are_both_benched_and_the_third_still_decides() -> None:
    @rule
    def closes(ctx: RuleContext) -> Verdict:
        return Verdict.close("it always does")

    bench = Bench(sleeps | spins | closes, deadline=SHORT)

    (decision,) = await bench.decide([a_position()], a_snapshot(), traced=())

    assert (decision.action, decision.reason) == (Action.CLOSE, "CLOSES")
    assert [name for name, _ in bench.benched] == ["sleeps", "spins"]


async def test_the_loop_goes_on_while_a_rule_blocks() -> None:
    bench = Bench(sleeps | presets.conservative(), deadline=timedelta(milliseconds=200))
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0.005)

    counting = asyncio.ensure_future(count())
    await bench.decide([a_position()], a_snapshot(), traced=())
    counting.cancel()

    assert turns > 10


async def test_a_rule_that_comes_back_after_it_was_benched_is_not_heard_and_asks_nobody_else() -> None:
    asked = []

    @rule
    def late_once(ctx: RuleContext) -> Verdict:
        asked.append(ctx.position.symbol)
        RELEASE.wait(60)
        return Verdict.close("too late")

    bench = Bench(late_once | presets.conservative(), deadline=SHORT)
    positions = [a_position(symbol=symbol) for symbol in ("BTC", "ETH", "SOL")]

    decisions = await bench.decide(positions, a_snapshot(), traced=())
    RELEASE.set()
    for thread in threading.enumerate():
        if thread.name == "rebalancer rules":
            thread.join(5)

    assert {decision.action for decision in decisions} == {Action.HOLD}
    assert asked == ["BTC"]


async def test_a_rule_whose_properties_block_or_change_is_asked_for_them_only_once() -> None:
    class Sly:
        """A rule that is polite until it is asked."""

        def __init__(self) -> None:
            self.calls = 0

        @property
        def name(self) -> str:
            self.calls += 1
            if self.calls > 20:
                RELEASE.wait(60)
            return "Sly"

        @property
        def needs(self) -> Needs:
            self.calls += 1
            if self.calls > 20:
                RELEASE.wait(60)
            return Needs()

        def evaluate(self, ctx: RuleContext) -> Verdict:
            self.calls += 100
            return Verdict.quiet("nothing to see")

    bench = Bench(Sly() | presets.conservative(), deadline=SHORT)

    async with asyncio.timeout(5):
        for _ in range(2):
            (decision,) = await bench.decide([a_position()], a_snapshot(), traced={a_position().id})

    assert decision.action is Action.HOLD


async def test_a_rule_with_an_impossible_name_raises_an_alarm_in_one_line(world: World) -> None:
    class Named:
        name = "Fine\nCRITICAL all is lost " + "x" * 600
        needs = Needs()

        def evaluate(self, ctx: RuleContext) -> Verdict:
            RELEASE.wait(60)
            return Verdict.quiet("nothing")

    monitor = world.monitor(strategy=presets.conservative() | Named(), limits=hasty())
    await world.adopted(monitor)

    (report,) = await world.ticks(monitor, 1)

    assert AlarmKind.BENCHED in {alarm.kind for alarm in report.alarms}
    assert all("\n" not in f"{alarm}" for alarm in report.alarms)


def test_a_rule_that_claims_huge_needs_is_refused(world: World) -> None:
    with pytest.raises(InputError, match="observations"):
        Needs(observations=10**9)

    @rule(needs=Needs(observations=10_000, volume=True))
    def greedy(ctx: RuleContext) -> Verdict:
        return Verdict.quiet("more")

    world.rates.supplies = Needs(opportunities=True, schedule=True)
    with pytest.raises(UnsuppliedNeedError, match="greedy"):
        world.monitor(strategy=presets.conservative() | greedy)


async def test_a_critical_exit_behind_a_rule_that_blocks_still_happens_in_the_same_tick(world: World) -> None:
    @rule
    def now(ctx: RuleContext) -> Verdict:
        return Verdict.close("at once", urgency=Urgency.CRITICAL)

    monitor = world.monitor(strategy=sleeps | now, limits=hasty())
    position = await world.adopted(monitor)

    await world.ticks(monitor, 1)

    assert await world.status(position) is PositionStatus.CLOSED


# Sources, executors, stores


def does(what: str) -> Callable[..., Any]:
    """What stands where a coroutine function should."""

    async def wrong(*_: Any, **__: Any) -> Any:
        if what == "raises":
            raise RuntimeError("password=hunter2")
        if what == "exits":
            raise SystemExit(2)
        if what == "hangs":
            await asyncio.sleep(60)
        return {"nothing": None, "text": "yes", "list": [1]}.get(what)

    return wrong


WRONG = ["raises", "exits", "hangs", "nothing", "text", "list"]


class Partly:
    """Something whose one method goes wrong."""

    def __init__(self, real: Any, method: str, wrong: Callable[..., Any], *, once: bool = False) -> None:
        self._real = real
        self._wrong: dict[str, Any] = {method: wrong}
        self._once = once

    def __getattr__(self, name: str) -> Any:
        if name in self._wrong:
            return self._wrong.pop(name) if self._once else self._wrong[name]
        return getattr(self._real, name)


@pytest.mark.parametrize("what", WRONG)
async def test_a_source_that_goes_wrong_holds_everything_with_an_alarm(world: World, what: str) -> None:
    monitor = world.monitor(source=Partly(world.rates, "snapshot", does(what)), limits=hasty())
    position = await world.adopted(monitor)
    world.flip()

    (report,) = await world.ticks(monitor, 1)

    assert report.active
    assert await world.status(position) is PositionStatus.OPEN
    assert AlarmKind.SOURCE_DOWN in {alarm.kind for alarm in report.alarms}


@pytest.mark.parametrize("broken", ["name", "plays_back"])
async def test_a_source_whose_properties_fail_holds_everything_with_an_alarm(world: World, broken: str) -> None:
    class Late:
        """A source that works until the monitor was made."""

        armed = False

        def __getattr__(self, name: str) -> Any:
            if name == broken and self.armed:
                raise SystemExit(1)
            return getattr(world.rates, name)

    source = Late()
    monitor = world.monitor(source=source)
    position = await world.adopted(monitor)
    world.flip()
    source.armed = True

    (report,) = await world.ticks(monitor, 1)

    assert report.active
    assert await world.status(position) is PositionStatus.OPEN
    assert AlarmKind.SOURCE_DOWN in {alarm.kind for alarm in report.alarms}


@pytest.mark.parametrize("what", WRONG)
@pytest.mark.parametrize("method", ["capabilities", "read_legs", "send", "find", "cancel"])
async def test_an_executor_that_goes_wrong_stops_no_tick_and_is_made_good_later(
    world: World, method: str, what: str
) -> None:
    good = world.monitor()
    position = await world.adopted(good)
    world.flip()
    if method == "capabilities":
        wrong: Callable[..., Any] = _sync(what)
    else:
        wrong = does(what)
    monitor = world.monitor(executor=Partly(world.executor, method, wrong), limits=hasty())

    (report, _) = await world.ticks(monitor, 2)

    assert report.active
    assert not report.failures
    assert world.wrong == []
    await world.ticks(world.monitor(), 4, every=30)
    assert await world.status(position) is PositionStatus.CLOSED
    assert (world.held, world.wrong) == ({}, [])


def _sync(what: str) -> Callable[..., Any]:
    """The same as a plain function. (One that hangs would stop the host itself, and is not asked of it.)"""

    def wrong(_: str) -> Any:
        if what == "exits":
            raise SystemExit(2)
        if what in ("raises", "hangs"):
            raise RuntimeError("password=hunter2")
        return {"nothing": None, "text": "yes", "list": [1]}[what]

    return wrong


def _dear(report: Report) -> Report:
    """The report of an order that cost more than there is."""
    return report.model_copy(update={"fee_usd": "9e25"}) if report.state.terminal else report


async def test_an_order_that_costs_more_than_can_be_booked_is_done_all_the_same(
    a_world: Callable[..., World],
) -> None:
    world = a_world(symbols=("BTC", "ETH"))
    real = world.executor

    class Dear(type(real)):  # type: ignore[misc]
        async def send(self, intent: Any) -> Report:
            return _dear(await real.send(intent))

        async def find(self, intent: Any) -> Report:
            return _dear(await real.find(intent))

    world.executor = Dear(*world.venues.values())
    monitor = world.monitor()
    btc, eth = [await world.adopted(monitor, symbol) for symbol in ("BTC", "ETH")]
    world.flip("BTC")
    (first,) = await world.ticks(monitor, 1)
    world.flip("ETH")

    (second,) = await world.ticks(monitor, 1)

    assert first.active
    assert second.active
    assert await world.status(eth) is PositionStatus.CLOSED
    assert await world.status(btc) is PositionStatus.CLOSED  # what the order did counts, whatever it cost


STORE = [
    "acquire",
    "release",
    "commit",
    "live",
    "intents",
    "exits",
    "ledger",
    "observations",
    "switch",
]


@pytest.mark.parametrize("what", ["raises", "exits", "hangs"])
@pytest.mark.parametrize("method", STORE)
async def test_a_store_that_goes_wrong_is_an_alarm_and_all_ends_well_once_it_works(
    world: World, method: str, what: str
) -> None:
    good = world.monitor()
    position = await world.adopted(good)
    world.flip()
    monitor = world.monitor(store=Partly(world.store, method, does(what)), limits=hasty())

    reports = await world.ticks(monitor, 2)

    assert world.wrong == []
    if method not in ("release", "ledger", "observations"):  # these are not needed to close
        assert AlarmKind.STORE in {alarm.kind for alarm in reports[-1].alarms}
        assert world.sent == []
    world.clock.advance(timedelta(minutes=2))
    await world.ticks(world.monitor(), 3, every=30)
    assert await world.status(position) is PositionStatus.CLOSED
    assert (world.held, world.wrong) == ({}, [])


async def test_one_position_that_can_not_be_looked_at_stops_no_other(a_world: Callable[..., World]) -> None:
    world = a_world(symbols=("BTC", "ETH"))
    good = world.monitor()
    btc, eth = [await world.adopted(good, symbol) for symbol in ("BTC", "ETH")]
    real = world.store.intents

    async def intents(position_id: Any = None) -> Any:
        return None if position_id == btc.id else await real(position_id)

    world.flip()
    monitor = world.monitor(store=Partly(world.store, "intents", intents))

    (report,) = await world.ticks(monitor, 1)

    assert [failure.what for failure in report.failures] == [str(btc.pair)]
    assert (await world.status(btc), await world.status(eth)) == (PositionStatus.PENDING_CLOSE, PositionStatus.CLOSED)
    await world.ticks(world.monitor(), 1)
    assert await world.status(btc) is PositionStatus.CLOSED


@pytest.mark.parametrize("what", ["nothing", "text", "list"])
@pytest.mark.parametrize("method", ["live", "intents", "switch", "decisions", "acquire"])
async def test_a_store_that_answers_nonsense_ends_no_loop(world: World, method: str, what: str) -> None:
    position = await world.adopted(world.monitor())
    world.flip()
    store: Any = Partly(world.store, method, does(what))
    monitor = world.monitor(store=store)

    report = await monitor.check_all_positions()

    assert world.sent == [] or method in ("decisions", "switch")
    assert (
        (report.failures and {AlarmKind.STORE, AlarmKind.DEFECT} & {alarm.kind for alarm in report.alarms})
        or not report.active
        or (await world.status(position) is PositionStatus.CLOSED)
    )


async def test_a_run_survives_whatever_happens_in_one_tick(world: World) -> None:
    await world.adopted(world.monitor())
    store: Any = Partly(world.store, "live", does("nothing"), once=True)
    monitor = world.monitor(store=store)
    world.flip()

    running = asyncio.ensure_future(monitor.run(every=timedelta(minutes=1)))
    for _ in range(20_000):
        await asyncio.sleep(0)
        if not world.held:
            break

    assert not running.done()
    running.cancel()
    await asyncio.wait((running,))
    assert world.held == {}


def test_positions_are_frozen_for_rules() -> None:
    position: Position = a_position()
    with pytest.raises(Exception, match="frozen"):
        position.size_usd = 0


async def test_an_observer_who_reads_a_record_asks_no_rule_from_elsewhere(a_world: Callable[..., World]) -> None:
    """Where nobody watches how long it takes: it would stop the event loop."""
    asked_in: set[threading.Thread] = set()

    @rule
    def elsewhere(ctx: RuleContext) -> Verdict:
        asked_in.add(threading.current_thread())
        return Verdict.quiet("all is well")

    class Curious(Observer):
        outcomes: ClassVar[set[Outcome]] = set()

        async def observe(self, report: TickReport) -> None:
            for decision in report.decisions:
                if not decision.traced:
                    self.outcomes.update(one.outcome for one in decision.verdicts if one.rule == "elsewhere")

    symbols = tuple(f"S{number}" for number in range(5))
    world = a_world(symbols=symbols)
    limits = MonitorLimits(records_per_tick=1, closes_per_minute=1)
    monitor = world.monitor(strategy=DivergenceFlip() | elsewhere, limits=limits, observers=[Curious()])
    for symbol in symbols:
        await world.adopted(monitor, symbol)
    world.flip()

    await world.ticks(monitor, 2)
    await monitor.aclose()

    assert Curious.outcomes == {Outcome.NOT_EVALUATED}
    assert asked_in
    assert threading.main_thread() not in asked_in
