"""The hooks of a plugin. They only register: each gives names to factories, and what a factory makes is made later.

A plugin is a module (or a class, or an object) that has some of these functions, marked with `@hookimpl`.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Final, Protocol, TypeVar

import pluggy

from ..ports import Executor, FundingSource, Observer, PositionStore
from ..rules.base import Rule
from ..rules.guard import Guard

API_VERSION: Final = 1
"""The version of these hooks. A plugin may state the one that it was written for, as `REBALANCER_API = 1`."""

hookspec = pluggy.HookspecMarker("rebalancer")
hookimpl = pluggy.HookimplMarker("rebalancer")
"""Marks a function of a plugin as a hook: `@hookimpl`."""


class Kind(StrEnum):
    """What a plugin may register. Each kind has a hook and a catalogue."""

    RULES = "rules"
    SOURCES = "sources"
    EXECUTORS = "executors"
    STORES = "stores"
    OBSERVERS = "observers"
    PRESETS = "presets"

    @property
    def hook(self) -> str:
        """The function of a plugin that registers them."""
        return f"rebalancer_register_{self}"

    @property
    def one(self) -> str:
        """What one of them is called."""
        return self.removesuffix("s")


Made_contra = TypeVar("Made_contra", contravariant=True)


class Register(Protocol[Made_contra]):
    """What a hook is given: call it once for each name. Its type says what the factories make.

    A name is a lower-case word of a-z 0-9 _ -. Options reach the factory as keywords.
    """

    def __call__(self, name: str, factory: Callable[..., Made_contra], /) -> None: ...


@hookspec
def rebalancer_register_rules(register: Register[Rule | Guard]) -> None:
    """Factories of rules and guards; the class of one is a factory."""


@hookspec
def rebalancer_register_sources(register: Register[FundingSource]) -> None:
    """Factories of funding sources."""


@hookspec
def rebalancer_register_executors(register: Register[Executor]) -> None:
    """Factories of executors, which send orders."""


@hookspec
def rebalancer_register_stores(register: Register[PositionStore]) -> None:
    """Factories of stores, which keep positions."""


@hookspec
def rebalancer_register_observers(register: Register[Observer]) -> None:
    """Factories of observers, which are told of every tick."""


@hookspec
def rebalancer_register_presets(register: Register[Rule]) -> None:
    """Factories of whole strategies. They should take `costs=None`: what trading a leg costs, as `Costs`."""
