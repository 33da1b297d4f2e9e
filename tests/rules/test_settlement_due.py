"""Wait for a payment that is about to come."""

from datetime import timedelta

import pytest

from rebalancer import Fact, InputError, Missing, Needs, Quote, RuleContext, SettlementDue
from rebalancer.rules.guard import Answer, Guard, Reply, consult
from rebalancer.testing import AS_OF, a_position, a_quote, a_snapshot

TEN_MINUTES = timedelta(minutes=10)
FAVOURABLE = SettlementDue(within=TEN_MINUTES)
ANY = SettlementDue(within=TEN_MINUTES, favourable=False)
YES, NO, UNKNOWN = "such a settlement is due", "no such settlement is due", "a value that it reads is unknown"


def leg(venue: str, settles_in: int | None, rate: str) -> Quote:
    at = None if settles_in is None else AS_OF + timedelta(seconds=settles_in)
    return a_quote(venue, rate, next_funding_at=at)


def answer(guard: Guard, long: Quote, short: Quote) -> Answer:
    return consult(guard, RuleContext(a_position(), a_snapshot(long, short)))


def earning(settles_in: int | None, short_settles_in: int | None = 28_000) -> tuple[Quote, Quote]:
    """Long at -1 bp, so that its settlement pays us."""
    return leg("lighter", settles_in, "-0.0001"), leg("grvt", short_settles_in, "0.0001")


def unknown_schedule(venue: str) -> Missing:
    return Missing(field="next funding time", venue=venue, symbol="BTC", why="its quote does not say")


def test_a_payment_in_favour_inside_the_time_is_due() -> None:
    assert answer(FAVOURABLE, *earning(599)) == Answer(
        Reply.YES, YES, (Fact("settles_in_seconds", 599, limit=600), Fact("net_payment_rate", "0.0001", limit=0))
    )


@pytest.mark.parametrize("settles_in", [0, 600])
def test_a_payment_now_or_exactly_at_the_limit_is_not_due(settles_in: int) -> None:
    assert answer(FAVOURABLE, *earning(settles_in)) == Answer(
        Reply.NO, NO, (Fact("settles_in_seconds", settles_in, limit=600), Fact("net_payment_rate", "0.0001", limit=0))
    )
    assert answer(ANY, *earning(settles_in)) == Answer(
        Reply.NO, NO, (Fact("settles_in_seconds", settles_in, limit=600),)
    )


def test_a_settlement_in_one_second_is_due() -> None:
    assert answer(FAVOURABLE, *earning(1)).reply is Reply.YES
    assert answer(ANY, *earning(1)).reply is Reply.YES


@pytest.mark.parametrize(
    ("long_rate", "reply"), [("0.000100000001", Reply.NO), ("0.0001", Reply.NO), ("0.000099999999", Reply.YES)]
)
def test_only_a_payment_above_nothing_is_in_favour(long_rate: str, reply: Reply) -> None:
    legs = leg("lighter", 599, long_rate), leg("grvt", 599, "0.0001")
    assert answer(FAVOURABLE, *legs).reply is reply
    assert answer(ANY, *legs).reply is Reply.YES


def test_any_settlement_inside_the_time_is_due_if_favour_does_not_matter() -> None:
    assert answer(ANY, *earning(599)) == Answer(Reply.YES, YES, (Fact("settles_in_seconds", 599, limit=600),))


def test_an_unknown_schedule_is_unknown_while_the_other_leg_is_outside_the_time() -> None:
    unknown = Answer(Reply.UNKNOWN, UNKNOWN, missing=(unknown_schedule("grvt"),))
    assert answer(FAVOURABLE, *earning(600, None)) == unknown
    assert answer(ANY, *earning(600, None)) == unknown
    assert answer(~ANY, *earning(600, None)) == unknown


def test_one_known_settlement_inside_the_time_is_enough_if_favour_does_not_matter() -> None:
    assert answer(ANY, *earning(599, None)).reply is Reply.YES
    assert answer(FAVOURABLE, *earning(599, None)).reply is Reply.UNKNOWN


def test_an_unknown_rate_leaves_favour_unknown() -> None:
    long, short = earning(599, 599)
    stale = short.model_copy(update={"observed_at": AS_OF - timedelta(seconds=121)})
    assert answer(FAVOURABLE, long, stale) == Answer(
        Reply.UNKNOWN,
        UNKNOWN,
        missing=(Missing(field="rate", venue="grvt", symbol="BTC", why="the quote is older than its limit"),),
    )
    assert answer(ANY, long, stale).reply is Reply.YES


def test_continuous_funding_is_never_due() -> None:
    continuous = a_quote("lighter", pays_every=timedelta(0)), a_quote("grvt", pays_every=timedelta(0))
    assert answer(ANY, *continuous) == Answer(Reply.NO, NO, ())


def test_it_needs_the_schedule_and_for_favour_the_rates_too() -> None:
    assert FAVOURABLE.needs == Needs(schedule=True)
    assert ANY.needs == Needs(rates=False, schedule=True)


def test_it_holds_back_critical_verdicts_as_well() -> None:
    assert FAVOURABLE.spares_critical is False


def test_a_limit_of_zero_is_refused() -> None:
    with pytest.raises(InputError, match=r"^SettlementDue: within: a duration must be above 0$"):
        SettlementDue(within=timedelta(0))


@pytest.mark.parametrize(("net_payment", "due"), [(-1, False), (0, False), (1, True)])
def test_the_smallest_payment_that_there_is_counts(net_payment: int, *, due: bool) -> None:
    assert SettlementDue.holds_in_favour(1, net_payment, 2) is due
