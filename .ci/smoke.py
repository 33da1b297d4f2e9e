"""The built wheel, installed without extras and without the sources, imports light and decides."""

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import rebalancer

HEAVY = ("asyncio", "httpx", "numpy", "pluggy")

assert Path(sys.prefix) in Path(rebalancer.__file__).parents, f"imported from the sources: {rebalancer.__file__}"

opened_at = datetime(2026, 1, 1, tzinfo=UTC)
position = rebalancer.Position(
    symbol="BTC",
    long_dex="lighter",
    short_dex="grvt",
    size_usd="10000",
    entry_long_rate="0.0001",
    entry_short_rate="0.0003",
    opened_at=opened_at,
)
snapshot = rebalancer.MarketSnapshot.of(
    position,
    long_rate=rebalancer.FundingRate("0.0003", timedelta(hours=8)),
    short_rate=rebalancer.FundingRate("0.0001", timedelta(hours=8)),
    as_of=opened_at + timedelta(hours=8),
)
decision = rebalancer.presets.conservative().decide(position, snapshot)

assert decision.action is rebalancer.Action.CLOSE, decision.action
assert decision.reason == "DIVERGENCE_FLIPPED", decision.reason
assert rebalancer.RebalanceDecision.model_validate_json(decision.model_dump_json()) == decision

loaded = [name for name in HEAVY if name in sys.modules]
assert not loaded, f"importing and deciding brought in {loaded}"
