"""What several commands share: options, input, errors, and the registry of names."""

from __future__ import annotations

from codecs import BOM_UTF8
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from errno import EPIPE
from functools import cache
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from ..errors import InputError, PluginError, RebalancerError
from ..plugins import PluginManager, PluginStatus, Registry


@cache
def own_names() -> Registry:
    """What the library itself registers."""
    return PluginManager().registry


PresetName = Annotated[str, typer.Option("--preset", metavar="NAME", help=f"One of {', '.join(own_names().presets)}.")]
PluginNames = Annotated[
    list[str] | None,
    typer.Option("--plugin", metavar="DIST[==VERSION]", help="Load this distribution's plugins; may be given again."),
]


def registry(allow: Sequence[str] | None) -> Registry:
    """Every name there is, with the plugins of the distributions in `allow`; PluginError if one is not loaded."""
    if not allow:
        return own_names()
    manager = PluginManager()
    for report in manager.load(allow=tuple(allow)):
        if report.status is not PluginStatus.LOADED:
            raise PluginError(report.distribution, f"{report.error}: {report.advice}")
    return manager.registry


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


def names(listed: str | None, *, option: str) -> list[str] | None:
    """The names of a list such as `A,B`; None if there is no list. An empty one is a mistake, not "all"."""
    if listed is None:
        return None
    found = [name.strip() for name in listed.split(",") if name.strip()]
    if not found:
        raise InputError(f"{option} needs at least one name, such as A,B")
    return found


def read_bytes(path: Path) -> bytes:
    """What is in the file, without the mark that some editors put before UTF-8."""
    try:
        return path.read_bytes().removeprefix(BOM_UTF8)
    except OSError as error:
        raise InputError(f"{path} can not be read: {error.strerror}") from error
