"""What a sweep found: one row a setting, exact, with what was earned by symbol and part of time behind it."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from ..costs import Costs
from ..domain.numbers import FRACTION_PLACES, RATIO_ONE, divide_half_even, from_grid, plain, ratio
from ..domain.times import write_instant
from ..errors import InputError
from ..history.parquet_table import write_parquet

if TYPE_CHECKING:
    from .walk import WalkForward

PLACES = FRACTION_PLACES - 4
"""Decimal places of a basis point on the grid."""
FIGURES = (
    "net_bps",
    "in_sample_bps",
    "out_of_sample_bps",
    "funding_bps",
    "cost_bps",
    "captured_share",
    "trades",
    "legs_traded",
    "symbols_above_zero",
    "worst_symbol",
    "worst_symbol_bps",
    "error",
)
"""The columns of the table behind the parameters."""

Figure = Literal["net_bps", "in_sample_bps", "out_of_sample_bps", "captured_share", "worst_symbol_bps"]
"""What settings may be ranked by: more is better."""

Grid = Sequence[Sequence[int]]
"""Figures by symbol and part."""


class Earned(NamedTuple):
    """What one setting earned, by symbol and part: grid steps of one leg's notional, and counts."""

    funding: Grid
    cost: Grid
    trades: Grid
    legs: Grid


@dataclass(frozen=True, slots=True)
class SweepRow:
    """One setting: its place in the design (from 0), its parameters as exact texts, its costs, and what it earned.

    Figures are None where there is an `error`. `in_sample_bps` is the net of all parts of time but the last,
    `out_of_sample_bps` of the last (None with one part alone). `captured_share` is the net as a share of the hindsight
    optimum (None where that is not above 0, or not known).
    """

    place: int
    parameters: Mapping[str, str]
    symbols: tuple[str, ...]
    costs: Costs | None = field(default=None, repr=False)
    earned: Earned | None = field(default=None, repr=False)
    optimum: int | None = field(default=None, repr=False)
    error: str | None = None

    @property
    def net_bps(self) -> Decimal | None:
        """What it earned: funding less costs, in basis points of one leg's notional, summed over symbols."""
        return self._net(slice(None))

    @property
    def in_sample_bps(self) -> Decimal | None:
        """The net of all parts of time but the last; of the only one, where there is one."""
        return self._net(slice(-1)) if self._parts > 1 else self.net_bps

    @property
    def out_of_sample_bps(self) -> Decimal | None:
        """The net of the last part of time; None where there is but one."""
        return self._net(slice(-1, None)) if self._parts > 1 else None

    @property
    def funding_bps(self) -> Decimal | None:
        """What was settled while positions were open."""
        return None if self.earned is None else _bps(_sum(self.earned.funding))

    @property
    def cost_bps(self) -> Decimal | None:
        """What its trades cost."""
        return None if self.earned is None else _bps(_sum(self.earned.cost))

    @property
    def trades(self) -> int | None:
        """How many trades it made."""
        return None if self.earned is None else _sum(self.earned.trades)

    @property
    def legs_traded(self) -> int | None:
        """How many legs they traded."""
        return None if self.earned is None else _sum(self.earned.legs)

    @property
    def captured_share(self) -> Decimal | None:
        """The net as a share of the hindsight optimum at the same costs, to 1e-6."""
        if self.earned is None or not self.optimum or self.optimum < 0:
            return None
        return ratio(divide_half_even(self.steps() * RATIO_ONE, self.optimum))

    @property
    def symbols_above_zero(self) -> int | None:
        """On how many symbols it earned more than it cost."""
        return None if self.earned is None else sum(self.steps(symbols=(symbol,)) > 0 for symbol in self.symbols)

    @property
    def worst_symbol(self) -> str | None:
        """The symbol on which it earned the least; ties by name."""
        return None if self.earned is None else min(self.symbols, key=lambda symbol: self.steps(symbols=(symbol,)))

    @property
    def worst_symbol_bps(self) -> Decimal | None:
        """What it earned there."""
        return None if self.worst_symbol is None else _bps(self.steps(symbols=(self.worst_symbol,)))

    def steps(self, *, symbols: Collection[str] | None = None, parts: slice = slice(None)) -> int:
        """The net on these symbols (None: all) in these parts of time, in grid steps; InputError where it failed."""
        if self.earned is None:
            raise InputError(f"this setting has no figures: {self.error}")
        rows = zip(self.symbols, self.earned.funding, self.earned.cost, strict=True)
        return sum(
            sum(funding[parts]) - sum(cost[parts])
            for symbol, funding, cost in rows
            if symbols is None or symbol in symbols
        )

    @property
    def _parts(self) -> int:
        return len(self.earned.funding[0]) if self.earned is not None else 0

    def _net(self, parts: slice) -> Decimal | None:
        return None if self.earned is None else _bps(self.steps(parts=parts))

    def texts(self) -> dict[str, Any]:
        """The figures as JSON has them: decimals are texts in plain digits."""
        figures = {name: getattr(self, name) for name in FIGURES}
        return {name: plain(value) if isinstance(value, Decimal) else value for name, value in figures.items()}


@dataclass(frozen=True, slots=True)
class SweepResult(Sequence[SweepRow]):
    """The table of a sweep: one row a setting, in the order of its design.

    `bounds` are the times at which the parts begin, and the end of the last.
    """

    rows: tuple[SweepRow, ...]
    symbols: tuple[str, ...]
    bounds: tuple[datetime, ...]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, place: Any) -> Any:
        return self.rows[place]

    def __iter__(self) -> Iterator[SweepRow]:
        return iter(self.rows)

    @property
    def failed(self) -> tuple[SweepRow, ...]:
        """The rows that have an error instead of figures."""
        return tuple(row for row in self.rows if row.error is not None)

    @property
    def names(self) -> tuple[str, ...]:
        """Every parameter that a row has, in order of first appearance."""
        return tuple(dict.fromkeys(name for row in self.rows for name in row.parameters))

    def best(self, n: int = 10, *, by: Figure = "in_sample_bps") -> tuple[SweepRow, ...]:
        """The `n` rows with most of a figure; ties in the order of the design; rows without it are left out.

        By default that is the net of all parts of time but the last, which had no part in the choice: what a row earned
        there stands beside it as `out_of_sample_bps`. Rank settings of equal costs: see `by_costs`.
        """
        ranked = [(value, row) for row in self.rows if (value := getattr(row, by)) is not None]
        return tuple(row for _, row in sorted(ranked, key=lambda pair: -pair[0])[:n])

    def by_costs(self) -> dict[Costs, SweepResult]:
        """The table of each costs: what trading costs is an assumption and no choice, so settings compete under one.

        Rows whose setting could not be made are in none.
        """
        found: dict[Costs, list[SweepRow]] = {}
        for row in self.rows:
            if row.costs is not None:
                found.setdefault(row.costs, []).append(row)
        return {costs: SweepResult(tuple(rows), self.symbols, self.bounds) for costs, rows in found.items()}

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Write the table as CSV: the parameters, then the figures, all exact; an empty cell is None."""
        try:
            with Path(path).open("w", encoding="utf-8", newline="") as file:
                lines = csv.writer(file, lineterminator="\n")
                lines.writerow((*self.names, *FIGURES))
                for row in self.rows:
                    figures = row.texts()
                    lines.writerow((*(row.parameters.get(name) for name in self.names), *figures.values()))
        except OSError as error:
            raise InputError(f"{path} can not be written: {error.strerror}") from error

    def to_parquet(self, path: str | os.PathLike[str]) -> None:
        """Write the table as Parquet: parameters as texts, figures as exact decimals. Needs the extra `replay`."""
        columns: dict[str, list[Any]] = {name: [row.parameters.get(name) for row in self.rows] for name in self.names}
        columns |= {name: [getattr(row, name) for row in self.rows] for name in FIGURES}
        write_parquet(path, columns, places=PLACES)

    def to_json(self, *walked: WalkForward) -> str:
        """The table as JSON: `bounds`, `symbols`, `rows` with their parameters and figures, and `walk_forward`, a list
        of what that found, of each costs. Decimals are texts.
        """
        found = {
            "bounds": [write_instant(bound) for bound in self.bounds],
            "symbols": self.symbols,
            "rows": [{"parameters": dict(row.parameters), **row.texts()} for row in self.rows],
            "walk_forward": [one.as_dict() for one in walked],
        }
        return json.dumps(found, indent=2)


def refuse_names(names: Iterable[str]) -> None:
    """A parameter that has the name of a figure would be lost in the table."""
    for name in names:
        if name in FIGURES:
            raise InputError(f"a parameter can not be called {name}: the table has a figure of that name")


def _sum(figures: Grid) -> int:
    return sum(map(sum, figures))


def _bps(steps: int) -> Decimal:
    return from_grid(steps, PLACES)
