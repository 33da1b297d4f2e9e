"""The rules of divergences, fed with smoothed rates: the rescue of the literal strategies."""

from __future__ import annotations

from datetime import timedelta

import pytest

from rebalancer import (
    Action,
    BetterOpportunity,
    CombinedStrategy,
    DivergenceFlip,
    MarketSnapshot,
    Needs,
    ProfitErosion,
    Rule,
    RuleContext,
    Smoothed,
    UndeclaredNeedError,
    UnknownValueError,
    Verdict,
    rule,
)
from rebalancer.testing import a_position, a_quote, a_smoothed, a_snapshot

SIGNAL = Smoothed(half_life=timedelta(hours=24))


def market(**rates: tuple[str, str]) -> MarketSnapshot:
    """Venues with their last rate and their smoothed one."""
    return a_snapshot(
        *(a_quote(venue, raw) for venue, (raw, _) in rates.items()),
        smoothed=tuple(a_smoothed(venue, mean, signal=SIGNAL) for venue, (_, mean) in rates.items()),
    )


SPIKE = market(lighter=("0.0005", "0.0001"), grvt=("0.0001", "0.0003"), paradex=("0.003", "0.0003"))
FADED = market(lighter=("0.0001", "0.0003"), grvt=("0.0003", "0.0002"), paradex=("0.0003", "0.003"))


@pytest.mark.parametrize(
    ("raw", "smoothed"),
    [
        (DivergenceFlip(), DivergenceFlip(signal=SIGNAL)),
        (ProfitErosion(), ProfitErosion(signal=SIGNAL)),
        (BetterOpportunity(), BetterOpportunity(signal=SIGNAL)),
    ],
    ids=lambda one: one.name,
)
def test_a_spike_of_an_hour_moves_the_raw_rule_and_a_lasting_change_the_smoothed_one(raw: Rule, smoothed: Rule) -> None:
    for snapshot, fires in ((SPIKE, raw), (FADED, smoothed)):
        for asked in (raw, smoothed):
            decision = CombinedStrategy(asked).decide(a_position(), snapshot)
            assert (decision.action is not Action.HOLD) is (asked is fires)
            assert decision.record.action is decision.action


def test_a_smoothed_rule_says_by_which_half_life() -> None:
    decision = CombinedStrategy(DivergenceFlip(signal=SIGNAL)).decide(a_position(), FADED)
    assert [(fact.name, str(fact.value)) for fact in decision.verdicts[0].facts] == [
        ("divergence", "-0.0001"),
        ("half_life_seconds", "86400"),
    ]


def test_raw_and_smoothed_rules_stand_in_one_strategy() -> None:
    both = DivergenceFlip(signal=SIGNAL) | ProfitErosion(keep=4) | DivergenceFlip(signal=Smoothed())
    decision = both.decide(a_position(), SPIKE)
    assert decision.reason == "PROFIT_EROSION"
    assert [verdict.outcome for verdict in decision.verdicts] == ["quiet", "fired", "not_evaluated"]
    assert both.needs.smoothed == (SIGNAL, Smoothed())


def test_without_smoothed_rates_a_smoothed_rule_is_not_evaluated() -> None:
    decision = CombinedStrategy(ProfitErosion(signal=SIGNAL)).decide(a_position(), a_snapshot())
    assert (decision.action, decision.complete) == (Action.HOLD, False)
    assert [gap.why for gap in decision.verdicts[0].missing] == ["no settled rate was seen"] * 2


def test_a_rule_of_ones_own_reads_the_smoothed_divergence_that_it_declares() -> None:
    @rule(needs=Needs(smoothed=(SIGNAL,)))
    def fading(ctx: RuleContext) -> Verdict:
        return Verdict.close_if(ctx.smoothed(SIGNAL) < 0, "the mean divergence is negative")

    assert CombinedStrategy(fading).decide(a_position(), FADED).action is Action.CLOSE
    assert CombinedStrategy(fading).decide(a_position(), SPIKE).action is Action.HOLD
    unknown = CombinedStrategy(fading).decide(a_position(), a_snapshot())
    assert unknown.verdicts[0].outcome == "not_evaluated"


def test_a_signal_that_was_not_declared_can_not_be_read() -> None:
    context = RuleContext(a_position(), FADED)
    assert context.smoothed(SIGNAL) < 0
    with pytest.raises(UndeclaredNeedError, match=r"Needs\(smoothed="):
        context.limited_to(Needs()).smoothed(SIGNAL)
    with pytest.raises(UnknownValueError):
        context.smoothed(Smoothed())
