"""Running a plugin's own code: whatever it does, what comes back is what it registers, or why it is not used."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from threading import Thread
from typing import TYPE_CHECKING, Any, Final, TypeVar

import pluggy

from ..domain.names import as_line
from ..errors import suggestion
from ..rules.base import is_rule
from . import hookspecs
from .hookspecs import Kind
from .registry import Registered
from .report import MEND, PluginStatus, Unusable, dropped, told

if TYPE_CHECKING:
    from collections.abc import Iterator

HOOKS: Final = tuple(kind.hook for kind in Kind)
_NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,63}")
_MEND: Final = f"{MEND}; take it off the allow list until then"
_UPGRADE: Final = "upgrade funding-rebalancer, or allow an older version of the plugin"

R = TypeVar("R")


def registered_by(load: Callable[[], object], distribution: str) -> tuple[Registered, ...]:
    """What the plugin that `load` imports registers. Raises Unusable or KeyboardInterrupt, and nothing else."""
    with _blaming("its import"):
        plugin = load()
        if isinstance(plugin, type):
            plugin = plugin()
    with _blaming("looking at it"):
        _check_version(plugin)
        hooks = _hooks(plugin)
    batch = _Batch(distribution)
    for kind in Kind:
        with _blaming(kind.hook):
            answers = getattr(hooks, kind.hook)(register=partial(batch.add, kind))
            if answers:
                raise _refused(f"{kind.hook} returned a {dropped(answers[0])}: a hook registers, and returns nothing")
    return batch.complete()


def within(timeout: timedelta, call: Callable[[], R], *, name: str) -> R:
    """What `call` returns or raises, run in a thread; Unusable if it takes longer, and the thread is left behind.

    Nothing can end a thread from outside. It is a daemon, so that at least the process can end.
    """
    answer: Future[R] = Future()

    def run() -> None:
        try:
            answer.set_result(call())
        except BaseException as error:  # for the caller, who waits
            answer.set_exception(error)

    thread = Thread(target=run, name=f"rebalancer plugin {name}", daemon=True)
    thread.start()
    thread.join(timeout.total_seconds())
    if not answer.done():
        raise Unusable(
            PluginStatus.TIMED_OUT,
            f"its import and its hooks took longer than {timeout.total_seconds():g} s",
            "its thread runs on until the process ends: take it off the allow list and restart, or allow more time",
        )
    return answer.result()


def _refused(error: str, advice: str = _MEND) -> Unusable:
    return Unusable(PluginStatus.REFUSED, error, advice)


@contextmanager
def _blaming(what: str) -> Iterator[None]:
    """Say that `what` raised, if the plugin's code does."""
    try:
        yield
    except (Unusable, KeyboardInterrupt):
        raise
    except BaseException as error:  # a plugin may raise anything, even SystemExit; the others must still load
        raise Unusable(PluginStatus.FAILED, f"{what} raised {told(error)}", _MEND) from error


def _check_version(plugin: object) -> None:
    """A plugin states the version of the hooks that it was written for; one that is a class may do so in its module."""
    home = sys.modules.get(str(getattr(plugin, "__module__", "")))
    stated = getattr(plugin, "REBALANCER_API", getattr(home, "REBALANCER_API", hookspecs.API_VERSION))
    if type(stated) is not int or stated < 1:
        raise _refused("its REBALANCER_API is not a whole number from 1")
    if stated > hookspecs.API_VERSION:
        raise _refused(f"it needs plugin API {stated}; this rebalancer has {hookspecs.API_VERSION}", _UPGRADE)


def _hooks(plugin: object) -> pluggy.HookRelay:
    """The plugin's hooks, to call. It has a manager to itself, so that no plugin can reach into another."""
    manager = pluggy.PluginManager("rebalancer")
    manager.add_hookspecs(hookspecs)
    for name in dir(plugin):
        marked = manager.parse_hookimpl_opts(plugin, name)
        hook = (marked and marked.get("specname")) or name
        if marked is None and not (name.startswith("rebalancer_") and inspect.isroutine(getattr(plugin, name))):
            continue
        if hook not in HOOKS:
            raise _refused(f"{as_line(hook, most=100)} is no hook{suggestion(hook, HOOKS)}")
        if marked is None:
            raise _refused(f"{hook} lacks @hookimpl, so it would never be called")
    try:
        manager.register(plugin, name="it")
    except pluggy.PluginValidationError as error:
        raise _refused(f"its hooks do not fit: {told(error)}") from error
    return manager.hook


class _Batch:
    """What one plugin registers. Faults are kept, not raised: a plugin could catch them."""

    def __init__(self, distribution: str) -> None:
        self._distribution = distribution
        self._registered: list[Registered] = []
        self._faults: list[str] = []

    def add(self, kind: Kind, name: str, factory: Callable[..., Any], /) -> None:
        """Take a name, or note what is wrong with it."""
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            fault = f"it registers a {kind.one} whose name is not of a-z 0-9 _ -, from a letter on, at most 64 long"
        elif any((kind, name) == (one.kind, one.name) for one in self._registered):
            fault = f"it registers the {kind.one} {name!r} twice"
        elif is_rule(factory):
            fault = f"it registers the {kind.one} {name!r} itself: a factory was expected, which makes one"
        elif not callable(factory):
            fault = f"it registers the {kind.one} {name!r} with a {type(factory).__name__}, which makes nothing"
        else:
            self._registered.append(Registered(kind, str(name), factory, self._distribution))
            return
        self._faults.append(fault)

    def complete(self) -> tuple[Registered, ...]:
        """All of it, or Unusable if anything is wrong."""
        if self._faults:
            raise _refused(self._faults[0])
        if not self._registered:
            raise _refused("it registers nothing")
        return tuple(self._registered)
