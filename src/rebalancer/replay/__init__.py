"""History in, report out: what a strategy would have decided and earned."""

from .engine import replay as replay
from .hindsight import Hindsight as Hindsight
from .hindsight import Move as Move
from .hindsight import SymbolOptimum as SymbolOptimum
from .hindsight import hindsight as hindsight
from .log import Trade as Trade
from .log import TradeAction as TradeAction
from .report import ReasonReport as ReasonReport
from .report import ReplayReport as ReplayReport
from .report import SymbolReport as SymbolReport

__all__ = [
    "Hindsight",
    "Move",
    "ReasonReport",
    "ReplayReport",
    "SymbolOptimum",
    "SymbolReport",
    "Trade",
    "TradeAction",
    "hindsight",
    "replay",
]
