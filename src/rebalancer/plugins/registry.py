"""What can be made by name: one catalogue for each kind of thing, filled by plugins and by the library itself."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, Generic, NamedTuple, TypeVar

from pydantic import BaseModel

from ..errors import InputError, PluginError, RebalancerError, suggestion
from ..ports import Executor, FundingSource, Observer, PositionStore
from ..rules.base import Rule, is_rule
from ..rules.combined import CombinedStrategy
from ..rules.guard import Guard
from .hookspecs import Kind
from .report import MEND, OWN, PluginStatus, Unusable, dropped, told

T = TypeVar("T")


class Registered(NamedTuple):
    """A name, the factory behind it, and the distribution that it came in."""

    kind: Kind
    name: str
    factory: Callable[..., Any]
    distribution: str


class Catalogue(Mapping[str, Registered], Generic[T]):
    """What is registered of one kind, by name. Read-only; `create` makes one."""

    def __init__(self, kind: Kind, read: Callable[[object], T | None], registered: Sequence[Registered]) -> None:
        self._kind = kind
        self._read = read
        self._by_name = {one.name: one for one in registered if one.kind is kind}

    def __getitem__(self, name: str) -> Registered:
        return self._by_name[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)

    def __len__(self) -> int:
        return len(self._by_name)

    def __repr__(self) -> str:
        return f"<{self._kind}: {', '.join(self)}>"

    def create(self, name: str, /, **options: Any) -> T:
        """What the factory of that name makes of the options.

        Raises InputError for a name or an option that does not exist or is missing, and PluginError, naming the
        distribution, if the factory raises or makes something else. Errors of this library pass as they are.
        """
        if name not in self._by_name:
            raise InputError(
                f"there is no {self._kind.one} of that name{suggestion(name, tuple(self))}; "
                f"there are {', '.join(self) or 'none'}"
            )
        _, _, factory, distribution = self._by_name[name]
        what = f"the {self._kind.one} {name!r}"
        mend = "" if distribution == OWN else f"; {MEND}"
        _check_options(what, factory, options)
        try:
            made = factory(**options)
            value = None if inspect.iscoroutine(made) else self._read(made)
            found = dropped(made) if value is None else ""
        except (RebalancerError, KeyboardInterrupt):
            raise
        except BaseException as error:  # a plugin may raise anything, even SystemExit; its host must not end with it
            raise PluginError(distribution, f"{what} was not made: its factory raised {told(error)}{mend}") from error
        if value is None:
            raise PluginError(distribution, f"{what} is none: its factory made a {found}{mend}")
        return value


def _check_options(what: str, factory: Callable[..., Any], options: Mapping[str, object]) -> None:
    try:
        if isinstance(factory, type) and issubclass(factory, BaseModel):
            factory.model_rebuild()  # only a model that is built has a signature
        parameters = inspect.signature(factory).parameters.values()
    except Exception:  # not everything that can be called says how
        return
    named = {p.name: p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    takes = f"; it takes {', '.join(named) or 'no options'}"
    if not any(p.kind is p.VAR_KEYWORD for p in parameters):
        for option in options:
            if option not in named:
                raise InputError(f"{what} has no such option{suggestion(option, tuple(named))}{takes}")
    missing = [name for name, p in named.items() if p.default is p.empty and name not in options]
    if missing:
        raise InputError(f"{what} needs the option {' and '.join(missing)}{takes}")


class Registry:
    """Every name there is. Immutable: `adding` makes another one, so nobody ever sees half of a plugin."""

    def __init__(self, registered: Sequence[Registered] = ()) -> None:
        self._registered: Final = tuple(registered)
        self.rules: Final[Catalogue[Rule | Guard]] = Catalogue(Kind.RULES, _rule_or_guard, registered)
        self.sources: Final[Catalogue[FundingSource]] = Catalogue(Kind.SOURCES, _source, registered)
        self.executors: Final[Catalogue[Executor]] = Catalogue(Kind.EXECUTORS, _executor, registered)
        self.stores: Final[Catalogue[PositionStore]] = Catalogue(Kind.STORES, _store, registered)
        self.observers: Final[Catalogue[Observer]] = Catalogue(Kind.OBSERVERS, _observer, registered)
        self.presets: Final[Catalogue[CombinedStrategy]] = Catalogue(Kind.PRESETS, _strategy, registered)

    def adding(self, registered: Sequence[Registered]) -> Registry:
        """This and more; Unusable if one of the names is taken."""
        owners = {(one.kind, one.name): one.distribution for one in self._registered}
        for one in registered:
            if owner := owners.get((one.kind, one.name)):
                raise Unusable(
                    PluginStatus.REFUSED,
                    f"it registers the {one.kind.one} {one.name!r}, which {owner} has registered",
                    f"who comes first keeps a name: do not allow {one.distribution}, or ask its author for another",
                )
        return Registry((*self._registered, *registered))


def _rule_or_guard(made: object) -> Rule | Guard | None:
    return made if isinstance(made, Guard) or is_rule(made) else None


def _source(made: object) -> FundingSource | None:
    return made if isinstance(made, FundingSource) else None


def _executor(made: object) -> Executor | None:
    return made if isinstance(made, Executor) else None


def _store(made: object) -> PositionStore | None:
    return made if isinstance(made, PositionStore) else None


def _observer(made: object) -> Observer | None:
    return made if isinstance(made, Observer) else None


def _strategy(made: object) -> CombinedStrategy | None:
    """A preset is a strategy; a single rule is made one."""
    if isinstance(made, CombinedStrategy):
        return made
    return CombinedStrategy(made) if is_rule(made) else None
