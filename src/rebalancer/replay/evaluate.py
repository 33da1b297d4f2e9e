"""The evidence for strategies: what each earned on a history at several costs, and whether that was luck."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from .. import presets
from ..costs import Costs
from ..domain.numbers import RATIO_ONE, Number, divide_half_even, from_grid, plain, ratio, read_number, to_grid
from ..domain.times import epoch_seconds, seconds
from ..errors import HistoryError, InputError
from ..history.table import FundingHistory
from ..rules.combined import CombinedStrategy
from .bootstrap import RESAMPLES, Bootstrap
from .course import Payments, holdings, of_hold_through
from .engine import HOUR
from .evaluation import AtCost, Evaluation, EvaluationRow
from .hindsight import hindsight
from .making import OWN
from .scores import Setting
from .sweep import sweep
from .table import PLACES, SweepResult, SweepRow
from .walk import dealt, walk_forward

StrategyMaker = Callable[..., CombinedStrategy]
"""Makes a strategy of `costs=`: what a leg trade costs."""

HOLD_THROUGH, OPTIMUM = "hold-through", "optimum"
LEGS = 4
"""Leg trades of a round trip: two to open a pair, two to close it."""
YEAR = 365 * 86_400


def evaluate(
    history: FundingHistory,
    *,
    strategies: Mapping[str, StrategyMaker] | None = None,
    round_trips: Sequence[Number] = (8, 16, 30),
    parts: int = 4,
    folds: int = 3,
    seed: int = 0,
    every: timedelta = HOUR,
    executor: Executor | None = None,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """What strategies earned on a history beside holding through and the optimum, at several costs.

    Each of `strategies` is called as `make(costs=...)` for every one of `round_trips`, in basis points, of which a leg
    costs a quarter; the presets of the library unless given. It is replayed once for each cost, with the entry that
    matches it, exactly as `replay` would; one that can not be made or replayed becomes a row with its error.

    The net is counted in `parts` equal times of the history, where it was paid, and on symbols dealt to `folds` in
    turn. `walk_forward` then chooses among the strategies: before each part by all parts before it, for each fold by
    all other symbols. The captured share has a 90 % interval by bootstrap over symbols (percentile method; the same
    `seed`, the same interval).

    `every`, `executor`, `workers` and `progress` are as in `sweep`. Needs the extra `replay`. Raises HistoryError for a
    history without settled rates, InputError for costs below 0 and if no strategy can be made, and whatever `sweep`
    raises.
    """
    if not history.settled:
        raise HistoryError("an evaluation needs settled rates: only those pay")
    makers = dict(strategies) if strategies is not None else {name: getattr(presets, name) for name in OWN}
    _check_names(makers)
    costs = _costs(round_trips)
    symbol_folds = dealt(history.decisive().symbols, folds)

    def make(*, strategy: str, round_trip_bps: str) -> Setting:
        of_leg = costs[round_trip_bps]
        return Setting(makers[strategy](costs=of_leg), costs=of_leg)

    design = [{"strategy": name, "round_trip_bps": cost} for cost in costs for name in makers]
    found = sweep(
        make,
        design,
        history,
        parts=parts,
        every=every,
        optimum=False,
        executor=executor,
        workers=workers,
        progress=progress,
    )
    beside = _Beside(history.decisive(), found, symbol_folds, Bootstrap(len(found.symbols), seed=seed), every)
    tables = []
    for place, (cost, of_leg) in enumerate(costs.items()):
        rows = found.rows[place * len(makers) : (place + 1) * len(makers)]
        tables.append(beside.table(rows, Decimal(cost), of_leg, folds=folds))
    return Evaluation(found.symbols, found.bounds, symbol_folds, RESAMPLES, seed, tuple(tables))


def _check_names(makers: Mapping[str, StrategyMaker]) -> None:
    if not makers:
        raise InputError("an evaluation needs at least one strategy")
    for name in makers:
        if name in (HOLD_THROUGH, OPTIMUM):
            raise InputError(f"a strategy can not be called {name}: that is what it is measured against")


def _costs(round_trips: Sequence[Number]) -> dict[str, Costs]:
    """By round trip cost in plain digits: what a leg costs."""
    found: dict[str, Costs] = {}
    for number in round_trips:
        steps = to_grid(read_number(number), PLACES)
        text = plain(from_grid(steps, PLACES))
        if steps < 0:
            raise InputError("with rebates, trading without end would earn without end: a round trip costs 0 or more")
        if text in found:
            raise InputError(f"the round trip of {text} bp is given twice")
        if steps % LEGS:
            raise InputError(f"a leg costs a quarter of a round trip, which {text} bp does not have to 1e-{PLACES} bp")
        found[text] = Costs.flat(leg_bps=from_grid(steps // LEGS, PLACES))
    if not found:
        raise InputError("an evaluation needs at least one round trip cost")
    return found


@dataclass(frozen=True)
class _Path:
    """What one way to trade earned by symbol, in grid steps, and how many trades it made."""

    nets: tuple[int, ...]
    trades: int


class _Beside:
    """Sets what a sweep found beside holding through and the optimum."""

    def __init__(
        self,
        history: FundingHistory,
        found: SweepResult,
        folds: tuple[tuple[str, ...], ...],
        bootstrap: Bootstrap,
        every: timedelta,
    ) -> None:
        self._history = history
        self._symbols = found.symbols
        self._bounds = found.bounds
        self._folds = folds
        self._bootstrap = bootstrap
        self._every = every
        free = Costs.flat(leg_bps=0)  # what is held through is not chosen by what it costs
        self._held = list(holdings(of_hold_through(history, free, every=seconds(every)), Payments(history)))

    def table(self, rows: Sequence[SweepRow], round_trip: Decimal, costs: Costs, *, folds: int) -> AtCost:
        """The table of one cost."""
        best = hindsight(self._history, costs=costs, every=self._every).symbols
        most = _Path(tuple(one.steps for one in best), sum(len(one.moves) for one in best))
        held = self._hold_through(costs)
        made = any(row.error is None for row in rows)
        return AtCost(
            round_trip,
            costs,
            tuple(self._strategy(row, held, most) for row in rows),
            self._row(HOLD_THROUGH, held, most, interval=True),
            self._row(OPTIMUM, most, most),
            walk_forward(SweepResult(tuple(rows), self._symbols, self._bounds), folds=folds) if made else None,
        )

    def _hold_through(self, costs: Costs) -> _Path:
        nets = {hold.pair.symbol: hold.funding - 2 * costs.move(None, hold.pair).cost for hold in self._held}
        return _Path(tuple(nets.get(symbol, 0) for symbol in self._symbols), 2 * len(self._held))

    def _strategy(self, row: SweepRow, held: _Path, most: _Path) -> EvaluationRow:
        name = row.parameters["strategy"]
        if row.error is not None:
            return EvaluationRow(name, error=row.error)
        path = _Path(tuple(row.steps(symbols=(symbol,)) for symbol in self._symbols), row.trades or 0)
        parts = tuple(row.steps(parts=slice(part, part + 1)) for part in range(len(self._bounds) - 1))
        return self._row(name, path, most, held=held, parts=parts, interval=True)

    def _row(
        self,
        name: str,
        path: _Path,
        most: _Path,
        *,
        held: _Path | None = None,
        parts: tuple[int, ...] = (),
        interval: bool = False,
    ) -> EvaluationRow:
        nets = dict(zip(self._symbols, path.nets, strict=True))
        worst = min(nets, key=nets.__getitem__)
        best = sum(most.nets)
        span = epoch_seconds(self._bounds[-1]) - epoch_seconds(self._bounds[0])
        return EvaluationRow(
            name,
            net_bps=_bps(sum(path.nets)),
            captured_share=ratio(divide_half_even(sum(path.nets) * RATIO_ONE, best)) if best else None,
            captured_interval=self._bootstrap.interval(path.nets, most.nets) if interval else None,
            symbols_above_zero=sum(net > 0 for net in path.nets),
            symbols_above_hold_through=None
            if held is None
            else sum(net > other for net, other in zip(path.nets, held.nets, strict=True)),
            trades_a_year=ratio(divide_half_even(path.trades * YEAR * RATIO_ONE, span)),
            worst_symbol=worst,
            worst_symbol_bps=_bps(nets[worst]),
            parts_bps=tuple(map(_bps, parts)),
            folds_bps=tuple(_bps(sum(nets[symbol] for symbol in fold)) for fold in self._folds),
            symbols_bps=tuple(map(_bps, path.nets)),
        )


def _bps(steps: int) -> Decimal:
    return from_grid(steps, PLACES)
