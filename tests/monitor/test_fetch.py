"""The fetch planner: one question a tick for all positions, and an answer whatever the source does."""

from __future__ import annotations

import asyncio
import gc
import random
import weakref
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest

from rebalancer import (
    Action,
    BadAnswerError,
    BaseRule,
    BetterOpportunity,
    Clock,
    CombinedStrategy,
    DivergenceFlip,
    Freshness,
    FundingSchedule,
    FundingSource,
    InputError,
    MarketRequest,
    MarketSnapshot,
    Missing,
    Needs,
    OpenInterestImbalance,
    Quote,
    SourceError,
    SourceRefusedError,
    SourceUnavailableError,
    TimeLimit,
    UnsuppliedNeedError,
    presets,
)
from rebalancer.domain.names import Market
from rebalancer.domain.plausible import Plausibility
from rebalancer.domain.sanity import SuspicionKind
from rebalancer.monitor.fetch import Fetched, Fetcher, request_for, require_supplied
from rebalancer.testing import AS_OF, ManualClock, a_position, a_quote, a_snapshot, an_opportunity

HOUR = timedelta(hours=1)
FLIP = CombinedStrategy(DivergenceFlip())
ALL = Needs(opportunities=True, all_symbols=True, schedule=True, open_interest=True, volume=True)
Answer = Callable[[MarketRequest], Awaitable[object]]


class Source(FundingSource):
    """A source that gives what it is told to, and remembers what it was asked."""

    name = "a source"
    supplies = ALL

    def __init__(self, snapshot: object = None, *, does: Answer | None = None, supplies: Needs = ALL) -> None:
        self._given = snapshot if snapshot is not None else a_snapshot()
        self._does = does
        self.supplies = supplies
        self.asked: list[MarketRequest] = []

    async def snapshot(self, request: MarketRequest) -> MarketSnapshot:
        self.asked.append(request)
        given: Any = self._given if self._does is None else await self._does(request)
        return given  # type: ignore[no-any-return]  # nonsense too: that is what it is for


def raising(error: BaseException) -> Source:
    """A source that raises."""

    async def does(_: MarketRequest) -> object:
        raise error

    return Source(does=does)


async def fetch(source: FundingSource, strategy: Any = FLIP, *, clock: Clock | None = None, **options: Any) -> Fetched:
    """The tick of the usual position."""
    past = options.pop("past", ())
    return await Fetcher(source, strategy, clock=clock or ManualClock(), **options).fetch([a_position()], past=past)


class Hungry(BaseRule):
    """A rule with needs of its own."""

    wants: Needs = Needs()

    @property
    def needs(self) -> Needs:
        return self.wants


# The question.


def test_all_positions_are_one_question_for_their_distinct_legs() -> None:
    positions = [
        a_position(),
        a_position(age=HOUR),
        a_position(short_dex="aster"),
        a_position(symbol="ETH", long_dex="grvt", short_dex="lighter"),
    ]
    request = request_for(positions, Needs())
    assert request.markets == (
        Market("aster", "BTC"),
        Market("grvt", "BTC"),
        Market("grvt", "ETH"),
        Market("lighter", "BTC"),
        Market("lighter", "ETH"),
    )
    assert (request.symbols, request.venues, request.needs) == ((), None, Needs())


def test_candidates_are_asked_for_the_symbols_of_the_positions() -> None:
    positions = [a_position(), a_position(symbol="ETH"), a_position(age=HOUR)]
    assert request_for(positions, Needs(opportunities=True)).symbols == ("BTC", "ETH")
    assert request_for([], Needs(opportunities=True)).symbols == ()


def test_candidates_of_all_symbols_are_asked_only_where_candidates_are_needed() -> None:
    assert request_for([a_position()], Needs(opportunities=True, all_symbols=True)).symbols is None
    assert request_for([a_position()], Needs(all_symbols=True)).symbols == ()


def test_the_question_does_not_depend_on_the_order_of_the_positions() -> None:
    positions = [
        a_position(symbol=symbol, long_dex=long, short_dex=short)
        for symbol in ("BTC", "ETH", "SOL")
        for long, short in (("lighter", "grvt"), ("grvt", "aster"), ("aster", "paradex"))
    ]
    request = request_for(positions, ALL)
    for seed in range(10):
        shuffled = random.Random(seed).sample(positions * 2, k=2 * len(positions))
        assert request_for(shuffled, ALL) == request
        assert request_for(tuple(shuffled), ALL).model_dump_json() == request.model_dump_json()


def test_the_question_for_thousands_of_positions_is_no_larger_than_their_markets() -> None:
    positions = [a_position(age=timedelta(minutes=minutes)) for minutes in range(1, 3_001)]
    assert request_for(positions, ALL) == request_for(positions[:1], ALL)


@pytest.mark.parametrize("venues", [["Lighter", "grvt"], ("lighter", "GRVT")])
def test_candidates_are_asked_on_the_given_venues(venues: Any) -> None:
    assert request_for([], ALL, venues=venues).venues == ("lighter", "grvt")
    assert request_for([], ALL, venues=[]).venues == ()


def test_venues_that_are_a_text_are_refused_since_their_letters_are_no_venues() -> None:
    with pytest.raises(InputError, match=r"^venues is a list of names, such as \['lighter', 'grvt'\]$"):
        request_for([], ALL, venues="lighter")


@pytest.mark.parametrize("venues", ["lighter", ["a venue"]])
def test_venues_that_are_none_are_refused_before_the_first_tick(venues: Any) -> None:
    with pytest.raises(InputError, match=r"^(venues is a list|MarketRequest: venues\.0: not a venue)"):
        Fetcher(Source(), FLIP, clock=ManualClock(), venues=venues)


@pytest.mark.parametrize("count", [1, 10, 4_000])
async def test_a_tick_asks_once_for_any_number_of_positions(count: int) -> None:
    source = Source()
    positions = [a_position(age=timedelta(minutes=minutes)) for minutes in range(1, count + 1)]
    strategy = presets.conservative()
    fetcher = Fetcher(source, strategy, clock=ManualClock(), venues=["lighter", "aster"])
    for tick in range(1, 4):
        await fetcher.fetch(positions)
        assert source.asked == [request_for(positions, strategy.needs, venues=["lighter", "aster"])] * tick


async def test_without_positions_the_candidates_are_still_asked() -> None:
    source = Source()
    strategy = CombinedStrategy(BetterOpportunity(scope="any"))
    fetched = await Fetcher(source, strategy, clock=ManualClock()).fetch([])
    assert source.asked == [MarketRequest(symbols=None, needs=strategy.needs)]
    assert fetched == Fetched(a_snapshot())


# What nobody supplies.


@pytest.mark.parametrize(
    ("strategy", "rule", "needs"),
    [
        (OpenInterestImbalance(), "OpenInterestImbalance", ("open_interest",)),
        (DivergenceFlip() | OpenInterestImbalance() | FundingSchedule(), "OpenInterestImbalance", ("open_interest",)),
        (CombinedStrategy(CombinedStrategy(FundingSchedule()), TimeLimit()), "FundingSchedule", ("schedule",)),
        (TimeLimit() | Hungry(wants=Needs(volume=True, observations=3)), "Hungry", ("volume", "observations")),
    ],
)
def test_a_rule_that_needs_what_nobody_supplies_is_refused_by_its_name(
    strategy: Any, rule: str, needs: tuple[str, ...]
) -> None:
    with pytest.raises(UnsuppliedNeedError) as refused:
        require_supplied(strategy, Needs())
    assert (refused.value.rule, refused.value.needs) == (rule, needs)
    with pytest.raises(UnsuppliedNeedError) as refused:
        Fetcher(Source(supplies=Needs()), strategy, clock=ManualClock())
    assert refused.value.rule == rule


def test_a_rule_qualified_by_a_guard_needs_what_both_need() -> None:
    with pytest.raises(UnsuppliedNeedError) as refused:
        require_supplied(DivergenceFlip() & ~OpenInterestImbalance(), Needs())
    assert refused.value.needs == ("open_interest",)


def test_what_others_supply_counts() -> None:
    strategy = TimeLimit() | Hungry(wants=Needs(mark_price=True, observations=3))
    executor, store = Needs(rates=False, mark_price=True), Needs(rates=False, observations=3)
    require_supplied(strategy, Needs(), executor, store)
    Fetcher(Source(), strategy, clock=ManualClock(), supplied=[executor, store])
    with pytest.raises(UnsuppliedNeedError) as refused:
        require_supplied(strategy, Needs(), executor, Needs(observations=2))
    assert refused.value.needs == ("observations",)
    with pytest.raises(UnsuppliedNeedError) as refused:
        Fetcher(Source(), strategy, clock=ManualClock(), supplied=[store])
    assert refused.value.needs == ("mark_price",)


def test_rates_must_be_supplied_too() -> None:
    with pytest.raises(UnsuppliedNeedError) as refused:
        require_supplied(DivergenceFlip(), Needs(rates=False, mark_price=True))
    assert refused.value.needs == ("rates",)
    with pytest.raises(UnsuppliedNeedError):
        require_supplied(DivergenceFlip())
    require_supplied(Hungry(wants=Needs(rates=False)))


# Whatever the source does, there is an answer.


async def test_what_the_source_gives_is_what_is_decided_on() -> None:
    snapshot = a_snapshot()
    fetched = await fetch(Source(snapshot))
    assert fetched.snapshot == snapshot
    assert (fetched.suspicions, fetched.error) == ((), None)


async def test_a_source_can_not_make_old_quotes_look_fresh() -> None:
    month = timedelta(days=30)
    for then in (AS_OF - month, AS_OF + month):
        kept = a_snapshot(a_quote("lighter", "0.0004", observed_at=then), a_quote("grvt", observed_at=then), as_of=then)
        fetched = await fetch(Source(kept))
        assert fetched.snapshot.as_of == AS_OF
        decision = FLIP.decide(a_position(), fetched.snapshot)
        assert (decision.action, decision.complete) == (Action.HOLD, False)


async def test_a_source_that_plays_back_another_time_keeps_it() -> None:
    class Past(Source):
        plays_back = True

    then = AS_OF - timedelta(days=30)
    fetched = await fetch(Past(a_snapshot(a_quote(observed_at=then), as_of=then)))
    assert fetched.snapshot.as_of == then


@pytest.mark.parametrize(
    "nonsense",
    [
        MarketSnapshot.model_construct(as_of=AS_OF, quotes=(1,), missing=()),
        MarketSnapshot.model_construct(as_of=AS_OF, quotes=(a_quote(), a_quote()), missing=()),
        MarketSnapshot.model_construct(as_of=AS_OF, quotes=(Quote.model_construct(venue="lighter", symbol="BTC"),)),
    ],
    ids=["no quote", "two of a market", "half a quote"],
)
async def test_a_snapshot_that_was_never_validated_is_a_bad_answer(nonsense: MarketSnapshot) -> None:
    fetched = await fetch(Source(nonsense))
    assert isinstance(fetched.error, BadAnswerError)
    assert fetched.snapshot.quotes == ()


async def test_a_jump_is_known_by_the_tick_before_and_believed_at_the_second_sample() -> None:
    source = Source(a_snapshot(a_quote("lighter"), a_quote("grvt", "0.0003")))
    clock = ManualClock()
    fetcher = Fetcher(source, FLIP, clock=clock)
    assert (await fetcher.fetch([a_position()])).suspicions == ()
    for place in (1, 1, 2):
        now = AS_OF + timedelta(minutes=place)
        clock.advance(now - clock.now())
        source._given = a_snapshot(
            a_quote("lighter", observed_at=now), a_quote("grvt", "0.03", observed_at=now), as_of=now
        )
        fetched = await fetcher.fetch([a_position()])
        assert [one.kind for one in fetched.suspicions] == ([SuspicionKind.JUMP] if place == 1 else [])


async def test_an_answer_that_is_none_is_no_first_sample_of_a_jump() -> None:
    source = Source(a_snapshot(a_quote("lighter"), a_quote("grvt", "0.0003")))
    clock = ManualClock()
    fetcher = Fetcher(source, FLIP, clock=clock)
    await fetcher.fetch([a_position()])
    broken = Quote.model_construct(**{**dict(a_quote("lighter")), "observed_at": None})
    for place in (1, 2):
        now = AS_OF + timedelta(minutes=place)
        clock.advance(now - clock.now())
        legs = a_quote("grvt", "0.03", observed_at=now), broken if place == 1 else a_quote("lighter", observed_at=now)
        source._given = MarketSnapshot.model_construct(as_of=now, quotes=legs, missing=())
        fetched = await fetcher.fetch([a_position()])
    assert fetched.error is None
    assert [one.kind for one in fetched.suspicions] == [SuspicionKind.JUMP]


def nothing_is_known(fetched: Fetched, why: str) -> None:
    """Every rule that reads the market says that it knows nothing, and why; the position is held."""
    assert fetched.error is not None
    assert (fetched.snapshot.quotes, fetched.suspicions, fetched.snapshot.as_of) == ((), (), AS_OF)
    strategy = presets.conservative()
    decision = strategy.decide(a_position(), fetched.snapshot)
    assert (decision.action, decision.complete) == (Action.HOLD, False)
    assert f"rate of BTC on lighter: {why}" in decision.explain()
    assert [(gap.field, gap.venue, gap.symbol, gap.why) for gap in fetched.snapshot.missing] == [
        ("rate", None, None, why),
        ("opportunities", None, None, why),
    ]


@pytest.mark.parametrize(
    "error",
    [
        SourceError("elsewhere", "no"),
        SourceUnavailableError("elsewhere", "HTTP 503"),
        SourceRefusedError("elsewhere", "HTTP 401", status=401),
        BadAnswerError("elsewhere", "no JSON"),
    ],
)
async def test_a_source_error_is_why_nothing_is_known(error: SourceError) -> None:
    fetched = await fetch(raising(error))
    assert fetched.error is error
    nothing_is_known(fetched, str(error))


async def test_the_question_that_a_source_refused_is_not_kept_until_the_garbage_is_collected() -> None:
    asked: list[weakref.ref[MarketRequest]] = []

    async def does(request: MarketRequest) -> object:
        asked.append(weakref.ref(request))
        raise SourceUnavailableError("elsewhere", "HTTP 503")

    source = Source(does=does)
    gc.disable()
    try:
        await fetch(source)
        source.asked.clear()
        assert asked[0]() is None
    finally:
        gc.enable()


class Fatal(BaseException):
    """What is no Exception."""


@pytest.mark.parametrize(
    "error",
    [
        ValueError("secret in https://user:password@host"),
        KeyError("x"),
        RuntimeError("a\nforged line"),
        TimeoutError("its own"),
        SystemExit(3),
        StopAsyncIteration(),
        Fatal(),
        ExceptionGroup("several", [ValueError("a")]),
        RecursionError(),
        MemoryError(),
        InputError("off"),
        asyncio.CancelledError("something within the source was"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_a_source_may_raise_anything_and_the_reason_names_only_its_kind(error: BaseException) -> None:
    fetched = await fetch(raising(error))
    why = f"a source: it raised {type(error).__name__}"
    assert type(fetched.error) is SourceUnavailableError
    assert str(fetched.error) == why
    assert fetched.error.__cause__ is error
    nothing_is_known(fetched, why)


async def test_a_source_error_that_can_not_be_a_line_is_made_one() -> None:
    fetched = await fetch(raising(SourceError("elsewhere", "a\nforged line" + "x" * 1_000)))
    assert fetched.error is not None
    assert "\n" not in fetched.snapshot.missing[0].why
    assert len(fetched.snapshot.missing[0].why) == 500


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        (5, "int"),
        ({"quotes": []}, "dict"),
        ([a_quote()], "list"),
        (a_quote(), "Quote"),
        (MarketSnapshot, "ModelMetaclass"),
    ],
)
async def test_an_answer_of_another_type_is_not_believed(given: object, kind: str) -> None:
    fetched = await fetch(Source(given))
    assert type(fetched.error) is BadAnswerError
    nothing_is_known(fetched, f"a source: it returned a {kind}, not a MarketSnapshot")


async def test_a_source_that_returns_nothing_or_is_not_asynchronous_is_not_believed() -> None:
    async def nothing(_: MarketRequest) -> object:
        return None

    class Blocking(Source):
        def snapshot(self, request: MarketRequest) -> Any:
            return a_snapshot()

    nothing_is_known(await fetch(Source(does=nothing)), "a source: it returned a NoneType, not a MarketSnapshot")
    nothing_is_known(await fetch(Blocking()), "a source: it raised TypeError")


async def test_a_source_that_hangs_is_cut_off_at_the_deadline() -> None:
    ended = []

    async def hang(_: MarketRequest) -> object:
        try:
            return await asyncio.Event().wait()
        finally:
            ended.append("cut off")

    fetched = await fetch(Source(does=hang), deadline=timedelta(milliseconds=10))
    assert ended == ["cut off"]
    assert type(fetched.error) is SourceUnavailableError
    nothing_is_known(fetched, "a source: no answer within 0.01 s")


async def test_a_source_that_raises_as_it_is_cut_off_was_too_slow_all_the_same() -> None:
    async def hang(_: MarketRequest) -> object:
        try:
            return await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise ValueError("the session was lost") from None

    fetched = await fetch(Source(does=hang), deadline=timedelta(milliseconds=10))
    nothing_is_known(fetched, "a source: no answer within 0.01 s")


async def test_a_tick_that_is_cancelled_ends_and_leaves_nothing_under_way() -> None:
    started = asyncio.Event()

    async def hang(_: MarketRequest) -> object:
        started.set()
        return await asyncio.Event().wait()

    before = asyncio.all_tasks()
    tick = asyncio.create_task(fetch(Source(does=hang)))
    await started.wait()
    tick.cancel()
    with pytest.raises(asyncio.CancelledError):
        await tick
    assert asyncio.all_tasks() == before


async def test_a_tick_within_a_deadline_of_the_host_ends_there() -> None:
    async def hang(_: MarketRequest) -> object:
        return await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await fetch(Source(does=hang))


def test_an_interrupt_from_the_keyboard_passes() -> None:
    with pytest.raises(KeyboardInterrupt):
        asyncio.run(fetch(raising(KeyboardInterrupt())))


async def test_a_source_that_swallows_its_cancellation_does_not_hold_up_the_tick(
    caplog: pytest.LogCaptureFixture,
) -> None:
    release = asyncio.Event()

    async def deaf(_: MarketRequest) -> object:
        while not release.is_set():
            with suppress(asyncio.CancelledError):
                await release.wait()
        raise ValueError("too late")

    loop = asyncio.get_running_loop()
    started = loop.time()
    fetched = await fetch(Source(does=deaf), deadline=timedelta(milliseconds=20))
    assert loop.time() - started < 1
    assert str(fetched.error) == "a source: no answer within 0.02 s"
    assert "left behind" in caplog.text
    release.set()
    await asyncio.sleep(0)


async def test_the_cancellation_of_a_tick_is_not_lost_in_a_source_that_swallows_it() -> None:
    began = asyncio.Event()

    async def deaf(_: MarketRequest) -> object:
        with suppress(asyncio.CancelledError):
            began.set()
            await asyncio.Event().wait()
        return a_snapshot()

    tick = asyncio.ensure_future(fetch(Source(does=deaf)))
    await began.wait()
    tick.cancel()
    with pytest.raises(asyncio.CancelledError):
        await tick


async def test_the_next_tick_asks_again() -> None:
    answers: list[object] = [SourceUnavailableError("a source", "HTTP 503"), a_snapshot()]

    async def does(_: MarketRequest) -> object:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    fetcher = Fetcher(Source(does=does), FLIP, clock=ManualClock())
    first, second = [await fetcher.fetch([a_position()]) for _ in range(2)]
    assert (first.error is None, second.error) == (False, None)
    assert second.snapshot == a_snapshot()


async def test_nothing_is_known_as_of_the_clock() -> None:
    clock = ManualClock()
    fetcher = Fetcher(raising(SourceError("a source", "no")), FLIP, clock=clock)
    clock.advance(HOUR)
    assert (await fetcher.fetch([])).snapshot.as_of == AS_OF + HOUR


# What is believed of the answer.


async def test_the_limits_of_age_are_the_fetchers_if_it_has_any() -> None:
    own = Freshness(max_age=timedelta(seconds=30))
    snapshot = a_snapshot(freshness=own)
    assert (await fetch(Source(snapshot))).snapshot.freshness == own
    patient = Freshness(max_age=timedelta(seconds=300))
    assert (await fetch(Source(snapshot), freshness=patient)).snapshot == a_snapshot(freshness=patient)


@pytest.mark.parametrize(("max_age", "action"), [(61, Action.CLOSE), (60, Action.CLOSE), (59, Action.HOLD)])
async def test_a_quote_older_than_the_fetchers_limit_is_suspicious_and_decides_nothing(
    max_age: int, action: Action
) -> None:
    quotes = (a_quote("lighter", "0.0003"), a_quote("grvt", "0.0001", observed_at=AS_OF - timedelta(seconds=60)))
    limits = Freshness(max_age=timedelta(seconds=max_age))
    fetched = await fetch(Source(a_snapshot(*quotes)), freshness=limits)
    assert FLIP.decide(a_position(), fetched.snapshot).action is action
    stale = [(SuspicionKind.STALE, ("grvt",))] if action is Action.HOLD else []
    assert [(one.kind, one.venues) for one in fetched.suspicions] == stale


async def test_legs_seen_too_far_apart_are_suspicious() -> None:
    quotes = (a_quote("lighter", "0.0003"), a_quote("grvt", "0.0001", observed_at=AS_OF - timedelta(seconds=60)))
    limits = Freshness(max_age=timedelta(seconds=90), max_skew=timedelta(seconds=59))
    fetched = await fetch(Source(a_snapshot(*quotes)), freshness=limits)
    assert [one.kind for one in fetched.suspicions] == [SuspicionKind.SKEW]
    assert FLIP.decide(a_position(), fetched.snapshot).action is Action.HOLD


def jumped() -> tuple[MarketSnapshot, tuple[Quote, ...]]:
    """The long leg's rate a hundred times what it was, and what it was."""
    now = a_snapshot(a_quote("lighter", "0.01"), a_quote("grvt", "0.0003"))
    return now, (a_quote("lighter", "0.0001", observed_at=AS_OF - HOUR),)


async def test_a_rate_that_jumped_is_taken_out_and_what_is_left_is_decided_on() -> None:
    snapshot, past = jumped()
    fetched = await fetch(Source(snapshot), past=past)
    assert [(one.kind, one.venues) for one in fetched.suspicions] == [(SuspicionKind.JUMP, ("lighter",))]
    assert set(fetched.snapshot.by_market) == {Market("grvt", "BTC")}
    decision = FLIP.decide(a_position(), fetched.snapshot)
    assert (decision.action, decision.complete) == (Action.HOLD, False)
    assert "the rate jumped, and no second sample says the same" in decision.explain()
    assert (await fetch(Source(snapshot))).suspicions == ()
    assert FLIP.decide(a_position(), snapshot).action is Action.CLOSE


async def test_a_jump_that_a_second_sample_confirms_is_believed() -> None:
    snapshot, past = jumped()
    second = (*past, a_quote("lighter", "0.009", observed_at=AS_OF - HOUR / 2))
    fetched = await fetch(Source(snapshot), past=second)
    assert fetched == Fetched(snapshot)


async def test_what_is_plausible_is_the_hosts_to_say() -> None:
    snapshot = a_snapshot(a_quote("lighter", "0.0001"), a_quote("grvt", "0.0003"))
    fetched = await fetch(Source(snapshot), plausibility=Plausibility(max_rate="0.0002"))
    assert [(one.kind, one.venues) for one in fetched.suspicions] == [(SuspicionKind.IMPLAUSIBLE, ("grvt",))]
    assert set(fetched.snapshot.by_market) == {Market("lighter", "BTC")}


async def test_what_the_source_says_is_missing_stays_said() -> None:
    gap = Missing(field="rate", venue="grvt", symbol="BTC", why="HTTP 503")
    snapshot = a_snapshot(a_quote(), missing=(gap,), opportunities=(an_opportunity(),))
    fetched = await fetch(Source(snapshot), freshness=Freshness())
    assert (fetched.snapshot.missing, fetched.snapshot.opportunities) == ((gap,), (an_opportunity(),))
    assert "HTTP 503" in FLIP.decide(a_position(), fetched.snapshot).explain()


async def test_a_source_that_can_not_say_its_name_is_called_by_its_kind() -> None:
    class Nameless(Source):
        @property
        def name(self) -> str:  # type: ignore[override]  # it raises instead
            raise RuntimeError

    nothing_is_known(await fetch(Nameless()), "Nameless: it raised RuntimeError")
