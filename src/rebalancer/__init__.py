"""Hold, close or switch: the decision engine for funding-rate arbitrage.

Every public name is here and is imported when it is first used, so that `import rebalancer` costs next to nothing.
"""

from importlib import import_module
from importlib.metadata import version as _version
from typing import TYPE_CHECKING

from ._lazy import load

if TYPE_CHECKING:
    __version__: str
    from . import presets as presets
    from .adapters.executors.dry_run import DryRunExecutor as DryRunExecutor
    from .costs import Costs as Costs
    from .domain.batch import Batch as Batch
    from .domain.batch import Lease as Lease
    from .domain.batch import LedgerEntry as LedgerEntry
    from .domain.batch import LedgerKind as LedgerKind
    from .domain.batch import StoredDecision as StoredDecision
    from .domain.batch import StoredTick as StoredTick
    from .domain.batch import StoreMode as StoreMode
    from .domain.decision import RebalanceDecision as RebalanceDecision
    from .domain.funding import FundingRate as FundingRate
    from .domain.funding import RateKind as RateKind
    from .domain.intents import Effect as Effect
    from .domain.intents import Intent as Intent
    from .domain.intents import IntentState as IntentState
    from .domain.intents import OrderSide as OrderSide
    from .domain.intents import Side as Side
    from .domain.legs import Known as Known
    from .domain.legs import LegReading as LegReading
    from .domain.legs import LegState as LegState
    from .domain.legs import Unknown as Unknown
    from .domain.lifecycle import Switch as Switch
    from .domain.market import Freshness as Freshness
    from .domain.market import Quote as Quote
    from .domain.missing import Missing as Missing
    from .domain.needs import Needs as Needs
    from .domain.numbers import Bps as Bps
    from .domain.numbers import Fraction as Fraction
    from .domain.numbers import Ratio as Ratio
    from .domain.opportunity import Opportunity as Opportunity
    from .domain.orders import Capabilities as Capabilities
    from .domain.orders import Report as Report
    from .domain.orders import ReportState as ReportState
    from .domain.plausible import Plausibility as Plausibility
    from .domain.position import Position as Position
    from .domain.position import PositionStatus as PositionStatus
    from .domain.profit import Profit as Profit
    from .domain.profit import profit as profit
    from .domain.request import MarketRequest as MarketRequest
    from .domain.sanity import Suspicion as Suspicion
    from .domain.sanity import SuspicionKind as SuspicionKind
    from .domain.sanity import screened as screened
    from .domain.sanity import suspicions as suspicions
    from .domain.smoothed import Smoothed as Smoothed
    from .domain.smoothed import SmoothedRate as SmoothedRate
    from .domain.snapshot import MarketSnapshot as MarketSnapshot
    from .domain.targets import TargetFilter as TargetFilter
    from .domain.tick import Alarm as Alarm
    from .domain.tick import AlarmKind as AlarmKind
    from .domain.tick import AlarmLevel as AlarmLevel
    from .domain.tick import Failure as Failure
    from .domain.tick import Skipped as Skipped
    from .domain.tick import TickReport as TickReport
    from .domain.venues import VENUES as VENUES
    from .domain.venues import VenueFacts as VenueFacts
    from .domain.venues import VenueTable as VenueTable
    from .domain.verdict import Action as Action
    from .domain.verdict import Fact as Fact
    from .domain.verdict import HeldBack as HeldBack
    from .domain.verdict import Outcome as Outcome
    from .domain.verdict import Urgency as Urgency
    from .domain.verdict import Verdict as Verdict
    from .entry.policy import Entry as Entry
    from .entry.policy import EntryPolicy as EntryPolicy
    from .errors import BadAnswerError as BadAnswerError
    from .errors import Conflict as Conflict
    from .errors import Fenced as Fenced
    from .errors import HistoryError as HistoryError
    from .errors import InputError as InputError
    from .errors import MissingExtraError as MissingExtraError
    from .errors import PluginError as PluginError
    from .errors import RebalancerError as RebalancerError
    from .errors import SourceError as SourceError
    from .errors import SourceRefusedError as SourceRefusedError
    from .errors import SourceUnavailableError as SourceUnavailableError
    from .errors import Stopped as Stopped
    from .errors import StoreError as StoreError
    from .errors import UndeclaredNeedError as UndeclaredNeedError
    from .errors import UnknownMarketError as UnknownMarketError
    from .errors import UnknownValueError as UnknownValueError
    from .errors import UnsuppliedNeedError as UnsuppliedNeedError
    from .history.table import FundingHistory as FundingHistory
    from .monitor.limits import MonitorLimits as MonitorLimits
    from .monitor.position_monitor import PositionMonitor as PositionMonitor
    from .ports import Clock as Clock
    from .ports import Executor as Executor
    from .ports import FundingSource as FundingSource
    from .ports import Observer as Observer
    from .ports import PositionStore as PositionStore
    from .presets import RebalanceConfig as RebalanceConfig
    from .rules.base import BaseRule as BaseRule
    from .rules.base import Rule as Rule
    from .rules.base import param as param
    from .rules.better_opportunity import BetterOpportunity as BetterOpportunity
    from .rules.combined import CombinedStrategy as CombinedStrategy
    from .rules.confirmed import Confirmed as Confirmed
    from .rules.context import RuleContext as RuleContext
    from .rules.cooldown import Cooldown as Cooldown
    from .rules.divergence_flip import DivergenceFlip as DivergenceFlip
    from .rules.function import guard as guard
    from .rules.function import rule as rule
    from .rules.funding_schedule import FundingSchedule as FundingSchedule
    from .rules.guard import Guard as Guard
    from .rules.held_for import HeldFor as HeldFor
    from .rules.leg_imbalance import LegImbalance as LegImbalance
    from .rules.liquidation_distance import LiquidationDistance as LiquidationDistance
    from .rules.net_carry import NetCarry as NetCarry
    from .rules.open_interest_imbalance import OpenInterestImbalance as OpenInterestImbalance
    from .rules.profit_erosion import ProfitErosion as ProfitErosion
    from .rules.settlement_due import SettlementDue as SettlementDue
    from .rules.time_limit import TimeLimit as TimeLimit

_HOMES = {
    "adapters.executors.dry_run": ("DryRunExecutor",),
    "costs": ("Costs",),
    "domain.batch": ("Batch", "Lease", "LedgerEntry", "LedgerKind", "StoreMode", "StoredDecision", "StoredTick"),
    "domain.decision": ("RebalanceDecision",),
    "domain.funding": ("FundingRate", "RateKind"),
    "domain.intents": ("Effect", "Intent", "IntentState", "OrderSide", "Side"),
    "domain.legs": ("Known", "LegReading", "LegState", "Unknown"),
    "domain.lifecycle": ("Switch",),
    "domain.market": ("Freshness", "Quote"),
    "domain.missing": ("Missing",),
    "domain.needs": ("Needs",),
    "domain.numbers": ("Bps", "Fraction", "Ratio"),
    "domain.opportunity": ("Opportunity",),
    "domain.orders": ("Capabilities", "Report", "ReportState"),
    "domain.plausible": ("Plausibility",),
    "domain.position": ("Position", "PositionStatus"),
    "domain.profit": ("Profit", "profit"),
    "domain.request": ("MarketRequest",),
    "domain.sanity": ("Suspicion", "SuspicionKind", "screened", "suspicions"),
    "domain.smoothed": ("Smoothed", "SmoothedRate"),
    "domain.snapshot": ("MarketSnapshot",),
    "domain.targets": ("TargetFilter",),
    "domain.tick": ("Alarm", "AlarmKind", "AlarmLevel", "Failure", "Skipped", "TickReport"),
    "domain.venues": ("VENUES", "VenueFacts", "VenueTable"),
    "domain.verdict": ("Action", "Fact", "HeldBack", "Outcome", "Urgency", "Verdict"),
    "entry.policy": ("Entry", "EntryPolicy"),
    "errors": (
        "BadAnswerError",
        "Conflict",
        "Fenced",
        "HistoryError",
        "InputError",
        "MissingExtraError",
        "PluginError",
        "RebalancerError",
        "SourceError",
        "SourceRefusedError",
        "SourceUnavailableError",
        "StoreError",
        "Stopped",
        "UndeclaredNeedError",
        "UnknownMarketError",
        "UnknownValueError",
        "UnsuppliedNeedError",
    ),
    "history.table": ("FundingHistory",),
    "monitor.limits": ("MonitorLimits",),
    "monitor.position_monitor": ("PositionMonitor",),
    "ports": ("Clock", "Executor", "FundingSource", "Observer", "PositionStore"),
    "presets": ("RebalanceConfig",),
    "rules.base": ("BaseRule", "Rule", "param"),
    "rules.better_opportunity": ("BetterOpportunity",),
    "rules.combined": ("CombinedStrategy",),
    "rules.confirmed": ("Confirmed",),
    "rules.context": ("RuleContext",),
    "rules.cooldown": ("Cooldown",),
    "rules.divergence_flip": ("DivergenceFlip",),
    "rules.function": ("guard", "rule"),
    "rules.funding_schedule": ("FundingSchedule",),
    "rules.guard": ("Guard",),
    "rules.held_for": ("HeldFor",),
    "rules.leg_imbalance": ("LegImbalance",),
    "rules.liquidation_distance": ("LiquidationDistance",),
    "rules.net_carry": ("NetCarry",),
    "rules.open_interest_imbalance": ("OpenInterestImbalance",),
    "rules.profit_erosion": ("ProfitErosion",),
    "rules.settlement_due": ("SettlementDue",),
    "rules.time_limit": ("TimeLimit",),
}

__all__ = [  # noqa: PLE0604  # every entry of _HOMES is a tuple of names
    "__version__",
    "presets",
    *(name for names in _HOMES.values() for name in names),
]

if not TYPE_CHECKING:

    def __getattr__(name):
        if name == "__version__":
            value = _version("funding-rebalancer")
        elif name == "presets":
            value = import_module(".presets", __name__)
        else:
            value = load(__name__, _HOMES, name)
        globals()[name] = value
        return value

    def __dir__():
        return sorted(__all__)
