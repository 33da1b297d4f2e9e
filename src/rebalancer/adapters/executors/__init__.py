"""Executors that need no venue: one that trades nothing, and one that trades on paper."""

from .dry_run import DryRunExecutor as DryRunExecutor
from .paper import PaperExecutor as PaperExecutor
from .paper_account import PaperAccount as PaperAccount
from .paper_account import PaperLeg as PaperLeg
from .paper_account import PaperOrder as PaperOrder

__all__ = ["DryRunExecutor", "PaperAccount", "PaperExecutor", "PaperLeg", "PaperOrder"]
