"""Python functions as steps of a run.

A spec names a function as `function = "module:name"`, or a program registers one with a decorator of
`Spec.step`. It is planned, recorded, resumed and taken back as a command of the spec would be. A
coroutine function is run in an event loop of its own.
"""

from __future__ import annotations

import asyncio
import ctypes
import importlib
import inspect
import json
import sys
import threading
import traceback
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from . import _rebuild
from .database import Database
from .errors import StepInterrupted
from .results._base import plain

Unit = Literal["rows", "bytes", "items"]


class Context:
    """What a step is told of its run, and what it may tell.

    Attributes:
        run: The run's id.
        live: True for a check once the database is in service: applications may have changed rows.
    """

    __slots__ = ("_handle", "live", "run")

    def __init__(self, handle: _rebuild.Handle, run: str, live: bool) -> None:
        self._handle = handle
        self.run: str = run
        self.live: bool = live

    def log(self, line: str) -> None:
        """Tells a line, as a program's output is told."""
        self._handle.output(line)

    def warn(self, line: str) -> None:
        """Tells a line that the operator should read."""
        self._handle.warn(line)

    def progress(self, done: int, total: int | None = None, unit: Unit = "rows") -> None:
        """Tells how far the step is: `done` of `total`, which may be unknown."""
        self._handle.progress(done, total, unit)

    @property
    def stopping(self) -> bool:
        """True once the step is asked to stop. It has two seconds to return or raise; then
        `StepInterrupted` is raised in it.
        """
        return self._handle.stopping

    def check(self) -> None:
        """Raises `StepInterrupted` if the step is asked to stop; for long loops."""
        if self.stopping:
            raise StepInterrupted


@dataclass(frozen=True, slots=True)
class WorkloadState:
    """What a workload was like before it was touched.

    Attributes:
        running: True if it may write now.
        detail: Whatever the workload needs to bring it back to that, in types that JSON knows.
    """

    running: bool
    detail: Any = None


class Task(Protocol):
    """A load or an after-step; a plain function will do."""

    def __call__(self, db: Database, ctx: Context, /) -> object:
        """Does it. *Repeats:* it may be called again on what an earlier, broken call left."""
        ...


class SchemaApplier(Protocol):
    """Gives a new, empty database its schema; a plain function of the same shape will do."""

    def apply(self, db: Database, ctx: Context, /) -> object:
        """Brings `db` to the newest schema. It is called on scratch databases too, to find drift.

        *Repeats:* what was applied already is skipped.
        """
        ...


class Restorer(Protocol):
    """Restores rows into a database that has its schema; a plain function will do."""

    def restore(self, db: Database, backup: str, ctx: Context, /) -> int | None | Awaitable[int | None]:
        """Restores the rows and returns how many. `backup` is the id of the backup that the run took.

        *Repeats:* rows that an earlier, broken call left are replaced.
        """
        ...


class Verifier(Protocol):
    """Looks whether a database is right; a plain function will do."""

    def check(self, db: Database, ctx: Context, /) -> object:
        """Returns nothing or no complaints if all is well; else complaints, one line each, or False.

        `AssertionError` is a complaint too. Any other exception means that it could not be told.
        """
        ...


class Workload(Protocol):
    """A program that writes to the target and can be stopped."""

    def look(self, ctx: Context, /) -> WorkloadState | bool:
        """How it is now. The run records the answer before it stops anything."""
        ...

    def stop(self, before: WorkloadState, ctx: Context, /) -> object:
        """Stops it, and returns once it writes no more. *Repeats:* a stopped one stays stopped."""
        ...

    def start(self, before: WorkloadState, ctx: Context, /) -> object:
        """Brings it back to `before`, and returns once it is. *Repeats:* nothing is done twice."""
        ...


_METHODS: Mapping[str, tuple[str, ...]] = {
    "task": ("apply", "run"),
    "restorer": ("restore",),
    "verifier": ("check",),
    "workload": ("look", "stop", "start"),
}


@dataclass(slots=True)
class Functions:
    """Finds the functions that a spec names.

    Attributes:
        registered: Functions of this program, by role, name of the part, and name of the function.
        raised: The first exception that came out of one.
    """

    registered: dict[tuple[str, str, str], object] = field(default_factory=dict)
    raised: BaseException | None = None

    def __call__(self, role: str, name: str, function: str, folder: str) -> Step:
        found = self.registered.get((role, name, function))
        if found is None:
            found = _import(function, folder)
        if isinstance(found, type):
            found = found()
        methods = _METHODS[role]
        if role == "workload":
            fits = all(callable(getattr(found, method, None)) for method in methods)
        else:
            fits = callable(found) or any(hasattr(found, method) for method in methods)
        if not fits:
            raise TypeError(f"{function} is no {role}: it has no {' or '.join(methods)}")
        return Step(found, self)


def _import(function: str, folder: str) -> object:
    module_name, colon, path = function.partition(":")
    if not colon or not path:
        raise ValueError(f"{function!r} names no function: write module:name")
    # As `python script.py` does for the folder of the script.
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        found: object = importlib.import_module(module_name)
    except Exception as e:
        raise ImportError(f"{module_name} cannot be imported: {type(e).__name__}: {e}") from e
    for part in path.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise LookupError(f"there is no {path} in {module_name}") from None
    return found


class Step:
    """One function, as the engine calls it."""

    def __init__(self, function: object, functions: Functions) -> None:
        self._function = function
        self._functions = functions
        self._lock = threading.Lock()
        self._thread: int | None = None

    def call(self, text: str, handle: _rebuild.Handle) -> str:
        """Calls the function. The answer is `{"ok": …}` or `{"raised": …}`."""
        request = json.loads(text)
        try:
            with self._lock:
                self._thread = threading.get_ident()
            try:
                value = self._called(request, handle)
            finally:
                with self._lock:
                    self._thread = None
            return json.dumps({"ok": value})
        except BaseException as e:
            # The first is what failed the run; the others failed on the way back.
            self._functions.raised = self._functions.raised or e
            return json.dumps({"raised": _raised(e)})

    def interrupt(self) -> None:
        """Raises `StepInterrupted` in the function, between two instructions of Python."""
        with self._lock:
            if self._thread is not None:
                ctypes.pythonapi.PyThreadState_SetAsyncExc(
                    ctypes.c_ulong(self._thread), ctypes.py_object(StepInterrupted)
                )

    def _called(self, request: Mapping[str, Any], handle: _rebuild.Handle) -> object:
        more = request["more"] or {}
        ctx = Context(handle, request["run"], bool(more.get("live", False)))
        given = request["database"]
        db = None if given is None else Database(given["parameters"], given["password"])
        match request["method"]:
            case "run":
                _finished(self._method("apply", "run")(db, ctx))
                return None
            case "restore":
                rows = _finished(self._method("restore")(db, more["backup"], ctx))
                return rows if isinstance(rows, int) else None
            case "check":
                return _complaints(self._method("check"), db, ctx)
            case "look":
                return _state(_finished(self._method("look")(ctx)))
            case method:
                before = WorkloadState(more["running"], more["detail"])
                _finished(self._method(method)(before, ctx))
                return None

    def _method(self, *names: str) -> Callable[..., object]:
        for name in names:
            method = getattr(self._function, name, None)
            if method is not None:
                return method  # type: ignore[no-any-return]
        return self._function  # type: ignore[return-value]


def _finished(result: object) -> object:
    """What a function returns, or what its coroutine comes to."""
    if not inspect.isawaitable(result):
        return result

    async def main() -> object:
        return await result

    return asyncio.run(main())


def _complaints(check: Callable[..., object], db: Database | None, ctx: Context) -> list[str]:
    try:
        found = _finished(check(db, ctx))
    except AssertionError as e:
        return [str(e) or "an assertion failed"]
    if found is None or found is True:
        return []
    if found is False:
        return ["it is not as it should be"]
    if isinstance(found, str):
        return [found]
    if isinstance(found, Iterable):
        return [str(line) for line in found]
    raise TypeError(f"a check returns complaints, not {type(found).__name__}")


def _state(state: object) -> dict[str, object]:
    if isinstance(state, bool):
        state = WorkloadState(state)
    if not isinstance(state, WorkloadState):
        raise TypeError(f"a workload is running or not, or has a state; not {state!r}")
    return {"running": state.running, "detail": plain(state.detail)}


def _raised(e: BaseException) -> dict[str, str]:
    # Our own frames tell nobody anything.
    own = e.__traceback__
    while own is not None and own.tb_frame.f_code.co_filename == __file__:
        own = own.tb_next
    text = "".join(traceback.format_exception(type(e), e, own or e.__traceback__))
    return {"message": f"{type(e).__name__}: {e}" if str(e) else type(e).__name__, "traceback": text}
