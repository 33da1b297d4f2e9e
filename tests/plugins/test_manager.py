"""Which plugins are loaded, in which order, and what is said of the others."""

from __future__ import annotations

import base64
import hashlib
import subprocess
import sys
import zipfile
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pluggy
import pytest

from rebalancer import DivergenceFlip, InputError
from rebalancer.plugins import ANY, Kind, PluginManager, PluginReport, PluginStatus, Registry, hookimpl

if TYPE_CHECKING:
    from tests.plugins.conftest import Site

LOADED, REFUSED, FOUND = PluginStatus.LOADED, PluginStatus.REFUSED, PluginStatus.FOUND
FAILED, NOT_FOUND = PluginStatus.FAILED, PluginStatus.NOT_FOUND


def statuses(reports: tuple[PluginReport, ...]) -> list[tuple[str, PluginStatus]]:
    return [(report.distribution, report.status) for report in reports]


def test_a_plugin_that_is_not_allowed_is_not_imported(site: Site) -> None:
    site.install_good()
    site.install("acme-spy", "from pathlib import Path\nPath(GATE).with_name('seen').touch()")
    PluginManager().load(allow=("acme-good",))
    assert "acme_good" in sys.modules
    assert "acme_spy" not in sys.modules
    assert not site.gate.with_name("seen").exists()


def test_nothing_is_loaded_before_it_is_asked_for(site: Site) -> None:
    site.install_good()
    manager = PluginManager()
    assert manager.load(allow=()) == ()
    assert "acme_good" not in sys.modules
    assert len(manager.reports) == 1


def test_what_is_loaded_can_be_made_by_name(site: Site) -> None:
    site.install_good()
    manager = PluginManager()
    (report,) = manager.load(allow=("acme-good",))
    assert (report.distribution, report.version, report.entry_point) == ("acme-good", "1.0", "plugin")
    assert (report.status, report.error, report.advice) == (LOADED, None, None)
    assert report.registered == ((Kind.RULES, "acme-good"),)
    assert report.seconds is not None
    assert report.seconds > 0
    assert str(report) == "acme-good 1.0 [plugin]: loaded: rules acme-good"
    made = manager.registry.rules.create("acme-good", floor="0.25")
    assert repr(made) == "AcmeGood(floor=0.25)"
    assert manager.registry.rules["acme-good"].distribution == "acme-good"


@pytest.mark.parametrize("spelling", ["acme-good", "Acme_Good", "ACME.GOOD", "acme--good", " acme-good == 1.0 "])
def test_names_of_distributions_are_compared_normalised(spelling: str, site: Site) -> None:
    site.install_good()
    assert statuses(PluginManager().load(allow=(spelling,))) == [("acme-good", LOADED)]


@pytest.mark.parametrize("version", ["1.0", "1.0.0", "1"])
def test_a_version_is_allowed_exactly(version: str, site: Site) -> None:
    site.install_good(version="1.0")
    (report,) = PluginManager().load(allow=(f"acme-good=={version}",))
    if version == "1.0":
        assert report.status is LOADED
    else:
        assert report.status is REFUSED
        assert report.error == f"version {version} is allowed, but 1.0 is installed"
        assert report.advice == f"pip install acme-good=={version}, or allow acme-good==1.0"
        assert "acme_good" not in sys.modules


def test_what_is_not_installed_is_reported_and_the_rest_is_loaded(site: Site) -> None:
    site.install_good()
    absent, good = PluginManager().load(allow=("acme-absent", "acme-good"))
    assert absent.status is NOT_FOUND
    assert str(absent) == (
        "acme-absent: not found: it is not installed; pip install acme-absent, or take it off the allow list"
    )
    assert good.status is LOADED


def test_a_distribution_without_a_plugin_is_reported(site: Site) -> None:
    site.install("acme-tool", entry_points="[console_scripts]\nacme = acme_tool:main")
    (report,) = PluginManager().load(allow=("acme-tool",))
    assert report.status is NOT_FOUND
    assert report.error == "it has no plugin: no entry point in the group 'rebalancer'"
    assert report.advice == "take it off the allow list, or tell its author"


@pytest.mark.parametrize("order", [("acme-one", "acme-two"), ("acme-two", "acme-one")])
def test_the_first_of_the_allow_list_keeps_a_contested_name_and_the_second_keeps_nothing(
    order: tuple[str, str], site: Site
) -> None:
    both = """
        from rebalancer import DivergenceFlip
        from rebalancer.plugins import hookimpl
        @hookimpl
        def rebalancer_register_rules(register):
            register("{0}", DivergenceFlip)
            register("contested", DivergenceFlip)
        @hookimpl
        def rebalancer_register_presets(register):
            register("{0}", DivergenceFlip)
    """
    for name in ("acme-one", "acme-two"):
        site.install(name, both.format(name))
    manager = PluginManager()
    first, second = manager.load(allow=order)
    assert statuses((first, second)) == [(order[0], LOADED), (order[1], REFUSED)]
    assert second.error == f"it registers the rule 'contested', which {order[0]} has registered"
    assert second.registered == ()
    assert manager.registry.rules["contested"].distribution == order[0]
    assert order[1] not in {*manager.registry.rules, *manager.registry.presets}


def test_one_name_may_be_that_of_a_rule_and_of_a_preset(site: Site) -> None:
    site.install(
        "acme-both",
        """
        import rebalancer as rb
        from rebalancer.plugins import hookimpl
        @hookimpl
        def rebalancer_register_rules(register): register("both", rb.DivergenceFlip)
        @hookimpl
        def rebalancer_register_presets(register): register("both", rb.DivergenceFlip)
        """,
    )
    (report,) = PluginManager().load(allow=("acme-both",))
    assert str(report) == "acme-both 1.0 [plugin]: loaded: rules both; presets both"


def test_two_distributions_may_name_their_entry_points_alike(site: Site) -> None:
    site.install_good("acme-good")
    site.install_good("acme-other")
    reports = PluginManager().load(allow=("acme-good", "acme-other"))
    assert [(report.entry_point, report.status) for report in reports] == [("plugin", LOADED)] * 2


def test_a_distribution_may_have_several_plugins_and_one_that_fails_is_alone(site: Site) -> None:
    site.install_good(
        entry_points="[rebalancer]\nnone = acme_nowhere\nplugin = acme_good\nplugin = acme_good:AcmeGood\n"
    )
    reports = PluginManager().load(allow=("acme-good",))
    assert [(report.entry_point, report.status) for report in reports] == [
        ("none", FAILED),
        ("plugin", LOADED),
        ("plugin", REFUSED),
    ]


def test_any_allows_everything_in_the_order_of_names(site: Site) -> None:
    for name in ("acme-c", "Acme_B", "acme-a"):
        site.install_good(name, **({"entry_points": "[rebalancer]\nplugin = Acme_B"} if name == "Acme_B" else {}))
    (site.folder / "Acme_B.py").write_text((site.folder / "Acme_B.py").read_text().replace("Acme_B", "acme-b"))
    assert statuses(PluginManager().load(allow=ANY)) == [("acme-a", LOADED), ("Acme_B", LOADED), ("acme-c", LOADED)]


def test_what_is_loaded_already_is_not_loaded_again(site: Site) -> None:
    for name in ("acme-one", "acme-two"):
        site.install_good(name)
    manager = PluginManager()
    (one,) = manager.load(allow=("acme-one",))
    module = sys.modules["acme_one"]
    again, two = manager.load(allow=("acme-one", "acme-two"))
    assert again is one
    assert two.status is LOADED
    assert sys.modules["acme_one"] is module
    assert manager.reports[1:] == (one, two)


def test_what_was_not_installed_may_be_loaded_once_it_is(site: Site) -> None:
    manager = PluginManager()
    assert statuses(manager.load(allow=("acme-good",))) == [("acme-good", NOT_FOUND)]
    site.install_good()
    assert statuses(manager.load(allow=("acme-good",))) == [("acme-good", LOADED)]
    assert statuses(manager.reports[1:]) == [("acme-good", LOADED)]


def test_managers_share_nothing(site: Site) -> None:
    site.install_good()
    one, other = PluginManager(), PluginManager()
    one.load(allow=("acme-good",))
    assert "acme-good" in one.registry.rules
    assert "acme-good" not in other.registry.rules
    assert statuses(other.load(allow=("acme-good",))) == [("acme-good", LOADED)]


def test_a_registry_does_not_change_under_its_holder(site: Site) -> None:
    site.install_good()
    manager = PluginManager()
    before = manager.registry
    manager.load(allow=("acme-good",))
    assert "acme-good" not in before.rules
    assert "acme-good" in manager.registry.rules


def test_of_a_distribution_that_is_installed_more_than_once_the_first_is_loaded(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.install_good(version="2.0")
    others = [type(site)(tmp_path / name) for name in ("second", "third")]
    for other in others:
        other.install_good(version="1.0")
    folders = [other.folder for other in others]
    monkeypatch.setattr(sys, "path", [*sys.path, *map(str, folders), str(site.folder)])
    manager = PluginManager()
    for first, *later in (manager.load(allow=("acme-good",)), manager.installed(), manager.load(allow=ANY)):
        assert (first.version, first.status) == ("2.0", LOADED)
        assert [(report.version, report.status) for report in later] == [("1.0", REFUSED)] * 2
        assert [report.error for report in later] == [
            f"it is installed twice: Python imports the one in {site.folder}, not that in {folder}"
            for folder in folders
        ]
        assert later[0].advice == "uninstall one of the two"
    assert sys.modules["acme_good"].__file__ == str(site.folder / "acme_good.py")
    assert len(manager.reports) == 4


@pytest.mark.parametrize("metadata", ["", "Version: 1.0\n", "Name: acme-broken\n", "Name: else\nVersion: 1.0\n"])
def test_broken_metadata_is_reported_and_stops_no_other(metadata: str, site: Site) -> None:
    site.install("acme-broken", metadata=metadata)
    site.install_good()
    broken, good = PluginManager().load(allow=("acme-broken", "acme-good"))
    assert statuses((broken, good)) == [("acme-broken", FAILED), ("acme-good", LOADED)]
    assert broken.error == f"its METADATA is missing or broken, or it names another distribution, in {site.folder}"
    assert broken.advice == "install it again"
    assert "acme_broken" not in sys.modules


def test_metadata_that_is_no_text_is_broken_too(site: Site) -> None:
    site.install("acme-broken")
    (site.folder / "acme_broken-1.0.dist-info" / "METADATA").write_bytes(b"Name: acme-broken\nVersion: \xff\n")
    site.install_good()
    broken, good = PluginManager().load(allow=("acme-broken", "acme-good"))
    assert statuses((broken, good)) == [("acme-broken", FAILED), ("acme-good", LOADED)]


def test_a_plugin_without_a_name_is_reported_where_any_is_allowed(site: Site) -> None:
    site.install("acme-broken", metadata="")
    site.install_good()
    manager = PluginManager()
    expected = [("(without a name)", FAILED), ("acme-good", LOADED)]
    assert statuses(manager.load(allow=ANY)) == expected
    assert statuses(manager.installed()) == expected


def mislaid(site: Site) -> None:
    """A distribution whose folder has another name than its metadata."""
    site.install("acme-mislaid", metadata="Metadata-Version: 2.1\nName: acme-other\nVersion: 1.0\n")


def test_a_distribution_that_can_not_be_found_by_its_name_is_no_secret(site: Site) -> None:
    mislaid(site)
    manager = PluginManager()
    for (report,) in (manager.installed(), manager.load(allow=ANY)):
        assert (report.distribution, report.version, report.status) == ("acme-other", "1.0", FAILED)
        assert report.error == (
            f"it can not be found by its name: that of its dist-info folder is another, in {site.folder}"
        )
        assert report.advice == "install it again"
    assert "acme_mislaid" not in sys.modules


def test_a_distribution_that_can_not_be_found_does_not_hide_the_one_of_its_name(site: Site) -> None:
    mislaid(site)
    site.install_good("acme-other", entry_points="[rebalancer]\ngood = acme_other\n")
    assert statuses(PluginManager().load(allow=ANY)) == [("acme-other", LOADED), ("acme-other", FAILED)]


def test_an_empty_name_is_none(site: Site) -> None:
    site.install("acme-broken", metadata="Metadata-Version: 2.1\nName:\nVersion: 1.0\n")
    site.install_good()
    assert statuses(PluginManager().load(allow=ANY)) == [("(without a name)", FAILED), ("acme-good", LOADED)]


def test_nobody_is_told_to_allow_a_name_that_can_not_be_allowed(site: Site) -> None:
    site.install_good("acme-good", metadata="Metadata-Version: 2.1\nName: acme-é\nVersion: 1.0\n")
    (site.folder / "acme_good-1.0.dist-info").rename(site.folder / "acme_é-1.0.dist-info")
    manager = PluginManager()
    (report,) = manager.installed()
    assert report.advice == "no allow list can name it: only ANY loads it, or its author renames it"
    assert statuses(manager.load(allow=ANY)) == [("acme-é", LOADED)]


def test_what_is_installed_is_listed_without_importing_it(site: Site) -> None:
    site.install_good()
    site.install("acme-tool", entry_points="[console_scripts]\nacme = acme_tool:main")
    manager = PluginManager()
    (report,) = manager.installed()
    assert (report.status, report.seconds) == (FOUND, None)
    assert str(report) == "acme-good 1.0 [plugin]: found: to load it, allow acme-good"
    assert "acme_good" not in sys.modules
    assert manager.installed() == (report,)
    assert manager.load(allow=("acme-good",)) == manager.installed()


def test_a_plugin_can_not_reach_into_another(site: Site) -> None:
    site.install(
        "acme-grip",
        """
        import pluggy
        from rebalancer import DivergenceFlip
        mark = pluggy.HookimplMarker("rebalancer")
        @mark(tryfirst=True, hookwrapper=True)
        def rebalancer_register_rules(register):
            register("grip", DivergenceFlip)
            outcome = yield
            outcome.force_result([])
        @mark(wrapper=True, tryfirst=True)
        def rebalancer_register_presets(register):
            raise SystemExit
            yield
        """,
    )
    site.install_good()
    manager = PluginManager()
    grip, good = manager.load(allow=("acme-grip", "acme-good"))
    assert grip.status is FAILED
    assert good.registered == ((Kind.RULES, "acme-good"),)


@pytest.mark.parametrize("entry", ["acme_shapes:Plugin", "acme_shapes:plugin", "acme_shapes:Static", "acme_shapes:bag"])
def test_a_plugin_may_be_a_class_or_an_object(entry: str, site: Site) -> None:
    site.install(
        "acme-shapes",
        """
        from types import SimpleNamespace
        from rebalancer import DivergenceFlip
        from rebalancer.plugins import hookimpl
        REBALANCER_API = 1
        class Plugin:
            @hookimpl
            def rebalancer_register_rules(self, register): register("shape", DivergenceFlip)
        class Static:
            @staticmethod
            @hookimpl
            def rebalancer_register_rules(register): register("shape", DivergenceFlip)
        plugin = Plugin()
        class Bag: pass
        bag = Bag()
        bag.rebalancer_register_rules = plugin.rebalancer_register_rules
        """,
        entry_points=f"[rebalancer]\nplugin = {entry}\n",
    )
    (report,) = PluginManager().load(allow=("acme-shapes",))
    assert report.registered == ((Kind.RULES, "shape"),)


def test_a_marker_of_the_plugins_own_works_too() -> None:
    module: Any = ModuleType("acme_own")

    @pluggy.HookimplMarker("rebalancer")
    def rebalancer_register_rules(register: Any) -> None:
        register("own", DivergenceFlip)

    module.rebalancer_register_rules = rebalancer_register_rules
    assert PluginManager().add(module, distribution="acme-own").registered == ((Kind.RULES, "own"),)


class Host:
    """A host's own plugin."""

    @hookimpl
    def rebalancer_register_rules(self, register: Any) -> None:
        register("mine", DivergenceFlip)


def test_a_host_may_add_what_is_not_installed() -> None:
    manager = PluginManager()
    report = manager.add(Host(), distribution="my-bot", version="7")
    assert str(report) == "my-bot 7: loaded: rules mine"
    assert manager.registry.rules.create("mine") == DivergenceFlip()
    assert manager.reports[1:] == (report,)


def test_what_a_host_adds_obeys_the_same_rules() -> None:
    manager = PluginManager()
    manager.add(Host, distribution="my-bot")
    again = manager.add(Host, distribution="my-bot")
    assert (again.status, again.error) == (REFUSED, "it registers the rule 'mine', which my-bot has registered")
    assert len(manager.reports) == 3


@pytest.mark.parametrize(
    "allow",
    [("acme>=1",), ("",), ("-acme",), ("acme-",), ("acme==",), ("acme==1;os",), ("acme\n[x]",), (None,), ("acmé",)],
)
def test_what_names_no_distribution_is_refused(allow: Any) -> None:
    with pytest.raises(InputError, match=r"^allow takes names of distributions, each with ==version at most$"):
        PluginManager().load(allow=allow)


def test_a_name_in_the_place_of_a_list_is_refused() -> None:
    with pytest.raises(InputError, match=r"^allow needs a list of distributions, such as \('acme-rules', "):
        PluginManager().load(allow="acme-rules")


def test_a_distribution_that_is_allowed_twice_is_refused() -> None:
    with pytest.raises(InputError, match=r"^allow has acme-rules twice$"):
        PluginManager().load(allow=("acme-rules", "Acme_Rules==1"))


def test_the_reports_are_stored_and_read_back(site: Site) -> None:
    site.install_good()
    manager = PluginManager()
    for report in (*manager.load(allow=("acme-good", "acme-absent")), *manager.reports):
        assert PluginReport.model_validate_json(report.model_dump_json()) == report


def test_no_text_of_a_report_can_forge_a_line() -> None:
    evil = "acme\x1b[2J\nERROR\u202e\ud800" + "x" * 5_000
    report = PluginReport(
        distribution=evil, version=evil, entry_point=evil, status=FAILED, error=evil, advice=evil, seconds=0
    )
    assert str(report).isprintable()
    assert len(str(report)) < 3_000
    str(report).encode()


def test_an_empty_registry_has_nothing_to_make() -> None:
    with pytest.raises(InputError, match=r"^there is no rule of that name; there are none$"):
        Registry().rules.create("time_limit")


def test_a_plugin_in_a_real_wheel_is_installed_and_loaded(
    tmp_path: Path, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.install_good("acme-wheel")
    wheel, target = tmp_path / "acme_wheel-1.0-py3-none-any.whl", tmp_path / "target"
    info = "acme_wheel-1.0.dist-info"
    files = {
        "acme_wheel.py": (site.folder / "acme_wheel.py").read_bytes(),
        f"{info}/METADATA": (site.folder / info / "METADATA").read_bytes(),
        f"{info}/entry_points.txt": (site.folder / info / "entry_points.txt").read_bytes(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    digests = {name: base64.urlsafe_b64encode(hashlib.sha256(data).digest()) for name, data in files.items()}
    record = [f"{name},sha256={digests[name].decode().rstrip('=')},{len(files[name])}" for name in files]
    files[f"{info}/RECORD"] = "\n".join([*record, f"{info}/RECORD,,\n"]).encode()
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    options = ["--quiet", "--no-deps", "--no-index", "--disable-pip-version-check"]
    pip = [sys.executable, "-m", "pip", "install", *options, "--target", str(target), str(wheel)]
    subprocess.run(pip, check=True, capture_output=True)
    monkeypatch.setattr(sys, "path", [str(target), *(path for path in sys.path if path != str(site.folder))])
    (report,) = PluginManager().load(allow=("acme-wheel==1.0",))
    assert report.status is LOADED
    assert sys.modules["acme_wheel"].__file__ == str(target / "acme_wheel.py")
