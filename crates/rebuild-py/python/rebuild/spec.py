"""The spec: which database, and what its rebuild consists of."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from . import _rebuild
from .errors import UsageError, of_failure
from .steps import Functions

if TYPE_CHECKING:
    from .events import OnEvent
    from .results import Plan, Status

F = TypeVar("F")


class Spec:
    """A spec, with the functions that take part in its runs.

    Make one with `Spec.load` or `Spec.from_dict`. Its `repr` shows no secret.
    """

    def __init__(
        self,
        data: dict[str, Any],
        folder: str | PathLike[str],
        env: dict[str, str] | None,
    ) -> None:
        self._data = data
        self._folder = Path(folder)
        self._env = env
        self._functions = Functions()
        self.step: Steps = Steps(self)

    @classmethod
    def load(
        cls, path: str | PathLike[str] = "rebuild.toml", *, env: Mapping[str, str] | None = None
    ) -> Spec:
        """Reads `rebuild.toml`, or the file at `path`.

        Args:
            path: The file.
            env: Variables for `${NAME}` and the PG* defaults, in the place of `os.environ`.

        Raises:
            UsageError: It cannot be read, or is no spec; with file, line, column and key.
        """
        file = Path(path)
        variables = None if env is None else dict(env)
        data = _answer(_rebuild.read_spec(fspath(file), variables))
        return cls(data, file.parent, variables)

    @classmethod
    def from_dict(
        cls,
        data: Mapping[str, Any],
        *,
        folder: str | PathLike[str] = ".",
        env: Mapping[str, str] | None = None,
    ) -> Spec:
        """A spec from the same keys as those of the file.

        Args:
            data: The keys. `${NAME}` in a text stands for a variable, as in the file.
            folder: What relative paths are relative to.
            env: Variables in the place of `os.environ`.

        Raises:
            UsageError: It is no spec; with the key.
        """
        plain: dict[str, Any] = json.loads(_json(data))
        spec = cls(plain, folder, None if env is None else dict(env))
        spec._check(plain)
        return spec

    @property
    def folder(self) -> Path:
        """What relative paths are relative to."""
        return self._folder

    def to_dict(self) -> dict[str, Any]:
        """What the spec says, the functions of this program among it, before any `${NAME}` is
        replaced.
        """
        return copy.deepcopy(self._data)

    def plan(self, *, drift: bool = True, on_event: OnEvent | None = None) -> Plan:
        """What a run would do, and what would be lost. See `rebuild.plan`."""
        from . import verbs

        return verbs.plan(self, drift=drift, on_event=on_event)

    async def plan_async(self, *, drift: bool = True, on_event: OnEvent | None = None) -> Plan:
        """`plan`, to be awaited."""
        from . import verbs

        return await verbs.plan_async(self, drift=drift, on_event=on_event)

    def status(self, *, drift: bool = True, on_event: OnEvent | None = None) -> Status:
        """What is there. See `rebuild.status`."""
        from . import verbs

        return verbs.status(self, drift=drift, on_event=on_event)

    async def status_async(self, *, drift: bool = True, on_event: OnEvent | None = None) -> Status:
        """`status`, to be awaited."""
        from . import verbs

        return await verbs.status_async(self, drift=drift, on_event=on_event)

    def _request(self) -> tuple[dict[str, Any], Functions]:
        """What the engine is told of the spec, and who finds its functions."""
        told = {"spec": self._data, "folder": fspath(self._folder), "env": self._env}
        functions = Functions(dict(self._functions.registered))
        return told, functions

    def _register(self, role: str, key: str, name: str, part: dict[str, Any], function: object) -> None:
        """Adds a part that is a function, so that plans list it and digests know it."""
        data = self.to_dict()
        if key in ("schema", "restore"):
            data[key] = {**data.get(key, {}), **part}
        else:
            data[key] = [*data.get(key, []), part]
        self._check(data)
        self._data = data
        self._functions.registered[role, name, part["function"]] = function

    def _check(self, data: Mapping[str, Any]) -> None:
        _answer(_rebuild.check_spec(_json(data), fspath(self._folder), self._env))

    def __repr__(self) -> str:
        return f"Spec(folder={fspath(self._folder)!r}, parts={sorted(self._data)!r})"


class Steps:
    """Decorators that make functions of this program parts of a spec: `@spec.step.load("genes")`.

    They come after the parts that the spec names itself, in the order in which they are registered.
    """

    def __init__(self, spec: Spec) -> None:
        self._spec = spec

    def schema(self, function: F) -> F:
        """The function, or `SchemaApplier`, that gives a new database its schema."""
        part = {"source": "function", "function": _name(function)}
        self._spec._register("task", "schema", "schema", part, function)
        return function

    def restore(self, function: F) -> F:
        """The function, or `Restorer`, that restores the rows."""
        part = {"source": "function", "function": _name(function)}
        self._spec._register("restorer", "restore", "restore", part, function)
        return function

    def load(self, name: str, *, timeout: str = "10m") -> Callable[[F], F]:
        """A function that loads rows into the new database before it is verified."""
        return self._part("task", "load", name, timeout)

    def after(self, name: str, *, timeout: str = "10m") -> Callable[[F], F]:
        """A function to call once the new database is in service."""
        return self._part("task", "after", name, timeout)

    def verify(self, name: str, *, timeout: str = "10m") -> Callable[[F], F]:
        """A function, or `Verifier`, that must find nothing wrong with the new database. It checks
        besides the checks of the spec, or besides the usual ones where the spec names none.
        """
        return self._part("verifier", "verify", name, timeout, kind="function")

    def workload(self, name: str, *, timeout: str = "60s") -> Callable[[F], F]:
        """A `Workload`: a program that writes to the target, and can be stopped."""
        return self._part("workload", "workload", name, timeout)

    def _part(
        self, role: str, key: str, name: str, timeout: str, **more: str
    ) -> Callable[[F], F]:
        def register(function: F) -> F:
            part = {"name": name, "function": _name(function), "timeout": timeout, **more}
            self._spec._register(role, key, name, part, function)
            return function

        return register


def _name(function: object) -> str:
    named = function if hasattr(function, "__qualname__") else type(function)
    module = getattr(named, "__module__", None)
    name = getattr(named, "__qualname__", None)
    if module is None or name is None:
        raise UsageError(f"{function!r} has no name that a plan could list")
    return f"{module}:{name}"


def _json(data: Mapping[str, Any]) -> str:
    try:
        return json.dumps(data, default=fspath)
    except (TypeError, ValueError) as e:
        raise UsageError(f"a spec is made of text, numbers, lists and dicts: {e}") from e


def _answer(text: str) -> Any:
    answer = json.loads(text)
    if "error" in answer:
        raise of_failure(answer["error"])
    return answer["ok"]
