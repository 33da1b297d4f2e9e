"""Every error that rebalancer raises on purpose."""

from __future__ import annotations

import inspect

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError

import rebalancer
from rebalancer import (
    HistoryError,
    InputError,
    Missing,
    MissingExtraError,
    RebalancerError,
    UndeclaredNeedError,
    UnknownValueError,
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
