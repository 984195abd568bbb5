"""A property that is computed once. In Python 3.11 `functools.cached_property` takes a lock each time, which this does without."""

from collections.abc import Callable
from typing import Any, Generic, TypeVar, overload

Value = TypeVar("Value", covariant=True)  # noqa: PLC0105  it is what it is


class once(Generic[Value]):  # noqa: N801  used like `property`
    """Keep a method's value in the instance's dictionary, where it is then found first. For one thread."""

    def __init__(self, method: Callable[[Any], Value]) -> None:
        self._method = method
        self.__doc__ = method.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        """Learn under which name to keep it."""
        self._name = name

    @overload
    def __get__(self, instance: None, owner: type) -> "once[Value]": ...

    @overload
    def __get__(self, instance: object, owner: type) -> Value: ...

    def __get__(self, instance: object | None, owner: type) -> "Value | once[Value]":
        """Compute and keep it."""
        if instance is None:
            return self
        value = instance.__dict__[self._name] = self._method(instance)
        return value
