"""The manager of plugins: an ordinary object that a host makes, and asks to load what it allows."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from datetime import timedelta
from enum import Enum
from functools import partial
from itertools import groupby
from operator import attrgetter
from time import perf_counter
from typing import Final, Literal

from .. import __version__
from ..errors import InputError
from . import builtins
from .discovery import GROUP, Found, discover, find, normalised
from .loading import registered_by, within
from .registry import Registered, Registry
from .report import OWN, PluginReport, PluginStatus, Unusable

_ALLOWED: Final = re.compile(r"([A-Za-z0-9]|[A-Za-z0-9][A-Za-z0-9._-]*[A-Za-z0-9])(?:\s*==\s*([A-Za-z0-9.!+_-]+))?")


class _Any(Enum):
    ANY = "any distribution"


ANY: Final = _Any.ANY
"""Allows every plugin that is installed, in the order of the distributions' names."""


class PluginManager:
    """Loads plugins, and keeps what they register. Managers share nothing: a process may have several.

    A new one has what the library itself registers.
    """

    def __init__(self) -> None:
        self._registry = Registry()
        self._reports: dict[tuple[str, object], PluginReport] = {}
        self.add(builtins, distribution=OWN, version=__version__)

    @property
    def registry(self) -> Registry:
        """What can be made by name now. A registry never changes: ask for it again after loading more."""
        return self._registry

    @property
    def reports(self) -> tuple[PluginReport, ...]:
        """What became of everything that was added or allowed so far, the library's own first."""
        return tuple(self._reports.values())

    def add(self, plugin: object, *, distribution: str, version: str | None = None) -> PluginReport:
        """Take a plugin that is imported already, such as the host's own, under the same rules as an installed one.

        Its hooks run at once and without a limit. `distribution` is what reports and errors call it.
        """
        about = PluginReport(distribution=distribution, version=version, status=PluginStatus.FOUND)
        report = self._tried(about, partial(registered_by, lambda: plugin, about.distribution))
        return self._kept(normalised(distribution), len(self._reports), report)

    def load(
        self, *, allow: Collection[str] | Literal[_Any.ANY], timeout: timedelta = timedelta(seconds=10)
    ) -> tuple[PluginReport, ...]:
        """Import the plugins of the allowed distributions, and nothing of others, and say what became of each.

        `allow` names distributions: `acme-rules`, or `acme-rules==1.2` for exactly that version. They are loaded in
        this order: of two that register the same name the first keeps it, and of the second nothing is taken.
        `timeout` is for each plugin. A plugin that was tried before is not tried again. Raises InputError for a list
        that can not be read; nothing that a plugin does is raised, except KeyboardInterrupt.
        """
        if not timedelta(0) < timeout <= timedelta(days=1):
            raise InputError("timeout must be above zero, and at most a day")
        found: dict[str, tuple[str | None, list[Found]]]
        if allow is ANY:
            found = {name: (None, list(of)) for name, of in groupby(discover(), attrgetter("key"))}
        else:
            found = {name: (version, find(name)) for name, version in _wanted(allow).items()}
        return tuple(
            report for name, (version, of) in found.items() for report in self._load(of, name, version, timeout)
        )

    def installed(self) -> tuple[PluginReport, ...]:
        """Every plugin that is installed: what became of it, or that it was found. Imports none."""
        reports = []
        for one in discover():
            about = _about(one)
            if one.fault:
                reports.append(_stopped(about, one.fault))
                continue
            for entry in one.entries:
                found = {"entry_point": entry.name, "advice": _how_to_load(one.key)}
                reports.append(self._reports.get((one.key, entry)) or about.model_copy(update=found))
        return tuple(reports)

    def _load(self, found: list[Found], name: str, version: str | None, timeout: timedelta) -> Iterator[PluginReport]:
        """What became of the plugins in the distributions of one name: one, or more if it is installed twice."""
        self._reports.pop((name, None), None)
        if not found:
            about = PluginReport(distribution=name, status=PluginStatus.NOT_FOUND)
            yield self._kept(name, None, _stopped(about, _absent(name)))
        for one in found:
            about = _about(one)
            if one.fault:
                yield self._kept(name, one.folder, _stopped(about, one.fault))
            elif unwanted := _unwanted(one, version):
                yield self._kept(name, None, _stopped(about, unwanted))
            else:
                for entry in one.entries:
                    if (name, entry) not in self._reports:
                        code = partial(registered_by, entry.load, about.distribution)
                        named = about.model_copy(update={"entry_point": entry.name})
                        self._reports[name, entry] = self._tried(named, partial(within, timeout, code, name=name))
                    yield self._reports[name, entry]

    def _kept(self, name: str, what: object, report: PluginReport) -> PluginReport:
        self._reports[name, what] = report
        return report

    def _tried(self, about: PluginReport, collect: Callable[[], tuple[Registered, ...]]) -> PluginReport:
        """Add what a plugin registers, all of it or nothing."""
        started = perf_counter()
        try:
            registered = collect()
            self._registry = self._registry.adding(registered)
        except Unusable as why:
            report = _stopped(about, why)
        else:
            names = tuple((one.kind, one.name) for one in registered)
            report = about.model_copy(update={"status": PluginStatus.LOADED, "registered": names})
        return report.model_copy(update={"seconds": perf_counter() - started})


def _wanted(allow: Collection[str]) -> dict[str, str | None]:
    """The versions that are allowed, by distribution; None is any."""
    if isinstance(allow, str):
        raise InputError("allow needs a list of distributions, such as ('acme-rules', 'acme-source==1.2')")
    wanted: dict[str, str | None] = {}
    for item in allow:
        read = _ALLOWED.fullmatch(item.strip()) if isinstance(item, str) else None
        if read is None:
            raise InputError("allow takes names of distributions, each with ==version at most")
        name = normalised(read[1])
        if name in wanted:
            raise InputError(f"allow has {name} twice")
        wanted[name] = read[2]
    return wanted


def _about(found: Found) -> PluginReport:
    return PluginReport(distribution=found.name, version=found.version, status=PluginStatus.FOUND)


def _stopped(about: PluginReport, why: Unusable) -> PluginReport:
    return about.model_copy(update={"status": why.status, "error": why.error, "advice": why.advice})


def _how_to_load(name: str) -> str:
    if _ALLOWED.fullmatch(name):
        return f"to load it, allow {name}"
    return "no allow list can name it: only ANY loads it, or its author renames it"


def _absent(name: str) -> Unusable:
    return Unusable(
        PluginStatus.NOT_FOUND,
        "it is not installed",
        f"pip install {name}, or take it off the allow list",
    )


def _unwanted(found: Found, version: str | None) -> Unusable | None:
    """Why the distribution is not loaded though its name is allowed, if so."""
    if version not in (None, found.version):
        return Unusable(
            PluginStatus.REFUSED,
            f"version {version} is allowed, but {found.version} is installed",
            f"pip install {found.key}=={version}, or allow {found.key}=={found.version}",
        )
    if not found.entries:
        return Unusable(
            PluginStatus.NOT_FOUND,
            f"it has no plugin: no entry point in the group {GROUP!r}",
            "take it off the allow list, or tell its author",
        )
    return None
