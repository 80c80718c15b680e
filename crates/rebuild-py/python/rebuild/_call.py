"""One verb of the engine, to be waited for by a thread or by an event loop."""

from __future__ import annotations

import asyncio
import functools
import inspect
import json
import logging
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Generic, ParamSpec, TypeVar

from . import _rebuild, events
from .errors import RebuildError, of_failure
from .steps import Functions

_log = logging.getLogger("rebuild")

P = ParamSpec("P")
T = TypeVar("T")

_LOOK_EVERY = 0.05
"""Seconds. Python hears Ctrl-C between two looks, and progress is told at each."""


class Call(Generic[T]):
    """What is asked for, and what becomes of the answer."""

    def __init__(
        self,
        request: Mapping[str, Any],
        parse: Callable[[Any], T],
        *,
        functions: Functions | None = None,
        on_event: events.OnEvent | None = None,
    ) -> None:
        self._request = json.dumps(request)
        self._parse = parse
        self._functions = functions
        self._on_event = on_event

    def wait(self) -> T:
        """Waits in this thread."""
        job = self._start()
        told: deque[events.AnyEvent] = deque()
        stopped: BaseException | None = None
        ended = False
        while not ended:
            try:
                ended = job.wait(_LOOK_EVERY)
                told.extend(_events(job))
                while told:
                    event = told.popleft()
                    if self._on_event is not None:
                        self._on_event(event)
            except BaseException as e:
                if stopped is not None:
                    # Asked a second time: leave at once. What was begun can be resumed.
                    job.abort()
                    raise
                stopped, ended = e, False
                self._stop(job, e)
        return self._end(job, stopped)

    async def wait_async(self) -> T:
        """Waits in an event loop."""
        loop = asyncio.get_running_loop()
        changed = asyncio.Event()

        def wake() -> None:
            # The loop may have gone by then.
            if not loop.is_closed():
                loop.call_soon_threadsafe(changed.set)

        job = self._start()
        job.on_change(wake)
        told: deque[events.AnyEvent] = deque()
        stopped: BaseException | None = None
        ended = False
        while not ended:
            try:
                try:
                    await asyncio.wait_for(changed.wait(), 2 * _LOOK_EVERY)
                except asyncio.TimeoutError:
                    pass
                changed.clear()
                ended = job.wait(0)
                told.extend(_events(job))
                while told:
                    event = told.popleft()
                    heard = None if self._on_event is None else self._on_event(event)
                    if inspect.isawaitable(heard):
                        await heard
            except BaseException as e:
                if stopped is not None:
                    job.abort()
                    raise
                stopped, ended = e, False
                self._stop(job, e)
        return self._end(job, stopped)

    def _start(self) -> _rebuild.Job:
        return _rebuild.start(self._request, self._functions)

    def _stop(self, job: _rebuild.Job, why: BaseException) -> None:
        job.stop()
        if isinstance(why, Exception):
            # A callback that failed is not called again while the work comes to its safe point.
            self._on_event = None
        if isinstance(why, KeyboardInterrupt):
            _log.warning(
                "stopping at the next safe point; Ctrl-C once more leaves at once "
                "(both can be resumed)"
            )

    def _end(self, job: _rebuild.Job, stopped: BaseException | None) -> T:
        answer = json.loads(job.result())
        failure: BaseException
        try:
            if "error" in answer:
                raise of_failure(answer["error"])
            result = self._parse(answer["ok"])
        except RebuildError as e:
            failure = e
        else:
            if stopped is None:
                return result
            _log.warning("it had come to its end all the same: %s", result)
            raise stopped
        # The exception that a step raised is of more use than what we make of it.
        if self._functions is not None and self._functions.raised is not None:
            failure.__cause__ = self._functions.raised
        if stopped is None:
            raise failure
        raise stopped from failure


def _events(job: _rebuild.Job) -> list[events.AnyEvent]:
    told = [events.of_json(json.loads(line)) for line in job.drain()]
    known = [event for event in told if event is not None]
    for event in known:
        events.log(event)
    return known


def blocking(call: Callable[P, Call[T]]) -> Callable[P, T]:
    """The blocking form of a verb."""

    @functools.wraps(call)
    def wait(*args: P.args, **kwargs: P.kwargs) -> T:
        return call(*args, **kwargs).wait()

    wait.__signature__ = _signature(call)  # type: ignore[attr-defined]
    return wait


def asynchronous(verb: Callable[P, T]) -> Callable[P, Coroutine[Any, Any, T]]:
    """The asynchronous form of a verb that is `blocking`."""
    call: Callable[P, Call[T]] = verb.__wrapped__  # type: ignore[attr-defined]

    @functools.wraps(call)
    async def wait(*args: P.args, **kwargs: P.kwargs) -> T:
        return await call(*args, **kwargs).wait_async()

    wait.__signature__ = _signature(call)  # type: ignore[attr-defined]
    wait.__name__ = wait.__qualname__ = f"{call.__name__}_async"
    doc = inspect.cleandoc(call.__doc__ or "")
    wait.__doc__ = f"{doc}\n\nTo be awaited; a task that is cancelled stops at the next safe point."
    return wait


def _signature(call: Callable[..., Call[Any]]) -> inspect.Signature:
    """What `help` shows: the call is our own affair."""
    signature = inspect.signature(call)
    returns = str(signature.return_annotation).removeprefix("Call[").removesuffix("]")
    return signature.replace(return_annotation=returns)
