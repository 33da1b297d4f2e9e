"""What an evaluation found: by cost, what each strategy earned beside holding through and the optimum."""

from __future__ import annotations

import csv
import json
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from ..costs import Costs
from ..domain.numbers import RATIO_ONE, Number, divide_half_even, plain, ratio, read_number, to_grid
from ..domain.times import write_instant
from ..errors import InputError
from .bootstrap import Interval
from .table import PLACES
from .walk import Split, WalkForward

NOT_IN_IT = (
    "Funding only: the difference in price between the legs, and what it does to a position, is not in these figures.",
    "A leg trade costs the same at any size and hour: no slippage beyond that, no depth of a book, no outage.",
    "No capital: margin, interest and liquidation are left out; the net is of one leg's notional, not of a deposit.",
)
"""What the figures are not."""


@dataclass(frozen=True, slots=True)
class EvaluationRow:
    """What one way to trade earned at one cost: a strategy, holding through, or the optimum.

    `net_bps` is in basis points of one leg's notional, summed over symbols. `captured_share` is net / optimum to 1e-6
    (None where the optimum is 0), `captured_interval` its 90 % bootstrap interval over symbols. A year has 365 days.
    `worst_symbol` is the one that earned the least, ties by name. `parts_bps`, `folds_bps` and `symbols_bps` are the
    net by part of time, by fold and by symbol, in the order of the evaluation's own.

    Of holding through and the optimum there are no parts; the optimum is not compared with holding through, nor has it
    an interval. A strategy that failed has an `error`, and no figures.
    """

    name: str
    net_bps: Decimal | None = None
    captured_share: Decimal | None = None
    captured_interval: Interval | None = None
    symbols_above_zero: int | None = None
    symbols_above_hold_through: int | None = None
    trades_a_year: Decimal | None = None
    worst_symbol: str | None = None
    worst_symbol_bps: Decimal | None = None
    parts_bps: tuple[Decimal, ...] = ()
    folds_bps: tuple[Decimal, ...] = ()
    symbols_bps: tuple[Decimal, ...] = ()
    error: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """The row as JSON has it: decimals are texts in plain digits."""
        return {field.name: _plain(getattr(self, field.name)) for field in fields(self)}


@dataclass(frozen=True, slots=True)
class AtCost:
    """The table of one round trip cost, of which a leg pays a quarter: opening trades two legs, closing two."""

    round_trip_bps: Decimal
    costs: Costs
    strategies: tuple[EvaluationRow, ...]
    hold_through: EvaluationRow
    optimum: EvaluationRow
    walk_forward: WalkForward | None
    """None where every strategy failed."""

    @property
    def rows(self) -> tuple[EvaluationRow, ...]:
        """The strategies, then holding through and the optimum."""
        return (*self.strategies, self.hold_through, self.optimum)

    @property
    def across_symbols_share(self) -> Decimal | None:
        """What all symbols would have earned, each with the strategy chosen without it, as a share of the optimum."""
        most = self.optimum.net_bps
        if self.walk_forward is None or not self.walk_forward.symbols or not most:
            return None
        earned = to_grid(self.walk_forward.across_symbols_bps, PLACES)
        return ratio(divide_half_even(earned * RATIO_ONE, to_grid(most, PLACES)))

    def as_dict(self) -> dict[str, Any]:
        """The table as JSON has it."""
        return {
            "round_trip_bps": plain(self.round_trip_bps),
            "strategies": [row.as_dict() for row in self.strategies],
            "hold_through": self.hold_through.as_dict(),
            "optimum": self.optimum.as_dict(),
            "walk_forward": None if self.walk_forward is None else self.walk_forward.as_dict(),
            "across_symbols_share": _plain(self.across_symbols_share),
        }


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Strategies on one history, beside holding through and the optimum, at each of several costs.

    `bounds` are the times at which the parts begin, and the end of the last; `folds` the symbols of each. `resamples`
    of the symbols, drawn from `seed`, made the intervals.
    """

    symbols: tuple[str, ...]
    bounds: tuple[datetime, ...]
    folds: tuple[tuple[str, ...], ...]
    resamples: int
    seed: int
    by_cost: tuple[AtCost, ...]

    def at(self, round_trip_bps: Number) -> AtCost:
        """The table of one cost; InputError if there is none."""
        for one in self.by_cost:
            if one.round_trip_bps == read_number(round_trip_bps):
                return one
        there = ", ".join(plain(one.round_trip_bps) for one in self.by_cost)
        raise InputError(f"{round_trip_bps} bp was not evaluated; there are {there}")

    def as_dict(self) -> dict[str, Any]:
        """The evaluation as JSON has it: decimals are texts, times in UTC."""
        return {
            "bounds": [write_instant(bound) for bound in self.bounds],
            "symbols": list(self.symbols),
            "folds": [list(fold) for fold in self.folds],
            "resamples": self.resamples,
            "seed": self.seed,
            "by_cost": [one.as_dict() for one in self.by_cost],
        }

    def to_json(self) -> str:
        """`as_dict` as text."""
        return json.dumps(self.as_dict(), indent=2)

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Write one line for each row of each cost, all figures exact; an empty cell is None.

        The net by part, fold and symbol are columns of their own, such as `part_1_bps`, `fold_1_bps` and `BTC_bps`.
        """
        columns = {
            "captured_interval": ["captured_low", "captured_high"],
            "parts_bps": [f"part_{part}_bps" for part in range(1, len(self.bounds))],
            "folds_bps": [f"fold_{fold}_bps" for fold in range(1, len(self.folds) + 1)],
            "symbols_bps": [f"{symbol}_bps" for symbol in self.symbols],
        }
        lines = [
            {"round_trip_bps": plain(one.round_trip_bps), **_flat(row, columns)}
            for one in self.by_cost
            for row in one.rows
        ]
        try:
            with Path(path).open("w", encoding="utf-8", newline="") as file:
                writer = csv.DictWriter(file, list(lines[0]), lineterminator="\n")
                writer.writeheader()
                writer.writerows(lines)
        except OSError as error:
            raise InputError(f"{os.fspath(path)} can not be written: {error.strerror}") from error


def chosen(splits: tuple[Split, ...]) -> Counter[str]:
    """How often each strategy was chosen."""
    return Counter(split.chosen.parameters["strategy"] for split in splits)


def _flat(row: EvaluationRow, columns: Mapping[str, list[str]]) -> dict[str, Any]:
    """The figures of a row by column, those that are several apart."""
    found: dict[str, Any] = {}
    for name, value in row.as_dict().items():
        if name in columns:
            found |= zip(columns[name], value or [None] * len(columns[name]), strict=True)
        else:
            found[name] = value
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return plain(value) if isinstance(value, Decimal) else value
