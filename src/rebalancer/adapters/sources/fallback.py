"""Several sources as one: the first that answers, market by market."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AsyncExitStack
from functools import reduce
from operator import or_

from ...domain.market import Quote
from ...domain.missing import OPPORTUNITIES, RATE, Missing
from ...domain.names import Market, as_line
from ...domain.needs import Needs
from ...domain.opportunity import Opportunity
from ...domain.request import MarketRequest
from ...domain.snapshot import MarketSnapshot
from ...errors import BadAnswerError, SourceError, SourceUnavailableError
from ...ports import FundingSource
from .answer import a_name, named


class FallbackSource(FundingSource):
    """`first`, then each of `others` for what is still wanted: markets that are missing or stale, and candidates.

    A quote is one source's, whole: what it does not say is not filled in from another, and its `origin` names who gave
    it. If a market's kind of rate changes with the source, its past observations of the other kind do not count.
    """

    def __init__(self, first: FundingSource, *others: FundingSource, name: str = "fallback") -> None:
        self._sources = (first, *others)
        self._name = a_name(name)

    @property
    def name(self) -> str:
        """What it was named. Its quotes have the names of the sources that gave them."""
        return self._name

    @property
    def supplies(self) -> Needs:
        """What any of its sources can supply."""
        return reduce(or_, (source.supplies for source in self._sources))

    async def snapshot(self, request: MarketRequest) -> MarketSnapshot:
        """What the sources have between them, as of the latest answer and with the freshness of the first.

        What is missing after all says why, source by source. Raises SourceUnavailableError if none answered.
        """
        answers = _Answers(request)
        failed: Exception | SystemExit | None = None
        for source in self._sources:
            wanted = answers.wanted()
            if wanted is None:
                break
            try:
                answers.take(source.name, await source.snapshot(wanted))
            except SourceError as error:
                answers.fail(source.name, str(error).removeprefix(f"{source.name}: "))
                failed = error
            except (Exception, SystemExit) as error:  # it broke its promise; the next one must be asked all the same
                answers.fail(source.name, f"it raised {type(error).__name__}")
                failed = error
        if not answers.given:
            raise SourceUnavailableError(self._name, answers.why()) from failed
        return answers.merged()

    async def aclose(self) -> None:
        """Close all of them, even if one raises; the error follows when all are closed."""
        async with AsyncExitStack() as stack:
            for source in self._sources:
                stack.push_async_callback(source.aclose)


class _Answers:
    """Who was asked and what came of it, and what is still wanted."""

    def __init__(self, request: MarketRequest) -> None:
        self._request = request
        self._asked: list[tuple[str, MarketSnapshot | str]] = []
        self._chosen: dict[Market, tuple[MarketSnapshot, Quote]] = {}
        self._open = dict.fromkeys(request.markets)
        self._wants_candidates = request.symbols is None or bool(request.symbols)

    @property
    def given(self) -> list[tuple[str, MarketSnapshot]]:
        """The answers, each behind the name of its source."""
        return [(name, part) for name, part in self._asked if isinstance(part, MarketSnapshot)]

    def wanted(self) -> MarketRequest | None:
        """What to ask the next source for; None if there is nothing left."""
        if not self._asked:
            return self._request
        if not self._open and not self._wants_candidates:
            return None
        symbols = self._request.symbols if self._wants_candidates else ()
        return self._request.model_copy(update={"markets": tuple(self._open), "symbols": symbols})

    def fail(self, name: str, why: str) -> None:
        """Take in that a source gave no answer."""
        self._asked.append((as_line(name), as_line(why)))

    def take(self, name: str, part: MarketSnapshot) -> None:
        """Take in an answer: a market's first fresh quote, else its first, is the one that counts."""
        if not isinstance(part, MarketSnapshot):
            raise BadAnswerError(name, f"it answered with a {type(part).__name__}, not a MarketSnapshot")
        self._asked.append((as_line(name), part))
        for quote in part.quotes:
            market = quote.market
            if self._request.wants(market) and (market not in self._chosen or market in self._open):
                fresh = part.book.leg(market).rate is not None
                if fresh or market not in self._chosen:
                    self._chosen[market] = part, named(quote, as_line(name))
                if fresh:
                    self._open.pop(market, None)
                else:
                    self._open[market] = None
        for gap in part.missing:
            if gap.field == RATE and gap.venue is not None and gap.symbol is not None:
                market = Market(gap.venue, gap.symbol)
                if self._request.wants(market) and market not in self._chosen:
                    self._open[market] = None
        self._wants_candidates = self._wants_candidates and bool(part.book.opportunity_gaps(None))

    def why(self) -> str:
        """Why there is no answer, source by source."""
        return "; ".join(f"{name}: {said}" for name, said in self._asked)

    def merged(self) -> MarketSnapshot:
        """The answers as one."""
        _, first = self.given[0]
        return first.model_copy(
            update={
                "as_of": max(part.as_of for _, part in self.given),
                "quotes": tuple(quote for _, quote in self._chosen.values()),
                "opportunities": tuple(dict.fromkeys(self._listed())),
                "observations": tuple(
                    quote for _, part in self.given for quote in part.observations if self._by(part, quote.market)
                ),
                "missing": tuple(dict.fromkeys(self._missing())),
            }
        )

    def _by(self, part: MarketSnapshot, market: Market) -> bool:
        """Whether what `part` says of the market counts: it gave the quote, or nobody did."""
        return market not in self._chosen or self._chosen[market][0] is part

    def _listed(self) -> Iterator[Opportunity]:
        for name, part in self.given:
            for one in part.opportunities:
                yield one if one.origin is not None else one.model_copy(update={"origin": name})

    def _missing(self) -> Iterator[Missing]:
        """What is still missing: rates and candidates with all reasons, the rest as its own source said it."""
        unquoted = [market for market in self._open if market not in self._chosen]
        for market in unquoted:
            yield Missing(field=RATE, venue=market.venue, symbol=market.symbol, why=self._reasons(market))
        if self._wants_candidates:
            yield Missing(field=OPPORTUNITIES, why=self._reasons(None))
        for _, part in self.given:
            for gap in part.missing:
                if gap.venue is not None and gap.symbol is not None:
                    if gap.field != RATE and self._by(part, Market(gap.venue, gap.symbol)):
                        yield gap
                elif gap.field != OPPORTUNITIES and (gap.field != RATE or unquoted or self._wants_candidates):
                    yield gap

    def _reasons(self, market: Market | None) -> str:
        """Every source's reason in one line: why the market's rate is missing, or (None) the candidates."""
        return as_line("; ".join(f"{name}: {_why(part, market)}" for name, part in self._asked))


def _why(part: MarketSnapshot | str, market: Market | None) -> str:
    if isinstance(part, str):
        return part
    gaps = part.book.opportunity_gaps(None) if market is None else (part.book.gap(market, RATE),)
    return ", ".join(dict.fromkeys(gap.why for gap in gaps))
