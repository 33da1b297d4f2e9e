"""Fixed quotes, for tests and one-off questions."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime

from ...domain.funding import RateKind
from ...domain.market import Quote
from ...domain.missing import Missing
from ...domain.names import Market
from ...domain.needs import Needs
from ...domain.opportunity import Opportunity
from ...domain.request import MarketRequest
from ...domain.snapshot import MarketSnapshot
from ...ports import Clock, FundingSource
from ..clock import SystemClock
from .answer import EVERYTHING, a_name, answer, named


class StaticSource(FundingSource):
    """The quotes that it is given, until `set` replaces them. They grow old as the clock goes on.

    It counts as supplying everything but legs: what its quotes do not say is unknown, quote by quote. Raises InputError
    for two quotes of one market.
    """

    def __init__(
        self,
        quotes: Iterable[Quote],
        *,
        opportunities: Iterable[Opportunity] = (),
        missing: Iterable[Missing] = (),
        observations: Iterable[Quote] = (),
        clock: Clock | None = None,
        name: str = "static",
    ) -> None:
        self._clock = clock or SystemClock()
        self._name = a_name(name)
        self._known = MarketSnapshot(
            as_of=self._clock.now(),
            quotes=tuple(quotes),
            opportunities=tuple(opportunities),
            missing=tuple(missing),
            observations=tuple(observations),
        )

    def set(self, *quotes: Quote) -> None:
        """Have these quotes instead, from now on."""
        self._known = self._known.model_copy(update={"quotes": quotes})

    @property
    def name(self) -> str:
        """What it was named."""
        return self._name

    @property
    def supplies(self) -> Needs:
        """Everything but legs: what we hold is for an executor to read."""
        return EVERYTHING

    async def snapshot(self, request: MarketRequest) -> MarketSnapshot:
        """What is wanted of its quotes, as of the clock's now. It never fails."""
        known = self._known.model_copy(update={"as_of": self._clock.now()})
        return answer(request, known, name=self._name, absent=_absent)

    async def settlements(self, markets: Collection[Market], since: datetime) -> tuple[Quote, ...]:
        """What is settled of its quotes and observations, once for a market and instant."""
        now = self._clock.now()
        settled = {
            (quote.observed_at, quote.market): named(quote, self._name)
            for quote in (*self._known.observations, *self._known.quotes)
            if quote.kind is RateKind.SETTLED and quote.market in markets and since <= quote.observed_at <= now
        }
        return tuple(settled[key] for key in sorted(settled))


def _absent(_: Market) -> str:
    return "the source has no quote of it"
