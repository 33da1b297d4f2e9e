"""What commands over a history share: their files, and a bar that says how far they are."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ..errors import InputError

STDOUT = "-"


def refuse_shared(history: Path, **outputs: Path | None) -> None:
    """No output may be the history, nor two of them one file. Each is called as its option is."""
    *names, last = (f"--{name}" for name in outputs)
    options = f"{', '.join(names)} and {last}"
    files = [path if str(path) == STDOUT else path.resolve() for path in outputs.values() if path is not None]
    if len(set(files)) != len(files):
        raise InputError(f"{options} need a file each")
    if history.resolve() in files:
        raise InputError(f"{options} must not overwrite the history")


def opened(path: Path, files: ExitStack) -> TextIO:
    """A file to write to; `-` is standard output."""
    if str(path) == STDOUT:
        return sys.stdout
    try:
        return files.enter_context(path.open("w", encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path} can not be written: {error.strerror}") from error


def check_file(path: Path | None, option: str, files: ExitStack) -> None:
    """What can not be written is said before the work, not after it; this one can not be standard output."""
    if path is None:
        return
    if str(path) == STDOUT:
        raise InputError(f"{option} needs a file to write to")
    opened(path, files)


@contextmanager
def bar(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on standard error, gone when done, absent where nobody watches, and without a thread of its own: a process
    that has one can not be forked.
    """
    stderr = Console(file=sys.stderr)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    progress = Progress(*columns, console=stderr, transient=True, auto_refresh=False, disable=not stderr.is_terminal)
    with progress:
        task = progress.add_task(what, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total, refresh=True)
