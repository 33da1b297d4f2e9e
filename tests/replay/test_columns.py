"""The column engines decide as the scalar one does: the same lines, ticks that held included, and the same report."""

from __future__ import annotations

import gzip
import pickle
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rebalancer import (
    BaseRule,
    BetterOpportunity,
    CombinedStrategy,
    Confirmed,
    Cooldown,
    Costs,
    DivergenceFlip,
    EntryPolicy,
    FundingHistory,
    FundingSchedule,
    HeldFor,
    HistoryError,
    InputError,
    LegImbalance,
    MarketSnapshot,
    MissingExtraError,
    NetCarry,
    OpenInterestImbalance,
    Opportunity,
    ProfitErosion,
    RateKind,
    Rule,
    RuleContext,
    SettlementDue,
    Smoothed,
    TimeLimit,
    Verdict,
    presets,
)
from rebalancer.domain.names import Market
from rebalancer.domain.times import from_epoch
from rebalancer.history.table import Row, Series
from rebalancer.replay import Trade, TradeAction, kernel, lanes, replay, windows
from rebalancer.replay.board import Board
from rebalancer.replay.figures import Figures
from rebalancer.replay.lanes import Engine
from rebalancer.replay.program import program
from rebalancer.replay.scores import Scorer, Setting
from rebalancer.replay.work import Opening, Positions, Work
from rebalancer.rules.algebra import Qualified
from rebalancer.rules.grid import Function

START = 1_767_225_600
HOUR = 3600
VENUES = ("a", "b", "c", "d", "e")
BASE = 12_500_000
"""The rate per hour at which half of all settlements of one venue sit: 0.0000125."""
DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"
NUMBA = find_spec("numba") is not None

needs_numba = pytest.mark.skipif(not NUMBA, reason="numba is not installed")


def hours(count: float) -> timedelta:
    return timedelta(hours=count)


def everything(random: Random) -> CombinedStrategy:
    """All rules that vectorise, with numbers on the adversarial grid of the rates: one shape, whatever the numbers."""
    cheap, dear = random.choice(["0", "0.5"]), random.choice([-1, 4])
    fees = Costs(leg_bps=random.choice([0, 1, 2]), venues={"b": cheap, "c": dear})
    improvement = random.choice(["0.000012", "0.0001", "0.0005", "0.00028"])
    return CombinedStrategy(
        DivergenceFlip(margin=random.choice(["-0.0001", "0", "0.0000125"])) & HeldFor(at_least=hours(9)),
        ProfitErosion(keep=random.choice(["0.2", "0.5"]), reason="SEVERE_EROSION") & ~SettlementDue(within=hours(3)),
        BetterOpportunity(costs=fees, min_improvement=improvement, horizon=hours(random.choice([8, 24, 72]))),
        BetterOpportunity(cost_bps=random.choice([-1, 0, 8]), min_improvement="0.0006", reason="FLAT_FEE_SWITCH")
        & (HeldFor(at_least=hours(5)) | SettlementDue(within=hours(2), favourable=False)),
        FundingSchedule(window=timedelta(minutes=random.choice([31, 61, 300])), mode="when_paying") & ~DivergenceFlip(),
        OpenInterestImbalance() & Cooldown(after=hours(1)),
        ProfitErosion(keep=random.choice(["0.7", "1", "1.5"]))
        & HeldFor(at_least=hours(4))
        & TimeLimit(max_age=hours(6)),
        TimeLimit(max_age=hours(random.choice([10, 24, 30])), reason="WEEKLY_REBALANCE"),
    )


def plain(random: Random) -> CombinedStrategy:
    rules: list[Callable[[], Rule]] = [
        lambda: ProfitErosion(keep=random.choice(["0", "0.3", "1", "4"])),
        lambda: DivergenceFlip(margin=random.choice(["-0.0001", "0", "0.0000125"])),
        lambda: BetterOpportunity(costs=Costs(leg_bps=0, venues={"a": 1, "b": -1}), min_improvement="0.00005"),
        lambda: BetterOpportunity(min_improvement="0.0001", cost_bps=random.choice([-5, 0, 4])),
        lambda: TimeLimit(max_age=hours(random.choice([1, 8, 30]))),
        lambda: FundingSchedule(window=timedelta(minutes=random.choice([30, 61, 500]))),
        lambda: FundingSchedule(window=hours(2), mode="when_paying"),
        lambda: OpenInterestImbalance(max_ratio="1", min_ratio="0.33"),
        lambda: BetterOpportunity(min_improvement="0", cost_bps=1) & ~FundingSchedule(window=hours(2)),
        lambda: TimeLimit(max_age=hours(3)) & BetterOpportunity(min_improvement="0", cost_bps=2),
        lambda: TimeLimit(max_age=hours(3)) & ~BetterOpportunity(min_improvement="0", cost_bps=2),
        lambda: TimeLimit(max_age=hours(2)) & ~(SettlementDue(within=hours(2)) & ~HeldFor(at_least=hours(9))),
        lambda: TimeLimit(max_age=hours(5)) & ~ProfitErosion(keep="1"),
    ]
    return CombinedStrategy(*(make() for make in random.sample(rules, random.randint(1, 4))))


def carry(random: Random) -> NetCarry:
    """On days instead of weeks, and with costs as small as the rates."""
    fees = Costs(leg_bps=random.choice(["0", "0.1", "0.3"]), venues={"a": "0.2", "b": random.choice(["-0.1", "0.7"])})
    return NetCarry(
        costs=random.choice([fees, Costs(leg_bps="0.1")]),
        horizon=hours(random.choice([4, 9, 30])),
        half_life=hours(random.choice([2, 5, 40])),
        clip_bps=random.choice(["0.5", "3"]),
        warm_up=hours(random.choice([0, 3, 9])),
        max_unknown=random.choice([None, hours(5), hours(9)]),
    )


@pytest.mark.parametrize("engine", ["scalar", "numpy"])
def test_no_rebate_opens_a_pair_that_is_not_known(engine: Engine) -> None:
    rich = NetCarry(costs=Costs(leg_bps=-10_000), horizon=hours(1), warm_up=hours(3))
    series = [Series(Market(venue, "BTC"), RateKind.SETTLED, LATE_ROWS) for venue in ("a", "b")]
    report = replay(CombinedStrategy(rich), FundingHistory.of(series), engine=engine)
    assert report.log[0].at == START + 2 * HOUR


LATE_ROWS = tuple(Row(START + hour * HOUR, BASE, HOUR) for hour in range(9))


def smoothed(random: Random) -> CombinedStrategy:
    """What reads smoothed rates, beside what does not."""
    one, other = (Smoothed(half_life=hours(random.choice([1, 6])), warm_up=hours(random.choice([0, 4]))) for _ in "12")
    rules: list[Callable[[], Rule]] = [
        lambda: carry(random),
        lambda: carry(random) & HeldFor(at_least=hours(3)) & ~SettlementDue(within=hours(2)),
        lambda: DivergenceFlip(signal=one) & ~ProfitErosion(keep="0.5", signal=other),
        lambda: ProfitErosion(keep=random.choice(["0.5", "1"]), signal=one),
        lambda: BetterOpportunity(min_improvement="0.00005", cost_bps=random.choice([0, 1]), signal=other),
        lambda: BetterOpportunity(min_improvement="0.0003", costs=Costs(leg_bps=1, venues={"a": -1})),
        lambda: TimeLimit(max_age=hours(20)),
    ]
    return CombinedStrategy(*(make() for make in random.sample(rules, random.randint(1, 4))))


def a_history(random: Random) -> FundingHistory:
    """Some days of some markets: rates that are often exactly equal, gaps, late starts, ends, changes of rhythm."""
    kinds = [RateKind.SETTLED] * 5 + [RateKind.FORMING]
    kind = random.choice(kinds)
    length = random.choice([20, 40, 60]) * HOUR
    series = []
    for symbol in ("BTC", "ETH")[: random.randint(1, 2)]:
        for venue in random.sample(VENUES, random.randint(2, 5)):
            interval = random.choice([1, 1, 1, 4, 8]) * HOUR
            at = START + random.choice([0, 0, 0, HOUR // 2, 7 * HOUR])
            end = START + length - random.choice([0, 0, length // 2])
            rows, value = [], BASE
            while at <= end:
                value = random.choice([value, BASE, BASE, 0, -BASE, BASE + 1, 4 * BASE, 20 * BASE, -9 * BASE])
                interest = random.choice([None, "0", "1000", "330", "3000", "3001"])
                usd = None if interest is None else Decimal(interest)
                rows.append(Row(at, value * interval // HOUR, interval, open_interest_usd=usd))
                if random.random() < 0.03:
                    interval = random.choice([1, 4, 8]) * HOUR
                at += interval * (1 if random.random() < 0.95 else random.randint(2, 6))
            series.append(Series(Market(venue, symbol), kind, tuple(rows)))
    return FundingHistory.of(series)


def settled(history: FundingHistory) -> FundingHistory:
    """The same rates, as what was paid."""
    return FundingHistory.of(Series(one.market, RateKind.SETTLED, one.rows) for one in history.series)


def run(strategy: CombinedStrategy, history: FundingHistory, engine: Engine, **options: Any) -> tuple[list[Trade], Any]:
    lines: list[Trade] = []
    report = replay(strategy, history, engine=engine, log=lines.append, holds=True, **options)
    assert [line for line in lines if line.action is not TradeAction.HOLD] == list(report.log)
    return lines, report.model_dump(exclude={"engine"})


def options(random: Random) -> dict[str, Any]:
    return {
        "every": timedelta(minutes=random.choice([30, 60, 60, 60, 240])),
        "entry": random.choice(
            [EntryPolicy(above=random.choice(["-0.001", "0", "0.0001", "0.0000125", "0.0001"])), None, carry(random)]
        ),
        "costs": random.choice([None, Costs(leg_bps=1, venues={"a": 0, "b": -1})]),
    }


RULES = {"everything": everything, "plain": plain, "smoothed": smoothed}
seeds = st.integers(0, 2**32).map(Random)


@given(seeds, st.sampled_from(sorted(RULES)))
@settings(max_examples=20)
def test_numpy_decides_and_reports_what_the_scalar_engine_does(random: Random, rules: str) -> None:
    strategy, history = RULES[rules](random), a_history(random)
    how = options(random)
    assert run(strategy, history, "numpy", **how) == run(strategy, history, "scalar", **how)


@given(seeds, st.sampled_from(sorted(RULES)))
@settings(max_examples=30)
def test_the_driver_that_is_compiled_holds_the_positions_that_numpy_does(random: Random, rules: str) -> None:
    """The driver's text is run as it is: what numba compiles is this very text."""
    work = some_work(random, rules)
    same(kernel.positions(work, ready=as_it_is), windows.positions(work))


@given(seeds, st.sampled_from(sorted(RULES)))
@settings(max_examples=30)
def test_the_loops_that_are_compiled_add_up_what_the_positions_that_numpy_finds_earned(
    random: Random, rules: str
) -> None:
    work = some_work(random, rules)
    switches = switching(work)
    legs = np.array([[random.choice([-1, 0, 2]) for _ in work.board.markets] for _ in work.limit], dtype=np.int64)
    edges = np.array(
        [0, *sorted(random.choices(range(work.board.ticks + 1), k=random.randint(0, 3))), work.board.ticks]
    )
    found = Figures.of(work.board, windows.positions(work), switches=switches, legs=legs)
    expected = found.by_part(len(work.limit), edges)
    assert kernel.sums(work, switches, legs, edges, ready=as_it_is).tolist() == expected.tolist()


def test_what_threads_add_up_is_what_one_adds_up(monkeypatch: pytest.MonkeyPatch) -> None:
    work, seen = some_work(Random(5), "everything"), set()
    legs, edges = np.full((3, len(work.board.markets)), 7), np.array([0, 9, work.board.ticks])

    def noting(function: Function) -> Function:
        def noted(*given: Any) -> Any:
            seen.add(threading.get_ident())
            return function(*given)

        return noted if function.__name__ == "total" else function

    def found() -> list[Any]:
        found: list[Any] = kernel.sums(work, switching(work), legs, edges, ready=noting).tolist()
        return found

    expected = found()
    assert seen == {threading.get_ident()}
    monkeypatch.setattr(kernel, "_WORTH_A_THREAD", 1)
    monkeypatch.setattr(
        kernel, "_spare", lambda one: np.zeros((2 + len(one.rankings), one.board.ticks), dtype=np.int64)
    )
    monkeypatch.setattr(kernel, "cores", lambda: 2)
    seen.clear()
    assert found() == expected
    assert seen
    assert threading.get_ident() not in seen


def test_whoever_calls_from_a_thread_divides_the_processors_already(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "cores", lambda: 4)
    assert kernel.threads(2_500_000) == 2
    assert kernel.threads(900_000) == 1
    assert kernel.threads(10**9) == 4
    with ThreadPoolExecutor(1) as other:
        assert other.submit(kernel.threads, 10**9).result() == 1
    monkeypatch.setattr(kernel, "parent_process", object)
    assert kernel.threads(10**9) == 1


def some_work(random: Random, rules: str) -> Work:
    """Of several settings if that is of one shape."""
    first = RULES[rules](random)
    programs = [program(first), *(program(RULES[rules](random)) for _ in range(2) if rules == "everything")]
    board = Board.of(a_history(random), every=HOUR)
    if rules == "smoothed":
        one = carry(random)
        opening = Opening(0, int(one.horizon.total_seconds()), one.signal, one.costs)
        return Work.of(board, programs, [opening for _ in programs])
    return Work.of(board, programs, [Opening(random.choice([-(10**9), 0, 10**8])) for _ in programs])


def switching(work: Work) -> list[bool]:
    return [alternative.switch is not None for alternative in work.shape.alternatives]


def as_it_is(function: Function) -> Function:
    return function


def same(one: Positions, other: Positions) -> None:
    for name, column, expected in zip(Positions._fields, one, other, strict=True):
        assert column.tolist() == expected.tolist(), name


@needs_numba
@given(seeds)
@settings(max_examples=5)
def test_compiled_decides_and_reports_what_the_scalar_engine_does(random: Random) -> None:
    strategy, history, how = everything(random), a_history(random), options(random)
    assert run(strategy, history, "compiled", **how) == run(strategy, history, "scalar", **how)


@cache
def busy() -> list[Trade]:
    """The lines of replays in which all that can happen does."""
    lines = []
    for seed in range(40):
        random = Random(seed)
        strategy, history, how = everything(random), a_history(random), options(random)
        found, _ = run(strategy, history, "numpy", **how)
        lines += found
    return lines


def test_every_reason_and_every_action_occurs_in_these_histories() -> None:
    reasons = {rule.rule.reason if hasattr(rule, "rule") else rule.reason for rule in flat(everything(Random(0)))}
    assert {line.reason for line in busy()} == {*reasons, "ENTRY", "END_OF_HISTORY", None}
    assert {line.action for line in busy()} == set(TradeAction)
    assert {line.legs for line in busy() if line.action is TradeAction.SWITCH} == {2, 4}
    assert any(line.divergence is None for line in busy())


def flat(strategy: CombinedStrategy) -> list[Any]:
    """Its rules without what qualifies them."""
    rules: list[Any] = list(strategy.rules)
    while any(isinstance(rule, Qualified) for rule in rules):
        rules = [rule.rule if isinstance(rule, Qualified) else rule for rule in rules]
    return rules


def hourly(venue: str, symbol: str, *rates: int) -> Series:
    rows = (Row(START + hour * HOUR, rate * 10**8, HOUR) for hour, rate in enumerate(rates))
    return Series(Market(venue, symbol), RateKind.SETTLED, tuple(rows))


def test_what_is_open_at_the_end_is_closed_in_the_order_in_which_it_was_opened() -> None:
    """At one tick what is switched comes before what is opened, whatever the symbols are called."""
    history = FundingHistory.of(
        [
            *(hourly("a", "ETH", 0, 0, 0, 0), hourly("b", "ETH", 5, 5, 5, 5), hourly("c", "ETH", 0, 0, 90, 90)),
            *(hourly("a", "BTC", 0, 0, 0, 0), hourly("b", "BTC", 0, 0, 5, 5)),
            *(hourly("a", "AVAX", 0, 0, 0, 0), hourly("b", "AVAX", 0, 0, 0, 5)),
        ]
    )
    strategy = CombinedStrategy(BetterOpportunity())
    lines, _ = run(strategy, history, "numpy")
    ended = [line.pair.symbol for line in lines if line.action is TradeAction.END]
    assert ended == ["ETH", "BTC", "AVAX"]
    assert lines == run(strategy, history, "scalar")[0]


@pytest.mark.parametrize("venues", ["ab", "abc"])
def test_of_markets_that_pay_the_same_the_first_two_are_opened(venues: str) -> None:
    history = FundingHistory.of([hourly(venue, "BTC", 5, 5) for venue in venues])
    lines, _ = run(CombinedStrategy(TimeLimit()), history, "numpy", entry=EntryPolicy(above="-0.001"))
    assert (lines[0].pair.long_dex, lines[0].pair.short_dex) == ("a", "b")
    assert lines == run(CombinedStrategy(TimeLimit()), history, "scalar", entry=EntryPolicy(above="-0.001"))[0]


def test_one_schedule_that_is_known_is_enough_inside_the_window() -> None:
    """The hourly market goes missing, and with it its schedule; the other one pays at hour 8."""
    late = Series(Market("b", "BTC"), RateKind.SETTLED, tuple(Row(START + n * HOUR, 10**10, 8 * HOUR) for n in (0, 8)))
    history = FundingHistory.of([hourly("a", "BTC", 0, 0), late])
    lines, _ = run(CombinedStrategy(FundingSchedule(window=hours(3))), history, "numpy", every=hours(2))
    assert [(line.at - START) // HOUR for line in lines if line.action is TradeAction.CLOSE] == [6]
    assert lines == run(CombinedStrategy(FundingSchedule(window=hours(3))), history, "scalar", every=hours(2))[0]


def test_ties_and_exact_limits_occur_in_these_histories() -> None:
    """An exact limit of erosion, of the entry and of a flip is neither below nor above."""
    exact = [line for line in busy() if line.divergence is not None and line.action is TradeAction.HOLD]
    assert any(line.divergence == 0 for line in exact)
    assert any(2 * int(line.divergence or 0) == line.entry_divergence > 0 for line in exact)
    assert any(line.divergence == line.entry_divergence for line in exact)


# many settings at once

SMALL = a_history(Random(3))


class Odd(BaseRule):
    def evaluate(self, ctx: RuleContext, /) -> Verdict:
        return Verdict.quiet("never")


def parts(random: Random, history: FundingHistory) -> list[datetime]:
    """Cuts, also outside of the history and between two ticks."""
    instants = {random.randint(history.start - 9 * HOUR, history.end + 9 * HOUR) for _ in range(random.randint(0, 3))}
    instants |= {START + 10 * HOUR} if random.random() < 0.5 else set()
    return [from_epoch(instant) for instant in sorted(instants)]


def figures(scorer: Scorer, settings: list[Setting], engine: Engine) -> dict[str, Any]:
    found = scorer.scores(settings, engine=engine)
    return {name: getattr(found, name).tolist() for name in ("net", "funding", "cost", "trades", "legs")}


@given(seeds)
@settings(max_examples=3)
def test_many_settings_score_at_once_what_each_scores_alone(random: Random) -> None:
    history = settled(a_history(random))
    some = []
    for rules in random.choices([*RULES.values()], k=3):
        how = options(random)
        some.append(Setting(rules(random), entry=how["entry"], costs=how["costs"]))
    some.append(Setting(CombinedStrategy(TimeLimit(max_age=hours(3)), Odd())))
    scorer = Scorer(history, every=timedelta(minutes=random.choice([30, 60])), cuts=parts(random, history))
    assert figures(scorer, some, "auto") == figures(scorer, some, "scalar")


@needs_numba
@given(seeds)
@settings(max_examples=3)
def test_many_settings_of_one_shape_score_the_same_when_compiled(random: Random) -> None:
    history = settled(a_history(random))
    some = [Setting(everything(random), entry=EntryPolicy(above=random.choice(["0", "0.0001"]))) for _ in range(3)]
    scorer = Scorer(history, cuts=parts(random, history))
    assert figures(scorer, some, "compiled") == figures(scorer, some, "numpy") == figures(scorer, some, "scalar")


def test_a_scorer_travels_without_its_columns() -> None:
    scorer = Scorer(settled(SMALL), cuts=[from_epoch(START + 5 * HOUR)])
    some = [Setting(presets.aggressive())]
    expected, heavy = figures(scorer, some, "auto"), len(pickle.dumps(scorer))
    assert figures(pickle.loads(pickle.dumps(scorer)), some, "auto") == expected
    assert heavy == len(pickle.dumps(Scorer(settled(SMALL), cuts=[from_epoch(START + 5 * HOUR)])))


def test_a_setting_that_does_not_vectorise_can_not_be_scored_by_columns() -> None:
    with pytest.raises(InputError, match="this replay can not be numpy: "):
        Scorer(settled(SMALL)).scores([Setting(CombinedStrategy(Odd()))], engine="numpy")


# what each engine takes


class Late(DivergenceFlip):
    """A subclass from elsewhere may decide in ways of its own."""


class Shy(EntryPolicy):
    def should_open(self, symbol: str, snapshot: MarketSnapshot, **_: Any) -> Opportunity | None:
        return None


SCALAR: dict[str, list[Rule]] = {
    "is asked through its evaluate": [
        Odd(),
        Late(),
        Confirmed(DivergenceFlip()),
        TimeLimit() & (DivergenceFlip() | ProfitErosion()),
        TimeLimit() & ~(DivergenceFlip() | ProfitErosion()),
    ],
    "considers the pairs of other symbols": [BetterOpportunity(scope="any")],
    "reads long_open, which a history does not have": [LegImbalance()],
}


@pytest.mark.parametrize(("why", "rule"), [(why, rule) for why, rules in SCALAR.items() for rule in rules])
def test_what_does_not_vectorise_is_replayed_tick_by_tick_and_the_report_says_why(why: str, rule: Rule) -> None:
    strategy = CombinedStrategy(TimeLimit(), rule)
    report = replay(strategy, SMALL)
    assert report.engine.startswith("scalar: ")
    assert why in report.engine
    assert report.log == replay(strategy, SMALL, engine="scalar").log
    with pytest.raises(InputError, match="this replay can not be numpy: "):
        replay(strategy, SMALL, engine="numpy")


def test_an_entry_policy_of_ones_own_is_asked_tick_by_tick() -> None:
    report = replay(presets.combined(), SMALL, entry=Shy())
    assert (report.trades, report.engine) == (
        0,
        "scalar: the entry policy Shy(above=Decimal('0.0001')) is asked tick by tick",
    )


def test_a_strategy_that_vectorises_runs_through_columns_and_the_report_says_so() -> None:
    assert replay(presets.combined(), SMALL).engine == "numpy"
    assert replay(presets.combined(), SMALL, engine="scalar").engine == "scalar: asked for"


@needs_numba
def test_much_work_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "WORTH_COMPILING", 1)
    assert replay(CombinedStrategy(TimeLimit()), SMALL).engine == "compiled"


def test_without_numpy_each_tick_is_replayed_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = replay(presets.combined(), SMALL)
    monkeypatch.setitem(sys.modules, "numpy", None)
    report = replay(presets.combined(), SMALL)
    assert report.engine == "scalar: numpy is not installed"
    assert report.log == expected.log
    with pytest.raises(MissingExtraError, match=r"funding-rebalancer\[replay\]"):
        replay(presets.combined(), SMALL, engine="numpy")


def test_without_numba_nothing_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numba", None)
    monkeypatch.setattr(lanes, "WORTH_COMPILING", 1)
    assert replay(presets.combined(), SMALL).engine == "numpy"
    with pytest.raises(MissingExtraError, match=r"funding-rebalancer\[fast\]"):
        replay(presets.combined(), SMALL, engine="compiled")


def test_an_engine_that_does_not_exist_is_refused() -> None:
    with pytest.raises(InputError, match="engine must be auto, scalar, numpy or compiled, not turbo"):
        replay(presets.combined(), SMALL, engine="turbo")  # type: ignore[arg-type]  # what a user may write


def test_a_rate_that_could_wrap_is_refused_when_it_becomes_a_column() -> None:
    rows = (Row(START, 2 * 10**12, 8 * HOUR), Row(START + 8 * HOUR, 0, 8 * HOUR))
    history = FundingHistory.of([Series(Market("a", "BTC"), RateKind.SETTLED, rows)])
    with pytest.raises(HistoryError, match="BTC on a: a rate is beyond 100 % per 8 h"):
        replay(presets.combined(), history)


@pytest.mark.parametrize("interest", ["-1", "100000000001"])
def test_open_interest_out_of_bounds_is_refused_when_it_becomes_a_column(interest: str) -> None:
    rows = (Row(START, 0, HOUR, open_interest_usd=Decimal(interest)), Row(START + HOUR, 0, HOUR))
    history = FundingHistory.of([Series(Market(venue, "BTC"), RateKind.SETTLED, rows) for venue in "ab"])
    with pytest.raises(HistoryError, match="BTC on a: open interest must be at least 0 and at most 1e11"):
        replay(CombinedStrategy(OpenInterestImbalance()), history, entry=EntryPolicy(above="-0.001"))


def test_the_largest_figures_that_are_allowed_are_decided_alike() -> None:
    """Rates of 100 % per 8 h, the longest horizon and the greatest open interest stay inside 64 bits."""
    most, rows = 10**12, {}
    for venue, sign in (("a", -1), ("b", 1), ("c", -1)):
        rows[venue] = tuple(
            Row(START + n * 8 * HOUR, sign * most * (-1) ** (n // 3), 8 * HOUR, open_interest_usd=Decimal(10**11))
            for n in range(12)
        )
    history = FundingHistory.of(Series(Market(venue, "BTC"), RateKind.SETTLED, one) for venue, one in rows.items())
    strategy = CombinedStrategy(
        OpenInterestImbalance(max_ratio="90", min_ratio="0.01"),
        FundingSchedule(window=hours(1), mode="when_paying"),
        BetterOpportunity(cost_bps=10_000, horizon=timedelta(days=21), min_improvement="1"),
        ProfitErosion(keep="4") & HeldFor(at_least=hours(20)),
    )
    assert run(strategy, history, "numpy") == run(strategy, history, "scalar")
    assert {line.reason for line in run(strategy, history, "numpy")[0]} > {"PROFIT_EROSION", "BETTER_OPPORTUNITY"}


# real data

SYMBOLS = ("DOGE", "INJ", "TIA")


@cache
def real(name: str) -> FundingHistory:
    return FundingHistory.read(DATA / name)


@pytest.mark.skipif(not DATA.exists(), reason="the data set is not there")
@pytest.mark.parametrize(
    "strategy", [presets.combined(), presets.aggressive(costs=Costs(leg_bps=1))], ids=["flat", "legs"]
)
def test_two_months_of_three_symbols_are_decided_alike(strategy: CombinedStrategy, tmp_path: Path) -> None:
    """In these, half of the rates of one venue are exactly its base, and another one changes its rhythm."""
    some = tmp_path / "some.csv"
    with gzip.open(DATA / "hl_binance_bybit_2025-08_2026-08.csv.gz", "rt") as whole:
        header = next(whole)
        wanted = (line for line in whole if line.startswith(("2026-02", "2026-03")) and line.split(",")[2] in SYMBOLS)
        some.write_text(header + "".join(wanted))
    history = FundingHistory.read(some)
    expected = run(strategy, history, "scalar")
    assert len(expected[0]) > 2_000
    assert run(strategy, history, "numpy") == expected


def engines() -> list[Engine]:
    return ["numpy", "compiled"] if NUMBA else ["numpy"]


@pytest.mark.campaign
@given(seeds, st.sampled_from(sorted(RULES)))
@settings(max_examples=1500)
def test_numpy_decides_alike_in_many_more_histories(random: Random, rules: str) -> None:
    strategy, history, how = RULES[rules](random), a_history(random), options(random)
    assert run(strategy, history, "numpy", **how) == run(strategy, history, "scalar", **how)


@pytest.mark.campaign
@needs_numba
@given(seeds)
@settings(max_examples=500)
def test_compiled_decides_alike_in_many_more_histories(random: Random) -> None:
    strategy, history, how = everything(random), a_history(random), options(random)
    assert run(strategy, history, "compiled", **how) == run(strategy, history, "scalar", **how)


@pytest.mark.campaign
@pytest.mark.skipif(not DATA.exists(), reason="the data set is not there")
@pytest.mark.parametrize("preset", ["combined", "conservative", "aggressive", "by leg", "everything"])
@pytest.mark.parametrize("name", sorted(path.name for path in DATA.glob("*.csv.gz")))
def test_every_file_is_decided_alike_by_every_engine(name: str, preset: str) -> None:
    fees = Costs(leg_bps=2, venues={"hyperliquid": 1})
    strategy = {
        "combined": presets.combined(),
        "conservative": presets.conservative(),
        "aggressive": presets.aggressive(),
        "by leg": presets.aggressive(costs=fees),
        "everything": everything(Random(1)),
    }[preset]
    expected = run(strategy, real(name), "scalar", costs=fees)
    for engine in engines():
        assert run(strategy, real(name), engine, costs=fees) == expected
