"""Ambient states of the process that no number, text or decision may depend on, and how properties are tested."""

from __future__ import annotations

import decimal
import time
from collections.abc import Iterator
from decimal import ROUND_CEILING, ROUND_UP, Context, localcontext

import pytest
from hypothesis import settings

settings.register_profile("rebalancer", deadline=None)  # a busy machine is no failure
settings.load_profile("rebalancer")

_EVERY_TRAP = [
    decimal.Clamped,
    decimal.DivisionByZero,
    decimal.FloatOperation,
    decimal.Inexact,
    decimal.InvalidOperation,
    decimal.Overflow,
    decimal.Rounded,
    decimal.Subnormal,
    decimal.Underflow,
]


@pytest.fixture(params=["few digits and every trap", "one digit and no trap"])
def hostile_context(request: pytest.FixtureRequest) -> Iterator[None]:
    """An ambient decimal context in which careless arithmetic raises, or is silently wrong."""
    contexts = {
        "few digits and every trap": Context(prec=6, rounding=ROUND_UP, Emin=-6, Emax=6, traps=_EVERY_TRAP),
        "one digit and no trap": Context(prec=1, rounding=ROUND_CEILING, Emin=-1, Emax=1, clamp=1, traps=[]),
    }
    with localcontext(contexts[request.param]):
        yield


@pytest.fixture(params=["EAST-13:45", "WEST+11:30"])
def far_zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A process whose local time is far from UTC."""
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()
