"""What a replay found: exact figures in basis points of one leg's notional, summed over symbols."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING

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
from .hindsight import optimum
from .log import Trade

if TYPE_CHECKING:
    from .evaluation import Evaluation
    from .table import SweepRow


class ReasonReport(Value):
    """The trades of one `reason`: how many, what they cost, and what the positions that they ended had earned.

    `funding_bps` is None where the history has no settled rates.
    """

    reason: str
    trades: int
    funding_bps: OptionalExact
    cost_bps: Exact


class SymbolReport(Value):
    """One symbol: `net_bps` = `funding_bps` - `cost_bps`, beside holding through and the optimum.

    None is as in the whole report. A switch to another symbol is charged to the one that it left, so that a symbol may
    then earn more than its own optimum; all of them together never do.
    """

    symbol: Symbol
    net_bps: OptionalExact
    funding_bps: OptionalExact
    cost_bps: Exact
    hold_through_bps: OptionalExact
    optimum_bps: OptionalExact
    captured_share: OptionalExact
    regret_bps: OptionalExact
    trades: int
    legs_traded: int
    held_hours: Exact
    lone_leg_hours: Exact


class ReplayReport(Value):
    """A replay from `start` to `end`, one tick `every`.

    `net_bps` is what the strategy earned: `funding_bps` settled less `cost_bps` of trading. `hold_through_bps` is what
    opening the best pair of each symbol once and keeping it would have earned, `never_trade_bps` is 0. All are basis
    points of one leg's notional, summed over `symbols`; None where the history has no settled rates, since only those
    pay.

    `optimum_bps` is the most that perfect foresight could have earned at the same ticks and costs, as `hindsight` finds
    it, `captured_share` is net / optimum to 1e-6 (None where the optimum is not above 0), and `regret_bps` is optimum -
    net. They are None too without numpy (the extra `replay`), with rebates, by which trading without end would earn
    without end, and where sums do not fit into 64 bits.

    `lone_leg_hours` are hours in which one leg's market had ended and the other earned alone. `ignored` are
    markets whose rates are not settled, in a history where others are. `engine` is how it was computed: `numpy`,
    `compiled`, or `scalar: ` and why. `log` are the trades, not part of the JSON.
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
    optimum_bps: OptionalExact
    captured_share: OptionalExact
    regret_bps: OptionalExact
    trades: int
    legs_traded: int
    held_hours: Exact
    lone_leg_hours: Exact
    reasons: tuple[ReasonReport, ...]
    symbols: tuple[SymbolReport, ...]
    engine: Line
    log: tuple[Trade, ...] = Field(default=(), exclude=True, repr=False)

    @cached_property
    def _replayed(self) -> FundingHistory | None:
        """The history that was replayed, for as long as the report is in the process that made it."""
        return None

    def to_html(
        self,
        path: str | os.PathLike[str],
        *,
        history: FundingHistory | None = None,
        title: str = "Replay",
        sensitivity: Sequence[Mapping[str, object] | SweepRow] = (),
        evaluation: Evaluation | None = None,
    ) -> None:
        """Write the report as one HTML file that opens offline in any browser.

        It shows the figures, equity against holding through and the optimum, every position over the rates, and where
        the money came from. `sensitivity` is what a sweep found: its result, or rows in which the names of a sweep's
        figures (`net_bps`, `captured_share`, ...) say what came of the others. `evaluation` is what `evaluate` found on
        the same history. A report that was pickled or copied has left its history behind: give the same one again. One
        that was read from JSON has no `log`, so there is nothing to draw.

        Raises InputError if the file can not be written, or history or log are missing.
        """
        from .page import write_page  # only a report that is drawn needs it

        write_page(
            self,
            path,
            history=history or self._replayed,
            title=title,
            sensitivity=sensitivity,
            evaluation=evaluation,
        )


def summarise(
    strategy: CombinedStrategy,
    history: FundingHistory,
    feed: Feed,
    ledger: Ledger,
    baseline: HoldThrough | None,
    *,
    engine: str,
) -> ReplayReport:
    """The report of a replay that has ended. Without a `baseline` nothing was settled, and what was earned is None."""
    earned = baseline.earned if baseline is not None else None
    read = ledger.history
    best = optimum(history, costs=ledger.costs, every=timedelta(seconds=feed.every))
    most = {one.symbol: one.steps for one in best.symbols} if best is not None else {}
    symbols = tuple(_symbol(name, account, earned, most.get(name)) for name, account in ledger.accounts.items())
    total = Account()
    for account in ledger.accounts.values():
        total.funding += account.funding
        total.cost += account.cost
        total.legs += account.legs
        total.trades += account.trades
        total.held += account.held
        total.lone += account.lone
    paid = earned is not None
    report = ReplayReport(
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
        **_against(sum(most.values()) if best is not None else None, total),
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
        engine=engine,
        log=tuple(ledger.log),
    )
    vars(report)["_replayed"] = history
    return report


def _against(most: int | None, account: Account) -> dict[str, Decimal | None]:
    """What an account earned, against the optimum."""
    if most is None:
        return {"optimum_bps": None, "captured_share": None, "regret_bps": None}
    net = account.funding - account.cost
    share = ratio(divide_half_even(net * RATIO_ONE, most)) if most > 0 else None
    return {"optimum_bps": _bps(most), "captured_share": share, "regret_bps": _bps(most - net)}


def _symbol(name: str, account: Account, earned: dict[str, int] | None, most: int | None) -> SymbolReport:
    paid = earned is not None
    return SymbolReport(
        symbol=name,
        net_bps=_bps(account.funding - account.cost) if paid else None,
        funding_bps=_bps(account.funding) if paid else None,
        cost_bps=_bps(account.cost),
        hold_through_bps=_bps(earned.get(name, 0)) if earned is not None else None,
        **_against(most, account),
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
