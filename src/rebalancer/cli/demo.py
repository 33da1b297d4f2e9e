"""The demonstration: one decision of each rule, explained, a replay of a sample history, and a monitor at work."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from rich.console import Console
from rich.rule import Rule as Line
from rich.text import Text

from .. import presets
from ..costs import Costs
from ..domain.decision import RebalanceDecision
from ..domain.market import Quote
from ..replay import replay
from ..rules.base import Rule
from ..rules.better_opportunity import BetterOpportunity
from ..rules.combined import CombinedStrategy
from ..rules.divergence_flip import DivergenceFlip
from ..rules.funding_schedule import FundingSchedule
from ..rules.open_interest_imbalance import OpenInterestImbalance
from ..rules.profit_erosion import ProfitErosion
from ..rules.time_limit import TimeLimit
from ..testing import AS_OF, a_position, a_quote, a_smoothed, a_snapshot, sample_history
from . import demo_live
from .common import own_names
from .render import LITERAL, UNITS, bps, table

LEG_BPS = 2


def run(console: Console) -> None:
    """Everything, in less than half a minute and without a network. Raises typer.Exit if the monitor goes wrong."""
    offline(console)
    demo_live.run(console)
    console.print("\nNext: rebalancer replay HISTORY.csv.gz --preset adaptive")


def offline(console: Console) -> None:
    """The decisions and the replays, in a few seconds."""
    console.print(Text("The strategies, one decision each", style="bold"))
    console.print("The position: long BTC on lighter, short on grvt, opened at 2 bp per 8 h.\n")
    for story, decision in decisions():
        console.print(Line(Text(story), align="left", style="dim"))
        console.print(Text(decision.explain()), soft_wrap=True)
        console.print()
    _replays(console)


def decisions() -> Iterator[tuple[str, RebalanceDecision]]:
    """Each strategy on a market that makes it act."""
    lighter, grvt = a_quote("lighter", "0.0001"), a_quote("grvt", "0.0003")
    paradex = a_quote("paradex", "-0.0006")
    soon, later = AS_OF + timedelta(minutes=10), AS_OF + timedelta(hours=1)
    yield "Too little of the entry edge is left", _decided(ProfitErosion(), lighter, a_quote("grvt", "0.00015"))
    yield "The edge has turned against us", _decided(DivergenceFlip(), a_quote("lighter", "0.0004"), grvt)
    better = BetterOpportunity(costs=Costs.flat(leg_bps=LEG_BPS))
    yield "A third venue pays longs", _decided(better, lighter, grvt, paradex)
    yield "Open for 80 hours", _decided(TimeLimit(), lighter, grvt, age=timedelta(hours=80))
    yield (
        "A settlement is ten minutes away",
        _decided(
            FundingSchedule(),
            lighter.model_copy(update={"next_funding_at": later}),
            grvt.model_copy(update={"next_funding_at": soon}),
        ),
    )
    yield (
        "One venue has emptied",
        _decided(
            OpenInterestImbalance(),
            lighter.model_copy(update={"open_interest_usd": 5_000_000}),
            grvt.model_copy(update={"open_interest_usd": 1_000_000}),
        ),
    )
    means = a_smoothed("lighter", "0.0001"), a_smoothed("grvt", "0.0003"), a_smoothed("paradex", "0.0004")
    known = a_snapshot(lighter, grvt, a_quote("paradex", "0.0002"), smoothed=means)
    yield "The adaptive one: by means of days, another leg earns more", presets.adaptive().decide(a_position(), known)
    yield "All together, and nothing to do", presets.combined().decide(a_position(), a_snapshot(lighter, grvt))


def _decided(rule: Rule, *quotes: Quote, age: timedelta = timedelta(hours=5)) -> RebalanceDecision:
    return CombinedStrategy(rule).decide(a_position(age=age), a_snapshot(*quotes))


def _replays(console: Console) -> None:
    history, costs = sample_history(), Costs.flat(leg_bps=LEG_BPS)
    console.print(Text("A replay: sixty days of a made-up history, 4 symbols on 4 venues", style="bold"))
    console.print(f"A leg trade costs {LEG_BPS} bp. {UNITS}\n", soft_wrap=True)
    figures = table("preset", "trades", "funding", "costs", "net", "hold-through")
    named = own_names().presets
    for name in named:
        found = replay(named.create(name, costs=costs), history, costs=costs)
        net, through = bps(found.net_bps), bps(found.hold_through_bps)
        figures.add_row(name, f"{found.trades:,}", bps(found.funding_bps), bps(-found.cost_bps), net, through)
    console.print(figures)
    console.print(LITERAL, soft_wrap=True)
    console.print()
