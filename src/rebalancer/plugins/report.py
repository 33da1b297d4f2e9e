"""What became of a plugin, in words that are safe to print."""

from __future__ import annotations

from enum import StrEnum
from inspect import iscoroutine
from itertools import groupby
from operator import itemgetter
from typing import Annotated, Final

from pydantic import BeforeValidator

from ..domain.model import Value
from ..domain.names import as_line
from .hookspecs import Kind

OWN: Final = "funding-rebalancer"
"""The distribution of the library itself."""
MEND: Final = "upgrade it, or tell its author"


class PluginStatus(StrEnum):
    """What became of a plugin."""

    FOUND = "found"
    """Installed; nothing of it was imported."""
    LOADED = "loaded"
    """Everything that it registers can be used."""
    FAILED = "failed"
    """It raised or exited, or its files can not be read."""
    TIMED_OUT = "timed_out"
    """It did not finish in time."""
    REFUSED = "refused"
    """It breaks a rule of plugins, or is not the version that was allowed."""
    NOT_FOUND = "not_found"
    """It is not installed, or has no plugin in it."""


def told(error: BaseException) -> str:
    """An exception as one line: its class, and its message if it has one."""
    try:
        name, message = type(error).__name__, " ".join(str(error).split())
        return as_line(f"{name}: {message}" if message else name, most=300)
    except KeyboardInterrupt:
        raise
    except BaseException:  # the text of a plugin's exception is made by the plugin's code too
        return "an exception that can not be shown"


def dropped(made: object) -> str:
    """The class's name of what is not used. A coroutine is closed, or it would complain that nobody awaited it."""
    if iscoroutine(made):
        made.close()
    return type(made).__name__


Shown = Annotated[str, BeforeValidator(as_line)]
"""A text of somebody else: one line, without characters that could forge another."""


class PluginReport(Value):
    """What became of one plugin. Printed, it is one line: what happened, and what to do.

    `entry_point` is its name within the distribution; `error` says what went wrong and `advice` what to do about it;
    `seconds` is how long its code ran; `registered` are the kinds and names that it added, none unless it is loaded.
    """

    distribution: Shown
    version: Shown | None = None
    entry_point: Shown | None = None
    status: PluginStatus
    error: Shown | None = None
    advice: Shown | None = None
    seconds: float | None = None
    registered: tuple[tuple[Kind, str], ...] = ()

    def __str__(self) -> str:
        who = " ".join(filter(None, (self.distribution, self.version, self.entry_point and f"[{self.entry_point}]")))
        names = [f"{kind} {', '.join(name for _, name in of)}" for kind, of in groupby(self.registered, itemgetter(0))]
        what = "; ".join(filter(None, (*names, self.error, self.advice)))
        return f"{who}: {self.status.replace('_', ' ')}: {what}"


class Unusable(Exception):  # noqa: N818  # never leaves this package
    """Why a plugin is not used; becomes its report."""

    def __init__(self, status: PluginStatus, error: str, advice: str) -> None:
        super().__init__(error)
        self.status = status
        self.error = error
        self.advice = advice
