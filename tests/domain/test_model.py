"""The base of all values: frozen, closed, and refusing bad input with an InputError that never repeats it."""

from __future__ import annotations

import copy
import pickle
import traceback
from datetime import timedelta
from decimal import Decimal
from functools import cached_property
from typing import Annotated, Any

import pytest
from pydantic import Field, ValidationError

from rebalancer import FundingRate, InputError, MarketSnapshot, Needs, Position, Quote
from rebalancer.domain.model import Value, computed
from rebalancer.domain.names import Line, Symbol
from rebalancer.domain.numbers import Usd
from rebalancer.testing import AS_OF, a_position, a_quote, a_rate, a_snapshot, an_opportunity

CANARY = "hunter2 " * 3


class Purse(Value):
    """A value with fields that are required and some that are not, and with something computed."""

    owner: Symbol
    coins: Usd
    label: Line = "a purse"
    times_opened: Annotated[int, Field(ge=0)] = 0

    @cached_property
    def twice(self) -> Decimal:
        """Twice the coins."""
        return self.coins + self.coins

    @computed
    def spellings(self) -> list[str]:
        """The label's."""
        return [self.label, self.label.upper()]


def test_a_value_can_not_be_changed() -> None:
    purse = Purse(owner="ann", coins=5)
    with pytest.raises(ValueError, match="frozen"):
        purse.coins = 6
    with pytest.raises(ValueError, match="frozen"):
        del purse.owner
    assert purse == Purse(owner="ANN", coins="5.00")


def test_values_with_equal_fields_are_equal_and_hash_alike_whatever_was_computed() -> None:
    computed, fresh = Purse(owner="ann", coins=5), Purse(owner="ann", coins=5)
    assert computed.twice == 10
    assert computed == fresh
    assert hash(computed) == hash(fresh)
    assert computed != Purse(owner="ann", coins=6)


def test_what_is_computed_is_computed_once_and_is_no_part_of_the_value() -> None:
    purse = Purse(owner="ann", coins=5)
    assert purse.spellings == ["a purse", "A PURSE"]
    assert purse.spellings is purse.spellings
    assert purse == Purse(owner="ann", coins=5)
    assert purse.model_copy(update={"label": "mine"}).spellings == ["mine", "MINE"]
    assert "spellings" not in pickle.loads(pickle.dumps(purse)).__dict__
    assert Purse.spellings.__doc__ == "The label's."


def test_a_refused_value_is_an_input_error_that_names_the_class_and_the_field() -> None:
    with pytest.raises(InputError) as refused:
        Purse(owner="ann", coins="much")
    assert str(refused.value) == "Purse: coins: not a number: write plain ASCII digits, such as 0.0001"
    assert isinstance(refused.value.__cause__, ValidationError)


def test_every_refused_field_is_named() -> None:
    with pytest.raises(InputError) as refused:
        Purse(owner="a b", times_opened=-1)  # type: ignore[call-arg]  # the mistake under test
    assert str(refused.value) == (
        "Purse: owner: not a symbol: 1 to 40 characters of A-Z 0-9 : / _ . -; coins: Field required; "
        "times_opened: Input should be greater than or equal to 0"
    )


def test_an_unknown_key_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(InputError) as refused:
        Purse(owner="ann", coins=5, times_open=1)  # type: ignore[call-arg]  # the mistake under test
    assert str(refused.value) == "Purse: times_open: is not known here (did you mean 'times_opened'?)"


def test_an_unknown_key_that_resembles_nothing_is_refused_without_a_suggestion() -> None:
    with pytest.raises(InputError) as refused:
        Purse(owner="ann", coins=5, qqq=1)  # type: ignore[call-arg]  # the mistake under test
    assert str(refused.value) == "Purse: qqq: is not known here"


@pytest.mark.parametrize(
    ("model", "key", "nearest"),
    [
        (Position, "entry_long_rat", "entry_long_rate"),
        (Position, "size", "size_usd"),
        (Quote, "venu", "venue"),
        (MarketSnapshot, "quote", "quotes"),
        (Needs, "open_intrest", "open_interest"),
        (FundingRate, "intervall", "interval"),
    ],
)
def test_an_unknown_key_in_json_is_refused_with_the_nearest_name(model: type[Value], key: str, nearest: str) -> None:
    with pytest.raises(InputError) as refused:
        model.model_validate_json(f'{{"{key}": 1}}')
    assert f"{key}: is not known here (did you mean '{nearest}'?)" in str(refused.value)


def test_an_error_in_a_nested_value_says_where_it_is() -> None:
    quotes = [a_quote().model_dump(), {**a_quote().model_dump(), "rate": {"value": "x", "interval": "PT8H"}}]
    with pytest.raises(InputError) as refused:
        MarketSnapshot.model_validate({"as_of": AS_OF, "quotes": quotes})
    assert str(refused.value) == (
        "MarketSnapshot: quotes.1.rate.value: not a number: write plain ASCII digits, such as 0.0001"
    )


def test_a_dict_and_such_a_value_itself_are_validated() -> None:
    purse = Purse.model_validate({"owner": "ann", "coins": 5})
    assert purse == Purse(owner="ann", coins=5)
    assert Purse.model_validate(purse) is purse


@pytest.mark.parametrize("other", [None, 5, "text", []])
def test_anything_else_is_refused_as_an_input_error(other: object) -> None:
    with pytest.raises(InputError, match=r"^Purse: Input should be a valid dictionary or instance of Purse$"):
        Purse.model_validate(other)


def test_json_text_and_bytes_are_validated() -> None:
    text = '{"owner": "ann", "coins": "5"}'
    assert Purse.model_validate_json(text) == Purse.model_validate_json(text.encode()) == Purse(owner="ann", coins=5)


@pytest.mark.parametrize(
    "text", ["", "{", "nonsense", '{"owner": "ann", "coins": NaN}', '{"owner": "ann", "coins": true}']
)
def test_json_that_is_refused_is_an_input_error(text: str) -> None:
    with pytest.raises(InputError, match=r"^Purse: "):
        Purse.model_validate_json(text)


def test_options_of_validation_are_passed_on() -> None:
    assert Needs.model_validate({"observations": "3"}) == Needs(observations=3)
    with pytest.raises(InputError):
        Needs.model_validate({"observations": "3"}, strict=True)
    assert Needs.model_validate_json('{"observations": "3"}') == Needs(observations=3)
    with pytest.raises(InputError):
        Needs.model_validate_json('{"observations": "3"}', strict=True)


def test_a_copy_replaces_fields_and_keeps_the_others() -> None:
    purse = Purse(owner="ann", coins=5, label="hers", times_opened=2)
    assert purse.model_copy(update={"coins": "6"}) == Purse(owner="ann", coins=6, label="hers", times_opened=2)
    assert purse.model_copy() == purse.model_copy(deep=True) == purse


def test_a_copy_computes_anew() -> None:
    purse = Purse(owner="ann", coins=5)
    assert purse.twice == 10
    assert purse.model_copy(update={"coins": 6}).twice == 12


def test_a_copy_is_validated() -> None:
    purse = Purse(owner="ann", coins=5)
    with pytest.raises(InputError, match=r"^Purse: coins: NaN and infinity are not numbers to act on$"):
        purse.model_copy(update={"coins": float("nan")})
    with pytest.raises(InputError, match=r"did you mean 'coins'"):
        purse.model_copy(update={"coin": 6})


def test_pickling_keeps_the_fields_and_drops_what_was_computed() -> None:
    purse = Purse(owner="ann", coins=5)
    assert purse.twice == 10
    again = pickle.loads(pickle.dumps(purse))
    assert again == purse
    assert vars(again) == {"owner": "ANN", "coins": Decimal(5), "label": "a purse", "times_opened": 0}
    assert again.model_fields_set == {"owner", "coins"}
    assert again.twice == 10


@pytest.mark.parametrize(
    "value",
    [
        a_position(then=an_opportunity(), attention="look"),
        a_quote(mark_price="1.5", next_funding_at=AS_OF),
        a_snapshot(opportunities=(an_opportunity(),), observations=(a_quote(),)),
        an_opportunity(origin="svc"),
        a_rate("0.0001", hours=1),
    ],
    ids=lambda value: type(value).__name__,
)
def test_every_value_survives_pickling_and_copying(value: Value) -> None:
    assert pickle.loads(pickle.dumps(value)) == value
    assert copy.copy(value) == copy.deepcopy(value) == value
    assert value.model_copy() == value


def test_a_snapshot_that_was_read_is_pickled_without_its_book() -> None:
    snapshot = a_snapshot()
    assert snapshot.book[a_position().pair].divergence == 200_000_000
    assert pickle.loads(pickle.dumps(snapshot)).__dict__.keys() == set(MarketSnapshot.model_fields)


def _secret_cases() -> list[Any]:
    of_position = ["symbol", "long_dex", "size_usd", "entry_short_rate", "opened_at", "id", "status", "then", "version"]
    of_quote = ["venue", "rate", "observed_at", "kind", "pays_every", "open_interest_usd", "mark_price", "unknown_key"]
    cases: list[tuple[type[Value], Value, str, object]] = [
        *((Position, a_position(), name, CANARY) for name in of_position),
        *((Quote, a_quote(), name, CANARY) for name in of_quote),
        (Position, a_position(), "attention", f"{CANARY}\n"),
        (Position, a_position(), "close_reason", CANARY),
        (Position, a_position(), "symbol", f"{CANARY}\r\nFORGED"),
        (Quote, a_quote(), "rate", {"value": CANARY, "interval": CANARY}),
    ]
    return [pytest.param(*case, id=f"{case[0].__name__}.{case[2]}") for case in cases]


@pytest.mark.parametrize(("model", "usual", "name", "secret"), _secret_cases())
def test_a_refused_value_is_neither_in_the_message_nor_in_the_traceback(
    model: type[Value], usual: Value, name: str, secret: object
) -> None:
    given = {**{field: getattr(usual, field) for field in type(usual).model_fields}, name: secret}
    with pytest.raises(InputError) as created:
        model(**given)
    with pytest.raises(InputError) as validated:
        model.model_validate(given)
    with pytest.raises(InputError) as copied:
        usual.model_copy(update={name: secret})
    for refused in (created, validated, copied):
        assert CANARY not in str(refused.value).lower()
        assert CANARY not in repr(refused.value).lower()
        assert CANARY not in "".join(traceback.format_exception(refused.value)).lower()


@pytest.mark.parametrize("text", [CANARY, f'{{"symbol": "{CANARY} "}}', f'{{"symbol": "{CANARY}', f'["{CANARY}"]'])
def test_refused_json_is_neither_in_the_message_nor_in_the_traceback(text: str) -> None:
    with pytest.raises(InputError) as refused:
        Position.model_validate_json(text)
    assert CANARY not in "".join(traceback.format_exception(refused.value))


def test_a_number_type_refuses_in_the_words_of_the_edge_inside_a_value() -> None:
    with pytest.raises(InputError) as refused:
        FundingRate("1E+999999", timedelta(hours=8))
    assert str(refused.value) == "FundingRate: value: the exponent is absurd: keep it within 40"


def test_a_value_is_printed_as_it_is_represented() -> None:
    assert str(a_rate("0.0001")) == repr(a_rate("0.0001"))
    assert str(a_rate("0.0001")).startswith("FundingRate(value=Decimal('0.0001'), interval=")
