"""A rule as a function, a rule as a class and a guard, added to a preset."""

from datetime import timedelta

import rebalancer as rb
from rebalancer.testing import a_position, a_quote, a_snapshot


@rb.rule(needs=rb.Needs(rates=False, open_interest=True))
def thin_market(ctx: rb.RuleContext) -> rb.Verdict:
    """Close when our leg is more than 5 % of the short venue's open interest."""
    size, interest = ctx.position.size_usd, ctx.short.open_interest_usd
    fact = rb.Fact("size_usd", size, limit=interest / 20)
    return rb.Verdict.close_if(size * 20 > interest, "our leg is too large for the short venue", fact)


class FundingCliff(rb.BaseRule):
    """Close when the edge is below a floor."""

    floor: rb.Fraction = rb.param("0.00005")

    def evaluate(self, ctx: rb.RuleContext) -> rb.Verdict:
        """divergence < floor."""
        fact = rb.Fact("divergence", ctx.divergence, limit=self.floor)
        return rb.Verdict.close_if(ctx.divergence < self.floor, "the edge is under the floor", fact)


@rb.guard
def both_legs_positive(ctx: rb.RuleContext) -> bool:
    """Whether both venues pay shorts."""
    return ctx.long.rate > 0 and ctx.short.rate > 0


strategy = thin_market | (FundingCliff() & both_legs_positive & rb.HeldFor(at_least=timedelta(hours=4)))
strategy = strategy | rb.presets.conservative()

quotes = a_quote("lighter", "0.0001"), a_quote("grvt", "0.00012", open_interest_usd=1_000_000)
print(strategy.decide(a_position(size_usd=10_000), a_snapshot(*quotes)).explain())
