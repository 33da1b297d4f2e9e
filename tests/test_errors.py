"""Every error that rebalancer raises on purpose."""

from __future__ import annotations

import copy
import inspect
import pickle
from collections.abc import Callable

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError

import rebalancer
from rebalancer import (
    BadAnswerError,
    HistoryError,
    InputError,
    Missing,
    MissingExtraError,
    PluginError,
    RebalancerError,
    SourceError,
    SourceRefusedError,
    SourceUnavailableError,
    UndeclaredNeedError,
    UnknownMarketError,
    UnknownValueError,
    UnsuppliedNeedError,
    errors,
)
from rebalancer.errors import suggestion

TREE = {
    name: member for name, member in vars(errors).items() if inspect.isclass(member) and issubclass(member, Exception)
}


def _half(data: dict[str, int]) -> int:
    return data.get("amount", 0) // 2


class Form(BaseModel):
    """Something that pydantic validates."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    amount: int
    label: str = ""
    half: int = Field(default_factory=_half)


def refused(**fields: object) -> ValidationError:
    """What pydantic says of these fields."""
    with pytest.raises(ValidationError) as error:
        Form.model_validate(fields)
    return error.value


@pytest.mark.parametrize("name", sorted(TREE))
def test_every_error_is_a_rebalancer_error_drawn_in_the_tree_and_public(name: str) -> None:
    assert issubclass(TREE[name], RebalancerError)
    assert name in str(errors.__doc__)
    assert getattr(rebalancer, name) is TREE[name]


@pytest.mark.parametrize(
    ("error", "parent"),
    [
        (InputError, ValueError),
        (HistoryError, InputError),
        (HistoryError, ValueError),
        (MissingExtraError, ImportError),
        (SourceUnavailableError, SourceError),
        (SourceRefusedError, SourceError),
        (UnknownMarketError, SourceRefusedError),
        (BadAnswerError, SourceError),
        (RebalancerError, Exception),
    ],
)
def test_an_error_is_caught_as_what_it_also_is(error: type[Exception], parent: type[Exception]) -> None:
    assert issubclass(error, parent)


def test_a_refusal_is_one_line_that_names_each_field_but_does_not_blame_a_derived_one() -> None:
    error = InputError.from_validation(refused(label=5))
    assert isinstance(error, InputError)
    assert str(error) == "Form: amount: Field required; label: Input should be a valid string"


def test_a_refusal_of_the_whole_names_no_field() -> None:
    with pytest.raises(ValidationError) as error:
        Form.model_validate(5)
    assert str(InputError.from_validation(error.value)) == (
        "Form: Input should be a valid dictionary or instance of Form"
    )


def test_a_history_error_is_made_of_a_refusal_as_well() -> None:
    error = HistoryError.from_validation(refused())
    assert isinstance(error, HistoryError)
    assert (str(error), error.row) == ("Form: amount: Field required", None)


def test_an_unknown_key_is_refused_with_the_nearest_of_the_known_names() -> None:
    error = InputError.from_validation(refused(amount=1, lable=""), known=("amount", "label"))
    assert str(error) == "Form: lable: is not known here (did you mean 'label'?)"


def test_an_unknown_key_is_refused_without_a_suggestion_where_nothing_is_known() -> None:
    assert str(InputError.from_validation(refused(amount=1, lable=""))) == "Form: lable: is not known here"


@pytest.mark.parametrize(
    ("key", "shown"),
    [
        ("a\n2026-01-05 all is well", r"'a\n2026-01-05 all is well'"),
        ("a\x1b[2J", r"'a\x1b[2J'"),
        ("a\u2028b", r"'a\u2028b'"),
        ("\u00e4", "\u00e4"),
        ("x" * 100, "x" * 100),
        ("x" * 101, "x" * 100),
    ],
)
def test_an_unknown_key_can_not_forge_a_log_line_nor_flood_it(key: str, shown: str) -> None:
    assert str(InputError.from_validation(refused(amount=1, **{key: ""}))) == f"Form: {shown}: is not known here"


def test_a_history_error_counts_rows_as_a_text_editor_does() -> None:
    error = HistoryError("the rate is not a number", row=3)
    assert str(error) == "row 3: the rate is not a number"
    assert error.row == 3


def test_a_history_error_of_a_whole_file_has_no_row() -> None:
    error = HistoryError("no rows")
    assert str(error) == "no rows"
    assert error.row is None


def test_an_unknown_value_says_what_is_missing_and_why() -> None:
    gaps = [Missing(field="rate", why="HTTP 503", venue="grvt"), Missing(field="volume", why="not given")]
    error = UnknownValueError(gaps)
    assert str(error) == "unknown: rate of grvt: HTTP 503; volume: not given"
    assert error.missing == tuple(gaps)


def test_an_undeclared_need_says_what_to_declare() -> None:
    error = UndeclaredNeedError("open_interest")
    assert str(error) == "this value needs Needs(open_interest=...): declare it in the rule's `needs`"
    assert error.need == "open_interest"


def test_a_missing_extra_names_the_command_that_installs_it() -> None:
    error = MissingExtraError("the command line", extra="cli")
    assert str(error) == 'the command line needs an optional dependency: pip install "funding-rebalancer[cli]"'
    assert error.extra == "cli"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("min_erosion_treshold", " (did you mean 'min_erosion_threshold'?)"),
        ("label", " (did you mean 'label'?)"),
        ("labels", " (did you mean 'label'?)"),
        ("qqq", ""),
        ("", ""),
    ],
)
def test_the_nearest_name_is_suggested_if_any_is_near(name: str, text: str) -> None:
    assert suggestion(name, ("amount", "label", "min_erosion_threshold")) == text


def test_nothing_is_suggested_where_nothing_is_known() -> None:
    assert suggestion("label", ()) == ""


@pytest.mark.parametrize(
    "kind", [SourceError, SourceUnavailableError, SourceRefusedError, UnknownMarketError, BadAnswerError]
)
def test_a_source_error_says_which_source_gave_no_answer_and_why(kind: type[SourceError]) -> None:
    error = kind("funding rate service", "HTTP 503")
    assert str(error) == "funding rate service: HTTP 503"
    assert error.source == "funding rate service"


@pytest.mark.parametrize("kind", [SourceRefusedError, UnknownMarketError])
def test_a_refused_question_carries_its_status_if_it_has_one(kind: type[SourceRefusedError]) -> None:
    assert kind("venue", "no such symbol", status=404).status == 404
    assert kind("venue", "no such symbol").status is None


def test_a_need_that_nobody_supplies_names_the_rule_and_what_to_do() -> None:
    error = UnsuppliedNeedError("LiquidationDistance", ["mark_price", "observations"])
    assert str(error) == (
        "LiquidationDistance needs mark_price, observations, which nothing here supplies: choose a source that "
        "supplies it, or a strategy without this rule"
    )
    assert (error.rule, error.needs) == ("LiquidationDistance", ("mark_price", "observations"))


def test_a_plugin_error_names_the_package_that_the_plugin_came_in() -> None:
    error = PluginError("acme-rules", "its rule has no name")
    assert str(error) == "acme-rules: its rule has no name"
    assert error.distribution == "acme-rules"


def is_plain(kind: type[Exception]) -> bool:
    """Whether an error is made of its message alone."""
    return not any("__init__" in vars(parent) for parent in kind.__mro__ if parent.__module__ == errors.__name__)


PLAIN = [kind("something happened") for kind in TREE.values() if is_plain(kind)]
CARRYING: list[Exception] = [
    HistoryError("the rate is not a number", row=3),
    UnknownValueError([Missing(field="rate", why="HTTP 503", venue="grvt")]),
    UndeclaredNeedError("open_interest"),
    UnsuppliedNeedError("LiquidationDistance", ["mark_price"]),
    SourceError("venue", "no answer"),
    SourceUnavailableError("venue", "no answer"),
    SourceRefusedError("venue", "HTTP 422", status=422),
    UnknownMarketError("venue", "HTTP 404", status=404),
    BadAnswerError("venue", "no JSON"),
    PluginError("acme-rules", "its rule has no name"),
    MissingExtraError("the command line", extra="cli"),
]


@pytest.mark.parametrize("error", PLAIN + CARRYING, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("copied", [lambda error: pickle.loads(pickle.dumps(error)), copy.copy, copy.deepcopy])
def test_an_error_survives_pickling_and_copying_with_all_it_carries(
    error: RebalancerError, copied: Callable[[RebalancerError], RebalancerError]
) -> None:
    again = copied(error)
    assert type(again) is type(error)
    assert (str(again), again.args, again.__dict__) == (str(error), error.args, error.__dict__)


def test_every_kind_of_error_is_pickled_here() -> None:
    assert {type(error).__name__ for error in PLAIN + CARRYING} == set(TREE)
