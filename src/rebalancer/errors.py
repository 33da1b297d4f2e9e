"""Every error that rebalancer raises on purpose.

RebalancerError
├── InputError (also a ValueError)       a value was refused at the edge; says which one and how to mend it
│   └── HistoryError                     a row of a history file was refused; carries `row`
├── UnknownValueError                    a rule read a value that nobody knows; carries `missing`
├── UndeclaredNeedError                  a rule read a value that its needs do not declare; carries `need`
├── UnsuppliedNeedError                  a rule needs what nobody supplies; carries `rule` and `needs`
├── SourceError                          a source of data gave no answer to use; carries `source`
│   ├── SourceUnavailableError           it could not be reached, was too slow, or said that it can not answer now
│   ├── SourceRefusedError               it refused the question; carries `status`
│   │   └── UnknownMarketError           it does not know this venue, symbol or pair
│   └── BadAnswerError                   what it answered is not what it promises
├── StoreError                           a store could not keep or find what it was asked to
│   ├── Conflict                         a change that is not in the state tables, or somebody else was faster
│   ├── Fenced                           the lease has passed to another holder: nothing of this was written
│   └── Stopped                          the switch forbids it
├── PluginError                          a plugin, or what it made, can not be used; carries `distribution`
└── MissingExtraError (also ImportError) an optional dependency is absent; names the extra to install
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import ValidationError


class RebalancerError(Exception):
    """The root of every error that rebalancer raises on purpose. Errors survive pickling with all they carry."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (type(self), self.args), self.__dict__


class InputError(RebalancerError, ValueError):
    """A value was refused at the edge. The message names the field and the mend, and never repeats the value."""

    @classmethod
    def from_validation(cls, error: ValidationError, *, known: Sequence[str] = ()) -> InputError:
        """Rewrite pydantic's `error` in one line per field; `known` are the names to suggest for an unknown key."""
        lines = []
        for detail in error.errors(include_url=False, include_input=False, include_context=False):
            if detail["type"] == "default_factory_not_called":
                continue  # a derived field: what it derives from was refused, and is on a line of its own
            where = ".".join(_one_line(str(part)) for part in detail["loc"])
            what = detail["msg"].removeprefix("Value error, ")
            if detail["type"] == "extra_forbidden":
                what = "is not known here" + suggestion(str(detail["loc"][-1]), known)
            lines.append(f"{where}: {what}" if where else what)
        return cls(f"{error.title}: " + "; ".join(lines))


class HistoryError(InputError):
    """A row of a funding history was refused.

    `row` is its number as a text editor counts lines (the header is line 1), or None if the file as a whole is off.
    """

    def __init__(self, message: str, *, row: int | None = None) -> None:
        super().__init__(f"row {row}: {message}" if row is not None else message)
        self.row = row


class UnknownValueError(RebalancerError):
    """A rule read a value that is unknown. The engine turns it into *not evaluated*.

    `missing` says what and why: `Missing` values.
    """

    def __init__(self, missing: Sequence[Any]) -> None:
        super().__init__("unknown: " + "; ".join(str(gap) for gap in missing))
        self.missing = tuple(missing)


class UndeclaredNeedError(RebalancerError):
    """A rule read a value without declaring the need for it, so that nobody would have fetched it; `need` names it."""

    def __init__(self, need: str) -> None:
        super().__init__(f"this value needs Needs({need}=...): declare it in the rule's `needs`")
        self.need = need


class UnsuppliedNeedError(RebalancerError):
    """A rule of the strategy needs what neither the source nor the executor supplies, so that it could never decide.

    `rule` is the rule's name, `needs` are the names of the needs that nobody supplies.
    """

    def __init__(self, rule: str, needs: Sequence[str]) -> None:
        super().__init__(
            f"{rule} needs {', '.join(needs)}, which nothing here supplies: choose a source that supplies it, "
            "or a strategy without this rule"
        )
        self.rule = rule
        self.needs = tuple(needs)


class SourceError(RebalancerError):
    """A source of data gave no answer that can be used. `source` names it. Nothing is known: neither yes nor no."""

    def __init__(self, source: str, message: str) -> None:
        super().__init__(f"{source}: {message}")
        self.source = source


class SourceUnavailableError(SourceError):
    """The source could not be reached, did not answer in time, or said that it can not answer now. Ask again later."""


class SourceRefusedError(SourceError):
    """The source refused the question: asking again changes nothing. `status` is its HTTP status, if it has one."""

    def __init__(self, source: str, message: str, *, status: int | None = None) -> None:
        super().__init__(source, message)
        self.status = status


class UnknownMarketError(SourceRefusedError):
    """The source does not know this venue, symbol or pair, or has not loaded it yet."""


class BadAnswerError(SourceError):
    """The source answered with something that it does not promise, so nothing of it is believed."""


class StoreError(RebalancerError):
    """A store could not keep or find what it was asked to. Nothing of a refused batch was written."""


class Conflict(StoreError):  # noqa: N818  # the word of the state tables
    """A change that the state tables do not have, or that somebody else was faster to make: read and decide again."""


class Fenced(StoreError):  # noqa: N818  # as above
    """The lease has passed to another holder. Stop: somebody else is in charge."""


class Stopped(StoreError):  # noqa: N818  # as above
    """The switch forbids to plan or send this."""


class PluginError(RebalancerError):
    """A plugin, or what it made, can not be used. `distribution` is the name of the package that it came in."""

    def __init__(self, distribution: str, message: str) -> None:
        super().__init__(f"{distribution}: {message}")
        self.distribution = distribution


class MissingExtraError(RebalancerError, ImportError):
    """An optional dependency is absent. The message is the command that installs it."""

    def __init__(self, what: str, *, extra: str) -> None:
        super().__init__(f'{what} needs an optional dependency: pip install "funding-rebalancer[{extra}]"')
        self.extra = extra


def _one_line(name: str) -> str:
    """A field's name, or what was given as one: short, and without characters that could forge a log line."""
    short = name[:100]
    return short if short.isprintable() else ascii(short)


def suggestion(name: str, known: Sequence[str]) -> str:
    """` (did you mean 'x'?)` for the nearest of the `known` names, else ``."""
    near = get_close_matches(name, known, n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


def _restored(kind: type[RebalancerError], args: tuple[Any, ...]) -> RebalancerError:
    return kind.__new__(kind, *args)
