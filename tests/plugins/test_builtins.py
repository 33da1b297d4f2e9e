"""What the library registers itself, by the same hooks as everybody."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import rebalancer
from rebalancer import BaseRule, Costs, DivergenceFlip, Guard, InputError, presets
from rebalancer.plugins import Kind, PluginManager, PluginStatus
from rebalancer.plugins.registry import Registry

REGISTRY = PluginManager().registry
OPTIONS: dict[str, dict[str, Any]] = {
    "confirmed": {"rule": DivergenceFlip()},
    "cooldown": {"after": "PT15M"},
    "held_for": {"at_least": "PT4H"},
    "settlement_due": {"within": "PT10M"},
}


def public_rules() -> set[object]:
    """Every rule and guard of the library that takes parameters."""
    values: list[object] = [getattr(rebalancer, name) for name in rebalancer.__all__]
    bases = (BaseRule, Guard)
    return {value for value in values if isinstance(value, type) and issubclass(value, bases) and value not in bases}


def test_the_library_is_the_first_plugin_and_is_loaded() -> None:
    (report,) = PluginManager().reports
    assert (report.distribution, report.version) == ("funding-rebalancer", rebalancer.__version__)
    assert report.status is PluginStatus.LOADED
    assert {kind for kind, _ in report.registered} == {*Kind} - {Kind.OBSERVERS}


def test_every_rule_and_guard_of_the_library_has_a_name() -> None:
    assert {one.factory for one in REGISTRY.rules.values()} == public_rules()


@pytest.mark.parametrize("name", REGISTRY.rules)
def test_the_name_of_a_rule_is_that_of_its_class(name: str) -> None:
    made = REGISTRY.rules.create(name, **OPTIONS.get(name, {}))
    assert type(made).__name__.lower() == name.replace("_", "")


@pytest.mark.parametrize("name", REGISTRY.presets)
def test_a_preset_is_the_one_of_its_name_and_takes_costs(name: str) -> None:
    costs = Costs.flat(leg_bps=2)
    assert REGISTRY.presets.create(name) == getattr(presets, name)()
    assert REGISTRY.presets.create(name, costs=costs) == getattr(presets, name)(costs=costs)


def test_the_presets_are_those_that_the_docs_name() -> None:
    assert {"combined", "conservative", "aggressive"} <= set(REGISTRY.presets)


HISTORY = "time_utc,venue,symbol,funding_rate,interval_hours\n" + "".join(
    f"2026-01-05T{hour:02}:00:00Z,{venue},BTC,0.0001,8\n" for hour in (0, 8) for venue in ("lighter", "grvt")
)


def test_a_history_is_a_source(tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    path.write_text(HISTORY)
    written: list[dict[str, Any]] = [{}, {"start": "2026-01-05T08:00:00Z", "speed": "60"}]
    for options in (*written, {"start": datetime(2026, 1, 5, tzinfo=UTC), "speed": 60}):
        assert REGISTRY.sources.create("history", path=str(path), **options).name == "history"


@pytest.mark.parametrize("venues", ["binance, okx", ["binance", "okx"]])
async def test_exchanges_of_ccxt_are_a_source(venues: Any) -> None:
    async with REGISTRY.sources.create("ccxt", venues=venues, deadline="PT5S") as source:
        assert source.name == "ccxt"
    with pytest.raises(InputError, match="a venue is given twice"):
        REGISTRY.sources.create("ccxt", venues="okx,okx")


async def test_the_funding_rate_service_is_a_source() -> None:
    written = {"url": "https://rates.example/api/v1", "venues": "lighter,grvt", "deadline": "PT5S", "row_zone": "UTC"}
    for options in ({}, written):
        async with REGISTRY.sources.create("service", **options) as source:
            assert source.name == "funding rate service"


@pytest.mark.parametrize(
    ("source", "option", "nearest"),
    [("service", "ulr", "url"), ("ccxt", "venue", "venues"), ("history", "strat", "start")],
)
def test_an_unknown_option_of_a_source_is_refused_with_the_nearest_one(source: str, option: str, nearest: str) -> None:
    with pytest.raises(InputError, match=rf"{option}: is not known here \(did you mean '{nearest}'\?\)"):
        REGISTRY.sources.create(source, **{option: "x"})


async def test_the_zone_of_the_service_is_a_name_or_a_zone() -> None:
    for zone in (UTC, "Asia/Shanghai"):
        await REGISTRY.sources.create("service", row_zone=zone).aclose()
    with pytest.raises(InputError, match="row_zone: not a time zone: write one such as UTC or Asia/Shanghai"):
        REGISTRY.sources.create("service", row_zone="Nowhere/Land")


@pytest.mark.parametrize("allowed", [False, "false", "no"])
async def test_plain_http_to_another_machine_must_be_allowed(allowed: Any) -> None:
    url = "http://rates.example/api/v1"
    with pytest.raises(InputError, match="http"):
        REGISTRY.sources.create("service", url=url, allow_http=allowed)
    for yes in (True, "true"):
        await REGISTRY.sources.create("service", url=url, allow_http=yes).aclose()


def test_a_registry_without_plugins_is_empty() -> None:
    assert [len(getattr(Registry(), kind)) for kind in Kind] == [0] * 6
