"""What is made by name: its options are checked, and what comes back is what was asked for."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any, assert_type

import pytest

from rebalancer import (
    BaseRule,
    CombinedStrategy,
    DivergenceFlip,
    DryRunExecutor,
    Executor,
    FundingSource,
    Guard,
    HeldFor,
    InputError,
    MarketSnapshot,
    MissingExtraError,
    Needs,
    Observer,
    PluginError,
    PositionStore,
    RebalancerError,
    Rule,
    StoreMode,
    TimeLimit,
)
from rebalancer.adapters import MemoryStore
from rebalancer.plugins import Catalogue, Kind, PluginManager, Registered, Registry


def having(kind: Kind, factory: Callable[..., Any]) -> Catalogue[Any]:
    """The catalogue of that kind, with one name in it."""
    catalogue: Catalogue[Any] = getattr(Registry([Registered(kind, "it", factory, "acme")]), kind)
    return catalogue


class Quiet(FundingSource):
    """A source of nothing."""

    name = "quiet"
    supplies = Needs()

    async def snapshot(self, request: object) -> MarketSnapshot:
        raise NotImplementedError


class Noting(Observer):
    """An observer that keeps the options it was made with."""

    def __init__(self, options: dict[str, Any]) -> None:
        self.options = options

    async def observe(self, report: object) -> None:
        raise NotImplementedError


def noting(**options: Any) -> Noting:
    return Noting(options)


def raising(error: BaseException) -> Callable[[], Any]:
    def factory() -> Any:
        raise error

    return factory


def test_a_catalogue_is_a_mapping_of_names() -> None:
    rules = having(Kind.RULES, DivergenceFlip)
    assert list(rules) == ["it"]
    assert len(rules) == 1
    assert "it" in rules
    assert "that" not in rules
    assert rules["it"] == (Kind.RULES, "it", DivergenceFlip, "acme")
    assert repr(rules) == "<rules: it>"
    with pytest.raises(KeyError):
        rules["that"]


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_has_a_catalogue_of_its_own(kind: Kind) -> None:
    registry = Registry([Registered(kind, "it", DivergenceFlip, "acme")])
    assert [other for other in Kind if "it" in getattr(registry, other)] == [kind]


def test_options_reach_the_factory() -> None:
    assert having(Kind.RULES, TimeLimit).create("it", reason="TOO_OLD") == TimeLimit(reason="TOO_OLD")
    assert having(Kind.OBSERVERS, noting).create("it", name=1, self=2).options == {"name": 1, "self": 2}


@pytest.mark.parametrize("made", [DivergenceFlip(), HeldFor(at_least="PT1H"), CombinedStrategy(DivergenceFlip())])  # type: ignore[arg-type]  # as a file has it
def test_rules_guards_and_strategies_are_rules(made: object) -> None:
    assert having(Kind.RULES, lambda: made).create("it") is made


def test_a_preset_is_a_strategy_and_a_rule_is_made_one() -> None:
    strategy = CombinedStrategy(DivergenceFlip())
    assert having(Kind.PRESETS, lambda: strategy).create("it") is strategy
    assert having(Kind.PRESETS, DivergenceFlip).create("it") == strategy


def test_a_source_is_a_funding_source() -> None:
    assert having(Kind.SOURCES, Quiet).create("it").name == "quiet"


def test_an_executor_is_an_executor_and_a_store_a_position_store() -> None:
    executor, store = DryRunExecutor(), MemoryStore(mode=StoreMode.DRY)
    assert having(Kind.EXECUTORS, lambda: executor).create("it") is executor
    assert having(Kind.STORES, lambda: store).create("it") is store
    for kind, other in ((Kind.EXECUTORS, store), (Kind.STORES, executor)):
        with pytest.raises(PluginError):
            having(kind, lambda other=other: other).create("it")


def test_an_observer_is_an_observer() -> None:
    assert isinstance(having(Kind.OBSERVERS, noting).create("it"), Observer)


@pytest.mark.parametrize(
    ("kind", "made"),
    [
        (Kind.RULES, "a rule"),
        (Kind.RULES, DivergenceFlip),
        (Kind.RULES, None),
        (Kind.SOURCES, DivergenceFlip()),
        (Kind.PRESETS, HeldFor(at_least="PT1H")),  # type: ignore[arg-type]  # as a file has it
        (Kind.STORES, None),
        (Kind.OBSERVERS, print),
    ],
)
def test_what_is_made_wrong_is_refused_naming_the_distribution(kind: Kind, made: object) -> None:
    with pytest.raises(PluginError) as refused:
        having(kind, lambda: made).create("it")
    assert refused.value.distribution == "acme"
    assert str(refused.value) == (
        f"acme: the {kind.one} 'it' is none: its factory made a {type(made).__name__}; upgrade it, or tell its author"
    )


@pytest.mark.parametrize("error", [ValueError("oh\nno"), SystemExit(3), GeneratorExit(), TypeError()])
def test_whatever_a_factory_raises_is_an_error_of_its_distribution(error: BaseException) -> None:
    with pytest.raises(PluginError) as refused:
        having(Kind.STORES, raising(error)).create("it")
    assert refused.value.distribution == "acme"
    assert refused.value.__cause__ is error
    told = {"ValueError": "ValueError: oh no", "SystemExit": "SystemExit: 3"}.get(
        type(error).__name__, type(error).__name__
    )
    assert str(refused.value) == (
        f"acme: the store 'it' was not made: its factory raised {told}; upgrade it, or tell its author"
    )


@pytest.mark.parametrize(
    "error",
    [InputError("no"), MissingExtraError("it", extra="cli"), RebalancerError("no"), KeyboardInterrupt()],
    ids=lambda error: type(error).__name__,
)
def test_errors_of_this_library_and_an_interrupt_pass_as_they_are(error: BaseException) -> None:
    with pytest.raises(type(error)) as passed:
        having(Kind.STORES, raising(error)).create("it")
    assert passed.value is error


def test_an_object_that_fights_being_looked_at_is_an_error_of_its_distribution() -> None:
    class Odd:
        @property
        def needs(self) -> Needs:
            raise SystemExit

        name = evaluate = ""

    with pytest.raises(PluginError, match=r"^acme: the rule 'it' was not made: its factory raised SystemExit; "):
        having(Kind.RULES, Odd).create("it")


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.filterwarnings("error")
def test_an_async_factory_is_refused_and_leaves_nothing_to_await(kind: Kind) -> None:
    async def factory() -> None: ...

    with pytest.raises(PluginError, match=f"^acme: the {kind.one} 'it' is none: its factory made a coroutine; "):
        having(kind, factory).create("it")
    gc.collect()


@pytest.mark.parametrize("factory", [raising(ValueError("oh")), lambda: None])
def test_a_fault_of_the_library_itself_is_not_for_the_author_of_a_plugin(factory: Callable[..., Any]) -> None:
    rules = Registry([Registered(Kind.RULES, "it", factory, "funding-rebalancer")]).rules
    with pytest.raises(PluginError, match=r"^funding-rebalancer: the rule 'it' .*(ValueError: oh|NoneType)$"):
        rules.create("it")


def test_a_type_checker_knows_what_is_made() -> None:
    registry = PluginManager().registry
    assert_type(registry.rules.create("time_limit"), Rule | Guard)
    assert_type(registry.sources.create("service"), FundingSource)
    assert_type(registry.executors.create("dry_run"), Executor)
    assert_type(registry.stores.create("memory"), PositionStore)
    assert_type(registry.presets.create("combined"), CombinedStrategy)


@pytest.mark.parametrize("name", ["service", "ccxt", "history"])
def test_a_refused_option_names_the_source_and_not_a_class(name: str) -> None:
    with pytest.raises(InputError, match=f"^the source '{name}': (.*; )?pth: is not known here"):
        PluginManager().registry.sources.create(name, pth="x")


def test_an_unknown_name_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(InputError) as refused:
        having(Kind.EXECUTORS, dict).create("its")
    assert str(refused.value) == "there is no executor of that name (did you mean 'it'?); there are it"


def connect(url: str, *, venues: str = "") -> str:
    return url + venues


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "the store 'it' needs the option url; it takes url, venues"),
        ({"urls": 1}, "the store 'it' has no such option (did you mean 'url'?); it takes url, venues"),
        ({"url": "", "qqq": 1}, "the store 'it' has no such option; it takes url, venues"),
    ],
)
def test_options_that_are_unknown_or_missing_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as refused:
        having(Kind.STORES, connect).create("it", **options)
    assert str(refused.value) == message


def test_a_factory_without_options_says_so() -> None:
    with pytest.raises(InputError, match=r"^the store 'it' has no such option; it takes no options$"):
        having(Kind.STORES, lambda: 1).create("it", url="")


def test_every_missing_option_is_named() -> None:
    with pytest.raises(InputError, match=r"^the store 'it' needs the option a and b; it takes a, b$"):
        having(Kind.STORES, lambda a, b: 1).create("it")


def test_the_options_of_a_rule_are_its_parameters_whether_it_was_made_before_or_not() -> None:
    class Fresh(BaseRule):
        """Never made before."""

        max_age: int = 1

    for _ in range(2):
        with pytest.raises(InputError) as refused:
            having(Kind.RULES, Fresh).create("it", max_aje=1)
        assert str(refused.value) == (
            "the rule 'it' has no such option (did you mean 'max_age'?); it takes reason, urgency, max_age"
        )
        having(Kind.RULES, Fresh).create("it")


def test_a_factory_that_takes_any_option_checks_them_itself() -> None:
    assert having(Kind.OBSERVERS, noting).create("it", a=1).options == {"a": 1}


def test_a_factory_that_can_not_say_its_options_is_called_with_them() -> None:
    class Silent:
        @property
        def __signature__(self) -> Any:
            raise ValueError

        def __call__(self, **options: Any) -> Any:
            return noting(**options)

    assert having(Kind.OBSERVERS, Silent()).create("it", a=1).options == {"a": 1}
