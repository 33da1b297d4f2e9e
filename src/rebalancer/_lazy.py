"""Public names that are imported when they are first used (PEP 562)."""

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any


def load(package: str, homes: Mapping[str, Sequence[str]], name: str) -> Any:
    """The public `name` of `package`, from the module below it that `homes` says; AttributeError if there is none."""
    for home, names in homes.items():
        if name in names:
            return getattr(import_module(f".{home}", package), name)
    raise AttributeError(f"module {package!r} has no attribute {name!r}")
