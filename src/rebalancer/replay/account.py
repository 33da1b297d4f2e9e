"""Accounting of a replay, in grid steps of one leg's notional: exact, and summed once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

from ..costs import Costs
from ..domain.names import Market, Pair
from ..domain.opportunity import Opportunity
from ..domain.position import Position
from ..domain.times import from_epoch
from ..history.table import FundingHistory
from .baseline import paid
from .feed import Tick
from .log import Trade, TradeAction

ENTRY = "ENTRY"
END_OF_HISTORY = "END_OF_HISTORY"


@dataclass(slots=True)
class Slot:
    """An open position and what its settlements have paid."""

    position: Position
    funding: int = 0

    @property
    def pair(self) -> Pair:
        """The pair that is held."""
        return self.position.pair


@dataclass(slots=True)
class Reason:
    """What the trades of one reason cost, and what the positions that they ended had earned."""

    trades: int = 0
    funding: int = 0
    cost: int = 0


@dataclass(slots=True)
class Account:
    """One symbol's figures. `held` and `lone` are seconds: with a position, and with only one leg still trading."""

    funding: int = 0
    cost: int = 0
    legs: int = 0
    trades: int = 0
    held: int = 0
    lone: int = 0


@dataclass(slots=True)
class Ledger:
    """The open slots, one per symbol, and all that was paid and traded. `tell` hears of each trade as it happens."""

    history: FundingHistory
    costs: Costs
    tell: Callable[[Trade], None]
    slots: dict[str, Slot] = field(default_factory=dict, init=False)
    accounts: defaultdict[str, Account] = field(init=False)
    reasons: dict[str, Reason] = field(default_factory=dict, init=False)
    log: list[Trade] = field(default_factory=list, init=False)
    _ends: dict[Market, int] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self.accounts = defaultdict(Account, {symbol: Account() for symbol in self.history.symbols})
        for series in self.history.series:
            last = series.rows[-1]
            if last.at + last.interval <= self.history.end:  # else its next row is not due within the history
                self._ends[series.market] = last.at

    def settle(self, tick: Tick) -> None:
        """Pay the slots what was settled up to the tick."""
        for series, row in tick.rows:
            slot = self.slots.get(series.market.symbol)
            if slot is not None:
                amount = paid(slot.pair, series, row)
                slot.funding += amount
                self.accounts[slot.pair.symbol].funding += amount

    def wait(self, tick: Tick, *, every: int) -> None:
        """Count the time since the tick before: with a position, and with one of which only one leg still traded."""
        for symbol, slot in self.slots.items():
            self.accounts[symbol].held += every
            ended = [self._ends.get(market, tick.at) < tick.at for market in (slot.pair.long, slot.pair.short)]
            if ended.count(True) == 1:
                self.accounts[symbol].lone += every

    def open(self, tick: Tick, target: Opportunity) -> None:
        """Open a slot."""
        slot = self.slots[target.symbol] = Slot(_position(tick, target))
        self._trade(tick, TradeAction.OPEN, slot, ENTRY, None, target.pair)

    def leave(self, tick: Tick, slot: Slot, action: TradeAction, reason: str) -> None:
        """Close a slot."""
        del self.slots[slot.pair.symbol]
        self._trade(tick, action, slot, reason, slot.pair, None)

    def switch(self, tick: Tick, slot: Slot, target: Opportunity, reason: str) -> None:
        """Leave a slot for another pair; the legs that both share are not traded. The cost is the left symbol's."""
        del self.slots[slot.pair.symbol]
        self.slots[target.symbol] = Slot(_position(tick, target))
        self._trade(tick, TradeAction.SWITCH, slot, reason, slot.pair, target.pair)

    def hold(self, tick: Tick, slot: Slot) -> None:
        """Log a tick that held."""
        self.tell(_line(tick, TradeAction.HOLD, slot, None, None, legs=0, cost=0))

    def _trade(
        self, tick: Tick, action: TradeAction, slot: Slot, reason: str, held: Pair | None, target: Pair | None
    ) -> None:
        legs, cost = self.costs.move(held, target)
        account = self.accounts[slot.pair.symbol]
        account.trades += 1
        account.legs += legs
        account.cost += cost
        total = self.reasons.setdefault(reason, Reason())
        total.trades += 1
        total.cost += cost
        total.funding += slot.funding
        switched = target if action is TradeAction.SWITCH else None
        trade = _line(tick, action, slot, reason, switched, legs=legs, cost=cost)
        self.log.append(trade)
        self.tell(trade)


def _line(
    tick: Tick, action: TradeAction, slot: Slot, reason: str | None, target: Pair | None, *, legs: int, cost: int
) -> Trade:
    return Trade(
        at=tick.at,
        action=action,
        pair=slot.pair,
        target=target,
        reason=reason,
        divergence=tick.snapshot.book[slot.pair].divergence,
        entry_divergence=slot.position.entry_steps,
        legs=legs,
        cost=cost,
    )


def _position(tick: Tick, target: Opportunity) -> Position:
    """One unit of the pair, opened at the tick at the rates that were seen."""
    return Position(
        symbol=target.symbol,
        long_dex=target.long_dex,
        short_dex=target.short_dex,
        size_usd=1,
        entry_long_rate=target.long_rate,
        entry_short_rate=target.short_rate,
        opened_at=from_epoch(tick.at),
    )
