"""A history tick by tick."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..domain.needs import Needs
from ..domain.snapshot import MarketSnapshot
from ..history.table import FundingHistory, Row, Series
from ..history.view import HistoryView


@dataclass(frozen=True, slots=True)
class Tick:
    """One instant `at`: the rows that came since the tick before, and the snapshot after them."""

    at: int
    rows: tuple[tuple[Series, Row], ...]
    snapshot: MarketSnapshot


class Feed:
    """The ticks of a history, `every` seconds on the clock, from its first row to its last.

    The snapshots carry what `needs` says of the past: observations, for every pair, and smoothed rates.
    """

    def __init__(self, history: FundingHistory, *, every: int, needs: Needs) -> None:
        self._history = history
        self.every = every
        self._needs = needs
        self.first = -(-history.start // every) * every
        self.last = -(-history.end // every) * every

    def __len__(self) -> int:
        return (self.last - self.first) // self.every + 1

    def __iter__(self) -> Iterator[Tick]:
        view = HistoryView(self._history, observations=self._needs.observations, smoothed=self._needs.smoothed)
        for at in range(self.first, self.last + 1, self.every):
            rows = view.advance(at)
            yield Tick(at, rows, view.snapshot(at))
