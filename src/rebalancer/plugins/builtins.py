"""What the library itself registers, through the hooks that every plugin has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import presets
from ..rules.better_opportunity import BetterOpportunity
from ..rules.confirmed import Confirmed
from ..rules.cooldown import Cooldown
from ..rules.divergence_flip import DivergenceFlip
from ..rules.funding_schedule import FundingSchedule
from ..rules.held_for import HeldFor
from ..rules.leg_imbalance import LegImbalance
from ..rules.liquidation_distance import LiquidationDistance
from ..rules.net_carry import NetCarry
from ..rules.open_interest_imbalance import OpenInterestImbalance
from ..rules.profit_erosion import ProfitErosion
from ..rules.settlement_due import SettlementDue
from ..rules.time_limit import TimeLimit
from . import factories
from .hookspecs import hookimpl

if TYPE_CHECKING:
    from ..ports import Executor, FundingSource, PositionStore
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
    register("net_carry", NetCarry)
    register("funding_schedule", FundingSchedule)
    register("open_interest_imbalance", OpenInterestImbalance)
    register("liquidation_distance", LiquidationDistance)
    register("leg_imbalance", LegImbalance)
    register("confirmed", Confirmed)
    register("held_for", HeldFor)
    register("cooldown", Cooldown)
    register("settlement_due", SettlementDue)


@hookimpl
def rebalancer_register_sources(register: Register[FundingSource]) -> None:
    """The sources that a command line can name; those that take Python objects have no name."""
    register("service", factories.service)
    register("ccxt", factories.ccxt)
    register("history", factories.history)


@hookimpl
def rebalancer_register_executors(register: Register[Executor]) -> None:
    """The executors that need no venue. `paper` takes its source as an object."""
    register("dry_run", factories.dry_run)
    register("paper", factories.paper)


@hookimpl
def rebalancer_register_stores(register: Register[PositionStore]) -> None:
    """The stores."""
    register("memory", factories.memory)
    register("sqlite", factories.sqlite)


@hookimpl
def rebalancer_register_presets(register: Register[Rule]) -> None:
    """The named strategies."""
    register("adaptive", presets.adaptive)
    register("combined", presets.combined)
    register("conservative", presets.conservative)
    register("aggressive", presets.aggressive)
