"""What a venue can do, and what is known of an order."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from rebalancer import InputError
from rebalancer.domain.orders import Capabilities, Report, ReportState


def test_nothing_is_a_capability_until_it_is_proved() -> None:
    nothing = Capabilities()
    flags = (nothing.reduce_only, nothing.dedupes_ids, nothing.finds_ids, nothing.sends_once, nothing.reads_legs)
    assert not any(flags)
    assert not nothing.may_close
    assert not nothing.may_open
    assert nothing.settle == timedelta(seconds=30)


@pytest.mark.parametrize(
    ("capabilities", "may_close", "may_open"),
    [
        ({"reduce_only": True}, True, False),
        ({"dedupes_ids": True}, True, True),
        ({"sends_once": True}, False, False),
        ({"reads_legs": True, "finds_ids": True}, False, False),
        ({"sends_once": True, "reads_legs": True}, False, True),
    ],
)
def test_a_venue_needs_enough_defences_to_be_traded_on_without_a_person(
    capabilities: dict[str, bool], may_close: object, may_open: object
) -> None:
    known = Capabilities(**capabilities)  # type: ignore[arg-type]  # only flags are among them
    assert (known.may_close, known.may_open) == (may_close, may_open)


def test_times_of_orders_are_finer_than_a_second() -> None:
    known = Capabilities(read_lag=timedelta(milliseconds=30), settle=timedelta(milliseconds=80))
    assert Capabilities.model_validate_json(known.model_dump_json()) == known


@pytest.mark.parametrize(
    "wrong",
    [
        {"read_lag": timedelta(seconds=2), "settle": timedelta(seconds=1)},
        {"read_lag": timedelta(microseconds=-1)},
        {"settle": timedelta(microseconds=-1)},
    ],
)
def test_a_settle_time_includes_the_lag_of_reads_and_no_time_is_negative(wrong: dict[str, timedelta]) -> None:
    with pytest.raises(InputError):
        Capabilities(**wrong)  # type: ignore[arg-type]  # only times are among them


def test_an_order_has_ended_when_nothing_can_happen_to_it_any_more() -> None:
    ended = [state for state in ReportState if state.terminal]
    assert ended == [ReportState.FILLED, ReportState.PARTIAL, ReportState.REJECTED]


@pytest.mark.parametrize("state", ["filled", "partial"])
def test_what_is_filled_says_how_much(state: str) -> None:
    assert Report(state=ReportState(state), filled="0.5", price=100, fee_usd="-0.01").filled == Decimal("0.5")
    with pytest.raises(InputError, match="a filled order says how much"):
        Report(state=ReportState(state))
    with pytest.raises(InputError, match="filled"):
        Report(state=ReportState(state), filled=0)


@pytest.mark.parametrize("state", ["rejected", "absent", "unknown"])
def test_what_was_not_filled_has_no_quantity(state: str) -> None:
    with pytest.raises(InputError, match="filled nothing that is known"):
        Report(state=ReportState(state), filled=1, why="?")


def test_a_live_order_may_be_filled_in_part() -> None:
    assert Report(state=ReportState.LIVE).filled is None
    assert Report(state=ReportState.LIVE, filled=1, price=2).price == 2


@pytest.mark.parametrize("more", [{"price": 1}, {"fee_usd": 0}])
def test_what_is_not_filled_has_no_price_and_no_fee(more: dict[str, int]) -> None:
    with pytest.raises(InputError, match="has no price and no fee"):
        Report(state=ReportState.LIVE, **more)  # type: ignore[arg-type]  # only numbers are among them


def test_an_unknown_order_says_why_it_is_unknown() -> None:
    with pytest.raises(InputError, match="say why it is unknown"):
        Report(state=ReportState.UNKNOWN)


def test_a_reason_from_outside_can_not_break_a_report_or_forge_a_line() -> None:
    assert Report.unknown("no answer") == Report(state=ReportState.UNKNOWN, why="no answer")
    assert Report.rejected("line\nline").why == r"'line\nline'"
    assert Report.unknown("").why == "nothing"
    assert len(Report.rejected("x" * 10_000).why or "") == 500
    assert Report.unknown(ValueError("off")).why == "off"


def test_an_absent_order_has_not_ended() -> None:
    assert Report.absent() == Report(state=ReportState.ABSENT)
    assert not Report.absent().state.terminal


def test_a_report_is_written_and_read_back() -> None:
    report = Report(state=ReportState.PARTIAL, filled="0.10", price="99.5", fee_usd="-0.001", order_id="7")
    assert Report.model_validate_json(report.model_dump_json()) == report
