"""What the documentation says is true: its code runs, prints what it shows, and names what the library has."""

from __future__ import annotations

import inspect
import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer.main
from pydantic import BaseModel
from sybil import Document, Example, Sybil
from sybil.parsers.markdown import CodeBlockParser
from typer.testing import CliRunner

import rebalancer
import rebalancer.adapters
import rebalancer.plugins
import rebalancer.replay
import rebalancer.testing
from rebalancer import (
    BaseRule,
    CombinedStrategy,
    Freshness,
    Guard,
    MarketSnapshot,
    Missing,
    Needs,
    Opportunity,
    Position,
    Quote,
    RebalanceConfig,
    RebalancerError,
    TargetFilter,
    errors,
)
from rebalancer.cli.app import app
from rebalancer.history.read import KINDS, OPTIONAL, REQUIRED
from rebalancer.plugins import PluginManager
from rebalancer.replay.account import END_OF_HISTORY, ENTRY

PRESETS = PluginManager().registry.presets

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
REFERENCE = DOCS / "reference"
PAGES = (ROOT / "README.md", *sorted(DOCS.rglob("*.md")))
EXAMPLES = ROOT / "examples"
WIDTH = 120
"""The columns of the terminal whose output the pages show."""


def commands_of(group: Any, *, before: str = "") -> dict[str, Any]:
    """Every command of a group by its words, such as `plugins list`."""
    found: dict[str, Any] = {}
    for name, command in group.commands.items():
        inner = hasattr(command, "commands")
        found |= commands_of(command, before=f"{before}{name} ") if inner else {before + name: command}
    return found


COMMANDS = commands_of(typer.main.get_command(app))


def a_name(page: Path) -> str:
    """The page's path as the name of a module."""
    return re.sub(r"\W", "_", page.relative_to(ROOT).with_suffix("").as_posix())


def text_of(*paths: Path) -> str:
    """The text of pages, and of every page in folders."""
    files = [file for path in paths for file in (sorted(path.rglob("*.md")) if path.is_dir() else [path])]
    return "\n".join(file.read_text(encoding="utf-8") for file in files)


def mentions(text: str, name: str) -> bool:
    """Whether `name` stands in `text` as a word of its own."""
    return re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", text) is not None


# What a page shows -------------------------------------------------------------------------------------------------


def lines_of(output: str) -> list[str]:
    """The lines of an output, without blank ones around it and spaces at their ends."""
    lines = [line.rstrip() for line in output.splitlines()]
    while lines and not lines[0]:
        lines.pop(0)
    while lines and not lines[-1]:
        lines.pop()
    return lines


class Page:
    """A page whose blocks are evaluated in order, in one namespace. `blocks` are its Python sources."""

    def __init__(self, path: Path) -> None:
        self.blocks: list[str] = []
        self._end = -1
        self._output: Callable[[], str] = str
        parsers = [
            CodeBlockParser("python", self._python),
            CodeBlockParser("bash", self._bash),
            CodeBlockParser("text", self._text),
        ]
        self.document: Document = Sybil(parsers=parsers).parse(path)

    def evaluate(self) -> None:
        """Run the blocks, then the tests that they define."""
        for example in self.document.examples():
            example.evaluate()
        for name, value in list(self.document.namespace.items()):
            if name.startswith("test_") and inspect.isfunction(value):
                value()

    def _python(self, example: Example) -> None:
        source = "\n" * example.line + example.parsed
        printed = StringIO()
        with redirect_stdout(printed):
            exec(compile(source, example.path, "exec"), example.namespace)
        self._printed(example, printed.getvalue)

    def _bash(self, example: Example) -> None:
        called = list(commands(example.parsed))
        for words in called:
            check_command(words)
        if len(called) == 1:
            self._printed(example, lambda: run_command(called[0]))

    def _printed(self, example: Example, output: Callable[[], str]) -> None:
        """What the next block shows, if it is text and follows at once."""
        self._end, self._output = example.end, output

    def _text(self, example: Example) -> None:
        if self._end >= 0 and not example.document.text[self._end : example.start].strip():
            assert lines_of(self._output()) == lines_of(example.parsed), f"line {example.line} of {example.path}"
        self._end = -1


def commands(block: str) -> Iterator[list[str]]:
    """The words of each `rebalancer` command in a shell block, without the command's own name."""
    for line in block.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        if words and Path(words[0]).name == "rebalancer":
            yield words[1:]
        elif words[1:3] == ["-m", "rebalancer"]:
            yield words[3:]


def check_command(words: list[str]) -> None:
    """Every command and option is one that the command line has."""
    if words and not words[0].startswith("-"):
        name = next((name for name in (words[0], " ".join(words[:2])) if name in COMMANDS), None)
        assert name is not None, f"there is no command {words[0]}"
        known = {option for parameter in COMMANDS[name].params for option in parameter.opts} | {"--help"}
        unknown = {word for word in words[1:] if word.startswith("--")} - known
        assert not unknown, f"{name} has no {unknown}"


def run_command(words: list[str]) -> str:
    """What a command prints on a terminal of `WIDTH` columns."""
    result = CliRunner().invoke(app, words, env={"COLUMNS": str(WIDTH), "NO_COLOR": "1", "FORCE_COLOR": None})
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.parametrize("path", PAGES, ids=a_name)
def test_the_blocks_of_a_page_run_and_print_what_it_shows(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(EXAMPLES, tmp_path / "examples")
    monkeypatch.chdir(tmp_path)
    page = Page(path)
    module = ModuleType(a_name(path))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    page.document.namespace = module.__dict__
    page.evaluate()


def test_the_python_of_all_pages_type_checks_strictly(tmp_path: Path) -> None:
    for path in PAGES:
        blocks = [region.parsed for _, region in Page(path).document.regions if region.lexemes["arguments"] == "python"]
        if blocks:
            (tmp_path / f"{a_name(path)}.py").write_text("\n".join(blocks), encoding="utf-8")
    checked = subprocess.run(
        [
            sys.executable,
            "-m",
            "mypy",
            "--strict",
            "--config-file=",
            f"--cache-dir={ROOT / '.mypy_cache' / 'docs'}",
            ".",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("path", PAGES, ids=a_name)
def test_the_relative_links_of_a_page_lead_somewhere(path: Path) -> None:
    targets = re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", text_of(path))
    assert [target for target in targets if not (path.parent / target).exists()] == []


@pytest.mark.parametrize("path", PAGES, ids=a_name)
def test_the_make_targets_that_a_page_names_exist(path: Path) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    named = set(re.findall(r"^make ([a-z]+)$|`make ([a-z]+)", text_of(path), re.MULTILINE))
    assert [target for names in named for target in names if target and f"\n{target}: " not in makefile] == []


def test_every_page_is_in_the_navigation() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    pages = [page.relative_to(DOCS).as_posix() for page in PAGES[1:]]
    assert [page for page in pages if f" {page}\n" not in navigation] == []


# What the library has is found in the documentation ------------------------------------------------------------------

PUBLIC = {
    **{f"rebalancer.{name}": getattr(rebalancer, name) for name in rebalancer.__all__},
    **{f"rebalancer.adapters.{name}": getattr(rebalancer.adapters, name) for name in rebalancer.adapters.__all__},
    **{f"rebalancer.plugins.{name}": getattr(rebalancer.plugins, name) for name in rebalancer.plugins.__all__},
    **{f"rebalancer.replay.{name}": getattr(rebalancer.replay, name) for name in rebalancer.replay.__all__},
    **{f"rebalancer.testing.{name}": getattr(rebalancer.testing, name) for name in rebalancer.testing.__all__},
}
RULES = sorted(
    value.__name__
    for value in PUBLIC.values()
    if isinstance(value, type)
    and issubclass(value, BaseRule | Guard | CombinedStrategy)
    and value not in (BaseRule, Guard)  # these two are there to be extended
)
ERRORS = sorted(
    name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, RebalancerError)
)
PRESET_RULES = [rule for name in PRESETS for rule in PRESETS.create(name).rules if isinstance(rule, BaseRule)]
DEFAULT_RULES = [
    value()
    for value in PUBLIC.values()
    if isinstance(value, type) and issubclass(value, BaseRule) and value.__name__ not in ("BaseRule", "Confirmed")
]
REASONS = sorted({rule.reason for rule in (*PRESET_RULES, *DEFAULT_RULES)} | {ENTRY, END_OF_HISTORY})


def test_there_is_something_to_find() -> None:
    assert {"BetterOpportunity", "CombinedStrategy", "Confirmed", "HeldFor"} <= set(RULES)
    assert {"RebalancerError", "HistoryError"} <= set(ERRORS)
    assert {"DIVERGENCE_FLIPPED", "SEVERE_EROSION", "OI_IMBALANCE", "ENTRY"} <= set(REASONS)
    assert {"decide", "demo", "plugins list", "presets", "rates", "replay"} <= set(COMMANDS)


@pytest.mark.parametrize("name", sorted(set(PUBLIC) - {"rebalancer.__version__", "rebalancer.presets"}))
def test_every_public_name_has_its_place_in_the_reference(name: str) -> None:
    assert f"::: {name}\n" in text_of(REFERENCE)


@pytest.mark.parametrize("name", RULES)
def test_every_rule_and_guard_is_in_the_table_of_rules(name: str) -> None:
    assert f"| `{name}(" in text_of(REFERENCE / "rules.md", REFERENCE / "guards-and-algebra.md")


@pytest.mark.parametrize("name", ERRORS)
def test_every_exception_is_explained(name: str) -> None:
    assert mentions(text_of(REFERENCE / "errors.md"), name)


def test_the_tree_of_exceptions_is_drawn_as_in_the_code() -> None:
    assert str(errors.__doc__).split("\n\n", 1)[1].strip() in text_of(REFERENCE / "errors.md")


@pytest.mark.parametrize("reason", REASONS)
def test_every_reason_code_is_in_the_table_of_reason_codes(reason: str) -> None:
    assert f"| `{reason}` |" in text_of(REFERENCE / "reason-codes.md")


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_described(name: str) -> None:
    assert f"`{name}`" in text_of(REFERENCE / "presets-and-configuration.md")
    assert mentions(text_of(ROOT / "README.md"), name)


@pytest.mark.parametrize("key", RebalanceConfig.model_fields)
def test_every_configuration_key_is_in_the_table_of_keys(key: str) -> None:
    assert f"| `{key}` |" in text_of(REFERENCE / "presets-and-configuration.md")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_and_each_of_its_options_is_described(command: str) -> None:
    text = text_of(REFERENCE / "command-line.md")
    assert f"## `rebalancer {command}`" in text
    options = [option for parameter in COMMANDS[command].params for option in parameter.opts if option[0] == "-"]
    assert [option for option in options if not mentions(text, option)] == []


@pytest.mark.parametrize(
    "model", [Position, MarketSnapshot, Quote, Opportunity, Missing, Freshness], ids=lambda model: model.__name__
)
def test_every_field_of_the_files_that_decide_reads_is_described(model: type[BaseModel]) -> None:
    text = text_of(REFERENCE / "file-formats.md")
    assert [name for name in model.model_fields if f"`{name}`" not in text] == []


@pytest.mark.parametrize("name", [*REQUIRED, *OPTIONAL, *KINDS])
def test_every_column_of_a_history_is_described(name: str) -> None:
    assert f"`{name}`" in text_of(REFERENCE / "file-formats.md")


@pytest.mark.parametrize("name", [*Needs.model_fields, *TargetFilter.model_fields])
def test_what_rules_may_need_and_targets_may_be_is_described(name: str) -> None:
    assert f"`{name}`" in text_of(DOCS)


# Examples ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_an_example_runs(path: Path) -> None:
    ran = subprocess.run([sys.executable, "-W", "error", path], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout


def test_the_example_files_are_canonical_and_decide_understands_them() -> None:
    position, snapshot = EXAMPLES / "position.json", EXAMPLES / "snapshot.json"
    Position.model_validate_json(position.read_bytes())
    MarketSnapshot.model_validate_json(snapshot.read_bytes())
    decision = json.loads(run_command(["decide", str(position), str(snapshot), "--json"]))
    assert decision["complete"]
