"""Past observations of the markets that are held: for rules with memory, and to know since when rates are unknown."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from itertools import chain

from ..domain.market import Quote
from ..domain.names import Market
from ..domain.position import Position
from ..domain.snapshot import MarketSnapshot
from .keeper import Keeper

LOOKS_BACK = timedelta(days=30)
"""How old an observation may be that a restart reads again."""


class Memory:
    """The latest `most` observations of each market that is held, which the store has too.

    A quote that was refused, or is too old, is no observation.
    """

    def __init__(self, keeper: Keeper, *, most: int) -> None:
        self._keeper = keeper
        self._most = most
        self._seen: dict[Market, deque[Quote]] = {}

    def forget(self) -> None:
        """Read everything again: another process observed meanwhile."""
        self._seen = {}

    async def recall(self, markets: Iterable[Market], now: datetime) -> None:
        """Read what the store has of markets that are new here, and forget those that are gone. Raises StoreError."""
        if not self._most:
            return
        there = frozenset(markets)
        self._seen = {market: seen for market, seen in self._seen.items() if market in there}
        new = there - self._seen.keys()
        if not new:
            return
        store = self._keeper.store
        past = await self._keeper.ask(lambda: store.observations(new, now - LOOKS_BACK, most=self._most))
        self._seen |= {market: deque(maxlen=self._most) for market in new}
        for quote in past:
            self._seen[quote.market].append(quote)

    @property
    def past(self) -> Sequence[Quote]:
        """All that is remembered."""
        return tuple(chain.from_iterable(self._seen.values()))

    def new(self, snapshot: MarketSnapshot) -> tuple[Quote, ...]:
        """The quotes that were not seen before."""
        legs = ((snapshot.book.leg(market), seen) for market, seen in self._seen.items())
        return tuple(
            leg.quote
            for leg, seen in legs
            if leg.quote is not None
            and leg.refusal is None
            and (not seen or (seen[-1].observed_epoch, seen[-1].rate) != (leg.quote.observed_epoch, leg.quote.rate))
        )

    def keep(self, quotes: Collection[Quote]) -> None:
        """These are in the store now."""
        for quote in quotes:
            self._seen[quote.market].append(quote)

    def blind_for(self, position: Position, snapshot: MarketSnapshot) -> timedelta | None:
        """How long ago the first of its rates stopped to count, as it was seen last; None if one was never seen.

        That is when it became too old: what was observed is all that a restart knows.
        """
        last = [seen[-1] for market in position.markets if (seen := self._seen.get(market))]
        until = [quote.observed_at + timedelta(seconds=snapshot.freshness.limit(quote)) for quote in last]
        return snapshot.as_of - min(until) if len(until) == len(position.markets) else None
