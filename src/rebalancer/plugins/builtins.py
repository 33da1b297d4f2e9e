"""What the library itself registers, through the hooks that every plugin has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import presets
from ..rules.better_opportunity import BetterOpportunity
from ..rules.confirmed import Confirmed
from ..rules.divergence_flip import DivergenceFlip
from ..rules.funding_schedule import FundingSchedule
from ..rules.held_for import HeldFor
from ..rules.open_interest_imbalance import OpenInterestImbalance
from ..rules.profit_erosion import ProfitErosion
from ..rules.settlement_due import SettlementDue
from ..rules.time_limit import TimeLimit
from . import own_sources
from .hookspecs import hookimpl

if TYPE_CHECKING:
    from ..ports import FundingSource
    from ..rules.base import Rule
    from ..rules.guard import Guard
    from .hookspecs import Register


@hookimpl
def rebalancer_register_rules(register: Register[Rule | Guard]) -> None:
    """The rules and guards, each by its class's name as lower_case words."""
    register("profit_erosion", ProfitErosion)
    register("divergence_flip", DivergenceFlip)
    register("better_opportunity", BetterOpportunity)
    register("time_limit", TimeLimit)
    register("funding_schedule", FundingSchedule)
    register("open_interest_imbalance", OpenInterestImbalance)
    register("confirmed", Confirmed)
    register("held_for", HeldFor)
    register("settlement_due", SettlementDue)


@hookimpl
def rebalancer_register_sources(register: Register[FundingSource]) -> None:
    """The sources that a command line can name; those that take Python objects have no name."""
    register("service", own_sources.service)
    register("ccxt", own_sources.ccxt)
    register("history", own_sources.history)


@hookimpl
def rebalancer_register_presets(register: Register[Rule]) -> None:
    """The named strategies."""
    register("combined", presets.combined)
    register("conservative", presets.conservative)
    register("aggressive", presets.aggressive)
