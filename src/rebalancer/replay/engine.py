"""The replay: at each tick settle, look, decide, enter, trade, in this order.

The scalar engine does this with the live path's functions; the column engines find the same.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from ..costs import Costs
from ..domain.targets import TargetFilter
from ..domain.times import seconds
from ..domain.verdict import Action
from ..entry.policy import Entry, EntryPolicy
from ..errors import InputError
from ..history.table import FundingHistory
from ..rules.combined import CombinedStrategy
from ..rules.grid import is_built_in
from .account import END_OF_HISTORY, Ledger
from .baseline import HoldThrough
from .board import Board
from .feed import Feed, Tick
from .lanes import ColumnEngine, Engine, Lane, check_engine, column_engine, figures, lane
from .log import Trade, TradeAction
from .program import NoColumnsError
from .report import ReplayReport, summarise
from .through import hold_through

HOUR = timedelta(hours=1)
MAX_TICKS = 1_000_000
"""A century of hours: more is a mistake."""


def replay(
    strategy: CombinedStrategy,
    history: FundingHistory,
    *,
    entry: Entry | None = None,
    costs: Costs | None = None,
    every: timedelta = HOUR,
    log: Callable[[Trade], None] | None = None,
    holds: bool = False,
    progress: Callable[[int, int], None] | None = None,
    engine: Engine = "auto",
) -> ReplayReport:
    """What `strategy` would have decided and earned on `history`, one slot of one unit per symbol.

    At each tick, in this order: settlements pay the positions opened before; the snapshot holds the last settled rate
    of each market (in a history without any: the last of its kind), unknown when older than two of its intervals; open
    positions are decided; symbols that were flat before the tick are offered to `entry` (by default the policy that
    matches the strategy); trades happen, each leg at `costs` (2 bp by default). What is open at the end is closed.

    `log` receives each trade in order of time, and with `holds` each tick that held; `progress` the ticks done and
    their number, for the last time when all are done. `engine` says how it is computed, which changes no decision: tick
    by tick with the functions of live deciding (`scalar`), through columns in `numpy` (extra `replay`), or `compiled`
    by numba (extra `fast`); `auto` takes columns where the strategy and the entry policy vectorise, compiled where that
    pays, and the report's `engine` says which it was and why.

    Raises InputError if `every` is not a positive number of whole seconds, or if the engine asked for can not run the
    strategy; HistoryError if a figure of the history is beyond the bounds of columns.
    """
    if not isinstance(strategy, CombinedStrategy):
        raise InputError(f"a {type(strategy).__name__} is not a strategy: wrap rules as CombinedStrategy(rule)")
    if not isinstance(every, timedelta) or every < timedelta(seconds=1) or every.microseconds:
        raise InputError("every must be a whole number of seconds above 0")
    check_engine(engine)
    read = history.decisive()
    costs = costs or Costs.flat(leg_bps=2)
    entry = entry if entry is not None else EntryPolicy.matching(strategy)
    feed = Feed(read, every=seconds(every), needs=strategy.needs | entry.needs)
    if len(feed) > MAX_TICKS:
        raise InputError(f"more than {MAX_TICKS:,} ticks: is a time of the history wrong, or `every` too short?")
    ledger = Ledger(read, costs, log or _nowhere)
    why = "asked for"
    if engine != "scalar":
        try:
            lanes = lane(strategy, entry, costs)
        except NoColumnsError as error:
            if engine != "auto":
                raise InputError(f"this replay can not be {engine}: {error}") from error
            why = str(error)
        else:
            how = column_engine(engine, len(feed) * len(read.symbols))
            baseline = _through_columns(lanes, ledger, feed, holds=holds, engine=how)
            if progress is not None:
                progress(len(feed), len(feed))
            return summarise(strategy, history, feed, ledger, baseline, engine=how)
    baseline = _tick_by_tick(strategy, entry, ledger, feed, holds=holds, progress=progress)
    return summarise(strategy, history, feed, ledger, baseline, engine=f"scalar: {why}")


def _nowhere(_: Trade) -> None:
    """No log was asked for."""


def _through_columns(
    lanes: Lane, ledger: Ledger, feed: Feed, *, holds: bool, engine: ColumnEngine
) -> HoldThrough | None:
    """Fill the ledger by a column engine; what holding through earned."""
    board = Board.of(ledger.history, every=feed.every)
    for _, found in figures(board, [lanes], engine=engine):
        found.enter(ledger, lanes.program, holds=holds)
    return hold_through(ledger.history, board, ledger.costs) if ledger.history.settled else None


def _tick_by_tick(
    strategy: CombinedStrategy,
    entry: Entry,
    ledger: Ledger,
    feed: Feed,
    *,
    holds: bool,
    progress: Callable[[int, int], None] | None,
) -> HoldThrough | None:
    """Fill the ledger by live deciding at each tick; what holding through earned."""
    baseline = HoldThrough(ledger.costs) if ledger.history.settled else None
    needs = strategy.needs
    roams = needs.all_symbols or not all(map(is_built_in, strategy.rules))  # a rule of a plugin may name any symbol
    for number, tick in enumerate(feed, start=1):
        if baseline is not None:
            ledger.settle(tick)
            baseline.take(tick)
        ledger.wait(tick, every=feed.every)
        _trade(strategy, entry, ledger, tick, roams=roams, holds=holds)
        if progress is not None:
            progress(number, len(feed))
    for slot in tuple(ledger.slots.values()):
        ledger.leave(tick, slot, TradeAction.END, END_OF_HISTORY)
    return baseline


def _trade(strategy: CombinedStrategy, entry: Entry, ledger: Ledger, tick: Tick, *, roams: bool, holds: bool) -> None:
    """Decide what is open, then offer what was flat before."""
    before = dict(sorted(ledger.slots.items()))
    flat = [symbol for symbol in ledger.accounts if symbol not in before]
    for symbol, slot in before.items():
        others = tuple(sorted((before.keys() | ledger.slots.keys()) - {symbol})) if roams else ()
        targets = TargetFilter(blocked_symbols=others) if others else TargetFilter.ANY
        decision = strategy.decide(slot.position, tick.snapshot, targets=targets)
        if decision.action is Action.CLOSE:
            ledger.leave(tick, slot, TradeAction.CLOSE, str(decision.reason))
        elif decision.target is not None:
            ledger.switch(tick, slot, decision.target, str(decision.reason))
        elif holds:
            ledger.hold(tick, slot)
    for symbol in flat:
        target = entry.should_open(symbol, tick.snapshot) if symbol not in ledger.slots else None
        if target is not None:
            ledger.open(tick, target)
