"""What plugins do wrong: each fault is reported, leaves nothing behind, and disturbs no other plugin."""

from __future__ import annotations

import gc
import re
import threading
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

import pytest

from rebalancer import CombinedStrategy, InputError
from rebalancer.plugins import PluginManager, PluginReport, PluginStatus
from rebalancer.rules.base import is_rule
from rebalancer.testing import a_position, a_snapshot

if TYPE_CHECKING:
    from tests.plugins.conftest import Site

FAILED, REFUSED, TIMED_OUT = PluginStatus.FAILED, PluginStatus.REFUSED, PluginStatus.TIMED_OUT
MEND = r"^upgrade it, or tell its author; take it off the allow list until then$"
RESTART = r"^its thread runs on until the process ends: take it off the allow list and restart, or allow more time$"
RENAME = r"^who comes first keeps a name: do not allow acme-bad, or ask its author for another$"
AGAIN = r"^install it again$"

HOOK = """
from rebalancer import DivergenceFlip
from rebalancer.plugins import hookimpl
@hookimpl
def rebalancer_register_rules(register):
    register("half", DivergenceFlip)
"""


class Fault(NamedTuple):
    """What `acme-bad` is made of, and what its report says."""

    name: str
    source: str
    status: PluginStatus
    error: str
    advice: str = MEND
    entry_points: str = ""


FAULTS = [
    Fault("raises at import", "raise ValueError('no key')", FAILED, "its import raised ValueError: no key"),
    Fault(
        "raises no Exception at import",
        "class Fatal(BaseException): pass\nraise Fatal",
        FAILED,
        "its import raised Fatal",
    ),
    Fault("exits at import", "import sys\nsys.exit(3)", FAILED, "its import raised SystemExit: 3"),
    Fault(
        "raises what can not be told",
        "class Mute(Exception):\n    def __str__(self): raise SystemExit\nraise Mute",
        FAILED,
        "its import raised an exception that can not be shown",
    ),
    Fault(
        "forges a line",
        r"raise ValueError('bad\nERROR all keys lost\x1b[2J' + 'x' * 5000)",
        FAILED,
        "its import raised 'ValueError: bad ERROR all keys lost\\x1b[2J" + "x" * 100,
    ),
    Fault(
        "sleeps at import",
        "import os, time\nwhile not os.path.exists(GATE): time.sleep(0.01)",
        TIMED_OUT,
        "its import and its hooks took longer than 0.2 s",
        RESTART,
    ),
    Fault(
        "is busy at import",
        "import os, time\nwhile not os.path.exists(GATE):\n    for _ in range(10_000): pass\n    time.sleep(0)",
        TIMED_OUT,
        "its import and its hooks took longer than 0.2 s",
        RESTART,
    ),
    Fault(
        "sleeps after half of a hook",
        f"{HOOK}\n    import os, time\n    while not os.path.exists(GATE): time.sleep(0.01)",
        TIMED_OUT,
        "its import and its hooks took longer than 0.2 s",
        RESTART,
    ),
    Fault(
        "registers a name twice",
        f"{HOOK}    register('half', DivergenceFlip)",
        REFUSED,
        "it registers the rule 'half' twice",
    ),
    Fault(
        "registers the name of another",
        f"{HOOK}    register('acme-good', DivergenceFlip)",
        REFUSED,
        "it registers the rule 'acme-good', which acme-good has registered",
        RENAME,
    ),
    Fault(
        "registers a built-in name",
        f"{HOOK}    register('time_limit', DivergenceFlip)",
        REFUSED,
        "it registers the rule 'time_limit', which funding-rebalancer has registered",
        RENAME,
    ),
    Fault(
        "misspells a hook",
        f"{HOOK}\n@hookimpl\ndef rebalancer_register_rule(register): pass",
        REFUSED,
        "rebalancer_register_rule is no hook (did you mean 'rebalancer_register_rules'?)",
    ),
    Fault(
        "misspells a hook without a mark",
        f"{HOOK}\ndef rebalancer_register_preset(register): pass",
        REFUSED,
        "rebalancer_register_preset is no hook (did you mean 'rebalancer_register_presets'?)",
    ),
    Fault(
        "means another hook",
        f"{HOOK}\n@hookimpl(specname='rebalancer_register_ruler')\ndef risks(register): pass",
        REFUSED,
        "rebalancer_register_ruler is no hook (did you mean 'rebalancer_register_rules'?)",
    ),
    Fault(
        "forgets a mark",
        f"{HOOK}\ndef rebalancer_register_presets(register): pass",
        REFUSED,
        "rebalancer_register_presets lacks @hookimpl, so it would never be called",
    ),
    Fault(
        "has a hook with another parameter",
        f"{HOOK}\n@hookimpl\ndef rebalancer_register_presets(registry): pass",
        REFUSED,
        "its hooks do not fit: PluginValidationError: Plugin 'it' for hook 'rebalancer_register_presets'",
    ),
    Fault("has no hooks", "", REFUSED, "it registers nothing"),
    Fault(
        "registers nothing",
        "from rebalancer.plugins import hookimpl\n@hookimpl\ndef rebalancer_register_rules(register): pass",
        REFUSED,
        "it registers nothing",
    ),
    Fault(
        "has a hook that is a generator",
        f"{HOOK}    yield",
        REFUSED,
        "rebalancer_register_rules returned a generator: a hook registers, and returns nothing",
    ),
    Fault(
        "registers what can not be called",
        f"{HOOK}    register('whole', 3)",
        REFUSED,
        "it registers the rule 'whole' with a int, which makes nothing",
    ),
    Fault(
        "registers a rule itself",
        f"{HOOK}    import rebalancer as rb\n    register('whole', rb.rule(lambda_))\ndef lambda_(ctx): ...",
        REFUSED,
        "it registers the rule 'whole' itself: a factory was expected, which makes one",
    ),
    *(
        Fault(
            f"registers a bad name, {name}",
            f"{HOOK}    register({name}, DivergenceFlip)",
            REFUSED,
            "it registers a rule whose name is not of a-z 0-9 _ -, from a letter on, at most 64 long",
        )
        for name in ("''", "'Half'", "'9th'", "'a b'", "'a\\n'", "'x' * 65", "'é'", "None", "b'half'")
    ),
    Fault(
        "catches what register says",
        f"{HOOK}    try: register('Half', DivergenceFlip)\n    except BaseException: pass",
        REFUSED,
        "it registers a rule whose name is not of a-z",
    ),
    Fault(
        "has more than one fault",
        f"{HOOK}    register('half', DivergenceFlip)\n    register('Half', DivergenceFlip)",
        REFUSED,
        "it registers the rule 'half' twice",
    ),
    Fault(
        "needs a newer API",
        f"REBALANCER_API = 2\n{HOOK}",
        REFUSED,
        "it needs plugin API 2; this rebalancer has 1",
        r"^upgrade funding-rebalancer, or allow an older version of the plugin$",
    ),
    *(
        Fault(
            f"states {stated} as its API",
            f"REBALANCER_API = {stated}\n{HOOK}",
            REFUSED,
            "its REBALANCER_API is not a whole number from 1",
        )
        for stated in ("'1'", "1.0", "True", "0", "None")
    ),
    Fault(
        "states a newer API beside its class",
        f"REBALANCER_API = 2\n{HOOK}\nclass Plugin: pass",
        REFUSED,
        "it needs plugin API 2; this rebalancer has 1",
        r"^upgrade funding-rebalancer, ",
        "[rebalancer]\nplugin = acme_bad:Plugin",
    ),
    Fault(
        "names a missing module",
        HOOK,
        FAILED,
        "its import raised ModuleNotFoundError: No module named 'acme_nowhere'",
        MEND,
        "[rebalancer]\nplugin = acme_nowhere",
    ),
    Fault(
        "names a missing attribute",
        HOOK,
        FAILED,
        "its import raised AttributeError: module 'acme_bad' has no attribute 'nothing'",
        MEND,
        "[rebalancer]\nplugin = acme_bad:nothing",
    ),
    Fault(
        "names a class that can not be made",
        "class Plugin:\n    def __init__(self, key): pass",
        FAILED,
        "its import raised TypeError: Plugin.__init__() missing 1 required positional argument: 'key'",
        MEND,
        "[rebalancer]\nplugin = acme_bad:Plugin",
    ),
    Fault(
        "fights being looked at",
        "class Plugin:\n    def __dir__(self): raise SystemExit",
        FAILED,
        "looking at it raised SystemExit",
        MEND,
        "[rebalancer]\nplugin = acme_bad:Plugin",
    ),
    Fault(
        "raises after half of a hook",
        f"{HOOK}    raise ValueError('oh')",
        FAILED,
        "rebalancer_register_rules raised ValueError: oh",
    ),
    Fault(
        "exits after half of a hook",
        f"{HOOK}    raise SystemExit",
        FAILED,
        "rebalancer_register_rules raised SystemExit",
    ),
    Fault(
        "raises in a later hook",
        f"{HOOK}\n@hookimpl\ndef rebalancer_register_presets(register): 1 / 0",
        FAILED,
        "rebalancer_register_presets raised ZeroDivisionError: division by zero",
    ),
    Fault(
        "has entry points that can not be read",
        HOOK,
        FAILED,
        "its entry points can not be read (",
        AGAIN,
        "[rebalancer]\nno equals sign",
    ),
]


def load(manager: PluginManager, name: str, *, seconds: float = 60) -> PluginReport:
    (report,) = manager.load(allow=(name,), timeout=timedelta(seconds=seconds))
    return report


def load_bad(manager: PluginManager, fault: Fault, site: Site) -> PluginReport:
    site.install("acme-bad", fault.source, entry_points=fault.entry_points)
    return load(manager, "acme-bad", seconds=0.2 if fault.status is TIMED_OUT else 60)


def names(manager: PluginManager) -> list[tuple[str, ...]]:
    registry = manager.registry
    return [
        tuple(catalogue)
        for catalogue in (
            registry.rules,
            registry.sources,
            registry.executors,
            registry.stores,
            registry.observers,
            registry.presets,
        )
    ]


def decided(manager: PluginManager) -> str:
    """What the good plugin's rule decides, as JSON."""
    rule = manager.registry.rules.create("acme-good")
    assert is_rule(rule)
    return CombinedStrategy(rule).decide(a_position(), a_snapshot()).model_dump_json()


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_the_report_says_what_happened_and_what_to_do(fault: Fault, site: Site) -> None:
    site.install_good()
    manager = PluginManager()
    load(manager, "acme-good")
    report = load_bad(manager, fault, site)
    assert (report.distribution, report.version, report.status) == ("acme-bad", "1.0", fault.status)
    assert str(report.error).startswith(fault.error)
    assert re.match(fault.advice, str(report.advice))
    assert str(report).isprintable()
    assert len(str(report)) < 1_000
    assert report.registered == ()
    assert manager.reports[2:] == (report,)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_others_load_and_decide_to_the_byte_as_without_it(fault: Fault, site: Site) -> None:
    site.install_good()
    site.install_good("acme-later")
    without = PluginManager()
    without.load(allow=("acme-good", "acme-later"))
    manager = PluginManager()
    load(manager, "acme-good")
    load_bad(manager, fault, site)
    assert load(manager, "acme-later").status is PluginStatus.LOADED
    assert names(manager) == names(without)
    assert decided(manager) == decided(without)
    assert '"action":"CLOSE"' in decided(manager)


def test_what_a_plugin_registers_too_late_is_ignored(site: Site) -> None:
    late = "import os, time\nwhile not os.path.exists(GATE): time.sleep(0.01)\n" + HOOK
    manager = PluginManager()
    load_bad(manager, Fault("late", late, TIMED_OUT, ""), site)
    reports = manager.reports
    site.open_gate()
    assert "half" not in manager.registry.rules
    assert manager.reports == reports
    assert load(manager, "acme-bad").status is TIMED_OUT


def test_what_a_plugin_registers_after_its_hook_is_ignored(site: Site) -> None:
    manager = PluginManager()
    kept = "import rebalancer\nKEPT = []\n" + HOOK + "    KEPT.append(register)"
    assert load_bad(manager, Fault("kept", kept, PluginStatus.LOADED, ""), site).status is PluginStatus.LOADED
    module = __import__("acme_bad")
    module.KEPT[0]("later", module.DivergenceFlip)
    assert "later" not in manager.registry.rules
    assert "half" in manager.registry.rules


@pytest.mark.filterwarnings("error")
def test_an_async_hook_is_refused_and_leaves_nothing_to_await(site: Site) -> None:
    report = load_bad(PluginManager(), Fault("async", HOOK.replace("def", "async def"), REFUSED, ""), site)
    gc.collect()
    assert report.error == "rebalancer_register_rules returned a coroutine: a hook registers, and returns nothing"


def test_only_the_thread_of_a_plugin_that_hangs_is_left(site: Site) -> None:
    before = threading.enumerate()
    manager = PluginManager()
    site.install_good()
    load(manager, "acme-good")
    assert threading.enumerate() == before
    load_bad(manager, next(fault for fault in FAULTS if fault.name == "sleeps at import"), site)
    (left,) = set(threading.enumerate()) - set(before)
    assert left.daemon


@pytest.mark.parametrize("place", ["at import", "in a hook", "in the text of an exception"])
def test_an_interrupt_is_passed_on(place: str, site: Site) -> None:
    sources = {
        "at import": "raise KeyboardInterrupt",
        "in a hook": f"{HOOK}    raise KeyboardInterrupt",
        "in the text of an exception": (
            "class Odd(Exception):\n    def __str__(self): raise KeyboardInterrupt\nraise Odd"
        ),
    }
    site.install("acme-bad", sources[place])
    manager = PluginManager()
    with pytest.raises(KeyboardInterrupt):
        manager.load(allow=("acme-bad",))
    assert len(manager.reports) == 1
    assert "half" not in manager.registry.rules


@pytest.mark.parametrize("seconds", [0, -1, 86_401])
def test_a_timeout_that_is_none_is_refused(seconds: int) -> None:
    with pytest.raises(InputError, match=r"^timeout must be above zero, and at most a day$"):
        PluginManager().load(allow=(), timeout=timedelta(seconds=seconds))
