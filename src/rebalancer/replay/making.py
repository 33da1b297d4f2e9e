"""Settings from parameters: what a sweep replays for each row of its design."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from .. import presets
from ..costs import Costs
from ..domain.numbers import RATIO_ONE, RATIO_PLACES, read_number, to_grid
from ..domain.times import MAX_DURATION, seconds
from ..entry.policy import EntryPolicy
from ..errors import InputError, suggestion
from ..presets import CONFIGS, RebalanceConfig
from ..rules.combined import CombinedStrategy
from ..rules.net_carry import NetCarry
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
    of `RebalanceConfig` for the presets `conservative` and `aggressive`. `adaptive` has those of `NetCarry`:
    `half_life_hours`, `horizon_hours`, `clip_bps`, `warm_up_hours`, `max_unknown_hours`; and is entered by its own
    question, unless `above` is given. `create(costs=..., **others)` makes a preset of another origin; parameters
    that are not named here are its own options.
    """
    if create is None:
        if name not in OWN:
            raise InputError(f"there is no preset {name}{suggestion(name, OWN)}; there are {', '.join(OWN)}")
        if name == "adaptive":
            return _adaptive
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


def _adaptive(**parameters: Any) -> Setting:
    """The setting of a `NetCarry`; its times are given in hours."""
    costs, entry, others = _shared(parameters)
    changed = dict(_timed(key, value) for key, value in others.items())
    return Setting(CombinedStrategy(NetCarry.model_validate({"costs": costs, **changed})), entry=entry, costs=costs)


def _timed(key: str, value: Any) -> tuple[str, Any]:
    """A parameter of `NetCarry`; a time that was given in hours as a time."""
    if not key.endswith("_hours"):
        return key, value
    whole, rest = divmod(to_grid(read_number(value), RATIO_PLACES) * 3600, RATIO_ONE)
    if rest or abs(whole) > seconds(MAX_DURATION):
        raise InputError(f"{key} must be a whole number of seconds, and at most 100 years")
    return key.removesuffix("_hours"), timedelta(seconds=whole)


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
