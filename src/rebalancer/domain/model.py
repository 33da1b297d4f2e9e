"""The base of every stored, sent or configured value: frozen, closed, and refusing bad input with an InputError."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, Self, TypeVar, overload

from pydantic import BaseModel, ConfigDict, ValidationError

from ..errors import InputError

_T = TypeVar("_T")

DERIVED: Any = None
"""The default of a field that its model derives from the others. (A default factory is no place for it: whether and
with what pydantic calls one after another field was refused depends on its version.)"""


class computed(cached_property[_T]):  # noqa: N801  # it is written where `cached_property` would be
    """A `cached_property` without a lock, as all are from Python 3.12 on: the lock costs more than what is computed.

    Two threads may both compute it, so it is for what follows from a frozen value alone.
    """

    @overload
    def __get__(self, instance: None, owner: type[Any] | None = None) -> Self: ...
    @overload
    def __get__(self, instance: object, owner: type[Any] | None = None) -> _T: ...
    def __get__(self, instance: object, owner: type[Any] | None = None) -> Self | _T:
        if instance is None:
            return self
        value = instance.__dict__[self.func.__name__] = self.func(instance)
        return value


class Value(BaseModel):
    """A frozen value. Two with equal fields are equal; copies are validated; errors never repeat the input."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", defer_build=True, hide_input_in_errors=True, ignored_types=(computed,)
    )

    def __init__(self, /, **data: Any) -> None:
        try:
            self.__pydantic_validator__.validate_python(data, self_instance=self)
        except ValidationError as error:
            raise self._refused(error) from error

    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]  # as RootModel does: validation may bypass it

    @classmethod
    def _refused(cls, error: ValidationError) -> InputError:
        return InputError.from_validation(error, known=tuple(cls.model_fields))

    @classmethod
    def model_validate(cls, obj: Any, **options: Any) -> Self:
        """The value that `obj` (a dict, or such a value) stands for; InputError if it is refused."""
        try:
            return super().model_validate(obj, **options)
        except ValidationError as error:
            raise cls._refused(error) from error

    @classmethod
    def model_validate_json(cls, json_data: str | bytes | bytearray, **options: Any) -> Self:
        """The value that the JSON text stands for; InputError if it is refused."""
        try:
            return super().model_validate_json(json_data, **options)
        except ValidationError as error:
            raise cls._refused(error) from error

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:  # noqa: ARG002
        """A validated copy with some fields replaced (values are frozen, so `deep` makes no difference)."""
        return type(self)(**{**{name: getattr(self, name) for name in type(self).model_fields}, **(update or {})})

    def __str__(self) -> str:
        return repr(self)

    def __getstate__(self) -> dict[Any, Any]:
        """Pickle the fields alone, never what was computed from them."""
        state = super().__getstate__()
        state["__dict__"] = {name: self.__dict__[name] for name in type(self).model_fields}
        return state
