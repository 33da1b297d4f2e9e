"""The directed pairs of symbols, the widest first, by a value that each market has."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from heapq import heappop, heappush
from itertools import permutations
from operator import itemgetter
from typing import TYPE_CHECKING

from .funding import RateKind, divergence
from .names import Pair, made

if TYPE_CHECKING:
    from .market import Quote

Candidate = tuple[int, Pair]
"""A pair that could be held, behind its divergence per 8 h in grid steps."""

Seen = tuple[int, str, "Quote | None"]
"""A rate per 8 h in grid steps, on which venue, and the quote that says so (None: it is comparable with any)."""

_SETTLED = RateKind.SETTLED


def rank(candidate: Candidate) -> tuple[int, Pair]:
    """The sort key of candidates: the largest divergence first, ties by (symbol, long, short)."""
    divergence, pair = candidate
    return -divergence, pair


def skewed(long: Quote | None, short: Quote | None, max_skew: int) -> bool:
    """Whether two live legs were seen too far apart in time to be compared; a settled leg is comparable with any."""
    if long is None or short is None or long.kind is _SETTLED or short.kind is _SETTLED:
        return False
    return abs(long.observed_epoch - short.observed_epoch) > max_skew


class Ranking:
    """The directed pairs of `symbols` whose rates are `known` (by symbol, in order of their venues).

    Ties are in order of (symbol, long, short). `max_skew` is how far apart in time two live quotes may be, in seconds.
    """

    def __init__(self, symbols: Iterable[str], known: Callable[[str], list[Seen]], *, max_skew: int = 0) -> None:
        self._symbols = symbols
        self._known = known
        self._max_skew = max_skew
        self._ordered: dict[str, tuple[list[Seen], list[Seen]]] = {}

    def ranked(self, symbol: str | None) -> list[Candidate]:
        """All candidates of `symbol` (None: of all symbols), the largest divergence first."""
        return sorted(self.pairs(symbol), key=itemgetter(0), reverse=True)  # ties stay in the order of `pairs`

    def pairs(self, symbol: str | None) -> Iterator[Candidate]:
        """All candidates of `symbol` (None: of all symbols), in order of (symbol, long, short)."""
        for name in sorted(self._symbols) if symbol is None else (symbol,):
            for (long_rate, long, long_quote), (short_rate, short, short_quote) in permutations(self._known(name), 2):
                if not skewed(long_quote, short_quote, self._max_skew):
                    yield divergence(long_rate, short_rate), made(Pair, (name, long, short))

    def widest(self, symbol: str | None) -> int | None:
        """A divergence that no candidate of `symbol` (None: of any) exceeds; None if there is none at all."""
        if symbol is None:
            ranked = self.ranked(None)
            return ranked[0][0] if ranked else None
        longs, shorts = self._in_order(symbol)
        return divergence(longs[0][0], shorts[0][0]) if longs else None

    def best_first(self, symbol: str | None) -> Iterable[Candidate]:
        """The same as `ranked`, for who looks at the first few only: each candidate is made when it is asked for."""
        return self.ranked(None) if symbol is None else self._from_the_top(symbol)

    def _from_the_top(self, name: str) -> Iterator[Candidate]:
        """The candidates of a symbol, in the order of `rank`.

        In both orders every step down makes a candidate that ranks later: of those that were not looked at yet, the
        first one is always among the next steps.
        """
        longs, shorts = self._in_order(name)
        steps = [_step(longs[0], shorts[0], 0, 0)] if longs else []
        while steps:
            before, long, short, at, by = heappop(steps)
            if long != short and not skewed(longs[at][2], shorts[by][2], self._max_skew):
                yield -before, made(Pair, (name, long, short))
            if by + 1 < len(shorts):
                heappush(steps, _step(longs[at], shorts[by + 1], at, by + 1))
            if by == 0 and at + 1 < len(longs):
                heappush(steps, _step(longs[at + 1], shorts[0], at + 1, 0))

    def _in_order(self, name: str) -> tuple[list[Seen], list[Seen]]:
        """The known rates of a symbol, ties by venue: the lowest first, to be long, and the highest, to be short."""
        ordered = self._ordered.get(name)
        if ordered is None:
            known = self._known(name)  # in order of their venues, which sorting keeps
            longs, shorts = sorted(known, key=itemgetter(0)), sorted(known, key=itemgetter(0), reverse=True)
            ordered = self._ordered[name] = longs, shorts
        return ordered


def _step(long: Seen, short: Seen, at: int, by: int) -> tuple[int, str, str, int, int]:
    """A candidate as `rank` sorts it, and the places of its legs."""
    return -divergence(long[0], short[0]), long[1], short[1], at, by
