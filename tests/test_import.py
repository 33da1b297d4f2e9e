"""The facade: light to import, complete, and strict about names, at run time and for a type checker."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import rebalancer

HEAVY = ("asyncio", "httpx", "numpy", "pluggy", "pyarrow", "rich", "typer")
PACKAGE = Path(rebalancer.__file__).parent
LAZY = "import rebalancer"
USED = "import rebalancer; rebalancer.Position; rebalancer.presets.conservative()"
DECIDED = """
from datetime import UTC, datetime, timedelta
import rebalancer as rb
now = datetime(2026, 1, 5, 12, tzinfo=UTC)
position = rb.Position(symbol="BTC", long_dex="lighter", short_dex="grvt", size_usd=10_000,
                       entry_long_rate="0.0001", entry_short_rate="0.0003", opened_at=now - timedelta(hours=5))
hours = timedelta(hours=8)
snapshot = rb.MarketSnapshot.of(position, long_rate=rb.FundingRate(0.0003, hours),
                                short_rate=rb.FundingRate(0.0001, hours), as_of=now)
decision = rb.presets.conservative().decide(position, snapshot)
assert decision.reason == "DIVERGENCE_FLIPPED"
assert decision.explain() and decision.model_dump_json()
"""


def loaded_after(code: str, *names: str) -> list[str]:
    """Which of the modules a fresh interpreter has loaded after running `code`."""
    script = f"{code}\nimport sys\nprint(*[name for name in {names!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return done.stdout.split()


@pytest.mark.parametrize("code", [LAZY, USED, DECIDED], ids=["importing", "using a preset", "deciding"])
def test_the_library_brings_in_nothing_heavy(code: str) -> None:
    assert loaded_after(code, *HEAVY) == []


def test_importing_the_library_imports_none_of_its_parts() -> None:
    assert loaded_after(LAZY, "rebalancer.domain", "rebalancer.rules", "pydantic") == []


def test_a_preset_imports_only_its_own_rules() -> None:
    others = (
        "confirmed",
        "cooldown",
        "function",
        "funding_schedule",
        "held_for",
        "leg_imbalance",
        "liquidation_distance",
        "open_interest_imbalance",
        "settlement_due",
    )
    assert loaded_after(USED, *(f"rebalancer.rules.{name}" for name in others)) == []


@pytest.mark.parametrize("name", rebalancer.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(rebalancer, name) is not None


def test_a_public_name_is_the_one_of_its_module() -> None:
    assert rebalancer.Position is import_module("rebalancer.domain.position").Position
    assert rebalancer.presets is import_module("rebalancer.presets")
    assert rebalancer.__version__ == import_module("importlib.metadata").version("funding-rebalancer")


def test_the_public_names_are_listed() -> None:
    assert dir(rebalancer) == sorted(rebalancer.__all__)
    assert len(set(rebalancer.__all__)) == len(rebalancer.__all__)


def test_a_misspelt_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"^module 'rebalancer' has no attribute 'Positon'$"):
        _ = rebalancer.Positon  # type: ignore[attr-defined]  # what the test is about


def test_what_a_type_checker_sees_is_what_can_be_imported() -> None:
    tree = ast.parse((PACKAGE / "__init__.py").read_text())
    checked = next(node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    seen = {"__version__": ""}
    for node in ast.walk(checked):
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                assert alias.asname == alias.name
                seen[alias.name] = node.module or ""
    assert set(seen) == set(rebalancer.__all__)
    for name, module in seen.items():
        if module:
            assert getattr(import_module(f"rebalancer.{module}"), name) is getattr(rebalancer, name)


SNIPPET = """
from datetime import timedelta
import rebalancer as rb

flip = rb.DivergenceFlip(margin=0.5)
hold = rb.HeldFor(at_least=timedelta(hours=4))
strategy: rb.CombinedStrategy = (flip | rb.ProfitErosion(keep="0.5")) & hold & ~rb.TimeLimit()
reveal_type(flip.margin)

rb.Positon
flip | hold
hold & flip
rb.ProfitErosion(kep=1)
rb.TimeLimit(max_age=3)
"""


@pytest.fixture(scope="module")
def complaints(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, str]]:
    """What bare `mypy --strict` says about the snippet: the line of code, and the code of the error."""
    folder = tmp_path_factory.mktemp("snippet")
    (folder / "snippet.py").write_text(SNIPPET)
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--cache-dir", os.devnull, "snippet.py"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    lines = SNIPPET.splitlines()
    said = [line.split(":", 3) for line in done.stdout.splitlines() if ": error: " in line or "Revealed" in line]
    return [(lines[int(number) - 1], message.rpartition("  ")[2].strip()) for _, number, _, message in said]


def test_a_type_checker_knows_every_name_and_what_composes(complaints: list[tuple[str, str]]) -> None:
    assert complaints == [
        ("reveal_type(flip.margin)", 'Revealed type is "decimal.Decimal"'),
        ("rb.Positon", "[attr-defined]"),
        ("flip | hold", "[operator]"),
        ("hold & flip", "[operator]"),
        ("rb.ProfitErosion(kep=1)", "[call-arg]"),
        ("rb.TimeLimit(max_age=3)", "[arg-type]"),
    ]
