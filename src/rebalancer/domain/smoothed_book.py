"""What a snapshot knows of smoothed rates: markets and pairs by one signal. Unknown is None, and says why."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from .explain import span
from .funding import divergence
from .market import Freshness
from .missing import SMOOTHED_RATE, Missing
from .names import Market, Pair
from .ranking import Ranking, Seen
from .smoothed import Smoothed, SmoothedRate


class SmoothedLegs(dict[Market, int | None]):
    """`rates[market]` is the smoothed rate of a market per 8 h in grid steps, found when first asked for.

    As `Legs`, it knows nothing of the book that is made of it.
    """

    def __init__(
        self,
        signal: Smoothed,
        states: Iterable[SmoothedRate],
        *,
        now: int,
        freshness: Freshness,
        quoted: Callable[[Market], bool],
    ) -> None:
        super().__init__()
        self.states = {state.market: state for state in states if state.signal == signal}
        self._signal = signal
        self.now = now
        self._freshness = freshness
        self._quoted = quoted
        self._symbols: dict[str, list[Market]] = {}
        for market in sorted(self.states):
            self._symbols.setdefault(market.symbol, []).append(market)

    def __missing__(self, market: Market) -> int | None:
        state = self.states.get(market)
        rate = self[market] = None if state is None or self.refusal(state) is not None else state.steps
        return rate

    @property
    def symbols(self) -> Iterable[str]:
        """The symbols of which a market was ever seen to settle."""
        return self._symbols.keys()

    def known(self, symbol: str) -> list[Seen]:
        """The smoothed rates of a symbol that may be opened on, in order of their venues."""
        rates = ((self[market], market.venue) for market in self._symbols.get(symbol, ()) if self._quoted(market))
        return [(rate, venue, None) for rate, venue in rates if rate is not None]

    def refusal(self, state: SmoothedRate) -> str | None:
        """Why a smoothed rate does not count; None if it does."""
        age = self.now - state.settled_epoch
        if age < -self._freshness.future_seconds:
            return "its last settlement is from the future"
        if age > max(self._freshness.age_seconds, self._freshness.max_intervals * state.interval):
            return "its last settlement is older than its limit"
        if state.seen < self._signal.warm_up_seconds:
            return f"settlements of {span(state.seen)} were seen, of the {span(self._signal.warm_up_seconds)} it takes"
        return None


class SmoothedBook:
    """Markets and pairs by the smoothed rates of `signal`, as of `now` (epoch seconds).

    A smoothed rate counts while its last settlement is fresh, and once settlements covering the signal's warm-up were
    seen. `ranking` has the pairs of which both do, and that are `quoted` now.
    """

    def __init__(self, legs: SmoothedLegs) -> None:
        self._legs = legs
        self.ranking = Ranking(legs.symbols, legs.known)

    def rate(self, market: Market) -> int | None:
        """The smoothed rate of a market per 8 h in grid steps."""
        return self._legs[market]

    def divergence(self, pair: Pair) -> int | None:
        """The smoothed divergence of a pair per 8 h in grid steps."""
        long, short = self.rate(pair.long), self.rate(pair.short)
        return None if long is None or short is None else divergence(long, short)

    def both_known(self, pair: Pair) -> int:
        """1 if the pair's divergence is known, else 0."""
        return int(self.divergence(pair) is not None)

    def settled_ago(self, pair: Pair) -> int | None:
        """Seconds since the older one of the legs' last settlements; None if one of them was never seen."""
        long, short = self._legs.states.get(pair.long), self._legs.states.get(pair.short)
        return None if long is None or short is None else self._legs.now - min(long.settled_epoch, short.settled_epoch)

    def gaps(self, pair: Pair) -> tuple[Missing, ...]:
        """Why the divergence of a pair is unknown; empty if it is known."""
        return tuple(self._gap(market) for market in (pair.long, pair.short) if self.rate(market) is None)

    def unseen(self, pair: Pair) -> tuple[Missing, ...]:
        """The legs of which no settlement was seen."""
        return tuple(self._gap(market) for market in (pair.long, pair.short) if market not in self._legs.states)

    def why(self, market: Market) -> str:
        """Why the rate of a market, which is unknown, is unknown."""
        state = self._legs.states.get(market)
        if state is None:
            return "no settled rate was seen"
        return self._legs.refusal(state) or "no settlement has any weight"

    def _gap(self, market: Market) -> Missing:
        return Missing(field=SMOOTHED_RATE, venue=market.venue, symbol=market.symbol, why=self.why(market))
