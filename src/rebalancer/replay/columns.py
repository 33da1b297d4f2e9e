"""A history as columns: what each market pays and whether it is known, tick by tick, in int64 grid steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import HistoryError, MissingExtraError
from ..history.table import FundingHistory, Series
from ..history.view import MAX_INTERVALS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Steps = NDArray[np.int64]
    Mask = NDArray[np.bool_]

MOST = 1 << 59
"""No sum of what a symbol is paid may reach this: then the sums of two of them still fit into 64 bits."""


def numpy() -> Any:
    """The module; MissingExtraError without it."""
    try:
        import numpy as module
    except ImportError as error:
        raise MissingExtraError("this replay", extra="replay") from error
    return module


@dataclass(frozen=True, slots=True)
class SymbolColumns:
    """One symbol: `paid` (ticks x venues) is what a short leg was paid since the tick before, in grid steps of its
    notional; `known` says where a rate is known, as a snapshot at that tick would have it.
    """

    symbol: str
    venues: tuple[str, ...]
    paid: Steps
    known: Mask


@dataclass(frozen=True, slots=True)
class Columns:
    """All symbols of a history on one clock: a tick at `first`, and every `every` seconds until the last row is in."""

    first: int
    every: int
    ticks: int
    symbols: tuple[SymbolColumns, ...]

    @classmethod
    def of(cls, history: FundingHistory, *, every: int) -> Columns:
        """The columns of a history. Raises HistoryError if its figures are too large to be summed in 64 bits."""
        first = -(-history.start // every) * every
        ticks = -(-history.end // every) - first // every + 1
        by_symbol: dict[str, list[Series]] = {}
        for series in history.series:
            by_symbol.setdefault(series.market.symbol, []).append(series)
        clock = first, every, ticks
        return cls(*clock, tuple(_symbol(name, series, clock) for name, series in sorted(by_symbol.items())))


def _symbol(name: str, series: list[Series], clock: tuple[int, int, int]) -> SymbolColumns:
    np = numpy()
    columns = [_market(one, clock) for one in series]
    paid = np.stack([paid for paid, _ in columns], axis=1)
    known = np.stack([known for _, known in columns], axis=1)
    return SymbolColumns(name, tuple(one.market.venue for one in series), paid, known)


def _market(series: Series, clock: tuple[int, int, int]) -> tuple[Steps, Mask]:
    """What a market pays at each tick, and whether its rate is known there."""
    np = numpy()
    first, every, ticks = clock
    if sum(abs(row.value) for row in series.rows) >= MOST:
        raise HistoryError(f"{series.market}: its rates are too large to be added up in 64 bits")
    at = np.array([row.at for row in series.rows], dtype=np.int64)
    value = np.array([row.value for row in series.rows], dtype=np.int64)
    until = at + MAX_INTERVALS * np.array([row.interval for row in series.rows], dtype=np.int64)
    paid = np.zeros(ticks, dtype=np.int64)
    np.add.at(paid, -((first - at) // every), value)
    times = first + every * np.arange(ticks, dtype=np.int64)
    last = np.searchsorted(at, times, side="right") - 1
    return paid, (last >= 0) & (until[last] >= times)
