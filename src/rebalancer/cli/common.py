"""What several commands share: options, input, errors, and the registry of names."""

from __future__ import annotations

import sys
from codecs import BOM_UTF8
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from errno import EPIPE
from functools import cache
from pathlib import Path
from typing import Annotated, TextIO

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.text import Text

from ..adapters.http.answer import read_json
from ..domain.names import split_names
from ..domain.position import Position
from ..errors import InputError, PluginError, RebalancerError
from ..plugins import PluginManager, PluginStatus, Registry


@cache
def own_names() -> Registry:
    """What the library itself registers."""
    return PluginManager().registry


PresetName = Annotated[str, typer.Option("--preset", metavar="NAME", help=f"One of {', '.join(own_names().presets)}.")]
TrustUnits = Annotated[
    bool, typer.Option("--trust-units", help="Take rates even where they look like percent or per year.")
]
PluginNames = Annotated[
    list[str] | None,
    typer.Option("--plugin", metavar="DIST[==VERSION]", help="Load this distribution's plugins; may be given again."),
]


def registry(allow: Sequence[str] | None) -> Registry:
    """Every name there is, with the plugins of the distributions in `allow`; PluginError if one is not loaded."""
    if not allow:
        return own_names()
    manager = PluginManager()
    with aside():
        reports = manager.load(allow=tuple(allow))
    for report in reports:
        if report.status is not PluginStatus.LOADED:
            raise PluginError(report.distribution, f"{report.error}: {report.advice}")
    return manager.registry


def aside() -> redirect_stdout[TextIO]:
    """While a plugin's code may run: what it prints goes to standard error, as standard output is for the answer."""
    return redirect_stdout(sys.stderr)


@contextmanager
def speaking_of(what: str, *, field: str = "") -> Iterator[None]:
    """A refusal inside names `what` as the user wrote it, and not the class (nor the `field`) that it was read into."""
    try:
        yield
    except InputError as error:
        cause = error.__cause__
        said = str(error).removeprefix(f"{cause.title}: ") if isinstance(cause, ValidationError) else str(error)
        raise InputError(f"{what}: {said.removeprefix(f'{field}: ')}") from error


@contextmanager
def clear_errors() -> Iterator[None]:
    """What the library refuses becomes one line on standard error and exit status 1."""
    try:
        yield
    except RebalancerError as error:
        say_error(str(error))
        raise typer.Exit(1) from error
    except OSError as error:
        if error.errno == EPIPE:
            raise  # typer ends quietly when nobody reads on
        say_error(f"writing failed: {error.strerror}")
        raise typer.Exit(1) from error


def say_error(what: str) -> None:
    """One line on standard error."""
    _say("error", "bold red", what)


def say_warning(what: str) -> None:
    """One line on standard error; the command goes on."""
    _say("warning", "bold yellow", what)


def _say(kind: str, style: str, what: str) -> None:
    line = Text(f"{kind}: ", style=style).append(what, style="not bold default")
    Console(stderr=True).print(line, soft_wrap=True)


def console() -> Console:
    """Standard output, where a symbol such as A:B:C is not an emoji."""
    return Console(highlight=False, emoji=False)


def answers() -> Console:
    """The same, whatever standard output becomes later: for what is printed while a plugin's code may run."""
    return Console(file=sys.stdout, highlight=False, emoji=False)


def say(what: str) -> None:
    """One line on standard error, while a command goes on."""
    Console(stderr=True, highlight=False, emoji=False).print(Text(what), soft_wrap=True)


def names(listed: str | None, read: Callable[[str], str], *, option: str) -> list[str] | None:
    """The names of a list such as `A,B`, each as `read` has it; None without a list. An empty one is a mistake."""
    if listed is None:
        return None
    found = split_names(listed)
    if not found:
        raise InputError(f"{option} needs at least one name, such as A,B")
    with speaking_of(option):
        return [read(name) for name in found]


def pairs(
    listed: Sequence[str] | None, option: str, *, such_as: str, given: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The values of an option such as `-o KEY=VALUE` that may be given again, with what was `given` elsewhere."""
    found = dict(given or {})
    for pair in listed or ():
        key, equals, value = pair.partition("=")
        if not (key and equals):
            raise InputError(f"{option} takes KEY=VALUE, such as {such_as}")
        if key in found:
            raise InputError(f"the option {key} is given twice")
        found[key] = value
    return found


def read_positions(path: Path) -> list[Position]:
    """The positions in a file: one, or a list of them."""
    text = read_bytes(path)
    try:
        read = read_json(text)
    except ValueError as error:
        raise InputError(f"{path} is not JSON: {error}") from error
    if not isinstance(read, list):
        return [_position(read, str(path))]
    if not read:
        raise InputError(f"{path} has no positions")
    return [_position(row, f"{path}, position {place}") for place, row in enumerate(read, start=1)]


def _position(read: object, where: str) -> Position:
    with speaking_of(where):
        return Position.model_validate(read)


def read_bytes(path: Path) -> bytes:
    """What is in the file, without the mark that some editors put before UTF-8."""
    try:
        return path.read_bytes().removeprefix(BOM_UTF8)
    except OSError as error:
        raise InputError(f"{path} can not be read: {error.strerror}") from error
