"""The stated functions of built-in rules and guards: the same answers on Python ints and on int64 columns."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Iterable
from importlib import import_module
from inspect import signature
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import pytest

import rebalancer.rules
from rebalancer import (
    BaseRule,
    BetterOpportunity,
    Cooldown,
    DivergenceFlip,
    FundingSchedule,
    HeldFor,
    LegImbalance,
    LiquidationDistance,
    OpenInterestImbalance,
    ProfitErosion,
    SettlementDue,
    TimeLimit,
)
from rebalancer.domain.held import FARTHEST
from rebalancer.domain.numbers import EIGHT_HOURS, ONE, RATIO_ONE
from rebalancer.domain.quoted_legs import NEVER
from rebalancer.rules.grid import GridRule
from rebalancer.rules.guard import GridGuard
from rebalancer.rules.net_carry import CarryExit, CarrySwitch, CarryUnknown
from rebalancer.rules.target import TargetRule

Row = tuple[int, ...]

MAX_DIVERGENCE = 2 * ONE
MAX_KEEP = 4 * RATIO_ONE
MAX_RATIO = 90 * RATIO_ONE
MAX_INTEREST = 10**11
MAX_HORIZON = 21 * 86_400
MAX_LEG_COST = ONE
MAX_PAYMENT = 2 * ONE * MAX_HORIZON
HUNDRED_YEARS = 36_500 * 86_400


def beside(*steps: int) -> tuple[int, ...]:
    """Each of the steps and its two neighbours."""
    return tuple(sorted({step + by for step in steps for by in (-1, 0, 1)}))


def within(bound: int, values: Iterable[int]) -> tuple[int, ...]:
    """The values that are allowed: from -bound to bound, and these two themselves."""
    return tuple(sorted({value for value in values if -bound <= value <= bound} | {-bound, bound}))


def erosion() -> Iterable[Row]:
    for entry, keep in product((1, 2, 3, 7, 200_000_000, ONE, MAX_DIVERGENCE), (0, 1, 300_000, 333_333, MAX_KEEP)):
        for divergence in within(MAX_DIVERGENCE, beside(0, keep * entry // RATIO_ONE)):
            yield divergence, entry, keep


def interest() -> Iterable[Row]:
    ratios = (1, 330_000, RATIO_ONE, 3 * RATIO_ONE, MAX_RATIO)
    for short, high, low in product((0, 1, 7, 1_000_000, MAX_INTEREST), ratios, ratios):
        edges = beside(0, high * short // RATIO_ONE, low * short // RATIO_ONE)
        for long in within(MAX_INTEREST, edges):
            if long >= 0:
                yield long, short, high, low


def gains() -> Iterable[Row]:
    divergences = (-MAX_DIVERGENCE, -1, 0, 1, MAX_DIVERGENCE)
    costs = (-4 * MAX_LEG_COST, -1, 0, 1, 800_000_000, 4 * MAX_LEG_COST)
    return product(divergences, divergences, costs, (1, EIGHT_HOURS, MAX_HORIZON))


def improvements() -> Iterable[Row]:
    greatest = 2 * MAX_DIVERGENCE * MAX_HORIZON + 4 * MAX_LEG_COST * EIGHT_HOURS
    for improvement in (-ONE, -1, 0, 1, ONE):
        for gain in within(greatest, beside(improvement * EIGHT_HOURS)):
            yield gain, improvement


TIMES = (0, 1, 899, 900, 901, MAX_HORIZON, NEVER)
WINDOWS = (1, 900, HUNDRED_YEARS)
PAYMENTS = (-MAX_PAYMENT, -1, 0, 1, MAX_PAYMENT)
SHARES = (0, 1, 50_000, 100_000, RATIO_ONE - 1, RATIO_ONE)
DISTANCES = within(FARTHEST, beside(*SHARES))
AGES = (0, 1, 259_199, 259_200, 259_201, HUNDRED_YEARS)


def carries() -> Iterable[Row]:
    """divergence, leaving cost, horizon: at and beside where closing gains nothing."""
    for cost, horizon in product((-2 * MAX_LEG_COST, 0, 400_000_000, 2 * MAX_LEG_COST), (1, EIGHT_HOURS, MAX_HORIZON)):
        for divergence in within(MAX_DIVERGENCE, beside(0, -(cost * EIGHT_HOURS) // horizon)):
            yield divergence, cost, horizon


def moves() -> Iterable[Row]:
    """gain, divergence, leaving cost, horizon: at and beside 0 and what closing gains."""
    greatest = 2 * MAX_DIVERGENCE * MAX_HORIZON + 4 * MAX_LEG_COST * EIGHT_HOURS
    for divergence, cost, horizon in carries():
        for gain in within(greatest, beside(0, -divergence * horizon - cost * EIGHT_HOURS)):
            yield gain, divergence, cost, horizon


class Sample(NamedTuple):
    """A stated function, what is it of, and rows of arguments at and beside its boundaries."""

    owner: type[GridRule | GridGuard]
    name: str
    rows: tuple[Row, ...]

    @property
    def function(self) -> Callable[..., Any]:
        function: Callable[..., Any] = getattr(self.owner, self.name)
        return function

    def __str__(self) -> str:
        return f"{self.owner.__name__}.{self.name}"


def a_sample(owner: type[GridRule | GridGuard], name: str, rows: Iterable[Row]) -> Sample:
    return Sample(owner, name, tuple(rows))


SAMPLES = [
    a_sample(ProfitErosion, "applies", ((entry,) for entry in within(MAX_DIVERGENCE, beside(0)))),
    a_sample(ProfitErosion, "fires", erosion()),
    a_sample(DivergenceFlip, "fires", product(within(MAX_DIVERGENCE, beside(0, -ONE, ONE)), (-ONE, -1, 0, 1, ONE))),
    a_sample(BetterOpportunity, "gain", gains()),
    a_sample(BetterOpportunity, "fires", improvements()),
    a_sample(CarrySwitch, "gain", gains()),
    a_sample(CarrySwitch, "fires", moves()),
    a_sample(CarryExit, "fires", carries()),
    a_sample(CarryUnknown, "fires", product((0, 1), AGES, (1, 259_200, HUNDRED_YEARS))),
    a_sample(TimeLimit, "fires", product(AGES, (1, 259_200, HUNDRED_YEARS))),
    a_sample(FundingSchedule, "applies", product(TIMES, (0, 1), WINDOWS)),
    a_sample(FundingSchedule, "fires", product(TIMES, WINDOWS)),
    a_sample(FundingSchedule, "fires_when_paying", product(TIMES, PAYMENTS, WINDOWS)),
    a_sample(OpenInterestImbalance, "applies", product((0, 1, MAX_INTEREST), repeat=2)),
    a_sample(OpenInterestImbalance, "fires", interest()),
    a_sample(LiquidationDistance, "applies", product(DISTANCES, (0, 1), SHARES)),
    a_sample(LiquidationDistance, "fires", product(DISTANCES, SHARES)),
    a_sample(LegImbalance, "applies", product((0, 1), repeat=2)),
    a_sample(LegImbalance, "fires", product(SHARES, SHARES[:-1])),
    a_sample(Cooldown, "holds", product((-HUNDRED_YEARS, -1, *AGES, NEVER), (1, 259_200, HUNDRED_YEARS))),
    a_sample(HeldFor, "holds", product(AGES, (1, 259_200, HUNDRED_YEARS))),
    a_sample(SettlementDue, "applies", product(TIMES, (0, 1), WINDOWS)),
    a_sample(SettlementDue, "holds", product(TIMES, WINDOWS)),
    a_sample(SettlementDue, "holds_in_favour", product(TIMES, PAYMENTS, WINDOWS)),
]


def built_in() -> set[type[GridRule | GridGuard]]:
    """Every rule and guard of the library that states functions."""
    modules = [
        import_module(f"rebalancer.rules.{module.name}") for module in pkgutil.iter_modules(rebalancer.rules.__path__)
    ]
    bases = (GridRule, GridGuard, TargetRule)
    found = {value for module in modules for value in vars(module).values() if isinstance(value, type)}
    return {kind for kind in found if issubclass(kind, GridRule | GridGuard) and kind not in bases}


def columns(sample: Sample) -> dict[str, Any]:
    table = np.array(sample.rows, dtype=np.int64)
    return {name: table[:, place] for place, name in enumerate(signature(sample.function).parameters)}


@pytest.mark.parametrize("sample", SAMPLES, ids=str)
def test_columns_give_the_same_answers_as_python_ints(sample: Sample) -> None:
    result = sample.function(**columns(sample))
    assert result.dtype in (np.dtype(bool), np.dtype(np.int64))
    assert result.tolist() == [sample.function(*row) for row in sample.rows]


@pytest.mark.parametrize("sample", SAMPLES, ids=str)
def test_columns_beside_single_numbers_give_the_same_answers(sample: Sample) -> None:
    first, *others = signature(sample.function).parameters
    firsts = sorted({row[0] for row in sample.rows})
    for rest in sorted({row[1:] for row in sample.rows}):
        given = dict(zip(others, rest, strict=True))
        result = sample.function(**{first: np.array(firsts, dtype=np.int64)}, **given)
        assert result.tolist() == [sample.function(value, *rest) for value in firsts]


class Bounded(int):
    """An integer whose sums, differences and products must stay inside int64."""

    def __add__(self, other: int) -> Bounded:
        return _bounded(int(self) + int(other))

    def __sub__(self, other: int) -> Bounded:
        return _bounded(int(self) - int(other))

    def __mul__(self, other: int) -> Bounded:
        return _bounded(int(self) * int(other))

    __radd__ = __add__
    __rmul__ = __mul__

    def __rsub__(self, other: int) -> Bounded:
        return _bounded(int(other) - int(self))


def _bounded(value: int) -> Bounded:
    assert -(2**63) <= value < 2**63
    return Bounded(value)


@pytest.mark.parametrize("sample", SAMPLES, ids=str)
def test_no_step_of_the_arithmetic_leaves_int64_within_the_allowed_bounds(sample: Sample) -> None:
    for row in sample.rows:
        assert sample.function(*map(Bounded, row)) == sample.function(*row)


def test_the_arithmetic_is_watched() -> None:
    with pytest.raises(AssertionError):
        DivergenceFlip.fires(Bounded(2**62) * 2, 0)
    with pytest.raises(AssertionError):
        ProfitErosion.fires(Bounded(2**50), 1, 1)


@pytest.mark.parametrize("sample", [sample for sample in SAMPLES if sample.name != "gain"], ids=str)
def test_both_answers_occur_in_the_sample(sample: Sample) -> None:
    assert {sample.function(*row) for row in sample.rows} == {True, False}


def test_every_stated_function_of_every_built_in_rule_and_guard_is_in_the_sample() -> None:
    stated = {
        (kind, name)
        for kind in built_in()
        for name, value in vars(kind).items()
        if isinstance(value, staticmethod) and name.isascii()
    }
    assert {(sample.owner, sample.name) for sample in SAMPLES} == stated


def test_every_reason_code_occurs_in_the_sample() -> None:
    fired = {
        sample.owner.model_fields["reason"].default or sample.owner().reason
        for sample in SAMPLES
        if issubclass(sample.owner, BaseRule) and any(sample.function(*row) is True for row in sample.rows)
    }
    assert fired == {
        "BETTER_OPPORTUNITY",
        "CARRY_UNKNOWN",
        "DIVERGENCE_FLIPPED",
        "LEG_IMBALANCE",
        "LIQUIDATION_DISTANCE",
        "NEGATIVE_CARRY",
        "OI_IMBALANCE",
        "PRE_FUNDING_EXIT",
        "PROFIT_EROSION",
        "TIME_LIMIT",
    }
