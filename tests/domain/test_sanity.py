"""What is not believed of a snapshot: no venue prints it, it jumped, or it is too old, too early, too far apart."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from itertools import groupby
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rebalancer import FundingHistory, InputError, MarketSnapshot, Missing, Opportunity, Quote, RateKind
from rebalancer.domain.names import Market, Pair
from rebalancer.domain.numbers import BPS, fraction
from rebalancer.domain.plausible import Plausibility
from rebalancer.domain.sanity import REFUSED, Suspicion, SuspicionKind, screened, suspicions
from rebalancer.domain.times import from_epoch
from rebalancer.domain.venues import VENUES, VenueFacts, VenueTable
from rebalancer.domain.verdict import Fact
from rebalancer.testing import AS_OF, a_quote, a_rate, a_snapshot, an_opportunity, sample_history

SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)
BEYOND = "the rate is beyond what is plausible, and nothing confirms it"
CAPPED = "the rate is beyond the venue's own cap"
JUMPED = "the rate jumped, and no second sample says the same"
STEP = "0.000000000001"
PAIR = Pair("BTC", "lighter", "grvt")


def caps(**rate_caps: str) -> Plausibility:
    """Limits that know these venues' caps and no others."""
    facts = [
        VenueFacts(venue=venue, pays_every=HOUR, rate_cap=cap, as_of=date(2026, 11, 1), source="its documentation")
        for venue, cap in rate_caps.items()
    ]
    return Plausibility(caps=VenueTable(facts=tuple(facts)))


def earlier(venue: str = "grvt", rate: str = "0.0001", ago: timedelta = HOUR, kind: str = "indicative") -> Quote:
    return a_quote(venue, rate, observed_at=AS_OF - ago, kind=kind)


def kinds(*quotes: Quote, past: tuple[Quote, ...] = (), limits: Plausibility | None = None) -> list[tuple[str, str]]:
    """What is suspected of which venue."""
    found = suspicions(a_snapshot(*quotes), past, limits=limits or caps())
    return [(one.kind.value, one.venues[0]) for one in found]


def test_the_usual_snapshot_is_beyond_suspicion() -> None:
    assert suspicions(a_snapshot()) == ()


# implausible, where the venue has a cap


def test_a_rate_at_the_venues_cap_is_believed_and_one_step_beyond_is_not() -> None:
    limits = caps(grvt="0.03")
    assert kinds(a_quote("grvt", "-0.03"), limits=limits) == []
    assert kinds(a_quote("grvt", "-0.030000000001"), limits=limits) == [("implausible", "grvt")]


def test_a_cap_above_the_general_limit_is_what_counts() -> None:
    assert kinds(a_quote("grvt", "0.3"), limits=caps(grvt="0.3")) == []


def test_nothing_confirms_what_the_venue_itself_can_not_print() -> None:
    past = (earlier("grvt", "0.04"),)
    quotes = a_quote("grvt", "0.04"), a_quote("lighter", "0.04")
    assert kinds(*quotes, past=past, limits=caps(grvt="0.03")) == [("implausible", "grvt")]


def test_a_refusal_by_the_cap_says_the_rate_and_the_cap() -> None:
    (one,) = suspicions(a_snapshot(a_quote("grvt", a_rate("-0.005", hours=1))), limits=caps(grvt="0.03"))
    assert one == Suspicion(
        kind=SuspicionKind.IMPLAUSIBLE,
        symbol="BTC",
        venues=("grvt",),
        why=CAPPED,
        facts=(Fact("rate", "-0.04", limit="0.03"),),
    )


def test_the_caps_are_those_of_the_dated_table_unless_others_are_given() -> None:
    beyond = a_snapshot(a_quote("hyperliquid", "0.33"))
    assert [one.why for one in suspicions(beyond)] == [CAPPED]
    assert Plausibility().caps == VENUES
    raised = VENUES.with_facts(
        VenueFacts(venue="hyperliquid", pays_every=HOUR, rate_cap="0.5", as_of=date(2026, 11, 2), source="its news")
    )
    assert suspicions(beyond, limits=Plausibility(caps=raised)) == ()


def test_a_percent_taken_for_a_fraction_is_refused() -> None:
    assert [one.kind for one in suspicions(a_snapshot(a_quote("kraken", "0.12")))] == [SuspicionKind.IMPLAUSIBLE]


# implausible, where it has none


@pytest.mark.parametrize("sign", ["", "-"])
def test_without_a_cap_5_percent_is_believed_and_one_step_more_is_not(sign: str) -> None:
    assert kinds(a_quote("grvt", f"{sign}0.05")) == []
    (one,) = suspicions(a_snapshot(a_quote("grvt", f"{sign}0.050000000001")), limits=caps())
    assert (one.kind, one.why) == (SuspicionKind.IMPLAUSIBLE, BEYOND)
    assert one.facts == (Fact("rate", f"{sign}0.050000000001", limit="0.05"),)


@pytest.mark.parametrize(
    ("other", "believed"),
    [("0.03", True), ("0.029999999999", False), ("-0.06", False), ("0.04", True), ("0", False)],
)
def test_another_venue_confirms_with_the_same_sign_and_half_the_size(other: str, *, believed: bool) -> None:
    found = kinds(a_quote("grvt", "0.06"), a_quote("lighter", other))
    assert (("implausible", "grvt") not in found) is believed


@pytest.mark.parametrize(
    ("before", "believed"),
    [("0.03", True), ("0.029999999999", False), ("-0.06", False)],
)
def test_the_markets_own_past_confirms_with_the_same_sign_and_half_the_size(before: str, *, believed: bool) -> None:
    found = kinds(a_quote("grvt", "0.06"), past=(earlier(rate=before),))
    assert (found == []) is believed


def test_a_crisis_that_both_venues_print_is_believed() -> None:
    assert kinds(a_quote("grvt", "-0.06"), a_quote("lighter", "-0.12")) == []


def test_another_symbol_confirms_nothing() -> None:
    assert kinds(a_quote("grvt", "0.06"), a_quote("lighter", "0.04", symbol="ETH")) == [("implausible", "grvt")]


@pytest.mark.parametrize("seconds", [-11, 121])
def test_a_quote_that_is_unknown_confirms_nothing(seconds: int) -> None:
    unknown = a_quote("lighter", "0.04", observed_at=AS_OF - seconds * SECOND)
    assert ("implausible", "grvt") in kinds(a_quote("grvt", "0.06"), unknown)


def test_a_stale_quote_is_screened_too_since_it_is_a_past_observation() -> None:
    stale = a_quote("grvt", "0.06", observed_at=AS_OF - 121 * SECOND)
    assert kinds(stale) == [("stale", "grvt"), ("implausible", "grvt")]
    assert kinds(stale, a_quote("lighter", "0.03")) == [("stale", "grvt")]


def test_what_is_refused_confirms_nothing() -> None:
    by_its_cap = kinds(a_quote("grvt", "0.06"), a_quote("lighter", "0.06"), limits=caps(lighter="0.04"))
    assert by_its_cap == [("implausible", "grvt"), ("implausible", "lighter")]
    jumped = kinds(a_quote("grvt", "0.06"), a_quote("lighter", "0.04"), past=(earlier("lighter"),))
    assert jumped == [("implausible", "grvt"), ("jump", "lighter")]
    in_a_chain = kinds(a_quote("a", "0.13"), a_quote("b", "0.06"), a_quote("c", "0.02"))
    assert in_a_chain == [("implausible", "a"), ("implausible", "b")]


def test_of_many_the_largest_two_that_agree_confirm_all_below_them() -> None:
    rates = {"a": "0.4", "b": "0.19", "c": "0.1", "d": "0.051"}
    assert kinds(*(a_quote(venue, rate) for venue, rate in rates.items())) == [("implausible", "a")]


def test_a_rate_confirmed_by_its_past_confirms_those_of_other_venues() -> None:
    assert kinds(a_quote("grvt", "0.2"), a_quote("lighter", "0.09"), past=(earlier("grvt", "0.1"),)) == []


# jumps


def test_a_jump_of_20_times_is_believed_and_one_step_more_is_not() -> None:
    past = (earlier(rate="0.0001"),)
    assert kinds(a_quote("grvt", "0.002"), past=past) == []
    assert kinds(a_quote("grvt", "-0.002000000001"), past=past) == [("jump", "grvt")]


def test_a_tenth_of_a_percent_is_no_jump_whatever_was_before() -> None:
    past = (earlier(rate="0"),)
    assert kinds(a_quote("grvt", "0.001"), past=past) == []
    assert kinds(a_quote("grvt", "0.001000000001"), past=past) == [("jump", "grvt")]


def test_a_jump_says_the_rate_before_it_and_the_largest_that_would_have_been_none() -> None:
    (one,) = suspicions(a_snapshot(a_quote("grvt", "-0.0031")), [earlier(rate="0.00015")])
    assert (one.kind, one.symbol, one.venues, one.why) == (SuspicionKind.JUMP, "BTC", ("grvt",), JUMPED)
    assert one.facts == (Fact("rate", "-0.0031", limit="0.003"), Fact("earlier_rate", "0.00015"))


def test_without_a_past_nothing_jumps() -> None:
    assert kinds(a_quote("grvt", "0.04")) == []
    assert kinds(a_quote("grvt", "0.04"), past=(earlier("lighter"),)) == []


def test_a_second_sample_of_that_size_is_believed() -> None:
    past = (earlier(rate="0.0001", ago=2 * HOUR), earlier(rate="0.04"))
    assert kinds(a_quote("grvt", "-0.04"), past=past) == []


def test_a_poll_that_sees_the_same_again_is_no_second_sample() -> None:
    again = a_quote("grvt", "0.04")
    assert kinds(again, past=(earlier(), again)) == [("jump", "grvt")]


def test_another_rate_at_the_same_instant_is_no_second_sample() -> None:
    assert kinds(a_quote("grvt", "0.04"), past=(earlier(), a_quote("grvt", "0.039"))) == [("jump", "grvt")]


def test_an_observation_of_another_kind_does_not_count() -> None:
    present = a_quote("grvt", "0.06", kind="forming")
    assert kinds(present, past=(earlier(rate="0.06", kind="settled"),)) == [("implausible", "grvt")]
    assert kinds(a_quote("grvt", "0.04", kind="forming"), past=(earlier(kind="settled"),)) == []


def test_of_several_observations_at_one_instant_the_smallest_counts() -> None:
    for past in ((earlier(rate="0.04"), earlier(rate="-0.0001")), (earlier(rate="-0.0001"), earlier(rate="0.04"))):
        assert kinds(a_quote("grvt", "0.04"), past=past) == [("jump", "grvt")]


def test_the_snapshots_own_observations_are_past_as_well() -> None:
    snapshot = a_snapshot(a_quote("grvt", "0.04"), observations=(earlier(),))
    assert [one.kind for one in suspicions(snapshot)] == [SuspicionKind.JUMP]
    assert suspicions(snapshot, [earlier(rate="0.03", ago=SECOND)]) == ()


def test_a_rate_that_is_implausible_is_not_called_a_jump_as_well() -> None:
    assert kinds(a_quote("grvt", "0.06"), past=(earlier(),)) == [("implausible", "grvt")]


# stale, future, skew


def test_a_quote_is_stale_by_the_freshness_of_the_snapshot() -> None:
    old = a_quote("grvt", observed_at=AS_OF - 121 * SECOND)
    (one,) = suspicions(a_snapshot(old, a_quote("lighter", observed_at=AS_OF - 120 * SECOND)))
    assert one == Suspicion(
        kind=SuspicionKind.STALE,
        symbol="BTC",
        venues=("grvt",),
        why="the quote is older than its limit",
        facts=(Fact("age_seconds", 121, limit=120),),
    )


def test_a_quote_from_the_future_is_suspected() -> None:
    early = a_quote("grvt", observed_at=AS_OF + 11 * SECOND)
    (one,) = suspicions(a_snapshot(early, a_quote("lighter", observed_at=AS_OF + 10 * SECOND)))
    assert (one.kind, one.venues, one.why) == (SuspicionKind.FUTURE, ("grvt",), "the quote is from the future")
    assert one.facts == (Fact("ahead_seconds", 11, limit=10),)


def test_legs_seen_too_far_apart_are_suspected_once() -> None:
    long, short = a_quote("lighter", observed_at=AS_OF - 115 * SECOND), a_quote("grvt", observed_at=AS_OF + 6 * SECOND)
    (one,) = suspicions(a_snapshot(long, short), pairs=[PAIR, PAIR])
    assert one == Suspicion(
        kind=SuspicionKind.SKEW,
        symbol="BTC",
        venues=("lighter", "grvt"),
        why="the legs were seen too far apart in time",
        facts=(Fact("apart_seconds", 121, limit=120),),
    )


def test_legs_of_no_pair_are_not_compared() -> None:
    quotes = a_quote("lighter", observed_at=AS_OF - 115 * SECOND), a_quote("grvt", observed_at=AS_OF + 6 * SECOND)
    assert suspicions(a_snapshot(*quotes)) == ()


@pytest.mark.parametrize("seconds", [0, 300])
def test_legs_seen_together_or_of_which_one_is_stale_are_not_called_skewed(seconds: int) -> None:
    old = a_quote("lighter", observed_at=AS_OF - seconds * SECOND)
    for quotes, pair in (((old, a_quote("grvt")), PAIR), ((a_quote("grvt"), old), Pair("BTC", "grvt", "lighter"))):
        found = suspicions(a_snapshot(*quotes), pairs=[pair])
        assert SuspicionKind.SKEW not in {one.kind for one in found}


def test_a_pair_without_quotes_is_not_called_skewed() -> None:
    assert suspicions(a_snapshot(a_quote("lighter")), pairs=[PAIR, Pair("ETH", "lighter", "grvt")]) == ()


# screening


def test_a_refused_quote_is_missing_with_the_reason() -> None:
    snapshot = a_snapshot(
        a_quote("lighter"), a_quote("grvt", "0.06"), missing=(Missing(field="rate", venue="grvt", why="HTTP 503"),)
    )
    clean = screened(snapshot, suspicions(snapshot, limits=caps()))
    assert clean.quotes == (a_quote("lighter"),)
    assert clean.missing == (
        Missing(field="rate", venue="grvt", symbol="BTC", why=BEYOND),
        Missing(field="opportunities", symbol="BTC", why=BEYOND),
        Missing(field="rate", venue="grvt", why="HTTP 503"),
    )
    assert [str(gap) for gap in clean.book.rate_gaps(PAIR)] == [f"rate of BTC on grvt: {BEYOND}"]


def test_a_jumped_quote_is_missing_with_the_reason() -> None:
    snapshot = a_snapshot(a_quote("grvt", "0.04"), observations=(earlier(),))
    clean = screened(snapshot, suspicions(snapshot))
    assert [(gap.field, gap.why) for gap in clean.missing] == [("rate", JUMPED), ("opportunities", JUMPED)]
    assert clean.observations == (earlier(),)


def test_only_the_market_that_is_suspected_is_taken_out() -> None:
    other = a_quote("grvt", symbol="ETH")
    snapshot = a_snapshot(a_quote("grvt", "0.06"), other)
    assert screened(snapshot, suspicions(snapshot, limits=caps())).quotes == (other,)


def test_what_is_stale_early_or_skewed_stays_since_its_freshness_makes_it_unknown() -> None:
    quotes = (
        a_quote("a", observed_at=AS_OF - 300 * SECOND),
        a_quote("b", observed_at=AS_OF + HOUR),
        a_quote("lighter", observed_at=AS_OF - 115 * SECOND),
        a_quote("grvt", observed_at=AS_OF + 6 * SECOND),
    )
    snapshot = a_snapshot(*quotes, opportunities=(an_opportunity(long_dex="lighter", short_dex="grvt"),))
    found = suspicions(snapshot, pairs=[PAIR])
    assert [one.kind.value for one in found] == ["stale", "future", "skew"]
    assert screened(snapshot, found) is snapshot


def test_a_listed_pair_with_an_implausible_leg_is_taken_out_and_is_no_proof_of_none() -> None:
    bad = an_opportunity(long_rate="-0.06", short_rate="0.4")
    good = an_opportunity(long_dex="aster")
    snapshot = a_snapshot(opportunities=(bad, good, bad))
    found = suspicions(snapshot, limits=caps(grvt="0.3"))
    assert found[:2] == (
        Suspicion(
            kind=SuspicionKind.IMPLAUSIBLE,
            symbol="BTC",
            venues=("paradex", "grvt"),
            why=BEYOND,
            facts=(Fact("long_rate", "-0.06", limit="0.05"),),
        ),
        Suspicion(
            kind=SuspicionKind.IMPLAUSIBLE,
            symbol="BTC",
            venues=("paradex", "grvt"),
            why=CAPPED,
            facts=(Fact("short_rate", "0.4", limit="0.3"),),
        ),
    )
    clean = screened(snapshot, found[:1])
    assert (clean.quotes, clean.opportunities) == (snapshot.quotes, (good,))
    assert clean.missing == (Missing(field="opportunities", symbol="BTC", why=BEYOND),)


@pytest.mark.parametrize("side", ["long_dex", "short_dex"])
def test_a_listed_pair_goes_with_the_quote_of_its_leg(side: str) -> None:
    kept = an_opportunity(symbol="ETH", **{side: "aster"})
    snapshot = a_snapshot(a_quote("aster", "0.06"), opportunities=(an_opportunity(**{side: "aster"}), kept))
    clean = screened(snapshot, suspicions(snapshot, limits=caps()))
    assert clean.opportunities == (kept,)
    assert [gap.field for gap in clean.missing] == ["rate", "opportunities"]


def test_a_present_quote_confirms_a_listed_rate() -> None:
    listed = an_opportunity(short_rate="0.06")
    assert suspicions(a_snapshot(a_quote("lighter", "0.03"), opportunities=(listed,)), limits=caps()) == ()


# values


def test_the_documented_limits() -> None:
    limits = Plausibility()
    assert [limits.max_rate, limits.jump, limits.jump_above] == [Decimal("0.05"), Decimal(20), Decimal("0.001")]


def test_the_limits_can_be_set() -> None:
    strict = Plausibility(max_rate="0.001", jump=2, jump_above=0, caps=VenueTable())
    assert kinds(a_quote("grvt", "0.0011"), limits=strict) == [("implausible", "grvt")]
    assert kinds(a_quote("grvt", "0.0003"), past=(earlier(),), limits=strict) == [("jump", "grvt")]


@pytest.mark.parametrize("limits", [{"max_rate": 0}, {"jump": "0.9"}, {"jump_above": -1}])
def test_limits_that_would_refuse_everything_are_refused(limits: dict[str, object]) -> None:
    with pytest.raises(InputError, match=rf"^Plausibility: {next(iter(limits))}: "):
        Plausibility.model_validate(limits)


def test_a_suspicion_reads_as_a_line() -> None:
    skew = Suspicion(kind="skew", symbol="btc", venues=("Lighter", "grvt"), why="seen apart")  # type: ignore[arg-type]  # as from JSON
    assert str(skew) == "skew: BTC on lighter and grvt: seen apart"
    assert Suspicion.model_validate_json(skew.model_dump_json()) == skew


@pytest.mark.parametrize("venues", [(), ("a", "b", "c")])
def test_a_suspicion_is_about_one_venue_or_two(venues: tuple[str, ...]) -> None:
    with pytest.raises(InputError, match=r"^Suspicion: venues: "):
        Suspicion(kind=SuspicionKind.SKEW, symbol="BTC", venues=venues, why="seen apart")


@pytest.mark.usefixtures("hostile_context")
def test_neither_finding_nor_screening_reads_the_ambient_decimal_context() -> None:
    snapshot = a_snapshot(a_quote("grvt", "0.123456789012"), a_quote("aster", "0.0123456789"))
    found = suspicions(snapshot, [earlier("aster", "0.000123456789")])
    assert [str(one.facts[0].limit) for one in found] == ["0.05", "0.00246913578"]
    assert screened(snapshot, found).quotes == ()


# laws

VENUE_NAMES = ("aster", "grvt", "hyperliquid", "lighter")
a_fraction = st.integers(-40, 40).map(lambda tens: fraction(tens * 100 * BPS)) | st.sampled_from(
    [Decimal(0), Decimal("0.0001"), Decimal("0.002"), Decimal("0.05"), Decimal("-0.06")]
)
some_quotes = st.lists(
    st.builds(
        a_quote,
        venue=st.sampled_from(VENUE_NAMES),
        rate=a_fraction,
        symbol=st.sampled_from(["BTC", "ETH"]),
        observed_at=st.sampled_from([-20, 0, 1, 119, 130, 4000]).map(lambda seconds: AS_OF - seconds * SECOND),
        kind=st.sampled_from([RateKind.INDICATIVE, RateKind.SETTLED]),
    ),
    max_size=10,
)


@st.composite
def snapshots(draw: st.DrawFn) -> MarketSnapshot:
    quotes = {quote.market: quote for quote in draw(some_quotes)}
    dexes = draw(st.lists(st.permutations(VENUE_NAMES), max_size=3))
    listed = [
        an_opportunity(long_dex=dex[0], short_dex=dex[1], long_rate=draw(a_fraction), short_rate=draw(a_fraction))
        for dex in dexes
    ]
    return MarketSnapshot(as_of=AS_OF, quotes=tuple(quotes.values()), opportunities=tuple(listed))


@given(snapshots(), some_quotes)
def test_screening_twice_changes_nothing(snapshot: MarketSnapshot, past: list[Quote]) -> None:
    once = screened(snapshot, suspicions(snapshot, past))
    again = suspicions(once, past)
    assert not {one.kind for one in again} & REFUSED
    assert screened(once, again) is once


@given(snapshots(), some_quotes)
def test_a_snapshot_without_suspicion_is_the_same_object_and_another_has_fewer(
    snapshot: MarketSnapshot, past: list[Quote]
) -> None:
    found = suspicions(snapshot, past)
    clean = screened(snapshot, found)
    if not found:
        assert clean is snapshot
    refused = [one for one in found if one.kind in REFUSED and len(one.venues) == 1]
    assert len(clean.quotes) == len(snapshot.quotes) - len(refused)
    assert set(clean.quotes) <= set(snapshot.quotes)


@given(snapshots(), some_quotes, st.randoms(use_true_random=False))
def test_the_order_of_quotes_and_past_changes_nothing(
    snapshot: MarketSnapshot, past: list[Quote], random: Random
) -> None:
    shuffled = list(past)
    random.shuffle(shuffled)
    turned = snapshot.model_copy(update={"quotes": snapshot.quotes[::-1]})
    assert set(suspicions(snapshot, past)) == set(suspicions(turned, shuffled))


@given(snapshots(), some_quotes)
def test_polling_the_same_again_changes_nothing(snapshot: MarketSnapshot, past: list[Quote]) -> None:
    assert suspicions(snapshot, [*past, *snapshot.quotes]) == suspicions(snapshot, past)


@given(snapshots(), some_quotes)
def test_a_mirrored_market_is_suspected_alike(snapshot: MarketSnapshot, past: list[Quote]) -> None:
    def mirrored(quote: Quote) -> Quote:
        return quote.model_copy(update={"rate": a_rate(-quote.rate.per_8h)})

    def flipped(listed: Opportunity) -> Opportunity:
        return listed.model_copy(update={"long_rate": -listed.long_rate, "short_rate": -listed.short_rate})

    mirror = snapshot.model_copy(
        update={
            "quotes": tuple(map(mirrored, snapshot.quotes)),
            "opportunities": tuple(map(flipped, snapshot.opportunities)),
        }
    )
    ours = [(one.kind, one.venues) for one in suspicions(snapshot, past)]
    assert [(one.kind, one.venues) for one in suspicions(mirror, map(mirrored, past))] == ours


# histories: rates of a tenth of a percent and less are never refused, so only the other instants are looked at


DATA = Path(__file__).parents[3] / "shared" / "data"
REAL = {
    "hl_okx_kraken_hyna_snapshots_2026-07_2026-08": {"beyond": 6, "implausible": 2, "jump": 93},
    "hl_binance_bybit_2025-08_2026-08": {"beyond": 0, "implausible": 0, "jump": 67},
    "okx_bitget_snapshots_2026-05_2026-08": {"beyond": 0, "implausible": 0, "jump": 247},
    "seven_venues_2025-03_2026-03": {"beyond": 0, "implausible": 0, "jump": 29},
    "stock_perps_hlxyz_bybit_2025-11_2026-08": {"beyond": 0, "implausible": 0, "jump": 267},
}
"""Of 613,990 rows 705 are refused; of 6 beyond 5 % per 8 h, 4 are believed: of one crisis, printed by two venues."""


def refusals(history: FundingHistory) -> Iterator[Suspicion]:
    """What would have been refused of a history, had each row been polled as it came, beside what was known then."""
    known: dict[Market, Quote] = {}
    before: dict[Market, Quote] = {}
    for at, rows in groupby(history.rows(), key=lambda row: row[1].at):
        came = {series.market: series.quote(row) for series, row in rows}
        before |= {market: known[market] for market in came if market in known}
        known |= came
        if any(abs(quote.rate.steps) > 10 * BPS for quote in came.values()):
            snapshot = MarketSnapshot(as_of=from_epoch(at), quotes=tuple(known.values()))
            found = suspicions(snapshot, before.values(), limits=caps(hyperliquid="0.32"))
            places = {(market.symbol, (market.venue,)) for market in came}
            yield from (one for one in found if (one.symbol, one.venues) in places and one.kind in REFUSED)


def counted(history: FundingHistory) -> dict[str, int]:
    """How many rates are beyond 5 % per 8 h, and how many are refused as what."""
    kinds = [one.kind for one in refusals(history)]
    beyond = sum(abs(row.per_8h) > 500 * BPS for series in history.series for row in series.rows)
    implausible, jumped = kinds.count(SuspicionKind.IMPLAUSIBLE), kinds.count(SuspicionKind.JUMP)
    return {"beyond": beyond, "implausible": implausible, "jump": jumped}


@pytest.mark.parametrize(("seed", "jumps"), [(7, 28), (8, 21)])
def test_of_a_sample_history_only_jumps_out_of_nearly_nothing_are_refused(seed: int, jumps: int) -> None:
    history = sample_history(seed=seed)
    assert len(history) == 12_960
    assert counted(history) == {"beyond": 0, "implausible": 0, "jump": jumps}


@pytest.mark.skipif(not DATA.exists(), reason="there is no real data beside the repository")
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.campaign][:at]) for at, name in enumerate(REAL)]
)
def test_real_histories_are_hardly_ever_refused_and_confirmed_crises_pass(name: str) -> None:
    assert counted(FundingHistory.read(DATA / f"{name}.csv.gz")) == REAL[name]
