"""What a rule may read: unknown raises and is never zero, and what was not declared can not be read."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from rebalancer import (
    Known,
    LegReading,
    Missing,
    Needs,
    Quote,
    RuleContext,
    TargetFilter,
    UndeclaredNeedError,
    Unknown,
    UnknownValueError,
)
from rebalancer.domain.names import Market, Pair
from rebalancer.testing import AS_OF, a_leg, a_position, a_quote, a_snapshot, an_opportunity

NOTHING = Needs(rates=False)


def a_context(short: Quote | None = None, *, needs: Needs | None = None, **snapshot: Any) -> RuleContext:
    """The usual position; the long leg says everything, the short leg what `short` says."""
    long = a_quote(
        "lighter",
        "0.0001",
        next_funding_at=AS_OF + timedelta(minutes=10),
        open_interest_usd=7,
        volume_24h_usd=8,
        mark_price="0.5",
        observed_at=AS_OF - timedelta(seconds=3),
    )
    quotes = (long,) if short is None else (long, short)
    return RuleContext(a_position(), a_snapshot(*quotes, **snapshot), needs=needs)


def gap(field: str, venue: str, why: str) -> Missing:
    return Missing(field=field, venue=venue, symbol="BTC", why=why)


def test_the_context_shows_position_now_and_age() -> None:
    context = a_context()
    assert context.position == a_position()
    assert context.now == AS_OF
    assert context.age == timedelta(hours=5)


@pytest.mark.parametrize(("age", "shown"), [(timedelta(seconds=1), 1), (timedelta(0), 0), (timedelta(hours=-1), 0)])
def test_the_age_is_never_negative(age: timedelta, shown: int) -> None:
    assert RuleContext(a_position(age=age), a_snapshot()).age == timedelta(seconds=shown)


def test_the_divergence_is_the_short_rate_minus_the_long_rate() -> None:
    assert a_context(a_quote("grvt", "-0.0002")).divergence == Decimal("-0.0003")


def test_a_leg_shows_its_quote_and_all_it_says() -> None:
    leg = a_context().long
    assert leg.market == Market("lighter", "BTC")
    assert leg.quote.venue == "lighter"
    assert leg.rate == Decimal("0.0001")
    assert leg.age == timedelta(seconds=3)
    assert leg.settles_in == timedelta(minutes=10)
    assert leg.open_interest_usd == 7
    assert leg.volume_24h_usd == 8
    assert leg.mark_price == Decimal("0.5")


def test_the_short_leg_is_the_other_market() -> None:
    assert a_context().short.market == Market("grvt", "BTC")


def test_a_rate_is_shown_per_eight_hours() -> None:
    hourly = a_quote("grvt", "0.0001").model_copy(update={"rate": {"value": "0.0001", "interval": "PT1H"}})
    assert a_context(hourly).short.rate == Decimal("0.0008")


def test_a_continuous_leg_settles_never() -> None:
    assert a_context(a_quote("grvt", pays_every=timedelta(0))).short.settles_in is None


def test_a_known_zero_is_zero() -> None:
    leg = a_context(a_quote("grvt", 0, open_interest_usd=0, volume_24h_usd=0)).short
    assert [leg.rate, leg.open_interest_usd, leg.volume_24h_usd] == [Decimal(0)] * 3


READS: dict[str, Callable[[RuleContext], object]] = {
    "rate": lambda ctx: ctx.short.rate,
    "next funding time": lambda ctx: ctx.short.settles_in,
    "open interest": lambda ctx: ctx.short.open_interest_usd,
    "volume": lambda ctx: ctx.short.volume_24h_usd,
    "mark price": lambda ctx: ctx.short.mark_price,
}


@pytest.mark.parametrize("field", list(READS))
def test_reading_a_market_without_a_quote_raises_with_the_gap(field: str) -> None:
    with pytest.raises(UnknownValueError) as unknown:
        READS[field](a_context())
    assert unknown.value.missing == (gap(field, "grvt", "there is no quote of this market"),)
    assert str(unknown.value) == f"unknown: {field} of BTC on grvt: there is no quote of this market"


@pytest.mark.parametrize("field", [field for field in READS if field != "rate"])
def test_reading_what_a_quote_does_not_say_raises(field: str) -> None:
    with pytest.raises(UnknownValueError) as unknown:
        READS[field](a_context(a_quote("grvt")))
    assert unknown.value.missing == (gap(field, "grvt", "its quote does not say"),)


FULL: dict[str, Any] = {
    "open_interest_usd": 1,
    "volume_24h_usd": 1,
    "mark_price": 1,
    "next_funding_at": AS_OF + timedelta(minutes=1),
}


@pytest.mark.parametrize("field", [field for field in READS if field != "next funding time"])
@pytest.mark.parametrize(
    ("seen", "why"), [(-121, "the quote is older than its limit"), (11, "the quote is from the future")]
)
def test_a_stale_or_future_quote_is_unknown_although_it_is_there(field: str, seen: int, why: str) -> None:
    with pytest.raises(UnknownValueError) as unknown:
        READS[field](a_context(a_quote("grvt", observed_at=AS_OF + timedelta(seconds=seen), **FULL)))
    assert unknown.value.missing == (gap(field, "grvt", why),)


@pytest.mark.parametrize("seen", [-120, 10])
@pytest.mark.parametrize("field", list(READS))
def test_a_quote_at_the_very_limit_of_its_age_still_counts(field: str, seen: int) -> None:
    READS[field](a_context(a_quote("grvt", observed_at=AS_OF + timedelta(seconds=seen), **FULL)))


def test_a_quote_and_its_age_are_shown_however_old() -> None:
    old = a_quote("grvt", observed_at=AS_OF - timedelta(days=1))
    leg = a_context(old).short
    assert (leg.quote, leg.age) == (old, timedelta(days=1))


@pytest.mark.parametrize("read", [lambda leg: leg.quote, lambda leg: leg.age])
def test_a_quote_that_is_not_there_raises(read: Callable[[Any], object]) -> None:
    with pytest.raises(UnknownValueError) as unknown:
        read(a_context().short)
    assert unknown.value.missing == (gap("rate", "grvt", "there is no quote of this market"),)


def test_an_unknown_divergence_raises_with_every_leg_that_is_missing() -> None:
    context = RuleContext(a_position(), a_snapshot(a_quote("paradex")))
    with pytest.raises(UnknownValueError) as unknown:
        _ = context.divergence
    none = "there is no quote of this market"
    assert unknown.value.missing == (gap("rate", "lighter", none), gap("rate", "grvt", none))


@pytest.mark.parametrize(
    ("need", "read"),
    [
        ("rates", lambda ctx: ctx.divergence),
        ("rates", lambda ctx: ctx.long.rate),
        ("schedule", lambda ctx: ctx.long.settles_in),
        ("open_interest", lambda ctx: ctx.long.open_interest_usd),
        ("volume", lambda ctx: ctx.long.volume_24h_usd),
        ("mark_price", lambda ctx: ctx.long.mark_price),
        ("opportunities", lambda ctx: ctx.opportunities),
        ("legs", lambda ctx: ctx.legs),
        ("observations", lambda ctx: ctx.observations),
    ],
)
def test_what_was_not_declared_can_not_be_read(need: str, read: Callable[[RuleContext], object]) -> None:
    context = a_context(a_quote("grvt"))
    read(context)
    with pytest.raises(UndeclaredNeedError) as undeclared:
        read(context.limited_to(NOTHING))
    assert undeclared.value.need == need
    assert str(undeclared.value) == f"this value needs Needs({need}=...): declare it in the rule's `needs`"
    declared: dict[str, Any] = {"rates": False, need: 1}
    read(context.limited_to(Needs(**declared)))


def test_everything_may_be_read_in_a_context_without_declared_needs() -> None:
    a_context().require("volume")


def test_a_limited_context_is_about_the_same_position_and_market() -> None:
    targets = TargetFilter(venues=("lighter",))
    context = RuleContext(a_position(), a_snapshot(), targets)
    limited = context.limited_to(NOTHING)
    assert (limited.position, limited.snapshot, limited.targets) == (context.position, context.snapshot, targets)


THREE = (a_quote("lighter", "0.0001"), a_quote("grvt", "0.0003"), a_quote("paradex", "0.0006"))


def opportunities(targets: TargetFilter = TargetFilter.ANY, *, needs: Needs | None = None, **more: Any) -> list[Pair]:
    snapshot = a_snapshot(*THREE, a_quote("lighter", 0, symbol="ETH"), a_quote("grvt", 1, symbol="ETH"), **more)
    context = RuleContext(a_position(), snapshot, targets, needs)
    return [opportunity.pair for opportunity in context.opportunities]


def test_opportunities_are_the_other_pairs_of_the_symbol_largest_divergence_first() -> None:
    assert opportunities() == [
        Pair("BTC", "lighter", "paradex"),
        Pair("BTC", "grvt", "paradex"),
        Pair("BTC", "grvt", "lighter"),
        Pair("BTC", "paradex", "grvt"),
        Pair("BTC", "paradex", "lighter"),
    ]


def test_opportunities_are_values_with_their_rates() -> None:
    context = RuleContext(a_position(), a_snapshot(*THREE))
    best = an_opportunity(long_dex="lighter", short_dex="paradex", long_rate="0.0001", short_rate="0.0006")
    assert context.opportunities[0] == best


def test_opportunities_are_only_those_that_may_be_opened_now() -> None:
    assert opportunities(TargetFilter(venues=("lighter", "paradex"))) == [
        Pair("BTC", "lighter", "paradex"),
        Pair("BTC", "paradex", "lighter"),
    ]


def test_opportunities_of_every_symbol_are_there_for_a_rule_that_needs_them() -> None:
    needs = Needs(opportunities=True, all_symbols=True)
    assert opportunities(needs=needs)[0] == Pair("ETH", "lighter", "grvt")
    assert opportunities(needs=Needs(opportunities=True))[0] == Pair("BTC", "lighter", "paradex")


NO_LIST = Missing(field="opportunities", symbol="BTC", why="the service is down")
NO_LIST_OF_ETH = Missing(field="opportunities", symbol="ETH", why="the service is down")


def test_no_opportunity_is_unknown_where_the_source_could_not_list_any() -> None:
    with pytest.raises(UnknownValueError) as unknown:
        opportunities(TargetFilter(venues=()), missing=(NO_LIST, NO_LIST_OF_ETH))
    assert unknown.value.missing == (NO_LIST,)
    assert opportunities(TargetFilter(venues=()), missing=(NO_LIST_OF_ETH,)) == []
    assert opportunities(TargetFilter(venues=("grvt", "paradex")), missing=(NO_LIST,)) != []


def test_no_opportunity_of_any_symbol_misses_every_symbols_list() -> None:
    everywhere = Needs(opportunities=True, all_symbols=True)
    with pytest.raises(UnknownValueError) as unknown:
        opportunities(TargetFilter(venues=()), needs=everywhere, missing=(NO_LIST, NO_LIST_OF_ETH))
    assert unknown.value.missing == (NO_LIST, NO_LIST_OF_ETH)


def test_observations_are_the_legs_quotes_up_to_now_in_order_of_time() -> None:
    past = [a_quote("grvt", 1, observed_at=AS_OF - timedelta(hours=hours)) for hours in (1, 2)]
    future = a_quote("grvt", 1, observed_at=AS_OF + timedelta(seconds=11))
    elsewhere = a_quote("paradex", observed_at=AS_OF - timedelta(hours=1))
    context = a_context(a_quote("grvt"), observations=(*past, future, elsewhere))
    assert context.observations == (past[1], past[0], context.long.quote, a_quote("grvt"))


def test_the_reverse_of_the_held_pair_alone_is_no_answer_where_the_source_could_not_list_any() -> None:
    gap = Missing(field="opportunities", why="the service is down")
    legs = a_quote("lighter", "0.0001"), a_quote("grvt", "0.0003")
    with pytest.raises(UnknownValueError) as unknown:
        _ = RuleContext(a_position(), a_snapshot(*legs, missing=(gap,))).opportunities
    assert unknown.value.missing == (gap,)
    more = a_snapshot(*legs, a_quote("paradex", 0), missing=(gap,))
    assert len(RuleContext(a_position(), more).opportunities) == 5


LONG = Known("0.1", as_of=AS_OF, mark_price=91_000, liquidation_price=80_000)


def holding(*legs: LegReading) -> RuleContext:
    return RuleContext(a_position(), a_snapshot(legs=legs), needs=Needs(rates=False, legs=True))


def test_legs_show_what_was_read_of_each() -> None:
    context = holding(a_leg("lighter", LONG), a_leg("grvt", "-0.2"))
    assert context.legs.long == LONG
    assert context.legs.short.quantity == Decimal("-0.2")


@pytest.mark.parametrize(
    ("legs", "why"),
    [
        ((), "no leg state was read"),
        ((a_leg("grvt", Unknown("the venue timed out")),), "the venue timed out"),
        ((a_leg("grvt", "-0.1", as_of=AS_OF - timedelta(seconds=121)),), "the leg state is older than its limit"),
    ],
)
def test_each_leg_that_is_unknown_raises_by_itself_and_says_why(legs: tuple[LegReading, ...], why: str) -> None:
    context = holding(a_leg("lighter", LONG), *legs)
    assert context.legs.long == LONG
    with pytest.raises(UnknownValueError) as unknown:
        _ = context.legs.short
    assert unknown.value.missing == (gap("leg state", "grvt", why),)


def test_a_long_leg_that_is_unknown_does_not_hide_the_short_one() -> None:
    context = holding(a_leg("grvt", "-0.1"))
    assert context.legs.short.quantity == Decimal("-0.1")
    with pytest.raises(UnknownValueError) as unknown:
        _ = context.legs.long
    assert unknown.value.missing == (gap("leg state", "lighter", "no leg state was read"),)


@pytest.mark.parametrize("quantity", ["0", "-0.1"])
def test_a_leg_that_is_flat_or_on_the_wrong_side_is_shown_as_it_is(quantity: str) -> None:
    assert holding(a_leg("lighter", quantity)).legs.long == Known(quantity)
