"""One check of one position, as a bot makes it on every tick."""

from datetime import UTC, datetime, timedelta

import rebalancer as rb

position = rb.Position(
    symbol="BTC",
    long_dex="lighter",
    short_dex="grvt",
    size_usd=10_000,
    entry_long_rate="0.0001",
    entry_short_rate="0.0003",
    opened_at=datetime(2026, 1, 5, 7, tzinfo=UTC),
)
snapshot = rb.MarketSnapshot.of(
    position,
    long_rate=rb.FundingRate("0.00005", timedelta(hours=1)),
    short_rate=rb.FundingRate("0.0003", timedelta(hours=8)),
    as_of=datetime(2026, 1, 5, 12, tzinfo=UTC),
)
decision = rb.presets.conservative().decide(position, snapshot)
if decision.action is not rb.Action.HOLD:
    print(decision.explain())
