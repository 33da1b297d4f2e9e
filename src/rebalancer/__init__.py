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
    from .costs import Costs as Costs
    from .domain.decision import RebalanceDecision as RebalanceDecision
    from .domain.funding import FundingRate as FundingRate
    from .domain.funding import RateKind as RateKind
    from .domain.market import Freshness as Freshness
    from .domain.market import Quote as Quote
    from .domain.missing import Missing as Missing
    from .domain.needs import Needs as Needs
    from .domain.numbers import Bps as Bps
    from .domain.numbers import Fraction as Fraction
    from .domain.numbers import Ratio as Ratio
    from .domain.opportunity import Opportunity as Opportunity
    from .domain.plausible import Plausibility as Plausibility
    from .domain.position import Position as Position
    from .domain.position import PositionStatus as PositionStatus
    from .domain.request import MarketRequest as MarketRequest
    from .domain.sanity import Suspicion as Suspicion
    from .domain.sanity import SuspicionKind as SuspicionKind
    from .domain.sanity import screened as screened
    from .domain.sanity import suspicions as suspicions
    from .domain.snapshot import MarketSnapshot as MarketSnapshot
    from .domain.targets import TargetFilter as TargetFilter
    from .domain.venues import VENUES as VENUES
    from .domain.venues import VenueFacts as VenueFacts
    from .domain.venues import VenueTable as VenueTable
    from .domain.verdict import Action as Action
    from .domain.verdict import Fact as Fact
    from .domain.verdict import HeldBack as HeldBack
    from .domain.verdict import Outcome as Outcome
    from .domain.verdict import Urgency as Urgency
    from .domain.verdict import Verdict as Verdict
    from .entry.policy import EntryPolicy as EntryPolicy
    from .errors import BadAnswerError as BadAnswerError
    from .errors import HistoryError as HistoryError
    from .errors import InputError as InputError
    from .errors import MissingExtraError as MissingExtraError
    from .errors import PluginError as PluginError
    from .errors import RebalancerError as RebalancerError
    from .errors import SourceError as SourceError
    from .errors import SourceRefusedError as SourceRefusedError
    from .errors import SourceUnavailableError as SourceUnavailableError
    from .errors import UndeclaredNeedError as UndeclaredNeedError
    from .errors import UnknownMarketError as UnknownMarketError
    from .errors import UnknownValueError as UnknownValueError
    from .errors import UnsuppliedNeedError as UnsuppliedNeedError
    from .history.table import FundingHistory as FundingHistory
    from .ports import Clock as Clock
    from .ports import FundingSource as FundingSource
    from .presets import RebalanceConfig as RebalanceConfig
    from .rules.base import BaseRule as BaseRule
    from .rules.base import Rule as Rule
    from .rules.base import param as param
    from .rules.better_opportunity import BetterOpportunity as BetterOpportunity
    from .rules.combined import CombinedStrategy as CombinedStrategy
    from .rules.confirmed import Confirmed as Confirmed
    from .rules.context import RuleContext as RuleContext
    from .rules.divergence_flip import DivergenceFlip as DivergenceFlip
    from .rules.function import guard as guard
    from .rules.function import rule as rule
    from .rules.funding_schedule import FundingSchedule as FundingSchedule
    from .rules.guard import Guard as Guard
    from .rules.held_for import HeldFor as HeldFor
    from .rules.open_interest_imbalance import OpenInterestImbalance as OpenInterestImbalance
    from .rules.profit_erosion import ProfitErosion as ProfitErosion
    from .rules.settlement_due import SettlementDue as SettlementDue
    from .rules.time_limit import TimeLimit as TimeLimit

_HOMES = {
    "costs": ("Costs",),
    "domain.decision": ("RebalanceDecision",),
    "domain.funding": ("FundingRate", "RateKind"),
    "domain.market": ("Freshness", "Quote"),
    "domain.missing": ("Missing",),
    "domain.needs": ("Needs",),
    "domain.numbers": ("Bps", "Fraction", "Ratio"),
    "domain.opportunity": ("Opportunity",),
    "domain.plausible": ("Plausibility",),
    "domain.position": ("Position", "PositionStatus"),
    "domain.request": ("MarketRequest",),
    "domain.sanity": ("Suspicion", "SuspicionKind", "screened", "suspicions"),
    "domain.snapshot": ("MarketSnapshot",),
    "domain.targets": ("TargetFilter",),
    "domain.venues": ("VENUES", "VenueFacts", "VenueTable"),
    "domain.verdict": ("Action", "Fact", "HeldBack", "Outcome", "Urgency", "Verdict"),
    "entry.policy": ("EntryPolicy",),
    "errors": (
        "BadAnswerError",
        "HistoryError",
        "InputError",
        "MissingExtraError",
        "PluginError",
        "RebalancerError",
        "SourceError",
        "SourceRefusedError",
        "SourceUnavailableError",
        "UndeclaredNeedError",
        "UnknownMarketError",
        "UnknownValueError",
        "UnsuppliedNeedError",
    ),
    "history.table": ("FundingHistory",),
    "ports": ("Clock", "FundingSource"),
    "presets": ("RebalanceConfig",),
    "rules.base": ("BaseRule", "Rule", "param"),
    "rules.better_opportunity": ("BetterOpportunity",),
    "rules.combined": ("CombinedStrategy",),
    "rules.confirmed": ("Confirmed",),
    "rules.context": ("RuleContext",),
    "rules.divergence_flip": ("DivergenceFlip",),
    "rules.function": ("guard", "rule"),
    "rules.funding_schedule": ("FundingSchedule",),
    "rules.guard": ("Guard",),
    "rules.held_for": ("HeldFor",),
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
