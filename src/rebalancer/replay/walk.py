"""Walk-forward: settings chosen on one part of a history, and what they earned on another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from typing import Any

from ..costs import Costs
from ..domain.numbers import from_grid, plain, total
from ..domain.times import write_instant
from ..errors import InputError
from .table import PLACES, SweepResult, SweepRow


@dataclass(frozen=True, slots=True)
class Split:
    """A choice: the setting that was best in sample, beside what it earned out of sample.

    `rank` is its place among all settings out of sample, 1 the best, the others counted that did better; `settings` is
    how many there are. A good choice ranks near 1; one made on noise anywhere.
    """

    in_sample: str
    out_of_sample: str
    chosen: SweepRow
    in_sample_bps: Decimal
    out_of_sample_bps: Decimal
    rank: int
    settings: int

    def as_dict(self) -> dict[str, Any]:
        """The split as JSON has it."""
        return {
            "in_sample": self.in_sample,
            "out_of_sample": self.out_of_sample,
            "parameters": dict(self.chosen.parameters),
            "in_sample_bps": plain(self.in_sample_bps),
            "out_of_sample_bps": plain(self.out_of_sample_bps),
            "rank": self.rank,
            "settings": self.settings,
        }


@dataclass(frozen=True, slots=True)
class WalkForward:
    """The splits in time and by symbol of a sweep, under one costs."""

    costs: Costs
    time: tuple[Split, ...]
    """Chosen on all parts of time before one, tested on it."""
    symbols: tuple[Split, ...]
    """Chosen on all symbols outside a fold, tested on those in it."""

    @property
    def in_time_bps(self) -> Decimal:
        """What choosing anew before each part would have earned in the parts that were tested."""
        return total(*(split.out_of_sample_bps for split in self.time))

    @property
    def across_symbols_bps(self) -> Decimal:
        """What all symbols would have earned, each with the setting that was chosen without it."""
        return total(*(split.out_of_sample_bps for split in self.symbols))

    def as_dict(self) -> dict[str, Any]:
        """The splits as JSON has them."""
        return {
            "costs": self.costs.model_dump(mode="json"),
            "time": [split.as_dict() for split in self.time],
            "symbols": [split.as_dict() for split in self.symbols],
            "in_time_bps": plain(self.in_time_bps),
            "across_symbols_bps": plain(self.across_symbols_bps),
        }


def walk_forward(result: SweepResult, *, folds: int = 3) -> WalkForward:
    """Choose on one part of a sweep, and test on another: in time, and by symbol.

    In time the window expands: before each part but the first, the setting is chosen that earned most in all parts
    before it. By symbol, the symbols are dealt to `folds` in turn, and for each fold the setting is chosen that earned
    most on all others. Ties go to the first in the design. The settings are not replayed again: a position may be held
    across a cut, and what it earns counts where it was paid. Rules that switch to other symbols tie the folds together.

    One part of time, or one symbol, has no split. What trading costs is no choice: for a sweep of several costs call
    this for each of `result.by_costs()`. Raises InputError if that was forgotten, for fewer than two folds, and for a
    sweep in which every setting failed.
    """
    symbol_folds = dealt(result.symbols, folds)
    rows = [row for row in result.rows if row.error is None]
    if not rows:
        raise InputError("every setting failed: there is none to choose")
    costs = {row.costs for row in rows if row.costs is not None}
    if len(costs) != 1:
        raise InputError("what trading costs is no choice: take one table of result.by_costs() at a time")
    times = [write_instant(bound) for bound in result.bounds]
    spans = [f"{start} to {end}" for start, end in pairwise(times)]
    in_time = [
        _split(rows, f"{times[0]} to {times[part]}", spans[part], _within(slice(part)), _within(slice(part, part + 1)))
        for part in range(1, len(spans))
    ]
    by_symbol = []
    for fold in symbol_folds:
        others = tuple(symbol for symbol in result.symbols if symbol not in fold)
        by_symbol.append(_split(rows, ", ".join(others), ", ".join(fold), _on(others), _on(fold)))
    return WalkForward(costs.pop(), tuple(in_time), tuple(by_symbol))


def dealt(symbols: tuple[str, ...], folds: int) -> tuple[tuple[str, ...], ...]:
    """The symbols, dealt to folds in turn; none where there is but one symbol, which nothing can be chosen without."""
    if folds < 2:
        raise InputError("a fold is tested on what was chosen without it: give at least 2")
    return tuple(symbols[fold::folds] for fold in range(min(folds, len(symbols)))) if len(symbols) > 1 else ()


_Score = Callable[[SweepRow], int]


def _within(parts: slice) -> _Score:
    return lambda row: row.steps(parts=parts)


def _on(symbols: tuple[str, ...]) -> _Score:
    return lambda row: row.steps(symbols=symbols)


def _split(rows: list[SweepRow], inside: str, outside: str, earned: _Score, tested: _Score) -> Split:
    """Only `earned` chooses; `tested` is read when that is done."""
    chosen = max(rows, key=earned)
    found = tested(chosen)
    rank = 1 + sum(tested(row) > found for row in rows)
    return Split(inside, outside, chosen, from_grid(earned(chosen), PLACES), from_grid(found, PLACES), rank, len(rows))
