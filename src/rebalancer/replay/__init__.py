"""History in, report out: what a strategy would have decided and earned."""

from .engine import replay as replay
from .log import Trade as Trade
from .log import TradeAction as TradeAction
from .report import ReasonReport as ReasonReport
from .report import ReplayReport as ReplayReport
from .report import SymbolReport as SymbolReport

__all__ = ["ReasonReport", "ReplayReport", "SymbolReport", "Trade", "TradeAction", "replay"]
