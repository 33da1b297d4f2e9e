"""What funding positions got, per settlement, each booked once."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from decimal import Decimal
from typing import TypeGuard
from uuid import UUID

from ..domain.batch import Batch, LedgerEntry, LedgerKind
from ..domain.funding import RateKind
from ..domain.intents import Side
from ..domain.legs import Known, LegState
from ..domain.lifecycle import changed, market_of, recorded
from ..domain.market import Quote
from ..domain.names import as_line
from ..domain.numbers import EIGHT_HOURS, ONE, divide_half_even, from_grid, to_grid, total
from ..domain.position import Position
from ..domain.snapshot import MarketSnapshot
from ..domain.tick import AlarmKind
from ..errors import InputError, StoreError
from .closer import Progress
from .evidence import Reads
from .keeper import Keeper
from .notice import Notice, where

_CENTS = 2
_TIMES = 10
"""Funding of more than so many times a position's size is not believed."""
_MOST = Decimal(10) ** 12
"""The most that a position can have collected, in dollars."""
_Leg = tuple[UUID, str]


class Books:
    """Books funding: what the venue says that it paid, where it says so, else each settlement at its rate.

    The ledger says what is booked, so that nothing is booked twice, by whichever process. What can not be believed is
    not booked, and `amiss` says so. Of a close that has begun only what the venue says is booked: nobody asks for rates
    any more. A venue that forgets what it paid, once the leg is gone, takes nothing back.
    """

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        self._booked: dict[UUID, dict[str, _Account]] = {}
        self._amiss: dict[_Leg, Notice] = {}

    async def due(
        self, positions: Collection[Position], reads: Reads, snapshot: MarketSnapshot | None = None
    ) -> dict[UUID, tuple[LedgerEntry, ...]]:
        """The entries that are not booked yet, by position. Raises StoreError if the ledger can not be read."""
        entries = {}
        for position in positions:
            found: list[LedgerEntry] = []
            for leg in Side:
                entry = await self._tried(position, leg, reads, snapshot, found)
                found += [] if entry is None else [entry]
            if found:
                entries[position.id] = tuple(found)
        return entries

    async def settle(self, progress: Progress, reads: Reads) -> None:
        """Book what a position got while it was closed, or up to its end, as far as its venues say it."""
        position = progress.position
        if progress.failures or progress.defects:  # it may not be what the store has
            return
        try:
            entries = (await self.due([position], reads)).get(position.id, ())
            if entries:
                after = changed(position, funding_collected_usd=collected(position, entries))
                await self._keeper.commit(Batch(positions=(after,), ledger=entries))
                self.book(entries)
                progress.position = after
        except StoreError as error:
            progress.failures.append(as_line(f"its funding: {error}"))
        except Exception as error:
            progress.defects.append(where(error))
        progress.notices += self.amiss((position.id,))

    def amiss(self, positions: Iterable[UUID]) -> list[Notice]:
        """What was not believed of these positions, when they were looked at last."""
        there = frozenset(positions) if self._amiss else ()
        return [notice for (position_id, _), notice in self._amiss.items() if position_id in there]

    def book(self, entries: Collection[LedgerEntry]) -> None:
        """These are in the store now."""
        for entry in entries:
            if entry.position_id in self._booked:  # else the ledger is read before the next one
                self._booked[entry.position_id].setdefault(entry.venue, _Account()).add(entry)

    def forget(self, living: Collection[UUID]) -> None:
        """Drop what is known of positions that have ended."""
        for gone in self._booked.keys() - living:
            del self._booked[gone]
        self._amiss = {leg: notice for leg, notice in self._amiss.items() if leg[0] in living}

    async def _tried(
        self,
        position: Position,
        leg: Side,
        reads: Reads,
        snapshot: MarketSnapshot | None,
        others: Collection[LedgerEntry],
    ) -> LedgerEntry | None:
        """The entry of a leg; none if what is said of it can not be believed, which stops nothing else."""
        venue = market_of(position, leg).venue
        try:
            entry = await self._of_leg(position, leg, reads, snapshot)
            if entry is not None:
                _check(position, (*others, entry))
        except StoreError:
            raise
        except Exception as error:
            why = f"it is not booked: {error if isinstance(error, InputError) else where(error)}"
            about = f"funding of {position.pair} on {venue}"
            self._amiss[position.id, venue] = Notice(AlarmKind.SUSPICIOUS, about, why, position.id)
            return None
        self._amiss.pop((position.id, venue), None)
        return entry

    async def _of_leg(
        self, position: Position, leg: Side, reads: Reads, snapshot: MarketSnapshot | None
    ) -> LedgerEntry | None:
        market = market_of(position, leg)
        read = reads.get(market)
        state = None if read is None else read.state
        if isinstance(state, Known) and state.quantity == 0 and not state.funding_accrued:
            return None  # the venue has forgotten the leg
        if read is not None and isinstance(state, Known) and state.funding_accrued is not None:
            accrued = believed(position, state.funding_accrued)
            account = await self._account(position, market.venue)
            amount, at = total(accrued, account.sum.copy_negate()), state.as_of or read.began.wall
            late = account.last is None or at > account.last
            return funding(position, market.venue, amount, at) if amount and late else None
        quote = None if snapshot is None else snapshot.by_market.get(market)
        if quote is None or quote.kind is not RateKind.SETTLED or quote.observed_at <= position.opened_at:
            return None
        account = await self._account(position, market.venue)
        if account.last is not None and quote.observed_at <= account.last:
            return None
        amount = believed(position, _payment(position, leg, quote))
        return funding(position, market.venue, amount, quote.observed_at) if amount else None

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


def says_funding(state: LegState | None) -> TypeGuard[Known]:
    """Whether a venue says what funding a leg got."""
    return isinstance(state, Known) and state.funding_accrued is not None


def believed(position: Position, amount: Decimal) -> Decimal:
    """An amount of funding in cents. Raises InputError if it is absurd for a position of this size."""
    if amount.copy_abs() > total(*[position.size_usd] * _TIMES):
        raise InputError(f"more than {_TIMES} times the position's size")
    return from_grid(to_grid(amount, _CENTS), _CENTS)


def _check(position: Position, entries: Iterable[LedgerEntry]) -> None:
    if collected(position, entries).copy_abs() > _MOST:
        raise InputError("more than a position can collect")


def collected(position: Position, entries: Iterable[LedgerEntry]) -> Decimal:
    """What a position has collected with these entries."""
    return total(position.funding_collected_usd, *(entry.amount_usd for entry in entries))


def funding(position: Position, venue: str, amount: Decimal, at: datetime) -> LedgerEntry:
    """An entry of funding."""
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
