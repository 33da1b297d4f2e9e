"""History in, report out: what a strategy would have decided and earned."""

from .bootstrap import Interval as Interval
from .design import Design as Design
from .design import between as between
from .design import grid as grid
from .engine import replay as replay
from .evaluate import evaluate as evaluate
from .evaluation import AtCost as AtCost
from .evaluation import Evaluation as Evaluation
from .evaluation import EvaluationRow as EvaluationRow
from .hindsight import Hindsight as Hindsight
from .hindsight import Move as Move
from .hindsight import SymbolOptimum as SymbolOptimum
from .hindsight import hindsight as hindsight
from .log import Trade as Trade
from .log import TradeAction as TradeAction
from .report import ReasonReport as ReasonReport
from .report import ReplayReport as ReplayReport
from .report import SymbolReport as SymbolReport
from .scores import Scores as Scores
from .scores import Setting as Setting
from .scores import scores as scores
from .sweep import sweep as sweep
from .table import SweepResult as SweepResult
from .table import SweepRow as SweepRow
from .walk import Split as Split
from .walk import WalkForward as WalkForward
from .walk import walk_forward as walk_forward

__all__ = [
    "AtCost",
    "Design",
    "Evaluation",
    "EvaluationRow",
    "Hindsight",
    "Interval",
    "Move",
    "ReasonReport",
    "ReplayReport",
    "Scores",
    "Setting",
    "Split",
    "SweepResult",
    "SweepRow",
    "SymbolOptimum",
    "SymbolReport",
    "Trade",
    "TradeAction",
    "WalkForward",
    "between",
    "evaluate",
    "grid",
    "hindsight",
    "replay",
    "scores",
    "sweep",
    "walk_forward",
]
