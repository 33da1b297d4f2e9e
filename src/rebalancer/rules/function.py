"""Rules and guards written as a function: the decorators `@rule` and `@guard`."""

from __future__ import annotations

from collections.abc import Callable
from functools import update_wrapper
from importlib import import_module
from operator import attrgetter
from typing import Any, overload

from ..domain.names import reason_of
from ..domain.needs import Needs
from ..domain.verdict import Verdict
from ..errors import InputError
from .base import Composable
from .context import RuleContext
from .guard import Guard

_RATES = Needs()


class FunctionRule(Composable):
    """A rule that is one function of the context. Its name is the function's; its reason code is that in UPPER_CASE."""

    def __init__(self, function: Callable[[RuleContext], Verdict], needs: Needs) -> None:
        update_wrapper(self, function)
        self.function = function
        self.reason = reason_of(function.__name__)
        if not (self.reason.isascii() and self.reason.isidentifier() and len(self.reason) <= 64):
            raise InputError("a rule's function needs a name that makes a reason code: letters, digits and _")
        self._needs = needs

    @property
    def name(self) -> str:
        """The function's name."""
        return self.function.__name__

    @property
    def needs(self) -> Needs:
        """What the decorator declared."""
        return self._needs

    def evaluate(self, ctx: RuleContext) -> Verdict:
        """What the function says."""
        return self.function(ctx)

    def __call__(self, ctx: RuleContext) -> Verdict:
        """Call the function itself, as a unit test does."""
        return self.function(ctx)

    def __repr__(self) -> str:
        return self.name

    def __reduce__(self) -> tuple[Callable[[str, str], Any], tuple[str, str]]:
        return _global, (self.function.__module__, self.function.__qualname__)


class FunctionGuard(Guard):
    """A guard that is one function of the context."""

    function: Callable[[RuleContext], bool]
    declared: Needs

    @property
    def name(self) -> str:
        """The function's name."""
        return self.function.__name__

    @property
    def needs(self) -> Needs:
        """What the decorator declared."""
        return self.declared

    def admits(self, ctx: RuleContext) -> bool:
        """What the function says."""
        return self.function(ctx)

    def __repr__(self) -> str:
        return self.name

    def __reduce__(self) -> tuple[Callable[[str, str], Any], tuple[str, str]]:
        return _global, (self.function.__module__, self.function.__qualname__)


def _global(module: str, name: str) -> Any:
    """What a module calls `name`: decorated functions are pickled by name, as functions are."""
    return attrgetter(name)(import_module(module))


@overload
def rule(function: Callable[[RuleContext], Verdict], /) -> FunctionRule: ...
@overload
def rule(*, needs: Needs) -> Callable[[Callable[[RuleContext], Verdict]], FunctionRule]: ...
def rule(function: Callable[[RuleContext], Verdict] | None = None, /, *, needs: Needs = _RATES) -> Any:
    """Make a rule of a function `(RuleContext) -> Verdict`; its reason code is its NAME.

    `@rule` needs the two rates; `@rule(needs=Needs(...))` declares what it reads.
    """
    if function is None:
        return lambda function: FunctionRule(function, needs)
    return FunctionRule(function, needs)


@overload
def guard(function: Callable[[RuleContext], bool], /) -> FunctionGuard: ...
@overload
def guard(*, needs: Needs) -> Callable[[Callable[[RuleContext], bool]], FunctionGuard]: ...
def guard(function: Callable[[RuleContext], bool] | None = None, /, *, needs: Needs = _RATES) -> Any:
    """Make a guard of a function `(RuleContext) -> bool`: True lets a rule act, reading an unknown value is unknown.

    `@guard` needs the two rates; `@guard(needs=Needs(...))` declares what it reads.
    """
    if function is None:
        return lambda function: FunctionGuard(function=function, declared=needs)
    return FunctionGuard(function=function, declared=needs)
