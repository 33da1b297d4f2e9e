"""What a rule is: the protocol, and the class that rules with parameters extend."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, TypeGuard, runtime_checkable

from pydantic import ConfigDict, Field

from ..domain.model import Value
from ..domain.names import ReasonCode, reason_of
from ..domain.needs import Needs
from ..domain.numbers import Number, plain, read_number
from ..domain.times import seconds
from ..domain.verdict import Urgency, Verdict

if TYPE_CHECKING:
    from .algebra import Unless
    from .combined import CombinedStrategy
    from .context import RuleContext
    from .guard import Guard


@runtime_checkable
class Rule(Protocol):
    """Anything with a `name`, `needs` and `evaluate`: a pure function of what the context shows.

    An exception that `evaluate` raises is recorded as this rule's failure; the other rules still decide.
    """

    @property
    def name(self) -> str:
        """What the rule is called in explanations."""

    @property
    def needs(self) -> Needs:
        """What must be fetched for it."""

    def evaluate(self, ctx: RuleContext, /) -> Verdict:
        """The rule's answer about the context's position."""


if TYPE_CHECKING:
    _Rule = Rule
else:
    _Rule = object  # a protocol's metaclass does not mix with pydantic's


class Composable(_Rule):
    """The operators of rules: `|` asks the right one if the left does not fire, `&` lets the right qualify what the
    left proposes, `~` makes a guard that admits while the rule is quiet.
    """

    __slots__ = ()

    def __or__(self, other: Rule) -> CombinedStrategy:
        return _combined(self, other)

    def __ror__(self, other: Rule) -> CombinedStrategy:
        return _combined(other, self)

    def __and__(self, other: Rule | Guard) -> Composable:
        from .algebra import qualify  # qualified rules are composable themselves

        return qualify(self, other)

    def __invert__(self) -> Unless:
        from .algebra import Unless  # as above

        return Unless(rule=self)

    def __bool__(self) -> NoReturn:
        raise TypeError("a rule is neither true nor false: compose rules with & | ~ instead of and, or, not")


def _combined(first: Rule, second: Rule) -> CombinedStrategy:
    from .combined import CombinedStrategy  # strategies are composable themselves

    return CombinedStrategy(first, second) if is_rule(first) and is_rule(second) else NotImplemented


def is_rule(value: object) -> TypeGuard[Rule]:
    """Whether `value` is a rule; the class of one is not, although it has the same names."""
    if isinstance(value, Composable):  # it is one, and a protocol takes a hundred times as long to ask
        return True
    return isinstance(value, Rule) and not isinstance(value, type)


def param(
    default: Any, *, above: Number | None = None, at_least: Number | None = None, at_most: Number | None = None
) -> Any:
    """A rule's parameter with its default, and bounds of its own beside those of its type."""
    bounds = {"gt": above, "ge": at_least, "le": at_most}
    limits: dict[str, Any] = {name: read_number(bound) for name, bound in bounds.items() if bound is not None}
    return Field(default=default, validate_default=True, **limits)


class Configured(Value):
    """Frozen, validated parameters under the class's name."""

    model_config = ConfigDict(arbitrary_types_allowed=True, ignored_types=(Needs,))

    @property
    def name(self) -> str:
        """The class's name."""
        return type(self).__name__

    @property
    def needs(self) -> Needs:
        """What must be fetched: the two rates, unless the class says otherwise."""
        return Needs()

    def __repr__(self) -> str:
        given = {name: getattr(self, name) for name in type(self).model_fields if name in self.model_fields_set}
        shown = (f"{name}={_shown(value)}" for name, value in given.items())
        return f"{type(self).__name__}({', '.join(shown)})"

    __str__ = __repr__


def _shown(value: object) -> str:
    """A parameter as a person would write it."""
    if isinstance(value, timedelta):
        from ..domain.explain import span  # only what is shown needs the words

        return span(seconds(value))
    if isinstance(value, Decimal):
        return plain(value)
    return str(value) if isinstance(value, Enum) else repr(value)


class BaseRule(Configured, Composable):
    """A rule with frozen, validated parameters: extend it, declare fields with `param`, write `evaluate`.

    `needs` is what it reads; `reason` the code it gives (the class's name as UPPER_CASE unless given); `urgency` how
    soon its exits should happen.
    """

    reason: ReasonCode = ""
    urgency: Urgency = Urgency.NORMAL

    def model_post_init(self, _: Any, /) -> None:
        """Derive the reason code from the class's name unless it was given."""
        if not self.reason:
            self.__dict__["reason"] = reason_of(type(self).__name__)

    def evaluate(self, ctx: RuleContext, /) -> Verdict:
        """The rule's answer about the context's position."""
        raise NotImplementedError(f"{self.name} does not say how to evaluate")
