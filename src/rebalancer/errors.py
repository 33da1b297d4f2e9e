"""Every error that rebalancer raises on purpose.

RebalancerError
├── InputError (also a ValueError)       a value was refused at the edge; says which one and how to mend it
│   └── HistoryError                     a row of a history file was refused; carries `row`
├── UnknownValueError                    a rule read a value that nobody knows; carries `missing`
├── UndeclaredNeedError                  a rule read a value that its needs do not declare; carries `need`
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
