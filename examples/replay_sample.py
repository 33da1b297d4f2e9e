"""Replay the presets and a strategy of one's own over the sample history, and compare them with holding through."""

from datetime import timedelta

import rebalancer as rb
from rebalancer.replay import replay
from rebalancer.testing import sample_history

costs = rb.Costs.flat(leg_bps=2)
strategies = {
    "conservative": rb.presets.conservative(costs=costs),
    "combined": rb.presets.combined(costs=costs),
    "flip, 3 times confirmed": rb.CombinedStrategy(rb.Confirmed(rb.DivergenceFlip(), times=3)),
    "90 days at most": rb.CombinedStrategy(rb.TimeLimit(max_age=timedelta(days=90))),
}
history = sample_history(days=30)

print(f"{'strategy':26}{'trades':>8}{'funding':>11}{'costs':>11}{'net':>11}{'hold-through':>15}  (bp)")
for name, strategy in strategies.items():
    found = replay(strategy, history, costs=costs)
    figures = f"{found.funding_bps:11.1f}{-found.cost_bps:11.1f}{found.net_bps:11.1f}{found.hold_through_bps:15.1f}"
    print(f"{name:26}{found.trades:8}{figures}")
