"""Which distributions are installed, and the plugins in them. Nothing of theirs is imported."""

from __future__ import annotations

import re
from importlib.metadata import Distribution, EntryPoint, distributions
from pathlib import Path
from typing import Final, NamedTuple

from .report import PluginStatus, Unusable, told

GROUP: Final = "rebalancer"
UNNAMED: Final = "(without a name)"


class Found(NamedTuple):
    """An installed distribution: the plugins in it, and why they can not be loaded, if they can not."""

    name: str
    version: str | None
    folder: Path
    entries: tuple[EntryPoint, ...]
    fault: Unusable | None = None

    @property
    def content(self) -> tuple[Path, str | None, tuple[EntryPoint, ...]]:
        """What tells it from others of its name."""
        return self.folder, self.version, self.entries

    @property
    def key(self) -> str:
        """The name as names are compared."""
        return normalised(self.name)


def normalised(name: str) -> str:
    """The one spelling of a distribution's name, as PEP 503 says: `Acme_Rules` is `acme-rules`."""
    return re.sub(r"[-_.]+", "-", name).lower()


def find(name: str) -> list[Found]:
    """The distributions of that name, in the order of the path. Python imports the first; others carry a fault."""
    found: list[Found] = []
    for distribution in distributions(name=name):
        one = _read(distribution, name)
        if any((one.folder, one.version) == (other.folder, other.version) for other in found):
            continue  # a folder may be on the path twice
        found.append(one._replace(fault=_shadowed(one, found[0])) if found else one)
    return found


def discover() -> list[Found]:
    """Every distribution that has plugins, or may have, by name."""
    nameless = []
    named: dict[str, list[Found]] = {}
    for distribution in distributions():
        entries, fault = _entries(distribution)
        if not (entries or fault):
            continue  # its name is not worth reading
        name = _field(distribution, "Name")
        if not name:
            nameless.append(_read(distribution, UNNAMED))
            continue
        one = _read(distribution, name)
        if one.key not in named:
            named[one.key] = find(one.key)
        if all(one.content != other.content for other in named[one.key]):
            named[one.key].append(one._replace(fault=_lost(distribution)))
    return nameless + [found for _, of in sorted(named.items()) for found in of]


def _read(distribution: Distribution, name: str) -> Found:
    entries, fault = _entries(distribution)
    said, version = _field(distribution, "Name"), _field(distribution, "Version")
    if not said or version is None or normalised(said) != normalised(name):
        fault = _broken(distribution, "its METADATA is missing or broken, or it names another distribution")
    return Found(name if fault else said or name, version, _folder(distribution), entries, fault)


def _entries(distribution: Distribution) -> tuple[tuple[EntryPoint, ...], Unusable | None]:
    try:
        return tuple(distribution.entry_points.select(group=GROUP)), None
    except Exception as error:  # whatever is wrong with its files, the others must still be found
        return (), _broken(distribution, f"its entry points can not be read ({told(error)})")


def _field(distribution: Distribution, name: str) -> str | None:
    try:
        return next(iter(distribution.metadata.get_all(name) or ()), None)
    except Exception:  # as above; how it fails depends on the version of Python
        return None


def _folder(distribution: Distribution) -> Path:
    return Path(str(distribution.locate_file(""))).resolve()


def _broken(distribution: Distribution, error: str) -> Unusable:
    return Unusable(PluginStatus.FAILED, f"{error}, in {_folder(distribution)}", "install it again")


def _lost(distribution: Distribution) -> Unusable:
    return _broken(distribution, "it can not be found by its name: that of its dist-info folder is another")


def _shadowed(found: Found, winner: Found) -> Unusable:
    return Unusable(
        PluginStatus.REFUSED,
        f"it is installed twice: Python imports the one in {winner.folder}, not that in {found.folder}",
        "uninstall one of the two",
    )
