"""Toy distributions: folders of metadata and modules on the path, as an installer leaves them."""

from __future__ import annotations

import importlib
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest

HOOK = "from rebalancer.plugins import hookimpl\n"
GOOD = f"""
import rebalancer as rb
{HOOK}
class AcmeGood(rb.BaseRule):
    floor: rb.Fraction = rb.param("0.5")

    def evaluate(self, ctx):
        return rb.Verdict.close_if(ctx.divergence < self.floor, "edge under the floor",
                                   rb.Fact("divergence", ctx.divergence, limit=self.floor))

@hookimpl
def rebalancer_register_rules(register):
    register("NAME", AcmeGood)
"""


class Site:
    """A folder of installed distributions. The modules of all of them are called `acme_...`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.gate = folder / "gate"
        folder.mkdir()

    def install(
        self, name: str, source: str = "", *, version: str = "1.0", entry_points: str = "", metadata: str | None = None
    ) -> None:
        """A distribution with one module, whose entry point is `plugin` unless `entry_points` says otherwise.

        The module can see the path of the gate as GATE.
        """
        module = name.replace("-", "_")
        info = self.folder / f"{module}-{version}.dist-info"
        info.mkdir()
        if metadata is None:
            metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        if metadata:
            (info / "METADATA").write_text(metadata, encoding="utf-8")
        (info / "entry_points.txt").write_text(entry_points or f"[rebalancer]\nplugin = {module}\n", encoding="utf-8")
        (self.folder / f"{module}.py").write_text(f"GATE = {str(self.gate)!r}\n{dedent(source)}")
        importlib.invalidate_caches()

    def install_good(self, name: str = "acme-good", **options: str) -> None:
        """A distribution that registers a rule of its own name."""
        self.install(name, GOOD.replace("NAME", name), **options)

    def open_gate(self) -> None:
        """Let modules that wait for the gate go on, and wait for their threads."""
        self.gate.touch()
        for thread in threading.enumerate():
            if thread.name.startswith("rebalancer plugin"):
                thread.join(10)
                assert not thread.is_alive()


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A folder of distributions that is on the path. What hangs is released, and nothing stays imported."""
    site = Site(tmp_path / "site")
    monkeypatch.syspath_prepend(site.folder)
    yield site
    site.open_gate()
    for name in [name for name in sys.modules if name.startswith("acme_")]:
        del sys.modules[name]
