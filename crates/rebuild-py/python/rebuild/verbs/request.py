"""What the engine is asked, of a spec."""

from __future__ import annotations

from collections.abc import Callable
from os import PathLike
from typing import Any, TypeAlias, TypeVar

from .._call import Call
from ..events import OnEvent
from ..spec import Spec

T = TypeVar("T")

AnySpec: TypeAlias = Spec | str | PathLike[str]
"""A spec, or the path of its file."""


def call(
    spec: AnySpec,
    verb: str,
    parse: Callable[[Any], T],
    on_event: OnEvent | None,
    **options: Any,
) -> Call[T]:
    """The call of a verb; `parse` makes its result of what the engine answers."""
    loaded = spec if isinstance(spec, Spec) else Spec.load(spec)
    request, functions = loaded._request()
    request |= {"verb": verb, **options}
    return Call(request, parse, functions=functions, on_event=on_event)


def as_it_is(value: Any) -> Any:
    """The answer itself is the result."""
    return value
