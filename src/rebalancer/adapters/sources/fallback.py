"""Several sources as one: the first that answers, market by market."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from functools import partial, reduce
from operator import or_
from typing import NamedTuple

from ..._within import LateError, within
from ...domain.market import Freshness, Quote
from ...domain.missing import MARK_PRICE, OPEN_INTEREST, OPPORTUNITIES, RATE, SCHEDULE, VOLUME, Missing
from ...domain.names import Market, as_line
from ...domain.needs import Needs
from ...domain.opportunity import Opportunity
from ...domain.request import MarketRequest
from ...domain.snapshot import MarketSnapshot
from ...domain.times import SECOND
from ...errors import BadAnswerError, SourceError, SourceUnavailableError
from ...ports import FundingSource
from .answer import a_deadline, a_name, named


class FallbackSource(FundingSource):
    """`first`, then each of `others` for what is still wanted.

    These are markets that are missing, stale, or quoted without something that is needed of them, and candidates. A
    market's quote is the first that is fresh and has all that is needed, else the first that is fresh, else the first.
    It is one source's, whole: what it does not say is not filled in from another, and its `origin` names who gave it.
    If a market's kind of rate changes with the source, its past observations of the other kind do not count.

    `deadline` is for each source: one that has not answered by then is cut off, and the next one is asked. So it must
    be longer than a deadline of the source's own, by which it answers with what it has; and all of them together must
    fit into the deadline of whoever asks.
    """

    def __init__(
        self,
        first: FundingSource,
        *others: FundingSource,
        deadline: timedelta = timedelta(seconds=9),
        name: str = "fallback",
    ) -> None:
        self._sources = (first, *others)
        self._deadline = a_deadline(deadline)
        self._name = a_name(name)

    @property
    def name(self) -> str:
        """What it was named. Its quotes have the names of the sources that gave them."""
        return self._name

    @property
    def supplies(self) -> Needs:
        """What any of its sources can supply."""
        return reduce(or_, (source.supplies for source in self._sources))

    @property
    def plays_back(self) -> bool:
        """Whether all of them do: a history behind live sources is as old as it is."""
        return all(source.plays_back for source in self._sources)

    async def snapshot(self, request: MarketRequest) -> MarketSnapshot:
        """What the sources have between them, as of the latest answer and with the strictest of their freshnesses.

        What is missing after all says why, source by source. Raises SourceUnavailableError if none answered.
        """
        answers = _Answers(request)
        failed: BaseException | None = None
        for source in self._sources:
            wanted = answers.wanted()
            if wanted is None:
                break
            outcome = await within(self._deadline, partial(_asked, source, wanted))
            if outcome.value is not None:
                answers.take(source.name, outcome.value)
            else:
                failed = outcome.error
                answers.fail(source.name, self._reason(source.name, failed))
        if not answers.given:
            raise SourceUnavailableError(self._name, answers.why()) from failed
        return answers.merged()

    async def settlements(self, markets: Collection[Market], since: datetime) -> tuple[Quote, ...]:
        """Of each market what the first source has that has any. Raises SourceUnavailableError if one failed, and no
        other had any.
        """
        left, found, whys = list(dict.fromkeys(markets)), list[Quote](), list[str]()
        failed: BaseException | None = None
        for source in self._sources:
            if not left:
                break
            outcome = await within(self._deadline, partial(_settled, source, tuple(left), since))
            if outcome.value is None:
                failed = outcome.error
                whys.append(f"{source.name}: {self._reason(source.name, failed)}")
                continue
            found += outcome.value
            had = {quote.market for quote in outcome.value}
            left = [market for market in left if market not in had]
        if whys and not found:
            raise SourceUnavailableError(self._name, as_line("; ".join(whys))) from failed
        return tuple(sorted(found, key=lambda quote: quote.observed_epoch))

    def _reason(self, name: str, error: BaseException | None) -> str:
        """Why a source gave no answer. One may break its promise and raise what it likes, of which nothing is kept."""
        if isinstance(error, SourceError):
            return str(error).removeprefix(f"{name}: ")
        late = isinstance(error, LateError)
        return f"no answer within {self._deadline / SECOND:g} s" if late else f"it raised {type(error).__name__}"

    async def aclose(self) -> None:
        """Close all of them, even if one raises; the error follows when all are closed."""
        async with AsyncExitStack() as stack:
            for source in self._sources:
                stack.push_async_callback(source.aclose)


async def _asked(source: FundingSource, request: MarketRequest) -> MarketSnapshot:
    part: object = await source.snapshot(request)
    if not isinstance(part, MarketSnapshot):
        raise BadAnswerError(source.name, f"it answered with a {type(part).__name__}, not a MarketSnapshot")
    return part


async def _settled(source: FundingSource, markets: Collection[Market], since: datetime) -> tuple[Quote, ...]:
    name = as_line(source.name)
    found = await source.settlements(markets, since)
    if not all(isinstance(quote, Quote) for quote in found):
        raise BadAnswerError(source.name, "it answered with settlements that are no Quotes")
    return tuple(named(quote, name) for quote in found if quote.market in markets)


class _Choice(NamedTuple):
    """The quote that counts, the answer that it is from, and how good it is: fresh, and with all that is needed."""

    part: MarketSnapshot
    quote: Quote
    worth: tuple[bool, bool]


BEST = (True, True)


class _Answers:
    """Who was asked and what came of it, and what is still wanted."""

    def __init__(self, request: MarketRequest) -> None:
        self._request = request
        self._asked: list[tuple[str, MarketSnapshot | str]] = []
        self._chosen: dict[Market, _Choice] = {}
        self._open = dict.fromkeys(request.markets)
        self._symbols = request.symbols

    @property
    def given(self) -> list[tuple[str, MarketSnapshot]]:
        """The answers, each behind the name of its source."""
        return [(name, part) for name, part in self._asked if isinstance(part, MarketSnapshot)]

    def wanted(self) -> MarketRequest | None:
        """What to ask the next source for; None if there is nothing left."""
        if not self._asked:
            return self._request
        if not self._open and self._symbols == ():
            return None
        return self._request.model_copy(update={"markets": tuple(self._open), "symbols": self._symbols})

    def fail(self, name: str, why: str) -> None:
        """Take in that a source gave no answer."""
        self._asked.append((as_line(name), as_line(why)))

    def take(self, name: str, part: MarketSnapshot) -> None:
        """Take in an answer: of a market's quotes, the first of the best counts."""
        self._asked.append((as_line(name), part))
        for quote in part.quotes:
            market = quote.market
            if self._request.wants(market) and (market not in self._chosen or market in self._open):
                fresh = part.book.leg(market).rate is not None
                worth = fresh, not any(_unknown(part, quote, self._request.needs))
                if market not in self._chosen or worth > self._chosen[market].worth:
                    self._chosen[market] = _Choice(part, named(quote, as_line(name)), worth)
                if worth == BEST:
                    self._open.pop(market, None)
                else:
                    self._open[market] = None
        for gap in part.missing:
            if gap.field == RATE and gap.venue is not None and gap.symbol is not None:
                market = Market(gap.venue, gap.symbol)
                if self._request.wants(market) and market not in self._chosen:
                    self._open[market] = None
        lacking = {gap.symbol for gap in part.book.opportunity_gaps(None)}
        if None not in lacking:
            symbols = sorted(filter(None, lacking)) if self._symbols is None else self._symbols
            self._symbols = tuple(symbol for symbol in symbols if symbol in lacking)

    def why(self) -> str:
        """Why there is no answer, source by source."""
        return "; ".join(f"{name}: {said}" for name, said in self._asked)

    def merged(self) -> MarketSnapshot:
        """The answers as one."""
        _, first = self.given[0]
        return first.model_copy(
            update={
                "as_of": max(part.as_of for _, part in self.given),
                "freshness": _strictest(part.freshness for _, part in self.given),
                "quotes": tuple(choice.quote for choice in self._chosen.values()),
                "opportunities": tuple(dict.fromkeys(self._listed())),
                "observations": tuple(
                    quote for _, part in self.given for quote in part.observations if self._by(part, quote.market)
                ),
                "missing": tuple(dict.fromkeys(self._missing())),
            }
        )

    def _by(self, part: MarketSnapshot, market: Market) -> bool:
        """Whether what `part` says of the market counts: it gave the quote, or nobody did."""
        return market not in self._chosen or self._chosen[market].part is part

    def _listed(self) -> Iterator[Opportunity]:
        for name, part in self.given:
            for one in part.opportunities:
                yield one if one.origin is not None else one.model_copy(update={"origin": name})

    def _missing(self) -> Iterator[Missing]:
        """What is still missing: what was wanted with all reasons, the rest as its own source said it."""
        unquoted = [market for market in self._open if market not in self._chosen]
        wanted = dict.fromkeys((market, field) for market in self._open for field in self._lacking(market))
        for market, field in wanted:
            yield Missing(field=field, venue=market.venue, symbol=market.symbol, why=self._reasons(market, field))
        for symbol in self._unlisted():
            yield Missing(field=OPPORTUNITIES, symbol=symbol, why=self._reasons_of_candidates(symbol))
        for _, part in self.given:
            for gap in part.missing:
                if gap.field == OPPORTUNITIES:
                    continue
                if gap.venue is not None and gap.symbol is not None:
                    market = Market(gap.venue, gap.symbol)
                    if gap.field != RATE and (market, gap.field) not in wanted and self._by(part, market):
                        yield gap
                elif gap.field != RATE or unquoted or self._symbols != ():
                    yield gap

    def _lacking(self, market: Market) -> tuple[str, ...]:
        """What is missing of an open market: its rate, or what is needed and its quote does not say."""
        if market not in self._chosen:
            return (RATE,)
        choice = self._chosen[market]
        return tuple(_unknown(choice.part, choice.quote, self._request.needs))

    def _unlisted(self) -> tuple[str | None, ...]:
        """The symbols whose candidates nobody could list; (None,) where those are all that were wanted."""
        if self._symbols is None or (self._symbols and self._symbols == self._request.symbols):
            return (None,)
        return self._symbols

    def _reasons(self, market: Market, field: str) -> str:
        """Every source's reason in one line: why `field` of the market is missing."""
        return self._each(lambda part: [part.book.gap(market, field)])

    def _reasons_of_candidates(self, symbol: str | None) -> str:
        """Every source's reason in one line: why candidates are missing."""
        return self._each(lambda part: part.book.opportunity_gaps(symbol))

    def _each(self, gaps: Callable[[MarketSnapshot], Iterable[Missing]]) -> str:
        said = (
            (name, part if isinstance(part, str) else ", ".join(dict.fromkeys(gap.why for gap in gaps(part))))
            for name, part in self._asked
        )
        return as_line("; ".join(f"{name}: {why}" for name, why in said))


def _unknown(part: MarketSnapshot, quote: Quote, needs: Needs) -> Iterator[str]:
    """What is needed of a market and its quote in `part` does not say. A stale quote says it all the same."""
    if needs.schedule and part.book.leg(quote.market).settles_in is None:
        yield SCHEDULE
    if needs.open_interest and quote.open_interest_usd is None:
        yield OPEN_INTEREST
    if needs.volume and quote.volume_24h_usd is None:
        yield VOLUME
    if needs.mark_price and quote.mark_price is None:
        yield MARK_PRICE


def _strictest(limits: Iterable[Freshness]) -> Freshness:
    """Of each limit the smallest: whatever it limits, smaller is stricter."""
    every = tuple(limits)
    return Freshness(**{name: min(getattr(one, name) for one in every) for name in Freshness.model_fields})
