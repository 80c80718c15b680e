"""One verb of the engine, to be waited for by a thread or by an event loop."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
import json
import logging
from collections import deque
from collections.abc import Callable, Coroutine, Iterator, Mapping
from typing import Any, Generic, Literal, ParamSpec, TypeVar

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
        # What was told, and nobody has heard yet.
        self._told: deque[events.AnyEvent] = deque()
        # Why the work was asked to stop.
        self._stopped: BaseException | None = None

    def wait(self) -> T:
        """Waits in this thread."""
        job = self._start()
        ended = False
        while not ended:
            try:
                ended = job.wait(_LOOK_EVERY)
                for event in self._events(job):
                    if self._on_event is not None:
                        self._on_event(event)
            except BaseException as e:
                ended = self._stop(job, e)
        return self._end(job)

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
        ended = False
        while not ended:
            try:
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(changed.wait(), 2 * _LOOK_EVERY)
                changed.clear()
                ended = job.wait(0)
                for event in self._events(job):
                    heard = None if self._on_event is None else self._on_event(event)
                    if inspect.isawaitable(heard):
                        await heard
            except BaseException as e:
                ended = self._stop(job, e)
        return self._end(job)

    def _start(self) -> _rebuild.Job:
        return _rebuild.start(self._request, self._functions)

    def _events(self, job: _rebuild.Job) -> Iterator[events.AnyEvent]:
        """What was told since, each event once, also if hearing one of them was interrupted."""
        for line in job.drain():
            event = events.of_json(json.loads(line))
            if event is not None:
                events.log(event)
                self._told.append(event)
        while self._told:
            yield self._told.popleft()

    def _stop(self, job: _rebuild.Job, why: BaseException) -> Literal[False]:
        """Asks the work to stop; it has not ended yet. Asked a second time, it is left at once: what
        was begun can be resumed.
        """
        if self._stopped is not None:
            job.abort()
            raise why
        self._stopped = why
        job.stop()
        if isinstance(why, Exception):
            # A callback that failed is not called again while the work comes to its safe point.
            self._on_event = None
        if isinstance(why, KeyboardInterrupt):
            _log.warning(
                "stopping at the next safe point; Ctrl-C once more leaves at once "
                "(both can be resumed)"
            )
        return False

    def _end(self, job: _rebuild.Job) -> T:
        answer = json.loads(job.result())
        stopped = self._stopped
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
