"""What a replay found: exact figures in basis points of one leg's notional, summed over symbols."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from pydantic import Field

from ..costs import Costs
from ..domain.model import Value
from ..domain.names import Line, Symbol, Venue
from ..domain.numbers import (
    FRACTION_PLACES,
    RATIO_ONE,
    Exact,
    OptionalExact,
    divide_half_even,
    from_grid,
    ratio,
)
from ..domain.times import Duration, Instant, from_epoch
from ..history.table import FundingHistory
from ..rules.combined import CombinedStrategy
from .account import Account, Ledger
from .baseline import HoldThrough
from .feed import Feed
from .log import Trade


class ReasonReport(Value):
    """The trades of one `reason`: how many, what they cost, and what the positions that they ended had earned.

    `funding_bps` is None where the history has no settled rates.
    """

    reason: str
    trades: int
    funding_bps: OptionalExact
    cost_bps: Exact


class SymbolReport(Value):
    """One symbol: `net_bps` = `funding_bps` - `cost_bps`, beside holding through. None: nothing was settled."""

    symbol: Symbol
    net_bps: OptionalExact
    funding_bps: OptionalExact
    cost_bps: Exact
    hold_through_bps: OptionalExact
    trades: int
    legs_traded: int
    held_hours: Exact
    lone_leg_hours: Exact


class ReplayReport(Value):
    """A replay from `start` to `end`, one tick `every`.

    `net_bps` is what the strategy earned: `funding_bps` settled less `cost_bps` of trading. `hold_through_bps` is what
    opening the best pair of each symbol once and keeping it would have earned, `never_trade_bps` is 0. All are basis
    points of one leg's notional, summed over `symbols`; None where the history has no settled rates, since only those
    pay. `lone_leg_hours` are hours in which one leg's market had ended and the other earned alone. `ignored` are
    markets whose rates are not settled, in a history where others are. `log` are the trades, not part of the JSON.
    """

    strategy: str
    start: Instant
    end: Instant
    every: Duration
    ticks: int
    rows: int
    venues: tuple[Venue, ...]
    ignored: tuple[Line, ...]
    costs: Costs
    net_bps: OptionalExact
    funding_bps: OptionalExact
    cost_bps: Exact
    hold_through_bps: OptionalExact
    never_trade_bps: OptionalExact
    trades: int
    legs_traded: int
    held_hours: Exact
    lone_leg_hours: Exact
    reasons: tuple[ReasonReport, ...]
    symbols: tuple[SymbolReport, ...]
    log: tuple[Trade, ...] = Field(default=(), exclude=True, repr=False)


def summarise(
    strategy: CombinedStrategy, history: FundingHistory, feed: Feed, ledger: Ledger, baseline: HoldThrough | None
) -> ReplayReport:
    """The report of a replay that has ended. Without a `baseline` nothing was settled, and what was earned is None."""
    earned = baseline.earned if baseline is not None else None
    read = ledger.history
    symbols = tuple(_symbol(name, account, earned) for name, account in ledger.accounts.items())
    total = Account()
    for account in ledger.accounts.values():
        total.funding += account.funding
        total.cost += account.cost
        total.legs += account.legs
        total.trades += account.trades
        total.held += account.held
        total.lone += account.lone
    paid = earned is not None
    return ReplayReport(
        strategy=repr(strategy),
        start=from_epoch(feed.first),
        end=from_epoch(feed.last),
        every=timedelta(seconds=feed.every),
        ticks=len(feed),
        rows=len(read),
        venues=read.venues,
        ignored=tuple(sorted(str(series.market) for series in history.series if series not in read.series)),
        costs=ledger.costs,
        net_bps=_bps(total.funding - total.cost) if paid else None,
        funding_bps=_bps(total.funding) if paid else None,
        cost_bps=_bps(total.cost),
        hold_through_bps=_bps(sum(earned.values())) if earned is not None else None,
        never_trade_bps=0 if paid else None,
        trades=total.trades,
        legs_traded=total.legs,
        held_hours=_hours(total.held),
        lone_leg_hours=_hours(total.lone),
        reasons=tuple(
            ReasonReport(
                reason=name,
                trades=reason.trades,
                funding_bps=_bps(reason.funding) if paid else None,
                cost_bps=_bps(reason.cost),
            )
            for name, reason in sorted(ledger.reasons.items())
        ),
        symbols=symbols,
        log=tuple(ledger.log),
    )


def _symbol(name: str, account: Account, earned: dict[str, int] | None) -> SymbolReport:
    paid = earned is not None
    return SymbolReport(
        symbol=name,
        net_bps=_bps(account.funding - account.cost) if paid else None,
        funding_bps=_bps(account.funding) if paid else None,
        cost_bps=_bps(account.cost),
        hold_through_bps=_bps(earned.get(name, 0)) if earned is not None else None,
        trades=account.trades,
        legs_traded=account.legs,
        held_hours=_hours(account.held),
        lone_leg_hours=_hours(account.lone),
    )


def _bps(steps: int) -> Decimal:
    return from_grid(steps, FRACTION_PLACES - 4)


def _hours(secs: int) -> Decimal:
    """Hours to the second, rounded half-even to 1e-6."""
    return ratio(divide_half_even(secs * RATIO_ONE, 3600))
