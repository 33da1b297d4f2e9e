"""Trading on paper: orders that fill without a venue, at the prices of a source."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Collection, Mapping
from datetime import timedelta
from decimal import Decimal

from ...costs import Costs
from ...domain.batch import StoreMode
from ...domain.intents import Intent
from ...domain.legs import Known, LegState, Unknown
from ...domain.market import Quote
from ...domain.names import Market, as_line
from ...domain.needs import Needs
from ...domain.numbers import Number, read_number
from ...domain.orders import Capabilities, Report, ReportState
from ...domain.request import MarketRequest
from ...domain.snapshot import MarketSnapshot
from ...domain.times import SECOND
from ...errors import InputError, SourceError
from ...ports import Clock, Executor, FundingSource
from ..clock import SystemClock
from .paper_account import PaperAccount, PaperLeg, PaperOrder, Terms, filled
from .paper_file import AccountFile
from .paper_funding import funded


class PaperExecutor(Executor):
    """An account without money. Orders fill at once and whole, at the mark price of `source`.

    A fill is `slippage_bps` worse than the mark and costs what `costs` says of the venue. Funding is paid from the
    quotes that it sees when legs are read. A mark that is missing, stale or from the future fills nothing: the order is
    rejected with the reason. Every id is refused for ever, closes are reduce-only, and an order ends within `deadline`.

    The account is kept in the file `path`, replaced as a whole at every change, so that a restart forgets nothing; a
    file that can not be read is an InputError, not a new account. Without a path it is gone with the process. A process
    that stands by sees what the active one has written; only one at a time may trade.
    """

    def __init__(
        self,
        source: FundingSource,
        *,
        costs: Costs,
        slippage_bps: Number = 0,
        clock: Clock | None = None,
        path: str | os.PathLike[str] | None = None,
        deadline: timedelta = timedelta(seconds=10),
    ) -> None:
        if deadline <= timedelta(0):
            raise InputError("deadline must be above 0")
        self._source = source
        self._costs = costs
        self._terms = Terms(fee=0, slippage_bps=slippage_bps)
        self._clock = clock or SystemClock()
        self._deadline = deadline
        self._under_way: set[str] = set()
        self._file = None if path is None else AccountFile(path)
        self._latest = PaperAccount()
        self._latest = self.account  # a file that can not be read is found out now

    @property
    def account(self) -> PaperAccount:
        """What it holds, and every order that it had."""
        written = None if self._file is None else self._file.changed()
        if written is not None:
            self._latest = written
        return self._latest

    @property
    def mode(self) -> StoreMode:
        """Paper."""
        return StoreMode.PAPER

    @property
    def supplies(self) -> Needs:
        """The legs."""
        return Needs(rates=False, legs=True)

    def capabilities(self, venue: str) -> Capabilities:  # noqa: ARG002  # all venues are on the same paper
        """Everything, on any venue."""
        return Capabilities(
            reduce_only=True,
            dedupes_ids=True,
            finds_ids=True,
            sends_once=True,
            reads_legs=True,
            settle=self._deadline + SECOND,
        )

    def hold(self, market: Market, quantity: Number, *, entry_price: Number | None = None, again: bool = False) -> bool:
        """Begin with a position that was opened elsewhere: the quantity is positive if it is long.

        Only on a market that the account never had anything to do with: else nothing is changed, and the answer is
        False. So a program may say it again at every start. With `again` also where nothing is held any more: for who
        knows that this position is another one than was closed there.
        """
        there = self.account.by_market.get(market)
        if there is not None and (there.quantity or not again):
            return False
        begun = {"quantity": read_number(quantity), "entry_price": entry_price, "funding_usd": 0}
        fresh = PaperLeg(venue=market.venue, symbol=market.symbol, quantity=0)
        self._commit(self._latest.after(fresh.model_copy(update=begun)))
        return True

    async def read_legs(self, markets: Collection[Market]) -> Mapping[Market, LegState]:
        """What the account holds, with what the source says of it.

        A market that the account never had anything to do with is a known zero only if the source has a quote of it.
        """
        look = await self._look(markets)
        before = self.account
        held = [before.by_market[market] for market in markets if market in before.by_market]
        after = [look.funded(leg) for leg in held]
        if after != held:
            self._commit(before.after(*after))
        return {market: self._read(market, look) for market in markets}

    def _read(self, market: Market, look: _Look) -> LegState:
        leg, quote = self._latest.by_market.get(market), look.quotes.get(market)
        if leg is None and quote is None:
            return Unknown(as_line(f"never held, and no quote shows that it exists: {look.why(market)}"))
        return Known(
            0 if leg is None else leg.quantity,
            as_of=self._clock.now(),
            entry_price=None if leg is None else leg.entry_price,
            mark_price=None if quote is None else quote.mark_price,
            funding_accrued=None if leg is None else leg.funding_usd,
        )

    async def send(self, intent: Intent) -> Report:
        """Fill the order, or reject it with the reason; for one that it had, what became of it then."""
        if intent.quantity is None:
            raise InputError("an intent without a quantity can not be sent")
        if intent.key in self.account.by_key:
            return self._said(intent)
        self._under_way.add(intent.key)
        try:
            look = await self._look([intent.market])
        finally:
            self._under_way.discard(intent.key)
        # From here nothing waits: whoever is cancelled finds the order done, or not begun.
        if intent.key in self.account.by_key:
            return self._said(intent)
        leg = look.funded(self._leg(intent.market))
        mark = look.mark(intent.market)
        if isinstance(mark, Decimal):
            terms = self._terms.model_copy(update={"fee": self._costs.leg(intent.venue)})
            leg, report = filled(leg, intent, mark=mark, terms=terms)
        else:
            report = Report.rejected(f"not filled: {mark}")
        self._commit(self._latest.after(leg, order=PaperOrder.of(intent, report)))
        return report

    async def find(self, intent: Intent) -> Report:
        """What became of the order: absent if it never came in."""
        return self._said(intent)

    async def cancel(self, intent: Intent) -> Report:
        """What became of the order; one whose price is still awaited is rejected."""
        if intent.key in self._under_way and intent.key not in self.account.by_key:
            order = PaperOrder.of(intent, Report.rejected("cancelled"))
            self._commit(self._latest.after(self._leg(intent.market), order=order))
        return self._said(intent)

    def _said(self, intent: Intent) -> Report:
        order = self.account.by_key.get(intent.key)
        if order is None:
            awaited = Report(state=ReportState.LIVE, why="its price is awaited")
            return awaited if intent.key in self._under_way else Report.absent()
        return order.report if order.is_of(intent) else Report.unknown("another order has its id")

    def _leg(self, market: Market) -> PaperLeg:
        return self._latest.by_market.get(market) or PaperLeg(venue=market.venue, symbol=market.symbol, quantity=0)

    async def _look(self, markets: Collection[Market]) -> _Look:
        """What the source says now."""
        request = MarketRequest(markets=tuple(sorted(set(markets))), needs=Needs(mark_price=True))
        try:
            async with asyncio.timeout(self._deadline / SECOND):
                return _Look(await self._source.snapshot(request))
        except (SourceError, TimeoutError) as error:
            why = "no answer in time" if isinstance(error, TimeoutError) else str(error)
            return _Look(MarketSnapshot(as_of=self._clock.now(), quotes=()), failed=why)

    def _commit(self, account: PaperAccount) -> None:
        """Keep a change: on the disk first, and in memory only if that went well.

        It blocks for the milliseconds that a disk takes, so that no cancellation can come between the two.
        """
        if self._file is not None:
            self._file.write(account)
        self._latest = account


class _Look:
    """What a source said when it was asked: `quotes` are those that count now."""

    def __init__(self, snapshot: MarketSnapshot, *, failed: str | None = None) -> None:
        self._snapshot = snapshot
        self._failed = failed
        legs = {market: snapshot.book.leg(market) for market in snapshot.by_market}
        self.quotes: dict[Market, Quote] = {
            market: quote for market, quote in snapshot.by_market.items() if legs[market].refusal is None
        }

    def why(self, market: Market) -> str:
        """Why there is no quote of a market."""
        gap = next((gap.why for gap in self._snapshot.missing if (gap.venue, gap.symbol) == market), None)
        return self._failed or self._snapshot.book.leg(market).refusal or gap or "the source has no quote of it"

    def mark(self, market: Market) -> Decimal | str:
        """A market's mark price, or why it is unknown."""
        quote = self.quotes.get(market)
        return self.why(market) if quote is None else quote.mark_price or "the source has no mark price of it"

    def funded(self, leg: PaperLeg) -> PaperLeg:
        """The leg with the funding until now, in the source's time; as it was where the source said nothing."""
        return leg if self._failed else funded(leg, self.quotes.get(leg.market), now=self._snapshot.now)
