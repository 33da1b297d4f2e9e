"""Hold what should carry most after the costs of getting there, by smoothed rates: the adaptive strategy."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field, model_validator

from ..costs import Costs
from ..domain.explain import span
from ..domain.names import Pair, ReasonCode
from ..domain.numbers import BPS, EIGHT_HOURS, FRACTION_PLACES, Bps, divide_half_even, fraction, from_grid, to_grid
from ..domain.smoothed import Smoothed
from ..domain.targets import TargetFilter
from ..domain.times import Duration, DurationOrZero, seconds
from ..domain.verdict import Action, Fact, Verdict
from ..errors import InputError
from .base import param
from .better_opportunity import BetterOpportunity
from .grid import Bound, Claims, ComposedRule, GridRule, Stated
from .target import Pricing, TargetRule, best_target

if TYPE_CHECKING:
    from ..domain.opportunity import Opportunity
    from ..domain.snapshot import MarketSnapshot


class NetCarry(ComposedRule):
    """Move to the state, flat included, that maximises carry(state) - carry(held) - cost(move), if that is above 0.

    carry(long i, short j) = (smoothed rate of j - smoothed rate of i) x `horizon` / 8 h, flat carries 0, and a move
    costs the legs that it trades, by `costs` (2 bp a leg unless given). The smoothed rate of a market is the mean of
    its settlements with this `half_life`, each clipped to `clip_bps` per 8 h; it is known once settlements covering
    `warm_up` were seen, and while the last one is fresh. Ties hold, then close, then go by (long, short). What the
    position was opened at, and when, is not asked.

    While the rate of a held leg is unknown the rule is not evaluated; with `max_unknown` the position is closed once
    one of its last settlements is that old. Reasons: BETTER_OPPORTUNITY, NEGATIVE_CARRY, CARRY_UNKNOWN; one that is
    given stands for all of them.

    It is the entry policy that goes with it too: from flat, `should_open` asks the same question.
    """

    costs: Costs = Costs(leg_bps=2)
    horizon: Duration = param(timedelta(hours=168))
    half_life: Duration = param(timedelta(hours=120))
    clip_bps: Annotated[Bps, Field(gt=0)] = param(8)
    warm_up: DurationOrZero = param(timedelta(hours=72))
    max_unknown: Duration | None = None
    reason: ReasonCode = "BETTER_OPPORTUNITY"

    @model_validator(mode="after")
    def _bounded(self) -> NetCarry:
        if self.horizon > timedelta(days=21):
            raise InputError("horizon must be at most 21 days")
        self.parts  # noqa: B018  # made now, so that what a part refuses is refused here
        return self

    @cached_property
    def signal(self) -> Smoothed:
        """The smoothed rates that it reads."""
        return Smoothed(half_life=self.half_life, clip_bps=self.clip_bps, warm_up=self.warm_up)

    @cached_property
    def parts(self) -> tuple[GridRule, ...]:
        """Switch to the best pair, else close, else close because nothing is known."""
        reason: dict[str, Any] = {"reason": self.reason} if "reason" in self.model_fields_set else {}
        known: dict[str, Any] = {"signal": self.signal, "urgency": self.urgency, **reason}
        carry: dict[str, Any] = {"costs": self.costs, "horizon": self.horizon, **known}
        moves = CarrySwitch(**carry), CarryExit(**carry)
        return moves if self.max_unknown is None else (*moves, CarryUnknown(max_unknown=self.max_unknown, **known))

    def should_open(
        self, symbol: str, snapshot: MarketSnapshot, *, targets: TargetFilter = TargetFilter.ANY
    ) -> Opportunity | None:
        """The pair of `symbol` that should carry most over the horizon after opening it, if that is above 0."""
        horizon, costs = seconds(self.horizon), self.costs

        def gain(divergence: int, cost: int) -> int:
            return divergence * horizon - cost * EIGHT_HOURS

        ranked = snapshot.book.smoothed(self.signal).ranking.best_first(symbol)
        opening = Pricing(lambda _, pair: costs.move(None, pair).cost, costs.cheapest_opening, costs)
        best = best_target(ranked, None, targets, gain, opening)
        return snapshot.book.opportunity(best.pair) if best is not None and best.gain > 0 else None


class CarrySwitch(TargetRule):
    """Switch to the pair that gains most, if that is above 0 and more than closing gains."""

    costs: Costs
    horizon: Duration
    signal: Smoothed
    reason: ReasonCode = "BETTER_OPPORTUNITY"

    claims: ClassVar[Claims] = Claims(
        fired="another pair should earn enough more to pay for the move",
        quiet="nothing else, flat included, should earn enough more to pay for the move",
    )

    gain = staticmethod(BetterOpportunity.gain)

    @staticmethod
    def fires(gain: int, divergence: int, leaving_cost: int, horizon: int) -> bool:
        """gain > 0, and gain > that of closing: -carry(held) - cost of closing; in grid steps x seconds."""
        return (gain > 0) & (gain > -(divergence * horizon + leaving_cost * EIGHT_HOURS))

    @property
    def all_symbols(self) -> bool:
        """It keeps to the symbol."""
        return False

    def pricing(self) -> Pricing:
        """A switch costs the legs that it trades."""
        return Pricing.by_leg(self.costs)

    def verdict(self, bound: Bound) -> Verdict:
        """As of any rule with a target; a switch says in one sentence why."""
        said = super().verdict(bound)
        if said.target is None:
            return said
        held, to = bound.ctx.position.pair, said.target.pair
        steps = {fact.name: to_grid(fact.value, FRACTION_PLACES) for fact in said.facts}
        more = _bp((steps["candidate_divergence"] - steps["divergence"]) * seconds(self.horizon))
        legs = {2: "the long leg" if held.short == to.short else "the short leg"}
        changing = legs.get(self.costs.move(held, to).legs, "both legs")
        claim = (
            f"over {span(seconds(self.horizon))} {_venues(to)} should earn {more} more than {_venues(held)} "
            f"({_mean(self.signal)}); changing {changing} costs {_bp(steps['switch_cost'] * EIGHT_HOURS)}"
        )
        return said.model_copy(update={"claim": claim})

    def facts(self, values: Mapping[str, int]) -> tuple[Fact, ...]:
        """The best candidate's gain over the horizon after costs, and what it is made of."""
        return (
            Fact("gain", fraction(divide_half_even(values["gain"], EIGHT_HOURS)), limit=0),
            Fact("candidate_divergence", fraction(values["candidate_divergence"])),
            Fact("divergence", fraction(values["divergence"])),
            Fact("switch_cost", fraction(values["switch_cost"])),
            Fact("horizon_seconds", seconds(self.horizon)),
        )


class CarryExit(GridRule):
    """Close if holding on should lose more over the horizon than closing costs."""

    costs: Costs
    horizon: Duration
    signal: Smoothed
    reason: ReasonCode = "NEGATIVE_CARRY"

    claims: ClassVar[Claims] = Claims(
        fired="holding on should lose more than closing costs",
        quiet="holding on should not lose more than closing costs",
    )

    def stated(self) -> Stated:
        """When it fires, by these costs."""
        return super().stated()._replace(costs=self.costs)

    @staticmethod
    def fires(divergence: int, leaving_cost: int, horizon: int) -> bool:
        """carry(held) + cost of closing < 0, in grid steps x seconds."""
        return divergence * horizon + leaving_cost * EIGHT_HOURS < 0

    def verdict(self, bound: Bound) -> Verdict:
        """An exit says in one sentence why."""
        said = super().verdict(bound)
        if said.action is Action.HOLD:
            return said
        loss, cost = -bound.values["divergence"] * seconds(self.horizon), bound.values["leaving_cost"] * EIGHT_HOURS
        claim = (
            f"over {span(seconds(self.horizon))} {_venues(bound.ctx.position.pair)} should lose {_bp(loss)} "
            f"({_mean(self.signal)}); closing it costs {_bp(cost)}"
        )
        return said.model_copy(update={"claim": claim})

    def facts(self, values: Mapping[str, int]) -> tuple[Fact, ...]:
        """What closing gains over the horizon, and what it is made of."""
        gain = -values["divergence"] * seconds(self.horizon) - values["leaving_cost"] * EIGHT_HOURS
        return (
            Fact("gain", fraction(divide_half_even(gain, EIGHT_HOURS)), limit=0),
            Fact("divergence", fraction(values["divergence"])),
            Fact("closing_cost", fraction(values["leaving_cost"])),
            Fact("horizon_seconds", seconds(self.horizon)),
        )


class CarryUnknown(GridRule):
    """Close if the smoothed rate of a leg is unknown, and its last settlement is too old."""

    max_unknown: Duration
    signal: Smoothed
    reason: ReasonCode = "CARRY_UNKNOWN"

    claims: ClassVar[Claims] = Claims(
        fired="the rate of a leg has been unknown for too long",
        quiet="no rate has been unknown for too long",
    )

    @staticmethod
    def fires(both_known: int, settled_ago: int, max_unknown: int) -> bool:
        """One is unknown, and the older of the legs' last settlements is at least `max_unknown` ago."""
        return (both_known < 1) & (settled_ago >= max_unknown)

    def facts(self, values: Mapping[str, int]) -> tuple[Fact, ...]:
        """How long ago the older of the legs' last settlements was."""
        return (Fact("settled_ago_seconds", values["settled_ago"], limit=seconds(self.max_unknown)),)


def _venues(pair: Pair) -> str:
    return f"{pair.long_dex}/{pair.short_dex}"


def _mean(signal: Smoothed) -> str:
    days, rest = divmod(seconds(signal.half_life), 86_400)
    return f"{f'{days}-day' if not rest else span(seconds(signal.half_life))} mean, spikes clipped"


def _bp(grid_seconds: int) -> str:
    """Grid steps x seconds over 8 h as basis points, to a tenth."""
    tenths = divide_half_even(grid_seconds * 10, EIGHT_HOURS * BPS)
    return f"{from_grid(tenths, 1)} bp"
