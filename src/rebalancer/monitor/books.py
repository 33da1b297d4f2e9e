"""What funding positions got, per settlement, each booked once."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from ..domain.batch import LedgerEntry, LedgerKind
from ..domain.funding import RateKind
from ..domain.intents import Side
from ..domain.legs import Known
from ..domain.lifecycle import market_of, recorded
from ..domain.market import Quote
from ..domain.numbers import EIGHT_HOURS, ONE, divide_half_even, from_grid, to_grid, total
from ..domain.position import Position
from ..domain.snapshot import MarketSnapshot
from .evidence import Reads
from .keeper import Keeper

_CENTS = 2
_Leg = tuple[UUID, str]


class Books:
    """Books funding: what the venue says that it paid, where it says so, else each settlement at its rate.

    The ledger says what is booked, so that nothing is booked twice, by whichever process.
    """

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        self._booked: dict[UUID, dict[str, _Account]] = {}

    async def due(
        self, positions: Collection[Position], reads: Reads, snapshot: MarketSnapshot
    ) -> dict[UUID, tuple[LedgerEntry, ...]]:
        """The entries that are not booked yet, by position."""
        entries = {}
        for position in positions:
            found = [entry for leg in Side if (entry := await self._of_leg(position, leg, reads, snapshot)) is not None]
            if found:
                entries[position.id] = tuple(found)
        return entries

    def book(self, entries: Collection[LedgerEntry]) -> None:
        """These are in the store now."""
        for entry in entries:
            self._booked[entry.position_id].setdefault(entry.venue, _Account()).add(entry)

    def forget(self, living: Collection[UUID]) -> None:
        """Drop what is known of positions that have ended."""
        for gone in self._booked.keys() - living:
            del self._booked[gone]

    async def _of_leg(
        self, position: Position, leg: Side, reads: Reads, snapshot: MarketSnapshot
    ) -> LedgerEntry | None:
        market = market_of(position, leg)
        read = reads.get(market)
        state = None if read is None else read.state
        if read is not None and isinstance(state, Known) and state.funding_accrued is not None:
            account = await self._account(position, market.venue)
            accrued = from_grid(to_grid(state.funding_accrued, _CENTS), _CENTS)
            amount, at = total(accrued, account.sum.copy_negate()), state.as_of or read.began.wall
            late = account.last is None or at > account.last
            return _entry(position, market.venue, amount, at) if amount and late else None
        quote = snapshot.by_market.get(market)
        if quote is None or quote.kind is not RateKind.SETTLED or quote.observed_at <= position.opened_at:
            return None
        account = await self._account(position, market.venue)
        if account.last is not None and quote.observed_at <= account.last:
            return None
        amount = _payment(position, leg, quote)
        return _entry(position, market.venue, amount, quote.observed_at) if amount else None

    async def _account(self, position: Position, venue: str) -> _Account:
        if position.id not in self._booked:
            accounts: dict[str, _Account] = {}
            for entry in await self._keeper.ask(lambda: self._keeper.store.ledger(position.id)):
                if entry.kind is LedgerKind.FUNDING:
                    accounts.setdefault(entry.venue, _Account()).add(entry)
            self._booked[position.id] = accounts
        return self._booked[position.id].setdefault(venue, _Account())


class _Account:
    """What is booked of one leg."""

    __slots__ = ("last", "sum")

    def __init__(self) -> None:
        self.sum = Decimal(0)
        self.last: datetime | None = None

    def add(self, entry: LedgerEntry) -> None:
        self.sum = total(self.sum, entry.amount_usd)
        self.last = entry.at if self.last is None else max(self.last, entry.at)


def _entry(position: Position, venue: str, amount: Decimal, at: datetime) -> LedgerEntry:
    return LedgerEntry(position_id=position.id, venue=venue, kind=LedgerKind.FUNDING, at=at, amount_usd=amount)


def _payment(position: Position, leg: Side, quote: Quote) -> Decimal:
    """What a settlement pays to a leg, in dollars: short legs get rate x notional, long ones pay it.

    The notional is the leg's tokens at the mark price, where both are known, else the position's size.
    """
    tokens, mark = recorded(position, leg), quote.mark_price
    numerator, denominator = position.size_usd.as_integer_ratio()
    if tokens is not None and mark is not None:
        (ours, of_ours), (price, of_price) = tokens.as_integer_ratio(), mark.as_integer_ratio()
        numerator, denominator = ours * price, of_ours * of_price
    sign = 1 if leg is Side.SHORT else -1
    paid = sign * quote.rate.steps * quote.pays_seconds * numerator * 10**_CENTS
    return from_grid(divide_half_even(paid, ONE * EIGHT_HOURS * denominator), _CENTS)
