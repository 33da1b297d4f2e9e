"""Settings from parameters: what a sweep replays for each row of its design."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import presets
from ..costs import Costs
from ..entry.policy import EntryPolicy
from ..errors import InputError, suggestion
from ..presets import CONFIGS, RebalanceConfig
from ..rules.combined import CombinedStrategy
from .scores import Setting

FLAGS = {"true": True, "false": False}
OWN = ("adaptive", "combined", *CONFIGS)
"""The presets of the library, in the order in which they are shown."""


Maker = Callable[..., Setting | CombinedStrategy]
"""What turns the parameters of a row into a setting. A strategy alone stands for one at 2 bp a leg."""


def preset(name: str, *, create: Callable[..., CombinedStrategy] | None = None) -> Callable[..., Setting]:
    """A maker of a preset with changed parameters.

    Parameters: `leg_bps` (what a leg costs in the replay, 2 bp by default, and what a switch is thought to cost unless
    `rebalance_cost_bps` is given), `above` (the divergence per 8 h above which a flat symbol is entered), and every key
    of `RebalanceConfig` for the presets `conservative` and `aggressive`. `create(costs=..., **others)` makes a preset
    of another origin; parameters that are not named here are its own options.
    """
    if create is None:
        if name not in OWN:
            raise InputError(f"there is no preset {name}{suggestion(name, OWN)}; there are {', '.join(OWN)}")
        return _configured(name) if name in CONFIGS else _made(getattr(presets, name), name)
    return _made(create)


def _made(create: Callable[..., CombinedStrategy], name: str | None = None) -> Callable[..., Setting]:
    """A maker by a function; one with a `name` takes no options beside the costs."""

    def make(**parameters: Any) -> Setting:
        costs, entry, others = _shared(parameters)
        if name is not None and others:
            raise InputError(f"the preset {name} has no {', '.join(others)}: only leg_bps and above change it")
        return Setting(create(costs=costs, **others), entry=entry, costs=costs)

    return make


def _configured(name: str) -> Callable[..., Setting]:
    """A maker of a preset that is a `RebalanceConfig`."""

    def make(**parameters: Any) -> Setting:
        costs, entry, others = _shared(parameters)
        changed = {key: FLAGS.get(value, value) if isinstance(value, str) else value for key, value in others.items()}
        config = RebalanceConfig.model_validate({**CONFIGS[name], **changed})
        believed = None if "rebalance_cost_bps" in others else costs
        return Setting(config.strategy(costs=believed), entry=entry, costs=costs)

    return make


def _shared(parameters: dict[str, Any]) -> tuple[Costs, EntryPolicy | None, dict[str, Any]]:
    """What every preset has, and the parameters that are left."""
    costs = Costs.flat(leg_bps=parameters.pop("leg_bps", 2))
    entry = EntryPolicy(above=parameters.pop("above")) if "above" in parameters else None
    return costs, entry, parameters
