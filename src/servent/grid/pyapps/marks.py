"""What marks a function as an app, and how inputs and results travel. Pure, and nothing but the standard library: it goes into each Python app, too.

An app is a plain function. The type of its first parameter and that of its result say how bytes are read and written: `bytes` as they are, `str` as
UTF-8, all else as JSON. Further parameters are a unit's arguments: texts, or what their types say.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, overload

MARK = "__servent_app__"
KINDS = {"bytes": "bytes", "str": "text"}  # all else is JSON
Function = TypeVar("Function", bound=Callable[..., Any])


@overload
def app(function: Function) -> Function: ...


@overload
def app(*, name: str = "") -> Callable[[Function], Function]: ...


def app(function: Function | None = None, *, name: str = "") -> Any:
    """Mark a function as one that volunteers may compute: `@servent.grid.app`. It stays what it is, to be called and tested as any other.

    The first parameter is the input of a unit, what it returns the result: `bytes`, `str`, or anything that JSON has, by their annotations.
    Further parameters are the unit's arguments.

    Args:
        name: of the app; that of the function if nothing is said.
    """

    def marked(given: Function) -> Function:
        setattr(given, MARK, name or getattr(given, "__name__", "app"))
        return given

    return marked if function is None else marked(function)


def kind_of(annotation: Any) -> str:
    """ "bytes", "text" or "json": how something of this type travels."""
    said = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "")
    return KINDS.get(said.strip("'\" "), "json")


def kinds(function: Callable[..., Any]) -> tuple[str, str]:
    """How the input and the result of an app travel. Raises TypeError where it takes no input by its place."""
    return kind_of(_first(function).annotation), kind_of(inspect.signature(function).return_annotation)


def _places(function: Callable[..., Any]) -> list[inspect.Parameter]:
    here = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [one for one in inspect.signature(function).parameters.values() if one.kind in here]


def _first(function: Callable[..., Any]) -> inspect.Parameter:
    places = _places(function)
    if not places:
        raise TypeError("an app takes its input as first parameter")
    return places[0]


def encoded(value: Any, kind: str) -> bytes:
    """A value as it travels. Raises TypeError, ValueError: it is none of that kind."""
    if kind == "bytes":
        if not isinstance(value, bytes | bytearray | memoryview):
            raise TypeError(f"bytes are wanted, not {type(value).__name__}")
        return bytes(value)
    if kind == "text":
        if not isinstance(value, str):
            raise TypeError(f"a str is wanted, not {type(value).__name__}")
        return value.encode()
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def decoded(data: bytes, kind: str) -> Any:
    """The value again. Raises ValueError."""
    if kind == "bytes":
        return data
    if kind == "text":
        return data.decode()
    return json.loads(data)


def called(function: Callable[..., Any], data: bytes, args: Sequence[str]) -> bytes:
    """Calls an app as a volunteer does: with the bytes of an input, and a unit's arguments; the bytes of the result."""
    given, gives = kinds(function)
    return encoded(function(decoded(data, given), *_arguments(function, args)), gives)


def _arguments(function: Callable[..., Any], args: Sequence[str]) -> list[Any]:
    """Texts as what the parameters behind the first are; a number where `int` or `float` is said. Raises TypeError, ValueError."""
    found: list[Any] = []
    for text, place in zip(args, [*_places(function)[1:], *[None] * len(args)], strict=False):
        said = "" if place is None else place.annotation
        said = said if isinstance(said, str) else getattr(said, "__name__", "")
        found.append({"int": int, "float": float}.get(said.strip("'\" "), str)(text))
    return found
