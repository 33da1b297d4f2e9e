"""The commands about plugins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from ..plugins import ANY, PluginManager, PluginReport, PluginStatus
from .common import aside, clear_errors, console

app = typer.Typer(name="plugins", help="See which plugins are installed, and whether they load.", no_args_is_help=True)


@app.command(name="list")
def list_plugins() -> None:
    """List the plugins that are installed. None is imported."""
    with clear_errors():
        _show(console(), PluginManager().installed(), nothing="No plugin is installed.")


@app.command()
def check(
    distributions: Annotated[
        list[str] | None, typer.Argument(metavar="[DIST[==VERSION]]...", help="Which distributions; all if none.")
    ] = None,
) -> None:
    """Load plugins, which runs their code, and say what became of each. Exit status 1 if one did not load."""
    with clear_errors():
        with aside():
            reports = PluginManager().load(allow=tuple(distributions) if distributions else ANY)
        _show(console(), reports, nothing="No plugin is installed.")
        if any(report.status is not PluginStatus.LOADED for report in reports):
            raise typer.Exit(1)


def _show(to: Console, reports: Sequence[PluginReport], *, nothing: str) -> None:
    for report in reports:
        to.print(Text(str(report)), soft_wrap=True)
    if not reports:
        to.print(nothing)
