"""Funding on paper: each payment once, at the rate that was seen for it, and unknown where none was seen."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from rebalancer import Costs
from rebalancer.adapters.executors import PaperExecutor
from rebalancer.adapters.sources import StaticSource
from rebalancer.domain.intents import Effect, Intent, IntentState, Side
from rebalancer.domain.names import Market
from rebalancer.testing import AS_OF, ManualClock, a_quote, a_rate

BTC = Market("lighter", "BTC")
HOUR = timedelta(hours=1)
"""AS_OF is noon: hourly venues have just paid, those that pay every 8 h pay at 16:00."""


class Paper:
    """A paper account that holds 2 BTC at a mark of 100, and a source whose quotes are set."""

    def __init__(self, quantity: int = 2, path: Path | None = None) -> None:
        self.clock = ManualClock()
        self.source = StaticSource([], clock=self.clock)
        self.executor = PaperExecutor(self.source, costs=Costs.flat(leg_bps=0), clock=self.clock, path=path)
        self.executor.hold(BTC, quantity)

    async def see(self, hours: float = 0, rate: str | None = "0.001", *, every: int = 1, **fields: Any) -> Any:
        """What was accrued `hours` after noon, when a quote of then is seen: a rate per payment."""
        self.clock.advance(AS_OF + timedelta(hours=hours) - self.clock.now())
        if rate is None:
            self.source.set()
        else:
            usual = {"observed_at": self.clock.now(), "mark_price": 100}
            self.source.set(a_quote(rate=a_rate(rate, hours=every), **{**usual, **fields}))
        known = (await self.executor.read_legs([BTC]))[BTC]
        return getattr(known, "funding_accrued", "unknown")


@pytest.mark.parametrize(("quantity", "paid"), [(2, "-0.2"), (-2, "0.2")])
async def test_longs_pay_a_positive_rate_to_shorts(quantity: int, paid: str) -> None:
    paper = Paper(quantity)
    assert await paper.see(0.5) == 0
    assert await paper.see(1) == Decimal(paid)


async def test_each_settlement_is_paid_once_at_the_rate_that_was_seen_before_it() -> None:
    paper = Paper()
    seen = [await paper.see(at / 4, rate) for at, rate in enumerate(["0.001"] * 4 + ["0.002"] * 4 + ["0"] * 6)]
    assert [str(one) for one in seen[:4]] == ["0"] * 4
    assert set(seen[4:8]) == {Decimal("-0.2")}
    assert set(seen[8:]) == {Decimal("-0.6")}


async def test_what_the_quote_says_of_the_next_payment_counts_more_than_the_hour() -> None:
    paper = Paper()
    odd = AS_OF + timedelta(minutes=37)
    assert await paper.see(0.5, next_funding_at=odd) == 0
    assert await paper.see(0.6, next_funding_at=odd) == 0
    assert await paper.see(0.7, "0.005", next_funding_at=odd + HOUR) == Decimal("-0.2")
    assert await paper.see(1.5, "0.005", next_funding_at=odd + HOUR) == Decimal("-0.2")
    assert await paper.see(1.7, "0", next_funding_at=odd + 2 * HOUR) == Decimal("-1.2")


async def test_a_venue_may_pay_more_often_than_its_rate_is_quoted_for() -> None:
    paper = Paper()
    hourly: dict[str, Any] = {"every": 8, "pays_every": HOUR}
    await paper.see(0.5, "0.008", **hourly)
    assert await paper.see(1, "0.008", **hourly) == Decimal("-0.2")


async def test_a_payment_every_8_hours_is_paid_at_midnight_8_and_16() -> None:
    paper = Paper()
    paid = [await paper.see(hours, every=8) for hours in (1, 3.9, 4, 11, 12)]
    assert paid == [0, 0, Decimal("-0.2"), Decimal("-0.2"), Decimal("-0.4")]


async def test_a_position_does_not_get_the_payment_of_the_instant_at_which_it_was_taken_over() -> None:
    paper = Paper()
    assert await paper.see(0, next_funding_at=AS_OF) == 0
    assert await paper.see(0.5) == 0


async def test_a_payment_whose_rate_nobody_saw_makes_the_sum_unknown() -> None:
    paper = Paper()
    await paper.see(0.5)
    assert await paper.see(2.5) is None
    assert await paper.see(3) is None


@pytest.mark.parametrize(("gap", "paid"), [(0.9, "-0.2"), (1.1, "-0.2")])
async def test_a_source_that_is_down_over_a_settlement_leaves_the_rate_that_was_seen(gap: float, paid: str) -> None:
    paper = Paper()
    await paper.see(0.5)
    await paper.see(gap, None)
    assert await paper.see(1.5) == Decimal(paid)


async def test_a_payment_at_an_unknown_price_makes_the_sum_unknown() -> None:
    paper = Paper()
    await paper.see(0.5, mark_price=None)
    assert await paper.see(1) is None


async def test_settled_rates_are_paid_when_they_were_settled_even_if_they_are_seen_later() -> None:
    paper = Paper()
    settled: dict[str, Any] = {"kind": "settled"}
    assert await paper.see(0.5, observed_at=AS_OF, **settled) == 0
    assert await paper.see(1.2, observed_at=AS_OF, **settled) == 0  # the payment of 13:00 is not known yet
    assert await paper.see(1.4, "0.003", observed_at=AS_OF + HOUR, **settled) == Decimal("-0.6")
    assert await paper.see(1.9, "0.003", observed_at=AS_OF + HOUR, **settled) == Decimal("-0.6")
    assert await paper.see(2.1, "0.001", observed_at=AS_OF + 2 * HOUR, **settled) == Decimal("-0.8")


async def test_a_settled_rate_that_was_missed_makes_the_sum_unknown() -> None:
    paper = Paper()
    await paper.see(0.5, observed_at=AS_OF, kind="settled")
    assert await paper.see(2.1, observed_at=AS_OF + 2 * HOUR, kind="settled") is None


async def test_continuous_funding_is_paid_by_the_second() -> None:
    paper = Paper()
    continuous: dict[str, Any] = {"pays_every": timedelta(0), "every": 8}
    assert await paper.see(0, "0.008", **continuous) == 0
    assert await paper.see(0.5, "0.016", **continuous) == Decimal("-0.1")
    assert await paper.see(1, "0", **continuous) == Decimal("-0.3")
    assert await paper.see(1.5, "0.008", **continuous) == Decimal("-0.3")
    assert await paper.see(10, "0.008", **continuous) is None  # longer than its rate is for


async def test_a_new_position_begins_with_nothing_even_where_the_last_one_is_unknown() -> None:
    paper = Paper()
    await paper.see(0.5)
    assert await paper.see(2.5) is None
    for effect in (Effect.CLOSE, Effect.OPEN):
        fields: dict[str, Any] = {"effect": effect, "quantity": 2}
        await paper.executor.send(
            Intent(
                position_id=UUID(int=7),
                version=1,
                leg=Side.LONG,
                venue="lighter",
                symbol="BTC",
                state=IntentState.SENT,
                planned_at=AS_OF,
                sent_at=AS_OF,
                **fields,
            )
        )
    assert await paper.see(2.6) == 0
    assert await paper.see(3) == Decimal("-0.2")


async def test_nothing_is_paid_on_nothing() -> None:
    flat = Paper(0)
    assert [await flat.see(0.5), await flat.see(5)] == [0, 0]


async def test_funding_survives_a_restart_and_is_not_paid_twice(tmp_path: Path) -> None:
    paper = Paper(path=tmp_path / "paper.json")
    await paper.see(0.5)
    assert await paper.see(1) == Decimal("-0.2")
    again = Paper(path=tmp_path / "paper.json")
    assert await again.see(1) == Decimal("-0.2")
    assert await again.see(2) == Decimal("-0.4")
    assert again.executor.account.by_market[BTC].quote == a_quote(
        rate=a_rate("0.001", hours=1), observed_at=AS_OF + 2 * HOUR, mark_price=100, origin="static"
    )


async def test_a_clock_that_goes_back_pays_nothing_again() -> None:
    paper = Paper()
    await paper.see(0.5)
    await paper.see(1)
    assert await paper.see(0.2) == Decimal("-0.2")
    assert await paper.see(1) == Decimal("-0.2")
