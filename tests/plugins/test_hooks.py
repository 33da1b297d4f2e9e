"""The hooks themselves: one for each kind, and nothing heavy before they are used."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import rebalancer.plugins
from rebalancer.plugins import API_VERSION, Kind, PluginManager, PluginStatus, hookimpl, hookspecs

REFERENCE = (Path(__file__).parents[2] / "docs" / "reference" / "plugins.md").read_text(encoding="utf-8")
HOOKS = [name for name in vars(hookspecs) if name.startswith("rebalancer_")]


def test_every_kind_has_a_hook_and_every_hook_a_kind() -> None:
    assert sorted(HOOKS) == sorted(kind.hook for kind in Kind)
    assert [kind.one for kind in Kind] == ["rule", "source", "executor", "store", "observer", "preset"]


@pytest.mark.parametrize("hook", HOOKS)
def test_a_hook_takes_register_alone_and_says_in_a_line_what_for(hook: str) -> None:
    function = getattr(hookspecs, hook)
    assert list(inspect.signature(function).parameters) == ["register"]
    assert len(str(function.__doc__).splitlines()) == 1


@pytest.mark.parametrize("hook", HOOKS)
def test_a_hook_is_in_the_table_of_hooks(hook: str) -> None:
    assert f"| `{hook}(register)` |" in REFERENCE


@pytest.mark.parametrize("status", PluginStatus)
def test_a_status_is_in_the_table_of_statuses(status: PluginStatus) -> None:
    assert f"| `{status}` |" in REFERENCE


@pytest.mark.parametrize("name", [name for kind in Kind for name in getattr(PluginManager().registry, kind)])
def test_a_name_of_the_library_is_in_the_reference(name: str) -> None:
    assert f"`{name}`" in REFERENCE


def test_this_is_the_first_version_of_the_hooks() -> None:
    assert API_VERSION == 1


def test_every_public_name_is_there() -> None:
    assert rebalancer.plugins.__all__ == sorted(rebalancer.plugins.__all__)
    assert all(getattr(rebalancer.plugins, name) is not None for name in rebalancer.plugins.__all__)


def test_the_mark_is_the_projects() -> None:
    @hookimpl
    def function() -> None:
        """Nothing."""

    assert function.rebalancer_impl  # type: ignore[attr-defined]  # what pluggy looks for


@pytest.mark.parametrize(
    ("code", "absent"),
    [
        ("import rebalancer; rebalancer.presets.combined()", ["pluggy", "rebalancer.plugins"]),
        ("from rebalancer.plugins import PluginManager; PluginManager()", ["asyncio", "httpx", "ccxt", "numpy"]),
    ],
    ids=["deciding", "a manager"],
)
def test_nothing_is_imported_before_it_is_used(code: str, absent: list[str]) -> None:
    script = f"{code}\nimport sys\nprint([name for name in {absent} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
